"""Whether a model takes and gives what the network does."""

from collections.abc import Iterable

from netloom.diagnostics import Diagnostic, Failed
from netloom.ir.graph import Graph
from netloom.ir.types import Type
from netloom.runtime.proof.isolated import Interface, Tensor

TYPES = {
    "float32": ("tensor(float)", "tensor(float16)"),
    "int64": ("tensor(int64)",),
    "bool": ("tensor(bool)",),
}
"""How ONNX Runtime writes the element types that a network's may have become."""


def check_interface(interface: Interface, graph: Graph) -> None:
    """Refuses a model of another network.

    Raises `Failed` (E606) where its inputs or outputs have other names, types or sizes.
    """
    heads = {head.name: head.value.type for head in graph.heads_in("infer")}
    found = {each.name for each in interface.outputs}
    if found != set(heads):
        has = f"the model gives {_listed(found)}"
        raise _differs(f"{has}, but network `{graph.name}` makes {_listed(heads)}")
    inputs = {value.name: value.type for value in graph.inputs}
    taken = {each.name for each in interface.inputs}
    if unknown := taken - set(inputs):
        raise _differs(f"the model takes {_listed(unknown)}, which network `{graph.name}` does not")
    if missing := _needed(graph) - taken:
        raise _differs(f"the model does not take {_listed(missing)}, on which its outputs depend")
    for tensor in interface.inputs:
        _check_tensor("input", tensor, inputs[tensor.name])
    for tensor in interface.outputs:
        _check_tensor("output", tensor, heads[tensor.name])


def _needed(graph: Graph) -> set[str]:
    """The inputs that inference reads."""
    read = {id(value) for layer in graph.layers_in("infer") for value in layer.op.reads()}
    read |= {id(head.value) for head in graph.heads_in("infer")}
    return {value.name for value in graph.inputs if id(value) in read}


def _check_tensor(what: str, tensor: Tensor, wanted: Type) -> None:
    shape = tensor.shape
    fits = len(shape) == wanted.rank and all(
        own == other or not isinstance(own, int) or not isinstance(other, int)
        for own, other in zip(shape, wanted.shape, strict=True)
    )
    if fits and tensor.type in TYPES[wanted.dtype]:
        return
    given = f"{tensor.type}[{', '.join(str(dim) for dim in shape)}]"
    raise _differs(f"{what} `{tensor.name}` is {given} in the model, but {wanted} in the network")


def _differs(message: str) -> Failed:
    return Failed(Diagnostic("E606", message, help="export it again from this spec"))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names)) or "nothing"
