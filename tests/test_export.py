"""Pruned networks leave by the usual doors, and answer the same outside."""

import io

import pytest
import torch
from onnx.reference import ReferenceEvaluator
from torch import nn

import prunekit as pk
from prunekit.classroom import models

from .networks import TwoInputs, chain


def small(model, *inputs):
    """The network pruned by half, in eval mode."""
    example = tuple(value[:1] for value in inputs)
    result = pk.prune(model, example, [inputs], pruning_ratio=0.5, progress=False)
    assert result.plan
    return result.model.eval()


def depthwise():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, groups=8), nn.BatchNorm2d(8), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(8, 4, 1))


NETWORKS = {
    "chain": (chain, [(3, 8, 8)]),
    "depthwise": (depthwise, [(3, 8, 8)]),
    "two inputs": (TwoInputs, [(4,), (3,)]),
    "residual": (models.resnet20, [(3, 32, 32)]),
}


@pytest.fixture(params=NETWORKS)
def case(request):
    build, shapes = NETWORKS[request.param]
    torch.manual_seed(0)
    inputs = tuple(torch.randn(20, *shape) for shape in shapes)
    return small(build(), *inputs), inputs


def test_torch_export(case, tmp_path):
    model, inputs = case
    batch = torch.export.Dim("batch")
    # one range of sizes for all inputs: the batch is not fixed to twenty
    exported = torch.export.export(model, inputs, dynamic_shapes=tuple({0: batch} for _ in inputs))
    torch.export.save(exported, tmp_path / "small.pt2")
    outside = torch.export.load(tmp_path / "small.pt2").module()
    for count in (20, 7):
        some = tuple(value[:count] for value in inputs)
        torch.testing.assert_close(outside(*some), model(*some))


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")  # torch's own
def test_onnx(case):
    model, inputs = case
    file = io.BytesIO()
    torch.onnx.export(model, inputs, file, dynamo=True, external_data=False, verbose=False)
    session = ReferenceEvaluator(file.getvalue())
    feeds = dict(zip(session.input_names, (v.numpy() for v in inputs), strict=True))
    (answer,) = session.run(None, feeds)
    torch.testing.assert_close(torch.from_numpy(answer), model(*inputs), rtol=1e-4, atol=1e-4)
