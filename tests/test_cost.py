"""Activation memory and sums of costs: against PyTorch run, ONNX read, and numbers made by hand."""

import time
from pathlib import Path

import onnx
import pytest

from netloom.compile import check, check_file
from netloom.diagnostics import Source
from netloom.emit import onnx as emit_onnx
from netloom.emit.rows import explained, tree
from netloom.emit.weights import initial
from netloom.ir.dims import evaluate_to_int
from netloom.passes.memory import memory
from oracles.liveness import Step, peak_of_model, peak_of_schedule
from random_specs import random_spec
from specimens import SPECS, built, net


def test_the_oracle_counts_what_a_hand_counts() -> None:
    # b is alive from its making to the last step, a only to the second, c to the third.
    steps = [
        Step(("in",), ("a",)),
        Step(("a",), ("b",)),
        Step(("b",), ("c",)),
        Step(("b", "c"), ("d",)),
    ]
    sizes = {"in": 1, "a": 10, "b": 100, "c": 1000, "d": 10_000}
    assert peak_of_schedule(steps[:1], sizes, ["in"], ["a"]) == 11
    assert peak_of_schedule(steps[:2], sizes, ["in"], ["b"]) == 110
    assert peak_of_schedule(steps[:2], sizes, ["in"], ["in", "b"]) == 111
    assert peak_of_schedule(steps, sizes, ["in"], ["d"]) == 11_100


def test_memory_by_hand() -> None:
    network = built(
        "network net { input x: float32[N, 2, 8, 8]\n"
        "wide = conv(16, 1)\nresidual { relu -> dropout -> tanh }\n"
        "head y = global_avgpool -> flatten\ntrain head early = wide -> relu -> flatten }"
    )
    found = memory(network.graph)
    image, wide = 4 * 2 * 64, 4 * 16 * 64
    # The residual holds `wide` beside the operand and the result of tanh.
    assert [(each.bytes, each.made) for each in found.peaks] == [(3 * wide, "tanh1")]
    # conv, relu, dropout, tanh, add, and in training relu, flatten; the two of `y` have one
    # number a channel.
    assert found.training == image + 7 * wide + 2 * 4 * 16


def test_element_types_have_their_widths() -> None:
    network = built(
        "network net { input x: float32[N, 3, 8, 8]\n"
        "pooled, where = maxpool(2, indices=true)\nhead y = unpool(where) }"
    )
    sizes = {value.name: size for value, size in memory(network.graph).values.items()}
    assert (sizes["pooled"], sizes["where"]) == (4 * 3 * 16, 8 * 3 * 16)


def test_a_result_that_nobody_reads_is_there_while_it_is_made() -> None:
    text = (
        "network net {{ input x: float32[N, 3, 8, 8]\n"
        "pooled, where = maxpool(2, indices=true)\nhead y = pooled -> upsample({factor}) }}"
    )
    pooled, where = 4 * 3 * 16, 8 * 3 * 16
    for factor, most in ((1, 4 * 3 * 64 + pooled + where), (4, pooled + 16 * pooled)):
        (found,) = memory(built(text.format(factor=factor)).graph).peaks
        assert found.bytes == most


def test_a_head_is_held_to_the_end_and_dropout_costs_nothing() -> None:
    body = "a = conv(4, 1) -> dropout\nb = a -> conv(4, 1)\nb -> conv(4, 1)\n"
    one = memory(built(net(body, "N, 4, 8, 8")).graph).peaks[0].bytes
    other = memory(built(net(f"{body}head a\n", "N, 4, 8, 8")).graph).peaks[0].bytes
    assert (one, other) == (2 * 1024, 3 * 1024)


def test_a_network_without_layers_holds_its_input() -> None:
    network = built("network net { input x: float32[N, 4]\nhead y = x }")
    assert [(each.bytes, each.layer) for each in memory(network.graph).peaks] == [(16, None)]


