"""Names and scopes while a network is being built."""

from collections import Counter

from netloom.ir.graph import Layer, Line, Scope, Value
from netloom.syntax import ast


class OpenScope:
    """A scope that is still being filled: it hands out names and gathers lines."""

    def __init__(self, scope: Scope, reserved: set[str]) -> None:
        self.scope = scope
        self._reserved = reserved
        self._counts: Counter[str] = Counter()

    def path(self, label: str) -> str:
        """The path of something that is called `label` here."""
        return f"{self.scope.name}.{label}" if self.scope.name else label

    def count(self, label: str) -> str:
        """A fresh path for something without a name: `conv1`, `conv2`, counted for each label."""
        while True:
            self._counts[label] += 1
            numbered = f"{label}{self._counts[label]}"
            if numbered not in self._reserved:
                return self.path(numbered)

    def unique(self, label: str) -> str:
        """A fresh path for something of which there is mostly one: `shortcut`, `shortcut2`."""
        self._counts[label] += 1
        number = self._counts[label]
        return self.path(label if number == 1 else f"{label}{number}")

    def add_line(
        self, steps: list[Layer | Scope], results: tuple[Value, ...], names: tuple[str, ...] = ()
    ) -> None:
        """Appends what one pipeline placed."""
        self.scope.lines.append(Line(tuple(steps), results, names))


def names_given(statements: tuple[ast.Statement, ...]) -> set[str]:
    """The names that statements give to values, which counted names must leave free."""
    found: set[str] = set()
    for statement in statements:
        match statement:
            case ast.Flow():
                found |= {name.text for name in statement.names}
            case ast.Head() | ast.Input() | ast.Target() | ast.Let():
                found.add(statement.name.text)
            case ast.If():
                found |= names_given(statement.then.statements)
                if isinstance(statement.otherwise, ast.Body):
                    found |= names_given(statement.otherwise.statements)
                elif statement.otherwise:
                    found |= names_given((statement.otherwise,))
    return found


def placing_stages(pipeline: ast.Pipeline, is_value: "set[str]") -> int:
    """How many stages of a pipeline make something, rather than only name a value."""
    count = 0
    for index, stage in enumerate(pipeline.stages):
        if isinstance(stage, ast.Incoming):
            continue
        if index == 0 and isinstance(stage, ast.Call) and stage.arguments is None and stage.name.text in is_value:
            continue
        count += 2 if isinstance(stage, ast.Join | ast.Residual) else 1
    return count
