"""`netloom run`: what is read, run together, told and written, and which device it is on."""

import csv
import ctypes
import io
import json
import subprocess
import sys
import types
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from onnx import TensorProto, helper
from PIL import Image

from models import CLASSES, DIGITS, FREE, TWO_INPUTS, digits, drawn, exported, foreign, rectifier
from netloom.cli.heads import heads_text
from netloom.compile import check
from netloom.diagnostics import Failed, Source
from netloom.passes.admissible import Admissible
from netloom.runtime import devices, sessions
from netloom.runtime.devices import PROVIDERS
from netloom.runtime.inputs import Sample, files
from netloom.runtime.interface import Interface
from netloom.runtime.metadata import model_metadata
from netloom.runtime.predict import BoundRun, Prediction, Refused, groups, predict, predictions
from netloom.runtime.results import SOURCES, csv_line
from netloom.runtime.sessions import Placed, left_on_cpu, open_session, opened, placement_of
from netloom.runtime.trained import find
from test_cli import netloom


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return digits(tmp_path / "digits.onnx")


def image(path: Path, seed: int = 0, size: int = 8) -> Path:
    pixels = numpy.random.default_rng(seed).integers(0, 256, (size, size), "uint8")
    Image.fromarray(pixels).save(path)
    return path


def saved(path: Path, array: "numpy.ndarray[Any, Any]") -> Path:
    numpy.save(path, array)
    return path


def refusal(model: Path, *paths: Path) -> Any:
    """The only diagnostic of a run that fails."""
    with pytest.raises(Failed) as failed:
        predict(open_session(model), paths, 1)
    (found,) = failed.value.diagnostics
    return found


# Batches


@pytest.mark.parametrize("batch", [1, 2, 3, 5, 100])
def test_together_is_the_same_as_one_by_one(model: Path, tmp_path: Path, batch: int) -> None:
    paths = [saved(tmp_path / "five.npy", drawn(5, 1, 8, 8)), image(tmp_path / "a.png")]
    paths += [saved(tmp_path / "one.npy", drawn(1, 8, 8, seed=1))]
    alone = predict(open_session(model), paths, 3)
    together = predict(open_session(model), paths, 3, batch)
    assert [each.source for each in together] == [each.source for each in alone]
    assert [each.source for each in alone][:2] == [f"{paths[0]}[0]", f"{paths[0]}[1]"]
    for one, other in zip(alone, together, strict=True):
        for name, output in one.outputs.items():
            assert output.shape == other.outputs[name].shape
            assert numpy.allclose(output, other.outputs[name], rtol=1e-5, atol=1e-6)


def test_samples_run_together_as_often_as_asked(model: Path, tmp_path: Path) -> None:
    """The oracle counts what the session is given."""
    session = open_session(model)
    path = saved(tmp_path / "seven.npy", drawn(7, 1, 8, 8))
    counts: list[int] = []

    def run(names: list[str], feeds: dict[str, Any]) -> Any:
        counts.append(len(feeds["image"]))
        return session.run(names, feeds)

    watched = types.SimpleNamespace(
        get_providers=session.get_providers,
        get_inputs=session.get_inputs,
        get_outputs=session.get_outputs,
        get_modelmeta=session.get_modelmeta,
        run=run,
    )
    assert len(predict(watched, [path], 1, batch=3)) == 7
    assert counts == [3, 3, 1]


def _samples(*shapes: tuple[int, ...]) -> list[Sample | Refused]:
    return [Sample(str(i), {"x": numpy.zeros(shape)}) for i, shape in enumerate(shapes)]


def test_groups_are_of_one_size_and_in_order() -> None:
    refused = Refused("bad", Failed())
    found = _samples((1, 4), (1, 4), (1, 4), (1, 5), (1, 4))
    found.insert(2, refused)
    grouped = [
        each if isinstance(each, Refused) else "".join(sample.source for sample in each)
        for each in groups(iter(found), 2)
    ]
    assert grouped == ["01", refused, "2", "3", "4"]


def test_other_sizes_go_in_their_own_batch(tmp_path: Path) -> None:
    model = exported(tmp_path / "free.onnx", FREE)
    sizes = [(6, 6), (6, 6), (9, 7), (6, 6)]
    paths = [saved(tmp_path / f"{i}.npy", drawn(2, *size, seed=i)) for i, size in enumerate(sizes)]
    alone = predict(open_session(model), paths, 1)
    together = predict(open_session(model), paths, 1, batch=4)
    assert [each.outputs["map"].shape[2:] for each in together] == sizes
    for one, other in zip(alone, together, strict=True):
        assert numpy.allclose(one.outputs["map"], other.outputs["map"], atol=1e-6)


def test_a_model_of_one_sample_says_so_when_asked_for_more(tmp_path: Path) -> None:
    model = rectifier(tmp_path / "one.onnx", [1, 3])
    paths = [saved(tmp_path / "x.npy", drawn(4, 3))]
    assert len(predict(open_session(model), paths, 1)) == 4
    with pytest.raises(Failed) as failed:
        predict(open_session(model), paths, 1, batch=2)
    assert "runs one sample at a time; it takes `x`: float32[1, 3]" in str(
        failed.value.diagnostics[0].message
    )


def test_outputs_that_do_not_count_samples_are_not_taken_apart(tmp_path: Path) -> None:
    node = helper.make_node("ReduceSum", ["x"], ["y"], keepdims=1)
    x = {"x": (TensorProto.FLOAT, ["N", 3])}
    model = foreign(tmp_path / "sum.onnx", x, {"y": (TensorProto.FLOAT, [1, 1])}, [node])
    path = saved(tmp_path / "x.npy", drawn(2, 3))
    found = predict(open_session(model), [path], 1)
    assert numpy.allclose([each.outputs["y"].sum() for each in found], drawn(2, 3).sum(1))
    with pytest.raises(Failed) as failed:
        predict(open_session(model), [path], 1, batch=2)
    assert "outputs do not begin with `N`" in failed.value.diagnostics[0].message


