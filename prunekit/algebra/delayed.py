"""Downdates that wait: the greedy path at the speed of matrix products.

`prunekit.biorthogonal.remove` takes a channel out of H and W at once, and reads and writes all of H
for it. Here what goes is gathered,

    H_now = H − PᵀA      W_now = W − PᵀU      P = H_c: of each     [U|A] = (H_cc)⁻¹ [W_c|H_c:]

and taken out of H and W together, many channels at a time. In between only what costs ask for is
kept up to date, of every channel the blocks H_ii and K_i = W_i W_iᵀ. What is gone is left out of
the matrices, so they shrink.

Source: updates that wait are how LAPACK blocks its factorisations. Derived: the formulas.
"""

import torch
from torch import Tensor

from prunekit.algebra.least_squares import columns_of

__all__ = ["Delayed"]

WAITING = 512  # columns that wait at most: enough for matrix products at full speed


class Delayed:
    """n channels of k columns, while they go.

    Parameters
    ----------
    H : inverse of the Gram matrix (n·k, n·k), overwritten
    target, weights : T and W⁰ (n·k, outputs): W = H·T, and distances are those from W⁰
    ridge : λ (n·k,), what they cost
    channels : their ids (n,), ascending
    """

    def __init__(
        self,
        H: Tensor,
        target: Tensor,
        weights: Tensor,
        ridge: Tensor,
        channels: Tensor,
        block_size: int,
    ) -> None:
        self.k, self._H, self._W, self._W0 = block_size, H, H @ target, weights
        self.channels, self._ridge = channels, ridge
        self._rises: list[Tensor] = []  # of ‖Y − XW‖² + Σ λ_j‖W_j − W⁰_j‖², removal by removal
        self._falls: list[Tensor] = []  # of Σ λ_j‖W_j − W⁰_j‖²
        self._begin()

    def _begin(self) -> None:
        """Nothing waits yet."""
        n, k = len(self.channels), self.k
        self._at = {channel: i for i, channel in enumerate(self.channels.tolist())}
        self._waiting, most = 0, min(WAITING + k, n * k)
        self._P, self._A = self._H.new_empty(most, n * k), self._H.new_empty(most, n * k)
        self._U = self._H.new_empty(most, self._W.shape[1])
        self._H_ii = self._H.view(n, k, n, k).diagonal(dim1=0, dim2=2).permute(2, 0, 1).clone()
        W_i = self._W.unflatten(0, (n, k))
        self._K_i = W_i @ W_i.mT  # (n, k, k)

    def costs(self, channels: Tensor, score: str = "output") -> Tensor:
        """What the removal of each of ``channels`` would cost: `biorthogonal.removal_costs`."""
        at = torch.tensor([self._at[channel] for channel in channels.tolist()])
        H_ii, K_i = self._H_ii[at], self._K_i[at]
        if score == "behavior":
            K_i = torch.eye(self.k, dtype=H_ii.dtype, device=H_ii.device).expand_as(H_ii)
        # ΔE_i = tr(W_iᵀ (H_ii)⁻¹ W_i) = tr((H_ii)⁻¹ K_i)
        prices = torch.linalg.solve(H_ii, K_i) if self.k > 1 else K_i / H_ii
        return prices.diagonal(dim1=1, dim2=2).sum(1)

    def largest(self, energies: Tensor) -> float:
        """The largest number on the diagonal of H, beside the energies (d,) of all columns."""
        own = energies[columns_of(self.channels, self.k)].view(-1, self.k)
        return (self._H_ii.diagonal(dim1=1, dim2=2) * own).max().item()

    def row(self, channel: int) -> tuple[Tensor, Tensor]:
        """H_cc (k, k) and H_c: (k, n·k), whose columns are those of ``channels``."""
        c, w = self._columns(channel), self._waiting
        H_c = self._H[c] - self._P[:w, c].T @ self._A[:w]
        return H_c[:, c], H_c

    def _columns(self, channel: int) -> slice:
        return slice(self._at[channel] * self.k, self._at[channel] * self.k + self.k)

    def remove(self, channel: int) -> None:
        """Let a channel go."""
        c, w, k = self._columns(channel), self._waiting, self.k
        H_cc, P = self.row(channel)
        W_c = self._W[c] - self._P[:w, c].T @ self._U[:w]  # (k, outputs)
        U, A = torch.linalg.solve(H_cc, torch.cat([W_c, P], 1)).tensor_split([W_c.shape[1]], 1)
        UW, UU = U @ self._W.T - (U @ self._U[:w].T) @ self._P[:w], U @ U.T  # (k, n·k), (k, k)
        P_i, A_i, UW_i = (v.unflatten(1, (-1, k)).transpose(0, 1) for v in (P, A, UW))  # (n, k, k)
        # W_i loses P_iᵀU, so K_i loses P_iᵀ U W_iᵀ and its transpose, less P_iᵀ UUᵀ P_i
        change = P_i.mT @ (UW_i - (UU @ P_i) / 2)
        self._K_i -= change + change.mT
        self._H_ii -= P_i.mT @ A_i
        self._rises.append((W_c * U).sum())  # tr(W_cᵀ (H_cc)⁻¹ W_c)
        # Σ λ_j‖W_j‖² falls by 2⟨W, ΛPᵀU⟩ − ⟨PᵀU, ΛPᵀU⟩
        PL = P * self._ridge
        self._falls.append(2 * (PL * UW).sum() - ((PL @ P.T) * UU).sum())
        self._P[w : w + k], self._A[w : w + k], self._U[w : w + k] = P, A, U
        self._waiting += k
        del self._at[channel]
        if self._waiting >= WAITING:
            self._settle()

    def errors(self) -> Tensor:
        """The rise of ‖Y − XW‖² with each removal so far: less what the ridge charges for it."""
        self._settle()
        rises = [rise + fall for rise, fall in zip(self._rises, self._falls, strict=True)]
        return torch.stack(rises) if rises else self._W.new_zeros(0)

    def _settle(self) -> None:
        """Take all that waits out of H and W, and leave out what is gone."""
        w, gone = self._waiting, self._waiting // self.k
        P, A, U = self._P[:w], self._A[:w], self._U[:w]
        # ⟨W, ΛW⁰⟩ falls by ⟨PᵀU, ΛW⁰⟩ = ⟨U, PΛW⁰⟩, and Σ λ_j‖W_j − W⁰_j‖² rises by twice that
        more = (
            2 * (U * (P * self._ridge @ self._W0)).unflatten(0, (gone, self.k)).sum((1, 2))
            if gone
            else []
        )
        for i, rise in enumerate(more, len(self._falls) - gone):
            self._falls[i] = self._falls[i] - rise
        left = sorted(self._at)
        at = torch.tensor([self._at[channel] for channel in left], device=self._H.device).long()
        rows = columns_of(at, self.k)
        P, A = P[:, rows], A[:, rows]
        self._H = self._H[rows[:, None], rows].addmm_(P.T, A, alpha=-1)
        self._W, self._W0 = self._W[rows].addmm_(P.T, U, alpha=-1), self._W0[rows]
        self.channels, self._ridge = torch.tensor(left, device=at.device).long(), self._ridge[rows]
        self._begin()
