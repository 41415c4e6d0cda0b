"""Rewrites of the ONNX graph: what each merges, what it leaves, and that results stay the same."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy
import onnx
import onnxruntime
import pytest

from emitted import emission_differences
from generator.random_networks import random_network
from generator.text import spec
from netloom.compile import check
from netloom.diagnostics import Source
from netloom.emit import onnx as emit_onnx
from netloom.emit.onnx.rewrites import linear
from netloom.emit.weights import Weights
from netloom.ir.dims import evaluate_to_int
from netloom.ir.graph import Graph
from netloom.passes.admissible import small_sizes
from netloom.runtime.export import left_out
from netloom.runtime.verify import randomised, verify


def graph_of(body: str, x: str = "float32[N, 4, h, w]") -> Graph:
    text = f"network n {{\n    input x: {x}\n{body}\n    head y = in_the_end\n}}\n"
    text = text.replace(
        "    head y = in_the_end\n", "" if "head" in body else "    head y = relu\n"
    )
    return check(Source("n.loom", text)).networks["n"].graph


def merged(graph: Graph) -> tuple[Counter[str], list[str]]:
    """What is done to a network, by rewrite, and the nodes that are left; values stay the same."""
    weights = randomised(graph)
    program, changes = emit_onnx.program(graph, weights)
    model = emit_onnx.model_bytes(graph, weights)
    onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
    proof = verify(graph, weights, model)
    assert proof.holds, proof.comparisons
    _keeps_named_values(graph, weights)
    return Counter(change.rewrite for change in changes), [step.op_type for step in program.steps]


def _keeps_named_values(graph: Graph, weights: Weights) -> None:
    """A tensor that is called like a value of the network is that value, merged or not."""
    program, _ = emit_onnx.program(graph, weights)
    names = {name for step in program.steps for name in step.outputs if "/" not in name}
    *_, sizes = small_sizes(graph)
    generator = numpy.random.default_rng(0)
    feed = {
        value.name: generator.normal(
            size=[evaluate_to_int(d, sizes) for d in value.type.shape]
        ).astype("float32")
        for value in graph.inputs
    }
    found = []
    for fold in (True, False):
        model = onnx.load_from_string(emit_onnx.model_bytes(graph, weights, fold=fold))
        del model.graph.output[:]
        model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(each) for each in names)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, ["CPUExecutionProvider"]
        )
        found.append(dict(zip(names, session.run(list(names), feed), strict=True)))
    for name in names:
        together, apart = found[0][name], found[1][name]
        assert numpy.abs(together - apart).max() <= 1e-5 * max(1, numpy.abs(apart).max()), name


BATCHNORM = {
    "conv(6, 3) -> batchnorm": ["Conv", "Relu"],
    "conv(6, 3, bias=false) -> batchnorm(eps=0.1)": ["Conv", "Relu"],
    "conv(8, 3, groups=4) -> batchnorm": ["Conv", "Relu"],
    "deconv(6, 3, stride=2) -> batchnorm": ["ConvTranspose", "Relu"],
    "deconv(6, 3, stride=2, groups=2, bias=false) -> batchnorm": ["ConvTranspose", "Relu"],
    "global_avgpool -> flatten -> linear(6) -> batchnorm": [
        "GlobalAveragePool",
        "Flatten",
        "Gemm",
        "Relu",
    ],
    "conv(6, 3) -> batchnorm -> batchnorm": ["Conv", "Relu"],
    "conv(6, 3) -> dropout -> batchnorm": ["Conv", "Relu"],
}


@pytest.mark.parametrize("body", BATCHNORM)
def test_batch_norm_goes_into_the_weights(body: str) -> None:
    changes, left = merged(graph_of(body))
    assert set(changes) == {"batchnorm"}
    assert left == BATCHNORM[body]


KEPT = [
    "batchnorm",
    "relu -> batchnorm",
    "conv(6, 3) -> relu -> batchnorm",
    "maxpool(2) -> batchnorm",
    "a = conv(6, 3)\n a -> batchnorm -> concat { in a }",
    "a = conv(6, 3)\n head a\n b = a -> batchnorm\n head b",
    "concat { conv(3, 1) conv(3, 1) } -> batchnorm",
]


@pytest.mark.parametrize("body", KEPT)
def test_batch_norm_stays_where_something_else_reads_what_it_does(body: str) -> None:
    changes, left = merged(graph_of(body))
    assert not changes
    assert "BatchNormalization" in left


def test_shared_layers_share_what_is_merged() -> None:
    text = """
