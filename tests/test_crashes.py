"""`netloom run` where ONNX Runtime brings the process down, and where it does not."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy
import pytest

from models import digits, drawn

DIES = """
import os, signal, sys

class Deadly:
    def find_spec(self, name, *_):
        if name == "onnxruntime":
            os.kill(os.getpid(), signal.{signal})

sys.meta_path.insert(0, Deadly())
"""

WAITS = """
import sys, time

class Slow:
    def find_spec(self, name, *_):
        if name == "onnxruntime":
            open("waiting", "w").close()
            time.sleep(60)

sys.meta_path.insert(0, Slow())
"""

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model and an input; Python starts with what the test puts into `sitecustomize.py`."""
    digits(tmp_path / "model.onnx")
    numpy.save(tmp_path / "image.npy", drawn(1, 1, 8, 8))
    paths = [str(tmp_path), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def started(*options: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "netloom", "run", "model.onnx", "image.npy", *options]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, text=True, start_new_session=True, stdout=pipe, stderr=pipe)


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGKILL"])
def test_a_crash_is_told(folder: Path, name: str) -> None:
    (folder / "sitecustomize.py").write_text(DIES.format(signal=name))
    process = started()
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (1, "")
    message = f"ONNX Runtime crashed on the model: it was ended by the signal {name}"
    assert stderr.startswith(f"error[E613]: {message}\n")


def test_a_crash_is_told_in_json(folder: Path) -> None:
    (folder / "sitecustomize.py").write_text(DIES.format(signal="SIGSEGV"))
    process = started("--json")
    stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert [each["code"] for each in json.loads(stdout)["diagnostics"]] == ["E613"]


def test_what_does_not_crash_ends_as_before(folder: Path) -> None:
    process = started("--json")
    stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert len(json.loads(stdout)["predictions"]) == 1
    (folder / "image.npy").write_bytes(b"no array")
    process = started()
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert stderr.count("error[E605]") == 1


@pytest.mark.parametrize(
    ("number", "to_all", "code"),
    [(signal.SIGINT, True, 130), (signal.SIGTERM, False, 143), (signal.SIGTERM, True, 143)],
)
def test_signals_end_both(folder: Path, number: signal.Signals, to_all: bool, code: int) -> None:
    """A terminal sends Ctrl-C to all of a group; `kill` sends to the one whose id is known."""
    (folder / "sitecustomize.py").write_text(WAITS)
    process = started()
    end = time.monotonic() + 60
    while not (folder / "waiting").exists() and time.monotonic() < end:
        time.sleep(0.01)
    (os.killpg if to_all else os.kill)(process.pid, number)
    stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout) == (code, "")
    assert (stderr == "interrupted\n") == (number == signal.SIGINT)
    assert "error" not in stderr
