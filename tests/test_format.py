"""The canonical layout: what it looks like, and that it changes nothing else."""

import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import pytest

from netloom.diagnostics import Failed, Source, Span
from netloom.syntax.format import WIDTH, format_source
from netloom.syntax.parse import parse
from random_specs import random_layout
from test_docs import examples

ROOT = Path(__file__).parents[1]
FILES = [
    path for folder in ("specs", "tests/specs", "bench") for path in (ROOT / folder).glob("*.loom")
]


def formatted(text: str) -> str:
    return format_source(Source("net.loom", text))


def prose(block: str) -> str:
    """A text that is indented as the code around it is."""
    return dedent(block).lstrip("\n")


def meaning(node: Any) -> Any:
    """A syntax tree without places."""
    if isinstance(node, tuple):
        return type(node).__name__, *(meaning(each) for each in node if not isinstance(each, Span))
    return node


def check_properties(text: str) -> None:
    """Nothing but the layout changes, and it changes once."""
    once = formatted(text)
    before, after = (parse(Source("net.loom", each)) for each in (text, once))
    assert meaning(before._replace(version=1)) == meaning(after)
    assert formatted(once) == once
    assert not re.search(r"[ \t]$|\n\n\n|\{\n\n|\n\n *\}", once, re.MULTILINE)
    assert once.endswith("\n")
    assert not once.endswith("\n\n")


IN_A_NETWORK = {
    "one statement is one line, indented by the braces around it": (
        """
        conv(4,3)   relu
        if deep {
        tanh  }
        """,
        """
        conv(4, 3)
        relu
        if deep {
            tanh
        }
        """,
    ),
    "a brace that was on one line stays there": (
        """
        concat {in skip}
        repeat 2 { conv(4,1)->relu   concat{in} }
        mul { }
        add {
        }
        """,
        """
        concat { in  skip }
        repeat 2 { conv(4, 1) -> relu  concat { in } }
        mul { }
        add { }
        """,
    ),
    "a brace that is too long is opened, and those in it only where they are": (
        """
        repeat 3{concat{in conv(100,1)} concat{in conv(1000,1)->batchnorm->relu->dropout}}
        """,
        """
        repeat 3 {
            concat { in  conv(100, 1) }
            concat { in  conv(1000, 1) -> batchnorm -> relu -> dropout }
        }
        """,
    ),
    "what follows a brace stands behind it": (
        """
        residual
        {
        relu
        }
        shortcut if k>1
        { tanh }
        if a { relu
        }
        else if b { tanh }
        else
        { relu }
        """,
        """
        residual {
            relu
        } shortcut if k > 1 { tanh }
        if a {
            relu
        } else if b { tanh } else { relu }
        """,
    ),
    "a pipeline is broken where its author broke it": (
        """
        x = conv(4, 3)
        -> relu -> maxpool(2)


        -> conv(8, 3) ->
         relu
        """,
        """
        x = conv(4, 3)
            -> relu -> maxpool(2)

            -> conv(8, 3)
            -> relu
        """,
    ),
    "else where there is no more room": (
        """
        out=f->global_avgpool->flatten->dropout(0.4)->linear(1000)->relu->linear(10)->softmax
        """,
        """
        out = f -> global_avgpool -> flatten -> dropout(0.4) -> linear(1000) -> relu -> linear(10)
            -> softmax
        """,
    ),
    "a brace in a pipeline is opened where it stands": (
        """
        x = stem -> concat {
         in
         skip } -> conv(4, 1)
         -> add {
         in
         skip }
        """,
        """
        x = stem -> concat {
            in
            skip
        } -> conv(4, 1)
            -> add {
                in
                skip
            }
        """,
    ),
    "long arguments are broken behind commas, whatever lines they had": (
        """
        conv(
        4,
        3)
        inception(first_width,second_width,third_width,[fourth_width,fifth_width],sixth_width,pool)
        """,
        """
        conv(4, 3)
        inception(first_width, second_width, third_width, [fourth_width, fifth_width], sixth_width,
            pool)
        """,
    ),
    "long expressions are broken before the operators that bind least": (
        """
        require features.channels == 1000 * groups + remainder and params(features) <= 100 or
        rf(features) < 10
        """,
        """
        require features.channels == 1000*groups + remainder and params(features) <= 100
            or rf(features) < 10
        """,
    ),
    "blanks stand between operands, but not in named arguments, shapes and products of sums": (
        """
        let a=-1*b//c  let d=-b*c- -3  let e = not(a)or a==b
        f( k = 2*h , g =[ 2 * h ] )  x . y
        """,
        """
        let a = -1 * b // c
        let d = -b*c - -3
        let e = not (a) or a == b
        f(k=2 * h, g=[2*h])
        x.y
        """,
    ),
    "the bounds of a range are tight where they are simple": (
        """
        repeat i in 0 .. n { relu }
        repeat i in 1..n-1 { relu }
        repeat i in[1,2]{ relu }
        """,
        """
        repeat i in 0..n { relu }
        repeat i in 1 .. n - 1 { relu }
        repeat i in [1, 2] { relu }
        """,
    ),
    "neighbouring declarations stand in columns": (
        """
        input image: float32[N, 3, 32 * h, ( h+1 ) // 2]
        target t: int64[]

        input far: bool[N]
        relu
        """,
        """
        input  image: float32[N, 3, 32*h, (h + 1)//2]
        target t:     int64[]

        input far: bool[N]
        relu
        """,
    ),
    "comments stay before, behind and inside of what they stood at": (
        """
        #one
        relu#two
        repeat 2 { #three

        #four


        relu #!five

        #six

        }
        ##seven
        f(1, # eight
        #nine
        2)
        """,
        """
        # one
        relu  # two
        repeat 2 {  # three
            # four

            relu  #!five

            # six
        }
        ## seven
        f(1,  # eight
            # nine
            2)
        """,
    ),
    "a comment between stages breaks the line there": (
        """
        conv(4, 3) # wide
        -> relu
        # then
        -> conv(4, 3) -> # why
        relu
        if a { relu } # or
        else { tanh }
        """,
        """
        conv(4, 3)  # wide
            -> relu
            # then
            -> conv(4, 3) ->  # why
                relu
        if a { relu }  # or
        else { tanh }
        """,
    ),
}


