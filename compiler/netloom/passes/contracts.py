"""Proves or refutes what a spec requires of its networks."""

from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from netloom.diagnostics import Diagnostic, Diagnostics, Failed, Note
from netloom.ir.dims import Dim, Symbolic, size
from netloom.ir.dims import evaluate as evaluate_dim
from netloom.ir.equality import Proved, Refuted
from netloom.ir.field import Extent, Field, Fields, Varying, extent_words
from netloom.ir.graph import Graph, Value
from netloom.passes.admissible import Admissible, admissible_sizes
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


Takes = Callable[[], Admissible | None]
"""The sizes that a network takes, found once and only if some requirement needs them."""


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
    takes = cache(lambda: _admissible(built))
    for requirement in built.requirements:
        known = requirement.names
        names = Names(known.values, known.entry, functions, facts, known.limits)
        try:
            _check(requirement, requirement.condition, names, alignment, takes, diagnostics)
        except Failed as failure:
            for diagnostic in failure.diagnostics:
                diagnostics.report(diagnostic)
        except Poisoned:
            pass


def _admissible(built: Built) -> Admissible | None:
    """The sizes that a network takes; None where it has mistakes, or where no size will do."""
    if not built.sound:
        return None
    try:
        return admissible_sizes(built.graph)
    except Failed:
        return None  # which is told elsewhere


def _facts(graph: Graph, costs: dict[Any, Cost]) -> dict[str, Any]:
    whole = total(graph.layers_in("infer"), costs)
    return dict(zip(FACTS, (whole.params, whole.macs), strict=True))


def _check(
    requirement: Requirement,
    condition: ast.Expression,
    names: Names,
    alignment: Alignment,
    takes: Takes,
    diagnostics: Diagnostics,
) -> None:
    if isinstance(condition, ast.Chain) and condition.rest[0][0] == "and":
        for part in (condition.first, *(operand for _, operand in condition.rest)):
            _check(requirement, part, names, alignment, takes, diagnostics)
        return
    if isinstance(condition, ast.Chain) and condition.rest[0][0] in COMPARISONS:
        _check_comparison(requirement, condition, names, takes, diagnostics)
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
    requirement: Requirement,
    condition: ast.Chain,
    names: Names,
    takes: Takes,
    diagnostics: Diagnostics,
) -> None:
    (operator, operand), *_ = condition.rest
    left, right = evaluate(condition.first, names), evaluate(operand, names)
    verdict = compare(operator, left, right)
    if not isinstance(verdict, Proved):
        verdict = _where_it_runs(operator, left, right, verdict, takes())
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


def _where_it_runs(
    operator: str, left: Any, right: Any, verdict: Proved | Refuted | None, found: Admissible | None
) -> Proved | Refuted | None:
    """The verdict for those sizes only at which the network can be run.

    Each size is counted from its smallest. A witness at which the network cannot be run, because of
    several sizes together, decides nothing.
    """
    if found is None:
        return verdict
    before = {name: bounds.minimum - 1 for name, bounds in found.bounds.items()}
    moved = {name: size(name) + number for name, number in before.items() if number}
    verdict = compare(operator, _at(left, moved), _at(right, moved))
    if not isinstance(verdict, Refuted) or not verdict.witness:
        return verdict
    witness = {name: number + before.get(name, 0) for name, number in verdict.witness.items()}
    runs = found.contain({name: witness.get(name, number + 1) for name, number in before.items()})
    return Refuted(witness) if runs else None


def _at(value: Any, sizes: Mapping[str, Dim]) -> Any:
    """A fact with sizes replaced."""
    if isinstance(value, tuple):
        return tuple(_at(each, sizes) for each in value)
    return evaluate_dim(value, sizes) if isinstance(value, Symbolic) else value


def _origin(expression: ast.Expression, names: Names) -> tuple[Note, ...]:
    """Where the value of which a requirement speaks was made."""
    if isinstance(expression, ast.Application):
        value = evaluate(expression.arguments[0].value, names)
        if isinstance(value, Value) and value.span:
            return (Note(f"`{value.name}` is {value.type}", value.span),)
    return ()


Facts = tuple[int | str, ...]
"""Numbers, or words such as "whole"."""


def _receptive_field(extent: Extent) -> Facts:
    """Every size of a field, one a phase."""
    return (extent,) if isinstance(extent, str) else extent.sizes


def _strides(extent: Extent) -> Facts:
    """Input pixels from one position to the next; fractions as text."""
    if isinstance(extent, str):
        return (extent,)
    strides = extent.strides if isinstance(extent, Varying) else (extent.stride,)
    return tuple(int(each) if each.denominator == 1 else str(each) for each in strides)


def _offset(extent: Extent) -> Facts:
    """The first pixel that position 0 sees."""
    if isinstance(extent, Field) and extent.offset is not None:
        return (extent.offset,)
    size, _, offset = extent_words(extent)
    return (offset or size,)


_OF_FIELDS: Mapping[str, Callable[[Extent], Facts]] = {
    "rf": _receptive_field,
    "stride": _strides,
    "offset": _offset,
}


def _asked_of_fields(
    network: "Network",
    seen_from: Callable[[Value], Table],
    facts_of: Callable[[Extent], Facts],
) -> Callable[..., Each | None]:
    """A function of a value's field of the inputs, or of what it sees `from` an inner value."""

    def answer(value: Value, source: Value | None = None) -> Each | None:
        seen = network.fields if source is None else seen_from(source)
        return _by_axis(seen[value], facts_of) if value in seen else None

    return answer


def _by_axis(fields: Fields, facts_of: Callable[[Extent], Facts]) -> Each:
    """The facts of all inputs, axis by axis."""
    names = {axis: None for axes in fields.values() for axis in axes}
    return Each(
        tuple(
            tuple(fact for axes in fields.values() if axis in axes for fact in facts_of(axes[axis]))
            for axis in names
        )
    )


def _made_by(value: Value, costs: dict[Any, Cost]) -> Cost:
    return costs[value.layer] if value.layer else Cost()
