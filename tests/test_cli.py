"""The command line as a user meets it: streams, exit codes, files."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy
import onnx
import pytest

from netloom import __version__

ROOT = Path(__file__).parents[1]
LENET = ROOT / "specs" / "lenet.loom"
GOOGLENET = ROOT / "specs" / "googlenet_digits.loom"
DIGIT = ROOT / "docs" / "images" / "digit-3.png"


def netloom(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "netloom", *map(str, arguments)]
    # One thread each: tests run beside one another, and spinning threads would starve them.
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment)


def document(*arguments: str | Path) -> Any:
    found = netloom(*arguments)
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a LeNet that was trained for two epochs and exported."""
    folder = tmp_path_factory.mktemp("train") / "run"
    trained = netloom("train", LENET, "--epochs", "2", "--out", folder)
    assert trained.returncode == 0, trained.stderr
    assert trained.stdout == f"{folder}\n"
    exported = netloom("export", folder)
    assert exported.returncode == 0, exported.stderr
    assert "the model equals the network" in exported.stdout
    return folder


def test_check_says_on_stdout_what_is_sound() -> None:
    found = netloom("check", LENET)
    assert (found.returncode, found.stderr) == (0, "")
    assert "lenet is sound, 61,706 parameters, 416,520 MACs" in found.stdout


def test_check_takes_a_folder() -> None:
    found = netloom("check", ROOT / "specs")
    assert found.returncode == 0
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "specs").rglob("*.loom")]
    networks = sum(line.startswith("network ") for text in texts for line in text.splitlines())
    assert len(found.stdout.splitlines()) == networks


def test_mistakes_go_to_stderr_and_the_code_is_1(tmp_path: Path) -> None:
    spec = tmp_path / "bad.loom"
    spec.write_text("network a { input x: float32[N, 3]\n head y = x -> lineer(3) }\n")
    found = netloom("check", spec)
    assert (found.returncode, found.stdout) == (1, "")
    assert "error[E202]" in found.stderr
    assert "bad.loom:2:16" in found.stderr
    assert "did you mean `linear`?" in found.stderr


def test_mistakes_as_json_carry_byte_offsets(tmp_path: Path) -> None:
    spec = tmp_path / "bad.loom"
    text = "# ÄÖ\nnetwork a { input x: float32[N, 3]\n head y = x -> lineer(3) }\n"
    spec.write_text(text, encoding="utf-8")
    found = netloom("check", "--json", spec)
    assert (found.returncode, found.stderr) == (1, "")
    (diagnostic,) = json.loads(found.stdout)["files"][0]["diagnostics"]
    span = diagnostic["span"]
    assert text.encode()[span["start"] : span["end"]] == b"lineer"
    assert (span["line"], diagnostic["code"]) == (3, "E202")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("check", "missing.loom"), "E001"),
        (("explain", "missing.loom", "--json"), "E001"),
        (("check", sys.executable), "E0"),
        (("export", LENET), "E602"),
        (("export", ROOT / "docs"), "E602"),
        (("run", LENET, DIGIT), "E604"),
        (("train", ROOT / "bench" / "resnet50.loom"), "E506"),
        (("train", LENET, "--data", "digit"), "E504"),
        (("explain", LENET, "--network", "lenett"), "E201"),
        (("verify", LENET, "--weights", LENET), "E602"),
    ],
)
def test_a_mistake_has_a_code_and_no_traceback(
    arguments: tuple[str | Path, ...], code: str
) -> None:
    found = netloom(*arguments)
    assert found.returncode == 1
    told = found.stdout if "--json" in arguments else found.stderr
    assert code in told
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize("arguments", [(), ("check",), ("nosuch",), ("check", "--nosuch", "x")])
def test_wrong_usage_is_2(arguments: tuple[str, ...]) -> None:
    assert netloom(*arguments).returncode == 2


def _into(stdout: Any, *arguments: str | Path, **variables: str) -> tuple[int, str]:
    """The exit code and the stderr of a command that writes to such a stdout."""
    command = [sys.executable, "-m", "netloom", *map(str, arguments)]
    environment = {**os.environ, **variables}
    found = subprocess.run(
        command, stdout=stdout, stderr=subprocess.PIPE, text=True, env=environment
    )
    return found.returncode, found.stderr


