"""The tensors of a network by name: which there are, initial values, reading a checkpoint.

Names are the layer's path and the parameter's own name, `stage2.basic1.conv2.weight`, in the state
dict, in checkpoints and in the ONNX graph.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netloom.diagnostics import Diagnostic, Failed
from netloom.emit.checkpoint import Checkpoint
from netloom.emit.names import state_key
from netloom.ir.graph import Graph
from netloom.ir.op import Filled, Parameter

if TYPE_CHECKING:
    import numpy

Weights = Mapping[str, "numpy.ndarray[Any, Any]"]


def expected(graph: Graph) -> dict[str, Parameter]:
    """All tensors of a network, those of train heads included, in the order of its layers."""
    return {
        state_key(f"{layer.weights_of.name}.{name}"): parameter
        for layer in graph.module_layers()
        for name, parameter in layer.op.params().items()
    }


def initial(graph: Graph, seed: int = 0) -> Weights:
    """Untrained weights, drawn as PyTorch's layers draw theirs; equal for equal seeds."""
    import zlib

    import numpy

    weights = {}
    for name, parameter in expected(graph).items():
        if isinstance(parameter.initial, Filled):
            value = numpy.full(parameter.shape, parameter.initial.value, parameter.dtype)
        else:
            # One generator a tensor: a name keeps its values when unrelated lines are edited.
            generator = numpy.random.default_rng([seed, zlib.crc32(name.encode())])
            bound = parameter.initial.bound
            value = generator.uniform(-bound, bound, parameter.shape).astype(parameter.dtype)
        weights[name] = value
    return weights


def load(path: Path, graph: Graph) -> Checkpoint:
    """The weights in a safetensors file, checked against the network; read when they are used.

    Raises `Failed`: E001 if there is no such file, E602 if it is none of that format, E603 with
    every tensor that is missing, unknown or of another shape or element type.
    """
    checkpoint = Checkpoint(path)
    others = {each.dtype for each in checkpoint.tensors.values()} & {
        "float16",
        "bfloat16",
        "float64",
    }
    if others:
        message = (
            f"`{path}` holds weights in {' and '.join(sorted(others))}; they are read in float32"
        )
        into = path.with_name(f"{path.stem}.float32.safetensors")
        help = f"`netloom import-weights SPEC {path} -o {into}` converts them"
        raise Failed(Diagnostic("E603", message, help=help))
    check_fit(checkpoint.tensors, graph, f"`{path}`")
    return checkpoint


def check_fit(found: Mapping[str, Any], graph: Graph, what: str) -> None:
    """Refuses weights that are not those of the network, with every difference at once.

    What is found needs a `shape` and a `dtype` for each name.
    """
    wanted = expected(graph)
    differences = []
    for name, parameter in wanted.items():
        if name not in found:
            differences.append(f"`{name}` is missing")
        elif tuple(found[name].shape) != parameter.shape:
            shapes = f"is {list(found[name].shape)}, not {list(parameter.shape)}"
            differences.append(f"`{name}` {shapes}")
        elif str(found[name].dtype) != parameter.dtype:
            differences.append(f"`{name}` is {found[name].dtype}, not {parameter.dtype}")
    differences += [f"`{name}` belongs to no layer" for name in found if name not in wanted]
    if not differences:
        return
    message = f"{what} does not hold the weights of network `{graph.name}`"
    raise Failed(Diagnostic("E603", message, help=shortened(differences)))


def shortened(differences: Sequence[str]) -> str:
    """The first differences, and how many more there are."""
    shown = list(differences[:8])
    if len(differences) > len(shown):
        shown.append(f"and {len(differences) - len(shown)} more")
    return "\n".join(shown)
