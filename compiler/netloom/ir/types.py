"""What kind of tensor a value is."""

from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from netloom.ir.dims import Dim

if TYPE_CHECKING:
    from netloom.ir.graph import Value

DType = Literal["float32", "int64", "bool"]
DTYPES: dict[str, DType] = {name: name for name in get_args(DType)}

Shape = tuple[Dim, ...]


class Type(NamedTuple):
    """Element type and shape of a tensor.

    `pooled_from` belongs to index values only: the map whose positions they are, so that
    `unpool(where)` needs no size.
    """

    dtype: DType
    shape: Shape
    pooled_from: "Value | None" = None

    @property
    def rank(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def __str__(self) -> str:
        return f"{self.dtype}{shape_text(self.shape)}"


def shape_text(shape: Shape) -> str:
    """A shape as a spec writes it: `[N, 64, h, w]`."""
    return "[" + ", ".join(str(dim) for dim in shape) + "]"


def spatial_axes(rank: int) -> dict[str, int]:
    """The axes along which a value of that rank has a receptive field, by name.

    `[n, c, h, w]` has h and w, a sequence `[n, t, c]` has t, and `[n, c]` has none.
    """
    return {4: {"h": 2, "w": 3}, 3: {"t": 1}}.get(rank, {})
