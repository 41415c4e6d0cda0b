"""Local variables of a `forward`: names for the values that it assigns, by liveness."""

from collections.abc import Iterator, Sequence

from netloom.emit.names import identifier
from netloom.emit.torch.body import Body
from netloom.emit.torch.expressions import Code, Variable, leaves, rewrite
from netloom.ir.graph import Value

POOL = ("x", "y", "z")
"""Variables for values that the spec does not name."""


def settle_names(body: Body, wanted_inputs: Sequence[str], returned: tuple[Value, ...]) -> None:
    """Gives every value a variable, and puts the variables into the expressions."""
    input_names: list[str] = []
    for wanted in wanted_inputs:
        input_names.append(next(n for n in _and_numbered([wanted]) if n not in input_names))
    last_use = {id(value): len(body.statements) for value in returned}
    for index, statement in reversed(list(enumerate(body.statements))):
        for leaf in leaves(statement.expression):
            if isinstance(leaf, Variable):
                last_use.setdefault(id(leaf.value), index)
    variables: dict[int, str] = {}
    holder: dict[str, int] = {}
    for value, name in zip(body.inputs, input_names, strict=True):
        variables[id(value)] = name
        holder[name] = id(value)
    body.input_names = tuple(input_names)
    given = {identifier(name) for each in body.statements for name in each.names if name}
    for index, statement in enumerate(body.statements):
        statement.expression = rewrite(
            statement.expression,
            lambda leaf: Code(variables[id(leaf.value)]) if isinstance(leaf, Variable) else leaf,
        )
        targets = []
        for position, value in enumerate(statement.results):
            if len(statement.results) > 1 and id(value) not in last_use:
                targets.append("_")
                continue
            named = [identifier(name) for name in statement.names[position : position + 1] if name]
            candidates = named or [name for name in POOL if name not in given] or list(POOL)
            name = next(
                name
                for name in _and_numbered(candidates)
                if name not in targets and last_use.get(holder.get(name, 0), -1) <= index
            )
            holder[name] = id(value)
            variables[id(value)] = name
            targets.append(name)
        statement.targets = tuple(targets)
    body.returned = tuple(variables[id(value)] for value in returned)


def _and_numbered(candidates: list[str]) -> Iterator[str]:
    yield from candidates
    number = 2
    while True:
        yield f"{candidates[0]}{number}"
        number += 1