def test_bound_runs_equal_plain_ones_and_keep_what_they_gave(model: Path) -> None:
    """On the CPU, where memory is bound as it would be on a GPU."""
    session = open_session(model)
    names = [each.name for each in session.get_outputs()]
    bound = BoundRun(session, names, "cpu")
    given = [drawn(n, 1, 8, 8, seed=seed) for seed, n in enumerate((2, 2, 3, 2))]
    found = [bound({"image": each}) for each in given]
    for each, outputs in zip(given, found, strict=True):
        plain = session.run(names, {"image": each})
        assert all(map(numpy.array_equal, plain, outputs.values()))


def test_bound_runs_leave_their_inputs_alone(model: Path) -> None:
    session = open_session(model)
    bound = BoundRun(session, ["logits"], "cpu")
    first, second = drawn(1, 1, 8, 8), drawn(1, 1, 8, 8, seed=1)
    bound({"image": first})
    bound({"image": second})
    assert numpy.array_equal(first, drawn(1, 1, 8, 8))


def test_a_gpu_session_is_run_with_bindings(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole path of a GPU, with the CPU's memory in place of its own."""
    from netloom.runtime import predict as predicting

    path = saved(tmp_path / "x.npy", drawn(5, 1, 8, 8))
    plain = predict(open_session(model), [path], 3, batch=2)
    monkeypatch.setattr(predicting, "device_of", lambda session: "cuda")
    made = []

    def bound(session: Any, outputs: Sequence[str], device: str) -> BoundRun:
        made.append(device)
        return BoundRun(session, outputs, "cpu")

    monkeypatch.setattr(predicting, "BoundRun", bound)
    found = predict(open_session(model), [path], 3, batch=2)
    assert made == ["cuda"]
    assert [each.classes for each in found] == [each.classes for each in plain]


# What is read


def test_two_inputs_come_from_an_archive(tmp_path: Path) -> None:
    model = exported(tmp_path / "pair.onnx", TWO_INPUTS)
    a, b = drawn(3, 4), drawn(3, 4, seed=1)
    numpy.savez(tmp_path / "both.npz", a=a, b=b)
    numpy.savez(tmp_path / "single.npz", a=a[0], b=b[0])
    found = predict(open_session(model), [tmp_path / "both.npz", tmp_path / "single.npz"], 1, 2)
    sums = numpy.concatenate([each.outputs["sum"] for each in found])
    assert numpy.allclose(sums, numpy.concatenate([a + b, (a + b)[:1]]))


@pytest.mark.parametrize(
    ("arrays", "message", "help"),
    [
        ({"a": (3, 4)}, "has no array `b`", "the model's inputs are `a`, `b`"),
        ({"a": (3, 4), "bb": (3, 4)}, "has an array `bb`", "did you mean `b`?"),
        ({"a": (3, 4), "b": (2, 4)}, "different numbers of samples: 3 of `a`, 2 of `b`", None),
        ({"a": (3, 4), "b": (3, 5)}, "features of b must be 4, but is 5", None),
        ({"a": (3, 4), "b": (3, 4, 1)}, "holds float32[3, 4, 1]", "input `b` is float32[N, 4]"),
    ],
)
def test_an_archive_that_does_not_fit(
    tmp_path: Path, arrays: dict[str, tuple[int, ...]], message: str, help: str | None
) -> None:
    model = exported(tmp_path / "pair.onnx", TWO_INPUTS)
    numpy.savez(tmp_path / "x.npz", **{name: drawn(*shape) for name, shape in arrays.items()})  # type: ignore[arg-type]
    found = refusal(model, tmp_path / "x.npz")
    assert found.code == "E605"
    assert message in found.message
    assert help is None or help in (found.help or "")


def test_one_array_is_not_enough_for_two_inputs(tmp_path: Path) -> None:
    model = exported(tmp_path / "pair.onnx", TWO_INPUTS)
    found = refusal(model, saved(tmp_path / "x.npy", drawn(1, 4)))
    assert "the model has 2 inputs: `a`, `b`" in found.message
    assert "numpy.savez(path, a=…, b=…)" in (found.help or "")


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (drawn(1, 3, 8, 8), "channels must be 1, but is 3"),
        (drawn(1, 1, 8, 9), "width must be 8, but is 9"),
        (drawn(8, 8), "holds float32[8, 8]"),
        (numpy.zeros((0, 1, 8, 8), "float32"), "x.npy"),
        (numpy.zeros((1, 1, 8, 8), "uint8"), "holds uint8[1, 1, 8, 8]"),
        (numpy.zeros((1, 1, 8, 8), "complex64"), "holds complex64"),
        (numpy.array([None]), "is not a usable array"),
        (numpy.array("text"), "holds <U4[]"),
    ],
)
def test_an_array_that_does_not_fit(model: Path, tmp_path: Path, array: Any, words: str) -> None:
    numpy.save(tmp_path / "x.npy", array, allow_pickle=True)
    found = refusal(model, tmp_path / "x.npy")
    assert found.code == "E605"
    assert words in found.message


def test_a_wrong_dtype_says_how_to_convert(model: Path, tmp_path: Path) -> None:
    found = refusal(model, saved(tmp_path / "x.npy", numpy.zeros((1, 1, 8, 8), "int64")))
    assert found.help == "input `image` is float32[N, 1, 8, 8]; array.astype('float32') converts it"


