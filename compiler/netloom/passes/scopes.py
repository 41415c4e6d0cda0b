"""Names and scopes while a network is being built."""

from collections import Counter
from typing import Protocol

from netloom.ir.graph import Layer, Line, Scope, Value
from netloom.ir.op import Op
from netloom.syntax import ast


class OpenScope:
    """A scope that is still being filled: it hands out paths, each once, and gathers lines."""

    def __init__(self, scope: Scope, statements: tuple[ast.Statement, ...] = ()) -> None:
        self.scope = scope
        self._reserved = names_given(statements)
        self._own = own_names(statements)
        self._taken: set[str] = set()
        self._counts: Counter[str] = Counter()
        self._claims: dict[str, int] = {}

    def count(self, label: str) -> str:
        """A fresh path for something without a name: `conv1`, `conv2`, counted for each label."""
        while True:
            self._counts[label] += 1
            numbered = f"{label}{self._counts[label]}"
            if numbered not in self._reserved and numbered not in self._taken:
                return self._path(numbered)

    def claim(self, name: str, in_brace: bool = False) -> str:
        """The path of a name: the name, or `name2` where another brace has used it before.

        The names that a scope's own statements give are theirs; those `in_brace` stand behind.
        """
        label, number = name, self._claims.get(name, 1)
        while label in self._taken or (in_brace and label in self._own):
            number += 1
            label = f"{name}{number}"
        self._claims[name] = number
        return self._path(label)

    def _path(self, label: str) -> str:
        self._taken.add(label)
        return f"{self.scope.name}.{label}" if self.scope.name else label

    def add_line(
        self, steps: list[Layer | Scope], results: tuple[Value, ...], names: tuple[str, ...] = ()
    ) -> None:
        """Appends what one pipeline placed."""
        self.scope.lines.append(Line(tuple(steps), results, names))


class Naming:
    """How the stages of one pipeline get their paths.

    Without a name they are counted in the scope around them. `name = …` gives its name to the one
    stage that owns weights, or to the only stage there is; the others are counted below it.
    """

    def __init__(
        self, scope: OpenScope, pinned: str | None = None, owner: ast.Stage | None = None
    ) -> None:
        self.scope, self.pinned, self.owner = scope, pinned, owner
        # A block has its layers below the name; the other stages then stand beside it.
        is_layer = isinstance(owner, ast.Call) and owner.name.text in Op.registry
        self._is_scope = owner is not None and not is_layer
        self._below: Counter[str] = Counter()

    def path(self, stage: ast.Stage, label: str) -> str:
        """The path of what a stage places."""
        if self.pinned is None:
            return self.scope.count(label)
        if stage is self.owner:
            return self.pinned
        if self._is_scope:
            return self.scope.count(label)
        self._below[label] += 1
        return f"{self.pinned}.{label}{self._below[label]}"


def own_names(statements: tuple[ast.Statement, ...]) -> set[str]:
    """The names that statements give, without those given in braces."""
    found: set[str] = set()
    for statement in statements:
        match statement:
            case ast.Flow():
                found |= {name.text for name in statement.names}
            case ast.Head() | ast.Input() | ast.Target() | ast.Let() | ast.Share():
                found.add(statement.name.text)
    return found


def names_given(statements: tuple[ast.Statement, ...]) -> set[str]:
    """The names that statements give to values, which counted names must leave free."""
    found: set[str] = set()
    for statement in statements:
        match statement:
            case ast.Flow():
                found |= {name.text for name in statement.names}
                for stage in statement.pipeline.stages:
                    if isinstance(stage, ast.Residual):  # its layers belong to this scope too
                        found |= names_given(stage.body.statements)
            case ast.Head() | ast.Input() | ast.Target() | ast.Let() | ast.Share():
                found.add(statement.name.text)
            case ast.If():
                following: ast.Body | ast.If | None = statement
                while isinstance(following, ast.If):  # thousands may hang on one another
                    found |= names_given(following.then.statements)
                    following = following.otherwise
                if following:
                    found |= names_given(following.statements)
    return found


class Known(Protocol):
    """What names stand for, as far as it matters for paths."""

    def is_value(self, name: str) -> bool:
        """Whether it is a value of the network."""

    def is_shared(self, name: str) -> bool:
        """Whether it is a network or a shared instance, which has a path of its own."""


def placing_stages(pipeline: ast.Pipeline, known: Known) -> list[ast.Stage]:
    """The stages that make something of their own.

    The others only name a value, or call what is shared, which has its own name.
    """
    return [
        stage
        for index, stage in enumerate(pipeline.stages)
        if not isinstance(stage, ast.Incoming)
        and not (isinstance(stage, ast.Call) and known.is_shared(stage.name.text))
        and not (
            index == 0
            and isinstance(stage, ast.Call)
            and stage.arguments is None
            and known.is_value(stage.name.text)
        )
    ]


def owning_stages(stages: list[ast.Stage], known: Known) -> list[ast.Stage]:
    """Those that may own weights: blocks, braces, and operators with parameters."""
    return [
        stage
        for stage in stages
        if not _is_bare_join(stage, known)
        and (
            not isinstance(stage, ast.Call)
            or stage.name.text not in Op.registry
            or Op.registry[stage.name.text].params is not Op.params
        )
    ]


def _is_bare_join(stage: ast.Stage, known: Known) -> bool:
    """Whether a stage only joins values that there are: `add { left right }`."""
    return isinstance(stage, ast.Join) and not any(
        not isinstance(statement, ast.Flow) or placing_stages(statement.pipeline, known)
        for branch in stage.branches
        for statement in branch.statements
    )


def is_single(stages: list[ast.Stage]) -> bool:
    """Whether one call is all that a pipeline places, so that it can take the pipeline's name."""
    return len(stages) == 1 and not isinstance(stages[0], ast.Join | ast.Residual | ast.Gate)


def shares_name(stages: list[ast.Stage], known: Known) -> bool:
    """Whether a named pipeline becomes a scope, because several of its stages own weights."""
    if is_single(stages):
        return False
    braces = any(
        not isinstance(stage, ast.Call) and not _is_bare_join(stage, known) for stage in stages
    )
    return braces or len(owning_stages(stages, known)) > 1


def namesake(stages: list[ast.Stage], known: Known) -> ast.Stage | None:
    """The stage that takes the pipeline's name: its owner of weights, or its only stage."""
    candidates = owning_stages(stages, known) or stages
    return candidates[0] if len(candidates) == 1 else None
