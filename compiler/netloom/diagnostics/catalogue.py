"""What is known of each code beyond one message: a page of prose with a wrong and a right spec.

The pages are `pages/E208.md` and so on; tests try every spec and every output in them.
`make docs` makes docs/diagnostics.md of them.
"""

import re
from pathlib import Path

from netloom.diagnostics.codes import CODES
from netloom.diagnostics.diagnostic import Diagnostic, Failed
from netloom.diagnostics.names import did_you_mean

PAGES = Path(__file__).parent / "pages"

STAGES = {
    "E0": "Files",
    "E1": "Syntax",
    "E2": "Building: names, arguments, shapes",
    "E3": "Analyses",
    "E4": "Contracts",
    "E5": "Training and data",
    "E6": "Weights, export, running",
    "W": "Warnings",
}
"""What the hundreds of the codes stand for."""

INTRODUCTION = """\
# Diagnostics

Every mistake that netloom tells has a code that does not change. `netloom explain-error CODE` shows
the page of a code: what it means, a spec that has the mistake, what is said about it, and the spec
put right. This index is made from those pages by `make docs`.
"""


def code_of(text: str) -> str:
    """The code that a person means by `E208`, `e208` or `shape-mismatch`.

    Raises `Failed` (E201) if it is none.
    """
    names = {name: code for code, name in CODES.items()}
    code = names.get(text.lower(), text.upper())
    if code not in CODES:
        known = CODES if text[1:].isdecimal() else names
        help = did_you_mean(code if known is CODES else text.lower(), known)
        raise Failed(Diagnostic("E201", f"there is no diagnostic code `{text}`", help=help))
    return code


def page(code: str) -> str:
    """The page of a code, in Markdown."""
    return (PAGES / f"{code}.md").read_text(encoding="utf-8")


def summary(code: str) -> str:
    """The first sentence of a code's page."""
    prose = prose_of(code)
    end = re.search(r"\.(?=\s|$)", prose)
    return prose[: end.end()] if end else prose


def prose_of(code: str) -> str:
    """What a code's page says before its first example, as one line."""
    _, text = page(code).split("\n", 1)
    return " ".join(text.split("\n## ", 1)[0].split())


def index() -> str:
    """The list of all codes, in Markdown."""
    parts = [INTRODUCTION]
    for stage, heading in STAGES.items():
        parts.append(f"## {heading}\n")
        parts.append("| code | name | meaning |\n| --- | --- | --- |")
        codes = [code for code in CODES if code.startswith(stage)]
        parts += [f"| {code} | {CODES[code]} | {summary(code)} |" for code in codes]
        parts.append("")
    return "\n".join(parts)


if __name__ == "__main__":
    print(index(), end="")
