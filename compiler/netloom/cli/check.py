"""`netloom check`: is the spec right? And with `--fix`: put right what is certain."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from netloom.cli.app import Json, app, print_json, reporting
from netloom.cli.arguments import LimitTexts, Settings
from netloom.diagnostics import Diagnostic, Failed

if TYPE_CHECKING:
    from netloom.compile import Spec
    from netloom.limits import Limits


class Format(StrEnum):
    """How the mistakes are told."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"
    SARIF = "sarif"


class Result(NamedTuple):
    """What is known of one file: the checked spec or its mistakes, and what was changed in it."""

    path: str
    spec: "Spec | None"
    mistakes: tuple[Diagnostic, ...] = ()
    changes: tuple[str, ...] = ()
    diff: str = ""


def _print_limits(wanted: bool) -> None:
    """Every limit with its default and what it bounds."""
    if not wanted:
        return
    from netloom.limits import DEFAULT, DESCRIPTIONS

    for name, number in DEFAULT._asdict().items():
        print(f"{name:<12}{number:>18,}  {DESCRIPTIONS[name]}")
    raise typer.Exit


@app.command()
def check(
    paths: Annotated[
        list[Path], typer.Argument(metavar="SPEC", help="Specs, or folders with specs.")
    ],
    set: Settings = None,
    limit: LimitTexts = None,
    format: Annotated[Format, typer.Option(help="How to tell the mistakes.")] = Format.TEXT,
    json: Json = False,
    fix: Annotated[
        bool, typer.Option("--fix", help="Put right what is certain, and check again.")
    ] = False,
    diff: Annotated[
        bool, typer.Option("--diff", help="With --fix: show the changes, write nothing.")
    ] = False,
    _limits: Annotated[
        bool,
        typer.Option(
            "--limits", callback=_print_limits, is_eager=True, help="Show what a spec may ask for."
        ),
    ] = False,
) -> None:
    """Check specs: syntax, names, shapes, contracts, training. Every mistake is reported."""
    from netloom.cli.checking import check_all
    from netloom.limits import raised

    form = Format.JSON if json else format
    if diff and (not fix or form is not Format.TEXT):
        raise typer.BadParameter("it goes with --fix, and shows text", param_hint="--diff")
    with reporting(form is Format.JSON):
        limits = raised(limit or ())
    if form is Format.TEXT and not fix:
        raise typer.Exit(check_all(paths, set or (), limits))
    examine = _fixed(set or (), limits, write=not diff) if fix else _checked(set or (), limits)
    results = [result for path in paths for result in _results(path, examine)]
    _tell(results, form)
    if any(result.mistakes or result.diff for result in results):
        raise typer.Exit(1)


def _results(path: Path, examine: Callable[[str], Result]) -> list[Result]:
    """The results of the specs that a path means."""
    from netloom.cli.checking import specs_in

    try:
        specs = specs_in(path)
    except Failed as failure:
        return [Result(str(path), None, failure.diagnostics)]
    return [examine(spec) for spec in specs]


def _checked(settings: Sequence[str], limits: "Limits") -> Callable[[str], Result]:
    """What checks a file."""
    from netloom.compile import check_file

    def examine(path: str) -> Result:
        try:
            return Result(path, check_file(path, settings, limits))
        except Failed as failure:
            return Result(path, None, failure.diagnostics)

    return examine


def _fixed(settings: Sequence[str], limits: "Limits", write: bool) -> Callable[[str], Result]:
    """What puts a file right, as far as that is certain, and checks what has come out."""
    from netloom.cli.fixing import fix_file, unified_diff

    def examine(path: str) -> Result:
        try:
            before, fixed, spec = fix_file(path, settings, limits, write)
        except Failed as failure:
            return Result(path, None, failure.diagnostics)
        diff = "" if write else unified_diff(path, before, fixed.content)
        return Result(path, spec, fixed.left, fixed.changes, diff)

    return examine


def _tell(results: Sequence[Result], form: Format) -> None:
    """Prints the results in the form that was asked for."""
    found = [each for result in results for each in _told(result)]
    match form:
        case Format.TEXT:
            for result in results:
                _print(result)
        case Format.JSON:
            ok = not any(result.mistakes for result in results)
            print_json({"ok": ok, "files": [_as_json(result) for result in results]})
        case Format.GITHUB:
            from netloom.diagnostics.github import github

            print(github(found), end="")
        case Format.SARIF:
            from netloom.diagnostics.sarif import sarif

            print_json(sarif(found))


def _told(result: Result) -> tuple[Diagnostic, ...]:
    """The mistakes of a file, or the warnings of a sound one."""
    return result.mistakes or (result.spec.warnings if result.spec else ())


def _print(result: Result) -> None:
    """What was changed, or would be, and then what a check says."""
    from netloom.cli.checking import print_sound, report

    if result.diff:
        print(result.diff, end="")
    else:
        for change in result.changes:
            print(change)
    if result.mistakes:
        report(Failed(*result.mistakes))
    elif result.spec and not result.diff:
        if result.spec.warnings:
            report(Failed(*result.spec.warnings))
        print_sound(result.path, result.spec)


def _as_json(result: Result) -> dict[str, Any]:
    networks = {}
    for name, network in (result.spec.networks if result.spec else {}).items():
        macs = network.cost.macs
        networks[name] = {
            "params": network.cost.params,
            "macs": macs if isinstance(macs, int) else str(macs),
        }
    return {
        "file": result.path,
        "ok": not result.mistakes,
        "networks": networks,
        "changes": list(result.changes),
        "diagnostics": [each.as_json() for each in _told(result)],
    }
