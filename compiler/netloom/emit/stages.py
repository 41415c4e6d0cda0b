"""The stages of a compilation as text: what `--emit` prints and golden tests pin."""

from typing import Any

from netloom.compile import Network
from netloom.diagnostics import Span
from netloom.ir.field import Extent, extent_words
from netloom.ir.graph import Layer, Scope, Value
from netloom.syntax import ast


def graph_text(network: Network) -> str:
    """The graph, one layer a line, with its scopes as headings."""
    graph = network.graph
    lines = [f"network {graph.name}"]
    lines += [f"  input {value.name}: {value.type}" for value in graph.inputs]
    lines += [f"  target {value.name}: {value.type}" for value in graph.targets]
    lines += _scope_lines(graph.scope, 1)
    for head in graph.heads:
        mode = "" if head.mode == "both" else f"{head.mode} "
        lines.append(f"  {mode}head {head.name} = {head.value.name}: {head.value.type}")
    return "\n".join(lines) + "\n"


def _scope_lines(scope: Scope, depth: int) -> list[str]:
    lines = []
    for step in scope.steps():
        margin = "  " * depth
        if isinstance(step, Layer):
            results = ", ".join(f"{value.name}: {value.type}" for value in step.results)
            lines.append(f"{margin}{results} = {_operator_text(step)}")
        else:
            block = (
                f" = block {step.block}{_arguments_text(step)}" if step.block else f" ({step.kind})"
            )
            lines.append(f"{margin}{step.name}{block}")
            lines += _scope_lines(step, depth + 1)
    return lines


def _operator_text(layer: Layer) -> str:
    parts = []
    for entry in layer.op.signature():
        given = getattr(layer.op, entry.name)
        if isinstance(given, Value):
            parts.append(given.name)
        elif entry.is_operand:
            parts += [value.name for value in given or ()]
        elif entry.required or given != entry.default:
            parts.append(f"{entry.name}={_argument_text(given)}")
    return f"{layer.op.name}({', '.join(parts)})"


def _arguments_text(scope: Scope) -> str:
    given = ", ".join(f"{name}={_argument_text(v)}" for name, v in scope.arguments.items())
    return f"({given})"


def _argument_text(value: Any) -> str:
    if isinstance(value, tuple):
        if len(value) == 2 and value[0] == value[1]:
            return str(value[0])
        return "[" + ", ".join(map(str, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def fields_text(network: Network) -> str:
    """The receptive field of every value, one a line."""
    lines = [f"network {network.graph.name}"]
    for layer in network.graph.layers:
        for value in layer.results:
            described = []
            for name, axes in network.fields[value].items():
                described += [f"{name}.{axis} {_extent_text(e)}" for axis, e in axes.items()]
            lines.append(f"  {value.name}: {', '.join(described)}")
    return "\n".join(lines) + "\n"


def _extent_text(extent: Extent) -> str:
    if isinstance(extent, str):
        return extent
    size, stride, offset = extent_words(extent)
    return f"size {size} stride {stride} offset {offset}"


def ast_text(file: ast.File) -> str:
    """The syntax tree, one record a line, indented by depth, each with its place."""
    return "\n".join(_tree_lines("file", file, 0)) + "\n"


def _tree_lines(label: str, node: Any, depth: int) -> list[str]:
    margin = "  " * depth
    if isinstance(node, ast.Name):
        return [f"{margin}{label}: {node.text}"]
    fields = getattr(node, "_fields", None)
    if isinstance(node, tuple) and fields is None:
        if not node:
            return []
        lines = [f"{margin}{label}:"]
        for item in node:
            lines += _tree_lines("-", item, depth + 1)
        return lines
    if fields is None:
        return [] if node is None else [f"{margin}{label}: {node!r}"]
    lines = [f"{margin}{label}: {type(node).__name__} at {getattr(node, 'span', '')!r}"]
    for name in fields:
        value = getattr(node, name)
        if not isinstance(value, Span):
            lines += _tree_lines(name, value, depth + 1)
    return lines
