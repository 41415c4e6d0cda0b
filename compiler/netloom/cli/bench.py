"""`netloom bench`: PyTorch and ONNX Runtime, side by side."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from netloom.cli.app import Json, app, note, print_json, reporting
from netloom.cli.arguments import NetworkName, Settings, WeightsPath
from netloom.cli.explain import Sizes
from netloom.cli.run import RunDevice, RuntimeDevice

if TYPE_CHECKING:
    from netloom.ir.graph import Graph
    from netloom.runtime.bench import Plan, Timed
    from netloom.runtime.timing.candidates import TorchForm
    from netloom.runtime.timing.statistics import Estimate

WIDTH = 80

DTYPES = ("float32", "bfloat16", "float16")


@app.command()
def bench(
    target: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|SPEC|MODEL", help="A run's folder, a spec, or an export of one."
        ),
    ],
    network: NetworkName = None,
    weights: WeightsPath = None,
    set: Settings = None,
    batch: Annotated[str, typer.Option(metavar="NUMBER,…", help="Samples at once.")] = "1",
    size: Sizes = None,
    device: RunDevice = RuntimeDevice.AUTO,
    threads: Annotated[
        int, typer.Option(min=0, help="Of either side; 0 is what PyTorch takes by itself.")
    ] = 0,
    rounds: Annotated[int, typer.Option(min=6, help="In each, everything runs once.")] = 30,
    seconds: Annotated[
        float, typer.Option(min=0, help="Rounds of one batch size end after this long.")
    ] = 60,
    compile: Annotated[
        bool, typer.Option("--compile", help="Also torch.compile, which takes minutes.")
    ] = False,
    channels_last: Annotated[
        bool, typer.Option("--channels-last", help="Also with the channels innermost in memory.")
    ] = False,
    dtype: Annotated[
        str, typer.Option(metavar="DTYPE,…", help="Of PyTorch, also bfloat16 and float16.")
    ] = "float32",
    model: Annotated[
        list[Path] | None,
        typer.Option(
            "--model", "-m", help="Another ONNX model of the network.", show_default=False
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Time the emitted PyTorch and the exported model in ONNX Runtime, taking turns.

    Ratios are those of rounds in which both ran; with each stands the interval that holds the true
    median with 95 %.
    """
    batches = _batches(batch)
    dtypes = _dtypes(dtype)
    with reporting(json):
        from netloom.cli.progress import followed
        from netloom.passes.sizes import given_sizes
        from netloom.runtime.bench import Plan, subject_of
        from netloom.runtime.bench import bench as timed

        subject = subject_of(target, network, weights, set or ())
        forms = _forms(dtypes, channels_last, compile)
        plan = Plan(
            batches=batches,
            sizes=given_sizes(size or (), [subject.graph]),
            forms=forms,
            models=model or (),
            device=device.value,
            threads=threads,
            rounds=rounds,
            seconds=seconds,
        )
        if compile and not json:
            note("torch.compile translates the network first, which may take minutes")
        found = []
        for each in timed(subject, plan, followed):
            found.append(each)
            if not json:
                _print(subject.graph, plan, each, with_heading=len(found) == 1)
    if json:
        print_json(_document(subject.graph, plan, found))


def _batches(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and 1 <= int(part[:10]) <= 1_000_000 for part in parts):
        message = f"`{text}` is no list of numbers such as 1,8"
        raise typer.BadParameter(message, param_hint="--batch")
    return [int(part) for part in parts]


def _dtypes(text: str) -> list[str]:
    parts = [part.strip() for part in text.split(",")]
    for part in parts:
        if part not in DTYPES:
            message = f"`{part}` is none of {', '.join(DTYPES)}"
            raise typer.BadParameter(message, param_hint="--dtype")
    return list(dict.fromkeys(["float32", *parts]))


def _forms(dtypes: list[str], channels_last: bool, compile: bool) -> "list[TorchForm]":
    from netloom.runtime.timing.candidates import TorchForm

    layouts = [False, True] if channels_last else [False]
    return [
        TorchForm(dtype, layout, compiled)
        for compiled in ([False, True] if compile else [False])
        for dtype in dtypes
        for layout in layouts
    ]


def _print(graph: "Graph", plan: "Plan", timed: "Timed", with_heading: bool) -> None:
    from netloom.runtime.devices import WORDS

    if with_heading:
        sizes = "".join(f", {name} = {size}" for name, size in plan.sizes.items())
        why = f"; not CUDA: {timed.not_cuda}" if timed.not_cuda else ""
        threads = f"{timed.threads} thread{'s' * (timed.threads != 1)}"
        print(f"{graph.name}{sizes} on {WORDS[timed.device]}, {threads}{why}")
    if timed.on_cpu:
        note(f"ONNX Runtime leaves on the CPU: {timed.on_cpu}")
    for name, reason in timed.skipped.items():
        note(f"{name} is left out: {reason}")
    _print_table(timed)
    if not timed.is_complete:
        over = f"{plan.seconds:g} seconds were over"
        note(
            f"only {timed.rounds} of {plan.rounds} rounds, because {over}; `--seconds` allows more"
        )


def _print_table(timed: "Timed") -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    batch = timed.rows[0].batch
    table = Table(box=box.SIMPLE_HEAD, title=f"batch {batch}, {timed.rounds} rounds")
    table.title_justify = "left"
    table.add_column("", overflow="fold")
    for heading in ("ms", "samples/s", "times as fast", "error"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in timed.rows:
        table.add_row(
            row.candidate,
            _figures(1000 * row.seconds.median),
            f"{batch / row.seconds.median:,.0f}",
            "1" if row is timed.rows[0] else _with_interval(row.speed),
            "" if row.error is None or row is timed.rows[0] else f"{row.error:.0e}",
        )
    console = Console(width=WIDTH)
    with console.capture() as printed:
        console.print(table)
    print("\n".join(line.rstrip() for line in printed.get().splitlines()))


def _figures(value: float) -> str:
    """A number with three figures, and no more digits than it has before the point."""
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}"


def _with_interval(estimate: "Estimate") -> str:
    if estimate.interval is None:
        return f"{estimate.median:.2f}"
    low, high = estimate.interval
    return f"{estimate.median:.2f}  ({low:.2f} to {high:.2f})"


def _document(graph: "Graph", plan: "Plan", found: "list[Timed]") -> dict[str, Any]:
    first = found[0]
    return {
        "ok": True,
        "network": graph.name,
        "sizes": dict(plan.sizes),
        "device": first.device,
        "not_cuda": first.not_cuda,
        "threads": first.threads,
        "versions": _versions(),
        "batches": [
            {
                "batch": timed.rows[0].batch,
                "rounds": timed.rounds,
                "complete": timed.is_complete,
                "skipped": dict(timed.skipped),
                "rows": [
                    {
                        "candidate": row.candidate,
                        "seconds": row.seconds._asdict(),
                        "speed": row.speed._asdict(),
                        "error": row.error,
                    }
                    for row in timed.rows
                ],
            }
            for timed in found
        ],
    }


def _versions() -> dict[str, str]:
    from netloom.extras import need

    return {
        "torch": str(need("torch", "train").__version__),
        "onnxruntime": str(need("onnxruntime", "gpu").__version__),
    }