block unit(ch: int) { conv(ch, 3, pad=1) -> batchnorm -> relu }
network n {
    input x: float32[N, 4, h, w]
    share same = unit(4)
    same -> same -> conv(4, 1)
    head y = relu
}
"""
    graph = check(Source("n.loom", text)).networks["n"].graph
    changes, left = merged(graph)
    assert changes == {"batchnorm": 2}
    assert left.count("Conv") == 3
    program, _ = emit_onnx.program(graph, randomised(graph))
    weights = [step.inputs[1:] for step in program.steps if step.op_type == "Conv"]
    assert weights[0] == weights[1]


PADDING = {
    "pad(1) -> conv(4, 3)": (1, ["Conv", "Relu"]),
    "pad(before=[1, 2], after=[0, 3]) -> conv(4, 3, pad=1, stride=2)": (1, ["Conv", "Relu"]),
    "same_pad(2) -> conv(4, 2)": (1, ["Conv", "Relu"]),
    "pad(1) -> avgpool(3)": (1, ["AveragePool", "Relu"]),
    "pad(1) -> avgpool(4, pad=1)": (1, ["AveragePool", "Relu"]),
    "pad(1) -> avgpool(3, count_pad=false)": (1, ["AveragePool", "Relu"]),
    "pad(1) -> avgpool(3, pad=1, count_pad=false)": (0, ["Pad", "AveragePool", "Relu"]),
    "pad(2) -> avgpool(3, pad=1)": (0, ["Pad", "AveragePool", "Relu"]),
    "pad(1) -> maxpool(3)": (0, ["Pad", "MaxPool", "Relu"]),
    'pad(1, mode="reflect") -> conv(4, 3)': (0, ["Pad", "Conv", "Relu"]),
    "pad(before=-1, after=1) -> conv(4, 3, pad=1)": (0, ["Pad", "Conv", "Relu"]),
    "a = pad(1)\n a -> conv(4, 3) -> relu -> add { in { a -> conv(4, 3) } }": (
        1,
        ["Conv", "Relu", "Conv", "Add", "Relu"],
    ),
    "a = pad(1)\n a -> conv(4, 3, pad=1) -> relu -> add { in a }": (
        0,
        ["Pad", "Conv", "Relu", "Add", "Relu"],
    ),
}


@pytest.mark.parametrize("body", PADDING)
def test_zeros_become_the_padding_of_what_reads_them(body: str) -> None:
    count, wanted = PADDING[body]
    changes, left = merged(graph_of(body))
    assert changes["padding"] == count
    assert left == wanted


SCALING = {
    "conv(6, 3) -> scale": ["Conv", "Relu"],
    "conv(6, 3) -> batchnorm -> scale": ["Conv", "Relu"],
    "deconv(6, 3, groups=2) -> scale": ["ConvTranspose", "Relu"],
    "global_avgpool -> flatten -> linear(5, bias=false) -> scale": [
        "GlobalAveragePool",
        "Flatten",
        "Gemm",
        "Relu",
    ],
    "conv(6, 3) -> relu -> scale": ["Conv", "Relu", "Mul", "Relu"],
    "a = conv(6, 3)\n a -> scale -> add { in a }": ["Conv", "Mul", "Add", "Relu"],
}


@pytest.mark.parametrize("body", SCALING)
def test_factors_of_channels_go_into_the_weights(body: str) -> None:
    assert merged(graph_of(body))[1] == SCALING[body]


BRANCHES = {
    "add { conv(4, 3, pad=1) conv(4, 1) }": ["Conv", "Relu"],
    "add { conv(4, 3, pad=1, bias=false) conv(4, 1, bias=false) }": ["Conv", "Relu"],
    "add { conv(4, 1) conv(4, 3, pad=1) in }": ["Conv", "Relu"],
    "add { { conv(4, 3, pad=1) -> batchnorm } { conv(4, 1) -> batchnorm } { batchnorm } }": [
        "Conv",
        "Relu",
    ],
    "residual { conv(4, 3, pad=1) }": ["Conv", "Relu"],
    "residual { residual { conv(4, 3, pad=1) } }": ["Conv", "Relu"],
    "residual { conv(4, 3, pad=1, groups=4) }": ["Conv", "Relu"],
    "residual { conv(4, 3, pad=1, groups=2) }": ["Conv", "Relu"],
    "add { conv(6, 3, pad=1, stride=2) conv(6, 1, stride=2) }": ["Conv", "Relu"],
    "add { conv(6, 3, pad=2, dilation=2) conv(6, 1) }": ["Conv", "Relu"],
    "add { conv(6, 5, pad=2) conv(6, 3, pad=2, dilation=2) }": [
        "Conv",
        "Conv",
        "Add",
        "Relu",
    ],
    "add { conv(6, 3, pad=2, dilation=2) conv(6, 3, pad=1) conv(6, 1) }": [
        "Conv",
        "Conv",
        "Add",
        "Relu",
    ],
    "add { conv(6, [3, 1], pad=[1, 0]) conv(6, [1, 3], pad=[0, 1]) }": [
        "Conv",
        "Conv",
        "Add",
        "Relu",
    ],
    "add { conv(6, [3, 1], pad=[1, 0]) conv(6, [1, 3], pad=[0, 1]) conv(6, 3, pad=1) }": [
        "Conv",
        "Relu",
    ],
    "add { conv(4, 3, pad=1) conv(4, 3, pad=1, groups=2) }": ["Conv", "Conv", "Add", "Relu"],
    "add { conv(4, 3, pad=1) { relu -> conv(4, 1) } }": ["Conv", "Relu", "Conv", "Add", "Relu"],
    "add { conv(4, 3, pad=1) { conv(4, 1) -> relu } }": ["Conv", "Conv", "Relu", "Add", "Relu"],
    "add { { pad([0, 1]) -> conv(4, [1, 3]) } conv(4, 1) }": ["Conv", "Relu"],
    "global_avgpool -> flatten -> add { linear(4) linear(4, bias=false) in }": [
        "GlobalAveragePool",
        "Flatten",
        "Gemm",
        "Relu",
    ],
    "add { in { batchnorm } }": ["BatchNormalization", "Add", "Relu"],
    "a = relu\n add { in conv(4, 1) a }": ["Relu", "Conv", "Relu"],
    "conv(4, 1) -> add { in conv(4, 1) }": ["Conv", "Relu"],
    "mul { conv(4, 3, pad=1) conv(4, 1) }": ["Conv", "Conv", "Mul", "Relu"],
}


@pytest.mark.parametrize("body", BRANCHES)
def test_linear_branches_are_added_before_they_run(body: str) -> None:
    assert sorted(merged(graph_of(body))[1]) == sorted(BRANCHES[body])


CHAINS = {
    "global_avgpool -> flatten -> linear(6) -> linear(5) -> linear(7, bias=false)": [
        "GlobalAveragePool",
        "Flatten",
        "Gemm",
        "Relu",
    ],
    "global_avgpool -> flatten -> linear(1) -> linear(7)": [
        "GlobalAveragePool",
        "Flatten",
        "Gemm",
        "Gemm",
        "Relu",
    ],
    "conv(9, 3, pad=1, stride=2, dilation=2) -> conv(4, 1)": ["Conv", "Relu"],
    "conv(9, 3, pad=1) -> conv(4, 1, stride=2)": ["Conv", "Relu"],
    "conv(9, 1, bias=false) -> conv(4, 3, pad=1)": ["Conv", "Relu"],
    "conv(9, 1) -> conv(4, 3, stride=2)": ["Conv", "Relu"],
    "conv(9, 1) -> conv(4, 3, pad=1)": ["Conv", "Conv", "Relu"],
    "conv(9, 1, stride=2) -> conv(4, 3)": ["Conv", "Conv", "Relu"],
    "conv(9, 3) -> conv(4, 3)": ["Conv", "Conv", "Relu"],
    "conv(1, 1) -> conv(9, 1)": ["Conv", "Conv", "Relu"],
    "conv(8, 3, groups=2) -> conv(4, 1)": ["Conv", "Conv", "Relu"],
    "a = conv(9, 1)\n conv(4, 1) -> concat { in a }": ["Conv", "Conv", "Concat", "Relu"],
    "conv(9, 3) -> relu -> conv(4, 1)": ["Conv", "Relu", "Conv", "Relu"],
    "conv(9, 3) -> batchnorm -> conv(4, 1) -> batchnorm": ["Conv", "Relu"],
}


@pytest.mark.parametrize("body", CHAINS)
def test_consecutive_linear_layers_are_multiplied(body: str) -> None:
    assert merged(graph_of(body))[1] == CHAINS[body]


def test_what_known_sizes_decide_is_calculated() -> None:
    body = "a = conv(4, 3)\n b = conv(4, 3)\n b -> concat { in { a -> crop(like=b) } }"
    known, left = merged(graph_of(body, "float32[N, 4, 12, 12]"))
    assert known["constants"]
    assert "Shape" not in left
    free, left = merged(graph_of(body))
    assert not free["constants"]
    assert "Shape" in left


def test_what_only_training_needs_is_told() -> None:
    body = "a = conv(4, 3) -> dropout\n train head t = a -> relu -> conv(2, 1)\n head y = a"
    told = left_out(graph_of(body))
    assert [change.words for change in told] == [
        "a.dropout1 acts in training only",
        "t, a head of training, with 2 layers",
    ]
    assert told[1].layers == ("t.relu1", "t")


def test_nothing_is_merged_unless_asked() -> None:
    graph = graph_of("conv(6, 3) -> batchnorm")
    program, changes = emit_onnx.program(graph, randomised(graph), fold=False)
    assert not changes
    assert [step.op_type for step in program.steps] == ["Conv", "BatchNormalization", "Relu"]


def test_every_rewrite_happens_in_random_networks() -> None:
    found: Counter[str] = Counter()
    for seed in range(400):
        graph = check(Source("n.loom", spec(random_network(seed)))).networks["net"].graph
        _, changes = emit_onnx.program(graph, randomised(graph))
        found.update({change.rewrite for change in changes})
    assert set(found) == {"constants", "padding", "batchnorm", "scaling", "branches", "chain"}


NETS = 1000
CHUNKS = 20


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_random_networks_keep_their_values(chunk: int) -> None:
    for seed in range(chunk, NETS, CHUNKS):
        net = random_network(seed)
        found = emission_differences(net)
        assert not found, f"seed {seed}: {found[0]}\n{spec(net)}"


def test_merged_weights_that_are_a_little_off_are_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = linear._content

    def spoilt(calculate: Callable[[], Any]) -> bytes:
        array = numpy.frombuffer(content(calculate), "float32")
        return (array * 1.001 + 0.001).tobytes()

    monkeypatch.setattr(linear, "_content", spoilt)
    spoilt_networks = found = 0
    for seed in range(80):
        net = random_network(seed)
        graph = check(Source("n.loom", spec(net))).networks["net"].graph
        _, changes = emit_onnx.program(graph, randomised(graph))
        if {change.rewrite for change in changes} & {"batchnorm", "scaling", "branches", "chain"}:
            spoilt_networks += 1
            found += bool(emission_differences(net))
    assert found > spoilt_networks / 2 > 0
