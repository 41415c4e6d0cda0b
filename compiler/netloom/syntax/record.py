"""The base of the records of the syntax tree."""

from operator import itemgetter
from typing import Any, ClassVar, Self, dataclass_transform


@dataclass_transform(frozen_default=True)
class Record(tuple[Any, ...]):
    """A named tuple, as `typing.NamedTuple` makes one, whose class is made in a tenth of the time.

    There are forty of them, and compiling their constructors took a twentieth of a whole check.
    """

    __slots__ = ()
    _fields: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        cls._fields = tuple(cls.__annotations__)
        for index, name in enumerate(cls._fields):
            setattr(cls, name, property(itemgetter(index)))

    def __new__(cls, *values: Any) -> Self:
        """A record of these values, in the order of the fields."""
        assert len(values) == len(cls._fields), f"{cls.__name__} has {', '.join(cls._fields)}"
        return tuple.__new__(cls, values)

    def __repr__(self) -> str:
        pairs = zip(self._fields, self, strict=True)
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in pairs)})"

    def _replace(self, **changed: Any) -> Self:
        """The same record with some fields changed."""
        values = zip(self._fields, self, strict=True)
        return tuple.__new__(type(self), (changed.get(name, value) for name, value in values))
