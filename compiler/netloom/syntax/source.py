"""Reading a spec: bytes that a stranger wrote become text with LF line ends, or an error."""

import unicodedata
from pathlib import Path

from netloom.diagnostics import Diagnostic, Failed, Source, Span

MAXIMUM_BYTES = 4 * 1024 * 1024

# Controls of direction can make a line read differently from what it says (CVE-2021-42574);
# the line and paragraph separators would break line counts.
_REFUSED = {
    "\u2028",
    "\u2029",
    *"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f",
}


def read(path: Path) -> Source:
    """The spec at `path`.

    Raises `Failed` for a file that is missing, unreadable, too large, or not UTF-8 text.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAXIMUM_BYTES + 1)
    except FileNotFoundError:
        near = sorted(path.parent.glob("*.loom")) if path.parent.is_dir() else []
        listed = ", ".join(f"`{each}`" for each in near[:6])
        help_line = f"specs in that folder: {listed}" if near else None
        raise Failed(Diagnostic("E001", f"there is no file `{path}`", help=help_line)) from None
    except IsADirectoryError:
        raise Failed(Diagnostic("E001", f"`{path}` is a folder, not a spec")) from None
    except OSError as problem:
        reason = problem.strerror or type(problem).__name__
        raise Failed(Diagnostic("E001", f"cannot read `{path}`: {reason.lower()}")) from None
    return from_bytes(str(path), content)


def from_bytes(name: str, content: bytes) -> Source:
    """Decodes a spec: UTF-8, an optional byte order mark, line ends LF or CRLF."""
    if len(content) > MAXIMUM_BYTES:
        message = f"`{name}` is larger than {MAXIMUM_BYTES // 1024**2} MB, the most a spec may have"
        raise Failed(Diagnostic("E003", message))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        message = f"`{name}` is not a text file: byte {problem.start} is not UTF-8"
        raise Failed(
            Diagnostic("E002", message, help="a spec is plain text; is this a model or an image?")
        ) from None
    source = Source(name, text.replace("\r\n", "\n"))
    for offset, character in enumerate(source.text):
        if character in "\n\t" or " " <= character <= "~":
            continue
        if character in _REFUSED or unicodedata.category(character) in ("Cc", "Cs"):
            what = unicodedata.name(character, f"control character {ord(character):#04x}").lower()
            raise Failed(
                Diagnostic(
                    "E002",
                    f"`{name}` contains a character that cannot be shown: {what}",
                    Span(source, offset, offset + 1),
                    help="delete it",
                )
            )
    return source