@pytest.mark.parametrize("dtype", ["float16", "float64", ">f4"])
def test_other_floats_are_converted(model: Path, tmp_path: Path, dtype: str) -> None:
    array = drawn(1, 1, 8, 8).astype("float16")
    (expected,) = predict(open_session(model), [saved(tmp_path / "a.npy", array)], 1)
    path = saved(tmp_path / "b.npy", array.astype(dtype))
    (found,) = predict(open_session(model), [path], 1)
    assert found.classes == expected.classes


@pytest.mark.parametrize(
    ("element_type", "dtype"),
    [
        (TensorProto.DOUBLE, "float64"),
        (TensorProto.FLOAT16, "float16"),
        (TensorProto.INT32, "int32"),
        (TensorProto.INT8, "int8"),
    ],
)
def test_each_dtype_that_a_model_takes(tmp_path: Path, element_type: int, dtype: str) -> None:
    model = rectifier(tmp_path / "x.onnx", ["N", 3], element_type)
    array = numpy.array([[-1, 0, 2], [3, -4, 5]], dtype)
    found = predict(open_session(model), [saved(tmp_path / "x.npy", array)], 1, 2)
    assert numpy.array_equal(
        numpy.concatenate([each.outputs["y"] for each in found]), numpy.maximum(array, 0)
    )


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_a_broken_image_is_told(model: Path, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(content)
    found = refusal(model, path)
    assert found.code == "E605"
    assert "is not a usable image" in found.message


def test_an_image_that_is_cut_off_is_told(model: Path, tmp_path: Path) -> None:
    path = image(tmp_path / "x.png", size=64)
    path.write_bytes(path.read_bytes()[:1000])
    assert "is not a usable image" in refusal(model, path).message


def test_an_image_of_a_billion_pixels_is_refused(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = image(tmp_path / "x.png")
    for most in (50, 5):  # of which Pillow warns, and which it refuses
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", most)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert "could be decompression bomb" in refusal(model, path).message


@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_a_broken_array_is_told(model: Path, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"x.{ending}"
    for content in (b"", b"no array", b"\x93NUMPY\x01\x00v\x00", b"PK\x03\x04 cut off"):
        path.write_bytes(content)
        found = refusal(model, path)
        assert (found.code, "is not a usable a" in found.message) == ("E605", True)


def test_a_model_without_metadata_takes_arrays_but_no_images(tmp_path: Path) -> None:
    model = rectifier(tmp_path / "x.onnx", ["N", "C", "H", "W"])
    (found,) = predict(open_session(model), [saved(tmp_path / "x.npy", drawn(3, 5, 5))], 1)
    assert numpy.array_equal(found.outputs["y"][0], numpy.maximum(drawn(3, 5, 5), 0))
    told = refusal(model, image(tmp_path / "x.png"))
    assert "does not say how an image becomes its input `x`" in told.message
    assert "give `x.npy` with float32[N, C, H, W]" in (told.help or "")


def test_axes_without_a_name_may_differ(tmp_path: Path) -> None:
    """Exporters write `?` for every axis that they do not know."""
    model = rectifier(tmp_path / "x.onnx", ["?", "?", None])
    (found,) = predict(open_session(model), [saved(tmp_path / "x.npy", drawn(1, 3, 5))], 1)
    assert found.outputs["y"].shape == (1, 3, 5)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("netloom.preprocessing", "{"),
        ("netloom.preprocessing", '{"image": {"colours": "grey"}}'),
        ("netloom.preprocessing", '{"image": 3}'),
        ("netloom.classes", "7"),
        ("netloom.heads", "[]"),
    ],
)
def test_damaged_metadata_is_told(model: Path, tmp_path: Path, key: str, value: str) -> None:
    import onnx

    content = onnx.load(model)
    next(each for each in content.metadata_props if each.key == key).value = value
    onnx.save(content, model)
    found = refusal(model, image(tmp_path / "x.png"))
    assert found.code == "E604"
    assert f"metadata `{key}` is damaged" in found.message


def test_what_the_runtime_cannot_run_is_told(tmp_path: Path) -> None:
    inputs = {"x": (TensorProto.FLOAT, ["N", 3]), "s": (TensorProto.INT64, ["N", 1])}
    squeeze = helper.make_node("Flatten", ["s"], ["t"], axis=0)
    last = helper.make_node("Squeeze", ["t"], ["u"])
    node = helper.make_node("Expand", ["x", "u"], ["y"])
    nodes = [squeeze, last, node]
    model = foreign(tmp_path / "x.onnx", inputs, {"y": (TensorProto.FLOAT, None)}, nodes)
    numpy.savez(tmp_path / "x.npz", x=drawn(1, 3), s=numpy.array([[7]]))
    found = refusal(model, tmp_path / "x.npz")
    assert found.code == "E605"
    assert "ONNX Runtime cannot run the model on" in found.message


def test_folders_and_patterns(tmp_path: Path) -> None:
    for name in ("b/2.PNG", "b/c/3.npy", "b/.hidden/4.png", "b/.5.png", "b/notes.txt", "1.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    inside = [tmp_path / "b/2.PNG", tmp_path / "b/c/3.npy"]
    assert files([tmp_path / "b", tmp_path / "1.png"]) == [*inside, tmp_path / "1.png"]
    assert files([tmp_path / "*.png"]) == [tmp_path / "1.png"]
    assert files([tmp_path / "**" / "*.npy"]) == [tmp_path / "b/c/3.npy"]
    assert files([tmp_path / "missing.png"]) == [tmp_path / "missing.png"]


def test_a_file_may_be_named_like_a_pattern(tmp_path: Path) -> None:
    path = tmp_path / "x[1].npy"
    path.touch()
    assert files([path]) == [path]


@pytest.mark.parametrize("name", ["empty", "*.tiff"])
def test_nothing_to_run_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").touch()
    with pytest.raises(Failed) as failed:
        files([tmp_path / name])
    assert failed.value.diagnostics[0].code == "E611"


# The rest is run


def test_one_bad_file_does_not_keep_the_others_from_running(model: Path, tmp_path: Path) -> None:
    paths = [image(tmp_path / f"{number}.png", number) for number in range(4)]
    paths[1].write_bytes(b"broken")
    found = list(predictions(open_session(model), [*paths, tmp_path / "missing.png"], 1, 3))
    kinds = [isinstance(each, Prediction) for each in found]
    assert kinds == [True, False, True, True, False]
    codes = [each.failure.diagnostics[0].code for each in found if isinstance(each, Refused)]
    assert codes == ["E605", "E001"]


def test_the_command_tells_the_bad_file_and_prints_the_others(model: Path, tmp_path: Path) -> None:
    good, bad = image(tmp_path / "good.png"), tmp_path / "bad.png"
    bad.write_bytes(b"")
    found = netloom("run", model, bad, good, "--device", "cpu")
    assert found.returncode == 1
    assert found.stdout.splitlines()[0] == str(good)
    assert len(found.stdout.splitlines()) == 9
    assert f"error[E605]: `{bad}` is not a usable image" in found.stderr
    assert found.stderr.startswith("ONNX Runtime on the CPU\n")
    told = json.loads(netloom("run", model, bad, good, "--json").stdout)
    assert (told["ok"], len(told["predictions"]), len(told["diagnostics"])) == (False, 1, 1)


def test_many_bad_files_are_counted(model: Path, tmp_path: Path) -> None:
    found = netloom("run", model, *[tmp_path / f"{i}.png" for i in range(23)])
    assert found.stderr.count("error[E001]") == 20
    assert "… and 3 more could not be run" in found.stderr


# Results


def test_csv_has_the_classes(model: Path, tmp_path: Path) -> None:
    path = image(tmp_path / "=1+1.png")
    found = netloom("run", model, path.name, "--csv", "-", "--top", "2")
    assert found.returncode == 1  # it lies elsewhere
    command = [sys.executable, "-m", "netloom", "run", str(model), path.name, "--csv", "-"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    (row,) = csv.DictReader(io.StringIO(told.stdout))
    assert list(row)[:4] == ["source", "label", "score", "label_2"]
    assert row["source"] == "'=1+1.png"
    labels = {row["label"], row["label_2"], row["label_3"]}
    assert labels == {"nought", "one", "'=two"}
    scores = [float(row[key]) for key in ("score", "score_2", "score_3")]
    assert sum(scores) == pytest.approx(1)
    assert scores == sorted(scores, reverse=True)


def test_csv_without_classes_has_every_number(tmp_path: Path) -> None:
    model = exported(tmp_path / "free.onnx", FREE)
    path = saved(tmp_path / "x.npy", drawn(2, 2, 2, 2))
    out = tmp_path / "out.csv"
    found = netloom("run", model, path, "--csv", out, "--batch", "2")
    assert (found.returncode, found.stdout) == (0, "")
    assert f"wrote {out}" in found.stderr
    rows = list(csv.DictReader(io.StringIO(out.read_text(encoding="utf-8"))))
    outputs = [each.outputs["map"] for each in predict(open_session(model), [path], 1)]
    assert len(rows) == 2 * 3 * 2 * 2
    for row in rows:
        index = tuple(map(int, row["index"].split()))
        output = outputs[int(row["source"][-2])]
        assert float(row["value"]) == pytest.approx(float(output[(0, *index)]), abs=1e-6)


def test_a_line_break_in_a_name_stays_in_its_cell() -> None:
    (row,) = csv.reader(io.StringIO(csv_line(["a\nb", "c"]), newline=""))
    assert row == ["a\nb", "c"]


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\tx", "\rx"])
def test_text_that_is_a_formula_is_quoted(text: str) -> None:
    (row,) = csv.reader(io.StringIO(csv_line([text, -1.5, "a"]), newline=""))
    assert row == [f"'{text}", "-1.5", "a"]


def test_outputs_are_kept_in_one_archive(model: Path, tmp_path: Path) -> None:
    path = saved(tmp_path / "x.npy", drawn(3, 1, 8, 8))
    out = tmp_path / "out.npz"
    assert netloom("run", model, path, "--out", out, "--batch", "2").returncode == 0
    expected = open_session(model).run(["logits"], {"image": drawn(3, 1, 8, 8)})[0]
    with numpy.load(out, allow_pickle=False) as archive:
        assert numpy.allclose(archive["logits"], expected, atol=1e-6)
        assert archive["probabilities"].shape == (3, 3)
        assert list(archive[SOURCES]) == [f"{path}[{i}]" for i in range(3)]


def test_outputs_of_different_sizes_go_into_a_folder(tmp_path: Path) -> None:
    model = exported(tmp_path / "free.onnx", FREE)
    paths = [saved(tmp_path / f"{n}.npy", drawn(2, n, n)) for n in (4, 5)]
    refused = netloom("run", model, *paths, "--out", tmp_path / "out.npz")
    assert refused.returncode == 1
    assert "the outputs `map` have different sizes" in refused.stderr
    folder = tmp_path / "out"
    assert netloom("run", model, *paths, "--out", folder).returncode == 0
    assert sorted(each.name for each in folder.iterdir()) == ["00000_4.npz", "00001_5.npz"]
    with numpy.load(folder / "00001_5.npz") as archive:
        assert archive["map"].shape == (1, 3, 5, 5)
    assert "E004" in netloom("run", model, *paths, "--out", folder).stderr


def test_json_is_one_document_without_words_for_no_number(tmp_path: Path) -> None:
    node = helper.make_node("Log", ["x"], ["y"])
    of = (TensorProto.FLOAT, ["N", 2])
    model = foreign(tmp_path / "log.onnx", {"x": of}, {"y": of}, [node])
    path = saved(tmp_path / "x.npy", numpy.array([[0.0, 1.0]], "float32"))

    def refuse(word: str) -> None:
        raise AssertionError(word)

    found = netloom("run", model, path, "--json")
    told = json.loads(found.stdout, parse_constant=refuse)
    assert told["predictions"][0]["outputs"] == {"y": [[None, 0.0]]}
    assert told["placement"] == {"cpu": {"Log": 1}}
    assert found.stderr == ""


def test_json_and_csv_exclude_one_another(model: Path) -> None:
    assert netloom("run", model, "x.npy", "--json", "--csv", "-").returncode == 2


def test_labels_do_not_steer_the_terminal(tmp_path: Path) -> None:
    labels = ("\x1b[31mred", "b", "c")
    model = exported(tmp_path / "x.onnx", DIGITS, classes=labels)
    found = netloom("run", model, saved(tmp_path / "x.npy", drawn(1, 8, 8)))
    assert "\x1b" not in found.stdout
    assert "[31mred" in found.stdout


def test_classes_are_those_of_the_probabilities(model: Path, tmp_path: Path) -> None:
    (found,) = predict(open_session(model), [saved(tmp_path / "x.npy", drawn(1, 8, 8))], 2)
    scores = found.outputs["probabilities"][0]
    best = int(scores.argmax())
    assert found.classes[0] == (CLASSES[best], float(scores[best]))
    assert len(found.classes) == 2


def test_decisions_are_no_scores(tmp_path: Path) -> None:
    node = helper.make_node("IsNaN", ["x"], ["y"])
    inputs = {"x": (TensorProto.FLOAT, ["N", 3])}
    model = foreign(tmp_path / "x.onnx", inputs, {"y": (TensorProto.BOOL, ["N", 3])}, [node])
    (found,) = predict(open_session(model), [saved(tmp_path / "x.npy", drawn(1, 3))], 1)
    assert found.classes == ()


# Every head by what it is


def _told(text: str, arrays: dict[str, Any], top: int = 3, classes: Any = ()) -> list[str]:
    """The lines for heads of these arrays, of a model that says so much about itself."""
    spec = check(Source("net.loom", text))
    (name,) = spec.networks
    kinds = json.loads(model_metadata(spec, name).get("netloom.heads", "{}"))
    nothing = Admissible({}, {})
    interface = Interface(name, {}, tuple(arrays), nothing, None, True, {}, classes, kinds)
    return heads_text(interface, arrays, top)


SEGMENTS = """
network net {
    input image: float32[N, 1, 8, 8]
    target label: int64[N]
    body = conv(4, 3) -> relu -> flatten
    head logits = body -> linear(3)
    head boxes = body -> linear(4)
    infer head chance = body -> linear(12) -> sigmoid
}
train net { loss cross_entropy(logits, label) }
"""


def test_logits_go_through_a_softmax_where_nothing_else_has_done_so() -> None:
    scores = numpy.array([[1.0, 3.0, 2.0]], "float32")
    told = _told(SEGMENTS, {"logits": scores}, classes=("a", "b", "c"))
    expected = torch.softmax(torch.tensor(scores[0]), 0)
    bar = "█" * round(30 * float(expected[1]))
    assert told[:2] == ["  logits (through a softmax)", f"    b  {expected[1]:.4f}  {bar}"]
    assert [line.split()[1] for line in told[2:]] == [f"{expected[i]:.4f}" for i in (2, 0)]


def test_logits_beside_their_probabilities_are_shown_as_they_are() -> None:
    scores = {"logits": numpy.array([[1.0, 30.0, 2.0]], "float32")}
    scores["probabilities"] = numpy.array([[0.0, 1.0, 0.0]], "float32")
    told = _told(DIGITS, scores, top=1, classes=CLASSES)
    assert told == [
        "  logits (raw, 1 largest of 3)",
        "    one  30.0000",
        "  probabilities (1 largest of 3)",
        f"    one  1.0000  {'█' * 30}",
    ]


def test_of_numbers_that_nobody_explains_there_are_no_bars() -> None:
    few, many = drawn(1, 4), drawn(1, 50)
    told = _told(SEGMENTS, {"boxes": few, "other": many}, classes=("a", "b", "c", "d"))
    assert told[0] == "  boxes: " + "  ".join(f"{each:.4f}" for each in few[0])
    assert told[1] == "  other (raw, 3 largest of 50)"
    best = numpy.argsort(-many[0])[:3]
    assert [line.split() for line in told[2:]] == [[str(i), f"{many[0, i]:.4f}"] for i in best]
    assert "█" not in "".join(told)


def test_independent_probabilities_have_bars() -> None:
    chances = numpy.linspace(0, 1, 12, dtype="float32")[None]
    told = _told(SEGMENTS, {"chance": chances})
    assert told[1] == f"    11  1.0000  {'█' * 30}"


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (numpy.array([[[[1, 2], [3, 6]]]], "float32"), "1.0000 to 6.0000, mean 3.0000"),
        (numpy.array([[[1, numpy.nan, 3]]], "float32"), "mean 2.0000, of the 2 that are finite"),
        (numpy.array([[[numpy.nan]]], "float32"), "none of them finite"),
        (numpy.array([[[True, False]]]), "1 of 2 true"),
        (numpy.zeros((1, 0, 4), "float32"), "float32[1, 0, 4]"),
    ],
)
def test_a_map_is_summed_up(array: Any, words: str) -> None:
    (told,) = _told(FREE, {"map": array})
    assert told.startswith(f"  map: {array.dtype}{list(array.shape)}")
    assert told.endswith(words)


@pytest.mark.parametrize("array", [numpy.array(3, "int64"), numpy.zeros((1, 0), "float32")])
def test_a_number_and_nothing_at_all(array: Any) -> None:
    assert _told(FREE, {"y": array}) == ["  y: 3" if array.size else "  y: nothing"]


def test_where_maps_are_shown_it_is_said_how_to_have_them(tmp_path: Path) -> None:
    model = exported(tmp_path / "free.onnx", FREE)
    path = saved(tmp_path / "x.npy", drawn(2, 4, 4))
    found = netloom("run", model, path)
    assert "  map: float32[1, 3, 4, 4], " in found.stdout
    assert "`--out FILE.npz` keeps all numbers" in found.stderr
    assert "keeps" not in netloom("run", model, path, "--out", tmp_path / "out.npz").stderr


# Numbers that are not finite


def _warnings(model: Path, path: Path) -> list[str]:
    found = predict(open_session(model), [path], 1)
    return [str(Failed(each.warning)) for each in found if each.warning]


def test_an_input_that_is_not_finite_is_told_with_its_share(tmp_path: Path) -> None:
    model = exported(tmp_path / "pair.onnx", TWO_INPUTS)
    a, b = drawn(2, 4), drawn(2, 4)
    a[1, :3] = numpy.nan, numpy.inf, 0
    numpy.savez(tmp_path / "x.npz", a=a, b=b)
    (told,) = _warnings(model, tmp_path / "x.npz")
    assert told.splitlines()[:2] == [
        f"warning[W621]: `{tmp_path / 'x.npz'}[1]`: "
        "2 of 4 numbers of input `a` are NaN or infinite",
        "  = note: 2 of 4 numbers of output `sum` are NaN or infinite",
    ]


def test_a_nan_that_the_model_hides_is_told(tmp_path: Path) -> None:
    inputs = {"x": (TensorProto.FLOAT, ["N", 3])}
    outputs = {"y": (TensorProto.BOOL, ["N", 3])}
    node = helper.make_node("IsNaN", ["x"], ["y"])
    model = foreign(tmp_path / "x.onnx", inputs, outputs, [node])
    path = saved(tmp_path / "x.npy", numpy.full((1, 3), numpy.nan, "float32"))
    (told,) = _warnings(model, path)
    assert "all numbers of input `x` are NaN" in told
    assert "all outputs are finite, which hides it" in told


def test_an_output_that_is_not_finite_is_told(tmp_path: Path) -> None:
    of = {"x": (TensorProto.FLOAT, ["N", 2])}
    node = helper.make_node("Log", ["x"], ["y"])
    model = foreign(tmp_path / "log.onnx", of, {"y": of["x"]}, [node])
    path = saved(tmp_path / "x.npy", numpy.array([[0.0, 1.0]], "float32"))
    (told,) = _warnings(model, path)
    assert "1 of 2 numbers of output `y` are infinite" in told
    assert "its inputs are finite" in told
    assert not _warnings(model, saved(tmp_path / "fine.npy", drawn(1, 2) ** 2 + 1))
    found = netloom("run", model, path, "--json")
    document = json.loads(found.stdout)
    codes = [each["code"] for each in document["diagnostics"]]
    assert (found.returncode, document["ok"], codes) == (0, True, ["W621"])
    assert "warning[W621]" in netloom("run", model, path).stderr


# What is not written over


@pytest.fixture
def digit(tmp_path: Path) -> Path:
    return saved(tmp_path / "digit.npy", drawn(1, 8, 8))


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("--csv", "digits.onnx"),
        ("--csv", "sub/../digits.onnx"),
        ("--csv", "link.npz"),
        ("--csv", "hard.npz"),
        ("--out", "link.npz"),
        ("--out", "hard.npz"),
    ],
)
def test_what_is_read_is_never_written_over(
    model: Path, digit: Path, tmp_path: Path, option: str, name: str
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "link.npz").symlink_to(model)
    (tmp_path / "hard.npz").hardlink_to(model)
    before = model.read_bytes()
    out = tmp_path / name
    found = netloom("run", model, digit, option, out, "--force")
    assert (found.returncode, found.stdout) == (1, "")
    assert "error[E620]" in found.stderr
    assert model.read_bytes() == before


