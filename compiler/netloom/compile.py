"""The compiler's driver: a flat list of passes from a spec to what is known of it.

parse -> build -> fields -> cost -> contracts -> admissible sizes -> training. Emitters take the
result.
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import netloom.ops  # noqa: F401  registers the operators
from netloom.diagnostics import Diagnostic, Diagnostics, Failed, Source, did_you_mean
from netloom.ir.field import Fields
from netloom.ir.graph import Graph, Layer, Value
from netloom.limits import DEFAULT, Limits
from netloom.passes.admissible import check_sizes
from netloom.passes.alignment import Alignment
from netloom.passes.build import build
from netloom.passes.contracts import check_contracts
from netloom.passes.cost import Cost, costs, total
from netloom.passes.fields import field_tables, for_all_sizes
from netloom.passes.misaligned import report_misaligned
from netloom.passes.modules import Modules
from netloom.passes.settings import Settings
from netloom.passes.unused import report_unused
from netloom.syntax import ast
from netloom.syntax.parse import parse_damaged
from netloom.syntax.source import read

if TYPE_CHECKING:
    from netloom.train.program import Program


class Network(NamedTuple):
    """A checked network with what the analyses found."""

    graph: Graph
    fields: dict[Value, Fields]
    alignment: Alignment
    costs: dict[Layer, Cost]

    @property
    def cost(self) -> Cost:
        """Of the exported graph: all its parameters, and its MACs for one sample."""
        return total(self.graph.layers_in("infer"), self.costs)


class Spec(NamedTuple):
    """A checked spec."""

    sources: tuple[Source, ...]
    """The spec itself, and the files that it imports, directly or not."""
    settings: tuple[str, ...]
    """What was given in place of parameters' defaults, as `name=value`."""
    limits: Limits
    file: ast.File
    networks: dict[str, Network]
    programs: "dict[str, Program]"
    """How networks are trained, for those with a train section."""
    warnings: tuple[Diagnostic, ...] = ()
    """What is sound but hardly meant."""

    @property
    def source(self) -> Source:
        """The spec itself."""
        return self.sources[0]

    def place_of(self, source: Source) -> str:
        """The path of one of the files below the folder that holds all of them."""
        paths = [os.path.abspath(each.name) for each in self.sources]
        root = os.path.commonpath([os.path.dirname(path) for path in paths])
        return os.path.relpath(os.path.abspath(source.name), root).replace(os.sep, "/")


def check_file(
    path: str | os.PathLike[str], settings: Sequence[str] = (), limits: Limits = DEFAULT
) -> Spec:
    """Reads and checks a spec file. Raises `Failed` with every independent mistake in it."""
    return check(read(path, limits.text), settings, limits)


def check(source: Source, settings: Sequence[str] = (), limits: Limits = DEFAULT) -> Spec:
    """Checks a spec; `settings` are `name=value` in place of defaults of network parameters.

    Raises `Failed` with every independent mistake in it.
    """
    try:
        return _check(source, settings, limits)
    except RecursionError:
        message = f"`{source.name}` has expressions or braces that are nested too deep"
        raise Failed(Diagnostic("E217", message)) from None


def _check(source: Source, settings: Sequence[str], limits: Limits) -> Spec:
    diagnostics = Diagnostics()
    file, mistakes = parse_damaged(source, limits)
    for mistake in mistakes:
        diagnostics.report(mistake)
    modules = Modules(limits, diagnostics)
    module = modules.open(source, file)
    networks = {}
    built_networks = build(module, Settings(settings), limits, diagnostics)
    for name, built in built_networks.items():
        network = analyse(built.graph)
        check_contracts(built, network, diagnostics)
        if built.sound:
            check_sizes(built.graph, diagnostics)
        if network.cost.params > limits.parameters:
            message = f"network `{name}` has more than {limits.parameters:,} parameters"
            help = limits.raised_by("parameters")
            diagnostics.report(Diagnostic("E217", message, built.graph.span, help=help))
        if built.sound:
            networks[name] = network
    graphs = {name: network.graph for name, network in networks.items()}
    programs = {}
    if any(isinstance(item, ast.Train) for item in file.items):
        # The registries of training are loaded only for specs that are trained.
        from netloom.passes.training import check_trainings

        programs = check_trainings(module, graphs, diagnostics)
    diagnostics.raise_if_any()
    report_unused(built_networks.values(), source, diagnostics)
    report_misaligned((network.alignment for network in networks.values()), source, diagnostics)
    warnings = tuple(diagnostics.found)
    sources = tuple(modules.sources)
    return Spec(sources, tuple(settings), limits, file, networks, programs, warnings)


def analyse(graph: Graph) -> Network:
    """What can be told of a graph without running it."""
    tables = field_tables(graph)
    return Network(graph, for_all_sizes(tables), Alignment(graph, tables), costs(graph))


def chosen(spec: Spec, name: str | None) -> str:
    """The name of the network that is meant: the given one, or the only one there is.

    Raises `Failed`: E201 for a name that the spec does not have, E608 where several could be meant.
    """
    if name is not None:
        if name not in spec.networks:
            message = f"`{spec.source.name}` has no network `{name}`"
            raise Failed(Diagnostic("E201", message, help=did_you_mean(name, spec.networks)))
        return name
    if len(spec.networks) != 1:
        message = f"`{spec.source.name}` has {len(spec.networks)} networks"
        names = ", ".join(f"`{each}`" for each in spec.networks)
        help = f"choose one with --network: {names}" if names else None
        raise Failed(Diagnostic("E608", message, help=help))
    return next(iter(spec.networks))
