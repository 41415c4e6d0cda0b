"""Proves or refutes what a spec requires of its networks."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from netloom.diagnostics import Diagnostic, Diagnostics, Failed, Note
from netloom.ir.equality import Proved, Refuted
from netloom.ir.field import Extent, Field, Fields, Varying, extent_words
from netloom.ir.graph import Graph, Value
from netloom.passes.alignment import Alignment
from netloom.passes.build import Built
from netloom.passes.comparison import Each, compare
from netloom.passes.construction import Requirement
from netloom.passes.cost import Cost, total
from netloom.passes.expressions import (
    BUILD_FUNCTIONS,
    POISON,
    Names,
    Poisoned,
    evaluate,
    text_of,
)
from netloom.passes.fields import Table, fields_from
from netloom.syntax import ast

if TYPE_CHECKING:
    from netloom.compile import Network

FACTS = ("params", "macs")
"""What can be required of a network as a whole."""

COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")


def check_contracts(
    built: Built,
    network: "Network",
    diagnostics: Diagnostics,
) -> None:
    """Reports every requirement of a network that is refuted (E401) or not decided (E402)."""
    costs, alignment = network.costs, network.alignment
    facts = _facts(built.graph, costs) if built.sound else dict.fromkeys(FACTS, POISON)
    functions = dict(BUILD_FUNCTIONS)
    seen_from = lru_cache(lambda source: fields_from(source, network.graph))
    for name, facts_of in _OF_FIELDS.items():
        functions[name] = _asked_of_fields(network, seen_from, facts_of)
    functions["aligned"] = lambda value: alignment.of(value) is None
    functions["params"] = lambda value: _made_by(value, costs).params
    functions["macs"] = lambda value: _made_by(value, costs).macs
    for requirement in built.requirements:
        known = requirement.names
        names = Names(known.values, known.entry, functions, facts, known.limits)
        try:
            _check(requirement, requirement.condition, names, alignment, diagnostics)
        except Failed as failure:
            for diagnostic in failure.diagnostics:
                diagnostics.report(diagnostic)
        except Poisoned:
            pass


def _facts(graph: Graph, costs: dict[Any, Cost]) -> dict[str, Any]:
    whole = total(graph.layers_in("infer"), costs)
    return dict(zip(FACTS, (whole.params, whole.macs), strict=True))


def _check(
    requirement: Requirement,
    condition: ast.Expression,
    names: Names,
    alignment: Alignment,
    diagnostics: Diagnostics,
) -> None:
    if isinstance(condition, ast.Chain) and condition.rest[0][0] == "and":
        for part in (condition.first, *(operand for _, operand in condition.rest)):
            _check(requirement, part, names, alignment, diagnostics)
        return
    if isinstance(condition, ast.Chain) and condition.rest[0][0] in COMPARISONS:
        _check_comparison(requirement, condition, names, diagnostics)
        return
    holds = evaluate(condition, names)
    if not isinstance(holds, bool):
        message = f"a requirement is a comparison, but this is {text_of(holds)}"
        help = "`require params == …`, `require rf(x) <= …`, `require shape(x) == […]`"
        diagnostics.report(Diagnostic("E403", message, condition.span, help=help))
    elif not holds:
        message = "this requirement does not hold"
        notes = (*_misaligned_join(condition, names, alignment), *requirement.notes)
        diagnostics.report(Diagnostic("E401", message, condition.span, notes=notes))


def _misaligned_join(
    condition: ast.Expression, names: Names, alignment: Alignment
) -> tuple[Note, ...]:
    """Which join breaks a requirement of the form `aligned(x)`."""
    if not isinstance(condition, ast.Application) or condition.name.text != "aligned":
        return ()
    value = evaluate(condition.arguments[0].value, names)
    found = alignment.of(value)
    return (Note(f"at this join {found.reason}", found.layer.span),) if found else ()


def _check_comparison(
    requirement: Requirement, condition: ast.Chain, names: Names, diagnostics: Diagnostics
) -> None:
    (operator, operand), *_ = condition.rest
    left, right = evaluate(condition.first, names), evaluate(operand, names)
    verdict = compare(operator, left, right)
    if isinstance(verdict, Proved):
        return
    source = condition.span.source.text
    asked = source[condition.first.span.start : condition.first.span.end]
    found = text_of(left) if not isinstance(condition.first, ast.Number) else text_of(right)
    notes = (*_origin(condition.first, names), *requirement.notes)
    if verdict is None:
        message = f"whether this holds for all sizes is not decided: `{asked}` is {found}"
        diagnostics.report(Diagnostic("E402", message, condition.span, notes=notes))
        return
    message = f"`{asked}` is {found}"
    if isinstance(verdict, Refuted) and verdict.witness:
        sizes = ", ".join(f"{name} = {size}" for name, size in verdict.witness.items())
        message += f", which breaks the requirement for instance at {sizes}"
    label = f"required: {operator} {text_of(right)}"
    diagnostics.report(Diagnostic("E401", message, condition.span, label, notes))


def _origin(expression: ast.Expression, names: Names) -> tuple[Note, ...]:
    """Where the value of which a requirement speaks was made."""
    if isinstance(expression, ast.Application):
        value = evaluate(expression.arguments[0].value, names)
        if isinstance(value, Value) and value.span:
            return (Note(f"`{value.name}` is {value.type}", value.span),)
    return ()


def _receptive_field(fields: Fields) -> tuple[int | str, ...]:
    """Every size of a field: each axis, input and phase; "whole" and the like by their word."""
    facts: list[int | str] = []
    for extent in _extents(fields):
        facts += [extent] if isinstance(extent, str) else extent.sizes
    return tuple(facts)


def _strides(fields: Fields) -> tuple[int | str, ...]:
    """Input pixels from one position to the next, by axis and input; fractions as text."""
    facts: list[int | str] = []
    for extent in _extents(fields):
        if isinstance(extent, str):
            facts.append(extent)
            continue
        strides = extent.strides if isinstance(extent, Varying) else (extent.stride,)
        facts += [int(each) if each.denominator == 1 else str(each) for each in strides]
    return tuple(facts)


def _offsets(fields: Fields) -> tuple[int | str, ...]:
    """The first pixel that position 0 sees, by axis and input."""
    facts: list[int | str] = []
    for extent in _extents(fields):
        offset = extent_words(extent)[2] if isinstance(extent, Varying) else None
        if isinstance(extent, Field) and extent.offset is not None:
            facts.append(extent.offset)
        else:
            facts.append(offset or extent_words(extent)[0])
    return tuple(facts)


_OF_FIELDS: Mapping[str, Callable[[Fields], tuple[int | str, ...]]] = {
    "rf": _receptive_field,
    "stride": _strides,
    "offset": _offsets,
}


def _asked_of_fields(
    network: "Network",
    seen_from: Callable[[Value], Table],
    facts_of: Callable[[Fields], tuple[int | str, ...]],
) -> Callable[..., Each | None]:
    """A function of a value's field of the inputs, or of what it sees `from` an inner value."""

    def answer(value: Value, source: Value | None = None) -> Each | None:
        if source is None:
            return Each(facts_of(network.fields[value]))
        seen = seen_from(source)
        return Each(facts_of(seen[value])) if value in seen else None

    return answer


def _extents(fields: Fields) -> list[Extent]:
    return [extent for axes in fields.values() for extent in axes.values()]


def _made_by(value: Value, costs: dict[Any, Cost]) -> Cost:
    return costs[value.layer] if value.layer else Cost()
