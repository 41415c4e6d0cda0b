"""From text to tree: what binds how tightly, what a layout means, and where each piece stands."""

import contextlib
import time
from collections.abc import Callable, Iterator

import pytest

from netloom.compile import check
from netloom.diagnostics import Failed, Source, Span
from netloom.syntax import ast
from netloom.syntax.parse import parse


def network(body: str) -> ast.Network:
    """The tree of a network with that body."""
    (found,) = parse(Source("net.loom", f"network net {{\n{body}\n}}")).items
    assert isinstance(found, ast.Network)
    return found


def flows(body: str) -> list[ast.Flow]:
    """The pipelines of a network with that body."""
    return [each for each in network(body).statements if isinstance(each, ast.Flow)]


def shown(expression: ast.Expression) -> str:
    """An expression with all its parentheses."""
    match expression:
        case ast.Number() | ast.Truth():
            return str(expression.value).lower()
        case ast.Text():
            return repr(expression.value)
        case ast.Sequence():
            return "[" + ", ".join(map(shown, expression.items)) + "]"
        case ast.Variable():
            return expression.name
        case ast.Incoming():
            return "in"
        case ast.Attribute():
            return f"{shown(expression.of)}.{expression.name.text}"
        case ast.Element():
            return f"{shown(expression.of)}[{shown(expression.position)}]"
        case ast.Application():
            given = ", ".join(shown(each.value) for each in expression.arguments)
            return f"{expression.name.text}({given})"
        case ast.Unary():
            return f"({expression.operator} {shown(expression.operand)})"
        case ast.Chain():
            text = shown(expression.first)
            for operator, operand in expression.rest:
                text = f"({text} {operator} {shown(operand)})"
            return text


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("a + b * c", "(a + (b * c))"),
        ("a * b + c", "((a * b) + c)"),
        ("a - b - c", "((a - b) - c)"),
        ("a // b * c % d / e", "((((a // b) * c) % d) / e)"),
        ("(a + b) * c", "((a + b) * c)"),
        ("-a[1] + b.c[i - 1]", "((- a[1]) + b.c[(i - 1)])"),
        ("-a * b", "((- a) * b)"),
        ("a - -b", "(a - (- b))"),
        ("-a.b", "(- a.b)"),
        ("a + 1 < b * 2", "((a + 1) < (b * 2))"),
        ("not a == b", "(not (a == b))"),
        ("a or b and not c", "(a or (b and (not c)))"),
        ("a and b and c or d", "(((a and b) and c) or d)"),
        ("a == 1 and b != 2", "((a == 1) and (b != 2))"),
        ("in.channels // 2", "(in.channels // 2)"),
        ("rf(x) <= 7", "(rf(x) <= 7)"),
        ("shape(x) == [N, 2*h]", "(shape(x) == [N, (2 * h)])"),
        ("[1, [2, true],]", "[1, [2, true]]"),
        ("1_000_000", "1000000"),
        ("1e-4", "0.0001"),
        ("1_0.5", "10.5"),
        (r'"a \"b\"\\\n\t#"', repr('a "b"\\\n\t#')),
    ],
)
def test_expressions_bind_as_written(text: str, meaning: str) -> None:
    (let,) = network(f"let x = {text}").statements
    assert isinstance(let, ast.Let)
    assert shown(let.value) == meaning


@pytest.mark.parametrize("text", ["a < b < c", "a == b == c", "1 2", "a not b", "{a}", ".5", "5."])
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(Failed):
        network(f"let x = [{text}]")


def stages(flow: ast.Flow) -> list[str]:
    """What a pipeline calls, in order."""
    return [stage.name.text for stage in flow.pipeline.stages if isinstance(stage, ast.Call)]


def test_a_line_that_begins_with_an_arrow_continues_the_one_above() -> None:
    (flow,) = flows("conv(4, 3)\n    -> relu # here\n\n    -> maxpool(2)")
    assert stages(flow) == ["conv", "relu", "maxpool"]


def test_statements_need_no_separator() -> None:
    assert [stages(flow) for flow in flows("relu tanh a = conv(4, 3) -> relu sigmoid")] == [
        ["relu"],
        ["tanh"],
        ["conv", "relu"],
        ["sigmoid"],
    ]


def test_a_pipeline_names_one_result_or_several() -> None:
    names = [[name.text for name in flow.names] for flow in flows("relu a = relu b, c = split")]
    assert names == [[], ["a"], ["b", "c"]]


def test_parentheses_make_the_difference_between_no_and_empty_arguments() -> None:
    bare, empty = (flow.pipeline.stages[0] for flow in flows("relu relu()"))
    assert isinstance(bare, ast.Call)
    assert isinstance(empty, ast.Call)
    assert (bare.arguments, empty.arguments) == (None, ())


def test_arguments_are_given_by_place_or_by_name() -> None:
    (flow,) = flows("conv(4, kernel=[3, 5],)")
    (call,) = flow.pipeline.stages
    assert isinstance(call, ast.Call)
    assert call.arguments is not None
    assert [(each.name and each.name.text, shown(each.value)) for each in call.arguments] == [
        (None, "4"),
        ("kernel", "[3, 5]"),
    ]


def test_each_line_or_brace_of_a_join_is_a_branch() -> None:
    (flow,) = flows("concat { in  conv(4, 1) -> relu  { conv(4, 1) relu }  x }")
    (join,) = flow.pipeline.stages
    assert isinstance(join, ast.Join)
    assert join.kind.text == "concat"
    assert [len(branch.statements) for branch in join.branches] == [1, 1, 2, 1]


