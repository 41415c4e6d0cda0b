"""What PyTorch says of a network: shapes, parameters, work, and what each position sees."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from generator.description import Net, Sizes, letters, number, spatial_axes
from generator.operators import OPERATORS, Chance
from generator.walk import Modules, Step, Value, Walk

Shape = tuple[int, ...]


class Run:
    """One run of a network; `data` are its inputs in order."""

    def __init__(self, net: Net, layer: Any, data: Sequence[Any]) -> None:
        names = {name: Value(each) for name, each in zip(net.inputs, data, strict=True)}
        current = next(iter(names.values())) if len(names) == 1 else None
        self.steps: list[Step] = []
        self.results: list[tuple[Any, ...]] = []
        self._layer = layer
        walk = Walk(net, self._note)
        walk.body(net.body, current, names)
        self.heads = {name: names[name] for name in net.heads}

    def _note(self, step: Step, xs: list[Any]) -> tuple[Any, ...]:
        results: tuple[Any, ...] = self._layer(step, xs)
        self.steps.append(step)
        self.results.append(results)
        return results


@dataclass(frozen=True)
class LayerFacts:
    """A layer's operator, the layer that has its weights, and those: name to shape and learned."""

    operator: str
    weights_of: int
    weights: dict[str, tuple[Shape, bool]]


@dataclass(frozen=True)
class Sight:
    """What the positions of a head see of an input along one axis, at some sizes.

    `sees` is [input positions, head positions], true where one sees the other. A head without
    that axis is one position.
    """

    head: str
    input: str
    axis: str
    sizes: Sizes
    sees: Tensor

    @property
    def length(self) -> int:
        """The input's positions."""
        return int(self.sees.shape[0])


@dataclass(frozen=True)
class Facts:
    """All that is observed. `shapes` are those of each layer's results; None if it cannot run."""

    layers: list[LayerFacts]
    shapes: list[tuple[Sizes, list[list[Shape]] | None]]
    needed: frozenset[int]
    macs: list[tuple[Sizes, list[int]]]
    sights: list[Sight] = field(default_factory=list)


def observe(net: Net) -> Facts:
    """Everything about a network."""
    first = run(net, net.bindings[0])
    layers = [
        LayerFacts(step.operator, step.weights_of, _weights(first.modules.of.get(step.weights_of)))
        for step in first.run.steps
    ]
    needed = frozenset().union(*(value.layers for value in first.run.heads.values()))
    try:
        seen_by = sights(net)
    except (RuntimeError, ValueError):
        if fits_at_all_sizes(net):
            raise
        seen_by = []  # at larger sizes it cannot run, so a compiler must refuse it
    return Facts(layers, _shapes(net), needed, _macs(net), seen_by)


@dataclass(frozen=True)
class RealRun:
    """A run with PyTorch's layers, and these."""

    run: Run
    modules: Modules
    inputs: list[Tensor]


def run(net: Net, sizes: Sizes, modules: Modules | None = None) -> RealRun:
    """Runs a network, perhaps with layers of an earlier run; raises what PyTorch raises."""
    torch.manual_seed(net.seed)
    modules = modules or Modules()
    shapes = [[number(side, sizes) for side in shape] for shape in net.inputs.values()]
    inputs = [torch.rand(shape, device=modules.device, dtype=modules.dtype) for shape in shapes]
    with torch.no_grad():
        return RealRun(Run(net, modules, inputs), modules, inputs)


def _weights(module: Any) -> dict[str, tuple[Shape, bool]]:
    if module is None:
        return {}
    learned = {name for name, _ in module.named_parameters()}
    return {
        name.removeprefix("layer."): (tuple(tensor.shape), name in learned)
        for name, tensor in module.state_dict().items()
    }


def _shapes(net: Net) -> list[tuple[Sizes, list[list[Shape]] | None]]:
    """At each binding, at small sizes that may be too small, and at a large one without data."""
    modules = Modules()
    found = [(sizes, _shapes_at(net, sizes, modules)) for sizes in net.bindings]
    chance = Chance(net.seed)
    free = letters(net.inputs)
    for most in (2, 6) if free else ():
        sizes = {each: chance.randint(1, most) for each in free}
        found.append((sizes, _shapes_at(net, sizes, modules)))
    return found


def _shapes_at(net: Net, sizes: Sizes, modules: Modules) -> list[list[Shape]] | None:
    try:
        results = run(net, sizes, modules).run.results
    except (RuntimeError, ValueError):
        return None
    shapes = [[tuple(each.shape) for each in layer] for layer in results]
    empty = any(0 in shape for layer in shapes for shape in layer)
    return None if empty else shapes


def fits_at_all_sizes(net: Net) -> bool:
    """Whether PyTorch runs it at large sizes too: 1 is `h` and `(h + 1000)//1001` at small ones."""
    modules = run(net, net.bindings[0], Modules("meta")).modules
    for length in (200, 1000, 5_000, 50_000):
        large = {each: length + 7 * index for index, each in enumerate(letters(net.inputs))}
        try:
            run(net, {**large, "N": 1, "T": 50}, modules)  # no layer strides along a sequence
        except (RuntimeError, ValueError):
            return False
    return True


def _macs(net: Net) -> list[tuple[Sizes, list[int]]]:
    """Multiply-accumulates of each layer for one sample; a batch that is fixed counts as it is.

    PyTorch counts each as two operations.
    """
    modules = Modules()
    found = []
    for sizes in (net.bindings[0], net.bindings[-1]):
        single = {**sizes, "N": 1} if "N" in sizes else sizes
        with FlopCounterMode(display=False) as counter:
            counted = _Counted(modules, counter)
            run(net, single, counted)
        found.append((single, counted.macs))
    return found


