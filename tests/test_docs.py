"""What the documentation says is tried."""

import re
from pathlib import Path

import pytest

from netloom.compile import check
from netloom.diagnostics import CODES, Source
from netloom.emit.reference import reference

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def examples() -> list[tuple[str, str]]:
    """The specs in the documentation, with the page and line on which each begins."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(r"```loom\n(.*?)```", text, re.DOTALL):
            line = text.count("\n", 0, match.start()) + 1
            found.append((f"{page.name}:{line}", match[1]))
    return found


@pytest.mark.parametrize(("place", "text"), examples(), ids=lambda each: each[:30].split("\n")[0])
def test_example_is_sound(place: str, text: str) -> None:
    assert check(Source(place, text)).networks


def test_there_are_examples() -> None:
    assert len(examples()) >= 7


def test_the_reference_is_the_declarations() -> None:
    page = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    assert page == reference(), "make docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_codes_are_named_once() -> None:
    assert len(set(CODES.values())) == len(CODES)


def test_the_demo_is_a_runnable_script() -> None:
    script = (ROOT / "docs" / "demo.sh").read_text(encoding="utf-8")
    for path in re.findall(r"(?:specs|docs/images)/[\w.-]+\.(?:loom|png)", script):
        assert (ROOT / path).is_file(), path
