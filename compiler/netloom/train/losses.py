"""What training can minimise. Each loss is a mean over all elements of the batch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from netloom.ir.declared import Declared, arg, operand
from netloom.ir.graph import Value
from netloom.train.operands import Tensors, check_alike, check_labels, check_raw, classes_first

if TYPE_CHECKING:
    import torch

# ruff: noqa: D102  the base of the family documents its rules


class Loss(Declared, family="loss"):
    """A differentiable measure of what is wrong, one number a batch."""

    required_rules = ("check", "value")

    def check(self) -> None:
        """Raises `Reject` where the operands do not fit."""
        raise NotImplementedError

    def classes(self) -> Mapping[Value, int]:
        """How many classes each label operand can have."""
        return {}

    def value(self, tensors: Tensors) -> "torch.Tensor":
        """The loss of one batch, a scalar."""
        raise NotImplementedError


class CrossEntropy(Loss, name="cross_entropy"):
    """-log of the probability that a softmax of the logits gives the label.

    With `smoothing` s, the wanted probability of the label is 1 - s + s/c and that of every other
    class s/c (Szegedy 2016).
    """

    logits: Value = operand("scores before the softmax: [n, c], [n, t, c] or [n, c, h, w]")
    label: Value = operand("int64 class indices, of the shape of the logits without their classes")
    smoothing: float = arg("share given to all classes", default=0.0, minimum=0, maximum=1)

    def check(self) -> None:
        check_labels(self.logits, self.label)
        check_raw(self.logits)

    def classes(self) -> Mapping[Value, int]:
        return {self.label: check_labels(self.logits, self.label)}

    def value(self, tensors: Tensors) -> "torch.Tensor":
        import torch.nn.functional as F

        logits = classes_first(tensors[self.logits])
        return F.cross_entropy(logits, tensors[self.label], label_smoothing=self.smoothing)


class BinaryCrossEntropy(Loss, name="bce"):
    """-t log(p) - (1 - t) log(1 - p) with p the sigmoid of the logits.

    It takes logits and not probabilities, because the logarithm of a rounded sigmoid is inexact.
    """

    logits: Value = operand("scores before the sigmoid, float32")
    target: Value = operand("wanted probabilities, float32 of the same shape")

    def check(self) -> None:
        check_alike(self.logits, self.target, ("logits", "target"))
        check_raw(self.logits)

    def value(self, tensors: Tensors) -> "torch.Tensor":
        import torch.nn.functional as F

        return F.binary_cross_entropy_with_logits(tensors[self.logits], tensors[self.target])


class MeanSquaredError(Loss, name="mse"):
    """The mean of (prediction - target)^2."""

    prediction: Value = operand("float32 values")
    target: Value = operand("float32 values of the same shape")

    def check(self) -> None:
        check_alike(self.prediction, self.target)

    def value(self, tensors: Tensors) -> "torch.Tensor":
        import torch.nn.functional as F

        return F.mse_loss(tensors[self.prediction], tensors[self.target])


class MeanAbsoluteError(Loss, name="l1"):
    """The mean of |prediction - target|."""

    prediction: Value = operand("float32 values")
    target: Value = operand("float32 values of the same shape")

    def check(self) -> None:
        check_alike(self.prediction, self.target)

    def value(self, tensors: Tensors) -> "torch.Tensor":
        import torch.nn.functional as F

        return F.l1_loss(tensors[self.prediction], tensors[self.target])
