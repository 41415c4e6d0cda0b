"""What the analyses prove could be had for less: each suggestion with its numbers, none applied.

A suggestion is a fact about the spec, not an opinion on it: what is proposed computes the same, or
sees the same with fewer weights, or is never looked at.
"""

import math
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from netloom.diagnostics import Span
from netloom.ir.dims import Dim, evaluate, number, product
from netloom.ir.field import Extent, Field
from netloom.ir.graph import Graph, Layer, Value
from netloom.ir.op import Op
from netloom.ir.types import spatial_axes
from netloom.ir.window import TransposedWindow
from netloom.ops.activation import Elu, HardSigmoid, LeakyRelu, Relu, Relu6, Sigmoid, Tanh
from netloom.ops.conv import Conv, Deconv
from netloom.ops.linear import Linear
from netloom.ops.norm import BatchNorm
from netloom.ops.pool import MaxPool
from netloom.passes.cost import learned, one_sample
from netloom.passes.unread import LARGEST_MAP, unread_channels, unread_positions

if TYPE_CHECKING:
    from netloom.compile import Network


class Suggestion(NamedTuple):
    """One thing that could be had for less.

    `times` layers stand at the same place of the spec, of which `layer` is the first; what would be
    saved is that of all of them, MACs for one sample.
    """

    kind: str
    layer: Layer
    message: str
    saved_params: int = 0
    saved_macs: Dim = 0
    times: int = 1

    @property
    def span(self) -> Span:
        """Where the layer stands in the spec."""
        return self.layer.span


def suggestions(network: "Network") -> list[Suggestion]:
    """All of them, in the order of the layers; one for each place of the spec and kind."""
    found = [
        *_smaller_kernels(network.graph),
        *_fields_beyond_the_image(network),
        *_biases_before_batchnorm(network.graph),
        *_activations_before_pooling(network.graph),
        *_linear_chains(network.graph),
        *_uneven_deconvolutions(network.graph),
        *_unread_channels(network),
        *_unread_positions(network.graph),
    ]
    order = {id(layer): index for index, layer in enumerate(network.graph.layers)}
    places: dict[tuple[str, Span], list[Suggestion]] = {}
    for each in sorted(found, key=lambda suggestion: order[id(suggestion.layer)]):
        places.setdefault((each.kind, each.span), []).append(each)
    return [_together(same) for same in places.values()]


def _together(same: list[Suggestion]) -> Suggestion:
    """The first of those that stand at one place, with what all of them would save."""
    macs: Dim = 0
    for each in same:
        macs = macs + each.saved_macs
    params = sum(each.saved_params for each in same)
    return same[0]._replace(saved_params=params, saved_macs=macs, times=len(same))


MOST_TIMES = 10
"""As many small convolutions one behind the other as somebody might want instead of a large one."""


def _smaller_kernels(graph: Graph) -> Iterator[Suggestion]:
    """A large window as several of three pixels, which see the same (Simonyan, Zisserman 2014)."""
    for layer in graph.layers:
        op = layer.op
        if not isinstance(op, Conv) or op.stride != (1, 1) or op.dilation != (1, 1):
            continue
        (height, width), (top, left) = op.kernel, op.pad
        times = (height - 1) // 2
        if height != width or height % 2 == 0 or not 2 <= times <= MOST_TIMES:
            continue
        if top != left or top not in (0, times):
            continue
        stack = _stacked(op, times)
        params = sum(learned(each) for each in stack)
        if params >= learned(op):
            continue
        macs = _for_one(graph, op.macs())
        saved = macs - sum((_for_one(graph, each.macs()) for each in stack), start=0)
        share = 100 * (1 - params / learned(op))
        message = (
            f"{times} convolutions of 3x3 see the same {height}x{width} pixels of what enters with "
            f"{params:,} instead of {learned(op):,} weights, {share:.0f} % fewer"
        )
        fewer = _counted_once(layer, learned(op) - params)
        yield Suggestion("smaller-kernels", layer, message, fewer, saved)


def _stacked(op: Conv, times: int) -> list[Conv]:
    """As many convolutions of 3x3, one behind the other, with the channels of the large one."""
    pad = (1, 1) if op.pad[0] else (0, 0)
    stack: list[Conv] = []
    x = op.x
    for _ in range(times):
        small = Conv(x=x, out=op.out, kernel=(3, 3), pad=pad, groups=op.groups, bias=op.bias)
        stack.append(small)
        x = Value("", small.result())
    return stack


