"""What is added at the borders of a map, or cut off."""

from fractions import Fraction
from typing import Literal

from netloom.ir.call import Function, Module, Option
from netloom.ir.declared import Pair, Reject, arg, operand
from netloom.ir.dims import Dim, ceil_divide
from netloom.ir.field import Field
from netloom.ir.graph import Value
from netloom.ir.node import Constant, Local, Node
from netloom.ir.op import Op
from netloom.ir.receptive import fields_of
from netloom.ir.types import Type
from netloom.ir.window import Fold, Reach, SizedShift, Window
from netloom.ops.operands import filled, of_rank
from netloom.ops.padding import ZERO, Mode, pad_node

_SPATIAL = Constant("int64", (2, 3))

_ONNX_MODES: dict[str, Mode] = {"zeros": "constant", "reflect": "reflect", "replicate": "edge"}


class Pad(Op, name="pad"):
    """Puts pixels around a map, not the same number on each side if need be; negative ones cut off.

    PyTorch: `nn.ZeroPad2d`, `nn.ReflectionPad2d`, `nn.ReplicationPad2d`; ONNX: `Pad`.
    """

    x: Value = operand("feature map [n, c, h, w]")
    before: Pair = arg("pixels above and to the left")
    after: Pair | None = arg(
        "pixels below and to the right; as many as before if not given", default=None
    )
    mode: Literal["zeros", "reflect", "replicate"] = arg(
        "what they hold: zeros, the map mirrored at its border pixels, or the nearest pixel",
        default="zeros",
    )

    def result(self) -> Type:
        n, c, h, w = of_rank(self.x, 4)
        if self.mode != "zeros" and min(map(min, self.sides())) < 0:
            message = f"`{self.mode}` fills what is added; pixels are cut off by a `pad` of its own"
            raise Reject("E206", message, "before")
        if self.mode == "reflect":
            for length, before, after in zip((h, w), *self.sides(), strict=True):
                if isinstance(length, int) and max(before, after) >= length:
                    message = f"{max(before, after)} pixels cannot be mirrored out of {length}"
                    raise Reject("E209", message, "before", "a border that is smaller than the map")
        sizes = [
            filled(length + before + after, f"nothing is left of {length} pixels")
            for length, before, after in zip((h, w), *self.sides(), strict=True)
        ]
        return Type("float32", (n, c, *sizes))

    def fits(self) -> tuple[Dim, ...]:
        if self.mode != "reflect":
            return ()
        lengths = zip(self.x.type.shape[2:], *self.sides(), strict=True)
        return tuple(length - max(before, after) for length, before, after in lengths)

    def window(self) -> tuple[Reach, Reach]:
        if self.mode == "zeros":
            return Window(pad=self.before[0]), Window(pad=self.before[1])
        mirrored = self.mode == "reflect"
        return Fold(self.before[0], mirrored), Fold(self.before[1], mirrored)

    def torch(self) -> Module:
        (top, left), (bottom, right) = self.sides()
        sides = (left, right, top, bottom)
        if self.mode == "zeros":
            return Module(
                "nn.ZeroPad2d", (sides,), (self.x,), function=Function("F.pad", (self.x, sides))
            )
        function = Function("F.pad", (self.x, sides), {"mode": Option(self.mode)})
        target = "nn.ReflectionPad2d" if self.mode == "reflect" else "nn.ReplicationPad2d"
        return Module(target, (sides,), (self.x,), function=function)

    def onnx(self) -> Node:
        before, after = self.sides()
        return pad_node(self.x, before, after, mode=_ONNX_MODES[self.mode])

    def sides(self) -> tuple[Pair, Pair]:
        """The pixels before and after, as (height, width) each."""
        return self.before, self.before if self.after is None else self.after


