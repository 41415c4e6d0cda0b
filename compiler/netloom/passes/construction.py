"""One network while it is being built: what has been placed, and what went wrong."""

from typing import Literal, NamedTuple

from netloom.diagnostics import Diagnostic, Diagnostics, Failed, Note, Span
from netloom.ir.declared import Reject
from netloom.ir.dims import LARGEST, Dim, Size, Symbolic, evaluate, is_unwieldy, size, sizes
from netloom.ir.graph import Head, Layer, Scope, Value
from netloom.ir.op import Op
from netloom.ir.types import Type
from netloom.limits import Limits
from netloom.ops.merge import GENERAL
from netloom.passes.binding import Bound
from netloom.passes.expansion import too_many_nodes
from netloom.passes.expressions import POISON, Names, Poison, Poisoned
from netloom.passes.modules import Definition, Module
from netloom.passes.origins import origins, remedy
from netloom.passes.scopes import OpenScope
from netloom.syntax import ast

Current = Value | Poison | None
Results = tuple[Value | Poison, ...]


class Requirement(NamedTuple):
    """A `require`, with what its names meant where it stands."""

    condition: ast.Expression
    names: Names
    span: Span
    notes: tuple[Note, ...]


class Place:
    """Where statements run: their names, the scope that takes their layers, the current value.

    `home` is the network around, in whose statements other networks can be called; `in_brace` says
    that these statements stand in a brace whose layers belong to the scope around it.
    """

    def __init__(
        self,
        names: Names,
        scope: OpenScope,
        current: Current,
        module: Module,
        home: "Home",
        role: "Literal['network', 'block', 'brace'] | Visit" = "brace",
        in_brace: bool = False,
    ) -> None:
        self.names, self.scope, self.current = names, scope, current
        self.module, self.role = module, role
        self.home = home
        self.in_brace = in_brace
        self.defined: dict[str, Span] = {}
        self.returned: Results | None = None

    def is_value(self, name: str) -> bool:
        """Whether a name stands for a value of the network."""
        return isinstance(self.names.values.get(name), Value | Poison)

    def is_shared(self, name: str) -> bool:
        """Whether a name stands for a network or a shared instance; values hide networks."""
        if self.is_value(name):
            return False
        definition = self.module.definitions.get(name)
        is_network = definition is not None and isinstance(definition.node, ast.Network)
        return is_network or isinstance(self.names.values.get(name), Instance)

    def inside(self, names: Names, scope: OpenScope, current: Current) -> "Place":
        """A place inside a brace of this one."""
        in_brace = scope is self.scope
        return Place(names, scope, current, self.module, self.home, in_brace=in_brace)


class Home(NamedTuple):
    """A network that is being built, alone or as a part of another."""

    scope: OpenScope
    node: ast.Network


class Visit:
    """A network while it runs as a part of another: what it is given, and what its heads make."""

    def __init__(self, inputs: dict[str, Value]) -> None:
        self.inputs = inputs
        self.heads: dict[str, Value | Poison] = {}


class Instance:
    """What can be called several times and has the same weights each time.

    `owner` is the scope in which it can be called, `first` is what its first call has placed.
    """

    def __init__(
        self, name: str, called: ast.Call | None, definition: Definition | None, owner: OpenScope
    ) -> None:
        self.name, self.called, self.definition, self.owner = name, called, definition, owner
        self.first: Layer | Scope | None = None
        self.first_span: Span | None = None


