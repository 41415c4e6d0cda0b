"""Classic mistakes, told as a reader would want to be told.

Each case is a spec in which `«…»` encloses the place that must be marked, the code, and a word that
the help (or, behind `note:`, a note) must contain.
"""

import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from netloom.compile import check
from netloom.diagnostics import Diagnostic, Failed, Source
from netloom.diagnostics.render import render
from netloom.syntax.source import from_bytes, read

ROOT = Path(__file__).parents[1]
SPECS = sorted((ROOT / "specs").glob("*.loom"))


def mistakes(text: str) -> tuple[Diagnostic, ...]:
    """The diagnostics of a spec that must have some."""
    with pytest.raises(Failed) as failed:
        check(Source("net.loom", text))
    return failed.value.diagnostics


def inside(body: str, shape: str = "N, 3, 32, 32") -> str:
    """A network with that body; the last value is its head."""
    return f"network net {{\n input image: float32[{shape}]\n {body}\n head y = flatten\n}}"


@dataclass(frozen=True)
class Mistake:
    title: str
    text: str
    code: str
    told: str = ""

    def __str__(self) -> str:
        return self.title


MISTAKES = [
    Mistake("unexpected token", inside("conv(3«,» , 4)").replace("«,» ,", ",«,»"), "E101"),
    Mistake("a fat arrow", inside("conv(4, 3) «=»> relu"), "E101", "`->`"),
    Mistake("arrow into nothing", "network n {\n relu ->\n«}»", "E101", "operator"),
    Mistake("stray word at the top", "«conv»", "E101", "network"),
    Mistake("string without end", 'train n { data «"»digits }', "E102", "line"),
    Mistake("letters beyond ASCII", inside("«é» = relu"), "E102", "ASCII"),
    Mistake("number as name", inside("«3x» = relu"), "E102", "letter"),
    Mistake("brace never closed", "network n «{»\n input x: float32[N]\n", "E103", "`}`"),
    Mistake("bracket never closed", "network n {\n conv«(»3, 4", "E103", "`)`"),
    Mistake("number too long", inside("conv(«12345678901234567890», 3)"), "E104"),
    Mistake("language of tomorrow", "«netloom 99»", "E105", "upgrade"),
    Mistake("unknown value in an expression", inside("conv(«chanels», 3)"), "E201"),
    Mistake("no value to mean `in`", inside("conv(«in».channels, 3)"), "E212"),
    Mistake(
        "unknown attribute",
        "block b() { conv(in.«chanels», 3) }\n" + inside("b"),
        "E201",
        "`channels`",
    ),
    Mistake("unknown operator", inside("«convv»(4, 3)"), "E202", "`conv`"),
    Mistake("unknown operator behind an arrow", inside("relu -> «batchnom»"), "E202", "batchnorm"),
    Mistake("misspelt argument", inside("conv(4, 3, «strid»=2)"), "E203", "`stride`"),
    Mistake("too many arguments", inside("relu(«5»)"), "E203"),
    Mistake("arguments for a join", inside("concat(«1») { in in }"), "E203"),
    Mistake("missing argument", inside("«conv»(4)"), "E204", "kernel"),
    Mistake("argument given twice", inside("conv(4, 3, «kernel=5»)"), "E211"),
    Mistake("join of one branch", inside("«concat» { in }"), "E204", "branch"),
    Mistake("text for a number", inside('conv(«"four"», 3)'), "E205"),
    Mistake("free size for a number", inside("conv(«h», 3)", "N, 3, h, h"), "E205"),
    Mistake("number out of bounds", inside("conv(4, 3, stride=«0»)"), "E206"),
    Mistake("unknown choice", inside('upsample(2, mode=«"bilinar"»)'), "E205", "bilinear"),
    Mistake("groups that do not divide", inside("conv(4, 3, «groups=2»)"), "E206"),
    Mistake("padding without input", inside("maxpool(2, «pad=2»)"), "E206"),
    Mistake("linear on a map", inside("«linear(10)»"), "E207", "flatten"),
    Mistake(
        "residual without projection",
        inside("residual «{ conv(8, 3, stride=2, pad=1) }»"),
        "E208",
        "shortcut { conv(8, 1, stride=2) }",
    ),
    Mistake(
        "sum of other channels", inside("add { conv(4, 1) «conv(5, 1)» }"), "E208", "conv(4, 1)"
    ),
    Mistake("concat of other sizes", inside("concat { in «conv(4, 3)» }"), "E208", "channels only"),
    Mistake(
        "sizes that agree only sometimes",
        inside("add { conv(4, 3, stride=2, pad=1) «conv(4, 2, stride=2)» }", "N, 3, h, w"),
        "E208",
    ),
    Mistake("kernel larger than the map", inside("«conv(4, 33)»"), "E209"),
    Mistake(
        "unknown element type", "network n {\n input x: «float31»[N]\n head x }", "E210", "float32"
    ),
    Mistake("name used twice", inside("a = relu\n «a» = relu"), "E211", "note: already"),
    Mistake("block named as an operator", "block «conv»() { relu }\n" + inside("relu"), "E211"),
    Mistake(
        "two heads of one name",
        "network n {\n input x: float32[N, 3]\n head y = relu\n head «y» = tanh }",
        "E211",
    ),
    Mistake(
        "no current value with two inputs",
        "network n {\n input a: float32[N, 3]\n input b: float32[N, 3]\n «relu»\n head a }",
        "E212",
        "`a`, `b`",
    ),
    Mistake("no input at all", "network n {\n «relu»\n head y = tanh }", "E212", "input"),
    Mistake("a name too many", inside("a, «b» = relu"), "E213"),
    Mistake(
        "recursion",
        "block a() { b }\nblock b() { «a» }\n" + inside("a"),
        "E214",
        "note: in this call of `b`",
    ),
    Mistake("input in a block", "block b() { «input x: float32[N]» }\n" + inside("b"), "E215"),
    Mistake("head in a block", "block b() { «head x = relu» }\n" + inside("b"), "E215"),
    Mistake("value behind an arrow", inside("a = relu\n relu -> «a»"), "E215", "concat"),
    Mistake("in behind an arrow", inside("concat { relu -> «in» in }"), "E215"),
    Mistake("division by zero", inside("conv(«4 // 0», 3)"), "E216"),
    Mistake(
        "structure that depends on the size", inside("if «h == 7» { relu }", "N, 3, h, w"), "E216"
    ),
    Mistake("analysis outside a requirement", inside("conv(«params», 3)"), "E216", "require"),
    Mistake("endless repeat", inside("«repeat 1000000000 { conv(3, 1) }»"), "E217"),
    Mistake("no head", "network «n» {\n input x: float32[N, 3] }", "E218", "head"),
    Mistake("unpool without indices", inside("p = relu\n unpool(«p»)"), "E219", "indices"),
    Mistake("count refuted", inside("require «params == 5»"), "E401"),
    Mistake("field refuted", inside("a = conv(4, 3)\n require «rf(a) == 5»"), "E401", "note: `a`"),
    Mistake(
        "shape refuted",
        inside("a = conv(4, 3, stride=2)\n require «shape(a) == [N, 4, h, w]»", "N, 3, 2*h, 2*w"),
        "E401",
    ),
    Mistake("requirement without comparison", inside("require «params»"), "E403"),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
def test_classic_mistake(mistake: Mistake) -> None:
    start, end = mistake.text.index("«"), mistake.text.index("»") - 1
    (found,) = mistakes(mistake.text.replace("«", "").replace("»", ""))
    assert found.code == mistake.code, found.message
    assert found.span is not None
    assert (found.span.start, found.span.end) == (start, end), found.message
    if mistake.told.startswith("note: "):
        notes = [note.message for note in found.notes]
        assert any(mistake.told.removeprefix("note: ") in note for note in notes), notes
    else:
        assert mistake.told in (found.help or "")


def test_every_independent_mistake_is_told_once() -> None:
    text = inside(
        "a = conv(4, 3, padd=1)\n b = image -> convv(3)\n c = image -> conv(4, 40)\n"
        " d = image -> conv(4, 3)\n require shape(d) == [N, 4, 1, 1]\n a -> relu -> tanhh"
    )
    assert [found.code for found in mistakes(text)] == ["E203", "E202", "E209", "E401", "E202"]


def test_a_mistake_in_a_block_is_told_once_with_the_calls_that_led_there() -> None:
    text = "block inner(k: int) { conv(8, k) }\nblock outer(k: int) { inner(k) inner(k) }\n"
    (found,) = mistakes(text + inside("outer(17)\n outer(17)"))
    assert found.code == "E209"
    calls = [note.message for note in found.notes if "call" in note.message]
    assert calls == ["in this call of `inner`", "in this call of `outer`"]


def test_a_syntax_error_in_one_item_does_not_hide_the_next() -> None:
    text = "network a {\n relu -> }\n\nnetwork b {\n conv(3,, 4) }\n"
    assert [found.code for found in mistakes(text)] == ["E101", "E101"]


def test_a_refuted_requirement_names_a_size_at_which_it_breaks() -> None:
    body = "a = conv(4, 3, stride=2, pad=1)\n require shape(a) == [N, 4, h // 2, w // 2]"
    (found,) = mistakes(inside(body, "N, 3, h, w"))
    assert "h = 1" in found.message


def test_disagreeing_symbolic_shapes_name_a_size() -> None:
    body = "add { conv(4, 3, stride=2, pad=1) conv(4, 2, stride=2) }"
    (found,) = mistakes(inside(body, "N, 3, h, w"))
    assert "for instance at h = 1" in found.message


@pytest.mark.parametrize(
    "bomb",
    [
        inside("repeat 1000000000 { repeat 1000000000 { relu } }"),
        inside("repeat 100000 { repeat 100000 { } }"),
        "".join(f"block b{i}() {{ b{i + 1} b{i + 1} }}\n" for i in range(40))
        + "block b40() { relu }\n"
        + inside("b0"),
        "".join(f"block b{i}() {{ b{i + 1} b{i + 1} }}\n" for i in range(40))
        + "block b40() { }\n"
        + inside("b0"),
    ],
    ids=["repeats", "empty repeats", "blocks", "empty blocks"],
)
def test_expansion_bombs_are_refused(bomb: str) -> None:
    begin = time.process_time()
    assert mistakes(bomb)[0].code == "E217"
    assert time.process_time() - begin < 20


@pytest.mark.parametrize("depth", [201, 100_000])
def test_deep_nesting_is_refused_at_once(depth: int) -> None:
    text = inside(f"conv({'(' * depth}4{')' * depth}, 3)")
    assert mistakes(text)[0].code == "E217"


def test_nesting_within_the_limit_is_read() -> None:
    assert check(Source("net.loom", inside(f"conv({'(' * 190}4{')' * 190}, 3)")))


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"\x7fELF\x02\x01\xff", "E002"),
        (b"network\x00", "E002"),
        (b"network\r\r", "E002"),
        ("network \u202e".encode(), "E002"),
        (b"#" * (4 * 1024 * 1024 + 1), "E003"),
    ],
)
def test_files_that_are_no_specs_are_refused(content: bytes, code: str) -> None:
    with pytest.raises(Failed) as failed:
        from_bytes("net.loom", content)
    assert failed.value.diagnostics[0].code == code


