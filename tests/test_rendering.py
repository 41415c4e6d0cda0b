"""Diagnostics as a person reads them."""

from collections.abc import Callable

import pytest

from netloom.diagnostics import Diagnostic, Failed, Note, Source, Span
from netloom.diagnostics.render import render
from netloom.syntax.source import read
from specimens import ROOT, mistakes, net

STAGES = """\
block basic(ch: int, stride: int = 1) {
    residual {
        conv(ch, 3, stride=stride, pad=1) -> relu
        conv(ch, 3, pad=1)
    }
    relu
}

block stage(ch: int) {
    basic(ch, stride=2)
    repeat 2 { basic(ch) }
}

"""

UNET = """\
down = conv(16, 3, stride=2, pad=1) -> batchnorm -> relu
maxpool(3, stride=2)
conv(32, 3, pad=1) -> relu
up = upsample(2) -> relu
concat { in down }
"""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("residual", STAGES + net("conv(16, 3)\nstage(32)")),
        ("joined", net("concat {\n    conv(4, 1)\n    conv(5, 3) -> relu\n}", "N, 3, h, w")),
        ("origins", net(UNET, "N, 3, 110, 110")),
        ("refuted", net("a = conv(4, 3)\nrequire rf(a) == 5 and params == 3")),
        ("syntax", 'network net {\n    relu ->\n}\n\nnetwork two {\n    conv(4, "3)\n}\n'),
    ],
)
def test_text(name: str, text: str, golden: Callable[[str, str], None]) -> None:
    golden(f"diagnostics/{name}.txt", render(mistakes(text)))


def test_a_mistake_without_place_is_one_line_and_its_help() -> None:
    with pytest.raises(Failed) as failed:
        read(ROOT / "specs" / "lenett.loom")
    first, second = render(failed.value.diagnostics).splitlines()
    assert first.startswith("error[E001]: there is no file")
    assert second.startswith("  = help: specs in that folder: ")
    assert "lenet.loom" in second


def _marked(text: str, piece: str) -> str:
    """The line that is printed under `piece`, cut off behind the carets."""
    source = Source("net.loom", text)
    start = text.index(piece)
    shown = render([Diagnostic("E101", "message", Span(source, start, start + len(piece)))])
    return shown.splitlines()[-1]


@pytest.mark.parametrize(
    ("text", "piece", "carets"),
    [
        ("abc def ghi", "def", "  |     ^^^"),
        ("abc def ghi", "abc", "  | ^^^"),
        ("\tabc", "abc", "  |  ^^^"),
        ("# 卷积 def", "def", "  |        ^^^"),
        ("# e\u0301 def", "def", "  |     ^^^"),
        ("one\ntwo three", "three", "  |     ^^^^^"),
        ("one {\ntwo }", "{\ntwo }", "  |     ^"),
        ("one", "", "  | ^"),
        ("", "", "  | ^"),
    ],
)
def test_carets_stand_under_what_they_mean(text: str, piece: str, carets: str) -> None:
    assert _marked(text, piece) == carets


def test_the_margin_is_as_wide_as_the_largest_line_number() -> None:
    source = Source("net.loom", "\n" * 98 + "here\nthere\n")
    note = Note("from here", Span(source, 98, 102))
    assert render([Diagnostic("E101", "message", Span(source, 103, 108), notes=(note,))]) == (
        "error[E101]: message\n"
        "   --> net.loom:100:1\n"
        "    |\n"
        " 99 | here\n"
        "    | ---- from here\n"
        "100 | there\n"
        "    | ^^^^^\n"
    )


def test_places_in_two_files_are_shown_under_their_names() -> None:
    one, two = Source("one.loom", "first\n"), Source("two.loom", "second\n")
    note = Note("from here", Span(two, 0, 6))
    assert render([Diagnostic("E101", "message", Span(one, 0, 5), notes=(note,))]) == (
        "error[E101]: message\n"
        " --> one.loom:1:1\n"
        "  |\n"
        "1 | first\n"
        "  | ^^^^^\n"
        " ::: two.loom:1:1\n"
        "  |\n"
        "1 | second\n"
        "  | ------ from here\n"
    )


@pytest.mark.parametrize("hostile", ["\x1b[2J", "\x07", "\u200b", "\u202e", "\x9b31m", "\ufeff"])
def test_a_spec_cannot_steer_the_terminal(hostile: str) -> None:
    source = Source(f"net{hostile}.loom", f"relu {hostile} # {hostile}\n")
    place = Span(source, 0, 4)
    note = Note(f"note {hostile}", place)
    found = Diagnostic("E101", f"message {hostile}", place, hostile, (note,), f"help {hostile}")
    assert not set(hostile) & set("\x1b\x07\u200b\u202e\x9b\ufeff") & set(render([found]))


def test_colours_are_wrapped_around_the_same_text() -> None:
    found = mistakes(STAGES + net("conv(16, 3)\nstage(32)\nconv(16, 3, padd=1)"))
    coloured = render(found, colour=True)
    for code in ("1;31", "1;34", "1;32", "0"):
        assert f"\x1b[{code}m" in coloured
        coloured = coloured.replace(f"\x1b[{code}m", "")
    assert coloured == render(found)


def test_json_counts_lines_from_1_and_offsets_in_bytes() -> None:
    text = "# é\n" + net("convv(4, 3)")
    (found,) = mistakes(text)
    shown = found.as_json()
    assert text.encode()[shown["span"]["start"] : shown["span"]["end"]] == b"convv"
    assert (shown["span"]["line"], shown["span"]["column"]) == (4, 5)
    assert (shown["code"], shown["name"]) == ("E202", "unknown-operator")
