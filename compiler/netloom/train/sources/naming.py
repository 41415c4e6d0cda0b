"""Data strings: `scheme[:path][?option=value&…]`, the same in a spec and on the command line."""

from collections.abc import Sequence
from typing import Any, NamedTuple, get_args

from netloom.diagnostics import Diagnostic, Diagnostics, Failed, Source, Span, unknown_name
from netloom.ir.declared import Field, Reject
from netloom.passes.binding import coerce
from netloom.train.sources.dataset import DataSource

FORM = "`scheme:path?option=value&…`"


class Data(NamedTuple):
    """A data string and the source that it names."""

    text: str
    source: DataSource
    span: Span


class _Part(NamedTuple):
    """A piece of a data string."""

    text: str
    span: Span


def resolve(text: str, span: Span | None = None) -> Data:
    """Understands a data string; reads no data.

    `span` is the string's place in a spec; without it the string is from the command line.

    Raises:
        Failed: E504 for an unknown scheme or option, E211 for an option that is given twice, E205
            or E206 for its value.
    """
    whole = _Part(text, span or Span(Source("--data", text), 0, len(text)))
    head, query = _divide(whole, "?")
    scheme, path = _divide(head, ":")
    declared = DataSource.registry.get(scheme.text)
    if declared is None:
        message = f"there is no data source `{scheme.text}`"
        raise Failed(unknown_name("E504", message, scheme.span, scheme.text, DataSource.registry))
    diagnostics = Diagnostics()
    fields = _path(declared, scheme, path, diagnostics)
    fields |= _options(declared, query, diagnostics)
    diagnostics.raise_if_any()
    source = declared(**fields)
    try:
        source.check()
    except Reject as reject:
        message, help = reject.message, reject.help
        raise Failed(Diagnostic(reject.code, message, whole.span, help=help)) from None
    return Data(text, source, whole.span)


def _path(
    declared: type[DataSource], scheme: _Part, path: _Part | None, diagnostics: Diagnostics
) -> dict[str, Any]:
    """What stands behind the colon, as the source's operand."""
    operand = next((field for field in declared.signature() if field.is_operand), None)
    if operand is None and path is not None:
        message = f"data source `{declared.name}` takes no path"
        diagnostics.report(Diagnostic("E504", message, path.span, help=f"`{declared.name}`"))
        return {}
    if operand is None:
        return {}
    if path is None or not path.text:
        message = f"data source `{declared.name}` needs {operand.doc}"
        help = f"`{declared.name}:path`"
        diagnostics.report(Diagnostic("E504", message, scheme.span, help=help))
        return {}
    return {operand.name: path.text}


def _options(
    declared: type[DataSource], query: _Part | None, diagnostics: Diagnostics
) -> dict[str, Any]:
    """The options as the source's arguments, defaults included."""
    known = {field.name: field for field in declared.signature() if not field.is_operand}
    found = {name: field.default for name, field in known.items()}
    what = f"data source `{declared.name}`"
    given: set[str] = set()
    for option in _split(query, "&") if query else ():
        name, value = _divide(option, "=")
        field = known.get(name.text)
        if value is None:
            message = "this is not of the form `option=value`"
            diagnostics.report(Diagnostic("E504", message, option.span, help=FORM))
        elif field is None:
            message = f"{what} has no option `{name.text}`"
            wrong = unknown_name("E504", message, name.span, name.text, known)
            help = wrong.help or f"{what} has no options"
            diagnostics.report(wrong._replace(help=help))
        elif name.text in given:
            message = f"option `{name.text}` is given twice"
            diagnostics.report(Diagnostic("E211", message, name.span))
        else:
            given.add(name.text)
            try:
                found[name.text] = coerce(_read(value.text, field), field, value.span, what)
            except Failed as failure:
                for diagnostic in failure.diagnostics:
                    diagnostics.report(diagnostic)
    return found


def _read(text: str, field: Field) -> Any:
    """The text of an option as the field's type, or as it is where it is not of that type."""
    wanted = (get_args(field.type) or (field.type,))[0]
    if wanted is bool:
        return {"true": True, "1": True, "false": False, "0": False}.get(text, text)
    if wanted in (int, float):
        try:
            return wanted(text)
        except ValueError:
            return text
    return text


def _divide(part: _Part, separator: str) -> tuple[_Part, _Part | None]:
    """What stands before the first separator, and what behind it, if there is one."""
    before, found, _ = part.text.partition(separator)
    if not found:
        return part, None
    return _piece(part, 0, len(before)), _piece(part, len(before) + 1, len(part.text))


def _split(part: _Part, separator: str) -> Sequence[_Part]:
    pieces, start = [], 0
    for text in part.text.split(separator):
        pieces.append(_piece(part, start, start + len(text)))
        start += len(text) + 1
    return pieces


def _piece(part: _Part, start: int, end: int) -> _Part:
    """A piece with its own place, unless escapes in the string hide where that is."""
    text, span = part.text[start:end], part.span
    written = span.source.text[span.start : span.end]
    begin = written.find(part.text)
    if begin < 0:
        return _Part(text, span)
    offset = span.start + begin
    return _Part(text, Span(span.source, offset + start, offset + end))
