"""Pooling, and the unpooling that reverses it."""

import math
from collections.abc import Iterable

from netloom.ir.call import Function, Module, Option
from netloom.ir.declared import Pair, Reject, arg, operand
from netloom.ir.dims import Dim, ceil_divide
from netloom.ir.graph import Value
from netloom.ir.node import Constant, Local, Node
from netloom.ir.op import Op
from netloom.ir.types import Type
from netloom.ir.window import Reach, TransposedWindow, Window, windows
from netloom.ops.operands import feature_map, filled, of_rank, same_shape
from netloom.ops.padding import pad_node


class MaxPool(Op, name="maxpool"):
    """The largest value under a sliding window; with `indices`, also where it stood.

    PyTorch: `nn.MaxPool2d`; ONNX: `MaxPool`. Indices count within one channel plane, as in PyTorch.
    """

    x: Value = operand("feature map [n, c, h, w]")
    kernel: Pair = arg("window, in pixels", minimum=1)
    stride: Pair | None = arg(
        "step of the window; the kernel if not given", default=None, minimum=1
    )
    pad: Pair = arg("padding on each side that never wins", default=(0, 0), minimum=0)
    ceil: bool = arg("whether a last, partial window counts (Caffe's rounding)", default=False)
    indices: bool = arg("whether positions are a second result", default=False)
    dilation: Pair = arg("distance between the taps of the window", default=(1, 1), minimum=1)

    def results(self) -> tuple[Type, ...]:
        pooled = Type("float32", _pooled_shape(self))
        if not self.indices:
            return (pooled,)
        return pooled, Type("int64", pooled.shape, pooled_from=self.x)

    def fits(self) -> tuple[Dim, ...]:
        return tuple(
            length - _smallest_map(window) + 1
            for window, length in zip(_windows(self), self.x.type.shape[2:], strict=True)
        )

    def window(self) -> tuple[Window, ...]:
        return _windows(self)

    def torch(self) -> Module:
        options = {
            "stride": Option(_stride(self), self.kernel),
            "padding": Option(self.pad, 0),
            "dilation": Option(self.dilation, 1),
            "return_indices": Option(self.indices, False),
            "ceil_mode": Option(self.ceil, False),
        }
        picks: tuple[tuple[int, ...], ...] = ((0,), (1,)) if self.indices else ((),)
        return Module("nn.MaxPool2d", (self.kernel,), (self.x,), options, picks=picks)

    def onnx(self) -> Node | tuple[Node, ...]:
        ends = _end_pads(self)
        if any(end >= kernel for end, kernel in zip(ends, self.kernel, strict=True)):
            return self._behind_a_pad()
        if not self.indices:
            return self._pooling(self.x, ends, (0,))
        flat = Local("flat")
        return self._pooling(self.x, ends, (0, flat)), *_within_planes(self.x, flat, 1)

    def _pooling(
        self, x: Value | Local, ends: tuple[int, ...], outputs: tuple[int | Local, ...]
    ) -> Node:
        attributes = {
            "auto_pad": "NOTSET",
            "kernel_shape": self.kernel,
            "strides": _stride(self),
            "pads": (*self.pad, *ends),
            "dilations": self.dilation,
            "ceil_mode": 0,
            "storage_order": 0,
        }
        return Node("MaxPool", (x,), attributes, outputs)

    def _behind_a_pad(self) -> tuple[Node, ...]:
        """For a dilated window in ceil mode: ONNX Runtime wants less padding than taps."""
        padded = Local("padded")
        down, right = (end - pad for end, pad in zip(_end_pads(self), self.pad, strict=True))
        lowest = Constant("float32", -math.inf)
        pad = pad_node(self.x, (0, 0), (down, right), padded, lowest)
        if not self.indices:
            return pad, self._pooling(padded, self.pad, (0,))
        flat, wide, row, column = Local("flat"), Local("wide"), Local("row"), Local("column")
        width, padded_width, first = Local("width"), Local("padded_width"), Local("first")
        last = {"start": 3, "end": 4}
        return (
            pad,
            self._pooling(padded, self.pad, (0, flat)),
            *_within_planes(padded, flat, wide),
            # Positions count in the wider, padded map.
            Node("Shape", (self.x,), last, (width,)),
            Node("Shape", (padded,), last, (padded_width,)),
            Node("Div", (wide, padded_width), {}, (row,)),
            Node("Mod", (wide, padded_width), {"fmod": 0}, (column,)),
            Node("Mul", (row, width), {}, (first,)),
            Node("Add", (first, column), {}, (1,)),
        )


