"""Classes of emitted modules: which calls share one, and what its parameters are."""

import random
import re

import pytest
import torch

from netloom.compile import Network, check, check_file
from netloom.diagnostics import Source
from netloom.emit import onnx as emit_onnx
from netloom.emit import torch as emit_torch
from netloom.emit.weights import expected
from netloom.runtime.verify import randomised, verify
from specimens import ROOT, built


def _source(blocks: str, calls: str, shape: str = "N, 4, 8, 8") -> str:
    """The emitted file of a network, which must also compute what it should."""
    lines = "\n".join(f"    {line.strip()}" for line in calls.strip().splitlines())
    head = "    head out = global_avgpool -> flatten -> linear(2)"
    network = built(
        f"{blocks}\nnetwork net {{\n    input image: float32[{shape}]\n{lines}\n{head}\n}}"
    )
    _holds(network)
    return emit_torch.source(network.graph)


def _holds(network: Network) -> None:
    """Keys are the documented ones, and values those of ONNX Runtime, which knows no classes."""
    graph = network.graph
    module = emit_torch.module(graph)
    keys = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    assert keys == {name: each.shape for name, each in expected(graph).items()}
    weights = randomised(graph)
    proof = verify(graph, weights, emit_onnx.model_bytes(graph, weights))
    assert not proof.differs, proof.comparisons


def _classes(source: str) -> list[str]:
    return re.findall(r"^class (\w+)", source, re.MULTILINE)


BASIC = """
block basic(ch: int, stride: int = 1) {
    residual {
        conv(ch, 3, stride=stride, pad=1) -> batchnorm -> relu -> conv(ch, 3, pad=1)
    } shortcut if stride != 1 or in.channels != ch { conv(ch, 1, stride=stride) }
    relu
}
"""


def test_a_shortcut_is_optional() -> None:
    source = _source(BASIC, "basic(4)\nbasic(8, stride=2)\nbasic(8)")
    assert _classes(source) == ["Basic", "Net"]
    assert "if in_channels != ch" in source
    assert "else nn.Identity()" in source
    assert "def __init__(self, in_channels: int, ch: int, stride: int = 1) -> None:" in source
    assert "self.basic2 = Basic(4, 8, stride=2)" in source
    assert "(N, ch, h//stride, w//stride)" in source


def test_a_sum_is_optional() -> None:
    block = """block inverted(ch: int, stride: int) {
        residual if stride == 1 and in.channels == ch {
            conv(2 * in.channels, 1) -> relu
            conv(ch, 3, stride=stride, pad=1) -> batchnorm
        }
    }"""
    source = _source(block, "inverted(4, 1)\ninverted(6, 1)\ninverted(6, 2)\ninverted(6, 1)")
    assert _classes(source) == ["Inverted", "Net"]
    assert "return y + x if self.residual else y" in source
    assert "self.residual = in_channels == ch and stride == 1" in source


def test_a_question_that_nobody_can_guess_is_a_parameter() -> None:
    block = "block b(n: int) { conv(4, 1)  if n % 3 == 1 { batchnorm }  relu }"
    source = _source(block, "b(1)\nb(2)\nb(3)\nb(4)\nb(5)")
    assert _classes(source) == ["B", "Net"]
    assert "def __init__(self, batchnorm: bool) -> None:" in source
    assert "self.batchnorm1 = nn.BatchNorm2d(4) if batchnorm else nn.Identity()" in source


def test_a_truth_of_the_spec_decides() -> None:
    block = """block act(hard: bool) { if hard { hardswish } else { relu } }
    block b(ch: int, se: bool, hard: bool) {
        conv(ch, 1) -> act(hard)
        if se { gate { global_avgpool -> conv(ch, 1) -> sigmoid } }
    }"""
    source = _source(
        block, "b(3, true, false)\nb(4, false, true)\nb(5, false, false)\nb(6, true, true)"
    )
    assert _classes(source) == ["B", "Net"] or _classes(source) == ["B", "B2", "Net"]
    assert "self.act1 = nn.Hardswish() if hard else nn.ReLU()" in source


def test_a_parameter_that_a_call_lacks_does_not_matter() -> None:
    # `inner` stands for nothing where there is no gate.
    block = """block squeeze(inner: int) {
        gate { global_avgpool -> conv(inner, 1) -> relu -> conv(in.channels, 1) -> sigmoid }
    }
    block b(ch: int, se: bool) { conv(ch, 1)  if se { squeeze(ch // 3 + 5) }  relu }"""
    source = _source(block, "b(3, true)\nb(4, false)\nb(5, false)\nb(7, true)\nb(9, true)")
    assert _classes(source) == ["Squeeze", "B", "Net"]
    assert "self.squeeze1 = Squeeze(ch, inner) if se else nn.Identity()" in source
    assert "self.b2 = B(3, 4, False, 0)" in source