def test_neither_are_inputs_and_weights_beside_the_model(digit: Path, tmp_path: Path) -> None:
    model = digits(tmp_path / "outside.onnx", external=True)
    data = tmp_path / "outside.onnx.data"
    for path in (digit, data):
        before = path.read_bytes()
        found = netloom("run", model, tmp_path / "*.npy", "--csv", path, "--force")
        assert "error[E620]" in found.stderr
        assert path.read_bytes() == before


def test_a_file_that_is_there_stays_unless_it_may_go(
    model: Path, digit: Path, tmp_path: Path
) -> None:
    table = tmp_path / "table.csv"
    table.write_text("mine")
    refused = netloom("run", model, digit, "--csv", table)
    assert (refused.returncode, table.read_text()) == (1, "mine")
    assert "error[E004]: `" in refused.stderr
    assert netloom("run", model, digit, "--csv", table, "--force").returncode == 0
    assert table.read_text().startswith("source,")


def test_an_archive_of_outputs_is_replaced_and_no_other(
    model: Path, digit: Path, tmp_path: Path
) -> None:
    out, mine = tmp_path / "out.npz", tmp_path / "mine.npz"
    numpy.savez(mine, logits=drawn(3))
    for _ in range(2):
        assert netloom("run", model, digit, "--out", out).returncode == 0
    refused = netloom("run", model, digit, "--out", mine)
    assert "error[E004]" in refused.stderr
    with numpy.load(mine) as archive:
        assert archive.files == ["logits"]


