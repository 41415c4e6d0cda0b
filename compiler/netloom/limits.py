"""What a spec may ask of the compiler: every bound on its time and memory, in one place."""

from collections.abc import Iterable
from typing import NamedTuple

from netloom.diagnostics import Diagnostic, Failed, did_you_mean


class Limits(NamedTuple):
    """The bounds of one check; `netloom check --limits` shows them, `--limit NAME=VALUE` sets one.

    They are far beyond what is meant by a person, and near enough that a spec from a stranger
    cannot keep a machine busy.
    """

    text: int = 4 * 1024 * 1024
    files: int = 1000
    imports: int = 32
    brackets: int = 200
    blocks: int = 100
    nodes: int = 200_000
    elements: int = 10_000
    parameters: int = 2**38

    def raised_by(self, name: str) -> str:
        """The help line of a diagnostic about one of them."""
        return f"if this is meant: `--limit {name}={2 * getattr(self, name)}`"


DESCRIPTIONS = {
    "text": "bytes of one file",
    "files": "files that a spec imports, at any distance",
    "imports": "files on a chain of imports",
    "brackets": "brackets inside one another",
    "blocks": "calls of blocks inside one another",
    "nodes": "layers, and expansions of blocks and repeats, of all networks of a file",
    "elements": "elements of one list, at any depth",
    "parameters": "learned numbers of one network",
}
"""What each limit bounds, as `netloom check --limits` says it."""

DEFAULT = Limits()


def raised(texts: Iterable[str]) -> Limits:
    """The limits with some of them set, each by `name=number`.

    Raises `Failed`: E203 for a name that is none, E206 for what is not a number of at least 1.
    """
    limits = DEFAULT
    for text in texts:
        name, _, number = text.partition("=")
        if name not in DESCRIPTIONS:
            help = did_you_mean(name, DESCRIPTIONS)
            raise Failed(Diagnostic("E203", f"there is no limit `{name}`", help=help))
        digits = number.replace("_", "")
        if not digits.isdecimal() or len(digits) > 18 or int(digits) < 1:
            message = f"the limit `{name}` is a number of at least 1, not `{number}`"
            help = f"as in `--limit {name}={2 * getattr(DEFAULT, name)}`"
            raise Failed(Diagnostic("E206", message, help=help))
        limits = limits._replace(**{name: int(digits)})
    return limits