def test_layers_of_one_name_with_other_roles_are_kept_apart() -> None:
    # Without the first convolution the second one is `conv1`.
    block = """block b(ch: int, expand: int) {
        if expand != 1 { conv(expand * in.channels, 1, bias=false) -> batchnorm -> relu }
        conv(expand * in.channels, 3, pad=1, groups=in.channels) -> batchnorm -> relu
        conv(ch, 1) -> batchnorm
    }"""
    source = _source(block, "b(4, 1)\nb(6, 2)\nb(4, 3)\nb(6, 2)")
    assert _classes(source) == ["B", "B2", "Net"]
    block = "block b(f: bool) { if f { conv(4, 1) }  conv(4, 5, pad=2) }"
    assert _classes(_source(block, "b(true)\nb(false)")) == ["B", "B2", "Net"]


def test_calls_that_read_other_values_are_kept_apart() -> None:
    block = """block leaf { conv(4, 1) -> relu }
    block b(f: bool) {
        one = conv(4, 1)
        two = in -> conv(4, 3, pad=1)
        if f { one -> leaf } else { two -> leaf }
        concat { in  one  two } -> conv(4, 1)
    }"""
    assert _classes(_source(block, "b(true)\nb(false)")) == ["Leaf", "B", "B2", "Net"]


def test_iterations_that_grow_are_one_loop() -> None:
    block = "block dense(n: int) { repeat n { concat { in  conv(2, 3, pad=1) } } }"
    source = _source(block, "dense(3)\ndense(4)")
    assert "DenseRepeat1Body(in_channels + 2 * i) for i in range(n)" in source


def test_a_first_iteration_that_differs_is_told_apart() -> None:
    block = "block stage(ch: int, n: int) { repeat n { conv(ch, 3, pad=1) -> relu } }"
    source = _source(block, "stage(6, 1)\nstage(8, 2)\nstage(8, 3)")
    assert "in_channels if i == 0 else ch" in source
    assert "for i in range(n)" in source


def test_values_without_a_rule_are_a_list() -> None:
    block = """block b(drop: float) { residual { conv(4, 3, pad=1) -> drop_path(drop) } }
    block stage(n: int, before: int) { repeat i in 0..n { b(0.3 * (before + i) / 7) } }"""
    source = _source(block, "stage(2, 0)\nstage(3, 2)\nstage(1, 5)")
    assert "def __init__(self, drops: list[float]) -> None:" in source
    assert "nn.Sequential(*(B(drop) for drop in drops))" in source


def test_a_loop_does_not_hide_a_parameter() -> None:
    block = """block b(i: int, drop: float) { residual { conv(i, 3, pad=1) -> drop_path(drop) } }
    block stage(i: int, n: int, drop: float) {
        dropout(drop)
        repeat k in 0..n { b(i, 0.1 * k * drop) }
        repeat n { concat { in  conv(2, 1) } }
        conv(i, 1)
    }"""
    source = _source(block, "stage(4, 3, 0.1)\nstage(4, 4, 0.3)")
    assert "for each in drops" in source
    assert "for index in range(n)" in source


def test_repeats_in_repeats() -> None:
    block = """block b(n: int, ch: int) {
        repeat n { repeat 2 { conv(in.channels, 1) -> relu }  batchnorm }
        repeat i in 0..n { repeat 3 { conv(ch + i, 1) -> relu }  batchnorm }
        repeat i in 0..n { repeat j in 0..2 { conv(ch + 2 * j, 1) }  conv(ch, 1) }
        repeat i in 0..n { repeat i { conv(3, 1) }  conv(ch + i, 3, pad=1) }
    }"""
    assert _classes(_source(block, "b(3, 4)\nb(4, 5)\nb(3, 6)"))[-1] == "Net"
    # The inner iterations differ, the outer ones do not.
    block = "block b(n: int, ch: int) { repeat n { repeat j in 0..2 { conv(ch + j, 1) } } }"
    assert _classes(_source(block, "b(1, 4)\nb(1, 7)"))[-1] == "Net"


def test_the_most_frequent_structure_has_the_plain_name() -> None:
    block = "block b(deep: bool) { conv(4, 1)  if deep { relu  flatten  linear(9) } }"
    source = _source(
        block + "block c(f: bool) { if f { tanh } else { relu } conv(4, 1) }",
        "c(true)\nc(false)\nc(false)",
    )
    assert _classes(source) == ["C", "C2", "Net"]
    assert source.index("F.relu") < source.index("torch.tanh")


