"""What the compiler states of a generated network against what was observed of it."""

import math
from collections.abc import Callable, Iterable, Iterator

from generator.description import Net, Sizes
from generator.observation import Facts, Sight, fits_at_all_sizes, sights
from generator.text import spec
from netloom.compile import Network, check
from netloom.diagnostics import Failed, Source
from netloom.ir.dims import evaluate_to_int
from netloom.ir.field import Extent, Field, Varying
from netloom.ir.graph import Value
from netloom.ir.types import spatial_axes
from netloom.ops.border import Crop, Pad
from netloom.passes.admissible import admissible_sizes
from netloom.passes.footprint import footprint
from oracles.reach import Interval, fit


def differences(net: Net, facts: Facts) -> list[str]:
    """What the compiler states otherwise than it was observed, each in one line."""
    try:
        network = check(Source("net.loom", spec(net))).networks["net"]
    except Failed as failure:
        if not fits_at_all_sizes(net):
            return []
        return [f"refused: {each.code} {each.message}" for each in failure.diagnostics]
    found = list(_operators(network, facts))
    if found:
        return found
    return [
        *_shapes(network, facts),
        *_weights(network, facts),
        *_work(network, facts),
        *_fields(net, network, facts),
    ]


def _operators(network: Network, facts: Facts) -> Iterator[str]:
    stated = [layer.op.name for layer in network.graph.layers]
    expected = [layer.operator for layer in facts.layers]
    if stated != expected:
        yield f"layers: {stated} for {expected}"


def _shapes(network: Network, facts: Facts) -> Iterator[str]:
    admissible = admissible_sizes(network.graph)
    # What no head needs is not emitted, and may ask for any size.
    all_alive = len(network.graph.module_layers()) == len(network.graph.layers)
    for sizes, expected in facts.shapes:
        stated = shapes_at(network, sizes)
        accepted = admissible.contain({name: sizes[name] for name in admissible.bounds})
        if expected is None:
            if accepted and all_alive:
                yield f"sizes: accepted at {sizes}, which PyTorch refuses"
        elif not accepted:
            yield f"sizes: refused at {sizes}, which PyTorch runs"
        else:
            for layer, ours, theirs in zip(network.graph.layers, stated, expected, strict=True):
                if ours != theirs:
                    yield f"shape: {layer.name} is {ours}, not {theirs}, at {sizes}"


def shapes_at(network: Network, sizes: Sizes) -> list[list[tuple[int, ...]]]:
    """The stated shape of each result of each layer, in numbers."""
    return [
        [tuple(evaluate_to_int(dim, sizes) for dim in each.type.shape) for each in layer.results]
        for layer in network.graph.layers
    ]


def _weights(network: Network, facts: Facts) -> Iterator[str]:
    layers = network.graph.layers
    place = {id(layer): index for index, layer in enumerate(layers)}
    learned = 0
    counted = set()
    for index, (layer, expected) in enumerate(zip(layers, facts.layers, strict=True)):
        stated = {name: (each.shape, each.learned) for name, each in layer.op.params().items()}
        if stated != expected.weights:
            yield f"parameters: {layer.name} has {stated}, not {expected.weights}"
        if place[id(layer.weights_of)] != expected.weights_of:
            yield f"parameters: {layer.name} has the weights of {layer.weights_of}"
        if index in facts.needed and expected.weights_of not in counted:
            counted.add(expected.weights_of)
            learned += sum(_product(s) for s, is_learned in expected.weights.values() if is_learned)
    if network.cost.params != learned:
        yield f"parameters: {network.cost.params}, not {learned}"


def _product(shape: tuple[int, ...]) -> int:
    total = 1
    for length in shape:
        total *= length
    return total


def _work(network: Network, facts: Facts) -> Iterator[str]:
    for sizes, expected in facts.macs:
        for layer, theirs in zip(network.graph.layers, expected, strict=True):
            ours = evaluate_to_int(network.costs[layer].macs, sizes)
            if ours != theirs:
                yield f"macs: {layer.name} has {ours}, not {theirs}, at {sizes}"
        total = sum(theirs for index, theirs in enumerate(expected) if index in facts.needed)
        ours = evaluate_to_int(network.cost.macs, sizes)
        if ours != total:
            yield f"macs: {ours}, not {total}, at {sizes}"


# --- Receptive fields ----------------------------------------------------------------------------


def _fields(net: Net, network: Network, facts: Facts) -> Iterator[str]:
    values = {head.name: head.value for head in network.graph.heads}
    for (head, given, axis), measured in _by_place(facts.sights).items():
        stated = network.fields[values[head]].get(given)
        if stated is None:
            if any(sight.sees.any() for sight in measured):
                yield f"field: {head} sees {given}, which is not stated"
            continue
        for sight in measured:
            yield from _compare_footprints(network, values[head], sight)
        told = [sight for sight in measured if sight.sees.any()]
        # Where nothing is seen at all, all taps along another axis lie in the padding.
        for why in _compare(net, network, stated[axis], told) if told else ():
            yield f"field: {head} of {given} along {axis}: {why}"


