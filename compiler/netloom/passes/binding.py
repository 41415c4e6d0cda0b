"""From the arguments of a call to the fields of a record or the parameters of a block."""

import types
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

from netloom.diagnostics import Diagnostic, Diagnostics, Failed, Note, Span, unknown_name
from netloom.ir.declared import Declared, Field, Pair
from netloom.ir.dims import Symbolic
from netloom.ir.graph import Value
from netloom.limits import Limits
from netloom.passes.expressions import Names, Poisoned, evaluate, text_of
from netloom.passes.modules import Definition
from netloom.syntax import ast


class Bound(NamedTuple):
    """The fields of a call, and the places of the text where each was given."""

    fields: dict[str, Any]
    spans: dict[str, Span]


class Call(NamedTuple):
    """A call as the text has it, with what its name stands for."""

    name: ast.Name
    arguments: Sequence[ast.Argument]
    what: str
    """"operator `conv`", as messages call it."""
    is_of_spec: bool = False
    """Whether it is a block or network, which a spec defines."""


def bind(declared: type[Declared], call: Call, names: Names, current: Value | None = None) -> Bound:
    """Evaluates a call of a declared record against its signature.

    `current` fills the first operand. Raises `Failed` with all mistakes of the call, and `Poisoned`
    if it reads a value whose making failed.
    """
    signature = declared.signature()
    fields: dict[str, Any] = {}
    if current is not None:
        fields[signature[0].name] = current
        signature = signature[1:]
    return bind_fields(signature, call, names, fields)


def bind_fields(
    signature: Sequence[Field], call: Call, names: Names, given: dict[str, Any] | None = None
) -> Bound:
    """As `bind`, for a signature that is not a record's: the parameters of a block."""
    diagnostics = Diagnostics()
    bound = Bound(dict(given or {}), {})
    by_name = {field.name: field for field in signature}
    positional = iter(signature)
    for argument in call.arguments:
        field = _field_of(argument, by_name, positional, bound, call, diagnostics)
        if field is None:
            continue
        try:
            bound.spans[field.name] = argument.span
            value = evaluate(argument.value, names)
            bound.fields[field.name] = coerce(value, field, argument.value.span, call.what)
        except Failed as failure:
            bound.fields[field.name] = None
            for diagnostic in failure.diagnostics:
                diagnostics.report(diagnostic)
    misspelt = any(diagnostic.code == "E203" for diagnostic in diagnostics.found)
    for field in signature:
        if field.name in bound.fields:
            continue
        if field.required and not misspelt:
            message = f"{call.what} needs `{field.name}`: {field.doc}"
            help = "it takes " + ", ".join(
                each.name if each.required else f"{each.name}={text_of(each.default)}"
                for each in signature
            )
            diagnostics.report(Diagnostic("E204", message, call.name.span, help=help))
        bound.fields[field.name] = field.default
    diagnostics.raise_if_any()
    return bound


def _field_of(
    argument: ast.Argument,
    by_name: dict[str, Field],
    positional: Any,
    bound: Bound,
    call: Call,
    diagnostics: Diagnostics,
) -> Field | None:
    """The field that an argument is for; None, and a report, if there is none."""
    if argument.name is None:
        field: Field | None = next(positional, None)
        if field is None:
            most = len(by_name)
            takes = "no arguments" if most == 0 else f"at most {most} argument{'s' * (most > 1)}"
            message = f"{call.what} takes {takes}"
            diagnostics.report(Diagnostic("E203", message, argument.span, "one too many"))
            return None
        if field.by_name:
            text = argument.span.source.text[argument.span.start : argument.span.end]
            message = f"`{field.name}` of {call.what} is given by its name"
            help = f"`{field.name}={text}`; of channels only those that come out are given"
            diagnostics.report(Diagnostic("E203", message, argument.span, help=help))
    else:
        field = by_name.get(argument.name.text)
        if field is None:
            message = f"{call.what} has no argument `{argument.name.text}`"
            name = argument.name
            given = by_name if call.is_of_spec else ()
            found = unknown_name("E203", message, name.span, name.text, by_name, given)
            diagnostics.report(found)
            return None
    if field.name in bound.fields:
        message = f"`{field.name}` is given twice"
        note = Note("it is already given here", bound.spans.get(field.name))
        diagnostics.report(Diagnostic("E211", message, argument.span, notes=(note,)))
        return None
    return field