class Construction:
    """What the statements of one network have made so far."""

    def __init__(self, node: ast.Network, limits: Limits, diagnostics: Diagnostics) -> None:
        self.node = node
        self.limits = limits
        self.networks: dict[tuple[int, int], Instance] = {}
        self.callers: dict[int, ast.Network] = {}
        self.inputs: list[Value] = []
        self.targets: list[Value] = []
        self.heads: list[Head] = []
        self.layers: list[Layer] = []
        self.requirements: list[Requirement] = []
        self.own_layers = 0
        """Layers that are right at their place only: with weights of another layer, sizes that the
        data decides, an index that belongs to one map, or an offset out of receptive fields."""
        self.failed = False
        self._diagnostics = diagnostics
        self._calls: list[tuple[ast.Block | ast.Network, Span]] = []
        self.deepest = 0
        self._is_too_large = False
        self.nodes = 0
        self._data_sizes: set[str] = set()

    # A mistake is told with the chain of block calls that led to it.

    def report(self, diagnostic: Diagnostic) -> None:
        """Tells a mistake; the network will not be built, but its checking goes on."""
        self.failed = True
        notes = (*diagnostic.notes, *self.call_chain())
        self._diagnostics.report(diagnostic._replace(notes=notes))

    def tell(self, failure: Failed) -> None:
        """Tells all mistakes of a failure."""
        for diagnostic in failure.diagnostics:
            self.report(diagnostic)

    @property
    def depth(self) -> int:
        """How many calls of blocks are open."""
        return len(self._calls)

    @property
    def visiting(self) -> bool:
        """Whether the statements that run are those of a network that is called."""
        return any(isinstance(node, ast.Network) for node, _ in self._calls)

    def call_chain(self) -> tuple[Note, ...]:
        """The block calls around this point, innermost first."""
        return tuple(
            Note(f"in this call of `{node.name.text}`", span)
            for node, span in reversed(self._calls)
        )

    def enter_block(self, node: ast.Block | ast.Network, span: Span) -> None:
        """Notes that a block is being expanded.

        Raises `Failed` for a block that comes to call itself (E214), and for nests that are too
        deep to be meant (E217).
        """
        name = node.name.text
        active = [self.node, *(each for each, _ in self._calls)]
        if any(each is node for each in active):
            names = [each.name.text for each in active]
            cycle = " -> ".join([*names[[id(each) for each in active].index(id(node)) :], name])
            message = f"`{name}` calls itself: {cycle}"
            raise Failed(Diagnostic("E214", message, span, help="use `repeat`"))
        if len(active) > self.limits.blocks:
            message = f"blocks are nested more than {self.limits.blocks} deep"
            raise Failed(Diagnostic("E217", message, span, help=self.limits.raised_by("blocks")))
        self._calls.append((node, span))
        self.deepest = max(self.deepest, len(self._calls))

    def could_enter(self, blocks: set[int], depth: int) -> bool:
        """Whether blocks could be expanded here, of which `depth` stand inside one another."""
        active = {id(self.node), *(id(each) for each, _ in self._calls)}
        return not active & blocks and len(self._calls) + depth <= self.limits.blocks

    def leave_block(self) -> None:
        """The counterpart of `enter_block`."""
        self._calls.pop()

    def spend(self, span: Span, times: int = 1) -> None:
        """Counts what is about to be made, which bounds the time of a check (E217)."""
        self.nodes += times
        if self.nodes > self.limits.nodes:
            if self._is_too_large:
                raise Poisoned
            self._is_too_large = True
            raise Failed(too_many_nodes(self.limits, span))

    def place(
        self,
        op: Op,
        path: str,
        span: Span,
        bound: Bound | None = None,
        branches: tuple[Span, ...] = (),
    ) -> Layer:
        """Puts an operator into the network, once its rule has accepted it."""
        try:
            result_types = self._with_own_sizes(op, op.results())
        except Reject as reject:
            raise Failed(_rejection(reject, op, span, bound, branches)) from None
        for dim in (dim for each in result_types for dim in each.shape):
            if is_unwieldy(dim):
                message = f"what `{op.name}` gives has a size that is too complicated to follow"
                raise Failed(Diagnostic("E217", message, span))
            if isinstance(dim, int) and dim > LARGEST:
                message = f"what `{op.name}` gives has a size beyond 64 bits"
                raise Failed(Diagnostic("E217", message, span))
        self.spend(span)
        layer = Layer(path, op, span)
        layer.results = tuple(
            Value(path if index == 0 else f"{path}.{index}", result_type, span, layer, index)
            for index, result_type in enumerate(result_types)
        )
        self.layers.append(layer)
        if op.depends_on_fields or any(_is_own(each) for each in result_types):
            self.own_layers += 1
        return layer

    def _with_own_sizes(self, op: Op, result_types: tuple[Type, ...]) -> tuple[Type, ...]:
        """Gives sizes that the data decides a name of their own, so that no two are confused."""
        fresh = {
            each
            for result_type in result_types
            for dim in result_type.shape
            if isinstance(dim, Symbolic)
            for each in dim.sizes
            if each.from_data
        }
        if not fresh:
            return result_types
        seen = {each for value in op.reads() for dim in value.type.shape for each in sizes(dim)}
        renamed: dict[str, Dim] = {}
        for result_type in result_types:
            for dim in result_type.shape:
                for each in sizes(dim) - seen:
                    if each.from_data and each.name not in renamed:
                        renamed[each.name] = self._own_size(each)
        if not renamed:
            return result_types
        return tuple(
            each._replace(shape=tuple(evaluate(dim, renamed) for dim in each.shape))
            for each in result_types
        )

    def _own_size(self, wanted: Size) -> Dim:
        name, number = wanted.name, 1
        shapes = [value.type.shape for value in (*self.inputs, *self.targets)]
        declared = {each.name for shape in shapes for dim in shape for each in sizes(dim)}
        while name in self._data_sizes | declared:
            number += 1
            name = f"{wanted.name}{number}"
        self._data_sizes.add(name)
        return size(name, from_data=True)


def _is_own(result: Type) -> bool:
    """Whether a type speaks of one value: the map of an index, or a size that the data decides."""
    return result.pooled_from is not None or any(
        each.from_data for dim in result.shape if not isinstance(dim, int) for each in dim.sizes
    )


def close(scope: Scope, results: tuple[Current, ...], steps: list[Layer | Scope]) -> Results:
    """Ends a scope with its results; one that placed nothing leaves no trace."""
    sound = tuple(result for result in results if isinstance(result, Value))
    if len(sound) < len(results):
        return (POISON,)
    scope.results = sound
    if scope.lines:
        steps.append(scope)
    return sound


BRANCHES = ("this branch is", "this branch is")


def _rejection(
    reject: Reject, op: Op, span: Span, bound: Bound | None, branches: tuple[Span, ...]
) -> Diagnostic:
    """A rule's refusal, at its place in the text and with where the operands came from."""
    subject = f"`{op.name}` " if reject.message.startswith("needs ") else f"`{op.name}`: "
    at = reject.at or ""
    place = bound.spans.get(at, span) if bound else span
    label, notes, help = "", [], reject.help
    if at.startswith("xs."):
        index = int(at.removeprefix("xs."))
        first, other = ("what enters is", "its body gives") if op.name == "gate" else BRANCHES
        place, label = branches[index], f"{other if index else first} {op.operands()[index].type}"
        if index:
            notes.append(Note(f"{first} {op.operands()[0].type}", branches[0]))
        if reject.axis is not None:
            values = (op.operands()[index], op.operands()[0])
            notes += origins(values, reject.axis, shown=branches)
            if reject.help in GENERAL:
                help = remedy(*values, reject.axis) or help
    else:
        for value in op.operands()[:1]:
            if value.span:
                notes.append(Note(f"the value that enters is {value.type}", value.span))
    return Diagnostic(reject.code, subject + reject.message, place, label, tuple(notes), help)