def _compare_footprints(network: Network, value: Value, sight: Sight) -> Iterator[str]:
    """The first, last and middle positions see exactly the pixels that were measured."""
    everywhere = {
        axis: set(range(evaluate_to_int(value.type.shape[index], sight.sizes)))
        for axis, index in spatial_axes(value.type.rank).items()
    }
    given = next(each for each in network.graph.inputs if each.name == sight.input)
    last = sight.sees.shape[1] - 1
    for position in sorted({0, last // 2, (last + 1) // 2, last}):
        here = {**everywhere, sight.axis: {position}} if sight.axis in everywhere else everywhere
        below = footprint(network.graph, value, here, sight.sizes)
        stated = below.get(given, {}).get(sight.axis, set())
        seen = set(sight.sees[:, position].nonzero().flatten().tolist())
        if stated != seen:
            where = f"{sight.head} of {sight.input} along {sight.axis}, position {position}"
            yield f"footprint: {where}: {sorted(stated)} for {sorted(seen)}, at {sight.sizes}"
            return


def _by_place(sights: Iterable[Sight]) -> dict[tuple[str, str, str], list[Sight]]:
    found: dict[tuple[str, str, str], list[Sight]] = {}
    for sight in sights:
        found.setdefault((sight.head, sight.input, sight.axis), []).append(sight)
    return found


def _compare(net: Net, network: Network, stated: Extent, measured: list[Sight]) -> Iterator[str]:
    if any(isinstance(layer.op, Crop) for layer in network.graph.layers):
        return  # it may cut off so much that everything lies near a border
    mirrored = any(
        isinstance(layer.op, Pad) and layer.op.mode != "zeros" for layer in network.graph.layers
    )
    if isinstance(stated, Varying):
        for sight in measured:
            if all(list(_compare_field(case, sight, mirrored)) for case in stated.cases):
                yield f"none of the cases {stated.cases} fits at {sight.sizes}"
        return
    if isinstance(stated, Field):
        for sight in measured:
            yield from _compare_field(stated, sight, mirrored)
        return
    if stated not in JUSTIFIED:
        yield f"`{stated}`, which has no experiment"
        return
    if any(map(JUSTIFIED[stated], measured)):
        return
    last = measured[-1]
    longer = _longer(net, last)
    # A map that has one size may be too small to tell; and of some only long ones have an interior.
    if longer is not None and not JUSTIFIED[stated](longer):
        yield f"`{stated}`, but it sees {hulls(last)} of {last.length}"


def _longer(net: Net, sight: Sight) -> Sight | None:
    """The same on a much longer input, if it can be longer."""
    place = (sight.head, sight.input, sight.axis)
    longest = _by_place(sights(net, LONG)).get(place, [sight])[-1]
    is_longer = longest.length > 2 * sight.length and bool(longest.sees.any())
    return longest if is_longer else None


def hulls(sight: Sight) -> list[Interval]:
    """First and last position that each position sees."""
    found: list[Interval] = []
    for column in sight.sees.T:
        seen = column.nonzero().flatten()
        found.append((int(seen[0]), int(seen[-1])) if len(seen) else None)
    return found


def _compare_field(stated: Field, sight: Sight, mirrored: bool) -> Iterator[str]:
    """What is stated contains what is seen, and is equal to it far from the borders.

    Where some border is mirrored, positions near it see pixels that none would on an endless input.
    """
    for position, seen in enumerate(hulls(sight)):
        first, last = stated.interval(position)
        expected = (first, last) if first <= last else None
        if seen == expected or (seen and expected == (-math.inf, seen[1]) and seen[0] == 0):
            continue
        is_beyond = seen and not (expected and first <= seen[0] and seen[1] <= last)
        if (is_beyond and not mirrored) or _is_inside(expected, sight.length):
            yield f"position {position} sees {seen}, stated is {expected}, at {sight.sizes}"
            return


def _is_inside(interval: tuple[float, int] | None, length: int) -> bool:
    """Whether an interval is so far from the borders that no layer's padding can matter."""
    margin = length // 4
    if interval is None or interval[1] >= length - margin:
        return False
    return interval[0] >= margin or interval[0] == -math.inf


def sees_all_there_is(sight: Sight) -> bool:
    """Whether some position sees from the first to the last pixel that any position sees.

    Poolings may drop an end of the input for all, and an enlargement may leave positions empty.
    """
    seen = [each for each in hulls(sight) if each]
    return (min(first for first, _ in seen), max(last for _, last in seen)) in seen


def grows(sight: Sight) -> bool:
    """Whether what is seen follows no field, as far as the map is large enough to tell."""
    found = fit(hulls(sight))
    middle = [each for each in _middle(sight) if each]
    is_inside = len(middle) > 5 and all(_is_inside(each, sight.length) for each in middle)
    return found is None or not is_inside


def _middle(sight: Sight) -> list[Interval]:
    intervals = hulls(sight)
    return intervals[len(intervals) // 3 : -(-2 * len(intervals) // 3)] or intervals


JUSTIFIED: dict[str, Callable[[Sight], bool]] = {
    "whole": sees_all_there_is,
    "misaligned": grows,
    "irregular": lambda sight: True,
    "varying": lambda sight: True,
}
"""What a measurement must show for each word.

No map here is as long as an irregular period, nor as many as make out that offsets vary; what each
position sees is compared by footprints.
"""

LONG = (131,)


def is_told_exactly(network: Network, sight: Sight) -> bool:
    """Whether the compiler states numbers, and some positions are far from the borders."""
    (head,) = (each for each in network.graph.heads if each.name == sight.head)
    stated = network.fields[head.value].get(sight.input, {}).get(sight.axis)
    return isinstance(stated, Field) and any(
        _is_inside(stated.interval(position), sight.length)
        for position in range(sight.sees.shape[1])
    )