def test_a_name_with_an_ending_is_no_folder(model: Path, digit: Path, tmp_path: Path) -> None:
    found = netloom("run", model, digit, "--out", tmp_path / "o.txt")
    assert found.returncode == 2
    assert not (tmp_path / "o.txt").exists()
    (tmp_path / "plain").touch()
    assert (
        "is a file, not a folder"
        in netloom("run", model, digit, "--out", tmp_path / "plain").stderr
    )
    (tmp_path / "v1.2").mkdir()
    assert netloom("run", model, digit, "--out", tmp_path / "v1.2").returncode == 0


# Models that cannot be used


def _cut(model: Path) -> None:
    model.write_bytes(model.read_bytes()[:-100])


def _empty(model: Path) -> None:
    model.write_bytes(b"")


def _newer_opset(model: Path) -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    of = {"x": (TensorProto.FLOAT, [1])}
    foreign(model, of, {"y": of["x"]}, [node], opset=999)


def _newer_format(model: Path) -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    of = {"x": (TensorProto.FLOAT, [1])}
    foreign(model, of, {"y": of["x"]}, [node], ir=99)


def _unknown_operator(model: Path) -> None:
    node = helper.make_node("Nonsense", ["x"], ["y"])
    of = {"x": (TensorProto.FLOAT, [1])}
    foreign(model, of, {"y": of["x"]}, [node])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_cut, "it is cut off"),
        (_empty, "it is empty"),
        (_newer_opset, "999"),
        (_newer_format, "Unsupported model IR version: 99"),
        (_unknown_operator, "No Op registered for Nonsense"),
    ],
)
def test_a_model_that_cannot_be_used_is_told(model: Path, spoil: Any, words: str) -> None:
    spoil(model)
    with pytest.raises(Failed) as failed:
        open_session(model)
    (found,) = failed.value.diagnostics
    assert found.code == "E604"
    assert words in found.message
    assert not {"onnxruntime_src", "ONNXRuntimeError"} & set(found.message.split("/"))


