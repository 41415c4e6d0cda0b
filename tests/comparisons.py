"""What the compiler states of a network against what the oracles measure: one function a fact.

Each raises AssertionError where the two differ. They are plain functions, so that a test can also
ask whether they would notice a broken operator.
"""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from netloom.compile import Network, check
from netloom.diagnostics import Failed, Source
from netloom.emit import onnx as emit_onnx
from netloom.emit import torch as emit_torch
from netloom.ir.dims import evaluate_to_int
from netloom.ir.field import Extent, Field, Varying
from netloom.ir.graph import Value
from netloom.ir.types import Shape, spatial_axes
from netloom.passes.footprint import footprint
from oracles.case import Case, Sizes, randomise
from oracles.reach import Interval, fit, hull, measure_sets, sees_all
from oracles.refused import Refused
from oracles.work import count_macs

FOLDING = ("reflect", "replicate")
"""Borders that show pixels again that a field on an endless input does not reach."""

NOT_INFERRED = ("crop", "groupnorm", "nms", "same_pad", "unpool")
"""Operators whose sizes onnx cannot infer: they depend on data, or on a shape computed from one.

Of `GroupNormalization` it infers nothing, although the result is as large as the operand.
"""

UNSTATED = {
    "ConvTranspose": {"output_shape"},
    "LSTM": {"activation_alpha", "activation_beta", "clip"},
    "Resize": {"axes"},
    "Shape": {"end"},
}
"""ONNX attributes whose absence is the meaning: no fixed size, no clip, all axes, to the end."""


def compiled(case: Case) -> Network:
    """The case's network as the compiler understands it."""
    return check(Source(f"{case.title}.loom", case.text)).networks["net"]


def head(network: Network, name: str) -> Value:
    """The value that a head gives out."""
    return next(each.value for each in network.graph.heads if each.name == name)


def bound(shape: Shape, sizes: Sizes, found: tuple[int, ...]) -> tuple[int, ...]:
    """A shape in numbers; what only the data decides is taken from the result."""
    return tuple(
        there if str(dim) == "kept" else evaluate_to_int(dim, sizes)
        for dim, there in zip(shape, found, strict=True)
    )


def compare_refusal(refused: Refused) -> None:
    """What PyTorch cannot build or run is told to be a mistake, by a rule of the operators."""
    assert not refused.runs(), f"PyTorch runs {refused}"
    try:
        check(Source("refused.loom", refused.text))
    except Failed as failure:
        codes = {diagnostic.code for diagnostic in failure.diagnostics}
        assert codes <= {"E206", "E207", "E209"}, codes
    else:
        raise AssertionError(f"{refused} is accepted")


def compare_shapes(case: Case) -> None:
    """Shapes and element types are those of PyTorch's results, for several sizes."""
    network, module = compiled(case), case.reference().double().eval()
    for sizes in case.sizes:
        with torch.no_grad():
            results = module(*case.inputs(sizes))
        for name, result in zip(case.heads, results, strict=True):
            stated = head(network, name).type
            found = tuple(result.shape)
            assert bound(stated.shape, sizes, found) == found, (name, sizes)
            assert stated.dtype == ("float32" if result.is_floating_point() else "int64")


def compare_parameters(case: Case) -> None:
    """Names and shapes are those of the state dict, and the count is that of learned elements."""
    network, module = compiled(case), case.reference()
    stated = {
        f"{layer.name}.{name}": parameter
        for layer in network.graph.layers
        for name, parameter in layer.op.params().items()
    }
    found = module.state_dict()
    assert {name: each.shape for name, each in stated.items()} == {
        name: tuple(tensor.shape) for name, tensor in found.items()
    }
    learned = {name for name, _ in module.named_parameters()}
    assert {name for name, parameter in stated.items() if parameter.learned} == learned
    assert network.cost.params == sum(each.numel() for each in module.parameters())


def compare_macs(case: Case) -> None:
    """MACs of one sample are half of the operations that PyTorch counts."""
    network, module = compiled(case), case.reference().double().eval()
    for sizes in case.sizes:
        single = {**sizes, "N": 1}
        stated = evaluate_to_int(network.cost.macs, single)
        assert stated == count_macs(module, case.inputs(single)), sizes


