"""The page of every diagnostic code says what happens: its specs are checked, its commands are run.

A code block that begins with `loom` is the spec `net.loom`, or the file named behind it; one that
begins with `sh` is a command. What a command needs that cannot stand in a page is made here.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest

import netloom
from netloom.compile import check_file
from netloom.diagnostics import CODES, Diagnostic, Failed
from netloom.diagnostics.catalogue import PAGES, index, page, prose_of
from netloom.diagnostics.render import render
from netloom.emit.weights import initial
from netloom.limits import DEFAULT
from specimens import ROOT

LENET = (ROOT / "specs" / "lenet.loom").read_text(encoding="utf-8")

UNSTABLE = {
    "E507": "takes a training",
    "E601": "depends on what is installed",
    "E604": "ends in the words of ONNX Runtime's version",
    "E607": "depends on the machine",
    "E615": "takes a training",
}
"""Commands whose output is not in the page, and why."""


def sections(code: str) -> dict[str, str]:
    """The text of a page below each of its headings."""
    _, *parts = page(code).split("\n## ")
    return dict(part.split("\n", 1) for part in parts)


def files(section: str) -> dict[str, str]:
    """The specs of a section by their file names."""
    blocks = re.findall(r"^```loom ?(\S*)\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    return {name or "net.loom": text for name, text in blocks}


def commands(section: str) -> list[str]:
    return re.findall(r"^```sh\nnetloom (.*)\n```$", section, re.MULTILINE)


def _write(specs: dict[str, str]) -> None:
    for name, text in specs.items():
        Path(name).write_text(text, encoding="utf-8", newline="\n")


def _netloom(arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "netloom", *arguments.split()]
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = str(Path(netloom.__file__).parents[1])
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def _lenet() -> None:
    _write({"lenet.loom": LENET})


def _image_for_a_spec() -> None:
    Path("digit.png").write_bytes((ROOT / "docs" / "images" / "digit-3.png").read_bytes())


def _large_spec() -> None:
    _write({"generated.loom": "# layer\n" * (DEFAULT.text // 8 + 1)})


def _foreign_file() -> None:
    _lenet()
    Path("lenet.py").write_text("print('mine')\n")


def _other_weights() -> None:
    from safetensors.numpy import save_file

    _lenet()
    save_file({"c1.weight": numpy.zeros((8, 1, 5, 5), "float32")}, "resnet.safetensors")


def _foreign_weights(code: str, section: str = "Wrong") -> None:
    """LeNet's weights under the names of another library, and the key map of the page."""
    from safetensors.numpy import save_file

    _lenet()
    weights = initial(check_file("lenet.loom").networks["lenet"].graph)
    theirs = {"c1": "features.0", "c3": "features.3", "c5": "features.6"}
    theirs |= {"f6": "classifier.0", "logits": "classifier.2"}
    renamed = {}
    for name, array in weights.items():
        layer, _, parameter = name.partition(".")
        linear = code == "E610" and name == "c5.weight"
        renamed[f"{theirs[layer]}.{parameter}"] = array.reshape(120, 400) if linear else array
    save_file(renamed, "theirs.safetensors")
    (keys,) = re.findall(r"^```keys lenet.keys\n(.*?)^```$", sections(code)[section], re.S | re.M)
    Path("lenet.keys").write_text(keys)


def _model_and_pixels() -> None:
    _lenet()
    assert _netloom("compile lenet.loom").returncode == 0
    numpy.save("pixels.npy", numpy.zeros((28, 28), "float32"))
    digit = numpy.zeros((1, 1, 32, 32), "float32")
    numpy.save("digit.npy", digit)
    digit[0, 0, 3, :12] = numpy.nan
    numpy.save("missing.npy", digit)


def _model_and_a_folder() -> None:
    _model_and_pixels()
    Path("digits").mkdir()


def _other_model() -> None:
    _lenet()
    _write({"other.loom": "network other { input x: float32[N, 4]  head y = linear(2) }\n"})
    assert _netloom("compile other.loom").returncode == 0


def _weights_in_a_folder() -> None:
    from safetensors.numpy import save_file

    from netloom.compile import check_file
    from netloom.emit.weights import initial

    _lenet()
    Path("runs").mkdir()
    graph = check_file(Path("lenet.loom")).networks["lenet"].graph
    save_file(dict(initial(graph)), "runs/lenet.safetensors")


def _weights_of_the_spec() -> None:
    from safetensors.numpy import save_file

    ones = {"logits.weight": (10, 64), "logits.bias": (10,)}
    save_file(
        {name: numpy.ones(shape, "float32") for name, shape in ones.items()}, "net.safetensors"
    )


def _diverged_weights() -> None:
    from safetensors.numpy import save_file

    shapes = {"logits.weight": (10, 64), "logits.bias": (10,)}
    arrays = {name: numpy.full(shape, numpy.nan, "float32") for name, shape in shapes.items()}
    save_file(arrays, "diverged.safetensors")


