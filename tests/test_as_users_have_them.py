"""Models as users have them: any mode, dtype, wrapper and hook; theirs stays exactly as it was."""

import copy
import threading
import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import prunekit as pk

from .networks import TwoInputs, chain

IMAGES = torch.randn(40, 3, 8, 8, generator=torch.Generator().manual_seed(0))
ONE = IMAGES[:1]


def prune(model, calibration=IMAGES, example=ONE, **kwargs):
    return pk.prune(
        model, example, calibration, **{"progress": False, "pruning_ratio": 0.5, **kwargs}
    )


def answers(model, *inputs):
    with torch.inference_mode(False), torch.no_grad():
        return model.eval()(*inputs)


def threads():
    """Names of the threads that run; tqdm keeps one of its own from its first bar on."""
    return sorted(t.name for t in threading.enumerate() if t.name != "tqdm_monitor")


def everything(model):
    """All that could have changed, of the model and around it."""
    state = {name: value.clone() for name, value in model.state_dict().items()}
    grads = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    plain = (
        [module.training for module in model.modules()],
        [(p.requires_grad, id(p)) for p in model.parameters()],
        [list(m._forward_hooks) + list(m._forward_pre_hooks) for m in model.modules()],
        [sorted(vars(m)) for m in model.modules()],
        (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_default_dtype()),
        (torch.get_num_threads(), torch.is_autocast_enabled("cpu")),
        (torch.backends.mha.get_fastpath_enabled(), threads()),
    )
    return state, grads, plain, torch.get_rng_state()


def assert_same(before, after):
    assert before[2] == after[2] and torch.equal(before[3], after[3])
    assert all(torch.equal(v, after[0][k]) for k, v in before[0].items())
    assert all(a is b or torch.equal(a, b) for a, b in zip(before[1], after[1], strict=True))


def used():
    """A network in the middle of its life: mixed modes and flags, gradients, a hook."""
    model = chain().train()
    model(IMAGES).sum().backward()
    model[1].eval()
    model[3].weight.requires_grad_(False)
    model[3].register_forward_hook(lambda *_: None)
    return model


DOORS = {
    "prune": prune,
    "taylor": lambda model: prune(model, method="taylor"),
    "find_sites": lambda model: pk.find_sites(model, ONE),
    "optimize_ratios": lambda model: pk.optimize_ratios(
        model, ONE, IMAGES, target_macs=0.6, step=0.5, progress=False
    ),
    "behaviors": lambda model: pk.behaviors(model, "3", IMAGES),
    "recalibrate_batchnorm": lambda model: pk.recalibrate_batchnorm(model, IMAGES),
    "count_macs": lambda model: pk.count_macs(model, ONE),
    "measure_latency": lambda model: pk.measure_latency(model, ONE, repeats=1, warmup=0),
}


@pytest.mark.parametrize("door", DOORS)
def test_nothing_of_the_users_changes(door):
    model = used()
    before = everything(model)
    DOORS[door](model)
    assert_same(before, everything(model))


class Interrupting(nn.Sequential):
    """A network that is interrupted in one of its forward passes."""

    passes = 0  # of all copies
    last = None
    error = KeyboardInterrupt

    def forward(self, x):
        Interrupting.passes += 1
        if Interrupting.passes == Interrupting.last:
            raise Interrupting.error("now")
        return super().forward(x)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_after_an_interrupt_in_any_pass_all_is_as_before(monkeypatch, error):
    monkeypatch.setattr(Interrupting, "error", error)
    model = Interrupting(*used())
    monkeypatch.setattr(Interrupting, "last", None)
    monkeypatch.setattr(Interrupting, "passes", 0)
    prune(model)
    passes, raised = Interrupting.passes, 0
    before = everything(model)
    for last in range(1, passes + 1, 3):
        Interrupting.passes, Interrupting.last = 0, last
        try:
            prune(model)
        except KeyboardInterrupt:
            raised += error is KeyboardInterrupt
        except Exception:  # where a pass that fails is no reason to leave the site alone
            raised += error is RuntimeError
        assert_same(before, everything(model))
    assert raised > 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_after_an_error_in_a_method_all_is_as_before(error):
    model, calls = used(), []

    def method(site):
        calls.append(site.moments)
        if len(calls) == 2:
            torch.randn(3)
            raise error
        return pk.Elimination(torch.arange(site.channels))

    before = everything(model)
    with pytest.raises(error):
        prune(model, method=method)
    assert_same(before, everything(model))