def compare_fields(case: Case) -> None:
    """What each position of each head sees of each input is what changes it in an experiment.

    Its footprint is that to the pixel. Its field is the hull on an endless input: at the borders a
    position may see less, and mirrored ones show it more.
    """
    network = compiled(case)
    module, inputs = case.reference().double(), case.inputs(case.probe)
    for (position, name), (which, given) in itertools.product(
        enumerate(case.heads), enumerate(network.graph.inputs)
    ):
        value = head(network, name)
        for axis, index in spatial_axes(given.type.rank).items():
            own_index = spatial_axes(value.type.rank).get(axis)
            found = measure_sets(module, inputs, which, index, position, own_index)
            where = f"{name} of {given.name} along {axis}"
            _compare_footprints(network, value, given, axis, found, case.probe)
            intervals = [hull(each) for each in found]
            stated = network.fields[value][given.name][axis]
            length = inputs[which].shape[index]
            mirrored = any(
                getattr(layer.op, "mode", "") in FOLDING for layer in network.graph.layers
            )
            if isinstance(stated, Varying):
                stated = _case_of(stated, intervals, length)
            if isinstance(stated, Field):
                _compare_field(stated, intervals, length, mirrored, where)
            else:
                _compare_word(stated, intervals, length, where)


def _compare_footprints(
    network: Network,
    value: Value,
    given: Value,
    axis: str,
    found: list[frozenset[int]],
    sizes: Sizes,
) -> None:
    """Each position sees exactly the pixels that change it, and the whole head sees all of them."""
    everywhere = {
        name: set(range(evaluate_to_int(value.type.shape[index], sizes)))
        for name, index in spatial_axes(value.type.rank).items()
    }
    for position, seen in enumerate(found):
        here = {**everywhere, axis: {position}} if axis in everywhere else everywhere
        below = footprint(network.graph, value, here, sizes)
        assert below.get(given, {}).get(axis, set()) == seen, (value, given, axis, position)


def _compare_field(
    stated: Field, intervals: list[Interval], length: int, mirrored: bool, where: str
) -> None:
    for position, seen in enumerate(intervals):
        first, last = stated.interval(position)
        clipped = (int(max(first, 0)), min(last, length - 1))
        allowed = clipped if clipped[0] <= clipped[1] else None
        assert mirrored or _inside(seen, allowed), (where, position)
    if not stated.is_bounded:
        return  # every position is another one; each has been compared
    interior = fit(intervals)
    if interior is None:
        assert len(intervals) < 9, f"{where}: the probe has no interior"
        return
    assert (stated.sizes, stated.stride, stated.period) == (
        interior.sizes,
        interior.stride,
        interior.period,
    ), where
    assert stated.offset == interior.offset or 0 in interior.sizes, where


def _case_of(stated: Varying, intervals: list[Interval], length: int) -> Field:
    """The case that describes an input of this length, of which there is one at least."""
    for case in stated.cases:
        try:
            _compare_field(case, intervals, length, False, "")
        except AssertionError:
            continue
        return case
    raise AssertionError(f"none of {stated.cases} is right")


def _inside(seen: Interval, allowed: Interval) -> bool:
    if seen is None:
        return True
    return allowed is not None and allowed[0] <= seen[0] and seen[1] <= allowed[1]


def _compare_word(stated: Extent, intervals: list[Interval], length: int, where: str) -> None:
    match stated:
        case "whole":
            assert sees_all(intervals, length), where
        case "misaligned":
            assert fit(intervals) is None, where
        case _:
            raise AssertionError(f"{where} is {stated}, which has no experiment")


def compare_emitted_pytorch(case: Case) -> None:
    """The emitted module has the reference's state dict and, with its weights, its values."""
    network, reference = compiled(case), case.reference()
    randomise(reference)
    emitted = emit_torch.module(network.graph)
    assert _shapes_of(emitted.state_dict()) == _shapes_of(reference.state_dict())
    emitted.load_state_dict(reference.state_dict())
    emitted.eval()
    for inputs, expected in _runs(case, reference):
        with torch.no_grad():
            results = emitted(*(each.float() for each in inputs))
        by_name = results if isinstance(results, dict) else {case.heads[0]: results}
        _compare_values(expected, {name: each.numpy() for name, each in by_name.items()})


def compare_training(case: Case) -> None:
    """In training, the same random numbers give the same values and the same running statistics."""
    network, reference = compiled(case), case.reference()
    randomise(reference)
    emitted = emit_torch.module(network.graph)
    emitted.load_state_dict(reference.state_dict())
    inputs = [each.float() for each in case.inputs(case.sizes[-1])]
    results = []
    for module in (reference, emitted):
        torch.manual_seed(1)
        results.append(module.train()(*inputs))
    expected, found = results
    by_name = dict(zip(case.heads, expected, strict=True))
    torch.testing.assert_close(found, by_name if len(by_name) > 1 else expected[0])
    torch.testing.assert_close(emitted.state_dict(), reference.state_dict())