class AvgPool(Op, name="avgpool"):
    """The mean under a sliding window.

    PyTorch: `nn.AvgPool2d`; ONNX: `AveragePool`.
    """

    x: Value = operand("feature map [n, c, h, w]")
    kernel: Pair = arg("window, in pixels", minimum=1)
    stride: Pair | None = arg(
        "step of the window; the kernel if not given", default=None, minimum=1
    )
    pad: Pair = arg("zeros on each side", default=(0, 0), minimum=0)
    ceil: bool = arg("whether a last, partial window counts (Caffe's rounding)", default=False)
    count_pad: bool = arg("whether padding counts in the mean", default=True)

    def result(self) -> Type:
        return Type("float32", _pooled_shape(self))

    def window(self) -> tuple[Window, ...]:
        return _windows(self)

    def torch(self) -> Module:
        options = {
            "stride": Option(_stride(self), self.kernel),
            "padding": Option(self.pad, 0),
            "ceil_mode": Option(self.ceil, False),
            "count_include_pad": Option(self.count_pad, True),
        }
        return Module("nn.AvgPool2d", (self.kernel,), (self.x,), options)

    def onnx(self) -> Node | tuple[Node, ...]:
        attributes = {
            "auto_pad": "NOTSET",
            "kernel_shape": self.kernel,
            "strides": _stride(self),
            "pads": (*self.pad, *_end_pads(self)),
            "dilations": (1, 1),
            "ceil_mode": 0,
            "count_include_pad": int(self.count_pad and not self.ceil),
        }
        if not (self.ceil and self.count_pad and any(self.pad)):
            return Node("AveragePool", (self.x,), attributes)
        # In PyTorch the padding counts, but what ceil mode adds beyond it does not.
        padded = Local("padded")
        beyond = tuple(end - pad for end, pad in zip(_end_pads(self), self.pad, strict=True))
        return (
            pad_node(self.x, self.pad, self.pad, padded),
            Node("AveragePool", (padded,), {**attributes, "pads": (0, 0, *beyond)}),
        )


class GlobalAvgPool(Op, name="global_avgpool"):
    """The mean of each channel over the whole map, which stays a map of one pixel.

    PyTorch: `nn.AdaptiveAvgPool2d(1)`; ONNX: `GlobalAveragePool`.
    """

    x: Value = operand("feature map [n, c, h, w]")

    def result(self) -> Type:
        n, c, _, _ = of_rank(self.x, 4)
        return Type("float32", (n, c, 1, 1))

    def window(self) -> Reach:
        return "whole"

    def torch(self) -> Module:
        function = Function("F.adaptive_avg_pool2d", (self.x, 1))
        return Module("nn.AdaptiveAvgPool2d", (1,), (self.x,), function=function)

    def onnx(self) -> Node:
        return Node("GlobalAveragePool", (self.x,))


class Unpool(Op, name="unpool"):
    """Puts values back where a max-pooling found them, zeros elsewhere.

    `pooled, where = maxpool(2, indices=true)` … `unpool(where)` gives a map as large as the one
    that was pooled, also at odd sizes. PyTorch: `nn.MaxUnpool2d`; ONNX: `ScatterElements`.
    """

    x: Value = operand("feature map [n, c, h, w]")
    where: Value = operand("the indices of the max-pooling")

    def result(self) -> Type:
        n, c, _, _ = feature_map(self.x)
        before = self.where.type.pooled_from
        if before is None:
            message = f"needs the indices of a max-pooling, but this is {self.where.type}"
            help = "`pooled, where = maxpool(2, indices=true)`"
            raise Reject("E219", message, "where", help)
        same_shape(self.x, self.where, "where")
        return Type("float32", (n, c, *before.type.shape[2:]))

    def reads(self) -> list[Value]:
        return [self.x, self.where, self._before()]

    def window(self) -> tuple[TransposedWindow, ...]:
        return tuple(
            TransposedWindow(window.kernel, window.step, window.pad, window.dilation)
            for window in _windows(self._pooling())
        )

    def torch(self) -> Module:
        pooling = self._pooling()
        # The kernel only bounds the size that can be asked for, and there a dilated one is larger.
        extent = tuple(window.extent for window in _windows(pooling))
        options = {
            "stride": Option(_stride(pooling), extent),
            "padding": Option(pooling.pad, 0),
        }
        call_options = {"output_size": self._before()}
        inputs = (self.x, self.where)
        return Module("nn.MaxUnpool2d", (extent,), inputs, options, call_options)

    def onnx(self) -> tuple[Node, ...]:
        before = self._before()
        values, planes, positions = Local("values"), Local("planes"), Local("positions")
        size, zeros, spread, shape = Local("size"), Local("zeros"), Local("spread"), Local("shape")
        by_plane = {"axis": 2}  # [n * c, h * w]
        return (
            Node("Flatten", (self.x,), by_plane, (values,)),
            Node("Flatten", (self.where,), by_plane, (positions,)),
            Node("Flatten", (before,), by_plane, (planes,)),
            Node("Shape", (planes,), {"start": 0}, (size,)),
            Node("Expand", (Constant("float32", 0.0), size), {}, (zeros,)),
            Node(
                "ScatterElements",
                (zeros, positions, values),
                {"axis": 1, "reduction": "none"},
                (spread,),
            ),
            Node("Shape", (before,), {"start": 0}, (shape,)),
            Node("Reshape", (spread, shape), {"allowzero": 0}),
        )

    def _pooling(self) -> MaxPool:
        layer = self.where.layer
        assert layer is not None
        assert isinstance(layer.op, MaxPool), "only maxpool makes indices"
        return layer.op

    def _before(self) -> Value:
        before = self.where.type.pooled_from
        assert before is not None, "result() has refused other values"
        return before