@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize("method", ["reap", "taylor"])
def test_the_callers_grad_mode_changes_nothing(around, method):
    wanted = prune(chain(), method=method).model
    with around():
        model = chain()  # made in inference mode, too
        images = IMAGES.clone()
        small = prune(model, images, images[:1], method=method).model
        sites = pk.find_sites(model, images[:1])
    assert torch.equal(answers(small, IMAGES), answers(wanted, IMAGES))
    assert sum(site.reason is None for site in sites) == 3
    small.train()(IMAGES).sum().backward()
    assert all(p.grad is not None for p in small.parameters())


def test_autocast_around_it_changes_nothing():
    wanted = prune(chain()).model
    with torch.autocast("cpu", dtype=torch.bfloat16):
        small = prune(chain()).model
    assert torch.equal(answers(small, IMAGES), answers(wanted, IMAGES))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_dtypes(dtype):
    wide = chain().eval()
    model, images = copy.deepcopy(wide).to(dtype), IMAGES.to(dtype)
    result = prune(model, images, images[:1])
    assert {p.dtype for p in result.model.parameters()} == {dtype}
    assert [row.channels_after for row in result.report.rows] == [4, 3, 5, 4]
    same = prune(wide, channels=gone(result), pruning_ratio=None)
    got, want = answers(result.model, images), answers(same.model, IMAGES)
    assert got.dtype == dtype
    scale = want.abs().max().item()
    torch.testing.assert_close(
        got.float(), want, rtol=0, atol=scale * max(1e-4, 16 * torch.finfo(dtype).eps)
    )


def gone(result):
    return {n: sorted({*range(result.plan.channels[n])} - {*k}) for n, k in result.plan.items()}


class Halving(nn.Sequential):
    """Code that asks for half precision."""

    def forward(self, x):
        return super().forward(x.half())


def test_code_that_asks_for_its_own_dtype():
    images = IMAGES.half()
    small = prune(Halving(*chain().half()), images, images[:1]).model
    assert small[0].out_channels == 4


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_float_images_for_a_half_model_are_refused_with_the_cure(dtype):
    with pytest.raises(ValueError, match=rf"example_inputs.*float32.*\.to\({dtype}\)") as raised:
        prune(chain().to(dtype))
    assert isinstance(raised.value.__cause__, RuntimeError)


@pytest.mark.parametrize("wrap", [nn.DataParallel, torch.compile])
def test_wrappers_are_taken_off(wrap):
    model = chain()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, when it loads its compiler
        wrapped = wrap(model)
    wanted = prune(model)
    with pytest.warns(UserWarning, match="model is wrapped by .*: prunekit works on the network"):
        result = prune(wrapped)
    assert type(result.model) is nn.Sequential and result.plan == wanted.plan
    assert torch.equal(answers(result.model, IMAGES), answers(wanted.model, IMAGES))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # said once above
        assert [s.name for s in pk.find_sites(wrapped, ONE)] == ["0", "3", "7", "9"]
        assert pk.count_macs(wrapped, ONE) == pk.count_macs(model, ONE)
        assert torch.equal(pk.behaviors(wrapped, "3", IMAGES), pk.behaviors(model, "3", IMAGES))
        ignored = prune(wrapped, ignored_layers=[model[7]])
    assert ignored.model[7].out_features == 10


def test_a_file_loads_into_a_wrapped_network(tmp_path):
    result = prune(chain())
    pk.save(result, tmp_path / "small.pt")
    with pytest.warns(UserWarning, match="wrapped by DataParallel"):
        loaded = pk.load(nn.DataParallel(chain(seed=3)), tmp_path / "small.pt")
    assert torch.equal(answers(loaded, IMAGES), answers(result.model, IMAGES))