def _fields_beyond_the_image(network: "Network") -> Iterator[Suggestion]:
    """The first layer whose operand sees the whole image everywhere, but which looks around."""
    graph = network.graph
    beyond = [
        layer
        for layer in graph.layers
        if isinstance(layer.op, Conv)
        and _looks_around(layer.op)
        and _sees_everything(layer.op.x, network)
    ]
    if beyond:
        others = len(beyond) - 1
        more = f"; so {'does' if others == 1 else 'do'} that of {others} more" if others else ""
        message = (
            "each position of what enters already sees the image from end to end, so a window "
            f"adds no pixel{more}"
        )
        yield Suggestion("beyond-the-image", beyond[0], message)


def _sees_everything(value: Value, network: "Network") -> bool:
    """Whether every position reaches from the first to the last pixel, along each axis."""
    inputs = {each.name: each for each in network.graph.inputs}
    extents = [
        (extent, value.type.shape[place], inputs[name].type.shape[place])
        for name, axes in network.fields[value].items()
        for axis, extent in axes.items()
        if (place := spatial_axes(value.type.rank).get(axis)) is not None and name in inputs
    ]
    return bool(extents) and all(_covers(*each) for each in extents)


def _looks_around(op: Conv) -> bool:
    return max(op.kernel) > 1


def _covers(extent: Extent, positions: Dim, length: Dim) -> bool:
    """Whether each of the positions sees a stretch of known length from end to end."""
    if not isinstance(extent, Field) or not extent.is_bounded:
        return False
    if not isinstance(positions, int) or not isinstance(length, int) or positions > LARGEST_MAP:
        return False
    ends = (extent.interval(position) for position in range(positions))
    return all(first <= 0 and last >= length - 1 for first, last in ends)


def _biases_before_batchnorm(graph: Graph) -> Iterator[Suggestion]:
    """A constant that the normalisation behind it takes away again (Ioffe, Szegedy 2015).

    A bias that is shared is superfluous only if that is so at every call.
    """
    calls = _calls(graph)
    found = [
        (layer, layer.op, reader)
        for layer, reader in _only_readers(graph)
        if isinstance(layer.op, Conv | Deconv | Linear)
        and layer.op.bias
        and isinstance(reader.op, BatchNorm)
    ]
    normalised = Counter(layer.weights_of for layer, _, _ in found)
    for layer, op, reader in found:
        if normalised[layer.weights_of] == calls[layer.weights_of]:
            message = (
                f"`{reader.name}` subtracts the mean, and with it this bias: `bias=false` computes "
                f"the same with {op.out:,} weights fewer"
            )
            yield Suggestion("bias-before-batchnorm", layer, message, _counted_once(layer, op.out))


def _activations_before_pooling(graph: Graph) -> Iterator[Suggestion]:
    """The larger of two numbers is also the larger of what a monotone function makes of them."""
    for layer, reader in _only_readers(graph):
        pool = reader.op
        if not _never_falls(layer.op) or not isinstance(pool, MaxPool) or pool.indices:
            continue
        if layer.results[0].type.shape == reader.results[0].type.shape:
            continue
        if any(each.step == 1 and 2 * each.pad >= each.extent for each in pool.window()):
            continue  # the map becomes larger
        before, after = layer.results[0].type.shape[1:], reader.results[0].type.shape[1:]
        message = (
            f"`maxpool -> {layer.op.name}` gives the same as `{layer.op.name} -> maxpool`, and "
            f"computes {number(product(after))} instead of {number(product(before))} elements"
        )
        yield Suggestion("activation-before-pooling", layer, message)


def _never_falls(op: Op) -> bool:
    """Whether it is a function of single elements that never falls."""
    if isinstance(op, LeakyRelu):
        return op.slope >= 0
    if isinstance(op, Elu):
        return op.alpha >= 0
    return isinstance(op, Relu | Relu6 | Tanh | Sigmoid | HardSigmoid)


