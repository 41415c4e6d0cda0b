"""The compiler's driver: a flat list of passes from a spec to what is known of it.

parse -> build -> fields -> cost -> contracts -> training. Emitters take the result.
"""

from dataclasses import dataclass
from pathlib import Path

import netloom.ops  # noqa: F401  registers the operators
from netloom.diagnostics import Diagnostics, Source
from netloom.ir.graph import Graph, Layer, Value
from netloom.passes.build import build
from netloom.passes.contracts import check_contracts
from netloom.passes.cost import Cost, costs, total
from netloom.passes.fields import Fields, fields
from netloom.syntax import ast
from netloom.syntax.parse import parse
from netloom.syntax.source import read


@dataclass(frozen=True)
class Network:
    """A checked network with what the analyses found."""

    graph: Graph
    fields: dict[Value, Fields]
    costs: dict[Layer, Cost]

    @property
    def cost(self) -> Cost:
        """Of the exported graph: all its parameters, and its MACs for one sample."""
        return total(self.graph.layers_in("infer"), self.costs)


@dataclass(frozen=True)
class Spec:
    """A checked spec."""

    source: Source
    file: ast.File
    networks: dict[str, Network]


def check_file(path: Path) -> Spec:
    """Reads and checks a spec file. Raises `Failed` with every independent mistake in it."""
    return check(read(path))


def check(source: Source) -> Spec:
    """Checks a spec. Raises `Failed` with every independent mistake in it."""
    file = parse(source)
    diagnostics = Diagnostics()
    networks = {}
    for name, built in build(file, diagnostics).items():
        network = Network(built.graph, fields(built.graph), costs(built.graph))
        check_contracts(built, network.fields, network.costs, diagnostics)
        networks[name] = network
    diagnostics.raise_if_any()
    return Spec(source, file, networks)