WITH_OUTPUT = [
    ("check", LENET),
    ("check", "--json", LENET),
    ("explain", LENET),
    ("fmt", "--diff", ROOT / "tests" / "crashers" / "whole_with_gaps.loom"),
    ("compile", LENET, "--emit", "torch"),
    ("explain-error", "E208"),
    ("--help",),
]
FULL = "error[E005]: cannot write to stdout: no space left on device\n"


@pytest.mark.parametrize("arguments", WITH_OUTPUT, ids=lambda each: each[0])
def test_a_full_disk_behind_stdout_is_told(arguments: tuple[str | Path, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        assert _into(full, *arguments) == (1, FULL)


def test_a_full_disk_is_told_also_where_nothing_is_buffered() -> None:
    with Path("/dev/full").open("w") as full:
        assert _into(full, "explain", LENET, PYTHONUNBUFFERED="1") == (1, FULL)


@pytest.mark.parametrize("arguments", WITH_OUTPUT, ids=lambda each: each[0])
def test_a_reader_that_has_gone_is_no_mistake(arguments: tuple[str | Path, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert _into(writing, *arguments) == (0, "")
    finally:
        os.close(writing)


@pytest.mark.parametrize("command", ["check", "explain"])
def test_a_stdout_that_is_closed_is_no_mistake(command: str) -> None:
    script = f"exec {sys.executable} -m netloom {command} {LENET} >&-"
    found = subprocess.run(script, shell=True, capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (0, "")


def test_version_and_help() -> None:
    assert netloom("--version").stdout == f"netloom {__version__}\n"
    assert netloom("--help").returncode == 0


@pytest.mark.parametrize("arguments", [["check", str(LENET)], ["explain", str(LENET)], ["--help"]])
def test_light_commands_import_nothing_heavy(arguments: list[str]) -> None:
    script = (
        "import sys\n"
        f"sys.argv = ['netloom', *{arguments!r}]\n"
        "from netloom.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "heavy = {'torch', 'onnx', 'onnxruntime', 'numpy', 'lightning', 'sklearn'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr


def test_explain_shows_the_receptive_fields_of_lenet() -> None:
    values = document("explain", "--json", LENET)["networks"]["lenet"]["values"]
    sizes = [v["rf"]["image"]["h"]["size"] for v in values if v["op"] in ("conv", "avgpool")]
    assert sizes[:4] == [[5], [6], [14], [16]]
    table = netloom("explain", LENET).stdout
    end = table.splitlines()[2].index("field") + len("field")
    cells = [line[:end].split()[-1] for line in table.splitlines()[4:10]]
    assert cells == ["5", "5", "6", "14", "14", "16"]


def test_explain_json_has_the_documented_form() -> None:
    network = document("explain", "--json", LENET)["networks"]["lenet"]
    assert (network["params"], network["macs"]) == (61_706, 416_520)
    assert network["inputs"] == [{"name": "image", "dtype": "float32", "shape": ["N", 1, 32, 32]}]
    assert [(head["name"], head["mode"]) for head in network["heads"]] == [
        ("logits", "both"),
        ("probabilities", "infer"),
    ]
    pool = next(value for value in network["values"] if value["name"] == "s4")
    expected = {"size": [16], "stride": "4", "offset": "0", "period": 1}
    expected |= {"intervals": [[0, 15]]}
    assert pool["rf"] == {"image": {"h": expected, "w": expected}}
    assert network["values"][-1]["rf"] == {"image": {"h": "whole", "w": "whole"}}


def test_compile_writes_source_and_model(tmp_path: Path) -> None:
    found = netloom("compile", GOOGLENET, "--out", tmp_path)
    assert found.returncode == 0, found.stderr
    assert {path.name for path in tmp_path.iterdir()} == {
        "googlenet_digits.py",
        "googlenet_digits.onnx",
    }
    model = onnx.load(tmp_path / "googlenet_digits.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert not any("aux" in node.name or node.op_type == "Dropout" for node in model.graph.node)
    assert not any("aux" in tensor.name for tensor in model.graph.initializer)


def test_compile_overwrites_only_its_own_files(tmp_path: Path) -> None:
    assert netloom("compile", LENET, "--out", tmp_path).returncode == 0
    assert netloom("compile", LENET, "--out", tmp_path).returncode == 0
    (tmp_path / "lenet.py").write_text("precious = 1\n")
    refused = netloom("compile", LENET, "--out", tmp_path)
    assert refused.returncode == 1
    assert "E004" in refused.stderr
    assert (tmp_path / "lenet.py").read_text() == "precious = 1\n"
    assert netloom("compile", LENET, "--out", tmp_path, "--force").returncode == 0


@pytest.mark.parametrize(
    ("stage", "content"),
    [
        ("ast", "Network at"),
        ("graph", "avgpool(c1, kernel=2)"),
        ("fields", "s4: image.h size 16 stride 4 offset 0"),
        ("torch", "class Lenet(nn.Module):"),
        ("onnx", "AveragePool"),
    ],
)
def test_compile_prints_each_stage(stage: str, content: str, tmp_path: Path) -> None:
    found = netloom("compile", LENET, "--emit", stage, cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert content in found.stdout
    assert not list(tmp_path.iterdir())


def test_a_run_is_verified(run: Path) -> None:
    proof = document("verify", "--json", run)
    assert proof["ok"] is True
    assert proof["onnx_error"] <= 1e-5
    assert {each["head"] for each in proof["comparisons"]} == {"logits", "probabilities"}
    assert {each["sizes"]["N"] for each in proof["comparisons"]} == {1, 3}


def test_verify_finds_a_model_of_other_weights(run: Path, tmp_path: Path) -> None:
    model = onnx.load(run / "model.onnx")
    weight = next(t for t in model.graph.initializer if t.name == "c3.weight")
    array = onnx.numpy_helper.to_array(weight).copy()
    array[0] *= 1.01
    weight.CopyFrom(onnx.numpy_helper.from_array(array, weight.name))
    onnx.save(model, tmp_path / "other.onnx")
    found = netloom("verify", run, "--model", tmp_path / "other.onnx")
    assert found.returncode == 1
    assert "DIFFERS" in found.stdout


def test_a_checkpoint_of_another_network_is_refused(run: Path) -> None:
    found = netloom("verify", GOOGLENET, "--weights", run / "checkpoints" / "best.safetensors")
    assert found.returncode == 1
    assert "E603" in found.stderr
    assert "`unit1.conv1.weight` is missing" in found.stderr
    assert "more" in found.stderr


def test_run_reads_an_image_as_training_did(run: Path) -> None:
    (prediction,) = document("run", "--json", run / "model.onnx", DIGIT)["predictions"]
    assert {each["label"] for each in prediction["classes"]} <= set("0123456789")
    assert sum(prediction["outputs"]["probabilities"][0]) == pytest.approx(1, abs=1e-5)


def test_run_reads_arrays_and_says_what_does_not_fit(run: Path, tmp_path: Path) -> None:
    numpy.save(tmp_path / "two.npy", numpy.zeros((2, 1, 32, 32), "float32"))
    numpy.save(tmp_path / "wrong.npy", numpy.zeros((1, 3, 32, 32), "float32"))
    fitting = document("run", "--json", run / "model.onnx", tmp_path / "two.npy")
    assert len(fitting["predictions"]) == 2
    refused = netloom("run", run / "model.onnx", tmp_path / "wrong.npy")
    assert refused.returncode == 1
    assert "lenet takes image of [N, 1, 32, 32]: channels must be 1, but is 3" in refused.stderr


def test_cuda_is_not_replaced_silently(run: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    found = netloom("run", run / "model.onnx", DIGIT, "--device", "cuda")
    assert found.returncode == 1
    assert "E607" in found.stderr


def test_doctor_names_versions_and_providers() -> None:
    found = document("doctor", "--json")
    assert found["packages"]["train"]["torch"]
    assert "CPUExecutionProvider" in found["providers"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_training_with_its_code(number: int, code: int, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "-m", "netloom", "train", str(LENET), "--epochs", "500"]
    process = subprocess.Popen([*command, "--out", str(out)], stderr=subprocess.PIPE, text=True)
    last = out / "checkpoints" / "last.safetensors"
    deadline = time.monotonic() + 90
    while not last.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert process.returncode == code, told
    assert "Traceback" not in told
    assert last.exists()
