"""`netloom explain`: what every value is, what it sees and what it costs."""

import shutil
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from netloom.cli.app import Json, app, print_json, reporting
from netloom.cli.arguments import LimitTexts, NetworkName, Settings, SpecPath

if TYPE_CHECKING:
    from netloom.compile import Network
    from netloom.emit.rows import Explained, Row


class Order(StrEnum):
    """What the rows of a list are put in order by."""

    PARAMS = "params"
    MACS = "macs"
    MEMORY = "memory"
    NAME = "name"


Depth = Annotated[
    int | None,
    typer.Option(
        "--depth",
        min=1,
        metavar="LEVELS",
        help="Fold what lies deeper: 1 shows what the network's own lines place.",
        show_default=False,
    ),
]
Sort = Annotated[
    Order | None,
    typer.Option(
        "--sort",
        help="A list instead of a tree, the most expensive value first; free sizes count as 1,000.",
        show_default=False,
    ),
]
Sizes = Annotated[
    list[str] | None,
    typer.Option(
        "--size",
        metavar="NAME=NUMBER,…",
        help="Put numbers for free sizes, e.g. `h=7,w=7`.",
        show_default=False,
    ),
]
Suggest = Annotated[
    bool, typer.Option("--suggest", help="Tell what could be had for less, and change nothing.")
]
Csv = Annotated[bool, typer.Option("--csv", help="Print the values as CSV.")]


@app.command()
def explain(
    spec: SpecPath,
    network: NetworkName = None,
    set: Settings = None,
    limit: LimitTexts = None,
    size: Sizes = None,
    depth: Depth = None,
    sort: Sort = None,
    suggest: Suggest = False,
    csv: Csv = False,
    json: Json = False,
) -> None:
    """Show what every value is, what it sees and what it costs, scope by scope.

    MACs and the bytes of activations are for one sample.
    """
    _refuse_together({"--json": json, "--depth": depth, "--sort": sort})
    _refuse_together({"--csv": csv, "--depth": depth, "--json": json})
    _refuse_together({"--sort": sort, "--depth": depth})
    _refuse_together(
        {"--suggest": suggest, "--depth": depth, "--sort": sort, "--csv": csv, "--size": size}
    )
    from netloom.compile import check_file, chosen
    from netloom.emit.rows import explained
    from netloom.emit.summary import csv_heading, csv_lines, network_json
    from netloom.limits import raised
    from netloom.passes.sizes import given_sizes

    with reporting(json):
        checked = check_file(spec, set or (), raised(limit or ()))
        names = [chosen(checked, network)] if network else list(checked.networks)
        networks = [checked.networks[name] for name in names]
        given = given_sizes(size or (), [each.graph for each in networks])
    if suggest:
        _tell_suggestions(networks, json)
        return
    shown = [explained(each, given) for each in networks]
    if json:
        print_json({"networks": {each.network.graph.name: network_json(each) for each in shown}})
    elif csv:
        print(csv_heading())
        for each in shown:
            print("\n".join(csv_lines(each, _list(each, sort))))
    else:
        _print_tables(shown, sort, depth)


def _tell_suggestions(networks: "list[Network]", json: bool) -> None:
    from netloom.emit.suggested import suggestion_json, suggestion_text
    from netloom.passes.suggestions import suggestions

    found = {each.graph.name: suggestions(each) for each in networks}
    if json:
        told = {name: [suggestion_json(each) for each in some] for name, some in found.items()}
        print_json({"networks": {name: {"suggestions": each} for name, each in told.items()}})
        return
    for name, some in found.items():
        count = f"{len(some)} suggestion{'s' * (len(some) != 1)}" if some else "nothing to suggest"
        print(f"{name}: {count}")
        for each in some:
            print(suggestion_text(each))


def _refuse_together(options: dict[str, object]) -> None:
    """Refuses the first option beside any of the others, which it leaves no room for."""
    (first, is_given), *others = options.items()
    for other, also in others:
        if is_given and also:
            raise typer.BadParameter(f"it does not go with {other}", param_hint=first)


def _list(explained: "Explained", sort: Order | None) -> "list[Row]":
    """The values of a network, in order."""
    from netloom.emit.rows import flat, ordered, tree

    rows = flat(tree(explained))
    return ordered(rows, sort.value) if sort else rows


def _print_tables(shown: "list[Explained]", sort: Order | None, depth: int | None) -> None:
    from netloom.cli.table import print_table
    from netloom.emit.rows import folded, tree

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for each in shown:
        rows = _list(each, sort) if sort else tree(each)
        print_table(each, folded(rows, depth) if depth else rows, width)