def test_in_place_of_a_folder_its_models_are_named(model: Path, tmp_path: Path) -> None:
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    helps = []
    for folder in (tmp_path, tmp_path / "run", tmp_path / "empty"):
        with pytest.raises(Failed) as failed:
            open_session(folder)
        assert failed.value.diagnostics[0].message == f"`{folder}` is a folder, not a model"
        helps.append(failed.value.diagnostics[0].help)
    assert helps == [
        f"models in that folder: `{model}`",
        f"`netloom export {tmp_path / 'run'}` writes the model of that run",
        None,
    ]


def test_in_place_of_a_folder_its_runs_or_models_are_named(model: Path, tmp_path: Path) -> None:
    with pytest.raises(Failed) as failed:
        find(tmp_path)
    assert f"`netloom verify SPEC --model {model}`" in (failed.value.diagnostics[0].help or "")
    (tmp_path / "2026").mkdir()
    (tmp_path / "2026" / "config.json").touch()
    with pytest.raises(Failed) as failed:
        find(tmp_path)
    assert failed.value.diagnostics[0].help == f"runs in that folder: `{tmp_path / '2026'}`"


@pytest.mark.parametrize("name", ["missing.onnx", "."])
def test_a_model_that_is_not_there_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(Failed) as failed:
        open_session(tmp_path / name)
    assert failed.value.diagnostics[0].code == "E001"


