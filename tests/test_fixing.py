"""Edits: what is certain is put right, what is not is left alone, and no file is made worse."""

import os
import random
import stat
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

import netloom.cli.check  # noqa: F401  registers the command
from netloom.cli.app import app
from netloom.compile import check
from netloom.diagnostics import Diagnostic, Failed, Source
from netloom.diagnostics.fixing import Fixed, fix
from netloom.diagnostics.names import meant
from netloom.syntax.source import from_bytes
from specimens import ROOT, net

TRAINED = """\
network net {
    input image: float32[N, 1, 16, 16]
    target label: int64[N]
    head logits = flatten -> linear(10)
}

train net {
    %s
}
"""

SCORED = "network d { input x: float32[N, 3, 32, 32] head score = relu }\n"

WRONG_AND_RIGHT = {
    "operator": (net("conf(4, 3)"), net("conv(4, 3)")),
    "operator behind an arrow": (net("relu -> batchnrom"), net("relu -> batchnorm")),
    "operator as PyTorch writes it": (net("ReLU -> BatchNorm"), net("relu -> batchnorm")),
    "block": (
        "block basic() { relu }\n" + net("basic -> basik"),
        "block basic() { relu }\n" + net("basic -> basic"),
    ),
    "value": (
        net("skip = relu\nskip -> concat { in  skp }"),
        net("skip = relu\nskip -> concat { in  skip }"),
    ),
    "value in an expression": (
        net("image -> conv(imge.channels, 3)"),
        net("image -> conv(image.channels, 3)"),
    ),
    "attribute": (net("conv(image.chanels, 3)"), net("conv(image.channels, 3)")),
    "argument": (net("conv(4, 3, strid=2)"), net("conv(4, 3, stride=2)")),
    "choice": (net('upsample(2, mode="bilinar")'), net('upsample(2, mode="bilinear")')),
    "element type": (
        "network n { input x: flaot32[N, 3] head y = relu }\n",
        "network n { input x: float32[N, 3] head y = relu }\n",
    ),
    "head": (
        SCORED + net("a = d.score\nd.scor"),
        SCORED + net("a = d.score\nd.score"),
    ),
    "setting": (
        TRAINED % "loss cross_entropy(logits, label)\n    optimiser adam",
        TRAINED % "loss cross_entropy(logits, label)\n    optimizer adam",
    ),
    "loss": (
        TRAINED % "loss crossentropy(logits, label)",
        TRAINED % "loss cross_entropy(logits, label)",
    ),
    "head in a loss": (
        TRAINED % "loss cross_entropy(logit, label)\n    metric accuracy(logits, label)",
        TRAINED % "loss cross_entropy(logits, label)\n    metric accuracy(logits, label)",
    ),
    "data source": (
        TRAINED % 'loss cross_entropy(logits, label)\n    data "digit?size=16"',
        TRAINED % 'loss cross_entropy(logits, label)\n    data "digits?size=16"',
    ),
    "fat arrow": (net("conv(4, 3) => relu => tanh"), net("conv(4, 3) -> relu -> tanh")),
    "fat arrow behind a name": (net("relu => tanh"), net("relu -> tanh")),
    "semicolon": (net("relu; tanh;"), net("relu tanh")),
    "comment": (net("relu // in place"), net("relu # in place")),
    "bracket before the next line": (net("conv(4, 3"), net("conv(4, 3)")),
    "bracket before an arrow": (net("conv(4, 3 -> relu"), net("conv(4, 3) -> relu")),
    "bracket of a list": (net("let a = [1, 2\nlet b = 3"), net("let a = [1, 2]\nlet b = 3")),
    "bracket before a brace": (
        net("").replace("head out = relu", "head out = conv(4, 3"),
        net("").replace("head out = relu", "head out = conv(4, 3)"),
    ),
    "last brace": (net("relu").removesuffix("}\n"), net("relu")),
    "last brace without line end": (net("relu").removesuffix("\n}\n"), net("relu")),
    "several": (
        net("conf(3, 3, padd=1) => batch_norm; // c").removesuffix("}\n"),
        net("conv(3, 3, pad=1) -> batchnorm # c"),
    ),
}

