"""Branches: linear nodes that read one tensor and are added become one.

1. The terms of a sum, over nested `Add` nodes, that are a `Conv` or `Gemm` of one tensor, that
   tensor's `BatchNormalization`, or the tensor itself: each is a convolution, the latter two with
   one tap.
2. Convolutions of equal step, groups and distance of taps become one whose window covers all of
   theirs, where that is no more work than they are; it never is for 3 x 3 and 1 x 1, as RepVGG is
   trained (Ding et al. 2021), nor for a normalised or plain copy of what enters.
3. The other terms are added to it as before.
"""

import math
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from netloom.emit.onnx.program import Program, Step, Tensor
from netloom.emit.onnx.rewrites.batchnorm import factor_and_constant
from netloom.emit.onnx.rewrites.change import Change
from netloom.emit.onnx.rewrites.linear import bias_of, calculated, is_linear, owner_of

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, Any]


class _Term(NamedTuple):
    """One summand: its tensor, the tensor that it is linear in, and the node that makes it so."""

    name: str
    source: str
    step: Step | None


class _Window(NamedTuple):
    """The taps along one axis: where the first lies, how many, how far apart, the step."""

    first: int
    taps: int
    dilation: int
    stride: int

    @property
    def last(self) -> int:
        return self.first + (self.taps - 1) * self.dilation


class _Sum:
    """The terms of nested `Add` nodes, of which the last is the root."""

    def __init__(self, root: Step) -> None:
        self.root = root
        self.adds: list[Step] = []
        self.terms: list[str] = []


def merge_branches(program: Program) -> list[Change]:
    """Merges the linear terms of sums."""
    uses, producers = program.uses(), program.producers()
    changes = []
    removed: set[int] = set()
    replaced: dict[int, list[Step]] = {}
    for total in _sums(program, uses, producers):
        terms = [_term(program, name, uses, producers) for name in total.terms]
        merged: list[Step] = []
        while group := max(_groups(program, terms), key=len, default=None):
            step = _merge(program, f"{total.root.name}/merged{len(merged) + 1}", group)
            merged.append(step)
            terms = [each for each in terms if not any(each is term for term in group)]
            removed.update(id(term.step) for term in group if term.step)
            branches = ", ".join(t.step.layers[0] if t.step else "what enters" for t in group)
            words = f"{branches} added into one node"
            changes.append(Change("branches", step.layers, words))
        if merged:
            removed.update(map(id, total.adds))
            names = [term.name for term in terms]
            replaced[id(total.root)] = [*merged, *_added(total.root, merged, names)]
    steps: list[Step] = []
    for step in program.steps:
        steps += replaced.get(id(step), [step] if id(step) not in removed else [])
    program.steps = steps
    return changes


def _sums(program: Program, uses: dict[str, int], producers: dict[str, Step]) -> Iterator[_Sum]:
    """Every sum of the graph with all its terms."""
    inner = set()
    for step in reversed(program.steps):
        if step.op_type != "Add" or id(step) in inner:
            continue
        total = _Sum(step)
        pending = [step]
        while pending:
            add = pending.pop()
            total.adds.append(add)
            for name in add.inputs:
                below = producers.get(name)
                if below is not None and below.op_type == "Add" and uses[name] == 1:
                    inner.add(id(below))
                    pending.append(below)
                else:
                    total.terms.append(name)
        yield total


def _term(program: Program, name: str, uses: dict[str, int], producers: dict[str, Step]) -> _Term:
    step = producers.get(name)
    if step is None or uses[name] > 1:
        return _Term(name, name, None)
    if step.op_type in ("Conv", "Gemm") and is_linear(program, step):
        return _Term(name, step.inputs[0], step)
    known = all(each in program.tensors for each in step.inputs[1:])
    if step.op_type == "BatchNormalization" and known:
        return _Term(name, step.inputs[0], step)
    return _Term(name, name, None)


def _groups(program: Program, terms: list[_Term]) -> Iterator[list[_Term]]:
    """Terms that may become one convolution: the first of a group is one."""
    for term in terms:
        if not _is_convolution(term):
            continue
        group = [term]
        for other in terms:
            if other is term or other.source != term.source or not _fit(program, term, other):
                continue
            if _covering_all([*group, other]) is not None:
                group.append(other)
        if len(group) > 1:
            yield group


def _is_convolution(term: _Term) -> bool:
    return term.step is not None and term.step.op_type in ("Conv", "Gemm")


def _fit(program: Program, term: _Term, other: _Term) -> bool:
    assert term.step is not None
    weight = program.tensors[term.step.inputs[1]]
    if not _is_convolution(other):
        # A copy of what enters: as many channels, and no step.
        channels = weight.shape[1] * int(term.step.attributes.get("group", 1))
        return channels == weight.shape[0] and all(w.stride == 1 for w in _windows(term))
    assert other.step is not None
    same_kind = other.step.op_type == term.step.op_type
    groups = [int(each.attributes.get("group", 1)) for each in (term.step, other.step)]
    strides = [[w.stride for w in _windows(each)] for each in (term, other)]
    return same_kind and groups[0] == groups[1] and strides[0] == strides[1]


def _windows(term: _Term) -> list[_Window]:
    """The taps of a term along each spatial axis; those of a copy lie at the pixel itself."""
    if term.step is None or term.step.op_type == "BatchNormalization":
        return [_Window(0, 1, 1, 1)] * 2
    if term.step.op_type == "Gemm":
        return []
    given = term.step.attributes
    kernels, dilations, strides = given["kernel_shape"], given["dilations"], given["strides"]
    return [
        _Window(-given["pads"][axis], kernels[axis], dilations[axis], strides[axis])
        for axis in range(len(kernels))
    ]