def test_the_format_of_the_runtime_itself_is_not_read(model: Path) -> None:
    """An `.ort` file is another format, in which weights outside would not be seen."""
    other = model.rename(model.with_suffix(".ort"))
    assert open_session(other).get_providers() == ["CPUExecutionProvider"]


# Devices


class Runtime(types.SimpleNamespace):
    """ONNX Runtime as it would be: sessions really are on the CPU, and say they are elsewhere."""

    def __init__(self, built_for: Sequence[str], gives: Sequence[str]) -> None:
        import onnxruntime

        super().__init__(**{k: v for k, v in vars(onnxruntime).items() if k != "InferenceSession"})
        self.get_available_providers = lambda: [PROVIDERS[each] for each in built_for]
        self.gives = [PROVIDERS[each] for each in gives]
        self.asked: list[Any] = []

    def InferenceSession(self, *arguments: Any, providers: Any, **options: Any) -> Any:  # noqa: N802
        import onnxruntime

        self.asked = providers
        only_cpu = [PROVIDERS["cpu"]]
        session = onnxruntime.InferenceSession(*arguments, providers=only_cpu, **options)
        wanted = [each if isinstance(each, str) else each[0] for each in providers]
        given = [each for each in wanted if each in self.gives]
        return types.SimpleNamespace(get_providers=lambda: given, run=session.run)


