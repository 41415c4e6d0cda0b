"""Classic mistakes, and what a reader is told about each.

In the specs `«…»` is the place that must be marked, and each `‹…›` another place that a note names.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from netloom.compile import check_file
from netloom.diagnostics import CODES, Diagnostic, Failed
from netloom.emit.files import write_atomically
from netloom.limits import DEFAULT
from netloom.syntax.source import from_bytes, read
from netloom.train.run_directory import create
from specimens import mistakes, net, unmarked


@dataclass(frozen=True)
class Mistake:
    """A spec with one mistake, its code, and what the help and the notes must say, if anything."""

    title: str
    code: str
    marked: str
    help: str = ""
    note: str = ""

    def __str__(self) -> str:
        return self.title


SYNTAX = [
    Mistake("a comma too many", "E101", net("conv(4,«,» 3)")),
    Mistake("a comma too few", "E101", net("conv(4 «3»)"), "expected `,` or `)`"),
    Mistake("a fat arrow", "E101", net("conv(4, 3) «=>» relu"), "`->`"),
    Mistake(
        "an arrow into nothing", "E101", "network n {\n    relu ->\n«}»", "an operator, a block"
    ),
    Mistake("a statement outside", "E101", "«conv»(4, 3)", "`network`, `block` and `train`"),
    Mistake("an input without type", "E101", "network n { input x«[»N] }", "expected `:`"),
    Mistake("a head without name", "E101", net("head «=» relu"), "expected a name"),
    Mistake("a constant without let", "E101", net("ch = «64»"), "named by `let`"),
    Mistake(
        "one = for a comparison",
        "E101",
        net("if in.channels «=» 3 { relu }"),
        "`==` compares",
    ),
    Mistake("a comparison of three", "E101", net("conv(4, 3, bias=1 < 2 «<» 3)"), "expected `)`"),
    Mistake("a comment as in C", "E101", net("relu «//» in place"), "begin with `#`"),
    Mistake("a brace too many", "E101", net("relu") + "«}»", "`network`, `block` and `train`"),
    Mistake("a semicolon", "E102", net("relu«;» relu"), "no separator"),
    Mistake("a string without end", "E102", 'train n { data «"»digits\n}', "on which it begins"),
    Mistake("an escape that is none", "E102", 'train n { data «"»\\x41" }', "escapes are"),
    Mistake("a letter beyond ASCII", "E102", net("«é» = relu"), "ASCII"),
    Mistake("a word that begins with a digit", "E102", net("«3x» = relu"), "begins with a letter"),
    Mistake(
        "a brace that is never closed", "E103", "network n «{»\n    input x: float32[N]\n", "`}`"
    ),
    Mistake("a bracket that is never closed", "E103", "network n {\n    conv«(»4, 3", "`)`"),
    Mistake("more digits than a number has", "E104", net("conv(«12345678901234567890», 3)")),
    Mistake("more than any float", "E104", net("leaky_relu(«1e999»)")),
    Mistake("the language of tomorrow", "E105", "«netloom 99»", "upgrade"),
]

NAMES = [
    Mistake("an unknown value", "E201", net("conv(«imag».channels, 3)"), "`image`"),
    Mistake("an unknown value among few", "E201", net("conv(«ch», 3)"), "one of `N`, `image`"),
    Mistake("an unknown attribute", "E201", net("conv(image.«chanels», 3)"), "`channels`"),
    Mistake("an unknown function", "E201", net("let s = «shap»(image)"), "`shape`"),
    Mistake("a head of an unknown value", "E201", net("head «imag»"), "`image`"),
    Mistake("an unknown operator", "E202", net("«convv»(4, 3)"), "`conv`"),
    Mistake(
        "an unknown operator behind an arrow", "E202", net("relu -> «batchnom»"), "`batchnorm`"
    ),
    Mistake("an unknown block", "E202", "block basic() { relu }\n" + net("«basik»"), "`basic`"),
    Mistake(
        "a name used twice",
        "E211",
        net("‹a› = relu\n«a» = tanh"),
        "another name",
        note="it already stands for this",
    ),
    Mistake(
        "a size used as a name",
        "E211",
        net("let «h» = 3", "N, 3, ‹h›, w"),
        "another name",
        note="it already stands for this",
    ),
    Mistake(
        "two blocks of one name",
        "E211",
        "block ‹b›() { relu }\nblock «b»() { tanh }\n" + net("b"),
        note="`b` is already defined here",
    ),
    Mistake(
        "a network named as a block",
        "E211",
        "block ‹net›() { relu }\n" + net("relu").replace("network net", "network «net»"),
        note="`net` is already defined here",
    ),
    Mistake("a block named as an operator", "E211", "block «conv»() { relu }\n" + net("relu")),
    Mistake(
        "two parameters of one name",
        "E211",
        "block b(ch: int, «ch»: int) { relu }\n" + net("b(1, 2)"),
    ),
    Mistake(
        "two heads of one name",
        "E211",
        net("‹head y = relu›\nhead «y» = tanh"),
        "names of its heads",
        note="the first one is here",
    ),
]

ARGUMENTS = [
    Mistake("a misspelt argument", "E203", net("conv(4, 3, «strid»=2)"), "`stride`"),
    Mistake("a misspelt argument that is needed", "E203", net("conv(4, «kernl»=3)"), "`kernel`"),
    Mistake("an argument too many", "E203", net("relu(«5»)")),
    Mistake("arguments for a join", "E203", net("concat(«1») { in in }")),
    Mistake("a missing argument", "E204", net("«conv»(4)"), "it takes out, kernel, stride=[1, 1]"),
    Mistake(
        "a missing argument of a block",
        "E204",
        "block b(ch: int, k: int = 3) { conv(ch, k) }\n" + net("«b»"),
        "it takes ch, k=3",
    ),
    Mistake("a join of one", "E204", net("«concat» { in }"), "each line inside is one branch"),
    Mistake("a question about two values", "E204", net("let s = «shape(image, image)»")),
    Mistake(
        "an argument given twice",
        "E211",
        net("conv(4, ‹3›, «kernel=5»)"),
        note="it is already given here",
    ),
    Mistake("a text for a number", "E205", net('conv(«"four"», 3)')),
    Mistake("a number for a truth", "E205", net("conv(4, 3, bias=«1»)")),
    Mistake("a fraction for a count", "E205", net("conv(«7 / 2», 3)")),
    Mistake("three sides of a kernel", "E205", net("conv(4, «[3, 3, 3]»)")),
    Mistake("a free size for a number", "E205", net("conv(«h», 3)", "N, 3, h, w")),
    Mistake("a value for a number", "E205", net("conv(«image», 3)")),
    Mistake("a number for a value", "E205", net("unpool(«3»)")),
    Mistake("an unknown choice", "E205", net('upsample(2, mode=«"bilinar"»)'), "`bilinear`"),
    Mistake(
        "an unknown parameter type",
        "E205",
        "block b(ch: «integer») { relu }\n" + net("b(3)"),
        "`int`",
    ),
    Mistake(
        "a default of the wrong type",
        "E205",
        "block b(ch: int = «1.5») { relu }\n" + net("b"),
    ),
    Mistake("half a repetition", "E205", net("repeat «1.5» { relu }")),
    Mistake("a size that is a text", "E205", 'network n { input x: float32[N, «"c"»] head x }'),
    Mistake("a negative repetition", "E206", net("repeat «-1» { relu }")),
    Mistake("a stride of nothing", "E206", net("conv(4, 3, stride=«0»)")),
    Mistake("a stride of nothing along one axis", "E206", net("conv(4, 3, stride=«[1, 0]»)")),
    Mistake("a probability of more than 1", "E206", net("dropout(«1.5»)")),
    Mistake("a size of nothing", "E206", "network n { input x: float32[N, «0»] head x }"),
    Mistake(
        "groups that do not divide the channels",
        "E206",
        net("conv(6, 3)\n‹relu›\nconv(8, 3, «groups=4»)"),
        "1 or 2 would",
        note="the value that enters is float32[N, 6, 30, 30]",
    ),
    Mistake(
        "a window that could see padding only",
        "E206",
        net("‹relu› -> maxpool(2, «pad=2»)"),
        note="float32[N, 3, 32, 32]",
    ),
]

SHAPES = [
    Mistake(
        "linear on a feature map",
        "E207",
        net("‹relu› -> «linear(10)»"),
        "`global_avgpool -> flatten`",
        "float32[N, 3, 32, 32]",
    ),
    Mistake(
        "a convolution of features",
        "E207",
        net("‹flatten› -> «conv(4, 3)»"),
        note="float32[N, 3072]",
    ),
    Mistake(
        "channels that the input decides",
        "E207",
        net("‹relu› -> «conv(4, 3)»", "N, c, 32, 32"),
        note="float32[N, c, 32, 32]",
    ),
    Mistake(
        "a residual without projection",
        "E208",
        net("‹relu›\nresidual «{ conv(8, 3, stride=2, pad=1) }»"),
        "`shortcut { conv(8, 1, stride=2) }`",
        "what enters is float32[N, 3, 32, 32]",
    ),
    Mistake(
        "a residual of other channels",
        "E208",
        net("‹relu›\nresidual «{ conv(8, 3, pad=1) }»"),
        "`shortcut { conv(8, 1) }`",
        "what enters is float32[N, 3, 32, 32]",
    ),
    Mistake(
        "a residual that no convolution helps",
        "E208",
        net("‹relu›\nresidual «{ conv(3, 3) }»"),
        "give the body the shape of what enters",
        "what enters is float32[N, 3, 32, 32]",
    ),
    Mistake(
        "a projection without the stride",
        "E208",
        net("residual ‹{ conv(8, 3, stride=2, pad=1) }› shortcut «{ conv(8, 1) }»"),
        "`conv(8, 1, stride=2)` in that branch",
        "this branch is float32[N, 8, 16, 16]",
    ),
    Mistake(
        "a sum of different channels",
        "E208",
        net("add {\n    ‹conv(4, 1)›\n    «conv(5, 1)»\n}"),
        "`conv(4, 1)` in that branch",
        "this branch is float32[N, 4, 32, 32]",
    ),
    Mistake(
        "a product that would broadcast",
        "E208",
        net("mul { ‹in› «global_avgpool» }"),
        "nothing is broadcast",
        "this branch is float32[N, 3, 32, 32]",
    ),
    Mistake(
        "a concat of different sizes",
        "E208",
        net("concat { ‹in› in «conv(4, 3)» }"),
        "`pad=1` in that `conv` keeps the height",
        "this branch is float32[N, 3, 32, 32]",
    ),
    Mistake(
        "sizes that agree only sometimes",
        "E208",
        net("add { ‹maxpool(2)› «maxpool(2, ceil=true)» }", "N, 3, h, w"),
        "declare `2*h`",
        "this branch is float32[N, 3, h//2, w//2]",
    ),
    Mistake(
        "a shape that does not fit, two blocks down",
        "E208",
        "block basic(ch: int) { ‹relu›  residual «{ conv(ch, 3, pad=1) }» }\n"
        "block stage(ch: int) { ‹basic(ch)› }\n" + net("‹conv(8, 1)›\n‹stage(16)›"),
        "`shortcut { conv(16, 1) }`",
        "in this call of `stage`",
    ),
    Mistake(
        "a kernel larger than the map",
        "E209",
        net("‹avgpool(8)› -> «conv(4, 5)»"),
        "a smaller kernel",
        note="float32[N, 3, 4, 4]",
    ),
    Mistake(
        "a dilated kernel larger than the padded map",
        "E209",
        net("‹avgpool(8)› -> «conv(4, 4, pad=1, dilation=2)»"),
        "a smaller kernel",
        note="float32[N, 3, 4, 4]",
    ),
    Mistake(
        "a transposed convolution of which nothing is left",
        "E209",
        net("‹avgpool(8)› -> «deconv(4, 1, pad=2)»"),
        note="float32[N, 3, 4, 4]",
    ),
    Mistake(
        "a dilated pooling that steps over a small map",
        "E209",
        net("‹avgpool(16)› -> «maxpool(2, dilation=4, pad=1)»"),
        "a smaller dilation, or no `pad`",
        note="float32[N, 3, 2, 2]",
    ),
    Mistake(
        "a border that cannot be mirrored",
        "E209",
        net('‹avgpool(8)› -> pad(«4», mode="reflect")'),
        "smaller than the map",
        note="float32[N, 3, 4, 4]",
    ),
    Mistake(
        "a border that cuts everything off",
        "E209",
        net("‹avgpool(8)› -> «pad(-2)»"),
        note="float32[N, 3, 4, 4]",
    ),
    Mistake(
        "a crop to a larger map",
        "E209",
        net("‹conv(4, 3)› -> crop(«like=image», offset=0)"),
        note="float32[N, 4, 30, 30]",
    ),
    Mistake(
        "a network without a size that fits",
        "E301",
        "network n {\n    input x: float32[N, 3, 12 - h, h]\n"
        "    head y = ‹conv(4, [9, 1])› -> «conv(4, [1, 9])»\n}",
        "another input shape",
    ),
    Mistake(
        "a crop between two pixels",
        "E222",
        net("small = conv(4, 2)\nimage -> ‹conv(4, 1)› -> crop(«like=small»)"),
        "state `offset=[…, …]`",
    ),
    Mistake(
        "a crop of another stride",
        "E222",
        net("small = conv(4, 2, stride=2)\nimage -> ‹conv(4, 1)› -> crop(«like=small»)"),
        "bring both to one stride",
    ),
    Mistake(
        "a crop to what sees everything",
        "E222",
        net("point = global_avgpool\nimage -> ‹conv(4, 1)› -> crop(«point»)"),
        "offset=[…, …]",
    ),
    Mistake(
        "an unknown element type",
        "E210",
        "network n { input x: «float31»[N, 3] head x }",
        "`float32`",
    ),
    Mistake(
        "arithmetic on whole numbers",
        "E210",
        "network n {\n    ‹input x: int64[N, 3]›\n    head y = «relu»\n}",
        note="int64[N, 3]",
    ),
    Mistake(
        "unpool with something else than indices",
        "E219",
        net("small = ‹maxpool(2)›\nunpool(«small»)"),
        "`pooled, where = maxpool(2, indices=true)`",
        "float32[N, 3, 16, 16]",
    ),
]

STRUCTURE = [
    Mistake(
        "two inputs and no value named",
        "E212",
        "network n { input a: float32[N, 3]  input b: float32[N, 3]  head y = «relu» }",
        "begin with one of `a`, `b`",
    ),
    Mistake("no input", "E212", "network n { head y = «relu» }", "declare an `input`"),
    Mistake("in where nothing enters", "E212", net("conv(«in».channels, 3)"), "by its name"),
    Mistake("a name too many", "E213", net("a, «b» = relu")),
    Mistake("two names too many", "E213", net("a, b, «c», d = maxpool(2, indices=true)")),
    Mistake(
        "blocks that call each other",
        "E214",
        "block a() { ‹b› }\nblock b() { «a» }\n" + net("‹a›"),
        "use `repeat`",
        "in this call of `b`",
    ),
    Mistake(
        "an input in a block",
        "E215",
        "block b() { «input x: float32[N]» }\n" + net("‹b›"),
        "as `in`",
        "in this call of `b`",
    ),
    Mistake(
        "a head in a block",
        "E215",
        "block b() { «head y = relu» }\n" + net("‹b›"),
        note="in this call of `b`",
    ),
    Mistake("a value behind an arrow", "E215", net("a = relu\ntanh -> «a»"), "`concat { in a }`"),
    Mistake("in behind an arrow", "E215", net("add { relu -> «in»  in }")),
    Mistake("division by zero", "E216", net("conv(«4 // 0», 3)")),
    Mistake("arithmetic with a truth", "E216", net("conv(«1 + true», 3)")),
    Mistake("a number for a condition", "E216", net("if «3» { relu }")),
    Mistake("an attribute of a number", "E216", net("let a = 1\nconv(«a.channels», 3)")),
    Mistake("a half of a free size", "E216", net("let a = «h / 2»", "N, 3, h, w")),
    Mistake("more than 64 bits", "E216", net("conv(«9223372036854775807 + 1», 3)")),
    Mistake("more than a float", "E216", net("leaky_relu(«1e300 * 1e300»)")),
    Mistake(
        "structure that depends on the size",
        "E216",
        net("if «image.height == 7» { relu }", "N, 3, h, w"),
        "one structure for all sizes",
    ),
    Mistake("a count before it is known", "E216", net("conv(«params», 3)"), "`require` only"),
    Mistake("a field before it is known", "E216", net("conv(«rf»(image), 3)"), "`require` only"),
    Mistake(
        "weights that cannot be shared",
        "E220",
        net("share c = conv(4, 3)\na = ‹c›\nb = a -> «c»"),
        "same channels",
        "first call",
    ),
    Mistake(
        "a call of something shared in a brace",
        "E221",
        net("share c = conv(3, 1)\nconcat { { relu -> «c» -> conv(2, 1) -> relu } in }"),
        "call it there",
    ),
    Mistake("an endless repeat", "E217", net("«repeat 1_000_000_000 { relu }»"), "--limit"),
    Mistake(
        "layers that want larger sizes than the input has",
        "E301",
        "network n { ‹input x: float32[N, 3, 12 - h, h]› head y = «conv(4, [1, 13])» }",
        "smaller kernels",
        "at most 11",
    ),
    Mistake("no head", "E218", "network «n» { input x: float32[N, 3] }", "`head logits = …`"),
    Mistake(
        "a head in training only",
        "E218",
        "network «n» { input x: float32[N, 3] train head y = relu }",
        "`head logits = …`",
    ),
]

CONTRACTS = [
    Mistake("parameters refuted", "E401", net("conv(4, 3)\nrequire «params == 110»")),
    Mistake("MACs refuted", "E401", net("conv(4, 3)\nrequire «macs < 1_000»")),
    Mistake(
        "a receptive field refuted",
        "E401",
        net("a = conv(4, 3) -> ‹maxpool(2)›\nrequire «rf(a) == 5»"),
        note="`a` is float32[N, 4, 15, 15]",
    ),
    Mistake(
        "a stride refuted",
        "E401",
        net("a = ‹conv(4, 3, stride=[2, 1])›\nrequire «stride(a) == 2»"),
        note="`a` is float32[N, 4, 15, 30]",
    ),
    Mistake(
        "a shape refuted",
        "E401",
        net("a = ‹conv(4, 3, stride=2)›\nrequire «shape(a) == [N, 4, h, w]»", "N, 3, 2*h, 2*w"),
        note="`a` is float32[N, 4, h - 1, w - 1]",
    ),
    Mistake(
        "a requirement of a block",
        "E401",
        "block b() { require «in.channels % 4 == 0» }\n" + net("‹b›"),
        note="in this call of `b`",
    ),
    Mistake("one of two parts refuted", "E401", net("require rf(image) == 1 and «params == 1»")),
    Mistake("an order that is not decided", "E402", net("require «h * h >= h»", "N, 3, h, w")),
    Mistake("no comparison", "E403", net("require «params»"), "`require params == …`"),
]

MISTAKES = [*SYNTAX, *NAMES, *ARGUMENTS, *SHAPES, *STRUCTURE, *CONTRACTS]


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
def test_classic_mistake(mistake: Mistake) -> None:
    text, places = unmarked(mistake.marked)
    (found,) = mistakes(text)
    assert (found.code, [_place(found)]) == (mistake.code, places["«"]), found.message
    assert mistake.help in (found.help or ""), found.help
    assert bool(mistake.help) == bool(found.help), found.help
    named = [(note.span.start, note.span.end) for note in found.notes if note.span]
    assert sorted(named) == sorted(places["‹"]), found.notes
    assert mistake.note in "\n".join(note.message for note in found.notes)


def _place(diagnostic: Diagnostic) -> tuple[int, int]:
    assert diagnostic.span
    return diagnostic.span.start, diagnostic.span.end


def _importing(folder: Path, path: str) -> Path:
    main = folder / "main.loom"
    main.write_text(f'from "{path}" import net\n')
    return main


FILES: dict[str, Callable[[Path], object]] = {
    "E001": lambda folder: read(folder / "none.loom"),
    "E002": lambda folder: from_bytes("net.loom", b"\x7fELF\x02\x01\xff"),
    "E003": lambda folder: from_bytes("net.loom", b"#" * (DEFAULT.text + 1)),
    "E106": lambda folder: check_file(_importing(folder, "../other.loom")),
    "E107": lambda folder: check_file(_importing(folder, "main.loom")),
    "E004": lambda folder: create(folder, "net", force=False),
    "E005": lambda folder: write_atomically(folder / "file" / "model.py", [b""]),
}
"""What goes wrong with files, in a folder that holds a file named `file`."""


@pytest.mark.parametrize("code", FILES)
def test_what_is_wrong_with_files(code: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Failed) as failed:
        FILES[code](tmp_path)
    (found,) = failed.value.diagnostics
    assert found.code == code


def test_every_code_of_the_language_has_an_example() -> None:
    told = {mistake.code for mistake in MISTAKES} | set(FILES)
    assert told == {code for code in CODES if code < "E500"}


def test_independent_mistakes_are_each_told_once_and_in_order() -> None:
    marked = net(
        """
        a = conv(4, 3, «padd»=1)
        b = image -> «convv»(3)
        c = image -> «conv(4, 40)»
        d = image -> conv(4, 3)
        d -> relu -> «tanhh» -> conv(4, 3, «strid»=2)
        require «shape(d) == [N, 4, 1, 1]»
        concat { a b c d }
        require shape(a) == [N, 4, 1, 1] and params == 1
        «rellu» -> maxpool(2)
        """
    )
    text, places = unmarked(marked)
    found = mistakes(text)
    assert [_place(each) for each in found] == places["«"]
    assert [each.code for each in found] == [
        "E203",
        "E202",
        "E209",
        "E202",
        "E203",
        "E401",
        "E202",
    ]


def test_all_mistakes_of_one_call_are_told() -> None:
    text, places = unmarked(net('conv(«"four"», 3, stride=«0», «strid»=2)'))
    assert [_place(each) for each in mistakes(text)] == places["«"]


def test_a_mistake_in_a_block_is_told_once_however_often_it_is_called() -> None:
    text, places = unmarked(
        "block inner(k: int) { ‹relu› -> «conv(8, k)» }\n"
        "block outer(k: int) { ‹inner(k)›  inner(k) }\n" + net("‹outer(33)›" + "\nouter(33)" * 4)
    )
    (found,) = mistakes(text)
    assert [_place(found)] == places["«"]
    named = [(note.span.start, note.span.end) for note in found.notes if note.span]
    assert sorted(named) == places["‹"]
    calls = [note.message for note in found.notes][1:]
    assert calls == ["in this call of `inner`", "in this call of `outer`"]


def test_a_mistake_in_a_repeat_is_told_once() -> None:
    (found,) = mistakes(net("repeat 5 { conv(4, 3) -> reluu }"))
    assert found.code == "E202"


def test_a_syntax_error_in_one_item_does_not_hide_the_next() -> None:
    text, places = unmarked("network a { relu ->\n«}»\n\nnetwork b { conv(3,«,» 4) }\n")
    assert [_place(each) for each in mistakes(text)] == places["«"]


@pytest.mark.parametrize(
    ("body", "witness"),
    [
        ("a = conv(4, 3, stride=2, pad=1)\nrequire shape(a) == [N, 4, h // 2, w // 2]", {"h": 1}),
        ("a = maxpool(3)\nrequire a.width > 1", {"w": 3}),
        ("require image.height <= 16", {"h": 17}),
        ("require image.height >= image.width", {"h": 1, "w": 2}),
    ],
)
def test_a_refuted_requirement_names_sizes_that_break_it(
    body: str, witness: dict[str, int]
) -> None:
    (found,) = mistakes(net(body, "N, 3, h, w"))
    sizes = ", ".join(f"{name} = {number}" for name, number in witness.items())
    assert found.message.endswith(f"which breaks the requirement for instance at {sizes}")


def test_shapes_that_agree_only_sometimes_are_told_with_sizes_at_which_they_differ() -> None:
    (found,) = mistakes(net("add { maxpool(2) maxpool(2, ceil=true) }", "N, 3, h, w"))
    assert found.message.endswith("differ, for instance at h = 1")


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("conv(4, 3)\nrequire params == 110", "`params` is 112"),
        ("conv(4, 3)\nrequire macs == 110", "`macs` is 97_200"),
        ("a = conv(4, 3)\nrequire rf(a) == 5", "`rf(a)` is 3"),
        ("a = conv(4, [3, 5])\nrequire rf(a) == 5", "`rf(a)` is [3, 5]"),
        ("a = flatten\nrequire rf(a) == 5", "`rf(a)` is whole"),
        ("a = conv(4, 3)\nrequire shape(a) == [N, 4, 1, 1]", "`shape(a)` is [N, 4, 30, 30]"),
        ("require 5 == params", "`5` is 0"),
    ],
)
def test_a_refuted_requirement_shows_the_value_found(body: str, found: str) -> None:
    (diagnostic,) = mistakes(net(body))
    assert diagnostic.message == found
