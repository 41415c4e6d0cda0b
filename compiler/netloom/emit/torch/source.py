"""The text of the emitted PyTorch file."""

import ast
import re
from collections.abc import Sequence
from pathlib import Path

import netloom
from netloom.emit.torch.body import Statement
from netloom.emit.torch.checks import NAME as CHECK
from netloom.emit.torch.checks import check_function
from netloom.emit.torch.classes import Definition, Missing, definitions
from netloom.emit.torch.expressions import WIDTH, Code, Expression, laid_out, leaves, literal
from netloom.ir.call import Module
from netloom.ir.graph import Graph

MARK = "Written by netloom"
"""Stands in the first line of every emitted file, so that no other file is ever overwritten."""


def source(graph: Graph) -> str:
    """A standalone Python module with the network as a class; imports torch only.

    Its `state_dict` keys are the spec's own paths, its `forward` takes the inputs in their order.
    It returns the head's tensor if the network has one head, else a dict of the heads that exist
    in the current mode. Inputs of other sizes than the admissible ones are a `ValueError`; networks
    that it calls do not check what they are given.
    """
    *inner, network = ["\n".join(_class(each, graph)) for each in definitions(graph)]
    check = "\n".join(check_function(graph))
    body = "\n\n\n".join([*_library_classes(graph), *inner, check, network])
    header = f'"""Network `{graph.name}`. {MARK} {netloom.__version__}; edit the spec instead."""'
    return f"{header}\n\n{_imports(body)}\n\n\n{body}\n"


def _library_classes(graph: Graph) -> list[str]:
    """The source of the library's classes that a network needs, as it stands there."""
    calls = [layer.op.torch() for layer in graph.module_layers()]
    needed = {call.target for call in calls if isinstance(call, Module) and "." not in call.target}
    if not needed:
        return []
    text = Path(__file__).with_name("library.py").read_text(encoding="utf-8")
    classes = [each for each in ast.parse(text).body if isinstance(each, ast.ClassDef)]
    return [ast.get_source_segment(text, each) or "" for each in classes if each.name in needed]


def _imports(body: str) -> str:
    lines = []
    if "OrderedDict(" in body:
        lines += ["from collections import OrderedDict", ""]
    if re.search(r"\btorch\.", body):
        lines.append("import torch")
    if re.search(r"\bF\.", body):
        lines.append("import torch.nn.functional as F")
    if re.search(r"\btorchvision\.", body):
        lines.append("import torchvision.ops")
    lines.append("from torch import Tensor, nn")
    return "\n".join(lines)


def _class(definition: Definition, graph: Graph) -> list[str]:
    lines = [f"class {definition.name}(nn.Module):", *_docstring(definition, graph), ""]
    if definition.body.attributes:
        lines += [*_init(definition), ""]
    return lines + _forward(definition, graph)


def _docstring(definition: Definition, graph: Graph) -> list[str]:
    scope = definition.body.scope
    if scope.kind == "network":
        return _network_docstring(graph)
    what = f"`{scope.block or scope.name}`"
    taken, given = definition.input_shapes[:1], definition.output_shapes[:1]
    shapes = f": {taken[0]} -> {given[0]}" if taken and given and taken[0] and given[0] else ""
    text = f'    """{what}{shapes}."""'
    return [text if len(text) <= WIDTH else f'    """{what}."""']


def _network_docstring(graph: Graph) -> list[str]:
    lines = [f'    """Network `{graph.name}`.', ""]
    lines += [f"    {value.name}: {value.type}" for value in graph.inputs]
    modes = {"both": "", "train": ", in training", "infer": ", in evaluation"}
    lines += [
        f"    {head.name}: {head.value.type}{modes[head.mode]} (output)" for head in graph.heads
    ]
    return [*lines, '    """']


def _init(definition: Definition) -> list[str]:
    parameters = ["self"]
    for parameter in definition.parameters:
        default = parameter.default
        suffix = "" if default is Missing else f" = {literal(default)}"
        parameters.append(f"{parameter.name}: {parameter.type}{suffix}")
    lines = _signature("__init__", parameters, "None")
    lines.append("        super().__init__()")
    for name, expression in definition.body.attributes:
        lines += laid_out(f"self.{name} = ", expression, 2)
    return lines