class SamePad(Op, name="same_pad"):
    """Puts zeros around a map so that a window gives ceil(size / stride) positions.

    This is what TensorFlow calls SAME: of an odd number of zeros the larger half goes below and to
    the right. Which half is larger depends on the size, so with a stride of 2 windows stand on
    other pixels of a map of even than of odd size. PyTorch: `F.pad`; ONNX: `Pad`.
    """

    x: Value = operand("feature map [n, c, h, w]")
    kernel: Pair = arg("window of the layer behind, in pixels", minimum=1)
    stride: Pair = arg("its step", default=(1, 1), minimum=1, by_name=True)
    dilation: Pair = arg("distance between its taps", default=(1, 1), minimum=1, by_name=True)

    shifts_by_size = True

    def result(self) -> Type:
        n, c, h, w = of_rank(self.x, 4)
        for extent, stride in zip(self._extents(), self.stride, strict=True):
            if 1 < extent < stride:
                message = f"a window of {extent} pixels is smaller than its step of {stride}"
                raise Reject("E206", message, "kernel", "such a window needs no padding")
        (top, bottom), (left, right) = self._sides()
        return Type("float32", (n, c, h + top + bottom, w + left + right))

    def window(self) -> tuple[Reach, Reach]:
        height, width = (
            Window(pad=before) if isinstance(before, int) else SizedShift(before)
            for before, _ in self._sides()
        )
        return height, width

    def torch(self) -> Module:
        options = {"stride": Option(self.stride, 1), "dilation": Option(self.dilation, 1)}
        return Module("SamePad", (self.kernel,), (self.x,), options)

    def onnx(self) -> tuple[Node, ...]:
        if all(isinstance(side, int) for sides in self._sides() for side in sides):
            (top, bottom), (left, right) = self._sides()
            return (pad_node(self.x, (top, left), (bottom, right)),)  # type: ignore[arg-type]
        return self._computed_pads()

    def _computed_pads(self) -> tuple[Node, ...]:
        """The sides from the size at hand: total = max((ceil(n / s) - 1) * s + extent - n, 0)."""
        size, raised, steps, least = Local("size"), Local("raised"), Local("steps"), Local("least")
        covered, missing, total = Local("covered"), Local("missing"), Local("total")
        before, after, pads = Local("before"), Local("after"), Local("pads")
        stride, none = Constant("int64", self.stride), Constant("int64", (0, 0))
        up = Constant("int64", tuple(each - 1 for each in self.stride))
        reach = tuple(e - s for e, s in zip(self._extents(), self.stride, strict=True))
        return (
            Node("Shape", (self.x,), {"start": 2, "end": 4}, (size,)),
            Node("Add", (size, up), {}, (raised,)),
            Node("Div", (raised, stride), {}, (steps,)),
            Node("Mul", (steps, stride), {}, (least,)),
            Node("Add", (least, Constant("int64", reach)), {}, (covered,)),
            Node("Sub", (covered, size), {}, (missing,)),
            Node("Max", (missing, none), {}, (total,)),
            Node("Div", (total, Constant("int64", (2, 2))), {}, (before,)),
            Node("Sub", (total, before), {}, (after,)),
            Node("Concat", (none, before, none, after), {"axis": 0}, (pads,)),
            Node("Pad", (self.x, pads, ZERO), {"mode": "constant"}),
        )

    def _extents(self) -> tuple[int, ...]:
        pairs = zip(self.kernel, self.dilation, strict=True)
        return tuple(dilation * (kernel - 1) + 1 for kernel, dilation in pairs)

    def _sides(self) -> list[tuple[Dim, Dim]]:
        """Zeros before and after, along each axis."""
        lengths = self.x.type.shape[2:]
        sides: list[tuple[Dim, Dim]] = []
        for length, extent, stride in zip(lengths, self._extents(), self.stride, strict=True):
            total = (ceil_divide(length, stride) - 1) * stride + extent - length
            if extent < stride or (isinstance(total, int) and total < 0):
                total = 0
            sides.append((total // 2, total - total // 2))
        return sides


class Crop(Op, name="crop"):
    """Cuts a map down to the size of another, so that both look at the same places.

    The offset of the part that is kept follows from the two receptive fields: it is where the
    centres agree, as in FCN's crops (Long et al. 2015). PyTorch: slices; ONNX: `Slice`.
    """

    x: Value = operand("feature map [n, c, h, w]")
    like: Value = operand("the map whose height and width it gets")
    offset: Pair | None = arg(
        "the first row and column that are kept; where the centres agree if not given",
        default=None,
        minimum=0,
        by_name=True,
    )

    depends_on_fields = True

    def result(self) -> Type:
        n, c, *own = of_rank(self.x, 4)
        _, _, *wanted = of_rank(self.like, 4, at="like")
        for first, length, part in zip(self._offset(), own, wanted, strict=True):
            room = length - part
            if isinstance(room, int) and first > room:
                message = f"{part} pixels from number {first} on are not inside {length}"
                raise Reject("E209", message, "like")
        return Type("float32", (n, c, *wanted))

    def fits(self) -> tuple[Dim, ...]:
        lengths = zip(self._offset(), self.x.type.shape[2:], self.like.type.shape[2:], strict=True)
        return tuple(length - part - first + 1 for first, length, part in lengths)

    def operands(self) -> list[Value]:
        return [self.x]

    def reads(self) -> list[Value]:
        return [self.x, self.like]

    def window(self) -> tuple[Window, Window]:
        height, width = (Window(pad=-first) for first in self._offset())
        return height, width

    def torch(self) -> Module:
        return Module("Crop", (self._offset(),), (self.x, self.like))

    def onnx(self) -> tuple[Node, ...]:
        size, ends = Local("size"), Local("ends")
        starts = Constant("int64", self._offset())
        return (
            Node("Shape", (self.like,), {"start": 2, "end": 4}, (size,)),
            Node("Add", (size, starts), {}, (ends,)),
            Node("Slice", (self.x, starts, ends, _SPATIAL)),
        )

    def _offset(self) -> Pair:
        if self.offset is not None:
            return self.offset
        if "_aligned" not in self.__dict__:
            self.__dict__["_aligned"] = tuple(_aligning(self.x, self.like, axis) for axis in "hw")
        aligned: Pair = self.__dict__["_aligned"]
        return aligned


def _aligning(x: Value, like: Value, axis: str) -> int:
    """The position of `x` that looks at the same place as position 0 of `like`.

    Raises:
        Reject: E222 where there is none, or where no input tells the places.
    """
    places = set()
    for name, axes in fields_of(like).items():
        one, other = fields_of(x).get(name, {}).get(axis), axes.get(axis)
        if isinstance(one, Field) and isinstance(other, Field) and one.middle and other.middle:
            places.add(_place(one, other, axis, name))
    if len(places) != 1:
        message = f"no offset along {axis} follows from what the two maps see"
        raise Reject("E222", message, "like", "state it: `crop(like=…, offset=[…, …])`")
    (place,) = places
    return place


def _place(x: Field, like: Field, axis: str, name: str) -> int:
    if x.stride != like.stride:
        message = (
            f"the strides along {axis} are {x.stride} and {like.stride} pixels of `{name}`: no "
            "part of the one looks at the same places as the other"
        )
        raise Reject("E222", message, "like", "bring both to one stride first")
    assert x.centre is not None
    assert like.centre is not None
    place = (like.centre - x.centre) / Fraction(x.stride)
    if place.denominator != 1 or place < 0:
        message = (
            f"along {axis} position 0 of `like` looks at {float(like.centre):g} pixels of "
            f"`{name}`, which is position {float(place):g} of what enters"
        )
        raise Reject("E222", message, "like", "change a padding, or state `offset=[…, …]`")
    return int(place)
