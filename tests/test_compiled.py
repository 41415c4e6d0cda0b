"""Emitted modules under torch.compile, torch.export, autocast and other memory formats."""

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.export import Dim

from netloom.compile import Network, check, check_file
from netloom.diagnostics import Source
from netloom.emit import torch as emit_torch
from netloom.ir.dims import evaluate_to_int
from netloom.ir.graph import Graph
from netloom.passes.admissible import small_sizes
from specimens import ROOT, SPECS

PLACES = """
network places {
    input image: float32[N, 3, h, w]
    conv(8, 3, pad=10) -> batchnorm -> relu
    skip = conv(8, 3)
    pad(2, mode="reflect") -> conv(8, 5) -> relu -> pad(3) -> crop(like=image)
    small = same_pad(5, stride=2) -> conv(8, 5, stride=2) -> maxpool(2, ceil=true) -> upsample(2)
    head out = small -> conv(8, 3, pad=1) -> global_avgpool -> flatten -> linear(3)
    head map = skip
    train head early = skip -> global_avgpool -> flatten -> linear(2)
}
"""

FILES = [*SPECS, ROOT / "tests" / "specs" / "strain.loom"]

NETWORKS: dict[str, Network] = {
    name: network for path in FILES for name, network in check_file(path).networks.items()
}

NETWORKS |= check(Source("places.loom", PLACES)).networks

every_network = pytest.mark.parametrize("name", NETWORKS)
traced_networks = pytest.mark.parametrize(
    "name",
    [
        "resnet_digits",
        "googlenet_digits",
        "unpools",
        "seqs",
        "boxes",
        "Scale",
        "DropPath",
        "checked",
        "places",
    ],
)
"""One of each kind: tracing takes seconds."""


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """No graph of another test, and PyTorch's own warnings are not ours."""
    torch._dynamo.reset()
    with warnings.catch_warnings(), torch._dynamo.config.patch(allow_rnn=True):
        warnings.simplefilter("ignore")
        yield


def _sizes(graph: Graph) -> list[dict[str, int]]:
    """Two bindings of the free sizes; none of them is 1, which PyTorch would take for ever."""
    *_, small = small_sizes(graph)
    return [{n: max(size, 2) + more for n, size in small.items()} for more in (4, 5)]


def _inputs(graph: Graph, sizes: dict[str, int]) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    return tuple(
        torch.rand([evaluate_to_int(dim, sizes) for dim in each.type.shape], generator=generator)
        for each in graph.inputs
    )


def _close(found: Any, wanted: Any, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(found, wanted, rtol=tolerance, atol=tolerance)


def _made(name: str) -> tuple[Graph, nn.Module]:
    torch.manual_seed(0)
    graph = NETWORKS[name].graph
    return graph, emit_torch.module(graph).eval()


@traced_networks
def test_it_is_compiled_as_one_graph(name: str) -> None:
    graph, module = _made(name)
    compiled = torch.compile(module, backend="eager", fullgraph=True, dynamic=True)
    for sizes in _sizes(graph):
        inputs = _inputs(graph, sizes)
        with torch.no_grad():
            _close(compiled(*inputs), module(*inputs))


@pytest.mark.parametrize("name", ["resnet_digits", "places", "Scale"])
def test_a_training_step_is_compiled_as_one_graph(name: str) -> None:
    graph, module = _made(name)
    inputs = _inputs(graph, _sizes(graph)[0])
    module.train()
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
    given = compiled(*inputs)
    assert given.keys() == {head.name for head in graph.heads_in("train")}
    sum(each.sum() for each in given.values()).backward()
    assert all(each.grad is not None for each in module.parameters())


@traced_networks
def test_it_is_exported_with_free_sizes(name: str) -> None:
    graph, module = _made(name)
    first, second = (_inputs(graph, sizes) for sizes in _sizes(graph))
    free = tuple(
        {axis: Dim.AUTO for axis, dim in enumerate(each.type.shape) if not isinstance(dim, int)}
        for each in graph.inputs
    )
    exported = torch.export.export(module, first, dynamic_shapes=free).module()
    # An LSTM is unrolled, which PyTorch does for the steps that it sees.
    for inputs in (first,) if name == "seqs" else (first, second):
        with torch.no_grad():
            _close(exported(*inputs), module(*inputs))


def test_it_is_exported_with_the_sizes_of_the_spec() -> None:
    _, module = _made("resnet_digits")
    h, w = Dim("h", min=2), Dim("w", min=2)
    shapes = ({0: Dim("N"), 2: 4 * h, 3: 4 * w},)
    exported = torch.export.export(module, (torch.rand(2, 1, 16, 12),), dynamic_shapes=shapes)
    image = torch.rand(5, 1, 8, 20)
    with torch.no_grad():
        _close(exported.module()(image), module(image))


@every_network
def test_channels_may_be_last_in_memory(name: str) -> None:
    graph, module = _made(name)
    inputs = _inputs(graph, _sizes(graph)[0])
    last = [x.to(memory_format=torch.channels_last) if x.dim() == 4 else x for x in inputs]
    with torch.no_grad():
        wanted = module(*inputs)
        _close(module.to(memory_format=torch.channels_last)(*last), wanted)


@every_network
def test_it_runs_in_half_precision(name: str) -> None:
    graph, module = _made(name)
    inputs = _inputs(graph, _sizes(graph)[0])
    with torch.no_grad():
        wanted = module(*inputs)
        with torch.autocast("cpu", torch.bfloat16):
            found = module(*inputs)
    heads = [graph.heads[0].name] if isinstance(wanted, Tensor) else list(wanted)
    for head in heads:
        one, other = (x if isinstance(x, Tensor) else x[head] for x in (found, wanted))
        assert one.isfinite().all()
        torch.testing.assert_close(one.float(), other.float(), rtol=0.1, atol=0.1)


def test_a_refused_size_is_told_by_compiled_modules() -> None:
    _, module = _made("resnet_digits")
    image = torch.rand(2, 1, 30, 32)
    words = "height must be a multiple of 4, but is 30"
    with pytest.raises(ValueError, match=words):
        torch.compile(module, backend="eager")(image)
    torch._dynamo.reset()
    with pytest.raises(torch._dynamo.exc.Unsupported, match=words):
        torch.compile(module, backend="eager", fullgraph=True)(image)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet_digits", "googlenet_digits"])
def test_inductor_computes_the_same(name: str) -> None:
    graph, module = _made(name)
    inputs = _inputs(graph, _sizes(graph)[0])
    with torch.no_grad():
        _close(torch.compile(module, fullgraph=True)(*inputs), module(*inputs))


def test_torchvision_is_needed_for_boxes_only() -> None:
    assert torchvision.__version__
    for name, network in NETWORKS.items():
        assert ("torchvision" in emit_torch.source(network.graph)) == (name == "boxes")