class _Counted(Modules):
    """Layers of an earlier run, whose work is noted."""

    def __init__(self, modules: Modules, counter: FlopCounterMode) -> None:
        super().__init__()
        self.of = modules.of
        self.counter = counter
        self.total = 0
        self.macs: list[int] = []

    def __call__(self, step: Step, xs: list[Any]) -> tuple[Any, ...]:
        results = super().__call__(step, xs)
        before, self.total = self.total, self.counter.get_total_flops()
        self.macs.append((self.total - before) // 2)
        return results


# --- What each position sees ---------------------------------------------------------------------

LENGTHS = (19, 53)
"""About how long an input is along the axis that is looked at."""


def sights(net: Net, lengths: tuple[int, ...] = LENGTHS) -> list[Sight]:
    """For every head and input, along every axis, at two sizes if the axis has a free one."""
    found: list[Sight] = []
    for sizes, watched in probes(net, lengths):
        try:
            found += _sights_at(net, sizes, watched)
        except ValueError:
            continue  # the part that a crop keeps is not inside at these sizes
    return found


def probes(
    net: Net, lengths: tuple[int, ...] = LENGTHS
) -> list[tuple[Sizes, set[tuple[str, str]]]]:
    """Sizes, and the axes of inputs that are looked at there."""
    base = {letter: max(length, 7) for letter, length in net.bindings[0].items()}
    base |= {"N": 1} if "N" in base else {}
    by_letter: dict[str, list[tuple[str, str, int, int]]] = {}
    fixed: set[tuple[str, str]] = set()
    for name, shape in net.inputs.items():
        for axis, index in spatial_axes(len(shape)).items():
            side = shape[index]
            if isinstance(side, int):
                fixed.add((name, axis))
                continue
            (letter,) = letters({name: (side,)})
            factor = number(side, {letter: 1}) - number(side, {letter: 0})
            by_letter.setdefault(letter, []).append((name, axis, factor, index))
    found: list[tuple[Sizes, set[tuple[str, str]]]] = []
    for letter, places in by_letter.items():
        factor = max(each[2] for each in places)
        watched = {(name, axis) for name, axis, _, _ in places}
        for length in lengths:
            long = max(length // factor, base[letter])
            sizes = {**base, letter: long}
            if (sizes, watched) not in found:
                found.append((sizes, watched))
    if fixed:
        found.append((base, fixed))
    return found


def _sights_at(net: Net, sizes: Sizes, watched: set[tuple[str, str]]) -> list[Sight]:
    """One run in which each row disturbs one position of one input, along one axis."""
    shapes = {name: [number(side, sizes) for side in shape] for name, shape in net.inputs.items()}
    disturbed = [
        (name, axis, position)
        for name, shape in shapes.items()
        for axis, index in spatial_axes(len(shape)).items()
        if (name, axis) in watched
        for position in range(shape[index])
    ]
    if not disturbed:
        return []
    area = max(math.prod(shape[2:]) for shape in shapes.values())
    rows_at_once = max(1, MOST_PIXELS // area)
    parts = [
        _heads(net, shapes, disturbed[begin : begin + rows_at_once])
        for begin in range(0, len(disturbed), rows_at_once)
    ]
    found = []
    for name, axis in sorted({(name, axis) for name, axis, _ in disturbed}):
        rows = [row for row, each in enumerate(disturbed) if each[:2] == (name, axis)]
        for head in net.heads:
            sees = torch.cat([_along(part[head].data, axis) for part in parts])
            found.append(Sight(head, name, axis, sizes, sees[rows]))
    return found


MOST_PIXELS = 500_000
"""Of an input, in one run: inner maps may be many times larger."""


def _heads(
    net: Net, shapes: dict[str, list[int]], disturbed: list[tuple[str, str, int]]
) -> dict[str, Value]:
    """What the heads see: each row of the batch disturbs one position."""
    inputs = {name: _unseen(shape, len(disturbed)) for name, shape in shapes.items()}
    for row, (name, axis, position) in enumerate(disturbed):
        x = inputs[name][row]
        x.select(spatial_axes(len(shapes[name]))[axis] - 1, position).fill_(1)
    return Run(net, seen, list(inputs.values())).heads


def _unseen(shape: list[int], rows: int) -> Tensor:
    """A map of one channel for each row, in which nothing is disturbed."""
    match shape:
        case [_, _, height, width]:
            return torch.zeros(rows, 1, height, width, dtype=torch.float64)
        case [_, steps, _]:
            return torch.zeros(rows, steps, 1, dtype=torch.float64)
        case _:
            return torch.zeros(rows, 1, dtype=torch.float64)


def _along(head: Tensor, axis: str) -> Tensor:
    """Whether something is seen, [rows, positions along the axis]."""
    index = spatial_axes(head.dim()).get(axis)
    if index is None:
        return (head > 0).flatten(1).any(1, keepdim=True)
    return (head > 0).movedim(index, 1).flatten(2).any(2)


SMALLEST = 1e-9
"""Less comes from rounding only: of the weights of an interpolation that hits a pixel's centre."""


def seen(step: Step, xs: list[Tensor]) -> tuple[Tensor, ...]:
    """The results of a layer, 1 where something disturbed is seen and 0 elsewhere."""
    results = OPERATORS[step.operator].reach(step.arguments, *xs)
    results = results if isinstance(results, tuple) else (results,)
    return tuple((each.abs() > SMALLEST).to(torch.float64) for each in results)