def _signature(name: str, parameters: Sequence[str], returned: str) -> list[str]:
    line = f"    def {name}({', '.join(parameters)}) -> {returned}:"
    if len(line) <= WIDTH:
        return [line]
    inside = f"        {', '.join(parameters)}"
    if len(inside) <= WIDTH:
        return [f"    def {name}(", inside, f"    ) -> {returned}:"]
    return [
        f"    def {name}(",
        *(f"        {parameter}," for parameter in parameters),
        f"    ) -> {returned}:",
    ]


def _forward(definition: Definition, graph: Graph) -> list[str]:
    body = definition.body
    several_heads = body.scope.kind == "network" and len(graph.heads) > 1
    count = len(body.returned)
    returned = "Tensor" if count == 1 else f"tuple[{', '.join(['Tensor'] * count)}]"
    if several_heads:
        returned = "dict[str, Tensor]"
    parameters = ["self", *(f"{name}: Tensor" for name in body.input_names)]
    lines = _signature("forward", parameters, returned)
    if body.scope.kind == "network":
        lines.append(f"        {CHECK}({', '.join(body.input_names)})")
    pairs = list(zip(body.statements, definition.comments, strict=True))
    common = [pair for pair in pairs if pair[0].mode == "both"]
    if several_heads:
        for statement, comment in common:
            lines += _statement(statement, comment, 2)
        return lines + _outputs(definition, pairs)
    is_returned = bool(common) and common[-1][0].targets == body.returned
    for statement, comment in common[:-1] if is_returned else common:
        lines += _statement(statement, comment, 2)
    if is_returned:
        statement, comment = common[-1]
        return lines + _commented("return ", statement.expression, comment, 2)
    return [*lines, f"        return {', '.join(body.returned)}"]


def _outputs(definition: Definition, pairs: list[tuple[Statement, str | None]]) -> list[str]:
    """The heads as a dict; those of one mode only behind a test of `self.training`."""
    heads = definition.body.outputs
    both = [f"{literal(n)}: {variable}" for n, variable, mode in heads if mode == "both"]
    if len(both) == len(heads):
        return _dict_lines("return ", both)
    empty = "        outputs: dict[str, Tensor] = {}"
    lines = _dict_lines("outputs = ", both) if both else [empty]
    for mode, test in (("train", "if self.training:"), ("infer", "if not self.training:")):
        own = [(name, variable) for name, variable, each in heads if each == mode]
        if not own:
            continue
        lines.append(f"        {test}")
        statements = [pair for pair in pairs if pair[0].mode == mode]
        read = {
            leaf.text
            for statement, _ in statements
            for leaf in leaves(statement.expression)
            if isinstance(leaf, Code)
        }
        for statement, comment in statements:
            made = statement.targets[0]
            head = next((name for name, variable in own if variable == made), None)
            if head is None or made in read:
                lines += _statement(statement, comment, 3)
                continue
            target = f"outputs[{literal(head)}] = "
            lines += _commented(target, statement.expression, comment, 3)
            own.remove((head, made))
        lines += [f"            outputs[{literal(name)}] = {variable}" for name, variable in own]
    return [*lines, "        return outputs"]


def _dict_lines(prefix: str, entries: Sequence[str]) -> list[str]:
    """A dict display in ruff's layout, inside a `forward`."""
    margin, joined = " " * 8, ", ".join(entries)
    line = f"{margin}{prefix}{{{joined}}}"
    if len(line) <= WIDTH:
        return [line]
    inside = [f"{margin}    {joined}"]
    if len(inside[0]) > WIDTH:
        inside = [f"{margin}    {entry}," for entry in entries]
    return [f"{margin}{prefix}{{", *inside, f"{margin}}}"]


def _statement(statement: Statement, comment: str | None, depth: int) -> list[str]:
    targets = ", ".join(statement.targets)
    return _commented(f"{targets} = ", statement.expression, comment, depth)


def _commented(prefix: str, expression: Expression, comment: str | None, depth: int) -> list[str]:
    """A line with the shape behind it, or above it where the line would be too long."""
    lines = laid_out(prefix, expression, depth)
    if comment is None:
        return lines
    if len(lines) == 1 and len(lines[0]) + len(comment) + 4 <= WIDTH:
        return [f"{lines[0]}  # {comment}"]
    return [f"{'    ' * depth}# {comment}", *lines]
