"""What a spec means: wiring, names, braces, parameters. The rules are those of docs/language.md."""

import pytest

from netloom.compile import Network, check
from netloom.diagnostics import Failed, Source
from netloom.ir.graph import Graph
from netloom.ir.types import shape_text


def networks(text: str) -> dict[str, Network]:
    """The checked networks of a spec."""
    return check(Source("net.loom", text)).networks


def graph(body: str, blocks: str = "", shape: str = "N, 3, h, w") -> Graph:
    """The network of that body, which names its last value `y`, if no head is given."""
    end = "" if "head " in body else "\nhead y"
    text = f"{blocks}\nnetwork net {{\ninput x: float32[{shape}]\n{body}{end}\n}}"
    return networks(text)["net"].graph


def wiring(found: Graph) -> list[str]:
    """Each layer with what it reads: `conv1: x`."""
    return [
        f"{layer.name}: {', '.join(value.name for value in layer.op.operands())}"
        for layer in found.layers
    ]


def paths(found: Graph) -> list[str]:
    """The path of each layer, in order."""
    return [layer.name for layer in found.layers]


def output(found: Graph) -> str:
    """The shape of the first head."""
    return shape_text(found.heads[0].value.type.shape)


# The current value.


def test_a_statement_reads_the_current_value_or_the_one_it_names() -> None:
    found = graph("a = relu\nb = tanh\nx -> sigmoid\ny = a -> add { in b }")
    assert wiring(found) == ["a: x", "b: a", "sigmoid1: x", "y: a, b"]


def test_a_head_does_not_move_the_current_value() -> None:
    found = graph("a = relu\nhead first = tanh\nhead second = sigmoid")
    assert wiring(found) == ["a: x", "first: a", "second: a"]


def test_a_head_can_export_a_value_by_its_name() -> None:
    found = graph("a = relu\nb = tanh\nhead a\nhead x\nhead c = b")
    assert [(head.name, head.value.name) for head in found.heads] == [
        ("a", "a"),
        ("x", "x"),
        ("c", "b"),
    ]


def test_of_several_results_the_first_goes_on() -> None:
    found = graph("pooled, where = maxpool(2, indices=true)\nrelu\ny = unpool(where)")
    assert wiring(found) == ["maxpool1: x", "relu1: pooled", "y: relu1, where"]


def test_fewer_names_than_results_are_enough() -> None:
    assert wiring(graph("a = maxpool(2, indices=true)\ny = relu")) == ["a: x", "y: a"]


def test_several_inputs_are_read_by_name() -> None:
    text = """
        network net {
            input a: float32[N, 2]
            input b: float32[N, 2]
            head y = b -> add { in a }
        }
    """
    assert wiring(networks(text)["net"].graph) == ["y: b, a"]


def test_a_name_given_takes_precedence_over_an_operator() -> None:
    assert wiring(graph("relu = tanh\nsigmoid\ny = relu -> flatten")) == [
        "relu: x",
        "sigmoid1: relu",
        "y: relu",
    ]


# Braces.


def test_branches_start_from_the_value_that_enters() -> None:
    found = graph("relu\ny = concat { in  tanh  { sigmoid relu in -> tanh } }")
    assert wiring(found)[:3] == ["relu1: x", "y.branch2: relu1", "y.branch3.sigmoid1: relu1"]
    assert wiring(found)[-2:] == [
        "y.branch3.tanh1: relu1",
        "y.concat1: relu1, y.branch2, y.branch3.tanh1",
    ]


def test_names_inside_a_brace_stay_inside() -> None:
    with pytest.raises(Failed, match="no operator, block or value `a`"):
        graph("add { { a = relu }  tanh }\ny = a")


def test_names_outside_a_brace_can_be_read_inside() -> None:
    found = graph("a = relu\ntanh\ny = add { a  in }")
    assert wiring(found)[-1] == "y: a, tanh1"


