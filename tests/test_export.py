"""`netloom export`: a model takes its place when it is proved, and never that of something else."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy
import onnx
import onnxruntime
import pytest
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

import netloom.cli.export
import netloom.cli.verify  # noqa: F401  registers the command
from netloom.cli.app import app
from netloom.cli.exporting import export_plainly, plain_arguments
from netloom.compile import check_file
from netloom.runtime.export import export_model
from netloom.runtime.proof.isolated import IsolatedRuntime
from netloom.runtime.trained import find
from netloom.runtime.verify import randomised

SPEC = """
network net {
    input image: float32[N, 1, 8, 8]
    trunk = conv(32, 3) -> relu -> flatten
    head logits = linear(3)
}
"""

FORMS: tuple[list[str], ...] = ([], ["--external"], ["--by-reference"])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A spec and its weights, in the working folder."""
    (tmp_path / "net.loom").write_text(SPEC)
    graph = check_file(tmp_path / "net.loom").networks["net"].graph
    save_file(dict(randomised(graph)), tmp_path / "net.safetensors")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime gives twice of everything."""
    honest = IsolatedRuntime.run

    def doubled(self: Any, *arguments: Any) -> Any:
        return {name: 2 * array for name, array in honest(self, *arguments).items()}

    monkeypatch.setattr(IsolatedRuntime, "run", doubled)


def export(*arguments: str | Path, weights: str = "net.safetensors") -> Any:
    environment = {"COLUMNS": "80", "NO_COLOR": "1"}
    given = ["export", "net.loom", "-w", weights, *map(str, arguments)]
    return CliRunner(env=environment).invoke(app, given)


def contents(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.iterdir()}


def logits(model: str) -> Any:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"image": numpy.ones((1, 1, 8, 8), "float32")})[0]


# ---- only when it is proved


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_model_stands_in_its_place_when_it_is_proved(folder: Path, form: list[str]) -> None:
    found = export("-o", "net.onnx", *form)
    assert found.exit_code == 0, found.output
    data = {"net.onnx.data"} if "--external" in form else set()
    assert set(contents(folder)) == {"net.loom", "net.safetensors", "net.onnx"} | data
    onnx.checker.check_model("net.onnx", full_check=True)
    assert logits("net.onnx").shape == (1, 3)
    assert "the model equals the network" in found.stdout
    assert ".net.onnx" not in found.output


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize("form", [*FORMS, ["--fp16", "--max-drop", "9"]], ids=str)
def test_a_model_that_differs_is_not_written(folder: Path, form: list[str]) -> None:
    before = contents(folder)
    found = export("-o", "net.onnx", *form)
    assert found.exit_code == 1
    assert "the model DIFFERS" in found.stdout
    assert "nothing was written; `--no-verify` writes it all the same" in found.stderr
    assert "wrote" not in found.output
    assert contents(folder) == before


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_what_was_there_stays_as_it_was(folder: Path, form: list[str]) -> None:
    assert export("-o", "net.onnx", "--no-verify", *form).exit_code == 0
    before = contents(folder)
    save_file({k: 2 * v for k, v in load_file("net.safetensors").items()}, "other.safetensors")
    assert export("-o", "net.onnx", *form, weights="other.safetensors").exit_code == 1
    after = contents(folder)
    after.pop("other.safetensors")
    assert after == before


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_what_is_checked_is_what_takes_the_place(folder: Path, form: list[str]) -> None:
    trained = find(Path("net.loom"), weights=Path("net.safetensors"))
    seen = []

    def check(place: Path) -> None:
        assert not Path("net.onnx").exists()
        seen.append((place.read_bytes(), logits(str(place))))

    options = {each[2:].replace("-", "_"): True for each in form}
    exported = export_model(trained, Path("net.onnx"), check=check, **options)
    ((content, result),) = seen
    assert Path("net.onnx").read_bytes() == content
    assert (logits("net.onnx") == result).all()
    assert [each for each in exported.files if not each.exists()] == []


def test_a_file_keeps_its_permissions(folder: Path) -> None:
    for form in FORMS:
        export("-o", "net.onnx", *form)
        os.chmod("net.onnx", 0o640)
        export("-o", "net.onnx", *form)
        assert (folder / "net.onnx").stat().st_mode & 0o777 == 0o640


def _when_there(folder: Path, process: "subprocess.Popen[str]") -> None:
    """Waits until the model is written beside its place, where it is then proved."""
    end = time.monotonic() + 60
    while not [each for each in folder.iterdir() if each.name.startswith(".net.onnx.")]:
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.01)


@pytest.mark.parametrize("form", [[], ["--external"]], ids=str)
def test_an_export_that_is_interrupted_leaves_nothing(folder: Path, form: list[str]) -> None:
    before = contents(folder)
    command = [sys.executable, "-m", "netloom", "export", "net.loom", "-w", "net.safetensors"]
    process = subprocess.Popen(
        [*command, "-o", "net.onnx", *form],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    _when_there(folder, process)
    os.killpg(process.pid, signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (130, "")
    assert stderr == "interrupted; nothing was written\n"
    assert contents(folder) == before


def _interrupted(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def test_interruptions_are_a_line_wherever_they_come(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in ("netloom.runtime.trained", "netloom.runtime.verify"):
        name = module.rpartition(".")[2].replace("trained", "find")
        monkeypatch.setattr(f"{module}.{name}", _interrupted)
        found = export("-o", "net.onnx")
        assert (found.exit_code, found.stderr) == (130, "interrupted; nothing was written\n")
        found = CliRunner().invoke(app, ["verify", "net.loom"])
        assert (found.exit_code, found.stderr) == (130, "interrupted\n")
        monkeypatch.undo()
        monkeypatch.chdir(folder)
    monkeypatch.setattr("netloom.runtime.trained.find", _interrupted)
    plain = plain_arguments(["net.loom", "-w", "net.safetensors", "--no-verify"])
    assert plain is not None
    assert export_plainly(plain) == 130
    assert capsys.readouterr().err == "interrupted; nothing was written\n"


# ---- what must not be written over


def plainly(*arguments: str) -> int:
    """The export without the option parser."""
    given = plain_arguments(["net.loom", "-w", "net.safetensors", "--no-verify", *arguments])
    assert given is not None
    return export_plainly(given)


@pytest.mark.parametrize(
    "content", [b"import torch\n", b"\x89PNG\r\n\x1a\n" + bytes(50), b"\x08\x0a"]
)
def test_what_is_no_model_is_not_written_over(
    folder: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine").write_bytes(content)
    for options in (["--no-verify"], ["--fp16"], []):
        found = export("-o", "mine", *options)
        assert found.exit_code == 1
        assert "error[E004]: `mine` exists and is not an ONNX model" in found.stderr
        assert "`--force` overwrites it" in found.stderr
    assert plainly("-o", "mine") == 1
    assert "E004" in capsys.readouterr().err
    assert Path("mine").read_bytes() == content
    assert plainly("-o", "mine", "--force") == 0
    assert logits("mine").shape == (1, 3)
    Path("mine").write_bytes(content)
    assert export("-o", "mine", "--force").exit_code == 0


def test_models_and_empty_files_are_written_over(folder: Path) -> None:
    Path("empty").touch()
    for name in ("empty", "net.onnx", "net.onnx"):
        assert plainly("-o", name) == 0
    foreign = onnx.load("net.onnx")
    foreign.producer_name = "another"
    onnx.save(foreign, "foreign.onnx")
    assert plainly("-o", "foreign.onnx") == 0
    assert onnx.load("foreign.onnx").producer_name == "netloom"


@pytest.mark.parametrize(
    ("source", "what"), [("net.loom", "the spec"), ("net.safetensors", "the checkpoint")]
)
@pytest.mark.parametrize("spelling", ["as it is", "absolute", "dots", "link", "hard link"])
def test_what_is_read_is_never_written_over(
    folder: Path, source: str, what: str, spelling: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "sub").mkdir()
    path = {
        "as it is": source,
        "absolute": str(folder / source),
        "dots": f"sub/../{source}",
        "link": "link.onnx",
        "hard link": "same.onnx",
    }[spelling]
    if spelling == "link":
        os.symlink(source, path)
    if spelling == "hard link":
        os.link(source, path)
    before = Path(source).read_bytes()
    for options in ([], ["--force"], ["--external", "--force"]):
        assert plainly("-o", path, *options) == 1
        told = capsys.readouterr().err
        assert f"error[E004]: `{path}` is {what}, which is read here" in told
        assert "name another file with `--out`" in told
    found = export("-o", path, "--fp16", "--force")
    assert (found.exit_code, "E004" in found.stderr) == (1, True)
    assert Path(source).read_bytes() == before
    assert Path(path).exists()


def test_an_imported_file_is_read_too(folder: Path) -> None:
    Path("part.loom").write_text("block part() { conv(32, 3) -> relu }\n")
    text = f'from "part.loom" import part\n{SPEC.replace("conv(32, 3) -> relu", "part()")}'
    Path("net.loom").write_text(text)
    graph = check_file("net.loom").networks["net"].graph
    save_file(dict(randomised(graph)), "net.safetensors")
    found = export("-o", "part.loom", "--force")
    assert found.exit_code == 1
    assert "`part.loom` is imported by the spec, which is read here" in found.stderr


def test_the_file_of_the_weights_is_looked_at_too(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy("net.safetensors", "net.onnx.data")
    assert plainly("-o", "net.onnx", "--external") == 1
    told = capsys.readouterr().err
    assert "`net.onnx.data` exists and does not hold the weights of `net.onnx`" in told
    assert plainly("-o", "net.onnx", "--external", "--force") == 0
    assert plainly("-o", "net.onnx", "--external") == 0
    os.rename("net.safetensors", "other.onnx.data")
    capsys.readouterr()
    given = ["net.loom", "-w", "other.onnx.data", "-o", "other.onnx", "--external", "--force"]
    plain = plain_arguments([*given, "--no-verify"])
    assert plain is not None
    assert export_plainly(plain) == 1
    assert "`other.onnx.data` is the checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize("path", ["sub", "/dev/null"])
def test_what_is_no_file_is_not_replaced(
    folder: Path, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "sub").mkdir()
    assert plainly("-o", path) == 1
    assert f"error[E005]: cannot write `{path}`" in capsys.readouterr().err
    assert (folder / "sub").is_dir()
    assert not Path("/dev/null").is_file()


# ---- weights


def test_weights_that_are_not_finite_are_named(folder: Path) -> None:
    weights = load_file("net.safetensors")
    weights["trunk.bias"][1] = numpy.nan
    save_file(weights, "nan.safetensors")
    before = contents(folder)
    for options in ([], ["--fp16"]):
        found = export("-o", "net.onnx", *options, weights="nan.safetensors")
        assert found.exit_code == 1
        assert "error[E618]: 1 number is NaN or infinite in the weights" in found.stderr
        assert "`trunk.bias`" in found.stderr
        assert found.stderr.count("error[") == 1
    assert contents(folder) == before
    found = CliRunner().invoke(app, ["verify", "net.loom", "-w", "nan.safetensors"])
    assert (found.exit_code, "error[E618]" in found.stderr) == (1, True)


def test_infinities_that_do_no_harm_are_noted(folder: Path) -> None:
    Path("net.loom").write_text(SPEC.replace("linear(3)", "linear(3) -> sigmoid"))
    weights = load_file("net.safetensors")
    weights["logits.bias"][1] = -numpy.inf
    save_file(weights, "inf.safetensors")
    found = export("-o", "net.onnx", weights="inf.safetensors")
    assert found.exit_code == 0, found.output
    assert "not all numbers are finite in the weights logits.bias" in found.stdout


# ---- JSON


def test_json_says_what_was_done(folder: Path) -> None:
    found = export("-o", "net.onnx", "--external", "--json")
    assert found.exit_code == 0
    document = json.loads(found.stdout)
    assert document["ok"] is True
    assert document["files"] == [
        {"file": name, "bytes": Path(name).stat().st_size} for name in ("net.onnx", "net.onnx.data")
    ]
    assert document["proof"]["ok"] is True
    assert document["proof"]["weights"]["different"] == {}
    assert (document["gate"], document["precision"]) == (None, "float32")
    assert document["changes"] == []


def test_json_has_the_gate(folder: Path) -> None:
    document = json.loads(export("-o", "net.onnx", "--fp16", "--json").stdout)
    assert document["gate"]["precision"] == document["precision"] == "float16"
    assert document["gate"]["checks"][0]["name"] == "the difference of `logits`"
    assert document["proof"]["precision"] == "float16"


def test_json_lists_changes(folder: Path) -> None:
    Path("net.loom").write_text(SPEC.replace("-> relu", "-> relu -> dropout(0.5)"))
    document = json.loads(export("-o", "net.onnx", "--no-verify", "--json").stdout)
    assert document["proof"] is None
    (change,) = document["changes"]
    assert change["rewrite"] == "left out"
    assert change["layers"] == ["trunk.dropout1"]


@pytest.mark.usefixtures("broken")
def test_json_says_that_nothing_was_written(folder: Path) -> None:
    found = export("-o", "net.onnx", "--json")
    document = json.loads(found.stdout)
    assert (found.exit_code, document["ok"], document["files"]) == (1, False, [])
    assert document["proof"]["ok"] is False


def test_json_of_a_refusal(folder: Path) -> None:
    found = export("-o", "net.loom", "--json")
    document = json.loads(found.stdout)
    assert (found.exit_code, document["ok"]) == (1, False)
    assert [each["code"] for each in document["diagnostics"]] == ["E004"]