def coerce(value: Any, field: Field, span: Span, what: str) -> Any:
    """The value as the field's type, within the field's bounds.

    Raises `Failed`: E205 for a wrong type, E206 for a value out of bounds.
    """
    converted = _convert(value, field.type)
    if converted is _UNFIT:
        message = f"`{field.name}` of {what} is {_wanted(field.type)}, not {_found(value)}"
        if get_origin(field.type) is Literal and isinstance(value, str):
            raise Failed(unknown_name("E205", message, span, value, get_args(field.type)))
        raise Failed(Diagnostic("E205", message, span))
    numbers = converted if isinstance(converted, tuple) else (converted,)
    for number in numbers:
        if isinstance(number, bool) or not isinstance(number, int | float):
            continue
        limit = None
        if field.minimum is not None and number < field.minimum:
            limit = f"at least {field.minimum}"
        if field.above is not None and number <= field.above:
            limit = f"more than {field.above}"
        if field.maximum is not None and number > field.maximum:
            limit = f"at most {field.maximum}"
        if limit:
            message = f"`{field.name}` of {what} must be {limit}, but is {text_of(number)}"
            raise Failed(Diagnostic("E206", message, span))
    return converted


PARAMETER_TYPES: dict[str, Any] = {
    "int": int,
    "float": float,
    "bool": bool,
    "string": str,
    "pair": Pair,
    "list": tuple,
    "tensor": Value,
}
"""What a parameter of a block or network can be."""


def parameter_signature(parameters: Sequence[ast.Parameter], names: Names) -> list[Field]:
    """The parameters of a block or network as a signature; `names` are what defaults can read.

    Raises `Failed`: E211 for a name that is used twice, E205 for an unknown type, and as `coerce`
    does for a default.
    """
    signature: dict[str, Field] = {}
    for parameter in parameters:
        if parameter.name.text in signature:
            message = f"there are two parameters named `{parameter.name.text}`"
            raise Failed(Diagnostic("E211", message, parameter.name.span))
        name, kind = parameter.name.text, PARAMETER_TYPES.get(parameter.type.text)
        if kind is None:
            message = f"there is no parameter type `{parameter.type.text}`"
            wanted = parameter.type
            raise Failed(unknown_name("E205", message, wanted.span, wanted.text, PARAMETER_TYPES))
        doc = f"a parameter of type {parameter.type.text}"
        required = parameter.default is None
        field = Field(name, kind, doc, kind is Value, required=required, default=None)
        if parameter.default is not None:
            given = evaluate(parameter.default, names)
            default = coerce(given, field, parameter.default.span, "the definition")
            field = field._replace(default=default)
        signature[name] = field
    return list(signature.values())


def signature_of(definition: Definition, limits: Limits) -> list[Field]:
    """The parameters of a block or network that is called, which every call has the same.

    Raises what `parameter_signature` does.
    """
    node, module = definition
    known = module.signatures
    if node.name.text not in known:
        try:
            names = Names(module.constants, limits=limits)
            known[node.name.text] = parameter_signature(node.parameters, names)
        except (Failed, Poisoned) as reason:
            known[node.name.text] = reason
    found = known[node.name.text]
    if isinstance(found, Exception):
        raise found.with_traceback(None)
    return found


def input_field(declared: ast.Input) -> Field:
    """An input of a network as an argument of its calls."""
    return Field(declared.name.text, Value, "an input of the network", True, True, None)


def mentioned(call: Call) -> tuple[str, ...]:
    """The names that the arguments of a call read."""
    return tuple(v.name for argument in call.arguments for v in variables_in(argument.value))


def variables_in(expression: ast.Expression) -> list[ast.Variable]:
    """The names in an arithmetic expression, from left to right."""
    match expression:
        case ast.Variable():
            return [expression]
        case ast.Chain():
            parts = (expression.first, *(operand for _, operand in expression.rest))
            return [variable for part in parts for variable in variables_in(part)]
        case ast.Unary():
            return variables_in(expression.operand)
    return []


_UNFIT = object()


def _convert(value: Any, wanted: Any) -> Any:
    origin = get_origin(wanted)
    if origin in (Union, types.UnionType):
        members = [member for member in get_args(wanted) if member is not type(None)]
        return _convert(value, members[0])
    if origin is Literal:
        return value if value in get_args(wanted) else _UNFIT
    if wanted == Pair:
        if _is_int(value):
            return (value, value)
        fits = isinstance(value, tuple) and len(value) == 2 and all(_is_int(each) for each in value)
        return value if fits else _UNFIT
    if wanted is int:
        return value if _is_int(value) else _UNFIT
    if wanted is float:
        is_number = isinstance(value, float) or _is_int(value)
        return float(value) if is_number else _UNFIT
    return value if isinstance(value, wanted) else _UNFIT


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _wanted(wanted: Any) -> str:
    origin = get_origin(wanted)
    if origin in (Union, types.UnionType):
        return _wanted(get_args(wanted)[0])
    if origin is Literal:
        return " or ".join(text_of(choice) for choice in get_args(wanted))
    if wanted == Pair:
        return "a whole number, or two for height and width"
    return {
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        str: "a string",
        tuple: "a list",
        Value: "a value of the network",
    }[wanted]


def _found(value: Any) -> str:
    if isinstance(value, Symbolic):
        return f"the size `{value}`, which the input decides"
    if isinstance(value, Value):
        return f"the value `{value.name}`"
    return text_of(value)
