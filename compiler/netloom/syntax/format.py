"""The canonical layout of a spec; docs/language.md, section "Formatting", states its rules.

The text is not written anew from the tree but laid out word by word, so that nothing can be lost:
the words come out in their order with all comments, and only blanks and line ends change.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from netloom.diagnostics import Failed, Source
from netloom.syntax import ast
from netloom.syntax.parse import LANGUAGE_VERSION, parse
from netloom.syntax.words import PRODUCTS, SUMS, Comment, Word, plain_words, words

WIDTH = 100
STEP = 4


def format_source(source: Source) -> str:
    """A spec in its canonical layout.

    Raises `Failed` for a spec with syntax errors.
    """
    found = words(source, parse(source))
    *given, end = found
    before = _content(found)
    _put_version_first(given, end)
    items = _lines(given, source.text)
    _part_items(items)
    text = _laid_out(items, end)
    _assert_same(before, Source(source.name, text))
    return text


def _content(found: list[Word]) -> tuple[list[tuple[str, str]], list[str]]:
    """What no layout may change: the tokens, behind the version, and the comments."""
    tokens = [(word.kind, word.text) for word in found]
    comments = [comment.text for word in found for comment in word.comments]
    return tokens[2:] if tokens[0][1] == "netloom" else tokens, comments


def _assert_same(before: object, after: Source) -> None:
    try:
        parse(after)
    except Failed as failure:
        raise AssertionError("formatting has broken this spec") from failure
    if _content(list(plain_words(after.text))) != before:
        raise AssertionError("formatting has changed this spec")


# ---- from words to lines


@dataclass
class Brace:
    """`{ … }` and the lines in it. It is `opened` where each of them has a line of its own.

    `one_line` is all of it on one line, unless its author opened it.
    """

    opening: Word
    lines: list["Line"] = field(default_factory=list)
    closing: Word | None = None
    opened: bool = False
    one_line: str = ""

    @property
    def comments(self) -> list[Comment]:
        """What stands in front of the brace."""
        return self.opening.comments

    @property
    def gap(self) -> str:
        """The blanks in front of the brace."""
        return self.opening.gap

    @property
    def text(self) -> str:
        """What stands in the line that the brace begins in."""
        return "{" if self.opened else self.one_line


Part = Word | Brace


@dataclass
class Line:
    """An item, statement, branch or setting: what has one line, if it is short enough."""

    kind: type
    parts: list[Part] = field(default_factory=list)

    @property
    def first(self) -> Word:
        """Its first word."""
        part = self.parts[0]
        return part.opening if isinstance(part, Brace) else part

    def stages(self) -> Iterator[list[Part]]:
        """The stages of its pipeline; each but the first begins with its arrow."""
        stage: list[Part] = []
        for part in self.parts:
            if isinstance(part, Word) and part.text == "->":
                yield stage
                stage = []
            stage.append(part)
        yield stage


def _flat(parts: list[Part]) -> str:
    """Parts on one line."""
    return "".join(part.gap + part.text for part in parts)[len(parts[0].gap) :]


def _width(parts: list[Part]) -> int:
    return sum(len(part.gap) + len(part.text) for part in parts)


def _lines(given: list[Word], text: str) -> list[Line]:
    """The lines of a file, with those in its braces."""
    lists: list[list[Line]] = [[]]
    braces: list[Brace] = []
    for word in given:
        if word.begins:
            lists[-1].append(Line(word.begins))
        if word.text == "{":
            braces.append(Brace(word))
            lists[-1][-1].parts.append(braces[-1])
            lists.append(braces[-1].lines)
        elif word.text == "}":
            lists.pop()
            _close(braces.pop(), word, text)
        else:
            lists[-1][-1].parts.append(word)
    return lists[0]


def _close(brace: Brace, closing: Word, text: str) -> None:
    """Ends a brace; it is opened if it had several lines, unless there is nothing in it."""
    brace.closing = closing
    if "\n" in text[brace.opening.start : closing.start] and (brace.lines or closing.comments):
        brace.opened = True
        return
    inside = "  ".join(_flat(line.parts) for line in brace.lines)
    brace.one_line = f"{{ {inside} }}" if inside else "{ }"


def _put_version_first(given: list[Word], end: Word) -> None:
    """Makes the version the first line, written if it is absent; only `#!` stands above it."""
    first = given[0] if given else end
    above = []
    if first.comments and first.comments[0].text.startswith("#!"):
        above = [first.comments.pop(0)]
        above[0].breaks = 1
    if first.text != "netloom":
        given[:0] = [Word("NAME", "netloom", -1), Word("INT", str(LANGUAGE_VERSION), -1)]
    version, number, following = [*given, end][:3]
    comments = version.comments + number.comments + following.comments
    if first is following or version.comments or number.comments:
        for comment in comments:
            comment.breaks = max(comment.breaks, 1)
    version.begins = ast.File
    version.comments, number.comments, following.comments = above, [], comments
    _part(following)


def _part_items(items: list[Line]) -> None:
    """Puts a blank line between items, but for constants or imports that follow one another."""
    for above, below in pairwise(items):
        if above.kind is not below.kind or above.kind not in (ast.Let, ast.Imports):
            _part(below.first)


def _part(word: Word) -> None:
    """Puts a blank line in front of a word and the comments that belong to it."""
    if not _has_blank_line(word):
        above = (comment for comment in word.comments if comment.breaks)
        next(above, word).breaks = 2


def _align(lines: list[Line]) -> None:
    """Widens gaps, so that settings and neighbouring declarations stand in columns."""
    _align_part([line for line in lines if line.kind in (ast.Setting, ast.Calls)], 1)
    for declarations in _neighbours(lines):
        _align_part(declarations, 1)
        _align_part(declarations, 3)


def _align_part(lines: list[Line], index: int) -> None:
    """Widens the gap in front of the part at an index to begin in the same column everywhere."""
    widths = [len(_flat(line.parts[:index])) for line in lines]
    for line, width in zip(lines, widths, strict=True):
        part = line.parts[index]
        word = part.opening if isinstance(part, Brace) else part
        word.gap = " " * (max(widths) - width + 1)


def _neighbours(lines: list[Line]) -> Iterator[list[Line]]:
    """Runs of declarations of inputs and targets with neither statement nor blank line between."""
    run: list[Line] = []
    for line in lines:
        first = line.first
        if line.kind not in (ast.Input, ast.Target) or _has_blank_line(first):
            yield run
            run = []
        if line.kind in (ast.Input, ast.Target):
            run.append(line)
    yield run


def _has_blank_line(word: Word) -> bool:
    return word.breaks > 1 or any(comment.breaks > 1 for comment in word.comments)


# ---- from lines to text


def _laid_out(items: list[Line], end: Word) -> str:
    layout = _Layout()
    for item in items:
        layout.line(item, 0)
    layout.comments(end, 0)
    layout.newline(0)
    return "\n".join(layout.lines) + "\n"


class _Layout:
    """Lines in the making.

    `base` is the indentation of the line or stage that is being written, `hang` that of the lines
    that continue it: a step further, or in a setting the column of its value.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.pieces: list[str] = []
        self.column = self.base = self.hang = 0
        self.opening = True  # no blank line at the beginning of a file or brace

    def newline(self, indent: int, blank: bool = False) -> None:
        """Ends the line, and begins one behind a blank line where that is wanted and may be."""
        if self.pieces:
            self.lines.append("".join(self.pieces))
        if blank and not self.opening:
            self.lines.append("")
        self.opening = False
        self.pieces, self.column = [" " * indent], indent

    def write(self, text: str, gap: str = "") -> None:
        """Writes a text, behind its gap where something stands before it in the line."""
        pieces = [gap, text] if len(self.pieces) > 1 else [text]
        self.pieces += pieces
        self.column += sum(map(len, pieces))

    def fits(self, parts: list[Part]) -> bool:
        """Whether there is room for parts in the line."""
        unwritten = 0 if len(self.pieces) > 1 else len(parts[0].gap)
        return self.column + _width(parts) - unwritten <= WIDTH

    def comments(self, word: Word, indent: int) -> None:
        """Writes the comments in front of a word, the first of which may end a line."""
        for comment in word.comments:
            if comment.breaks:
                self.newline(indent, comment.breaks > 1)
            self.write(comment.text, "  ")

    def start(self, word: Word, indent: int) -> None:
        """Ends the line in front of a word."""
        self.comments(word, indent)
        self.newline(indent, word.breaks > 1)

    def line(self, line: Line, indent: int) -> None:
        """Writes an item, statement, branch or setting."""
        self.start(line.first, indent)
        self.base, self.hang = indent, indent + STEP
        if line.kind is ast.Setting:
            self.hang = indent + len(_flat(line.parts[:1])) + len(line.parts[1].gap)
        for index, stage in enumerate(line.stages()):
            if index:
                self.arrow(stage, indent + STEP)
            self.stage(stage)

    def arrow(self, stage: list[Part], indent: int) -> None:
        """Ends the line in front of a stage, if its author did or the stage has no room in it."""
        _open_to_fit(stage, indent)
        arrow, first = _word(stage[0]), _word(stage[1])
        broken = arrow.breaks or (first.breaks and not first.comments)
        if arrow.comments or broken or not self.fits(_run(stage)):
            self.start(arrow, indent)
            self.base, self.hang = indent, indent + STEP

    def stage(self, parts: list[Part]) -> None:
        """Writes a stage, in whose first line the writer already is."""
        while parts:
            _open_to_fit(parts, self.column)
            run = _run(parts)
            self.run(run)
            parts, last = parts[len(run) :], run[-1]
            if isinstance(last, Brace) and last.opened:
                self.brace(last)
            if parts and parts[0].comments:
                self.start(_word(parts[0]), self.base if isinstance(last, Brace) else self.hang)

    def run(self, parts: list[Part]) -> None:
        """Writes parts, with as many line breaks inside as they need.

        They are broken where they are least deep; what is still too long is broken further inside.
        """
        pending: list[tuple[list[Part], int | None, int]] = [(parts, None, self.hang)]
        while pending:
            chunk, indent, deeper = pending.pop()
            if indent is not None and not self.fits(chunk):
                self.newline(indent)
            pieces = [chunk] if self.fits(chunk) else _split(chunk)
            if len(pieces) == 1:
                for part in chunk:
                    self.write(part.text, part.gap)
                continue
            further = deeper + STEP if deeper < WIDTH // 2 else deeper
            pending += [(piece, deeper, further) for piece in reversed(pieces[1:])]
            pending.append((pieces[0], None, further))

    def brace(self, brace: Brace) -> None:
        """Writes the lines of a brace and its end."""
        base, hang = self.base, self.hang
        _align(brace.lines)
        self.opening = True
        for line in brace.lines:
            self.line(line, base + STEP)
        assert brace.closing
        self.comments(brace.closing, base + STEP)
        self.newline(base)
        self.write("}")
        self.base, self.hang = base, hang


