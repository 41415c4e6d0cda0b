"""A network as rows, scope by scope: what `explain` prints as a tree, as a list and as CSV."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

from netloom.compile import Network
from netloom.ir.dims import Dim, evaluate, evaluate_to_int, sizes
from netloom.ir.graph import Layer, Scope, Value
from netloom.ir.types import Shape
from netloom.passes.cost import costs, own_parameters, total_of
from netloom.passes.memory import Memory, memory
from netloom.passes.sizes import free_sizes

Use = Literal["both", "train", "infer", "unused"]
"""Whether training, the exported graph, both or neither have a layer."""

Order = Literal["params", "macs", "memory", "name"]

COMPARED_AT = 1000
"""The number for each free size at which costs are put in order."""


class Explained(NamedTuple):
    """A network with its costs and memory, where some free sizes may be given."""

    network: Network
    sizes: Mapping[str, int]
    memory: Memory

    def shape(self, value: Value) -> Shape:
        """The shape of a value at the given sizes."""
        return tuple(evaluate(dim, self.sizes) for dim in value.type.shape)


def explained(network: Network, sizes: Mapping[str, int]) -> Explained:
    """The network with everything that depends on sizes at those that are given."""
    own = {name: sizes[name] for name in free_sizes(network.graph) if name in sizes}
    at_sizes = network._replace(costs=costs(network.graph, own)) if own else network
    return Explained(at_sizes, own, memory(network.graph, own))


class Row(NamedTuple):
    """A value, or a scope with the sums of what is in it; MACs and bytes are for one sample.

    `depth` counts the scopes around it, `label` is its name without them. `value` is the value of
    a layer, and what comes out of a scope where that is one value. `shared_with` is the row that
    counts the weights which this one uses too.
    """

    depth: int
    label: str
    step: Layer | Scope
    value: Value | None
    params: int
    macs: Dim
    memory: Dim
    use: Use
    shared_with: str | None

    @property
    def is_scope(self) -> bool:
        """Whether it sums up other rows."""
        return isinstance(self.step, Scope)

    @property
    def name(self) -> str:
        """The whole name."""
        return self.step.name if self.is_scope or not self.value else self.value.name

    @property
    def operator(self) -> str:
        """The operator, the block or network that is called, or the kind of scope."""
        step = self.step
        if isinstance(step, Layer):
            return step.op.name
        return step.block or {"named": "pipeline"}.get(step.kind, step.kind)

    @property
    def note(self) -> str:
        """What must be known to read the row right."""
        words = {"train": "training only", "unused": "unused"}.get(self.use, "")
        shared = f"shared with {self.shared_with}" if self.shared_with else ""
        return ", ".join(filter(None, (words, shared)))


def tree(explained: Explained) -> list[Row]:
    """The rows of a network, each scope before what is in it."""
    return _Rows(explained.network, explained.memory).of(explained.network.graph.scope, 0)


def folded(rows: Iterable[Row], depth: int) -> list[Row]:
    """The rows of at most so many levels: 1 is what the network's own lines place."""
    return [row for row in rows if row.depth < depth]


def flat(rows: Iterable[Row]) -> list[Row]:
    """The values only, by their whole names."""
    return [row._replace(depth=0, label=row.name) for row in rows if not row.is_scope]


def ordered(rows: list[Row], order: Order) -> list[Row]:
    """The rows by name, or the most expensive first.

    Costs that depend on sizes are compared where each free size is `COMPARED_AT`.
    """
    if order == "name":
        return sorted(rows, key=lambda row: row.label)
    return sorted(rows, key=lambda row: _for_comparison(getattr(row, order)), reverse=True)


def _for_comparison(dim: Dim) -> int:
    return evaluate_to_int(dim, {each.name: COMPARED_AT for each in sizes(dim)})


class _Rows:
    def __init__(self, network: Network, memory: Memory) -> None:
        self.costs, self.memory = network.costs, memory
        self.uses = _uses(network)
        self.scopes = {each.name for each in network.graph.scope.scopes()}

    def of(self, scope: Scope, depth: int) -> list[Row]:
        """The rows of what a scope has inside, those of inner scopes below theirs."""
        rows: list[Row] = []
        for step in scope.steps():
            if isinstance(step, Layer):
                rows += self._of_layer(step, scope, depth)
            else:
                inside = self.of(step, depth + 1)
                rows += [self._of_scope(step, scope, depth, inside), *inside]
        return rows

    def _of_layer(self, layer: Layer, around: Scope, depth: int) -> Iterator[Row]:
        owner = layer.weights_of if self.costs[layer].params else layer
        for value in layer.results:
            first = value.index == 0  # which carries the cost of the layer
            yield Row(
                depth,
                # A value that has the name of a scope has a row of that name already.
                layer.label if value.name in self.scopes else _below(around, value.name),
                layer,
                value,
                own_parameters(layer, self.costs) if first else 0,
                self.costs[layer].macs if first else 0,
                self.memory.values[value],
                self.uses[layer],
                None if owner is layer else owner.results[0].name,
            )

    def _of_scope(self, scope: Scope, around: Scope, depth: int, inside: list[Row]) -> Row:
        direct = [row for row in inside if row.depth == depth + 1]
        return Row(
            depth,
            _below(around, scope.name),
            scope,
            scope.results[0] if len(scope.results) == 1 else None,
            sum(row.params for row in direct),
            total_of(row.macs for row in direct),
            total_of(row.memory for row in direct),
            _use_of_all(direct),
            scope.twin.name if scope.twin else None,
        )


def _below(scope: Scope, name: str) -> str:
    """A name without the scope around it."""
    return name.removeprefix(f"{scope.name}.")


def _uses(network: Network) -> dict[Layer, Use]:
    """What each layer of a network is there for."""
    trained, exported = (set(network.graph.layers_in(mode)) for mode in ("train", "infer"))
    words: dict[tuple[bool, bool], Use] = {
        (True, True): "both",
        (True, False): "train",
        (False, True): "infer",
        (False, False): "unused",
    }
    return {each: words[each in trained, each in exported] for each in network.graph.layers}


def _use_of_all(rows: list[Row]) -> Use:
    """The use that all rows have, or else both."""
    found = {row.use for row in rows}
    return found.pop() if len(found) == 1 else "both"
