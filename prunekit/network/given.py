"""Models as users have them: unwrapped, or refused with the cure, and copied without what clings.

Working copies carry no forward or backward hooks: those that only listen would record every pass
over the calibration data. The user's model keeps them; the new network starts without any.
"""

import copy
import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.nn.parameter import is_lazy
from torch.utils._pytree import tree_leaves

from prunekit.algebra.arguments import dense
from prunekit.algebra.warning import warn
from prunekit.network.ranks import one_voice

__all__ = ["HOOKS", "copied", "frozen_copy", "handed_over", "has_hooks", "undisturbed", "unwrapped"]

HOOKS = (  # attributes of a module; the later ones note more about the hooks in the former
    *("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"),
    *("_forward_hooks_with_kwargs", "_forward_hooks_always_called"),
    "_forward_pre_hooks_with_kwargs",
)
QUANTISED = ("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized", "torch.nn.quantized")


def unwrapped(model: nn.Module, argument: str = "model") -> nn.Module:
    """The network inside DataParallel, DistributedDataParallel and torch.compile's wrapper.

    Parameters
    ----------
    argument : the name that it came under, for messages

    Raises
    ------
    TypeError, ValueError
        No network, or one that cannot be pruned as it is: scripted, quantised, with lazy layers
        that have no weights yet, without memory ("meta"), sparse, or wrapped further inside.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"{argument} must be a torch.nn.Module, got {type(model).__name__}")
    while _is_wrapper(model):
        kind = "torch.compile" if hasattr(model, "_orig_mod") else type(model).__name__
        warn(
            f"{argument} is wrapped by {kind}: prunekit works on the network inside, and gives "
            "back a plain one; wrap that again"
        )
        model = model._orig_mod if hasattr(model, "_orig_mod") else model.module
    for name, module in model.named_modules():
        where = f"{argument}.{name}" if name else argument
        if isinstance(module, torch.jit.ScriptModule):
            raise TypeError(f"{where} is scripted: prune the plain network, script it afterwards")
        if type(module).__module__.startswith(QUANTISED):
            raise TypeError(
                f"{where} is quantised: prune the float network, quantise it afterwards"
            )
        if _is_wrapper(module):
            raise TypeError(
                f"{where} is a {type(module).__name__} inside the network: give the network with "
                "the plain layers, and wrap or compile what comes out"
            )
        for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
            if is_lazy(tensor):
                raise ValueError(
                    f"{where} is lazy and has no weights yet: call the model once, then prune it"
                )
            if tensor.is_meta:
                raise ValueError(
                    f"{where} is on the meta device, without numbers: load its weights first, with "
                    "model.to_empty(device='cpu') and load_state_dict"
                )
            dense(tensor, where, real=False)
    return model


def _is_wrapper(module: nn.Module) -> bool:
    kinds = (DataParallel, DistributedDataParallel)
    return isinstance(module, kinds) or type(module).__name__ == "OptimizedModule"


@contextmanager
def _own_settings(devices: Sequence[torch.device]) -> Iterator[None]:
    """No inference mode or autocast from outside, and the user's random numbers are not used up.

    Of several processes one warns.
    Autograd's own switch is thrown where it is needed.
    """
    grad = torch.is_grad_enabled()
    with (
        torch.random.fork_rng(devices),
        torch.inference_mode(False),
        torch.set_grad_enabled(grad),
        torch.autocast("cpu", enabled=False),
        torch.autocast("cuda", enabled=False),
        one_voice(),
    ):
        yield


def undisturbed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function of a model run on what is inside the wrappers, under settings of its own."""

    @functools.wraps(function)
    def run(model: nn.Module, *args: Any, **kwargs: Any) -> Any:
        model = unwrapped(model)
        devices = {p.device for p in model.parameters() if p.is_cuda}
        with _own_settings([*devices]):
            return function(model, *args, **kwargs)

    return run


def has_hooks(model: nn.Module) -> list[str]:
    """Names of the modules with hooks around their forward pass; "" is the network itself."""
    return [
        name
        for name, module in model.named_modules()
        if module._forward_hooks or module._forward_pre_hooks
    ]


def copied(model: nn.Module, hooks: bool = False) -> nn.Module:
    """A deep copy, less hooks; results of earlier passes that modules keep are detached.

    With ``hooks`` they come along, copied too, or themselves where what they hold has no copy.
    """
    if hooks:
        try:
            return copy.deepcopy(model)
        except Exception:  # of foreign code
            return _copied(model, copy.copy)
    return _copied(model, lambda value: type(value)())


def _copied(model: nn.Module, hooks: Callable[[Any], Any]) -> nn.Module:
    memo: dict[int, Any] = {}
    for module in model.modules():
        for name, value in vars(module).items():
            if name in HOOKS:
                memo[id(value)] = hooks(value)
                continue
            for leaf in tree_leaves(value):
                if isinstance(leaf, Tensor) and leaf.grad_fn is not None:
                    memo[id(leaf)] = leaf.detach().clone()
    try:
        return copy.deepcopy(model, memo)
    except Exception as error:  # of foreign code
        raise ValueError(
            f"model cannot be copied ({type(error).__name__}: {error}): take out of it what is no "
            "part of the network, such as files, locks, or lists of earlier results"
        ) from error


_own: WeakSet[nn.Module] = WeakSet()  # copies that no user has seen


def frozen_copy(model: nn.Module, hooks: bool = False) -> nn.Module:
    """A deep copy in eval mode that needs no gradients; the network given stays as it is.

    A copy of a copy has its hooks, which the network's own code has set since. In train mode for
    a moment, it forgets what it may have computed of its parameters for eval.
    """
    copy = copied(model, hooks or model in _own).train().eval().requires_grad_(False)
    _own.add(copy)
    return copy


def handed_over(model: nn.Module) -> nn.Module:
    """A copy that is the user's from now on: what hooks it then has, it has from them."""
    _own.discard(model)
    return model
