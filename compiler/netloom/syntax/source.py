"""Reading a spec: bytes that a stranger wrote become text with LF line ends, or an error."""

import os
import stat
from collections.abc import Callable

from netloom.diagnostics import Diagnostic, Failed, Source, Span
from netloom.limits import DEFAULT

# Controls of direction can make a line read differently from what it says (CVE-2021-42574);
# the line and paragraph separators would break line counts.
_REFUSED = {
    "\u2028",
    "\u2029",
    *"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f",
}


def _plain(text: str) -> bool:
    """Whether a text has printable ASCII characters, tabs and line ends only."""
    return text.isascii() and text.replace("\n", "").replace("\t", "").isprintable()


def read(path: str | os.PathLike[str], limit: int = DEFAULT.text) -> Source:
    """The spec at `path`, of at most `limit` bytes.

    Raises `Failed` for a file that is missing, unreadable, too large, or not UTF-8 text.
    """
    name = os.fspath(path)
    try:
        if os.path.exists(name) and not (os.path.isfile(name) or os.path.isdir(name)):
            raise Failed(Diagnostic("E001", f"`{name}` is no regular file"))  # would be waited for
        with open(name, "rb") as file:
            content = file.read(limit + 1)
    except FileNotFoundError:
        near = _specs_in(os.path.dirname(name))
        listed = ", ".join(f"`{each}`" for each in near[:6])
        help_line = f"specs in that folder: {listed}" if near else None
        raise Failed(Diagnostic("E001", f"there is no file `{name}`", help=help_line)) from None
    except IsADirectoryError:
        raise Failed(Diagnostic("E001", f"`{name}` is a folder, not a spec")) from None
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or str(problem)
        raise Failed(Diagnostic("E001", f"cannot read `{name}`: {reason.lower()}")) from None
    return from_bytes(name, content, limit)


def _specs_in(folder: str) -> list[str]:
    """The specs that lie in a folder, to be proposed."""
    try:
        names = os.listdir(folder or ".")
    except OSError:
        return []
    return [os.path.join(folder, name) for name in sorted(names) if name.endswith(".loom")]


PROJECT_MARKS = ("netloom.toml", "pyproject.toml", ".git")


def project_of(path: str) -> str:
    """The folder outside of which a spec can read nothing.

    It is the nearest one at or above the spec that holds one of `PROJECT_MARKS`, else the
    spec's own.
    """
    own = folder = os.path.dirname(os.path.realpath(path))
    while True:
        if any(os.path.exists(os.path.join(folder, mark)) for mark in PROJECT_MARKS):
            return folder
        above = os.path.dirname(folder)
        if above == folder:
            return own
        folder = above


def read_imported(
    path: str, importer: str, project: str, span: Span, limit: int = DEFAULT.text
) -> tuple[str, Callable[[], Source]]:
    """Where an import leads, as a path without links, and what reads it.

    Raises `Failed` (E106) for a path that is absolute, that leaves the project, also through a
    link, or that is no regular file named `*.loom`. What is outside is neither read nor told.
    """

    def refused(reason: str, help: str | None = None) -> Failed:
        return Failed(Diagnostic("E106", f'cannot import "{path}": {reason}', span, help=help))

    if not path.endswith(".loom") or "\0" in path:
        raise refused("a spec is a file named `*.loom`")
    if os.path.isabs(path) or "\\" in path or ":" in path:
        raise refused("the path of an import is relative to the file that it stands in")
    folder = os.path.dirname(os.path.abspath(importer))
    found = os.path.realpath(os.path.join(folder, path))
    if os.path.commonpath([found, os.path.realpath(project)]) != os.path.realpath(project):
        raise refused("it is outside of the project", "a spec reads nothing outside of its project")
    try:
        status = os.lstat(found)
    except OSError:
        near = _specs_in(os.path.dirname(found))
        names = [os.path.relpath(each, folder).replace(os.sep, "/") for each in near]
        help = "specs there: " + ", ".join(f'"{name}"' for name in names[:6]) if near else None
        raise refused("there is no such file", help) from None
    if not stat.S_ISREG(status.st_mode):
        raise refused("it is no regular file")
    shown = os.path.relpath(found, folder)
    shown = os.path.normpath(os.path.join(os.path.dirname(importer), shown))
    return found, lambda: read(shown, limit)


def from_bytes(name: str, content: bytes, limit: int = DEFAULT.text) -> Source:
    """Decodes a spec: UTF-8, an optional byte order mark, line ends LF or CRLF."""
    if len(content) > limit:
        message = f"`{name}` has more than {limit:,} bytes, the most a spec may have"
        raise Failed(Diagnostic("E003", message, help=DEFAULT.raised_by("text")))
    try:
        text = content.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as problem:
        message = f"`{name}` is not a text file: byte {problem.start} is not UTF-8"
        raise Failed(
            Diagnostic("E002", message, help="a spec is plain text; is this a model or an image?")
        ) from None
    source = Source(name, text.replace("\r\n", "\n"))
    if _plain(source.text):  # as most specs are, so that no character needs a look of its own
        return source
    import unicodedata

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