def test_a_residual_adds_what_enters_to_the_body() -> None:
    found = graph("relu\nresidual { tanh sigmoid }\ny = relu")
    assert wiring(found) == [
        "relu1: x",
        "tanh1: relu1",
        "sigmoid1: tanh1",
        "add1: sigmoid1, relu1",
        "y: add1",
    ]


def test_a_shortcut_replaces_the_identity() -> None:
    found = graph("y = residual { conv(4, 3, pad=1) } shortcut { conv(4, 1) -> batchnorm }")
    assert wiring(found)[-1] == "y.add1: y.conv1, y.shortcut.batchnorm1"


@pytest.mark.parametrize(("channels", "layers"), [(3, 2), (4, 3)])
def test_a_conditional_shortcut_is_placed_where_it_holds(channels: int, layers: int) -> None:
    block = """
        block unit(ch: int) {
            residual { conv(ch, 1) } shortcut if in.channels != ch { conv(ch, 1) }
        }
    """
    assert len(graph(f"y = unit({channels})", block).layers) == layers


def test_a_repeat_threads_the_current_value() -> None:
    assert wiring(graph("y = repeat 3 { relu }")) == ["y.0: x", "y.1: y.0", "y.2: y.1"]


def test_a_repeat_counts_from_its_start_and_not_to_its_end() -> None:
    found = graph("y = repeat i in 2..5 { conv(i, 1) }")
    assert [layer.results[0].type.shape[1] for layer in found.layers] == [2, 3, 4]


def test_a_repeat_of_nothing_leaves_the_value_as_it_is() -> None:
    assert wiring(graph("repeat 0 { tanh }\ny = relu")) == ["y: x"]


@pytest.mark.parametrize(
    ("condition", "kept"),
    [("x.channels == 3", "relu"), ("x.channels > 3", "tanh"), ("not false or 1 // 0 == 1", "relu")],
)
def test_if_keeps_one_arm_in_the_scope_around_it(condition: str, kept: str) -> None:
    found = graph(f"if {condition} {{ relu }} else {{ tanh }}\ny = sigmoid")
    assert wiring(found) == [f"{kept}1: x", f"y: {kept}1"]


def test_else_if_goes_on_asking() -> None:
    body = "if 1 > 2 { relu } else if 2 > 1 { tanh } else { sigmoid }\ny = flatten"
    assert wiring(graph(body)) == ["tanh1: x", "y: tanh1"]


def test_let_names_a_constant() -> None:
    body = "let k = x.channels * 2\nlet side = [1, 3]\ny = conv(k // 3, side, pad=[0, 1])"
    assert output(graph(body)) == "[N, 2, h, w]"


# Blocks and parameters.


def test_a_block_has_parameters_with_defaults() -> None:
    block = "block unit(ch: int, k: int = 3, act: bool = true) { conv(ch, k) if act { relu } }"
    found = graph("unit(4)\nunit(8, 5)\ny = unit(k=1, ch=2, act=false)", block)
    assert paths(found) == ["unit1.conv1", "unit1.relu1", "unit2.conv1", "unit2.relu1", "y.conv1"]
    assert output(found) == "[N, 2, h - 6, w - 6]"


def test_a_block_sees_its_parameters_and_nothing_around_it() -> None:
    with pytest.raises(Failed, match="no value named `k`"):
        graph("let k = 3\nb\ny = relu", "block b() { conv(4, k) }")


def test_in_means_what_enters_the_innermost_brace() -> None:
    block = "block grow(by: int) { concat { in  conv(in.channels + by, 1) } }"
    assert output(graph("grow(2)\ny = grow(1)", block)) == "[N, 17, h, w]"


def test_a_network_takes_its_defaults() -> None:
    text = "network net(classes: int = 7) { input x: float32[N, 4] head y = linear(classes) }"
    assert output(networks(text)["net"].graph) == "[N, 7]"


def test_several_networks_stand_in_one_file() -> None:
    text = "".join(
        f"network {name} {{ input x: float32[N, 4] head y = linear({size}) }}\n"
        for name, size in (("a", 1), ("b", 2))
    )
    assert {name: output(each.graph) for name, each in networks(text).items()} == {
        "a": "[N, 1]",
        "b": "[N, 2]",
    }