def scripted():
    # No convolution: torch 2.13 compiles one only sometimes (it takes an attribute for a built-in).
    return torch.jit.script(nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2)))


def quantised():
    return torch.ao.quantization.quantize_dynamic(chain().eval(), {nn.Linear})


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (scripted, TypeError, "scripted: prune the plain network"),
        (quantised, TypeError, "quantised: prune the float network"),
        (lambda: nn.Sequential(nn.LazyLinear(4), nn.Linear(4, 2)), ValueError, "call the model"),
        (lambda: chain().to("meta"), ValueError, "meta device.*load its weights"),
        (lambda: nn.Sequential(nn.DataParallel(chain())), TypeError, "model.0 is a DataParallel"),
        (lambda: nn.Sequential(torch.compile(chain())), TypeError, "model.0 is a OptimizedModule"),
    ],
)
def test_networks_that_are_refused_with_the_cure(build, error, message):
    for door in ("prune", "find_sites", "count_macs"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own: much of this is on its way out
            model = build()
        with pytest.raises(error, match=message):
            DOORS[door](model)


def test_hooks_that_listen_stay_where_they_are():
    model, heard = chain(), []
    model[3].register_forward_hook(lambda *_: heard.append("after"))
    model[3].register_forward_pre_hook(lambda *_: heard.append("before"))
    model[7].register_full_backward_hook(lambda *_: heard.append("back"))
    wanted = prune(chain())
    result = prune(model)
    assert heard.count("after") == heard.count("before") <= 2  # not once per batch and layer
    heard.clear()
    assert torch.equal(answers(result.model, IMAGES), answers(wanted.model, IMAGES)) and not heard
    assert len(model[3]._forward_hooks) == len(model[3]._forward_pre_hooks) == 1
    assert len(model[7]._backward_hooks) == 1


class Recorder:
    """What cannot be copied, behind a hook."""

    def __init__(self):
        self.lock, self.count = threading.Lock(), 0

    def __call__(self, *_):
        with self.lock:
            self.count += 1

    def note(self, *_):
        self()


@pytest.mark.parametrize("pre", [True, False])
def test_a_hook_that_changes_outputs_is_refused(pre):
    model = chain()
    if pre:
        model[3].register_forward_pre_hook(lambda _, args: (2 * args[0],))
    else:
        model[3].register_forward_hook(lambda *args: 2 * args[-1])
    before = everything(model)
    with pytest.raises(ValueError, match=r"hooks that change what it says.*on 3: remove"):
        prune(model)
    assert_same(before, everything(model))


def test_a_hook_that_cannot_be_copied_does_not_stand_in_the_way():
    model, recorder = chain(), Recorder()
    model[3].register_forward_hook(recorder.note)
    model[0].register_forward_pre_hook(recorder)
    assert prune(model).model[0].out_channels == 4
    assert recorder.count <= 2


class Collecting(nn.Module):
    """Collects what its layers say by hooks that its own code sets when it is first called."""

    def __init__(self):
        super().__init__()
        self.body, self.ready = chain(), False

    def forward(self, x):
        if not self.ready:
            self.body[2].register_forward_hook(lambda _m, _args, out: said.append(out))
            self.ready = True
        said.clear()
        return self.body(x) + said[-1].mean((1, 2, 3))[:, None]


said = []


def test_hooks_that_a_network_sets_itself_stay_with_it():
    """Its copies are called before they are copied again, and would think that they have them."""
    model, plain = Collecting().eval(), chain().eval()
    model.body.load_state_dict(plain.state_dict())
    result = prune(model, method="l1", repair="none")
    assert result.plan.cuts and not model.ready and not model.body[2]._forward_hooks
    small = result.model.body[:3](IMAGES)
    want = result.model.body(IMAGES) + small.mean((1, 2, 3))[:, None]
    torch.testing.assert_close(result.model(IMAGES), want)
    with pytest.raises(ValueError, match=r"working copies have no hooks, and those on body\.2 may"):
        prune(result.model, method="l1")  # which are the user's now


class Remembering(nn.Sequential):
    """A network that keeps what it said last, with the graph behind it."""

    def forward(self, x):
        self.features = super().forward(x)
        return self.features


def test_a_network_that_keeps_a_result_with_its_graph():
    model = Remembering(*chain())
    model(IMAGES)
    features = model.features
    assert features.grad_fn is not None
    assert prune(model).model[0].out_channels == 4 and model.features is features


def test_a_network_that_holds_what_cannot_be_copied():
    model = chain()
    model.lock = threading.Lock()
    with pytest.raises(ValueError, match="model cannot be copied.*take out of it"):
        prune(model)


class ByKeyword(nn.Module):
    """Layers called by keyword."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 8, 3, bias=False), nn.Conv2d(8, 8, 3)
        self.out = nn.Linear(8, 4)

    def forward(self, image):
        x = self.two(input=self.one(input=image).relu()).relu()
        return self.out(input=x.mean((2, 3)))


@pytest.mark.parametrize("method", ["reap", "taylor", "l1"])
def test_layers_called_by_keyword_and_inputs_by_name(method):
    torch.manual_seed(0)
    small = prune(ByKeyword(), [{"image": IMAGES}], {"image": ONE}, method=method).model
    assert (small.one.out_channels, small.two.out_channels) == (4, 4)


class WholeDict(nn.Module):
    """Its forward takes the batch as it comes from the data set."""

    def __init__(self):
        super().__init__()
        self.body = chain()

    def forward(self, batch):
        return {"logits": self.body(batch["image"]), "name": "chain", "loss": None}


def test_a_forward_that_takes_the_batch_as_a_dict():
    torch.manual_seed(0)
    model = WholeDict().eval()
    result = prune(model, [{"image": IMAGES, "file": ["x.png"] * len(IMAGES)}], {"image": ONE})
    alone = prune(model.body)
    assert (
        result.report.macs_after
        == alone.report.macs_after
        == pk.count_macs(result.model, {"image": ONE})
    )
    torch.testing.assert_close(result.model({"image": ONE})["logits"], alone.model(ONE))


def test_several_inputs_by_place_and_by_name_come_to_the_same():
    torch.manual_seed(0)
    model, a, b = TwoInputs(), torch.randn(40, 4), torch.randn(40, 3)
    by_place = prune(model, [(a, b)], (a[:1], b[:1]))
    by_name = prune(model, [{"b": b, "a": a}], {"a": a[:1], "b": b[:1]})
    assert by_place.plan == by_name.plan
    assert torch.equal(answers(by_place.model, a, b), answers(by_name.model, a, b))


def test_frozen_networks_come_out_frozen():
    small = prune(chain().requires_grad_(False)).model
    assert not any(p.requires_grad for p in small.parameters())


class Own(nn.Conv2d):
    """A subclass that computes what its base does."""


def test_subclasses_of_layers_stay_what_they_are():
    torch.manual_seed(0)
    model = nn.Sequential(Own(3, 8, 3), nn.ReLU(), Own(8, 6, 3), nn.ReLU(), nn.Conv2d(6, 2, 1))
    small = prune(model).model
    assert type(small[2]) is Own and (small[2].in_channels, small[2].out_channels) == (4, 3)


@pytest.mark.parametrize("norm", ["hook", "parametrization"])
def test_computed_weights_are_left_alone_with_the_cure(norm):
    torch.manual_seed(0)
    layers = [nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 2)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the old one is deprecated
        make = nn.utils.weight_norm if norm == "hook" else parametrizations.weight_norm
        layers[1] = make(layers[1])
    x = torch.randn(40, 6)
    reasons = [site.reason for site in pk.find_sites(nn.Sequential(*layers), x[:2])]
    cure = "remove_weight_norm" if norm == "hook" else "remove_parametrizations"
    assert cure in reasons[0] and cure in reasons[1] and reasons[2] is None