@pytest.fixture
def with_gpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A machine that has a GPU, as far as its driver says."""
    monkeypatch.setattr(devices, "_missing_gpu", lambda: None)
    monkeypatch.setattr(sessions, "missing_library", lambda runtime, device: "libx.so is missing")
    monkeypatch.setattr(sessions, "load_libraries", lambda runtime: None)

    def use(runtime: Runtime) -> Runtime:
        monkeypatch.setattr(sessions, "need", lambda module, extra: runtime)
        return runtime

    return use


@pytest.mark.parametrize(
    ("device", "built_for", "gives", "taken"),
    [
        ("auto", ("cuda", "cpu"), ("cuda", "cpu"), "cuda"),
        ("auto", ("cuda", "cpu"), ("cpu",), "cpu"),
        ("auto", ("cpu",), ("cpu",), "cpu"),
        ("auto", ("tensorrt", "cuda", "cpu"), ("tensorrt", "cuda", "cpu"), "cuda"),
        ("cuda", ("cuda", "cpu"), ("cuda", "cpu"), "cuda"),
        ("cuda", ("cuda", "cpu"), ("cpu",), None),
        ("cuda", ("cpu",), ("cpu",), None),
        ("tensorrt", ("tensorrt", "cuda", "cpu"), ("tensorrt", "cuda", "cpu"), "tensorrt"),
        ("tensorrt", ("tensorrt", "cuda", "cpu"), ("cuda", "cpu"), None),
        ("cpu", ("cuda", "cpu"), ("cuda", "cpu"), "cpu"),
    ],
)
def test_no_device_is_replaced_in_silence(
    model: Path, with_gpu: Any, device: Any, built_for: Any, gives: Any, taken: str | None
) -> None:
    with_gpu(Runtime(built_for, gives))
    if taken is None:
        with pytest.raises(Failed) as failed:
            opened(model, device)
        (told,) = failed.value.diagnostics
        assert told.code == "E607"
        missing = "libx.so is missing" if device in built_for else "was built without"
        assert missing in told.message
        return
    found = opened(model, device)
    assert (found.device, found.session.get_providers()[0]) == (taken, PROVIDERS[taken])
    assert set(found.not_taken) == ({"cuda"} if (device, taken) == ("auto", "cpu") else set())


def test_tensorrt_leaves_to_cuda_what_it_cannot_do(model: Path, with_gpu: Any) -> None:
    runtime = with_gpu(Runtime(list(PROVIDERS), list(PROVIDERS)))
    opened(model, "tensorrt")
    names = [each if isinstance(each, str) else each[0] for each in runtime.asked]
    assert names == [PROVIDERS["tensorrt"], PROVIDERS["cuda"], PROVIDERS["cpu"]]


def test_a_machine_without_a_driver_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert "there is no NVIDIA driver" in str(devices._missing_gpu())


@pytest.mark.parametrize(
    ("code", "count", "words"),
    [(100, 0, "gives no GPU (its error 100)"), (0, 0, "finds no GPU"), (0, 2, "None")],
)
def test_a_driver_without_a_gpu_says_so(
    monkeypatch: pytest.MonkeyPatch, code: int, count: int, words: str
) -> None:
    def counted(pointer: Any) -> int:
        pointer._obj.value = count
        return 0

    driver = types.SimpleNamespace(cuInit=lambda flags: code, cuDeviceGetCount=counted)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: driver)
    assert words in str(devices._missing_gpu())


def test_a_missing_library_is_named() -> None:
    """Where no GPU is, TensorRT's or the driver's library is missing, which is really tried."""
    import onnxruntime

    if "TensorrtExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime was built without TensorRT")
    told = devices.missing_library(onnxruntime, "tensorrt")
    assert ".so" in told or "does not say why" in told


def test_placement_names_every_node(model: Path) -> None:
    import onnx

    nodes = placement_of(open_session(model))
    assert nodes is not None
    expected = {(each.name, each.op_type, "cpu") for each in onnx.load(model).graph.node}
    assert {tuple(each) for each in nodes} == expected
    told = netloom("run", model, "missing.npy", "--placement", "--device", "cpu").stderr
    assert all(f"  {node.name}" in told for node in nodes)


def test_what_stays_on_the_cpu_is_counted() -> None:
    nodes = [
        Placed("a", "Shape", "cpu"),
        Placed("b", "MaxUnpool", "cpu"),
        Placed("c", "MaxUnpool", "cpu"),
        Placed("d", "Conv", "cuda"),
    ]
    assert left_on_cpu(nodes) == "2 MaxUnpool, 1 Shape"


def test_the_command_says_what_stays_on_the_cpu(capsys: pytest.CaptureFixture[str]) -> None:
    from netloom.cli.run import _tell_device
    from netloom.runtime.sessions import Opened

    nodes = [Placed("a", "Conv", "cuda"), Placed("b", "MaxUnpool", "cpu")]
    _tell_device(Opened(None, "cuda", {}), nodes, in_full=False)
    told = capsys.readouterr().err
    assert told == (
        "ONNX Runtime on CUDA\n1 of 2 nodes stay on the CPU: 1 MaxUnpool; "
        "`--placement` lists them\n"
    )


@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_a_device_that_is_missing_is_told(model: Path, tmp_path: Path, device: str) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    path = image(tmp_path / "x.png")
    found = netloom("run", model, path, "--device", device)
    assert (found.returncode, found.stdout) == (1, "")
    assert "error[E607]" in found.stderr
    assert "Falling back" not in found.stderr + found.stdout
    auto = netloom("run", model, path)
    assert auto.returncode == 0
    assert "ONNX Runtime on the CPU; not CUDA: " in auto.stderr


# Progress


@pytest.mark.parametrize(
    ("patience", "is_terminal", "is_wanted", "shown"),
    [
        (0, True, True, True),
        (60, True, True, False),
        (0, False, True, False),
        (0, True, False, False),
    ],
)
def test_a_bar_is_for_people_who_wait(
    monkeypatch: pytest.MonkeyPatch, patience: int, is_terminal: bool, is_wanted: bool, shown: bool
) -> None:
    from rich.console import Console

    from netloom.cli import progress

    written = io.StringIO()
    console = Console(file=written, force_terminal=is_terminal, width=80)
    monkeypatch.setattr(progress, "PATIENCE", patience)
    monkeypatch.setattr(progress, "Console", lambda **options: console)
    with progress.followed(list(range(5)), is_wanted) as items:
        assert list(items) == list(range(5))
    assert ("━" in written.getvalue()) == shown
