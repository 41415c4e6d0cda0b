"""Records that a spec calls by name: operators, losses, optimizers, augmentations.

Such a record is one class. Its fields are its signature and its documentation:

    class Dropout(Op, name="dropout"):
        \"\"\"Zeroes elements at random during training.\"\"\"

        x: Value = operand("any value")
        p: float = arg("probability of zero", default=0.5, minimum=0, maximum=1)

Rules take only `self`, so an instance can be asked everything about itself.
"""

from typing import Any, ClassVar, NamedTuple, dataclass_transform

Pair = tuple[int, int]
"""Height and width; a spec may write one number for both."""


class Reject(Exception):  # noqa: N818  a verdict on a call, not a fault of the program
    """A rule refuses a call. `at` names the argument or operand that is at fault, if one is.

    `axis` is the one along which two operands disagree, if they have the same axes.

    Rules never see spans; `passes/build.py` finds the place in the text.
    """

    def __init__(
        self,
        code: str,
        message: str,
        at: str | None = None,
        help: str | None = None,
        axis: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.at, self.help, self.axis = code, message, at, help, axis


REQUIRED: Any = object()
"""The default of a field that has none."""


def operand(doc: str, *, default: Any = REQUIRED) -> Any:
    """A value that flows in; the first one is the current value of the pipeline."""
    return _Entry(doc, True, default)


def arg(
    doc: str,
    *,
    default: Any = REQUIRED,
    minimum: float | None = None,
    above: float | None = None,
    maximum: float | None = None,
    by_name: bool = False,
) -> Any:
    """A constant argument. `minimum`, `above` (excluded) and `maximum` bound each number in it.

    One that is given only `by_name` cannot be taken for another by those who know other signatures:
    `conv(3, 16, 3)` is not a convolution of stride 3.
    """
    return _Entry(doc, False, default, minimum, above, maximum, by_name)


class _Entry(NamedTuple):
    """What `operand` and `arg` note of a field; its name and type are the annotation's."""

    doc: str
    is_operand: bool
    default: Any
    minimum: float | None = None
    above: float | None = None
    maximum: float | None = None
    by_name: bool = False


class Field(NamedTuple):
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
    by_name: bool = False


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
        cls._signature = [_field(cls, *entry) for entry in cls.__annotations__.items()]
        cls.registry[name] = cls

    def __init__(self, **given: Any) -> None:
        for field in self._signature:
            if field.name not in given and field.required:
                raise TypeError(f"{self.family} `{self.name}` lacks `{field.name}`")
            self.__dict__[field.name] = given.pop(field.name, field.default)
        if given:
            raise TypeError(f"{self.family} `{self.name}` has no {', '.join(given)}")

    @classmethod
    def signature(cls) -> list[Field]:
        """The fields in order: operands and arguments as a call gives them."""
        return cls._signature

    _signature: ClassVar[list[Field]] = []


def _field(cls: type[Declared], name: str, kind: Any) -> Field:
    entry: _Entry = cls.__dict__[name]
    delattr(cls, name)  # an instance's own value must be found, not the declaration
    required = entry.default is REQUIRED
    default = None if required else entry.default
    bounds = (entry.minimum, entry.above, entry.maximum, entry.by_name)
    return Field(name, kind, entry.doc, entry.is_operand, required, default, *bounds)