def _damaged_model() -> None:
    """A model in which the lowest bit of one weight is flipped."""
    from safetensors.numpy import save_file

    _lenet()
    weights = initial(check_file(Path("lenet.loom")).networks["lenet"].graph)
    save_file(dict(weights), "lenet.safetensors")
    command = "export lenet.loom --weights lenet.safetensors --no-verify --out damaged.onnx"
    assert _netloom(command).returncode == 0
    content = bytearray(Path("damaged.onnx").read_bytes())
    content[content.index(weights["c5.weight"].tobytes())] ^= 1
    Path("damaged.onnx").write_bytes(content)


PREPARED: dict[str, Callable[[], None]] = {
    "E001": _lenet,
    "E002": _image_for_a_spec,
    "E003": _large_spec,
    "E004": _foreign_file,
    "E005": _lenet,
    "E602": _lenet,
    "E603": _other_weights,
    "E605": _model_and_pixels,
    "E606": _other_model,
    "E611": _model_and_a_folder,
    "E617": _weights_in_a_folder,
    "E620": _model_and_pixels,
    "W621": _model_and_pixels,
    "E616": _weights_of_the_spec,
    "E613": _lenet,
    "E618": _diverged_weights,
    "E619": _damaged_model,
    "E609": lambda: _foreign_weights("E609"),
    "E610": lambda: _foreign_weights("E610"),
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page is tried in a folder of its own."""
    monkeypatch.chdir(tmp_path)


def test_every_code_has_a_page_and_every_page_a_code() -> None:
    assert sorted(path.stem for path in PAGES.iterdir()) == sorted(CODES)


@pytest.mark.parametrize("code", CODES)
def test_page_has_its_form(code: str) -> None:
    assert page(code).startswith(f"# {code}: {CODES[code]}\n\n")
    assert page(code).endswith("```\n")
    assert 2 <= len(re.findall(r"\.(?=\s|$)", prose_of(code))) <= 6
    assert max(map(len, page(code).splitlines())) <= 120
    outputs = ["Wrong", "Right"] if code in UNSTABLE else ["Wrong", "Output", "Right"]
    assert list(sections(code)) == outputs


@pytest.mark.parametrize("code", [code for code in CODES if code not in UNSTABLE])
def test_wrong_example_gives_the_output(code: str, request: pytest.FixtureRequest) -> None:
    wrong = sections(code)["Wrong"]
    _write(files(wrong))
    given = commands(wrong)
    output = _output_of(given[0], code) if given else _diagnostics_of(code)
    if request.config.getoption("--update-golden"):
        before, rest = page(code).split("## Output\n\n```text\n")
        _, after = rest.split("```\n", 1)
        text = f"{before}## Output\n\n```text\n{output}```\n{after}"
        (PAGES / f"{code}.md").write_text(text, encoding="utf-8", newline="\n")
    assert sections(code)["Output"].strip("\n") == f"```text\n{output}```"


def _diagnostics_of(code: str) -> str:
    """What `netloom check` says about the failing spec, which has this one mistake."""
    found = _told_of("net.loom")
    assert {diagnostic.code for diagnostic in found} == {code}
    return render(found)


def _told_of(path: str) -> tuple[Diagnostic, ...]:
    try:
        return check_file(path).warnings
    except Failed as failure:
        return failure.diagnostics


def _output_of(command: str, code: str) -> str:
    PREPARED.get(code, lambda: None)()
    found = _netloom(command)
    severity = Diagnostic(code, "").severity
    assert found.returncode == (severity == "error")
    assert f"{severity}[{code}]: " in found.stderr
    assert found.stderr.count(f"{severity}[") == 1
    return found.stderr


@pytest.mark.parametrize("code", [code for code in CODES if files(sections(code)["Right"])])
def test_right_spec_is_sound(code: str) -> None:
    _write(files(sections(code)["Right"]))
    assert check_file("net.loom").networks
    assert not _told_of("net.loom")


@pytest.mark.parametrize("code", ["E609", "E610"])
def test_right_key_map_fits(code: str) -> None:
    _foreign_weights(code, "Right")
    (command,) = commands(sections(code)["Wrong"])
    found = _netloom(f"{command} -o ours.safetensors")
    assert found.returncode == 0, found.stderr
    assert "wrote ours.safetensors (10 tensors of network `lenet`)" in found.stderr


def test_the_index_is_made_of_the_pages() -> None:
    assert (ROOT / "docs" / "diagnostics.md").read_text(encoding="utf-8") == index(), "make docs"


@pytest.mark.parametrize("text", ["E208", "e208", "shape-mismatch"])
def test_explain_error_prints_the_page(text: str) -> None:
    found = _netloom(f"explain-error {text}")
    assert (found.returncode, found.stdout, found.stderr) == (0, page("E208"), "")


@pytest.mark.parametrize(
    ("text", "near"), [("E2080", "`E208`"), ("shape-mismatc", "`shape-mismatch`")]
)
def test_explain_error_knows_no_other_codes(text: str, near: str) -> None:
    found = _netloom(f"explain-error {text}")
    assert (found.returncode, found.stdout) == (1, "")
    assert f"there is no diagnostic code `{text}`" in found.stderr
    assert f"did you mean {near}?" in found.stderr
