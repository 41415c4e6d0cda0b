"""The networks that are measured: graph, weights, and the emitted module that holds them."""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from netloom.compile import check, check_file
from netloom.diagnostics import Source
from netloom.emit.torch import module
from netloom.emit.weights import Weights
from netloom.ir.dims import evaluate_to_int
from netloom.ir.graph import Graph
from netloom.runtime.verify import randomised

HERE = Path(__file__).parent
SPECS = HERE.parent / "specs"

FILES = {
    "resnet18": SPECS / "resnet.loom",
    "resnet50": HERE / "resnet50.loom",
    "resnet152": SPECS / "resnet.loom",
    "googlenet": HERE / "googlenet.loom",
    "vgg16": SPECS / "vgg.loom",
    "mobilenet_v2": SPECS / "mobilenet_v2.loom",
    **dict.fromkeys(
        ("repvgg_a0", "matrices", "pairs", "padded", "scaled", "cropped"), HERE / "rewrites.loom"
    ),
}
"""Where each network stands. GoogLeNet is the one that torchvision has, with batch norm."""


class Subject(NamedTuple):
    """A network with random weights, and the same network and weights as an emitted module."""

    graph: Graph
    weights: Weights
    module: nn.Module

    def image(self, batch: int, seed: int = 0) -> Tensor:
        """A random input; free sizes make 32*h a height of 224."""
        generator = torch.Generator().manual_seed(seed)
        sizes = {"N": batch, "h": 7, "w": 7}
        shape = [evaluate_to_int(dim, sizes) for dim in self.graph.inputs[0].type.shape]
        return torch.randn(shape, generator=generator)


def named(name: str) -> Subject:
    """One of the networks above."""
    return of_graph(check_file(FILES[name]).networks[name].graph)


def written(text: str) -> Subject:
    """The only network of a spec."""
    (network,) = check(Source("bench.loom", text)).networks.values()
    return of_graph(network.graph)


def of_graph(graph: Graph) -> Subject:
    """A network with random weights and statistics, equal in every run."""
    weights = randomised(graph)
    emitted = module(graph).eval()
    emitted.load_state_dict({name: torch.from_numpy(each) for name, each in weights.items()})
    return Subject(graph, weights, emitted)
