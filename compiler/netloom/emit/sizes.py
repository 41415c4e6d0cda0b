"""The admissible sizes of a network in words, as plain data, and as checks of what comes in.

The same checks are written into emitted modules and made before an exported model is run. Both
speak of the axes of what came by names such as `image.shape[2]`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from netloom.emit.names import identifier
from netloom.ir.dims import Dim, Size, Symbolic, evaluate, evaluate_to_int, size, sizes
from netloom.ir.types import shape_text
from netloom.passes.admissible import Admissible, Bounds

AXES = {
    4: ("batch", "channels", "height", "width"),
    3: ("batch", "steps", "features"),
    2: ("batch", "features"),
    1: ("batch",),
}


class Wrong(NamedTuple):
    """A comparison that refuses, where it holds: `left operator right`."""

    left: Dim
    operator: str
    right: Dim


class Check(NamedTuple):
    """What one axis of an input, or some of them together, must be.

    `value` is what came, and `wrong` what it must not be; both are written in axes.
    """

    subject: str
    words: str
    value: Dim
    wrong: tuple[Wrong, ...]


class InputChecks(NamedTuple):
    """The checks of one input. `takes` begins every refusal."""

    name: str
    rank: int
    takes: str
    checks: tuple[Check, ...]


def axis_names(rank: int) -> tuple[str, ...]:
    """What the axes of a value of that rank are called."""
    return AXES.get(rank) or tuple(f"axis {index}" for index in range(rank))


def axis(name: str, index: int) -> Symbolic:
    """The size of an axis that came, named as emitted code reads it."""
    return size(f"{identifier(name)}.shape[{index}]")


class _Letters:
    """What each free size is, in axes: found from those axes that decide it."""

    def __init__(self, found: Admissible) -> None:
        self.found = found
        self.values: dict[str, Dim] = {}
        self.deciding: dict[tuple[str, int], str] = {}
        places = [
            (name, index, dim)
            for name, shape in found.inputs.items()
            for index, dim in enumerate(shape)
            if isinstance(dim, Symbolic)
        ]
        bare_first = sorted(places, key=lambda place: not _is_bare(place[2]))
        while any(self._decide(*place) for place in bare_first):
            pass

    def _decide(self, name: str, index: int, dim: Symbolic) -> bool:
        """Takes a size from an axis that is a multiple of it and sizes that are known."""
        unknown = [each.name for each in dim.sizes if each.name not in self.values]
        if len(unknown) != 1:
            return False
        (letter,) = unknown
        slope, rest = _line(dim, letter)
        if not slope:
            return False
        came = axis(name, index) - self.in_axes(rest)
        self.values[letter] = came // slope if slope > 0 else -came // -slope
        self.deciding[name, index] = letter
        return True

    def in_axes(self, dim: Dim) -> Dim:
        """A dimension with the sizes replaced by what the axes say."""
        return evaluate(dim, self.values)

    def are_known(self, dim: Dim) -> bool:
        """Whether the axes decide all sizes of a dimension."""
        return all(each.name in self.values for each in sizes(dim))


def _is_bare(dim: Symbolic) -> bool:
    return _line(dim, next(iter(dim.sizes)).name) == (1, 0)


def _line(dim: Symbolic, letter: str) -> tuple[int, Dim]:
    """Slope and rest of `slope * letter + rest`; a slope of 0 where it is no such line."""
    alone = [c for monomial, c in dim.terms if monomial == (Size(letter),)]
    rest = dim - (alone[0] if alone else 0) * size(letter)
    if not alone or any(each.name == letter for each in sizes(rest)):
        return 0, dim
    return alone[0], rest


def input_checks(network: str, found: Admissible) -> list[InputChecks]:
    """What each input must be, in the order of the inputs.

    A check that reads several inputs stands with the last of them. A size that no axis decides, as
    those of `[N, h*w]`, is not checked.
    """
    letters = _Letters(found)
    order = list(found.inputs)
    gathered: dict[str, list[Check]] = {name: [] for name in order}
    for name, shape in found.inputs.items():
        for index, dim in enumerate(shape):
            check = _axis_check(letters, name, index, dim)
            if check:
                _last(order, gathered, check).append(check)
    for dim in found.conditions:
        if letters.are_known(dim):
            check = _condition_check(letters, dim)
            _last(order, gathered, check).append(check)
    return [
        InputChecks(name, len(shape), takes(network, name, found), tuple(gathered[name]))
        for name, shape in found.inputs.items()
    ]


def _last(order: Sequence[str], gathered: dict[str, list[Check]], check: Check) -> list[Check]:
    """The list of the last input that a check reads."""
    read = {each.name.partition(".")[0] for dim in _read(check) for each in sizes(dim)}
    return gathered[[name for name in order if identifier(name) in read][-1]]


def takes(network: str, name: str, found: Admissible) -> str:
    """The beginning of a refusal: `unet takes image of [N, 1, 16*h, 16*w] with h >= 2`."""
    shape = found.inputs[name]
    letters = {each.name for dim in shape for each in sizes(dim)}
    limits = []
    for letter, bounds in found.bounds.items():
        if letter in letters:
            limits += [f"{letter} >= {bounds.minimum}"] if bounds.minimum > 1 else []
            limits += [f"{letter} <= {bounds.maximum}"] if bounds.maximum is not None else []
    for dim in found.conditions:
        if letters & {each.name for each in sizes(dim)}:
            limits.append(_condition_text(dim))
    *others, last = limits or [""]
    conditions = f" with {', '.join(others)}{' and ' * bool(others)}{last}" if last else ""
    return f"{network} takes {name} of {shape_text(shape)}{conditions}"


def without_constant(condition: Symbolic) -> tuple[Dim, int]:
    """`h - w + 3`, which must be at least 1, as `h - w` and what that must be at least, -2."""
    return condition - condition.constant, 1 - condition.constant


def _condition_text(condition: Symbolic) -> str:
    dim, minimum = without_constant(condition)
    return f"{dim} >= {minimum}"


def _axis_check(letters: _Letters, name: str, index: int, dim: Dim) -> Check | None:
    subject = _axis_subject(letters.found, name, index)
    value = axis(name, index)
    words = _words(letters, name, index, dim)
    if isinstance(dim, int):
        return Check(subject, words, value, (Wrong(value, "!=", dim),))
    letter = letters.deciding.get((name, index))
    if letter is None:
        if not letters.are_known(dim):
            return None
        return Check(subject, words, value, (Wrong(value, "!=", letters.in_axes(dim)),))
    wrong = _line_is_wrong(letters, value, dim, letter)
    return Check(subject, words, value, wrong) if wrong else None


def _line_is_wrong(
    letters: _Letters, value: Symbolic, dim: Symbolic, letter: str
) -> tuple[Wrong, ...]:
    """How an axis that decides a size can be wrong: between two sizes, too small, too large."""
    slope, rest = _line(dim, letter)
    wrong = [Wrong(value - letters.in_axes(rest), "%", abs(slope))] if abs(slope) > 1 else []
    low, high = _ends(letters.found.bounds[letter], slope, rest)
    if low is not None:
        wrong.append(Wrong(value, "<", letters.in_axes(low)))
    if high is not None:
        wrong.append(Wrong(value, ">", letters.in_axes(high)))
    return tuple(wrong)


def _ends(bounds: Bounds, slope: int, rest: Dim) -> tuple[Dim | None, Dim | None]:
    """The smallest and largest `slope * size + rest`; None where nothing else could come.

    That a tensor is empty is PyTorch's business.
    """
    low, high = bounds if slope > 0 else (bounds.maximum, bounds.minimum)
    least = None if low is None else slope * low + rest
    most = None if high is None else slope * high + rest
    if isinstance(least, int) and least <= abs(slope):
        least = None
    return least, most


def _condition_check(letters: _Letters, condition: Symbolic) -> Check:
    dim, minimum = without_constant(condition)
    value = letters.in_axes(dim)
    return Check(str(dim), f"at least {minimum}", value, (Wrong(value, "<", minimum),))


def _axis_subject(found: Admissible, name: str, index: int) -> str:
    word = axis_names(len(found.inputs[name]))[index]
    return word if len(found.inputs) == 1 else f"{word} of {name}"


def axis_words(found: Admissible) -> dict[str, list[str]]:
    """What each axis of each input may be: `224`, `a multiple of 16, at least 32`, `any`."""
    letters = _Letters(found)
    return {
        name: [_words(letters, name, index, dim) for index, dim in enumerate(shape)]
        for name, shape in found.inputs.items()
    }


def _words(letters: _Letters, name: str, index: int, dim: Dim) -> str:
    if isinstance(dim, int):
        return str(dim)
    before = _same_before(letters.found, name, index)
    if before:
        return f"the same as {_axis_subject(letters.found, *before)}"
    letter = letters.deciding.get((name, index))
    if letter is None:
        return str(dim)
    slope, rest = _line(dim, letter)
    if not isinstance(rest, int):
        return f"of the form {dim}"
    return _line_words(dim, slope, rest, letters.found.bounds[letter])


def _same_before(found: Admissible, name: str, index: int) -> tuple[str, int] | None:
    """The first axis of the same size, if it stands before this one."""
    dim = found.inputs[name][index]
    for other, shape in found.inputs.items():
        for place, each in enumerate(shape):
            if (other, place) == (name, index):
                return None
            if each == dim:
                return other, place
    return None


def _line_words(dim: Symbolic, slope: int, rest: int, bounds: Bounds) -> str:
    words = []
    if slope > 1 and rest % slope == 0:
        words.append(f"a multiple of {slope}")
    elif abs(slope) > 1:
        words.append(f"of the form {dim}")
    low, high = _ends(bounds, slope, rest)
    words += [f"at least {low}"] if low is not None else []
    words += [f"at most {high}"] if high is not None else []
    return ", ".join(words) or "any"


def refusal(network: str, found: Admissible, shapes: Mapping[str, Sequence[int]]) -> str | None:
    """Why a network cannot be run on inputs of these shapes, by name; None where it can.

    Inputs that are not given, as those that only training reads, are not checked.
    """
    came = {
        str(axis(name, index)): length
        for name, shape in shapes.items()
        for index, length in enumerate(shape)
    }
    for each in input_checks(network, found):
        if each.name not in shapes:
            continue
        if len(shapes[each.name]) != each.rank:
            return f"{each.takes}: it must have {each.rank} axes, but has {len(shapes[each.name])}"
        for check in each.checks:
            if _is_wrong(check, came):
                value = evaluate_to_int(check.value, came)
                return f"{each.takes}: {check.subject} must be {check.words}, but is {value}"
    return None


def _is_wrong(check: Check, came: Mapping[str, int]) -> bool:
    given = all(each.name in came for dim in _read(check) for each in sizes(dim))
    return given and any(_holds(wrong, came) for wrong in check.wrong)


def _read(check: Check) -> list[Dim]:
    """The terms of axes that a check reads."""
    return [check.value, *(dim for wrong in check.wrong for dim in (wrong.left, wrong.right))]


def _holds(wrong: Wrong, came: Mapping[str, int]) -> bool:
    left, right = evaluate_to_int(wrong.left, came), evaluate_to_int(wrong.right, came)
    match wrong.operator:
        case "%":
            return left % right != 0
        case "<":
            return left < right
        case ">":
            return left > right
        case _:
            return left != right


def sizes_json(found: Admissible) -> dict[str, Any]:
    """The admissible sizes as plain data; `docs/json.md` describes it."""
    words = axis_words(found)
    return {
        "inputs": {
            name: [
                {"axis": axis, "size": dim if isinstance(dim, int) else str(dim), "words": each}
                for axis, dim, each in zip(axis_names(len(shape)), shape, words[name], strict=True)
            ]
            for name, shape in found.inputs.items()
        },
        "free": {name: bounds._asdict() for name, bounds in found.bounds.items()},
        "conditions": [
            {"size": str(dim), "minimum": minimum}
            for dim, minimum in map(without_constant, found.conditions)
        ],
    }


def sizes_text(found: Admissible) -> list[str]:
    """The admissible sizes for people: a line an input, and one for what they leave open."""
    lines = []
    for name, words in axis_words(found).items():
        axes = zip(axis_names(len(words)), words, strict=True)
        lines.append(f"{name}: " + "; ".join(f"{axis} {each}" for axis, each in axes))
    if found.conditions:
        lines.append("where " + " and ".join(map(_condition_text, found.conditions)))
    return lines