def compare_attributes(case: Case) -> None:
    """Every attribute that ONNX knows of a node is stated, because readers differ in defaults."""
    network, module = compiled(case), case.reference()
    weights = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    for node in onnx.load_from_string(emit_onnx.model_bytes(network.graph, weights)).graph.node:
        schema = onnx.defs.get_schema(node.op_type, emit_onnx.OPSET, "")
        stated = {attribute.name for attribute in node.attribute}
        missing = set(schema.attributes) - stated - UNSTATED.get(node.op_type, set())
        assert not missing, f"{node.op_type} does not state {missing}"


def compare_onnx(case: Case) -> None:
    """The model is valid, states our shapes, and gives the reference's values in ONNX Runtime."""
    network, reference = compiled(case), case.reference()
    randomise(reference)
    weights = {name: tensor.numpy() for name, tensor in reference.state_dict().items()}
    content = emit_onnx.model_bytes(network.graph, weights)
    onnx.checker.check_model(content, full_check=True)
    apart = emit_onnx.model_bytes(network.graph, weights, fold=False)
    compare_inferred(apart, case.sizes, network)
    sessions = [_session(content, level) for level in (_NOT_OPTIMISED, _OPTIMISED)]
    for inputs, expected in _runs(case, reference):
        feed = {
            value.name: each.float().numpy()
            for value, each in zip(network.graph.inputs, inputs, strict=True)
        }
        for session in sessions:
            found = session.run(list(expected), feed)
            _compare_values(expected, dict(zip(expected, found, strict=True)))


def _runs(case: Case, reference: nn.Module) -> Iterator[tuple[tuple[Tensor, ...], dict[str, Any]]]:
    """Inputs that float32 can hold, with the reference's results in float64."""
    reference = reference.double().eval()
    for sizes in case.sizes:
        inputs = tuple(each.float().double() for each in case.inputs(sizes))
        with torch.no_grad():
            results = reference(*inputs)
        yield inputs, {name: each.numpy() for name, each in zip(case.heads, results, strict=True)}


def _compare_values(expected: dict[str, Any], found: dict[str, Any]) -> None:
    """Whole numbers are equal; float32 is within 1e-5 of the largest magnitude."""
    assert list(found) == list(expected)
    for name, wanted in expected.items():
        assert found[name].shape == wanted.shape, name
        if wanted.dtype == numpy.int64:
            assert found[name].dtype == numpy.int64
            assert (found[name] == wanted).all(), name
            continue
        assert found[name].dtype == numpy.float32
        worst = numpy.abs(found[name] - wanted).max()
        assert worst <= 1e-5 * numpy.abs(wanted).max(), f"{name} is off by {worst:.1e}"


def _shapes_of(state: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


_NOT_OPTIMISED = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
_OPTIMISED = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL


def _session(content: bytes, level: Any) -> Any:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def compare_inferred(content: bytes, sizes_of: Iterable[Sizes], network: Network) -> None:
    """For each set of sizes, strict shape inference finds our shape for every layer's results.

    Layers that are merged have no results of their own, so this wants a model of separate ones.
    """
    for sizes in sizes_of:
        model = onnx.load_from_string(content)
        by_name = {value.name: value for value in network.graph.inputs}
        for described in model.graph.input:
            value = by_name[described.name]
            stated = (evaluate_to_int(dim, sizes) for dim in value.type.shape)
            for dim, number in zip(described.type.tensor_type.shape.dim, stated, strict=True):
                dim.dim_value = number
        for described in model.graph.output:
            described.type.tensor_type.ClearField("shape")
        inferred = onnx.shape_inference.infer_shapes(
            model, check_type=True, strict_mode=True, data_prop=True
        )
        found = {
            each.name: each.type.tensor_type
            for each in (*inferred.graph.value_info, *inferred.graph.output)
        }
        for layer in network.graph.layers_in("infer"):
            if layer.op.identity_in_inference:
                continue
            for result in layer.results:
                inferred_type = found[result.name]
                dims = inferred_type.shape.dim
                is_known = inferred_type.HasField("shape")
                if not is_known or any(dim.HasField("dim_param") for dim in dims):
                    assert layer.op.name in NOT_INFERRED, result
                    continue
                theirs = tuple(dim.dim_value for dim in dims)
                assert theirs == bound(result.type.shape, sizes, theirs), result
