"""PyTorch source that a person would have written, and the module that it defines."""

from typing import TYPE_CHECKING

from netloom.emit.names import class_name
from netloom.emit.torch.source import MARK as MARK
from netloom.emit.torch.source import source as source
from netloom.extras import need
from netloom.ir.graph import Graph

if TYPE_CHECKING:
    from torch import nn


def module(graph: Graph) -> "nn.Module":
    """The network as a torch module with fresh random weights: the emitted source, run.

    The text is our own, made of checked names and literals; nothing of a spec is executed.
    """
    need("torch", "train")
    namespace: dict[str, object] = {"__name__": f"netloom.emitted.{graph.name}"}
    exec(compile(source(graph), f"<emitted {graph.name}>", "exec"), namespace)
    network = namespace[class_name(graph.name)]
    made: nn.Module = network()  # type: ignore[operator]
    return made
