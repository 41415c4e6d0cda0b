"""`netloom explain`: shapes, receptive fields and cost, value by value."""

from typing import TYPE_CHECKING

from netloom.cli.app import Json, app, print_json, reporting
from netloom.cli.arguments import LimitTexts, NetworkName, Settings, SpecPath

if TYPE_CHECKING:
    from netloom.compile import Network


@app.command()
def explain(
    spec: SpecPath,
    network: NetworkName = None,
    set: Settings = None,
    limit: LimitTexts = None,
    json: Json = False,
) -> None:
    """Show every value: operator, shape, receptive field, stride, offset, parameters, MACs."""
    from netloom.compile import check_file, chosen
    from netloom.emit.summary import explain_json
    from netloom.limits import raised

    with reporting(json):
        checked = check_file(spec, set or (), raised(limit or ()))
        names = [chosen(checked, network)] if network else list(checked.networks)
        if json:
            document = explain_json(checked)
            document["networks"] = {name: document["networks"][name] for name in names}
            print_json(document)
            return
        for name in names:
            _print_table(checked.networks[name])


def _print_table(network: "Network") -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from netloom.emit.sizes import sizes_text
    from netloom.emit.summary import field_words
    from netloom.ir.dims import number
    from netloom.ir.types import shape_text
    from netloom.passes.admissible import admissible_sizes

    graph = network.graph
    inputs = ", ".join(f"{value.name}: {value.type}" for value in graph.inputs)
    table = Table(title=f"{graph.name}    {inputs}", box=box.SIMPLE_HEAD, title_justify="left")
    for heading in ("value", "operator", "shape"):
        table.add_column(heading, no_wrap=True)
    for heading in ("field", "stride", "offset", "parameters", "MACs"):
        table.add_column(heading, justify="right", no_wrap=True)
    exported = {id(layer) for layer in graph.layers_in("infer")}
    heads = {id(head.value): head.mode for head in graph.heads}
    for layer in graph.layers:
        for value in layer.results:
            cost = network.costs[layer]
            counted = value.index == 0
            params = number(cost.params) if cost.params and counted else ""
            macs = number(cost.macs) if cost.macs != 0 and counted else ""
            row = (
                value.name,
                layer.op.name,
                shape_text(value.type.shape),
                *field_words(network.fields[value]),
                params,
                macs,
            )
            style = "bold" if id(value) in heads else ("" if id(layer) in exported else "dim")
            table.add_row(*(Text(cell) for cell in row), style=style)
    table.add_section()
    total = ["exported", "", "", "", "", "", number(network.cost.params), number(network.cost.macs)]
    table.add_row(*total, style="bold")
    console = Console()
    if not console.is_terminal:
        console = Console(width=240)  # a file or pipe has no width to fit
    console.print(table)
    for line in sizes_text(admissible_sizes(graph)):
        console.print(line, highlight=False, markup=False)