def test_byte_order_mark_and_crlf_are_accepted() -> None:
    content = b"\xef\xbb\xbf" + inside("relu").replace("\n", "\r\n").encode()
    assert check(from_bytes("net.loom", content)).networks


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.loom", tmp_path):
        with pytest.raises(Failed) as failed:
            read(path)
        assert failed.value.diagnostics[0].code == "E001"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("residual", inside("residual { conv(8, 3, stride=2, pad=1) }")),
        ("chain", "block b(k: int) { conv(8, k) -> relu }\n" + inside("b(3)\n b(40)")),
        ("joined", inside("add {\n  conv(4, 1)\n  conv(5, 1) -> relu\n }")),
        ("refuted", inside("a = conv(4, 3)\n require rf(a) == 5 and params == 3")),
    ],
)
def test_rendering(name: str, text: str, golden: Callable[[str, str], None]) -> None:
    golden(f"diagnostics/{name}.txt", render(mistakes(text.replace("«", "").replace("»", ""))))


def test_rendering_cannot_steer_a_terminal() -> None:
    (found,) = mistakes("network n {\n input x: float32[N]\n head y = relu -> reluu } # \u200b")
    assert "\x1b" not in render([found])
    assert "\x1b[1;31m" in render([found], colour=True)


def test_checking_imports_nothing_heavy() -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom netloom.compile import check_file\n"
        f"for path in {[str(path) for path in SPECS]!r}:\n    check_file(Path(path))\n"
        "heavy = {'torch', 'onnx', 'onnxruntime', 'numpy', 'rich', 'typer'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_mutated_specs_give_diagnostics_and_nothing_else(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    chance = random.Random(path.stem)
    for _ in range(120):
        mutated = _mutated(text, chance)
        try:
            check(Source("net.loom", mutated))
        except Failed as failure:
            found = failure.diagnostics
        else:
            continue
        spans = [diagnostic.span for diagnostic in found if diagnostic.span]
        assert all(0 <= span.start <= span.end <= len(mutated) for span in spans)
        assert render(found)


def _mutated(text: str, chance: random.Random) -> str:
    """The text with one piece deleted, doubled, exchanged or replaced by a character."""
    start = chance.randrange(len(text))
    end = min(len(text), start + chance.choice([1, 1, 2, 5, 20]))
    piece, other = text[start:end], chance.choice('{}()[],=-><*/0195axN#".\n é')
    return text[:start] + chance.choice(["", piece * 2, piece[::-1], other]) + text[end:]