Pool = MaxPool | AvgPool


def _within_planes(x: Value | Local, flat: Local, output: int | Local) -> tuple[Node, Node, Node]:
    """Positions within one plane of h * w; ONNX counts them over the whole tensor."""
    shape, plane = Local("shape"), Local("plane")
    return (
        Node("Shape", (x,), {"start": 2, "end": 4}, (shape,)),
        Node("ReduceProd", (shape,), {"keepdims": 1, "noop_with_empty_axes": 0}, (plane,)),
        Node("Mod", (flat, plane), {"fmod": 0}, (output,)),
    )


def _stride(pool: Pool) -> Pair:
    return pool.stride or pool.kernel


def _windows(pool: Pool) -> tuple[Window, Window]:
    dilation = pool.dilation if isinstance(pool, MaxPool) else (1, 1)
    return windows(pool.kernel, _stride(pool), pool.pad, dilation)


def _pooled_shape(pool: Pool) -> tuple[Dim, ...]:
    n, c, h, w = of_rank(pool.x, 4)
    for window, length in zip(_windows(pool), (h, w), strict=True):
        if 2 * window.pad > window.kernel:
            message = "the padding is more than half of the kernel: a window could see padding only"
            raise Reject("E206", message, "pad")
        if isinstance(length, int) and length < _smallest_map(window):
            message = (
                f"taps {window.dilation} pixels apart step over {length}: "
                "a window sees padding only"
            )
            raise Reject("E209", message, "x", "a smaller dilation, or no `pad`")
    sizes = tuple(
        _slide(window, length, pool.ceil)
        for window, length in zip(_windows(pool), (h, w), strict=True)
    )
    return n, c, *sizes


def _slide(window: Window, length: Dim, ceil: bool) -> Dim:
    """The number of windows along one axis.

    In ceil mode PyTorch counts ceil((n + 2 pad - kernel) / stride) + 1 windows and drops a last one
    that would begin beyond the input and its left padding, so at most ceil((n + pad) / stride).
    Both are ceilings over the same stride, hence the smaller numerator decides.
    """
    if ceil:
        beyond = min(2 * window.pad - window.extent + window.step, window.pad)
        out = ceil_divide(length + beyond, window.step)
    else:
        out = (length + 2 * window.pad - window.extent) // window.step + 1
    return filled(out, f"a window of {window.extent} pixels does not fit into {length}")


def _smallest_map(window: Window) -> int:
    """The smallest map in which each window that begins in the padding has a tap on a pixel.

    The first tap that is not left of the map lies at the begin of the window modulo the dilation.
    """
    return 1 + max((begin % window.dilation for begin in _deciding_begins(window)), default=0)


def _deciding_begins(window: Window) -> Iterable[int]:
    """Begins of windows in the padding, among them one that is the largest modulo the dilation.

    That is the last one before some multiple of the dilation. They repeat, so that there are few.
    """
    if window.step >= window.dilation:
        return range(-window.pad, 0, window.step)[: window.dilation]
    multiples = range(0, window.pad, window.dilation)[: window.step]
    return [(window.pad - 1 - each) // window.step * window.step - window.pad for each in multiples]


def _end_pads(pool: Pool) -> tuple[int, ...]:
    """Padding at the bottom and right that makes floor rounding count ceil mode's windows.

    (n + pad + end - kernel) // stride + 1 is the size of `_slide` with end = pad + stride - 1, and
    with end = kernel - 1 where the last window is dropped: for every n, so sizes may stay symbolic.
    """
    if not pool.ceil:
        return pool.pad
    return tuple(min(window.pad + window.step - 1, window.extent - 1) for window in _windows(pool))
