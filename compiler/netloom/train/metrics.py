"""What is measured on the test data after each epoch, and which of two values is better."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from netloom.ir.declared import Declared, Reject, arg, operand
from netloom.ir.graph import Value
from netloom.train.operands import Tensors, check_alike, check_labels, classes_first

if TYPE_CHECKING:
    import torchmetrics

# ruff: noqa: D102  the base of the family documents its rules


class Metric(Declared, family="metric"):
    """A number that says how good the network is, over all samples of the test data."""

    required_rules = ("check", "create", "update")

    higher_is_better: ClassVar[bool] = False
    is_share: ClassVar[bool] = False
    """Whether the value lies between 0 and 1 and is told in percent."""

    def check(self) -> None:
        """Raises `Reject` where the operands do not fit."""
        raise NotImplementedError

    def classes(self) -> Mapping[Value, int]:
        """How many classes each label operand can have."""
        return {}

    def create(self) -> "torchmetrics.Metric":
        """What gathers the batches."""
        raise NotImplementedError

    def update(self, gathered: "torchmetrics.Metric", tensors: Tensors) -> None:
        """Adds one batch."""
        raise NotImplementedError

    def title(self) -> str:
        """What the numbers are called in tables."""
        return self.name

    def text(self, value: float) -> str:
        """A value for people."""
        return f"{100 * value:.2f} %" if self.is_share else f"{value:.4f}"


class Accuracy(Metric, name="accuracy"):
    """The share of labels that have the highest of the logits."""

    logits: Value = operand("scores, before or after a softmax: [n, c], [n, t, c] or [n, c, h, w]")
    label: Value = operand("int64 class indices, of the shape of the logits without their classes")
    top: int = arg("a label counts when it is among that many highest", default=1, minimum=1)

    higher_is_better = True
    is_share = True

    def check(self) -> None:
        classes = check_labels(self.logits, self.label)
        if self.top > classes:
            raise Reject("E206", f"`top` is {self.top}, but there are {classes} classes", "top")

    def classes(self) -> Mapping[Value, int]:
        return {self.label: check_labels(self.logits, self.label)}

    def create(self) -> "torchmetrics.Metric":
        from torchmetrics.classification import MulticlassAccuracy

        classes = check_labels(self.logits, self.label)
        return MulticlassAccuracy(classes, self.top, average="micro", validate_args=False)

    def update(self, gathered: "torchmetrics.Metric", tensors: Tensors) -> None:
        gathered.update(classes_first(tensors[self.logits]), tensors[self.label])

    def title(self) -> str:
        return self.name if self.top == 1 else f"top{self.top}_{self.name}"


class MeanSquaredError(Metric, name="mse"):
    """The mean of (prediction - target)^2."""

    prediction: Value = operand("float32 values")
    target: Value = operand("float32 values of the same shape")

    def check(self) -> None:
        check_alike(self.prediction, self.target)

    def create(self) -> "torchmetrics.Metric":
        from torchmetrics import MeanSquaredError as Gathered

        return Gathered()

    def update(self, gathered: "torchmetrics.Metric", tensors: Tensors) -> None:
        gathered.update(tensors[self.prediction].contiguous(), tensors[self.target].contiguous())


class MeanAbsoluteError(Metric, name="mae"):
    """The mean of |prediction - target|."""

    prediction: Value = operand("float32 values")
    target: Value = operand("float32 values of the same shape")

    def check(self) -> None:
        check_alike(self.prediction, self.target)

    def create(self) -> "torchmetrics.Metric":
        from torchmetrics import MeanAbsoluteError as Gathered

        return Gathered()

    def update(self, gathered: "torchmetrics.Metric", tensors: Tensors) -> None:
        gathered.update(tensors[self.prediction].contiguous(), tensors[self.target].contiguous())