# Names are paths.


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("conv(4, 1) -> relu\nconv(4, 1)\ny = tanh", ["conv1", "relu1", "conv2", "y"]),
        ("y = conv(4, 1) -> relu -> tanh", ["y", "y.relu1", "y.tanh1"]),
        ("y = relu -> relu", ["y.relu1", "y.relu2"]),
        ("y = conv(4, 1) -> batchnorm -> relu", ["y.conv1", "y.batchnorm1", "y.relu1"]),
        ("a = x -> conv(4, 1)\ny = a -> relu", ["a", "y"]),
        ("p, i = maxpool(2, indices=true)\ny = relu", ["maxpool1", "y"]),
        ("conv1 = relu\nconv(4, 1)\ny = relu", ["conv1", "conv2", "y"]),
        (
            "add { conv(4, 1)  conv(4, 1) -> relu }\ny = relu",
            ["branch1", "branch2.conv1", "branch2.relu1", "add1", "y"],
        ),
        (
            "y = add { conv(4, 1)  tanh -> conv(4, 1) }",
            ["y.branch1", "y.branch2.tanh1", "y.branch2.conv1", "y.add1"],
        ),
        ("repeat 2 { conv(4, 1) }\ny = relu", ["repeat1.0", "repeat1.1", "y"]),
        (
            "repeat 2 { conv(4, 1) -> relu }\ny = relu",
            ["repeat1.0.conv1", "repeat1.0.relu1", "repeat1.1.conv1", "repeat1.1.relu1", "y"],
        ),
        (
            "residual { conv(3, 1) } shortcut { tanh }\nresidual { relu } shortcut { relu }\ny = x",
            ["conv1", "shortcut", "add1", "relu1", "shortcut2", "add2"],
        ),
        ("if true { conv(4, 1) }\nconv(4, 1)\ny = relu", ["conv1", "conv2", "y"]),
        ("head y = conv(4, 1) -> relu", ["y", "y.relu1"]),
    ],
)
def test_paths(body: str, expected: list[str]) -> None:
    assert paths(graph(body)) == expected


def test_a_block_call_is_a_scope_and_a_brace_with_one_call_is_that_call() -> None:
    blocks = "block basic(ch: int) { conv(ch, 1) -> relu }\nblock stage() { repeat 2 { basic(4) } }"
    found = graph("basic(4)\nstage\ny = stage", blocks)
    assert paths(found) == [
        "basic1.conv1",
        "basic1.relu1",
        "stage1.repeat1.0.conv1",
        "stage1.repeat1.0.relu1",
        "stage1.repeat1.1.conv1",
        "stage1.repeat1.1.relu1",
        "y.repeat1.0.conv1",
        "y.repeat1.0.relu1",
        "y.repeat1.1.conv1",
        "y.repeat1.1.relu1",
    ]


def test_editing_one_line_does_not_rename_the_layers_of_another_scope() -> None:
    block = "block b() {{ conv(4, 1) {} -> batchnorm }}"
    before = paths(graph("b\nconv(4, 1)\ny = relu", block.format("")))
    after = paths(graph("b\nconv(4, 1)\ny = relu", block.format("-> relu")))
    assert set(before) < set(after)


def test_values_have_the_names_that_the_spec_gives_them() -> None:
    found = graph("a = conv(4, 1) -> relu\ny = a -> tanh")
    names = [value.name for layer in found.layers for value in layer.results]
    assert len(set(names)) == len(names)
    assert found.named["a"].name == "a"
    assert found.named["a"] is found.layers[1].results[0]


# Shapes with free sizes.


