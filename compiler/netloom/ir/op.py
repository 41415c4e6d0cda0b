"""The base of all operators.

An operator is one final, frozen class in `ops/`, and everything about it stands there. It states
local facts; the passes compose them. What a class does not say means: pointwise, weightless, free.
"""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from netloom.ir.call import Call
from netloom.ir.declared import Declared
from netloom.ir.dims import Dim
from netloom.ir.node import Node
from netloom.ir.types import DType, Type
from netloom.ir.window import POINT, Reach

if TYPE_CHECKING:
    from netloom.ir.graph import Value


class Uniform(NamedTuple):
    """Initial values drawn uniformly from [-bound, bound]."""

    bound: float


class Filled(NamedTuple):
    """Initial values that are all the same."""

    value: float


class Parameter(NamedTuple):
    """A tensor that an operator owns. Buffers (`learned=False`) are saved but not counted."""

    shape: tuple[int, ...]
    initial: Uniform | Filled
    learned: bool = True
    dtype: DType = "float32"


def _once(name: str, rule: "Callable[[Op], Any]") -> "Callable[[Op], Any]":
    """A rule that is asked by several passes and answered once: an operator never changes."""
    key = f"_{name}"

    @wraps(rule)
    def answer(self: "Op") -> Any:
        known = self.__dict__
        if key not in known:
            known[key] = rule(self)
        return known[key]

    return answer


class Op(Declared, family="operator"):
    """An operator with its operands and arguments; an instance is a node of the graph."""

    required_rules = (("result", "results"), "torch", "onnx")

    def __init_subclass__(cls, name: str = "", family: str = "") -> None:
        super().__init_subclass__(name, family)
        for rule in ("result", "window", "params", "macs"):
            if rule in cls.__dict__:
                setattr(cls, rule, _once(rule, cls.__dict__[rule]))

    identity_in_inference: ClassVar[bool] = False
    """Whether the operator only acts in training (dropout) and is left out of what is exported."""

    def result(self) -> Type:
        """Type of the result. Raises `Reject` where the operands or arguments do not fit."""
        raise NotImplementedError

    def results(self) -> tuple[Type, ...]:
        """Types of the results, for an operator that has several."""
        return (self.result(),)

    def fits(self) -> tuple[Dim, ...]:
        """Sizes that must be at least 1 for the operator to run.

        What its results need is known without it.
        """
        return ()

    def window(self) -> Reach | tuple[Reach, ...]:
        """What one position sees of each operand: one answer for all axes, or one an axis."""
        return POINT

    def window_of(self, operand: "Value") -> Reach | tuple[Reach, ...]:  # noqa: ARG002
        """What one position sees of one operand, where it is not the same for all of them."""
        return self.window()

    def reads(self) -> "list[Value]":
        """The values it needs: its operands, and any of which it only asks the size."""
        return self.operands()

    def operands(self) -> "list[Value]":
        """The values whose elements flow in, in the order of the signature."""
        known = self.__dict__
        if "_operands" not in known:
            found: list[Value] = []
            for entry in self.signature():
                if entry.is_operand:
                    given = getattr(self, entry.name)
                    found += given if isinstance(given, tuple) else [] if given is None else [given]
            known["_operands"] = found
        return known["_operands"]  # type: ignore[no-any-return]

    def params(self) -> Mapping[str, Parameter]:
        """The tensors it owns, by the names that PyTorch gives them."""
        return {}

    def macs(self) -> Dim:
        """Multiply-accumulate operations, for the whole batch."""
        return 0

    def torch(self) -> Call:
        """The call in PyTorch."""
        raise NotImplementedError

    def onnx(self) -> Node | tuple[Node, ...]:
        """The node, or the few nodes, in ONNX."""
        raise NotImplementedError