@pytest.mark.parametrize("rule", IN_A_NETWORK)
def test_layout_in_a_network(rule: str) -> None:
    before, after = map(prose, IN_A_NETWORK[rule])
    text = f"network n {{\n{before}}}\n"
    assert formatted(text) == f"netloom 1\n\nnetwork n {{\n{indent(after, '    ')}}}\n"
    check_properties(text)


FILE = {
    "one blank line parts items, and is a choice between constants and between imports": (
        """
        from "a.loom" import a
        from "b.loom" import b, c as d
        let x = 1
        let y = 2


        let z = 3
        block e { }
        block f { }
        """,
        """
        netloom 1

        from "a.loom" import a
        from "b.loom" import b, c as d

        let x = 1
        let y = 2

        let z = 3

        block e { }

        block f { }
        """,
    ),
    "the version comes first": (
        """
        # A header.
        block a { }
        """,
        """
        netloom 1

        # A header.
        block a { }
        """,
    ),
    "even where a comment was above it": (
        """
        # A header.
        netloom 1 # new
        block a { }
        """,
        """
        netloom 1

        # A header.
        # new
        block a { }
        """,
    ),
    "but for what the system reads": (
        """
        #!/usr/bin/env netloom
        netloom 1 # new
        block a { }
        """,
        """
        #!/usr/bin/env netloom
        netloom 1  # new

        block a { }
        """,
    ),
    "a blank line goes above the comments of an item": (
        """
        block a { } # of a
        # of b
        block b { }
        # of b, too

        # of c
        block c { }
        # of none
        """,
        """
        netloom 1

        block a { }  # of a

        # of b
        block b { }
        # of b, too

        # of c
        block c { }
        # of none
        """,
    ),
    "settings stand in columns": (
        """
        train net{
        data "digits" augment{hflip rotate(10)} learning_rate 0.1
        epochs  (3)}
        """,
        """
        netloom 1

        train net {
            data          "digits"
            augment       { hflip  rotate(10) }
            learning_rate 0.1
            epochs        (3)
        }
        """,
    ),
    "a long setting goes on in the column of its value": (
        """
        train net {
        loss cross_entropy(logits, label) + 0.3 * cross_entropy(aux1, label) +
        0.3*cross_entropy(aux2, label) }
        """,
        """
        netloom 1

        train net {
            loss cross_entropy(logits, label) + 0.3*cross_entropy(aux1, label)
                 + 0.3*cross_entropy(aux2, label)
        }
        """,
    ),
    "parameters have blanks around their defaults": (
        """
        block a(ch:int,deep : bool=false,){ }
        """,
        """
        netloom 1

        block a(ch: int, deep: bool = false,) { }
        """,
    ),
    "nothing is a version": (
        """

        """,
        """
        netloom 1
        """,
    ),
    "a comment alone stays one": (
        """
        #x
        """,
        """
        netloom 1

        # x
        """,
    ),
}