def test_a_residual_may_have_a_shortcut_and_that_a_condition() -> None:
    plain, projected, chosen = (
        flow.pipeline.stages[0]
        for flow in flows(
            "residual { relu }  residual { relu } shortcut { tanh }"
            "  residual { relu } shortcut if s != 1 { tanh }"
        )
    )
    assert isinstance(plain, ast.Residual)
    assert isinstance(projected, ast.Residual)
    assert isinstance(chosen, ast.Residual)
    assert plain.shortcut is None
    assert projected.shortcut is not None
    assert projected.shortcut.condition is None
    assert chosen.shortcut is not None
    assert chosen.shortcut.condition is not None
    assert shown(chosen.shortcut.condition) == "(s != 1)"


def test_a_repeat_counts_or_runs_through_a_range() -> None:
    body = "repeat n - 1 { relu }  repeat i in 1..n+1 { relu }"
    counted, ranged = (flow.pipeline.stages[0] for flow in flows(body))
    assert isinstance(counted, ast.Repeat)
    assert isinstance(ranged, ast.Repeat)
    assert counted.stop is not None
    assert (counted.variable, counted.start, shown(counted.stop)) == (None, None, "(n - 1)")
    assert ranged.variable is not None
    assert ranged.start is not None
    assert ranged.stop is not None
    assert (ranged.variable.text, shown(ranged.start), shown(ranged.stop)) == ("i", "1", "(n + 1)")


def test_else_belongs_to_the_if_before_it() -> None:
    (found,) = network("if a { relu } else if b { tanh } else { sigmoid }").statements
    assert isinstance(found, ast.If)
    assert isinstance(found.otherwise, ast.If)
    assert isinstance(found.otherwise.otherwise, ast.Body)


def test_inputs_targets_and_heads() -> None:
    given, target, plain, train, infer = network(
        "input x: float32[N, 2*h] target t: int64[] head x train head a = relu infer head b = tanh"
    ).statements
    assert isinstance(given, ast.Input)
    assert isinstance(target, ast.Target)
    assert isinstance(plain, ast.Head)
    assert isinstance(train, ast.Head)
    assert isinstance(infer, ast.Head)
    assert [shown(dim) for dim in given.dims] == ["N", "(2 * h)"]
    assert target.dims == ()
    assert (plain.mode, plain.pipeline) == (None, None)
    assert (train.mode, infer.mode) == ("train", "infer")


def test_words_of_the_grammar_are_kept_apart_from_names_that_begin_with_them() -> None:
    names = [flow.names[0].text for flow in flows("inputs = relu head_ = relu repeated = relu")]
    assert names == ["inputs", "head_", "repeated"]


def test_the_version_is_optional_and_comes_first() -> None:
    assert parse(Source("net.loom", "netloom 1\nblock b() { }")).version == 1
    assert parse(Source("net.loom", "block b() { }")).version is None
    with pytest.raises(Failed):
        parse(Source("net.loom", "block b() { } netloom 1"))


def _spans(node: object) -> Iterator[tuple[object, Span]]:
    """Every record of a tree with its place."""
    if isinstance(node, tuple):
        for each in node:
            if isinstance(each, Span):
                yield node, each
            else:
                yield from _spans(each)


def test_every_record_knows_its_place() -> None:
    text = (
        "network net(a: int = 1) {\n  # é\n  x = conv(4, k=a + 2) -> relu\n  require not x.y\n}\n"
    )
    file = parse(Source("net.loom", text))
    places = [(node, text[span.start : span.end]) for node, span in _spans(file)]
    names = [(node.text, place) for node, place in places if isinstance(node, ast.Name)]
    assert all(name == place for name, place in names)
    by_kind = {type(node).__name__: place for node, place in places}
    assert by_kind["Parameter"] == "a: int = 1"
    assert by_kind["Argument"] == "k=a + 2"
    assert by_kind["Chain"] == "a + 2"
    assert by_kind["Pipeline"] == "conv(4, k=a + 2) -> relu"
    assert by_kind["Unary"] == "not x.y"
    assert by_kind["Attribute"] == "x.y"
    assert by_kind["Require"] == "require not x.y"


def _lists(count: int, inner: str) -> str:
    lets = "\n".join(f"let a{index + 1} = {inner.format(index)}" for index in range(count))
    return f"let a0 = 1\n{lets}\nconv(a{count}, 1)"


DEEP: dict[str, Callable[[int], str]] = {
    "minus": lambda n: f"let a = {'-' * n}1",
    "not": lambda n: f"let a = {'not ' * n}true",
    "attributes": lambda n: f"let a = x{'.height' * n}",
    "else if": lambda n: "if false { relu } " + "else if false { relu } " * n,
    "lists of lists": lambda n: _lists(n, "[a{0}]"),
    "lists twice in lists": lambda n: _lists(n, "[a{0}, a{0}]"),
    "residuals": lambda n: "residual { " * n + "relu" + " }" * n,
    "arrows": lambda n: " -> ".join(["relu"] * n),
}


@pytest.mark.parametrize("count", [190, 1_500])
@pytest.mark.parametrize("piece", DEEP)
def test_depth_without_brackets_is_read_or_refused(piece: str, count: int) -> None:
    body = f"input x: float32[N, 3, h, w]\n{DEEP[piece](count)}\nhead y = x -> relu"
    begin = time.process_time()
    with contextlib.suppress(Failed):
        check(Source("net.loom", f"network net {{\n{body}\n}}"))
    assert time.process_time() - begin < 10