def _covering(windows: list[_Window]) -> _Window | None:
    """The window with all taps of some; None where they are not on one grid."""
    dilations = {each.dilation for each in windows if each.taps > 1} or {1}
    first, last = min(each.first for each in windows), max(each.last for each in windows)
    if len(dilations) > 1:
        return None
    (dilation,) = dilations
    if any((each.first - first) % dilation for each in windows) or (last - first) % dilation:
        return None
    return _Window(first, (last - first) // dilation + 1, dilation, windows[0].stride)


def _covering_all(group: list[_Term]) -> list[_Window] | None:
    """The windows, one an axis, that cover those of a group, if that is no more work than they are.

    The first of the group is a convolution, or a `Gemm`, which has no axes.
    """
    axes = len(_windows(group[0]))
    windows = []
    for axis in range(axes):
        covering = _covering([_windows(term)[axis] for term in group])
        if covering is None:
            return None
        windows.append(covering)
    convolutions = [_windows(term) for term in group if _is_convolution(term)]
    before = sum(math.prod(each.taps for each in own) for own in convolutions)
    return windows if math.prod(each.taps for each in windows) <= before else None


def _merge(program: Program, output: str, group: list[_Term]) -> Step:
    """One node for a group of terms."""
    first, windows = group[0].step, _covering_all(group)
    assert first is not None
    assert windows is not None
    attributes = _attributes(group[0], windows)
    shape = (*program.tensors[first.inputs[1]].shape[:2], *(each.taps for each in windows))
    weights = [_weights(program, term, windows, shape) for term in group]
    biases = [_bias(program, term) for term in group]
    owner = owner_of(first)
    names = [program.add_tensor(f"{owner}/weight", calculated(shape, partial(_total, weights)))]
    given = [each for each in biases if each is not None]
    if given:
        total = calculated(shape[:1], partial(_total, given))
        names.append(program.add_tensor(f"{owner}/bias", total))
    layers = tuple(name for term in group if term.step for name in term.step.layers)
    return Step(first.op_type, [group[0].source, *names], [output], attributes, first.name, layers)


def _attributes(term: _Term, windows: list[_Window]) -> dict[str, Any]:
    """Those of a node with these windows and as many results as the first of the branches."""
    assert term.step is not None
    given = term.step.attributes
    if term.step.op_type == "Gemm":
        return dict(given)
    # What the window reaches further at the end, it is padded more: the results are as many.
    own_ends = given["pads"][len(windows) :]
    ends = [
        end + window.last - own.last
        for end, window, own in zip(own_ends, windows, _windows(term), strict=True)
    ]
    return {
        **given,
        "kernel_shape": tuple(each.taps for each in windows),
        "dilations": tuple(each.dilation for each in windows),
        "pads": (*(-each.first for each in windows), *ends),
    }


def _added(root: Step, merged: list[Step], others: list[str]) -> list[Step]:
    """The sum of the merged terms and the others, under the name of the whole."""
    left, *names = [*(step.outputs[0] for step in merged), *others]
    if not names:
        merged[0].outputs = root.outputs
    steps = []
    for index, name in enumerate(names, start=1):
        whole = index == len(names)
        output = root.outputs[0] if whole else f"{root.name}/sum{index}"
        step = Step("Add", [left, name], [output], {}, root.name if whole else output, root.layers)
        steps.append(step)
        left = output
    return steps


def _weights(program: Program, term: _Term, windows: list[_Window], shape: tuple[int, ...]) -> Any:
    """A function that gives the weights of a term in the window of all."""
    if term.step is not None and _is_convolution(term):
        weight = program.tensors[term.step.inputs[1]]
        own = _windows(term)
        starts = [(a.first - b.first) // b.dilation for a, b in zip(own, windows, strict=True)]
        return partial(_placed, weight, starts, shape)
    starts = [-each.first // each.dilation for each in windows]
    if term.step is None:
        return partial(_diagonal, None, starts, shape)
    return partial(_diagonal, factor_and_constant(program, term.step)[0], starts, shape)


def _placed(weight: Tensor, starts: list[int], shape: tuple[int, ...]) -> "Array":
    import numpy

    placed: Array = numpy.zeros(shape, "float32")
    array = weight.array()
    taps = array.shape[2:]
    spatial = [slice(a, a + count) for a, count in zip(starts, taps, strict=True)]
    placed[:, :, *spatial] = array
    return placed


def _diagonal(factor: "Array | None", starts: list[int], shape: tuple[int, ...]) -> "Array":
    """Each channel times its factor: the channels of a group are numbered within it."""
    import numpy

    placed = numpy.zeros(shape, "float32")
    channels = numpy.arange(shape[0])
    placed[(channels, channels % shape[1], *starts)] = 1 if factor is None else factor  # type: ignore[index]
    return placed


def _bias(program: Program, term: _Term) -> Any:
    """A function that gives the constant that a term adds to each channel, if it adds one."""
    if term.step is None:
        return None
    if term.step.op_type == "BatchNormalization":
        return partial(_second, factor_and_constant(program, term.step))
    bias = bias_of(program, term.step)
    return bias.array if bias else None


def _second(pair: tuple["Array", "Array"]) -> "Array":
    return pair[1]


def _total(parts: list[Any]) -> "Array":
    total: Array = parts[0]()
    for each in parts[1:]:
        total = total + each()
    return total
