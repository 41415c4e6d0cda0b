"""What losses and metrics ask of their operands."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from netloom.ir.declared import Declared, Reject
from netloom.ir.graph import Value
from netloom.ir.types import shape_text
from netloom.ops.activation import Sigmoid, Softmax
from netloom.ops.operands import channel_axis, known, of_rank, same_shape

if TYPE_CHECKING:
    import torch

Tensors = Mapping[Value, "torch.Tensor"]
"""The inputs, targets and heads of one batch."""


def reads(record: Declared) -> list[Value]:
    """The values that a loss or metric reads, in the order of its signature."""
    return [getattr(record, field.name) for field in record.signature() if field.is_operand]


def check_raw(logits: Value) -> None:
    """Refuses logits that are probabilities already: training would run, but badly."""
    made_by = logits.layer.op if logits.layer else None
    if isinstance(made_by, Softmax | Sigmoid):
        message = f"needs logits, but `{logits.name}` has been through {made_by.name}"
        raise Reject("E206", message, "logits", f"give it the value before `{made_by.name}`")


def check_labels(logits: Value, label: Value) -> int:
    """Checks that each label is one of the channels of the logits; returns how many there are.

    The shapes are `[n, c]` and `[n]`, `[n, t, c]` and `[n, t]`, or `[n, c, h, w]` and `[n, h, w]`.

    Raises:
        Reject: E207, E208 or E210 at the operand that does not fit.
    """
    shape = of_rank(logits, 2, 3, 4, at="logits")
    axis = channel_axis(logits.type.rank)
    classes = known(shape[axis], "number of classes", "logits")
    if label.type.dtype != "int64":
        message = f"needs int64 class indices, but `{label.name}` is {label.type}"
        raise Reject("E210", message, "label")
    wanted = shape[:axis] + shape[axis + 1 :]
    if label.type.rank != len(wanted) or label.type.shape != wanted:
        message = f"needs labels {shape_text(wanted)} for logits {shape_text(shape)}"
        raise Reject("E208", f"{message}, but `{label.name}` is {label.type}", "label")
    return classes


def check_alike(
    left: Value, right: Value, names: tuple[str, str] = ("prediction", "target")
) -> None:
    """Refuses operands that are not float32 of one shape: nothing is broadcast.

    `names` are what the signature calls them.

    Raises:
        Reject: E208 or E210 at the operand that does not fit.
    """
    for at, value in zip(names, (left, right), strict=True):
        if value.type.dtype != "float32":
            raise Reject("E210", f"needs float32, but `{value.name}` is {value.type}", at)
    help = "a loss or metric compares values of one shape; nothing is broadcast"
    same_shape(left, right, names[1], help)


def classes_first(logits: "torch.Tensor") -> "torch.Tensor":
    """Logits with their classes on axis 1, where PyTorch expects them: a sequence has them last."""
    return logits.movedim(channel_axis(logits.ndim), 1)
