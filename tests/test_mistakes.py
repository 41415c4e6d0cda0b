"""Classic mistakes, each in a spec of its own, with what is said about it beside it.

`mistakes/NAME.loom` begins with a comment that says what was done wrong; `mistakes/NAME.txt` is
what `netloom check` answers. Read them as a newcomer would: what, where, why, and what to write
instead.
"""

from pathlib import Path

import pytest

from netloom.compile import check_file
from netloom.diagnostics import Diagnostic, Failed
from netloom.diagnostics.render import render

FOLDER = Path(__file__).parent / "mistakes"
SPECS = sorted(FOLDER.glob("*.loom"))

SEVERAL = {"arguments_of_pytorch": 5, "wrong_parameter_count": 2, "brace_that_is_not_closed": 2}
"""Specs with more than one mistake."""


def told(path: Path) -> tuple[Diagnostic, ...]:
    """What is said about a spec."""
    try:
        return check_file(path.name).warnings
    except Failed as failure:
        return failure.diagnostics


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_what_is_said(
    path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(FOLDER)
    found = told(path)
    assert len(found) == SEVERAL.get(path.stem, 1)
    text, expected = render(found), path.with_suffix(".txt")
    if request.config.getoption("--update-golden"):
        expected.write_text(text, encoding="utf-8", newline="\n")
    assert text == expected.read_text(encoding="utf-8"), "see --update-golden"


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_the_fix_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)
    assert all(each.help for each in told(path) if not each.code.startswith("E4"))


def test_there_are_twenty() -> None:
    assert len(SPECS) >= 20