def test_the_peak_may_depend_on_the_sizes() -> None:
    network = built(
        "network net { input x: float32[N, 1, h, w]\n"
        "conv(4, 1) -> global_avgpool -> flatten\nhead y = linear(100) -> linear(100) }"
    )
    found = memory(network.graph)
    assert {str(each.bytes) for each in found.peaks} == {"20*h*w", "16*h*w + 16", "800"}
    at_sizes = memory(network.graph, {"h": 2, "w": 3})
    assert [each.bytes for each in at_sizes.peaks] == [800]


def test_one_peak_is_left_without_padding_too() -> None:
    # At h = 1 the later maps would be larger, but there the network cannot be run.
    network = built(
        "network net { input x: float32[N, 8, h, w]\n"
        "repeat 9 { conv(8, 3) -> relu }\nhead y = relu }"
    )
    found = memory(network.graph).peaks
    assert [each.made for each in found] == ["repeat1.0.conv1"]
    assert (
        found[0].bytes
        == memory(network.graph).values[network.graph.inputs[0]]
        + (memory(network.graph).values[network.graph.layers[0].results[0]])
    )


@pytest.mark.parametrize("seed", range(40))
def test_peaks_of_random_specs_are_those_of_their_onnx(seed: int) -> None:
    # PyTorch runs what only inference has at the end, so that its order is another.
    network = check(Source("random.loom", random_spec(seed))).networks["net"]
    weights = initial(network.graph)
    model = onnx.load_from_string(emit_onnx.model_bytes(network.graph, weights))
    sizes = {"N": 1, "h": 3, "w": 5}
    found = memory(network.graph, {"h": 3, "w": 5}).peaks
    stated = max(evaluate_to_int(each.bytes, sizes) for each in memory(network.graph).peaks)
    assert [each.bytes for each in found] == [stated] == [peak_of_model(model, sizes)]


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_peaks_of_small_networks_are_those_of_their_onnx(path: Path) -> None:
    for network in check_file(path).networks.values():
        weights = initial(network.graph)
        model = onnx.load_from_string(emit_onnx.model_bytes(network.graph, weights))
        sizes = {"N": 1, "h": 4, "w": 7}
        (found,) = memory(network.graph).peaks
        assert evaluate_to_int(found.bytes, sizes) == peak_of_model(model, sizes)


@pytest.mark.parametrize("body", ["conv(8, 3, pad=1) -> relu", "conv(8, 3) -> relu"])
def test_deep_networks_take_time_in_proportion(body: str) -> None:
    def seconds(depth: int) -> float:
        graph = built(net(f"repeat {depth} {{ {body} }}", "N, 8, h, w")).graph
        begin = time.process_time()
        assert len(memory(graph).peaks) == 1
        return time.process_time() - begin

    seconds(100)
    assert seconds(3200) < 30 * seconds(400), "8 times as deep"


def test_a_scope_sums_up_what_is_in_it() -> None:
    shown = explained(built(SHARED), {})
    rows = tree(shown)
    values = [row for row in rows if not row.is_scope]
    assert [row.value for row in values] == [
        result for layer in shown.network.graph.layers for result in layer.results
    ]
    scopes = {row.name: row for row in rows if row.is_scope}
    first, second = scopes["twice"], scopes["twice2"]
    assert (first.params, first.macs) == (2 * 4 * 4, 2 * 4 * 4 * 64)
    assert (second.params, second.macs, second.shared_with) == (0, first.macs, "twice")
    assert first.memory == second.memory == 3 * 4 * 4 * 64
    assert sum(row.params for row in values) == shown.network.cost.params == 2 * 16 + 16
    assert [row.shared_with for row in values if row.shared_with] == [
        "twice.conv1",
        "a",  # the value that `twice.conv2` makes
    ]


SHARED = """
block pair() { conv(4, 1, bias=false) -> relu -> conv(4, 1, bias=false) }
network net {
    input x: float32[N, 4, 8, 8]
    share twice = pair
    a = x -> twice
    b = a -> twice
    head y = conv(4, 1, bias=false)
}
"""
