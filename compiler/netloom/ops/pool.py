"""Pooling, and the unpooling that reverses it."""

from netloom.ir.call import Function, Module, Option
from netloom.ir.declared import Pair, Reject, arg, operand
from netloom.ir.dims import Dim, ceil_divide
from netloom.ir.graph import Value
from netloom.ir.node import Constant, Local, Node
from netloom.ir.op import Op
from netloom.ir.types import Type
from netloom.ir.window import Reach, TransposedWindow, Window
from netloom.ops.operands import feature_map, filled, of_rank, same_shape


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

    def results(self) -> tuple[Type, ...]:
        pooled = Type("float32", _pooled_shape(self))
        if not self.indices:
            return (pooled,)
        return pooled, Type("int64", pooled.shape, pooled_from=self.x)

    def window(self) -> tuple[Window, ...]:
        return _windows(self)

    def torch(self) -> Module:
        options = {
            "stride": Option(_stride(self), self.kernel),
            "padding": Option(self.pad, 0),
            "return_indices": Option(self.indices, False),
            "ceil_mode": Option(self.ceil, False),
        }
        picks: tuple[tuple[int, ...], ...] = ((0,), (1,)) if self.indices else ((),)
        return Module("nn.MaxPool2d", (self.kernel,), (self.x,), options, picks=picks)

    def onnx(self) -> Node | tuple[Node, ...]:
        attributes = {
            "auto_pad": "NOTSET",
            "kernel_shape": self.kernel,
            "strides": _stride(self),
            "pads": (*self.pad, *_end_pads(self)),
            "dilations": (1, 1),
            "ceil_mode": 0,
            "storage_order": 0,
        }
        if not self.indices:
            return Node("MaxPool", (self.x,), attributes)
        # ONNX counts positions over the whole tensor, PyTorch within one plane of h * w.
        flat, shape, plane = Local("flat"), Local("shape"), Local("plane")
        return (
            Node("MaxPool", (self.x,), attributes, (0, flat)),
            Node("Shape", (self.x,), {"start": 2, "end": 4}, (shape,)),
            Node("ReduceProd", (shape,), {"keepdims": 1, "noop_with_empty_axes": 0}, (plane,)),
            Node("Mod", (flat, plane), {"fmod": 0}, (1,)),
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
        # In PyTorch the padding counts, but what ceil mode adds beyond it does not. The explicit
        # axes keep ONNX Runtime from fusing the Pad into the pool and losing that difference.
        padded = Local("padded")
        beyond = tuple(end - pad for end, pad in zip(_end_pads(self), self.pad, strict=True))
        return (
            Node(
                "Pad",
                (self.x, Constant("int64", self.pad * 2), Constant("float32", 0.0), _SPATIAL),
                {"mode": "constant"},
                (padded,),
            ),
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
            TransposedWindow(window.extent, window.step, window.pad)
            for window in _windows(self._pooling())
        )

    def torch(self) -> Module:
        pooling = self._pooling()
        options = {
            "stride": Option(_stride(pooling), pooling.kernel),
            "padding": Option(pooling.pad, 0),
        }
        call_options = {"output_size": self._before()}
        inputs = (self.x, self.where)
        return Module("nn.MaxUnpool2d", (pooling.kernel,), inputs, options, call_options)

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

_SPATIAL = Constant("int64", (2, 3))


def _stride(pool: Pool) -> Pair:
    return pool.stride or pool.kernel


def _windows(pool: Pool) -> tuple[Window, ...]:
    return tuple(
        Window(kernel, stride, pad)
        for kernel, stride, pad in zip(pool.kernel, _stride(pool), pool.pad, strict=True)
    )


def _pooled_shape(pool: Pool) -> tuple[Dim, ...]:
    n, c, h, w = of_rank(pool.x, 4)
    if any(2 * pad > kernel for pad, kernel in zip(pool.pad, pool.kernel, strict=True)):
        message = "the padding is more than half of the kernel: a window could see padding only"
        raise Reject("E206", message, "pad")
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


def _end_pads(pool: Pool) -> tuple[int, ...]:
    """Padding at the bottom and right that makes floor rounding count ceil mode's windows.

    (n + pad + end - kernel) // stride + 1 is the size of `_slide` with end = pad + stride - 1, and
    with end = kernel - 1 where the last window is dropped: for every n, so sizes may stay symbolic.
    """
    if not pool.ceil:
        return pool.pad
    return tuple(min(window.pad + window.step - 1, window.extent - 1) for window in _windows(pool))
