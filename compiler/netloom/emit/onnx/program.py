"""An ONNX graph as plain data, between the network that it computes and the bytes of a file.

Tensors are known by name. One that bears the name of a value of the network computes that value;
those that only nodes of one operator know have a slash in their name, `stem.conv1/flat`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from netloom.emit.checkpoint import Stored
from netloom.ir.types import Type

if TYPE_CHECKING:
    import numpy


class Tensor(NamedTuple):
    """An initializer: element type, shape, and how its bytes (little endian) are had.

    They are read when they are written, so that no more than one tensor is in memory. `stored`
    tells where they lie if a file holds them already.
    """

    dtype: str
    shape: tuple[int, ...]
    read: Callable[[], Any]
    stored: Stored | None = None

    @property
    def nbytes(self) -> int:
        """The number of bytes."""
        size = _SIZES[self.dtype]
        for each in self.shape:
            size *= each
        return size

    def array(self) -> "numpy.ndarray[Any, Any]":
        """The elements; numpy is imported by those who calculate with them."""
        import numpy

        return numpy.frombuffer(self.read(), self.dtype).reshape(self.shape)


_SIZES = {"float32": 4, "int64": 8, "bool": 1}


class Step:
    """One node: `layers` are those of the network whose work it does."""

    __slots__ = ("attributes", "inputs", "layers", "name", "op_type", "outputs")

    def __init__(
        self,
        op_type: str,
        inputs: list[str],
        outputs: list[str],
        attributes: Mapping[str, Any],
        name: str,
        layers: tuple[str, ...],
    ) -> None:
        self.op_type, self.inputs, self.outputs = op_type, inputs, outputs
        self.attributes, self.name, self.layers = attributes, name, layers

    def __repr__(self) -> str:
        return f"<{self.name}: {self.op_type}>"


class Program:
    """The nodes in order, the initializers beside them, and what enters and leaves.

    `types` are those of the network's values, by name; of other tensors nothing is known.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.inputs: dict[str, Type] = {}
        self.outputs: dict[str, Type] = {}
        self.steps: list[Step] = []
        self.tensors: dict[str, Tensor] = {}
        self.types: dict[str, Type] = {}

    def uses(self) -> dict[str, int]:
        """How often each tensor is read, by nodes or as a result of the whole."""
        found = dict.fromkeys(self.outputs, 1)
        for step in self.steps:
            for name in step.inputs:
                found[name] = found.get(name, 0) + 1
        return found

    def producers(self) -> dict[str, Step]:
        """The node that makes each tensor."""
        return {name: step for step in self.steps for name in step.outputs if name}

    def add_tensor(self, name: str, tensor: Tensor) -> str:
        """Adds an initializer under this name, or the next one that is free."""
        chosen, number = name, 1
        while chosen in self.tensors:
            number += 1
            chosen = f"{name}_{number}"
        self.tensors[chosen] = tensor
        return chosen

    def prune(self) -> None:
        """Takes out nodes whose results nobody reads, and initializers likewise."""
        read = set(self.outputs)
        kept = []
        for step in reversed(self.steps):
            if any(name in read for name in step.outputs):
                kept.append(step)
                read.update(step.inputs)
        self.steps = kept[::-1]
        self.tensors = {name: each for name, each in self.tensors.items() if name in read}


def without(steps: Iterable[Step], removed: set[int]) -> list[Step]:
    """The steps but for those whose identity is among `removed`."""
    return [step for step in steps if id(step) not in removed]