def _word(part: Part) -> Word:
    """The first word of a part."""
    return part.opening if isinstance(part, Brace) else part


def _run(parts: list[Part]) -> list[Part]:
    """The first of the parts, as far as no brace or comment ends the line."""
    for index, part in enumerate(parts):
        if index and part.comments:
            return parts[:index]
        if isinstance(part, Brace) and part.opened:
            return parts[: index + 1]
    return parts


def _open_to_fit(parts: list[Part], column: int) -> None:
    """Opens the braces in the first run of parts where it is too long to begin in a column."""
    run = _run(parts)
    if column + _width(run) - len(run[0].gap) > WIDTH:
        for part in run:
            if isinstance(part, Brace) and part.lines:
                part.opened = True


_WEAKEST_FIRST = (
    frozenset(("or",)),
    frozenset(("and",)),
    frozenset(("==", "!=", "<=", ">=", "<", ">")),
    SUMS,
    PRODUCTS,
)


def _split(parts: list[Part]) -> list[list[Part]]:
    """Parts cut behind commas or before operators, where the fewest brackets are open.

    Among operators outside of all commas, those that bind least are taken.
    """
    ranks: dict[int, tuple[int, int]] = {}
    depth = 0
    for index, (previous, part) in enumerate(pairwise(parts), start=1):
        depth += (previous.text in ("(", "[")) - (part.text in (")", "]"))
        rank = _rank(previous, part)
        if rank is not None:
            ranks[index] = (depth, rank)
    weakest = min(ranks.values(), default=None)
    places = [0, *(index for index, rank in ranks.items() if rank == weakest), len(parts)]
    return [parts[start:end] for start, end in pairwise(places)]


def _rank(previous: Part, part: Part) -> int | None:
    """How loosely two parts hang together, 0 being the loosest; None if no line ends there."""
    if isinstance(part, Brace) or not part.gap:
        return None
    if previous.text == ",":
        return 0
    if part.role is None:
        for rank, operators in enumerate(_WEAKEST_FIRST, start=1):
            if part.text in operators:
                return rank
    return None