def _linear_chains(graph: Graph) -> Iterator[Suggestion]:
    """Two linear layers with nothing between them are one, which may be the smaller thing.

    Layers that are shared can be merged only if they follow one another at every call.
    """
    calls = _calls(graph)
    pairs = list(_only_readers(graph))
    together = Counter((layer.weights_of, reader.weights_of) for layer, reader in pairs)
    for layer, reader in pairs:
        times = together[layer.weights_of, reader.weights_of]
        if not times == calls[layer.weights_of] == calls[reader.weights_of]:
            continue
        first, second = layer.op, reader.op
        if isinstance(first, Linear) and isinstance(second, Linear):
            merged: Op = Linear(x=first.x, out=second.out, bias=first.bias or second.bias)
        elif isinstance(first, Conv) and isinstance(second, Conv) and _is_pixelwise(second):
            if first.groups > 1 or second.groups > 1:
                continue
            fields = {each.name: getattr(first, each.name) for each in first.signature()}
            merged = Conv(**{**fields, "out": second.out, "bias": first.bias or second.bias})
        else:
            continue
        before, after = learned(first) + learned(second), learned(merged)
        if after < before:
            message = (
                f"nothing stands between this and `{reader.name}`: together they compute what one "
                f"layer would with {after:,} instead of {before:,} weights"
            )
            fewer = _counted_once(layer, before - after)
            saved = _for_one(graph, first.macs() + second.macs() - merged.macs())
            yield Suggestion("linear-chain", layer, message, fewer, saved)


def _is_pixelwise(op: Conv) -> bool:
    return (op.kernel, op.stride, op.pad) == ((1, 1), (1, 1), (0, 0))


def _uneven_deconvolutions(graph: Graph) -> Iterator[Suggestion]:
    """Outputs that are made of more inputs than their neighbours (Odena et al., Distill 2016)."""
    for layer in graph.layers:
        if not isinstance(layer.op, Deconv):
            continue
        for window in layer.op.window():
            counts = _inputs_in_turn(window)
            if len(counts) > 1:
                fitting = f"a kernel of {math.ceil(window.kernel / window.step) * window.step}"
                if math.gcd(window.step, window.dilation) > 1:
                    fitting += " without dilation"
                message = (
                    f"along an axis, outputs are sums over {' or '.join(map(str, counts))} inputs "
                    f"in turn, which shows as a checkerboard; {fitting} would be even"
                )
                yield Suggestion("uneven-deconvolution", layer, message)
                break


def _inputs_in_turn(window: TransposedWindow) -> list[int]:
    """Over how many inputs the outputs of one period are sums, each number once.

    Taps stand at multiples of the dilation. Modulo the step these are the multiples of the common
    divisor of both, which take turns; other outputs get nothing.
    """
    common = math.gcd(window.step, window.dilation)
    turns = window.step // common
    counts = {window.kernel // turns, math.ceil(window.kernel / turns)}
    return sorted(counts | ({0} if common > 1 else set()))


def _unread_channels(network: "Network") -> Iterator[Suggestion]:
    calls = _calls(network.graph)
    for layer, unread in unread_channels(network.graph).items():
        op = layer.op
        if calls[layer.weights_of] > 1:
            continue  # another call's channels may be read
        if not isinstance(op, Conv | Linear) or (isinstance(op, Conv) and op.groups > 1):
            continue
        params = unread * (learned(op) // op.out)
        macs = network.costs[layer].macs
        message = f"{unread} of its {op.out} channels are read by no head"
        saved = macs * unread // op.out
        yield Suggestion("unread-channels", layer, message, params, saved)


def _unread_positions(graph: Graph) -> Iterator[Suggestion]:
    for layer, share in unread_positions(graph).items():
        message = (
            f"{share} of the positions of `{layer.results[0].name}` are read by no layer: the "
            "windows behind it step over them"
        )
        yield Suggestion("unread-positions", layer, message)


def _only_readers(graph: Graph) -> Iterator[tuple[Layer, Layer]]:
    """Each layer with a single result and reader that is no head's, and that reader."""
    readers: dict[int, list[Layer]] = {}
    for layer in graph.layers:
        for value in layer.op.reads():
            readers.setdefault(id(value), []).append(layer)
    heads = {id(head.value) for head in graph.heads}
    for layer in graph.layers:
        if len(layer.results) == 1 and id(layer.results[0]) not in heads:
            found = readers.get(id(layer.results[0]), [])
            if len(found) == 1:
                yield layer, found[0]


def _calls(graph: Graph) -> Counter[Layer]:
    """How many layers use the weights of each that owns some: several where they are shared."""
    return Counter(layer.weights_of for layer in graph.layers)


def _counted_once(layer: Layer, params: int) -> int:
    """What is saved of weights that may be shared: it counts where the owner stands."""
    return params if layer.weights_of is layer else 0


def _for_one(graph: Graph, macs: Dim) -> Dim:
    return evaluate(macs, one_sample(graph))