UNCERTAIN = {
    "two names one slip away": net("skips = relu\nskipa = tanh\nskipe"),
    "a name of another number": net("a1 = relu\nfine1 = tanh\nfine2 -> relu"),
    "a name of another capital": net("taskA = relu\ntaskB -> tanh"),
    "a name that is never used": net("feaatures = relu\nfeatures -> tanh"),
    "a parameter that is never used": "block b(stride_: int = 1) { relu }\n" + net("b(stride=2)"),
    "a bracket around half a name": net("glob(al_avgpool"),
    "a bracket before a comparison": net("a = relu\nrequire rf(a == 5"),
    "a very short name": net("conv(chs, 3)", "N, ch, 32, 32"),
    "a constant that is misspelt elsewhere": net('let m = "bilinar"\nupsample(2, mode=m)'),
    "PyTorch's argument": net("conv(4, kernel_size=3)"),
    "an arrow in a condition": net("if 3 => 2 { relu }"),
    "a semicolon between arguments": net("conv(4; 3)"),
    "a comment that holds a brace": net("concat { in relu // all }"),
    "slashes of another comment": net("relu /* in place */"),
    "a bracket over several lines": net("conv(\n  4, 3"),
    "two brackets of a line": net("conv(4, [3, 3 -> relu"),
    "an inner brace": net("residual {\n    relu"),
    "a bracket that is closed later": net("conv(4, 3 -> relu)"),
    "a projection": net("residual { conv(8, 3, pad=1) }"),
}


def mistakes(source: Source) -> tuple[Diagnostic, ...]:
    try:
        check(source)
    except Failed as failure:
        return failure.diagnostics
    return ()


def fixed(content: bytes) -> Fixed:
    return fix(content, lambda each: from_bytes("net.loom", each), mistakes)


@pytest.mark.parametrize("name", WRONG_AND_RIGHT)
def test_what_is_certain_is_put_right(name: str) -> None:
    wrong, right = WRONG_AND_RIGHT[name]
    found = fixed(wrong.encode())
    assert found.content.decode() == right
    assert (found.left, fixed(found.content)) == ((), Fixed(found.content, (), ()))
    assert found.changes


@pytest.mark.parametrize("name", [name for name in WRONG_AND_RIGHT if name != "several"])
def test_each_edit_alone_removes_a_mistake_and_adds_none(name: str) -> None:
    text = WRONG_AND_RIGHT[name][0]
    found = mistakes(Source("net.loom", text))
    edits = [each.edit for each in found if each.edit]
    assert edits
    for edit in edits:
        after = text[: edit.span.start] + edit.replacement + text[edit.span.end :]
        left = mistakes(Source("net.loom", after))
        assert Counter(each.code for each in left) <= Counter(each.code for each in found)
        assert left != found


@pytest.mark.parametrize("name", UNCERTAIN)
def test_what_is_not_certain_is_left_alone(name: str) -> None:
    text = UNCERTAIN[name]
    found = fixed(text.encode())
    assert (found.content.decode(), found.changes) == (text, ())
    assert found.left


@pytest.mark.parametrize("seed", range(10))
def test_a_slip_in_a_sound_spec_is_not_made_worse(seed: int) -> None:
    chance = random.Random(seed)
    text = (ROOT / "specs" / "googlenet_digits.loom").read_text(encoding="utf-8")
    for _ in range(20):
        at = chance.randrange(len(text))
        wrong = text[:at] + chance.choice(["", text[at] * 2, *"xy_(){};"]) + text[at + 1 :]
        before, after = mistakes(Source("net.loom", wrong)), fixed(wrong.encode())
        assert _syntax_errors(after.left) <= _syntax_errors(before)
        assert bool(after.changes) == (after.content != wrong.encode())
        assert fixed(after.content)[:2] == (after.content, ())


def _syntax_errors(found: tuple[Diagnostic, ...]) -> int:
    return sum(diagnostic.code.startswith("E1") for diagnostic in found)