@pytest.mark.parametrize(
    ("name", "lines", "classes"),
    [
        ("resnet18", 120, ["Stem", "Basic", "BasicStage"]),
        ("resnet50", 150, ["Stem", "Bottleneck", "BottleneckStage", "BottleneckStages"]),
        ("resnet152", 150, ["Stem", "Bottleneck", "BottleneckStage", "BottleneckStages"]),
    ],
)
def test_a_residual_network_is_as_short_as_by_hand(
    name: str, lines: int, classes: list[str]
) -> None:
    network = check_file(ROOT / "specs" / "resnet.loom").networks[name]
    source = emit_torch.source(network.graph)
    assert _classes(source) == [*classes, name.capitalize()]
    assert len(source.splitlines()) < lines


SHARED = """
network embed {
    input x: float32[N, 1, h, w]
    small = conv(4, 3, stride=2, pad=1)
    head y = small -> relu -> global_avgpool -> flatten
}
network net {
    input left:  float32[N, 1, 8, 8]
    input right: float32[N, 1, 16, 16]
    a = left -> embed
    b = right -> embed
    head out = add { a  b }
}
"""


def test_a_shape_is_right_for_all_calls_of_something_shared() -> None:
    network = check(Source("net.loom", SHARED)).networks["net"]
    _holds(network)
    source = emit_torch.source(network.graph)
    assert '"""`embed`: (N, 1, h, w) -> (N, 4)."""' in source
    assert "small = self.small(x)  # (N, 4, h//2, w//2)" in source


def test_braces_of_a_block_are_called_after_it() -> None:
    block = """block b(ch: int) {
        add {
            { skip = in -> conv(ch, 1)  concat { in  skip }  conv(ch, 1) }
            conv(ch, 1)
        }
    }"""
    assert _classes(_source(block, "b(3)\nb(4)")) == ["BBranch1", "B", "Net"]


OPTIONS = ["f", "g", "k == 1", "s == 1", "in.channels == ch", "f or g", "not f and k != 2"]


def _random_spec(seed: int) -> str:
    """Blocks whose parts are there or not, called in many ways."""
    chance = random.Random(seed)

    def part() -> str:
        inside = ["conv(in.channels, 3, pad=1)", "batchnorm", "relu", "act(g)", "conv(ch, 1)"]
        condition = chance.choice(OPTIONS)
        same = " ".join(chance.choices(inside[:4], k=2))
        return chance.choice(
            [
                chance.choice(inside),
                f"if {condition} {{ {chance.choice(inside)} }}",
                f"if {condition} {{ relu }} else {{ batchnorm }}",
                f"residual if {condition} {{ {same} }}",
                "residual { conv(ch, 1) } shortcut if in.channels != ch { conv(ch, 1) }",
                f"repeat {chance.choice(['k', 'k - 1', '2'])} {{ {same} }}",
                f"repeat i in 0..k + 1 {{ conv({chance.choice(['ch', 'ch + 2*i'])}, 1) }}",
                "repeat i in 0..k { dropout(0.1 * i)  conv(in.channels, 1) }",
                f"repeat k {{ {same}  repeat i in 0..2 {{ conv(ch + i, 1) }} }}",
                "gate { global_avgpool -> conv(in.channels, 1) -> sigmoid }",
            ]
        )

    body = "\n    ".join(part() for _ in range(chance.randint(2, 5)))
    truth = ["true", "false"]
    calls = "\n    ".join(
        f"blk({chance.randint(2, 4)}, {chance.randint(1, 3)}, {chance.randint(1, 2)}, "
        f"{chance.choice(truth)}, {chance.choice(truth)})"
        for _ in range(chance.randint(3, 6))
    )
    return (
        "block act(f: bool) { if f { relu } else { tanh } }\n"
        f"block blk(ch: int, k: int, s: int, f: bool, g: bool) {{\n    {body}\n}}\n"
        f"network net {{\n    input image: float32[N, 3, 5, 5]\n    {calls}\n"
        "    head out = global_avgpool -> flatten -> linear(3)\n}\n"
    )


@pytest.mark.parametrize("seed", range(16))
def test_random_blocks_compute_what_they_should(seed: int) -> None:
    _holds(built(_random_spec(seed)))


@pytest.mark.slow
def test_many_random_blocks_compute_what_they_should() -> None:
    for seed in range(100, 400):
        _holds(built(_random_spec(seed)))


def test_a_class_with_options_trains() -> None:
    module = emit_torch.module(built(_random_spec(3)).graph).train()
    module(torch.randn(2, 3, 5, 5)).sum().backward()
    assert all(each.grad is not None for each in module.parameters())