@pytest.mark.parametrize(
    ("body", "shape", "expected"),
    [
        ("y = conv(8, 3, stride=2, pad=1)", "N, 3, 32*h, 32*w", "[N, 8, 16*h, 16*w]"),
        ("y = conv(8, 3, stride=2, pad=1)", "N, 3, h, w", "[N, 8, (h + 1)//2, (w + 1)//2]"),
        ("y = maxpool(2)", "N, 3, h, 45", "[N, 3, h//2, 22]"),
        ("y = maxpool(2) -> upsample(2)", "N, 3, h, 45", "[N, 3, 2*(h//2), 44]"),
        ("y = flatten", "N, 3, h, w", "[N, 3*h*w]"),
        ("y = deconv(8, 4, stride=2, pad=1)", "N, 3, h, w", "[N, 8, 2*h, 2*w]"),
        ("y = concat { conv(2, 1)  conv(5, 1) }", "batch, 3, h, h", "[batch, 7, h, h]"),
        ("y = relu", "2*n + 1, 3, h - 1 + w, 5*5", "[2*n + 1, 3, h + w - 1, 25]"),
    ],
)
def test_shapes(body: str, shape: str, expected: str) -> None:
    assert output(graph(body, shape=shape)) == expected


def test_a_size_has_one_meaning_in_all_inputs() -> None:
    text = """
        network net {
            input a: float32[N, 2, h, w]
            input b: float32[N, 2, w, h]
            head y = a -> add { in b }
        }
    """
    with pytest.raises(Failed, match=r"\[N, 2, h, w\] and \[N, 2, w, h\] differ"):
        networks(text)


def test_what_the_data_decides_is_no_size_of_the_input() -> None:
    text = """
        network net {
            input boxes: float32[kept, 4]
            input scores: float32[kept]
            head y = boxes -> nms(scores, 0.5)
            require shape(y) == [kept]
        }
    """
    with pytest.raises(Failed, match=r"`shape\(y\)` is \[kept2\]"):
        networks(text)


def test_sizes_that_the_data_decides_are_all_different() -> None:
    text = """
        network net {
            input boxes: float32[r, 4]
            input scores: float32[r]
            head a = boxes -> nms(scores, 0.5)
            head b = boxes -> nms(scores, 0.6)
            require shape(a) == shape(b)
        }
    """
    with pytest.raises(Failed, match="E401"):
        networks(text)


# Modes.


def test_what_only_training_needs_is_not_in_the_inference_graph() -> None:
    heads = "train head loss = conv(2, 1)\ninfer head p = a -> sigmoid\nhead y = a -> tanh"
    found = graph(f"a = conv(4, 1)\n{heads}")
    assert [layer.name for layer in found.layers_in("infer")] == ["a", "p", "y"]
    assert [layer.name for layer in found.layers_in("train")] == ["a", "loss", "y"]


def test_costs_are_those_of_the_inference_graph_for_one_sample() -> None:
    text = """
        network net {
            input x: float32[N, 3, 4, 4]
            a = conv(2, 1, bias=false)
            train head loss = conv(9, 1)
            head y = a
        }
    """
    cost = networks(text)["net"].cost
    assert (cost.params, cost.macs) == (6, 96)


# Mistakes do not hide one another.


def codes(body: str) -> list[str]:
    """The codes that a network of that body is refused with."""
    with pytest.raises(Failed) as failed:
        graph(body)
    return [diagnostic.code for diagnostic in failed.value.diagnostics]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("let k = 4 // 0\nlet j = k + 1\nconv(k, j)\ny = relu", ["E216"]),
        ("let k = 4 // 0\nx -> conv(4, 3, padd=1)\ny = relu", ["E216", "E203"]),
        ("a = relu\nhead b = a\nhead b = a -> tanh\nconv(4, 1, groups=2)", ["E211", "E206"]),
        ("head z\nconv(4, 1, groups=2)\nhead y = x", ["E201", "E206"]),
        ("convv(3)\nrelu -> tanh\nx -> reluu\ny = x", ["E202", "E202"]),
    ],
)
def test_a_mistake_hides_only_what_depends_on_it(body: str, expected: list[str]) -> None:
    assert codes(body) == expected
