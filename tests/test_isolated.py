"""ONNX Runtime in a child process: what a strange model does there is told, and harms nothing."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy
import onnx
import pytest
from onnx import TensorProto, helper

from netloom.diagnostics import Diagnostic, Failed
from netloom.emit import onnx as emit_onnx
from netloom.runtime.proof import onnx_process
from netloom.runtime.proof.isolated import IsolatedRuntime, Limits
from netloom.runtime.verify import randomised, verify
from specimens import built

GENEROUS = Limits(4 * 2**30, 60)
ONE = {"x": numpy.ones(1, "float32")}

X = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
Y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)


def saved(folder: Path, *nodes: onnx.NodeProto, **constants: int) -> Path:
    """A model from `x` to `y`."""
    initializers = [
        helper.make_tensor(name, TensorProto.INT64, [1] if name == "shape" else [], [value])
        for name, value in constants.items()
    ]
    graph = helper.make_graph(nodes, "strange", [X], [Y], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    path = folder / "strange.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def endless(folder: Path) -> Path:
    """A loop that ends in a million years."""
    flag = [helper.make_tensor_value_info(name, TensorProto.BOOL, []) for name in ("c", "c2")]
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("v", "v2")]
    index = helper.make_tensor_value_info("i", TensorProto.INT64, [])
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["c2"]), helper.make_node("Add", ["v", "v"], ["v2"])],
        "body",
        [index, flag[0], value[0]],
        [flag[1], value[1]],
    )
    return saved(
        folder, helper.make_node("Loop", ["count", "", "x"], ["y"], body=body), count=2**60
    )


def run_once(limits: Limits, path: Path) -> None:
    with IsolatedRuntime(limits) as runtime:
        runtime.open("optimiser off", path, optimise=False)
        runtime.run("optimiser off", ONE, ["y"], "N=1, random inputs")


def told(limits: Limits, path: Path) -> Diagnostic:
    """What comes of running a model."""
    with pytest.raises(Failed) as failed:
        run_once(limits, path)
    (diagnostic,) = failed.value.diagnostics
    return diagnostic


def test_results_come_back(tmp_path: Path) -> None:
    twice = [helper.make_node("Neg", [given], [made]) for given, made in ("xm", "my")]
    path = saved(tmp_path, *twice)
    with IsolatedRuntime(GENEROUS) as runtime:
        interface = runtime.open("first", path, optimise=False)
        exposing = runtime.open("second", path, optimise=True, exposed=["m"])
        assert [each.name for each in interface.outputs] == ["y"]
        assert [(each.name, each.type) for each in exposing.outputs] == [
            ("y", "tensor(float)"),
            ("m", "tensor(float)"),
        ]
        assert runtime.run("first", ONE, ["y"], "once") == {"y": [1]}
        assert runtime.run("second", ONE, ["m", "y"], "once") == {"m": [-1], "y": [1]}


def test_a_model_that_asks_for_all_memory_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, helper.make_node("ConstantOfShape", ["shape"], ["y"]), shape=2**40)
    assert path.stat().st_size < 120
    diagnostic = told(GENEROUS, path)
    assert diagnostic.code == "E613"
    assert diagnostic.message == (
        "ONNX Runtime needs more memory than the 4.0 GiB that it is given "
        "(N=1, random inputs, optimiser off)"
    )


def test_what_would_fit_the_machine_is_refused_above_the_limit(tmp_path: Path) -> None:
    path = saved(tmp_path, helper.make_node("ConstantOfShape", ["shape"], ["y"]), shape=2**28)
    diagnostic = told(Limits(2**30, 60), path)
    assert diagnostic.code == "E613"
    assert "1.0 GiB" in diagnostic.message


def test_a_model_without_an_end_is_ended(tmp_path: Path) -> None:
    start = time.monotonic()
    diagnostic = told(Limits(4 * 2**30, 1.5), endless(tmp_path))
    assert time.monotonic() - start < 15
    assert diagnostic.code == "E613"
    assert "longer than 1.5 s (N=1, random inputs, optimiser off)" in diagnostic.message


@pytest.mark.parametrize("ending", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL])
def test_a_crash_says_in_which_run_it_was(tmp_path: Path, ending: signal.Signals) -> None:
    path = endless(tmp_path)
    with IsolatedRuntime(GENEROUS) as runtime:
        runtime.open("optimiser on", path, optimise=True)
        timer = threading.Timer(0.3, os.kill, (runtime.process.pid, ending))
        timer.start()
        with pytest.raises(Failed) as failed:
            runtime.run("optimiser on", ONE, ["y"], "N=3, negative inputs")
    (diagnostic,) = failed.value.diagnostics
    assert diagnostic.code == "E613"
    assert diagnostic.message == (
        f"ONNX Runtime crashed: it was ended by the signal {ending.name} "
        "(N=3, negative inputs, optimiser on)"
    )


def test_after_a_crash_nothing_hangs(tmp_path: Path) -> None:
    with IsolatedRuntime(GENEROUS) as runtime:
        os.kill(runtime.process.pid, signal.SIGKILL)
        for _ in range(2):
            with pytest.raises(Failed) as failed:
                runtime.open("optimiser off", endless(tmp_path), optimise=False)
            assert "SIGKILL (loading the model, optimiser off)" in str(failed.value)


def test_the_child_is_gone_afterwards(tmp_path: Path) -> None:
    with IsolatedRuntime(GENEROUS) as runtime:
        folder, process = runtime.folder, runtime.process
        assert process.poll() is None
    assert process.poll() is not None
    assert not folder.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such limits")
def test_a_child_without_a_parent_ends_by_itself(tmp_path: Path) -> None:
    """Whoever watched the clock may be gone; the processor time is limited, too."""
    numpy.savez(tmp_path / "x.npz", ONE["x"])
    found = subprocess.run(
        [sys.executable, "-P", onnx_process.__file__, str(4 * 2**30), "0"],
        input=_requests(endless(tmp_path), tmp_path / "x.npz", tmp_path / "y.npz"),
        text=True,
        capture_output=True,
        timeout=60,
    )
    assert found.returncode == -signal.SIGXCPU
    assert found.stdout.count("\n") == 1


def test_without_limits_of_the_platform_there_is_still_a_child(tmp_path: Path) -> None:
    """As on Windows, where Python has no module `resource`."""
    path = saved(tmp_path, helper.make_node("Neg", ["x"], ["y"]))
    numpy.savez(tmp_path / "x.npz", ONE["x"])
    program = (
        "import runpy, sys\nsys.modules['resource'] = None\nsys.argv = ['program', '1', '1']\n"
        f"runpy.run_path({onnx_process.__file__!r}, None, '__main__')"
    )
    found = subprocess.run(
        [sys.executable, "-c", program],
        input=_requests(path, tmp_path / "x.npz", tmp_path / "y.npz"),
        text=True,
        capture_output=True,
        timeout=60,
    )
    assert (found.returncode, found.stderr) == (0, "")
    assert numpy.load(tmp_path / "y.npz")["arr_0"] == [-1]


def _requests(model: Path, inputs: Path, outputs: Path) -> str:
    """What the parent writes: one request a line."""
    opening = {"do": "open", "model": str(model), "optimise": False, "exposed": []}
    running = {"do": "run", "names": ["x"], "inputs": str(inputs), "wanted": ["y"]}
    requests = (opening, running | {"outputs": str(outputs)})
    return "".join(json.dumps({**each, "session": "only"}) + "\n" for each in requests)


def test_a_model_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "strange.onnx"
    path.write_bytes(b"nothing of a model")
    diagnostic = told(GENEROUS, path)
    assert diagnostic.code == "E604"
    assert diagnostic.message.startswith("ONNX Runtime cannot load `strange.onnx`: ")


def test_a_model_that_fails_says_in_which_run(tmp_path: Path) -> None:
    path = saved(tmp_path, helper.make_node("Reshape", ["x", "shape"], ["y"]), shape=5)
    diagnostic = told(GENEROUS, path)
    assert diagnostic.code == "E606"
    assert "cannot run the model (N=1, random inputs, optimiser off): " in diagnostic.message


def test_a_head_may_have_any_name() -> None:
    """`numpy.savez(file, file=array)` is an error."""
    graph = built("network net { input file: float32[N, 3]\n head arr_0 = linear(2) }").graph
    weights = randomised(graph)
    assert verify(graph, weights, emit_onnx.model_bytes(graph, weights)).holds