@pytest.mark.parametrize("rule", FILE)
def test_layout_of_a_file(rule: str) -> None:
    before, after = map(prose, FILE[rule])
    assert formatted(before) == after
    check_properties(before)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_specs_are_formatted(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert formatted(text) == text
    assert max(map(len, text.split("\n"))) <= WIDTH


@pytest.mark.parametrize(("place", "text"), examples(), ids=lambda each: each[:30].split("\n")[0])
def test_documented_specs_are_formatted(place: str, text: str) -> None:
    assert format_source(Source(place, text)).removeprefix("netloom 1\n\n") == text.removeprefix(
        "netloom 1\n\n"
    )


@pytest.mark.parametrize("start", range(0, 200, 50))
def test_random_layouts_become_one(start: int) -> None:
    for seed in range(start, start + 50):
        check_properties(random_layout(seed))


@pytest.mark.parametrize(
    "text",
    [
        "train n { loss\n(3) }",
        "network n { head in = in let and = not if(3) f(or=-in) }",
        'network n { let a = 1[0] let b = ""[0] let c = 1 . x let d = (a)[0](b) }'.replace(
            "(b)", ""
        ),
        "block b { } # no line end",
        "block b # where\n( # are\n) # we\n{ # ?\n}",
        "netloom # which\n1",
        f"network n {{ if {'a' * 50} {{ relu }} else if {'b' * 50} {{ }} else {{ # a\n}} }}",
        "network n { a # b\n, c # d\n= split -> # e\nx\n# f\n}",
    ],
)
def test_odd_places(text: str) -> None:
    check_properties(text)


@pytest.mark.parametrize(
    "text",
    [
        "network n { let x = " + "(" * 150 + "1" + ")" * 150 + " }",
        "network n { let x = " + "[1 + " * 150 + "1" + "]" * 150 + " }",
        "network n { let x = " + "-" * 3_000 + "1 }",
        "network n { let x = " + "[a or b and f(c, " * 90 + "1" + ")]" * 90 + " }",
        "network n { " + "residual { relu " * 190 + "}" * 190 + " }",
        "network n { if a { relu } " + "else if b { relu } " * 1_500 + "}",
        "network n { x" + " -> relu" * 3_000 + " }",
    ],
    ids=lambda text: text[:40],
)
def test_depth_is_no_trouble(text: str) -> None:
    once = formatted(text)
    assert formatted(once) == once


def test_a_spec_with_mistakes_is_not_formatted() -> None:
    with pytest.raises(Failed) as failed:
        formatted("network n {\n relu -> \n}")
    assert failed.value.diagnostics[0].code == "E101"


# ---- the command

MESSY, CLEAN = "block b{relu}\n", "netloom 1\n\nblock b { relu }\n"


def fmt(*arguments: str | Path, cwd: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "netloom", "fmt", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, input=stdin)


def test_fmt_rewrites_what_is_not_clean_and_tells_it(tmp_path: Path) -> None:
    (tmp_path / "deep" / ".venv").mkdir(parents=True)
    for name, text in {"a": MESSY, "deep/b": MESSY, "c": CLEAN, "deep/.venv/d": MESSY}.items():
        (tmp_path / f"{name}.loom").write_text(text)
    (tmp_path / "a.loom").chmod(0o600)
    unchanged = (tmp_path / "c.loom").stat().st_mtime_ns
    found = fmt(cwd=tmp_path)
    assert (found.returncode, found.stdout, found.stderr) == (0, "a.loom\ndeep/b.loom\n", "")
    assert (tmp_path / "a.loom").read_text() == CLEAN
    assert (tmp_path / "a.loom").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "deep" / "b.loom").read_text() == CLEAN
    assert (tmp_path / "deep" / ".venv" / "d.loom").read_text() == MESSY
    assert (tmp_path / "c.loom").stat().st_mtime_ns == unchanged
    assert fmt("--check", ".", cwd=tmp_path).returncode == 0


