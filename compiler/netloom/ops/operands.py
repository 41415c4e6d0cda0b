"""What operators ask of their operands."""

from netloom.ir.declared import Reject
from netloom.ir.dims import Dim
from netloom.ir.equality import Proved, Refuted, equal
from netloom.ir.graph import Value
from netloom.ir.types import Shape, shape_text

LAYOUTS = {2: "features [n, c]", 3: "a sequence [n, t, c]", 4: "a feature map [n, c, h, w]"}


def of_rank(value: Value, *ranks: int, at: str = "x", help: str | None = None) -> Shape:
    """The shape of a value that must have one of these ranks.

    Raises:
        Reject: E207 with the layouts that would do; E210 if its elements are not float32.
    """
    if value.type.dtype != "float32":
        raise Reject("E210", f"needs float32, but this is {value.type}", at)
    if value.type.rank not in ranks:
        wanted = " or ".join(LAYOUTS[rank] for rank in ranks)
        raise Reject("E207", f"needs {wanted}, but this is {value.type}", at, help)
    return value.type.shape


def feature_map(value: Value, at: str = "x") -> tuple[Dim, int, Dim, Dim]:
    """Batch, channels, height and width of a feature map; the channel count must be known."""
    n, c, h, w = of_rank(value, 4, at=at)
    return n, known(c, "channel count", at), h, w


def known(dim: Dim, what: str, at: str = "x") -> int:
    """A dimension that sizes weights and so must be a number."""
    if not isinstance(dim, int):
        help = (
            "`global_avgpool -> flatten` gives as many for every size" if "*" in str(dim) else None
        )
        raise Reject("E207", f"the {what} must be a number, but is `{dim}`", at, help)
    return dim


def channel_axis(rank: int) -> int:
    """The axis of channels: 1, except in a sequence `[n, t, c]`."""
    return 2 if rank == 3 else 1


def all_equal(left: Shape, right: Shape) -> bool:
    """Whether two shapes are proved equal for all sizes."""
    return len(left) == len(right) and all(
        isinstance(equal(a, b), Proved) for a, b in zip(left, right, strict=True)
    )


def same_shape(left: Value, right: Value, at: str, help: str | None = None) -> None:
    """Refuses two values unless their shapes are proved equal."""
    if all_equal(left.type.shape, right.type.shape):
        return
    axis = differing_axis(left.type.shape, right.type.shape)
    raise Reject("E208", disagreement(left, right), at, help, axis)


def differing_axis(left: Shape, right: Shape, skip: int | None = None) -> int | None:
    """The first axis, other than `skip`, along which two shapes are not proved equal.

    None where there is none, or where they do not have the same axes.
    """
    if len(left) != len(right):
        return None
    pairs = enumerate(zip(left, right, strict=True))
    different = (i for i, pair in pairs if i != skip and not isinstance(equal(*pair), Proved))
    return next(different, None)


def disagreement(left: Value, right: Value) -> str:
    """Both shapes, and for symbolic ones a size at which they differ."""
    message = f"the shapes {shape_text(left.type.shape)} and {shape_text(right.type.shape)} differ"
    if left.type.rank != right.type.rank:
        return message
    for a, b in zip(left.type.shape, right.type.shape, strict=True):
        verdict = equal(a, b)
        if isinstance(verdict, Refuted) and verdict.witness:
            sizes = ", ".join(f"{name} = {value}" for name, value in verdict.witness.items())
            return f"{message}, for instance at {sizes}"
    return message


def filled(out: Dim, otherwise: str, help: str | None = None) -> Dim:
    """A size of the result, at least 1 where it is known; `otherwise` says what is wrong if not."""
    if isinstance(out, int) and out < 1:
        raise Reject("E209", otherwise, "x", help)
    return out
