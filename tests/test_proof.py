"""The proof that a model equals its network: what is planted is found, and where it is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from netloom.compile import check, check_file
from netloom.diagnostics import Diagnostic, Failed, Source
from netloom.emit import onnx as emit_onnx
from netloom.emit.onnx.files import write_model
from netloom.emit.weights import Weights
from netloom.ir.graph import Graph
from netloom.runtime.proof.isolated import IsolatedRuntime
from netloom.runtime.proof.per_node import per_node
from netloom.runtime.verify import randomised, verify
from random_specs import random_spec
from specimens import ROOT, built, net

Change = Callable[[dict[str, Any]], str]
"""Alters weights, and says which value is then the first to differ."""


def lenet() -> tuple[Graph, dict[str, Any]]:
    graph = check_file(ROOT / "specs" / "lenet.loom").networks["lenet"].graph
    return graph, dict(randomised(graph))


def refusal(graph: Graph, weights: Weights, model: Path | bytes) -> Diagnostic:
    with pytest.raises(Failed) as failed:
        verify(graph, weights, model)
    (diagnostic,) = failed.value.diagnostics
    return diagnostic


def test_both_levels_of_the_optimiser_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, weights = lenet()
    honest = IsolatedRuntime.run

    def wrong_when_optimised(self: IsolatedRuntime, session: str, *rest: Any) -> Any:
        factor = 2 if session == "optimiser on" else 1
        found = honest(self, session, *rest)
        return {name: factor * array for name, array in found.items()}

    monkeypatch.setattr(IsolatedRuntime, "run", wrong_when_optimised)
    proof = verify(graph, weights, emit_onnx.model_bytes(graph, weights))
    assert not proof.holds
    assert all(each.plain_error < 1e-5 < each.optimised_error for each in proof.comparisons)
    assert all(each.onnx_error == each.optimised_error for each in proof.comparisons)
    nodes = per_node(graph, weights, emit_onnx.model_bytes(graph, weights), proof.worst_case)
    assert nodes.first is not None
    assert nodes.first.plain_error < 1e-5 < nodes.first.optimised_error


def _one_weight(weights: dict[str, Any]) -> str:
    weights["c3.weight"][3, 2, 1, 0] += 0.05
    return "c3.conv"


def _no_bias(weights: dict[str, Any]) -> str:
    weights["f6.bias"][:] = 0
    return "f6.linear"


def _first_layer(weights: dict[str, Any]) -> str:
    weights["c1.weight"] *= 1.001
    return "c1.conv"


def _last_layer(weights: dict[str, Any]) -> str:
    weights["logits.weight"][0] *= 1.001
    return "logits"


@pytest.mark.parametrize("change", [_one_weight, _no_bias, _first_layer, _last_layer])
def test_an_altered_weight_is_found_at_its_layer(change: Change) -> None:
    graph, weights = lenet()
    other = {name: array.copy() for name, array in weights.items()}
    expected = change(other)
    model = emit_onnx.model_bytes(graph, other)
    proof = verify(graph, weights, model)
    assert proof.differs
    assert not proof.holds
    found = per_node(graph, weights, model, proof.worst_case).first
    assert found is not None
    assert found.value == expected
    line = int(found.place.rpartition(":")[2])
    text = (ROOT / "specs" / "lenet.loom").read_text().splitlines()[line - 1]
    assert text.split()[0 if expected != "logits" else 1] == expected.partition(".")[0]


@pytest.mark.parametrize(
    ("before", "after"),
    [("tanh", "sigmoid"), ("avgpool(2)", "avgpool(2, stride=1)"), ("5)", "5, pad=1)")],
)
def test_another_layer_in_the_middle_is_found_there(before: str, after: str) -> None:
    spec = (
        "network net {{ input image: float32[N, 1, h, w]\n a = conv(4, 3) -> relu\n"
        " b = {middle}\n head out = global_avgpool -> flatten -> linear(3) }}"
    )
    middle = "conv(6, 5) -> avgpool(2) -> tanh"
    graph = built(spec.format(middle=middle)).graph
    other = built(spec.format(middle=middle.replace(before, after))).graph
    weights = randomised(graph)
    model = emit_onnx.model_bytes(other, weights)
    proof = verify(graph, weights, model)
    assert proof.differs
    first = per_node(graph, weights, model, proof.worst_case).first
    assert first is not None
    expected = {"tanh": "tanh", "avgpool(2)": "avgpool", "5)": "conv"}[before]
    assert (first.operator, first.place) == (expected, "net.loom:3")


def test_one_flipped_byte_is_found(tmp_path: Path) -> None:
    graph, weights = lenet()
    content = bytearray(emit_onnx.model_bytes(graph, weights))
    place = content.index(weights["c5.weight"].tobytes())
    content[place + 4 * 1_000 + 2] ^= 0x80  # the lowest bit of an exponent
    path = tmp_path / "tampered.onnx"
    path.write_bytes(content)
    proof = verify(graph, weights, path)
    assert proof.differs
    first = per_node(graph, weights, path, proof.worst_case).first
    assert first is not None
    assert first.value == "c5.conv"


@pytest.mark.parametrize("is_external", [False, True])
def test_a_low_bit_of_a_weight_is_found(is_external: bool, tmp_path: Path) -> None:
    """Outputs do not tell it: it is less than their rounding."""
    graph, weights = lenet()
    program, _ = emit_onnx.program(graph, weights)
    model, *data = write_model(tmp_path / "model.onnx", program, {}, is_external)
    assert verify(graph, weights, model).holds
    path = data[0] if data else model
    content = bytearray(path.read_bytes())
    for number in (0, 47_999):
        content[content.index(weights["c5.weight"].tobytes()[4:-4]) - 4 + 4 * number] ^= 1
    path.write_bytes(content)
    proof = verify(graph, weights, model)
    assert not proof.differs
    assert not proof.holds
    (diagnostic,) = proof.diagnostics()
    assert diagnostic.code == "E619"
    assert diagnostic.message == "`c5.weight` of the model: 2 numbers differ from the network's"
    assert proof.weights is not None
    assert proof.weights.different == {"c5.weight": 2}
    assert (len(proof.weights.equal), proof.weights.all) == (9, 10)


def test_what_was_merged_is_not_compared_bit_for_bit() -> None:
    text = "conv(4, 3) -> batchnorm -> relu -> conv(2, 1)"
    graph = built(net(text, "N, 3, 8, 8")).graph
    weights = randomised(graph)
    for fold, equal in ((True, 2), (False, 8)):
        carried = verify(graph, weights, emit_onnx.model_bytes(graph, weights, fold=fold)).weights
        assert carried is not None
        assert (len(carried.equal), carried.all, carried.different) == (equal, 8, {})
        assert carried.words == (
            "2 of 8 weights are the network's, bit for bit; 6 were merged or arranged otherwise"
            if fold
            else "all 8 weights are the network's, bit for bit"
        )


def test_only_models_in_float32_carry_the_bits() -> None:
    graph = built(net("conv(4, 3)", "N, 3, 8, 8")).graph
    weights = randomised(graph)
    model = _in_half(onnx.load_from_string(emit_onnx.model_bytes(graph, weights)))
    assert verify(graph, weights, model).weights is None


@pytest.mark.parametrize("value", [numpy.nan, numpy.inf])
def test_weights_that_are_not_finite_are_why_nothing_is_proved(value: float) -> None:
    graph, weights = lenet()
    weights["c3.weight"][3, 2, 1, :2] = value
    proof = verify(graph, weights, emit_onnx.model_bytes(graph, weights))
    assert not proof.holds
    assert proof.not_finite == {"c3.weight": 2}
    (diagnostic,) = proof.diagnostics()
    assert diagnostic.code == "E618"
    assert "2 numbers are NaN or infinite in the weights `c3.weight`" in diagnostic.message


@pytest.mark.parametrize("seed", [0, 1, 2, 6])
def test_every_value_of_a_random_network_is_that_of_the_model(seed: int) -> None:
    graph = check(Source("random.loom", random_spec(seed))).networks["net"].graph
    weights = randomised(graph)
    model = emit_onnx.model_bytes(graph, weights)
    proof = verify(graph, weights, model)
    assert proof.holds
    nodes = per_node(graph, weights, model, proof.worst_case)
    assert nodes.first is None
    assert nodes.comparisons


def test_an_output_that_does_not_vary_says_nothing() -> None:
    graph = built(
        "network net { input x: float32[N, 4]\n"
        " head one = linear(1) -> softmax\n head three = linear(3) }"
    ).graph
    weights = randomised(graph)
    proof = verify(graph, weights, emit_onnx.model_bytes(graph, weights))
    assert not proof.differs
    assert not proof.holds
    assert proof.silent == ("one",)
    verdicts = {(each.head, each.verdict) for each in proof.comparisons}
    assert verdicts == {("one", "says nothing"), ("three", "same")}
    (diagnostic,) = proof.diagnostics()
    assert diagnostic.code == "E614"


def test_an_output_that_does_not_depend_on_the_input_says_nothing() -> None:
    graph = built(net("conv(4, 1)", "N, 3, 4, 4")).graph
    weights = dict(randomised(graph))
    weights["conv1.weight"] = numpy.zeros_like(weights["conv1.weight"])
    weights["conv1.bias"] = numpy.array([1, 2, 3, 4], "float32")
    proof = verify(graph, weights, emit_onnx.model_bytes(graph, weights))
    assert proof.silent == ("out",)
    # What is wrong all the same is still told.
    other = {**weights, "conv1.bias": weights["conv1.bias"] * 2}
    assert verify(graph, weights, emit_onnx.model_bytes(graph, other)).differs


def test_an_output_of_equal_elements_says_nothing() -> None:
    graph = built("network net { input x: float32[1, 4]\n head out = linear(2) }").graph
    weights = dict(randomised(graph))
    assert verify(graph, weights, emit_onnx.model_bytes(graph, weights)).holds
    for name in weights:
        weights[name][1] = weights[name][0]
    assert verify(graph, weights, emit_onnx.model_bytes(graph, weights)).silent == ("out",)


def test_boxes_end_behind_their_beginning() -> None:
    """torchvision and ONNX Runtime do not agree on the others."""
    graph = built(
        "network net { input boxes: float32[r, 4]\n input scores: float32[r]\n"
        " head kept = boxes -> nms(scores=scores, iou=0.1) }"
    ).graph
    assert verify(graph, {}, emit_onnx.model_bytes(graph, {})).holds


def test_a_half_precision_model_is_known_by_its_weights() -> None:
    graph = built(net("conv(4, 3)", "N, 3, 8, 8")).graph
    weights = randomised(graph)
    model = _in_half(onnx.load_from_string(emit_onnx.model_bytes(graph, weights)))
    proof = verify(graph, weights, model)
    assert proof.precision == "float16"
    assert proof.holds
    assert 1e-5 < proof.onnx_error < 2e-2
    assert 1e-5 < proof.torch_error < 2e-2
    assert per_node(graph, weights, model, proof.worst_case).first is None
    assert not verify(graph, weights, model, precision="float32").holds
    wrong = {**weights, "conv1.bias": weights["conv1.bias"] + 1}
    assert verify(graph, wrong, model).differs


def _in_half(model: onnx.ModelProto) -> bytes:
    """A model of weights that are all floating-point numbers, in float16 throughout."""
    for tensor in model.graph.initializer:
        half = numpy_helper.to_array(tensor).astype("float16")
        tensor.CopyFrom(numpy_helper.from_array(half, tensor.name))
    for described in (*model.graph.input, *model.graph.output):
        described.type.tensor_type.elem_type = TensorProto.FLOAT16
    return bytes(model.SerializeToString())


def test_a_quantised_model_is_reported_not_judged() -> None:
    graph = built(net("conv(4, 3)", "N, 3, 8, 8")).graph
    weights = randomised(graph)
    model = onnx.load_from_string(emit_onnx.model_bytes(graph, weights))
    coarse = [
        helper.make_node("QuantizeLinear", ["image", "scale", "zero"], ["steps"]),
        helper.make_node("DequantizeLinear", ["steps", "scale", "zero"], ["coarse"]),
    ]
    (first, *_) = model.graph.node
    first.input[0] = "coarse"
    model.graph.initializer.extend(
        [
            numpy_helper.from_array(numpy.array(0.3, "float32"), "scale"),
            numpy_helper.from_array(numpy.array(0, "int8"), "zero"),
        ]
    )
    nodes = [*coarse, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    proof = verify(graph, weights, model.SerializeToString())
    assert proof.precision == "int8"
    assert proof.holds
    assert {each.verdict for each in proof.comparisons} == {"reported"}
    assert proof.onnx_error > 1e-3


def test_weights_in_a_file_of_their_own_are_found(tmp_path: Path) -> None:
    graph, weights = lenet()
    path = tmp_path / "model.onnx"
    model = onnx.load_from_string(emit_onnx.model_bytes(graph, weights))
    onnx.save(model, path, save_as_external_data=True, location="model.onnx.data")
    assert path.stat().st_size < 20_000
    proof = verify(graph, weights, path)
    assert proof.holds
    assert per_node(graph, weights, path, proof.worst_case).first is None
    data = tmp_path / "model.onnx.data"
    content = bytearray(data.read_bytes())
    content[content.index(weights["c5.weight"].tobytes()) + 2] ^= 0x80
    data.write_bytes(content)
    assert verify(graph, weights, path).differs
    data.rename(tmp_path / "elsewhere")
    diagnostic = refusal(graph, weights, path)
    assert diagnostic.code == "E604"
    assert "are said to lie in 'model.onnx.data': there is no such file" in diagnostic.message
    assert diagnostic.help is not None
    assert f"come along when the model is moved, to `{data}`" in diagnostic.help


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ("head y = linear(2)", "the model gives `y`, but network `net` makes `out`"),
        (
            "input more: float32[N, 3]\n head out = mul { x  more }",
            "the model takes `more`, which network `net` does not",
        ),
        ("head out = x -> linear(4)", "output `out` is tensor(float)[N, 4] in the model"),
    ],
)
def test_a_model_of_another_network_is_refused(other: str, says: str) -> None:
    graph = built("network net { input x: float32[N, 3]\n head out = relu }").graph
    strange = built(f"network net {{ input x: float32[N, 3]\n {other} }}").graph
    model = emit_onnx.model_bytes(strange, randomised(strange))
    diagnostic = refusal(graph, randomised(graph), model)
    assert diagnostic.code == "E606"
    assert says in diagnostic.message


def test_another_type_of_input_is_refused() -> None:
    graph = built("network net { input x: float32[N, 3]\n head out = relu }").graph
    model = onnx.load_from_string(emit_onnx.model_bytes(graph, {}))
    for described in (*model.graph.input, *model.graph.output):
        described.type.tensor_type.elem_type = TensorProto.DOUBLE
    diagnostic = refusal(graph, {}, model.SerializeToString())
    assert diagnostic.code == "E606"
    assert "input `x` is tensor(double)[N, 3] in the model" in diagnostic.message


def test_an_input_that_the_model_lacks_is_told() -> None:
    spec = "network net {{ input a: float32[N, 3]\n input b: float32[N, 3]\n head out = {} }}"
    graph = built(spec.format("add { a  b }")).graph
    model = emit_onnx.model_bytes(built(spec.format("a -> relu")).graph, {})
    assert "does not take `b`" in refusal(graph, {}, model).message


def test_a_model_that_is_cut_short_is_refused() -> None:
    graph, weights = lenet()
    content = emit_onnx.model_bytes(graph, weights)
    for length in (0, 1, 50, 1_000, len(content) // 2, len(content) - 1):
        diagnostic = refusal(graph, weights, content[:length])
        assert diagnostic.code == "E604", length
    assert refusal(graph, weights, b"\x89PNG\r\n" + bytes(100)).code == "E604"
    assert refusal(graph, weights, Path("missing.onnx")).code == "E001"