def test_fmt_check_and_diff_change_nothing(tmp_path: Path) -> None:
    spec = tmp_path / "a.loom"
    spec.write_text(MESSY)
    listed = fmt("--check", "a.loom", cwd=tmp_path)
    assert (listed.returncode, listed.stdout) == (1, "a.loom\n")
    shown = fmt("--diff", "a.loom", cwd=tmp_path)
    assert shown.returncode == 1
    assert "\n-block b{relu}\n+netloom 1\n+\n+block b { relu }\n" in shown.stdout
    assert spec.read_text() == MESSY


def test_fmt_reads_stdin_and_writes_stdout(tmp_path: Path) -> None:
    found = fmt("-", cwd=tmp_path, stdin=MESSY)
    assert (found.returncode, found.stdout, found.stderr) == (0, CLEAN, "")
    listed = fmt("-", "--check", cwd=tmp_path, stdin=MESSY)
    assert (listed.returncode, listed.stdout) == (1, "stdin\n")
    assert fmt("-", "--diff", cwd=tmp_path, stdin=CLEAN).returncode == 0
    assert fmt("-", "a.loom", cwd=tmp_path, stdin=MESSY).returncode == 2


def test_fmt_makes_windows_line_ends_canonical(tmp_path: Path) -> None:
    spec = tmp_path / "a.loom"
    spec.write_bytes(b"\xef\xbb\xbf" + CLEAN.replace("\n", "\r\n").encode())
    assert fmt("a.loom", cwd=tmp_path).stdout == "a.loom\n"
    assert spec.read_bytes() == CLEAN.encode()


def test_fmt_follows_a_link(tmp_path: Path) -> None:
    (tmp_path / "a.loom").write_text(MESSY)
    (tmp_path / "b.loom").symlink_to("a.loom")
    assert fmt("b.loom", cwd=tmp_path).returncode == 0
    assert (tmp_path / "b.loom").is_symlink()
    assert (tmp_path / "a.loom").read_text() == CLEAN


def test_fmt_leaves_a_spec_with_mistakes_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "a.loom").write_text("block b{relu ->}\n")
    (tmp_path / "b.loom").write_text(MESSY)
    found = fmt("a.loom", "missing.loom", "b.loom", cwd=tmp_path)
    assert (found.returncode, found.stdout) == (1, "b.loom\n")
    assert "error[E101]" in found.stderr
    assert "error[E001]" in found.stderr
    assert "Traceback" not in found.stderr
    assert (tmp_path / "a.loom").read_text() == "block b{relu ->}\n"
