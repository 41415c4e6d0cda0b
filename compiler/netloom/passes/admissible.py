"""Which input sizes a network can be run on: those at which every layer has a result.

Each dimension of each value must be at least 1, and so must what an operator's `fits` adds. That
PyTorch runs exactly then is tried in `tests/test_admissible.py`, for every operator.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from netloom.diagnostics import Diagnostic, Diagnostics, Failed, Note, Span
from netloom.ir.dims import LARGEST, Dim, Symbolic, evaluate, evaluate_to_int, size, sizes
from netloom.ir.equality import RESIDUE_BUDGET, period
from netloom.ir.graph import Graph, Layer, Value
from netloom.ir.types import Shape
from netloom.passes.cost import batch_size

COMBINATIONS = 20_000
"""How many bindings are tried where several sizes depend on one another."""


class Bounds(NamedTuple):
    """The sizes from `minimum` to `maximum`, both included; None is without end."""

    minimum: int = 1
    maximum: int | None = None

    def hold(self, size: int) -> bool:
        """Whether a size lies between them."""
        return self.minimum <= size and (self.maximum is None or size <= self.maximum)


class Admissible(NamedTuple):
    """The input sizes that a network can be run on.

    These are the bindings of the free sizes within `bounds` at which each of `conditions` is at
    least 1. Conditions that the bounds already say are left out.
    """

    inputs: dict[str, Shape]
    bounds: dict[str, Bounds]
    conditions: tuple[Symbolic, ...] = ()

    def contain(self, binding: Mapping[str, int]) -> bool:
        """Whether the network can be run at these values of the free sizes."""
        return all(bounds.hold(binding[name]) for name, bounds in self.bounds.items()) and all(
            evaluate_to_int(dim, binding) >= 1 for dim in self.conditions
        )


def admissible_sizes(graph: Graph) -> Admissible:
    """The admissible sizes of a network.

    Raises `Failed`: E301 where there are none, E217 where they are beyond 64 bits.
    """
    inputs = {value.name: value.type.shape for value in graph.inputs}
    names = {each.name for shape in inputs.values() for dim in shape for each in sizes(dim)}
    search = _Search(graph.name, names)
    layers = graph.module_layers()
    shapes = _shapes(graph.inputs, layers)
    for shape, place in shapes.items():
        search.require(shape, place)
    for layer in layers:
        search.require(layer.op.fits(), _Place(f"`{layer.op.name}`", layer.span))
    found = Admissible(inputs, search.bounds, search.remaining())
    _refuse_too_large(shapes, found)
    return found


def check_sizes(graph: Graph, diagnostics: Diagnostics) -> None:
    """Reports a network that can be run on no size of its inputs."""
    try:
        admissible_sizes(graph)
    except Failed as failure:
        for each in failure.diagnostics:
            diagnostics.report(each)


class _Place(NamedTuple):
    """What asks for a size, in words: an input or a layer."""

    name: str
    span: Span | None


def _shapes(inputs: Iterable[Value], layers: Iterable[Layer]) -> dict[Shape, _Place]:
    """The shapes of all values, each with the first place that has it."""
    found: dict[Shape, _Place] = {}
    for value in inputs:
        found.setdefault(value.type.shape, _Place(f"input `{value.name}`", value.span))
    for layer in layers:
        for result in layer.results:
            if result.type.shape not in found:
                found[result.type.shape] = _Place(f"`{layer.op.name}`", layer.span)
    return found


class _Search:
    """Bounds of the free sizes, and where each comes from."""

    def __init__(self, network: str, names: set[str]) -> None:
        self.network = network
        self.bounds = {name: Bounds() for name in sorted(names)}
        self.least: dict[str, _Place] = {}
        self.most: dict[str, _Place] = {}
        self.kept: dict[Symbolic, _Place] = {}
        self.seen: set[Symbolic] = set()

    def require(self, dims: tuple[Dim, ...], place: _Place) -> None:
        """Narrows the bounds to those at which each dimension is at least 1."""
        for dim in dims:
            if isinstance(dim, int):
                self._require_number(dim, place)
            elif dim not in self.seen:
                self.seen.add(dim)
                self._require(dim, place)

    def _require_number(self, dim: int, place: _Place) -> None:
        if dim < 1:
            raise self._none(f"what enters {place.name} is too small for it", place)

    def _require(self, dim: Symbolic, place: _Place) -> None:
        if any(each.from_data or each.name not in self.bounds for each in dim.sizes):
            return  # what the data decides may be 0
        name, *others = [each.name for each in dim.sizes]
        if others:
            self.kept[dim] = place
        elif dim.grows:
            self._narrow(name, Bounds(self._smallest(dim, name)), place)
        else:
            self._solve(dim, name, place)

    def _smallest(self, dim: Symbolic, name: str) -> int:
        """The least size within the bounds at which a dimension that never falls is at least 1."""
        low = self.bounds[name].minimum
        if evaluate_to_int(dim, {name: low}) >= 1:
            return low
        step = 1
        while evaluate_to_int(dim, {name: low + step}) < 1:
            if step > LARGEST:
                return LARGEST + 1
            low, step = low + step, 2 * step
        high = low + step
        while high - low > 1:
            middle = (low + high) // 2
            if evaluate_to_int(dim, {name: middle}) >= 1:
                high = middle
            else:
                low = middle
        return high

    def _solve(self, dim: Symbolic, name: str, place: _Place) -> None:
        """The same for a dimension that may fall, by residues."""
        classes = _classes(dim, name)
        if classes is None:
            self.kept[dim] = place
            return
        holding = [each for each in classes if each]
        if not holding:
            raise self._none(f"`{dim}` is below 1 at every `{name}`", place)
        ends = [each.maximum for each in holding if each.maximum is not None]
        last = max(ends) if len(ends) == len(holding) else None
        bounds = Bounds(min(each.minimum for each in holding), last)
        self._narrow(name, bounds, place)
        if not _is_interval(bounds, classes):
            self.kept[dim] = place

    def _narrow(self, name: str, bounds: Bounds, place: _Place) -> None:
        minimum, maximum = self.bounds[name]
        if bounds.minimum > minimum:
            minimum, self.least[name] = bounds.minimum, place
        if bounds.maximum is not None and (maximum is None or bounds.maximum < maximum):
            maximum, self.most[name] = bounds.maximum, place
        self.bounds[name] = Bounds(minimum, maximum)
        if minimum > LARGEST:
            raise self._none(f"`{name}` would have to be beyond 64 bits", place)
        if maximum is not None and minimum > maximum:
            least, most = self.least.get(name, place), self.most[name]
            end = f"{least.name} needs `{name}` to be at least {minimum}"
            raise self._none(end, least, Note(f"but here it is at most {maximum}", most.span))

    def remaining(self) -> tuple[Symbolic, ...]:
        """The conditions that the bounds do not say.

        Raises `Failed` (E301) for one that no size within the bounds fulfils.
        """
        lows = {name: bounds.minimum for name, bounds in self.bounds.items()}
        highs = {name: bounds.maximum or LARGEST for name, bounds in self.bounds.items()}
        found = []
        for dim, place in _strictest(self.kept):
            falls = isinstance(opposite := -dim, Symbolic) and opposite.grows
            worst, best = (lows, highs) if dim.grows else (highs, lows)
            if (dim.grows or falls) and evaluate_to_int(dim, best) < 1:
                raise self._none(f"`{dim}` is below 1 at every size", place)
            if not (dim.grows or falls) or evaluate_to_int(dim, worst) < 1:
                found.append(dim)
        return tuple(found)

    def _none(self, reason: str, place: _Place, *notes: Note) -> Failed:
        message = f"network `{self.network}` can be run on no size of its inputs: {reason}"
        help = "fewer strides and poolings, smaller kernels or more `pad`; or another input shape"
        return Failed(Diagnostic("E301", message, place.span, "", notes, help))


def _strictest(conditions: Mapping[Symbolic, _Place]) -> list[tuple[Symbolic, _Place]]:
    """The conditions, of those that differ by a number only the one that is hardest to meet."""
    found: dict[Dim, tuple[Symbolic, _Place]] = {}
    for dim, place in conditions.items():
        kind = dim - dim.constant
        if kind not in found or dim.constant < found[kind][0].constant:
            found[kind] = dim, place
    return list(found.values())


def _classes(dim: Symbolic, name: str) -> list[Bounds | None] | None:
    """For each residue of a size, the sizes of that residue at which a dimension is at least 1.

    `size = period * (k - 1) + residue` makes it a polynomial in k. None where there are too many
    residues, or where the polynomial is not linear.
    """
    length = period(dim, name)
    if length > RESIDUE_BUDGET:
        return None
    found = []
    for residue in range(1, length + 1):
        line = evaluate(dim, {name: length * (size("k") - 1) + residue})
        if isinstance(line, int):
            found.append(Bounds(residue) if line >= 1 else None)
            continue
        (monomial, slope), *_ = line.terms
        if len(monomial) > 1:
            return None
        # slope * k + constant >= 1
        first, last = 1, None
        if slope > 0:
            first = max(1, -((line.constant - 1) // slope))
        else:
            last = (line.constant - 1) // -slope
        if last is not None and last < first:
            found.append(None)
            continue
        end = None if last is None else length * (last - 1) + residue
        found.append(Bounds(length * (first - 1) + residue, end))
    return found


def _is_interval(bounds: Bounds, classes: list[Bounds | None]) -> bool:
    """Whether the sizes of all residues together are all sizes within the bounds."""
    for residue, found in enumerate(classes, start=1):
        first = bounds.minimum + (residue - bounds.minimum) % len(classes)
        if not bounds.hold(first):
            continue
        last = None
        if bounds.maximum is not None:
            last = bounds.maximum - (bounds.maximum - residue) % len(classes)
        if found != Bounds(first, last):
            return False
    return True


def _refuse_too_large(shapes: Mapping[Shape, _Place], found: Admissible) -> None:
    """Refuses values that have more than 2^63 - 1 elements even at the smallest sizes (E217)."""
    smallest = {name: bounds.minimum for name, bounds in found.bounds.items()}
    for shape, place in shapes.items():
        if _elements(shape, smallest) > LARGEST:
            bound = [f"{name} = {size}" for name, size in smallest.items() if size > 1]
            where = f", at {', '.join(bound)} and above" if bound else ""
            message = f"{place.name}: more elements than 64 bits can count{where}"
            help = "a tensor has at most 2^63 - 1 elements"
            raise Failed(Diagnostic("E217", message, place.span, help=help))


def _elements(shape: Shape, smallest: Mapping[str, int]) -> int:
    """The elements that a value has at least; what may fall, or is unknown, counts as 1."""
    elements = 1
    for dim in shape:
        if isinstance(dim, int):
            elements *= dim
        elif dim.grows and all(each.name in smallest for each in dim.sizes):
            elements *= max(1, evaluate_to_int(dim, smallest))
    return elements


def small_sizes(graph: Graph) -> Iterator[dict[str, int]]:
    """Up to two admissible bindings of the free sizes, the smallest and one of primes near it.

    Where all sizes are fixed that is one, without any.

    The batch is 1, then 3. Sizes differ from one another where that is possible, so that exchanged
    axes are seen.
    """
    found = admissible_sizes(graph)
    batch = batch_size(graph)
    names = [name for name in found.bounds if not batch or name != batch.name]
    tried: list[dict[str, int]] = []
    for only_primes, number in ((False, 1), (True, 3)):
        batches = {batch.name: found.bounds[batch.name].minimum + number - 1} if batch else {}
        binding = _smallest_binding(found, names, batches, only_primes)
        if binding is not None and binding not in tried:
            tried.append(binding)
            yield binding


def _smallest_binding(
    found: Admissible, names: list[str], fixed: dict[str, int], only_primes: bool
) -> dict[str, int] | None:
    """The first admissible binding: of primes if they are wanted, and any other after those."""
    lengths = {name: _lengths(found.bounds[name]) for name in names}
    primes = {name: [n for n in lengths[name] if is_prime(n)] for name in names}
    for pool in [primes, lengths] if only_primes else [lengths]:
        for sides in _neighbours(list(pool.values())):
            binding = {**dict(zip(names, sides, strict=True)), **fixed}
            if found.contain(binding):
                return binding
    for sides in itertools.islice(itertools.product(*lengths.values()), COMBINATIONS):
        binding = {**dict(zip(names, sides, strict=True)), **fixed}
        if found.contain(binding):
            return binding
    return None


def _neighbours(pools: list[list[int]]) -> Iterator[tuple[int, ...]]:
    """A side from each list, all from one place or every other one from the next, no two alike."""
    for position in range(max(map(len, pools), default=1)):
        for shift in (0, 1):
            places = [position + shift * (index % 2) for index in range(len(pools))]
            if all(place < len(pool) for place, pool in zip(places, pools, strict=True)):
                sides = [pool[place] for place, pool in zip(places, pools, strict=True)]
                if all(left != right for left, right in itertools.pairwise(sides)):
                    yield tuple(sides)


def _lengths(bounds: Bounds) -> list[int]:
    """Sizes to try: the smallest, one after the other, then ever larger ones."""
    offsets = [*range(24), *(3 * 2**power + power for power in range(4, 16))]
    return [bounds.minimum + each for each in offsets if bounds.hold(bounds.minimum + each)]


def is_prime(number: int) -> bool:
    """Whether a number is a prime."""
    return number > 1 and all(number % each for each in range(2, int(number**0.5) + 1))