@pytest.mark.parametrize(
    ("name", "known", "right"),
    [
        ("conf", ["conv", "deconv"], "conv"),
        ("cnov", ["conv", "deconv"], "conv"),
        ("LeakyReLU", ["relu", "leaky_relu"], "leaky_relu"),
        ("skip", ["skip1", "skip2"], None),
        ("skips", ["skip", "skipp"], None),
        ("pa", ["pad"], None),
        ("conv2d", ["conv", "deconv"], None),
        ("", ["conv"], None),
    ],
)
def test_a_name_is_meant_if_it_is_the_only_one_a_slip_away(
    name: str, known: list[str], right: str | None
) -> None:
    assert meant(name, known) == right


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_byte_order_mark_stay(line_end: str, mark: str) -> None:
    wrong, right = WRONG_AND_RIGHT["several"]
    wrong, right = "# é\n" + wrong, "# é\n" + right
    content = (mark + wrong.replace("\n", line_end)).encode()
    assert fixed(content).content == (mark + right.replace("\n", line_end)).encode()


def test_mistakes_without_an_edit_are_left() -> None:
    found = fixed(net("conv(3, 3, padd=1)\nconv(4, 99)").encode())
    assert found.changes == ("net.loom:3:16: padd -> pad",)
    assert [each.code for each in found.left] == ["E209"]


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with one mistake that is certain."""
    monkeypatch.chdir(tmp_path)
    path = Path("net.loom")
    path.write_text(net("conf(4, 3)"), encoding="utf-8")
    return path


def run(*arguments: str) -> tuple[int, str, str]:
    found = CliRunner().invoke(app, ["check", *arguments], env={"NO_COLOR": "1"})
    return found.exit_code, found.stdout, found.stderr


def test_fix_says_what_it_changed_and_checks_again(spec: Path) -> None:
    code, output, errors = run("--fix", "net.loom")
    assert (code, errors) == (0, "")
    first, second = output.splitlines()
    assert first == "net.loom:3:5: conf -> conv"
    assert second.startswith("net.loom: net is sound")
    assert spec.read_text() == net("conv(4, 3)")


def test_fix_of_a_sound_file_writes_nothing(spec: Path) -> None:
    run("--fix", "net.loom")
    before = spec.stat()
    code, output, _ = run("--fix", "net.loom")
    assert code == 0
    assert output.startswith("net.loom: net is sound")
    assert spec.stat().st_mtime_ns == before.st_mtime_ns
    assert spec.stat().st_ino == before.st_ino


def test_diff_shows_the_change_and_writes_nothing(spec: Path) -> None:
    code, output, errors = run("--fix", "--diff", "net.loom")
    assert (code, errors) == (1, "")
    assert output.startswith("--- net.loom\n+++ net.loom\n")
    assert "-    conf(4, 3)\n+    conv(4, 3)\n" in output
    assert spec.read_text() == net("conf(4, 3)")


def test_diff_needs_fix(spec: Path) -> None:
    assert run("--diff", "net.loom")[0] == 2


def test_what_is_left_is_reported_and_the_code_is_1(spec: Path) -> None:
    spec.write_text(net("conf(4, 3, padd=1) -> conv(4, 99)"), encoding="utf-8")
    code, output, errors = run("--fix", "net.loom")
    assert code == 1
    assert output == "net.loom:3:5: conf -> conv\nnet.loom:3:16: padd -> pad\n"
    assert errors.startswith("error[E209]")


def test_a_link_stays_a_link_and_permissions_stay(spec: Path) -> None:
    spec.chmod(0o600)
    Path("link.loom").symlink_to(spec)
    assert run("--fix", "link.loom")[0] == 0
    assert Path("link.loom").is_symlink()
    assert spec.read_text() == net("conv(4, 3)")
    assert stat.S_IMODE(spec.stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere")
def test_a_folder_that_cannot_be_written_is_told(spec: Path) -> None:
    spec.parent.chmod(0o500)
    code, _, errors = run("--fix", "net.loom")
    assert code == 1
    assert "E005" in errors


def test_imported_files_are_not_changed(spec: Path) -> None:
    blocks = "block basic() { reluu }\n"
    Path("blocks.loom").write_text(blocks)
    spec.write_text('from "blocks.loom" import basic\n' + net("basic"), encoding="utf-8")
    code, output, errors = run("--fix", "net.loom")
    assert (code, output) == (1, "")
    assert "did you mean `relu`?" in errors
    assert Path("blocks.loom").read_text() == blocks
