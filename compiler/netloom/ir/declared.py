"""Records that a spec calls by name: operators, losses, optimizers, augmentations.

Such a record is one class. Its fields are its signature and its documentation:

    class Dropout(Op, name="dropout"):
        \"\"\"Zeroes elements at random during training.\"\"\"

        x: Value = operand("any value")
        p: float = arg("probability of zero", default=0.5, minimum=0, maximum=1)

Rules take only `self`, so an instance can be asked everything about itself.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any, ClassVar, dataclass_transform, get_type_hints

Pair = tuple[int, int]
"""Height and width; a spec may write one number for both."""


class Reject(Exception):  # noqa: N818  a verdict on a call, not a fault of the program
    """A rule refuses a call. `at` names the argument or operand that is at fault, if one is.

    Rules never see spans; `passes/build.py` finds the place in the text.
    """

    def __init__(self, code: str, message: str, at: str | None = None, help: str | None = None):
        super().__init__(message)
        self.code, self.message, self.at, self.help = code, message, at, help


def operand(doc: str, *, default: Any = dataclasses.MISSING) -> Any:
    """A value that flows in; the first one is the current value of the pipeline."""
    return dataclasses.field(default=default, metadata={"operand": True, "doc": doc})


def arg(
    doc: str,
    *,
    default: Any = dataclasses.MISSING,
    minimum: float | None = None,
    above: float | None = None,
    maximum: float | None = None,
) -> Any:
    """A constant argument. `minimum`, `above` (excluded) and `maximum` bound each number in it."""
    bounds = {"minimum": minimum, "above": above, "maximum": maximum}
    return dataclasses.field(default=default, metadata={"operand": False, "doc": doc, **bounds})


@dataclasses.dataclass(frozen=True)
class Field:
    """One entry of a signature."""

    name: str
    type: Any
    doc: str
    is_operand: bool
    required: bool
    default: Any
    minimum: float | None = None
    above: float | None = None
    maximum: float | None = None


@dataclass_transform(field_specifiers=(operand, arg), frozen_default=True)
class Declared:
    """The base of all families of records; a family is a direct subclass, with `family=`."""

    name: ClassVar[str]
    family: ClassVar[str]
    registry: ClassVar[dict[str, type[Any]]]
    required_rules: ClassVar[tuple[str | tuple[str, ...], ...]] = ()
    """Rules that each member must state; a tuple asks for one of several."""

    def __init_subclass__(cls, name: str = "", family: str = "") -> None:
        super().__init_subclass__()
        if family:
            cls.family = family
            cls.registry = {}
            return
        if not name:
            raise TypeError(f"{cls.__name__} is final; declare a new record beside it instead")
        if name in cls.registry:
            raise TypeError(f"there are two declarations of {cls.family} `{name}`")
        base = cls.__mro__[1]
        for rule in cls.required_rules:
            choices = (rule,) if isinstance(rule, str) else rule
            if all(getattr(cls, each) is getattr(base, each) for each in choices):
                raise TypeError(f"{cls.family} `{name}` lacks the rule {' or '.join(choices)}")
        if not cls.__doc__:
            raise TypeError(f"{cls.family} `{name}` lacks a docstring, which users read")
        cls.name = name
        dataclasses.dataclass(frozen=True, eq=False, repr=False)(cls)
        cls.registry[name] = cls

    @classmethod
    def signature(cls) -> list[Field]:
        """The fields in order: operands and arguments as a call gives them."""
        if "_signature" not in cls.__dict__:
            cls._signature = list(_fields(cls))
        return cls._signature

    _signature: ClassVar[list[Field]]


def _fields(cls: type[Any]) -> Iterator[Field]:
    hints = get_type_hints(cls)
    for field in dataclasses.fields(cls):
        required = field.default is dataclasses.MISSING
        bounds = {key: field.metadata.get(key) for key in ("minimum", "above", "maximum")}
        yield Field(
            field.name,
            hints[field.name],
            field.metadata["doc"],
            field.metadata["operand"],
            required,
            None if required else field.default,
            **bounds,
        )
