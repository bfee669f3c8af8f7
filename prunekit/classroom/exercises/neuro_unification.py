"""The exercises of lesson 03: what a correct answer has to show."""

import torch
from torch import Tensor

import prunekit as pk
from prunekit.classroom.checks import Answer, exercise

LESSON = "03-neuro-unification"


def _tensor(values: list) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _line(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """a and c of the best a·x + c in place of y, by a fresh least squares."""
    ones = torch.stack([x, torch.ones_like(x)], 1)
    return tuple(torch.linalg.lstsq(ones, y[:, None]).solution[:, 0])


@exercise(LESSON)
def speak_for(answer: Answer) -> None:
    hint = "The best line through the dots (x, y): slope a, and c where x is 0."
    random = answer.normal(answer.integer(7, 11)) + 1
    cases = (
        (_tensor([0, 1, 2]), _tensor([5, 8, 11])),
        (random, answer.normal(len(random)) - 2 * random + 3),
    )
    for x, y in cases:
        a, c = _line(x, y)
        straight, turned = (x @ y) / (x @ x), _line(y, x)
        wrong = {
            "That line goes through zero: take the means out of x and y first.": (
                straight,
                y.mean() - straight * x.mean(),
            ),
            "That line goes through zero: the constant can do more than nothing.": (straight, 0.0),
            "That is y speaking for x: x is the one that stays.": turned,
            "The constant has to allow for a: x comes in a times as loud.": (
                a,
                y.mean() - x.mean(),
            ),
            "First a, then c.": (c, a),
        }
        got = answer(x, y)
        answer.require(
            isinstance(got, list | tuple) and len(got) == 2, "Return two numbers: a and c."
        )
        answer.expect(got, (a, c), hint, wrong)


def _slips_of_rows(W: Tensor, i: int, j: int, a: float) -> dict[str, Tensor]:
    """What usual mistakes make of W when neuron i speaks for j."""
    rows = torch.arange(len(W))[:, None]
    added = torch.where(rows == i, W + a * W[j], W)
    return {
        "Neuron j still speaks: its row has to become zero.": added,
        "Neuron i has lost its own work: add to its row.": (
            torch.where(rows == j, 0.0, torch.where(rows == i, a * W[j], W))
        ),
        "Nothing was taken over: row j was zero before it was read.": (
            torch.where(rows == j, 0.0, W)
        ),
        "The scale belongs to what is taken over: row i grows by a times row j.": (
            torch.where(rows == j, 0.0, torch.where(rows == i, a * W + W[j], W))
        ),
    }


@exercise(LESSON)
def let_speak(answer: Answer) -> None:
    hint = "Put a·x_i + c for x_j in Y = XW + b, and collect what goes with x_i."
    W, b = _tensor([[1, 2], [3, 4], [5, 6]]), _tensor([10, 20])
    cases = (
        (W, b, 0, 2, 2.0, 3.0),
        (answer.normal(4, 3), answer.normal(3), answer.integer(2, 3), 1, -0.7, 1.3),
    )
    for W, b, i, j, a, c in cases:
        got = answer(W, b, i, j, a, c)
        pair = isinstance(got, list | tuple) and len(got) == 2
        answer.require(pair, "Return two things: W, then b.")
        wanted = W.clone()
        wanted[i], wanted[j] = W[i] + a * W[j], 0
        answer.expect(got[0], wanted, f"W: {hint}", _slips_of_rows(W, i, j, a))
        slips = {
            "The constant is missing: it goes into the bias.": b,
            "The next layer hears the constant through W_j.": b + c,
            "The constant came through row j of W, not through row i.": b + c * W[i],
            "The constant is not scaled: a belongs to x_i alone.": b + a * c * W[j],
        }
        answer.expect(got[1], b + c * W[j], f"b: {hint}", slips)
        X = answer.normal(5, len(W))
        now = X.clone()
        now[:, j] = a * X[:, i] + c  # what neuron i says for j
        answer.expect(X @ torch.as_tensor(got[0]) + torch.as_tensor(got[1]), now @ W + b, hint)


@exercise(LESSON)
def pair_prices(answer: Answer) -> None:
    hint = "E[i, j]: what is left of x_j when the best a·x_i + c is taken away, heard through W_j."
    for samples, n in ((4, 2), (answer.integer(11, 17), 5)):
        X, W = answer.normal(samples, n) * torch.arange(1, n + 1), answer.normal(n, 3)
        Z = X - X.mean(0)
        S, strength = Z.T @ Z, W.square().sum(1)
        energy = S.diagonal()
        left = torch.zeros_like(S)  # ‖x_j − a·x_i − c‖², pair by pair
        for i in range(n):
            for j in (j for j in range(n) if j != i):
                a, c = _line(X[:, i], X[:, j])
                left[i, j] = (X[:, j] - a * X[:, i] - c).square().sum()
        wrong = {
            "The next layer's part is missing: how strongly does it listen?": left,
            "Row i speaks, column j goes: here it is the other way round.": (strength * left).T,
            "Neuron j goes: its row of W counts, not that of i.": strength[:, None] * left,
            "How loud x_j is counts, too: this is only 1 − ρ².": strength * left / energy,
            "S_ij comes in squared.": strength * (energy - S / energy[:, None]),
            "How strongly is ‖W_j‖², the squares added up, not its root.": strength.sqrt() * left,
        }
        answer.expect(answer(S, W), strength * left, hint, wrong)
    S[1], S[:, 1] = 0, 0
    got = torch.as_tensor(answer(S, W)).double()
    answer.require(
        got.isfinite().all().item(),
        "Neuron 1 only says a constant, S_11 = 0, and 0/0 came: it can speak for nobody.",
    )
    answer.expect(got[:, 1], torch.zeros(n), "A constant neuron goes for free: column 1 is 0.")
    wanted = strength * S.diagonal()
    wanted[1] = 0
    wrong = {"A constant neuron speaks for nobody: all of x_j is lost, not nothing.": 0 * wanted}
    answer.expect(got[1], wanted, "If a constant speaks for x_j, all that varies is lost.", wrong)


def _slips_of_kernels(weight: Tensor, i: int, j: int, a: float) -> dict[str, Tensor]:
    """What usual mistakes make of a kernel when channel i speaks for j."""
    kept = [m for m in range(weight.shape[1]) if m != j]
    channels = torch.arange(weight.shape[1]).view(1, -1, 1, 1)
    taps = torch.zeros_like(weight[:1, :1])
    taps[..., weight.shape[2] // 2, weight.shape[3] // 2] = 1  # the middle one
    full = torch.where(channels == i, weight + a * weight[:, j : j + 1], weight)
    late = weight[:, kept].clone()
    late[:, i % len(kept)] += a * weight[:, j]
    middle = torch.where(taps > 0, full, weight)
    return {
        "Channel j must be gone: one channel fewer, not one of zeros.": (
            torch.where(channels == j, 0.0, full)
        ),
        "Channel j is still there.": full,
        "Channel j is gone, and nobody speaks for it.": weight[:, kept],
        "One scalar holds at every pixel: all taps grow, not only the middle one.": middle[:, kept],
        "Once channel j is out, those behind it have other numbers: take over first.": late,
    }


@exercise(LESSON)
def drop_channel(answer: Answer) -> None:
    hint = "Kernels are (outputs, channels, k, k): every tap of channel i grows, channel j goes."
    k = 2 * answer.integer(1, 2) + 1
    cases = (
        (torch.arange(9.0).double().view(3, 3, 1, 1), 0, 2, 10.0),
        (torch.arange(9.0).double().view(3, 3, 1, 1), 1, 0, 10.0),
        (answer.normal(4, 4, k, k), 1, 3, 0.6),
        (answer.normal(5, 4, k, k), 3, 1, -1.7),
    )
    for weight, i, j, a in cases:
        kept = [m for m in range(weight.shape[1]) if m != j]
        wanted = torch.stack([weight[:, m] + a * (m == i) * weight[:, j] for m in kept], 1)
        got = answer(weight, i, j, a)
        answer.expect(got, wanted, hint, _slips_of_kernels(weight, i, j, a))
        maps = answer.normal(2, weight.shape[1], 8, 7)
        maps[:, j] = a * maps[:, i]
        fewer = torch.nn.functional.conv2d(maps[:, kept], torch.as_tensor(got), padding=1)
        whole = torch.nn.functional.conv2d(maps, weight, padding=1)
        answer.expect(fewer, whole, "The next layer must answer as before.")


def _counts(X: Tensor, W: Tensor, share: float) -> tuple[int, dict[str, int]]:
    """The largest count of merges within the limit, and what usual mistakes would say."""
    Y, found = X @ W, [pk.unify(X, W, remove=r) for r in range(len(W))]
    limit = (share + 1e-9) * (Y - Y.mean(0)).square().sum()
    true = torch.stack([(Y - X @ one.weights - one.bias).square().sum() for one in found])
    unbiased = torch.stack([(Y - X @ one.weights).square().sum() for one in found])
    errors = torch.tensor([0.0] + [one.error for one in found[-1].history])
    broken = (*(true <= limit).tolist(), False).index(False)

    def largest(fits: Tensor) -> int:
        return int(fits.nonzero().max())

    return largest(true <= limit), {
        "Errors may cancel: look at larger counts, too.": broken - 1,
        "The history is a promise: measure ‖Y − Ŷ‖².": largest(errors.cumsum(0) <= limit),
        "This is the first count that breaks the limit.": broken,
        "The constants are missing: unification also gives a bias.": largest(unbiased <= limit),
        "Each union's own error is small, but they come together.": largest(errors <= limit),
        "Measure beside what Y varies around its mean, not beside ‖Y‖².": (
            largest(true <= (share + 1e-9) * Y.square().sum())
        ),
    }


def _layer(g: torch.Generator) -> tuple[Tensor, Tensor]:
    """X (31, 10) and W (10, 2), five neurons and five more that are like them."""
    source, noise = torch.randn(2, 31, 5, generator=g, dtype=torch.float64)
    source = source.relu()
    X = torch.cat([source, source + 0.5 * noise], 1) + 1
    return X, torch.randn(10, 2, generator=g, dtype=torch.float64)


@exercise(LESSON)
def unions_within(answer: Answer) -> None:
    hint = "Try every count: unify, measure ‖Y − Ŷ‖² with the new weights and bias, compare."
    telling = _layer(torch.Generator().manual_seed(142))  # each mistake counts differently
    cancelling = _tensor([[1, 2, 3], [0, 3, 3], [2, 1, 3], [3, 2, 0]])
    random = _layer(answer.random)
    cases = [(*telling, 0.1), (cancelling, _tensor([[-1], [-1], [1]]), 0.03)]
    for X, W, share in [*cases, (*random, 0.03), (*random, 0.3), (*random, 0.0)]:
        wanted, wrong = _counts(X, W, share)
        answer.expect(answer(X, W, share), wanted, hint, wrong)


@exercise(LESSON)
def my_score(answer: Answer) -> None:
    n, rows = 6, 2 * answer.integer(12, 18) + 1
    X, W = answer.normal(rows, n).relu() + 0.1 * answer.normal(rows, n), answer.normal(n, 3)
    X[:, 4], W = 5 * X[:, 1], W / W.norm(dim=1, keepdim=True)

    def scored(X: Tensor, W: Tensor) -> Tensor:
        E = torch.as_tensor(answer(X, W)).double().clone()
        answer.require(E.shape == (n, n), f"A number per ordered pair: ({n}, {n}).")
        off = ~torch.eye(n, dtype=torch.bool)
        answer.require(E[off].isfinite().all().item(), "Off the diagonal, each must be a number.")
        return E.fill_diagonal_(E[off].max())  # nobody speaks for itself

    E = scored(X, W)
    hint = "Neuron 4 says five times what neuron 1 says; no pair may be cheaper than these two."
    answer.require(set(divmod(int(E.argmin()), n)) == {1, 4}, hint)
    order = torch.tensor([4, 0, 5, 2, 1, 3])
    hint = "Neurons came in another order; each pair must keep its price."
    answer.expect(scored(X[:, order], W[order]), E[order][:, order], hint)
    hint = "Images came in another order, and the prices changed."
    answer.expect(scored(X.flip(0), W), E, hint)
    louder, softer = X.clone(), W.clone()
    louder[:, 2], softer[2] = 8 * X[:, 2], W[2] / 8
    hint = "Neuron 2 says it 8 times as loud, heard 8 times less: Y is the same, so must E be."
    answer.expect(scored(louder, softer), E, hint)
    silent = X.clone()
    silent[:, 3] = 0
    E = scored(silent, W)
    hint = "Neuron 3 never speaks: to lose it cannot cost more than to let it speak for others."
    answer.require((E[:, 3] <= E[3] + 1e-9 * E.abs().max()).all().item(), hint)
