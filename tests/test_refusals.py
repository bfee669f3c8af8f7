"""Whatever is wrong is refused: the argument, what came and the cure are named; nothing changes."""

import inspect
import threading

import numpy as np
import pytest
import torch
from torch import nn

import prunekit as pk

from .networks import chain
from .refusals.arrays import ARRAYS
from .refusals.calibration import CALIBRATION
from .refusals.generated import ALSO, NETWORKS, PRUNED, TABLE, VALUES
from .refusals.networks import IMAGES
from .refusals.networks import NETWORKS as FUNCTIONS
from .test_pipeline import assert_untouched, snapshot


def named(rows):
    """An id for each row: the function, and how its message begins."""
    return [f"{row[0].__name__}: {row[-1][:40]}" for row in rows]


@pytest.mark.parametrize(("function", "args", "options", "message"), ARRAYS, ids=named(ARRAYS))
def test_arrays(function, args, options, message):
    arrays = [value for value in args if isinstance(value, torch.Tensor)]
    before = [array.clone() for array in arrays]
    with pytest.raises((TypeError, ValueError), match=message):
        function(*args, **options)
    for array, was in zip(arrays, before, strict=True):
        torch.testing.assert_close(array, was, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize(
    ("function", "args", "options", "error", "message"), FUNCTIONS, ids=named(FUNCTIONS)
)
def test_networks(function, args, options, error, message):
    model = chain().train()
    model[3].weight.requires_grad_(False)
    before, dice = snapshot(model), torch.get_rng_state()
    with pytest.raises(error, match=message) as raised:
        function(model, *args, **options)
    assert_untouched(model, before)
    assert torch.equal(torch.get_rng_state(), dice)
    if "model cannot take" in str(raised.value):
        assert isinstance(raised.value.__cause__, RuntimeError | TypeError | ValueError)


@pytest.mark.parametrize("case", CALIBRATION)
def test_calibration(case):
    misuse, message = CALIBRATION[case]
    with pytest.raises((TypeError, ValueError), match="calibration") as raised:
        misuse()
    assert raised.match(message)


NO_NETWORK = [
    lambda: pk.prune("network", IMAGES[:1], IMAGES, pruning_ratio=0.5),
    lambda: pk.optimize_ratios("network", IMAGES[:1], IMAGES, target_macs=0.5),
    lambda: pk.find_sites("network", IMAGES[:1]),
    lambda: pk.behaviors("network", "0", IMAGES),
    lambda: pk.count_macs("network", IMAGES[:1]),
    lambda: pk.recalibrate_batchnorm("network", IMAGES),
]


@pytest.mark.parametrize("misuse", NO_NETWORK, ids=range(len(NO_NETWORK)))
def test_what_is_no_network(misuse):
    with pytest.raises(TypeError, match=r"model must be a torch\.nn\.Module, got str"):
        misuse()


@pytest.mark.parametrize("name", ["gram", "cross", "mean_x"])
def test_empty_moments(name):
    with pytest.raises(ValueError, match=r"moments are empty: call update\(X, Y\) first"):
        getattr(pk.Moments(), name)


def test_ignoring_the_whole_network_is_an_error_with_reasons():
    model = chain()
    with pytest.raises(ValueError, match=r"no channels that can be pruned:\n  0: it is in ignored"):
        pk.prune(model, IMAGES[:1], IMAGES, pruning_ratio=0.5, ignored_layers=[model, nn.Linear])


def arguments():
    """Every argument of every row of the generated table."""
    for name, (function, good, takes, *tried) in TABLE.items():
        for argument in tried[0] if tried else inspect.signature(function).parameters:
            yield pytest.param(
                function, good, argument, takes.get(argument, set()), id=f"{name}: {argument}"
            )


@pytest.mark.filterwarnings("ignore")  # of torch, about kinds of tensors that are young
@pytest.mark.parametrize(("function", "good", "argument", "takes"), [*arguments()])
def test_every_argument(function, good, argument, takes, tmp_path, monkeypatch):
    """Broken in every way: it is refused by name, and nothing of the user's has changed."""
    monkeypatch.chdir(tmp_path)
    pk.save(PRUNED, "small.pt")
    values = VALUES | (NETWORKS if argument == "model" else {})
    takes = takes | ({"network"} if argument in ("model", "fresh_model") else set())
    fallen = []
    for name, make in values.items():
        value, settings = make(), global_settings()
        network = good.get("model", good.get("fresh_model"))
        before, were = network and snapshot(network), snapshot_of(value)
        try:
            function(**(good | {argument: value}))
        except (TypeError, ValueError, FileNotFoundError) as error:
            said = argument in str(error) or ALSO.get(argument, argument) in str(error)
            if not said and name not in takes:
                fallen.append(f"{name}: {argument} is not named in {type(error).__name__}: {error}")
        except Exception as error:
            fallen.append(f"{name}: {type(error).__name__}: {error}")
        else:
            if name not in takes:
                fallen.append(f"{name}: nothing was said")
        assert network is None or assert_untouched(network, before) is None
        assert global_settings() == settings and snapshot_of(value) == were, name
    assert not fallen, "\n".join(text[:200] for text in fallen)


def global_settings():
    """What a library may not change behind the back of its user."""
    return (
        torch.is_grad_enabled(),
        torch.get_default_dtype(),
        torch.backends.mha.get_fastpath_enabled(),
        torch.are_deterministic_algorithms_enabled(),
        torch.get_rng_state().sum().item(),
        np.random.get_state()[2],
    )


def snapshot_of(value):
    """What a network given looks like: its parts, by identity, with their versions and modes."""
    if not isinstance(value, nn.Module):
        return None
    tensors = [
        (n, id(t), t._version) for n, t in (*value.named_parameters(), *value.named_buffers())
    ]
    return tensors, [
        (n, getattr(m, "training", None), len(m._forward_hooks)) for n, m in value.named_modules()
    ]


def test_every_public_function_is_in_the_table():
    called = {getattr(function, "__name__", "") for function, *_ in TABLE.values()}
    functions = {name for name in pk.__all__ if inspect.isfunction(getattr(pk, name))}
    assert functions <= called


def test_threads_leave_what_is_set_for_all():
    before = global_settings()[:4]

    def work():
        for _ in range(10):
            pk.count_macs(chain(), IMAGES)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert global_settings()[:4] == before
