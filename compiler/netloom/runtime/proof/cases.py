"""What a proof tries: sizes, and inputs at each of them."""

import zlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy

from netloom.ir.dims import Dim, Size, evaluate_to_int, product
from netloom.ir.graph import Graph, Value
from netloom.ops.region import NonMaximumSuppression
from netloom.passes.admissible import admissible_sizes, small_sizes
from netloom.passes.cost import batch_size, total_of
from netloom.passes.memory import BYTES
from netloom.runtime.proof.policy import Inputs, Policy, Precision

Array = numpy.ndarray[Any, Any]

Sizes = Mapping[str, int]

LARGE = 10
"""The factor of large inputs: enough for what is cut off at 6 and what squares are added to.

Beyond that rounding grows: in ONNX Runtime's LRN, which adds and subtracts squares, to 3e-5 at 100.
"""

ALWAYS = 3
"""How many cases are tried however large the network: two sizes, and negative inputs."""

MACS = 100e9
"""Further cases are tried as long as one run of all of them takes no more than this."""


class Case(NamedTuple):
    """The free sizes, and what kind of inputs."""

    sizes: Sizes
    inputs: Inputs

    def __str__(self) -> str:
        return f"{sizes_words(self.sizes)}, {self.inputs} inputs"


class Cases(NamedTuple):
    """The cases of a proof, and those for which the network is too large."""

    tried: tuple[Case, ...]
    left_out: tuple[Case, ...]


def cases(graph: Graph, policy: Policy, given: Sizes | None = None) -> Cases:
    """The cases of a network, at the `given` sizes or at small ones, sorted by size.

    They come in order of what they tell, and are dropped from the end where they are too much work.
    """
    sizes = list(_sizes(graph)) if not given else _with(graph, given)
    wanted = _in_order(sizes, policy)
    tried: list[Case] = []
    left_out: list[Case] = []
    spent = 0
    for case in wanted:
        cost = work(graph, case.sizes)
        if len(tried) < ALWAYS or spent + cost <= MACS:
            tried.append(case)
            spent += cost
        else:
            left_out.append(case)
    return Cases(tuple(sorted(tried, key=lambda case: sizes.index(case.sizes))), tuple(left_out))


def _in_order(sizes: list[Sizes], policy: Policy) -> list[Case]:
    if not sizes:
        return []
    first, *others = policy.inputs
    found = [Case(each, first) for each in sizes[:2]]
    found += [Case(each, kind) for each in sizes[:2] for kind in others]
    return found + [Case(each, kind) for each in sizes[2:] for kind in policy.inputs[:2]]


def _sizes(graph: Graph) -> Iterator[Sizes]:
    """Small sizes with batches of 1 and 3, and larger ones with 2 where more than that is free."""
    batch = batch_size(graph)
    small = [_batch_first(sizes, batch) for sizes in small_sizes(graph)]
    yield from small
    if small and any(not batch or name != batch.name for name in small[-1]):
        yield from _larger(graph, small[-1], batch.name if batch else None)


def _batch_first(sizes: Sizes, batch: Size | None) -> Sizes:
    return dict(sorted(sizes.items(), key=lambda item: not batch or item[0] != batch.name))


def _with(graph: Graph, given: Sizes) -> list[Sizes]:
    """Small sizes with those numbers put in that are given, as far as they can be run."""
    found = admissible_sizes(graph)
    sizes: list[Sizes] = []
    for each in small_sizes(graph):
        wanted = _batch_first({**each, **given}, batch_size(graph))
        if found.contain(wanted) and wanted not in sizes:
            sizes.append(wanted)
    return sizes


def _larger(graph: Graph, last: Sizes, batch: str | None) -> Iterator[Sizes]:
    """The first sizes that work from twice the last ones on, so that there are even ones, too."""
    found = admissible_sizes(graph)
    for more in range(24):
        sizes = {
            name: max(2, found.bounds[name].minimum) if name == batch else 2 * size + more
            for name, size in last.items()
        }
        if found.contain(sizes):
            yield sizes
            return


def sizes_words(sizes: Sizes) -> str:
    """`N=1, h=32`; what is fixed needs no size."""
    return ", ".join(f"{name}={size}" for name, size in sizes.items()) or "fixed sizes"


def work(graph: Graph, sizes: Sizes) -> int:
    """The MACs of one run."""
    macs = total_of(layer.op.macs() for layer in graph.layers_in("infer"))
    return _number(macs, sizes)


def activation_bytes(graph: Graph, sizes: Sizes) -> int:
    """The bytes of all values of one run together."""
    results = [each for layer in graph.layers_in("infer") for each in layer.results]
    types = [value.type for value in (*graph.inputs, *results)]
    return sum(BYTES[each.dtype] * _number(product(each.shape), sizes) for each in types)


def _number(dim: Dim, sizes: Sizes) -> int:
    """A dimension in numbers; 0 where the data decides: then it counts a few boxes."""
    is_known = isinstance(dim, int) or all(each.name in sizes for each in dim.sizes)
    return evaluate_to_int(dim, sizes) if is_known else 0


def draw(graph: Graph, case: Case, precision: Precision, seed: int) -> dict[str, Array]:
    """The inputs of a case by name; a float16 model is given numbers that it can hold."""
    generator = numpy.random.default_rng([seed, zlib.crc32(str(case).encode())])
    inputs = {value.name: _drawn(value, case, generator) for value in graph.inputs}
    for name in _boxes(graph):
        corners = numpy.sort(inputs[name].reshape(-1, 2, 2), axis=1)
        inputs[name] = corners.reshape(inputs[name].shape)
    if precision != "float16":
        return inputs
    return {
        name: array.astype("float16").astype("float32") if array.dtype == "float32" else array
        for name, array in inputs.items()
    }


def _boxes(graph: Graph) -> set[str]:
    """The inputs that hold boxes; what one means that ends before it begins is nowhere defined."""
    operators = [layer.op for layer in graph.layers]
    taken = {id(each.x) for each in operators if isinstance(each, NonMaximumSuppression)}
    return {value.name for value in graph.inputs if id(value) in taken}


def _drawn(value: Value, case: Case, generator: numpy.random.Generator) -> Array:
    shape = tuple(evaluate_to_int(dim, case.sizes) for dim in value.type.shape)
    if value.type.dtype != "float32":
        return generator.integers(0, 2, shape).astype(value.type.dtype)
    drawn = generator.normal(size=shape)
    if case.inputs == "negative":
        drawn = -abs(drawn)
    if case.inputs == "large":
        drawn *= LARGE
    return drawn.astype("float32")
