"""How often networks have each operator, each class of an argument's values, each join."""

from collections import Counter
from typing import Any

from generator.description import Join, Net, Repeat, Residual, Stage, stages
from generator.observation import run


def coverage(net: Net, signatures: dict[str, list[str]]) -> Counter[str]:
    """Counts of `operator`, `operator(argument=class)` and `operator of N operands`.

    `signatures` are the arguments of each operator, so that those left out count too.
    """
    found: Counter[str] = Counter()
    for step in run(net, net.bindings[0]).run.steps:
        found[step.operator] += 1
        for name in signatures.get(step.operator, []):
            found[f"{step.operator}({name}={value_class(step.arguments, name)})"] += 1
        if step.weights_of != step.index:
            found["a layer with another's weights"] += 1
    found.update(_sides(net))
    for body in (net.body, *(block.body for block in net.blocks)):
        found.update(map(_kind, stages(body)))
    found[f"{len(net.inputs)} inputs"] += 1
    found[f"{len(net.heads)} heads"] += 1
    return found


def _kind(stage: Stage) -> str:
    match stage:
        case Join(kind, branches):
            return f"{kind} of {len(branches)} branches"
        case Residual(_, shortcut):
            return "residual" if shortcut is None else "residual with a shortcut"
        case Repeat(times, _):
            return f"repeat {times}"
        case _:
            return f"stage {type(stage).__name__}"


def _sides(net: Net) -> Counter[str]:
    sides = {str(side) for shape in net.inputs.values() for side in shape if isinstance(side, str)}
    return Counter(f"a side {side}" for side in sides)


def value_class(arguments: dict[str, Any], name: str) -> str:
    """How a value is counted: small whole numbers apart, unequal pairs together."""
    if name not in arguments:
        return "left out"
    match arguments[name]:
        case bool() as flag:
            return str(flag).lower()
        case int() as number:
            return str(number) if number < 4 else "4 or more"
        case [height, width]:
            return "two sides" if height != width else "a pair of equals"
        case value:
            return str(value)
