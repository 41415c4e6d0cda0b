"""How much memory a network's results take, seen from outside: PyTorch run, or an ONNX graph read.

Nothing here knows of the compiler's graph.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import onnx
import torch
from onnx import TensorProto
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

WIDTHS: dict[int, int] = {TensorProto.FLOAT: 4, TensorProto.INT64: 8, TensorProto.BOOL: 1}


NOTES = (torch.ops.aten.empty_like.default,)
"""Operations that make what PyTorch notes for itself: the mask of a dropout."""


class Step(NamedTuple):
    """One operation: the names of what it reads and of what it makes."""

    reads: tuple[str, ...]
    makes: tuple[str, ...]


def peak_of_schedule(
    steps: Sequence[Step], sizes: dict[str, int], inputs: Sequence[str], outputs: Sequence[str]
) -> int:
    """The most bytes that are needed at once, each step asked for itself.

    A value is needed at a step if it was there before or is made in it, and is read or made in it,
    read later, or given out.
    """
    most = 0
    for now, step in enumerate(steps):
        made = {*inputs, *(name for each in steps[: now + 1] for name in each.makes)}
        wanted = {*outputs, *step.makes, *(name for each in steps[now:] for name in each.reads)}
        most = max(most, sum(sizes[name] for name in made & wanted))
    return most


class _Log(TorchDispatchMode):
    """Every operation on what was computed from the inputs; views of weights are none."""

    def __init__(self, inputs: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.alive: list[Tensor] = []  # held, so that no two have one id
        self.sizes: dict[str, int] = {}
        self.steps: list[Step] = []
        self.inputs = [self._name(each) for each in inputs]

    def _name(self, tensor: Tensor) -> str:
        self.alive.append(tensor)
        name = str(id(tensor))
        self.sizes[name] = tensor.numel() * tensor.element_size()
        return name

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = [str(id(each)) for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        reads = tuple(name for name in given if name in self.sizes)
        # The second results of normalisation and pooling are PyTorch's own notes.
        first = result[0] if isinstance(result, tuple) else result
        if reads and str(id(first)) not in given and func not in NOTES:
            self.steps.append(Step(reads, (self._name(first),)))
        return result


def _run(module: nn.Module, inputs: Sequence[Tensor]) -> tuple[_Log, list[str]]:
    with torch.no_grad(), _Log(inputs) as log:
        results = module(*inputs)
    return log, [str(id(each)) for each in tree_leaves(results)]


def peak_when_run(module: nn.Module, inputs: Sequence[Tensor]) -> int:
    """The peak of the operations that a module does, in the order in which it does them."""
    log, outputs = _run(module, inputs)
    return peak_of_schedule(log.steps, log.sizes, log.inputs, outputs)


def bytes_made(module: nn.Module, inputs: Sequence[Tensor]) -> int:
    """The bytes of the inputs and of all results of a forward pass."""
    log, _ = _run(module, inputs)
    names = {*log.inputs, *(name for step in log.steps for name in step.makes)}
    return sum(log.sizes[name] for name in names)


def peak_of_model(model: onnx.ModelProto, sizes: dict[str, int]) -> int:
    """The peak of an ONNX graph, whose free dimensions are given, node by node.

    Nodes that compute one value together, through tensors named `LAYER/…`, count as one step, and
    what they hand on among themselves does not count. `Identity` only names a value again.
    """
    graph = model.graph
    for value in (*graph.input, *graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_value = eval(dim.dim_param, {}, dict(sizes))  # such as `2*h`
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    described = (*inferred.input, *inferred.output, *inferred.value_info)
    widths = {each.name: _bytes(each) for each in described}
    weights = {each.name for each in graph.initializer}
    same: dict[str, str] = {}
    steps: list[Step] = []
    open_reads: list[str] = []
    for node in graph.node:
        reads = [same.get(n, n) for n in node.input if n and n not in weights and "/" not in n]
        if node.op_type == "Identity":
            same[node.output[0]] = reads[0]
            continue
        makes = [name for name in node.output if name and "/" not in name]
        open_reads += reads
        if makes:
            steps.append(Step(tuple(open_reads), tuple(makes)))
            open_reads = []
    outputs = [same.get(each.name, each.name) for each in graph.output]
    return peak_of_schedule(steps, widths, [each.name for each in graph.input], outputs)


def _bytes(value: onnx.ValueInfoProto) -> int:
    total = WIDTHS[value.type.tensor_type.elem_type]
    for dim in value.type.tensor_type.shape.dim:
        total *= dim.dim_value
    return total
