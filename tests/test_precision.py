"""Models of float16 and int8: what they are, what they are worth, and which the gate refuses."""

import json
import math
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import onnx
import onnxruntime
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from typer.testing import CliRunner

from netloom.cli import export as export_command  # noqa: F401  registers the command
from netloom.cli.app import app
from netloom.compile import check, check_file
from netloom.diagnostics import Diagnostic, Failed, Source
from netloom.emit import onnx as emit_onnx
from netloom.emit.torch import module
from netloom.runtime.precision import Lowered, Request, evaluation, float16, int8, lower
from netloom.runtime.precision.evaluation import Evaluation, Measured
from netloom.runtime.precision.gate import checks, differences
from netloom.runtime.proof.isolated import IsolatedRuntime
from netloom.runtime.trained import Trained, find
from netloom.runtime.verify import randomised
from netloom.train.run import Options, train
from netloom.train.run_directory import RunDirectory
from oracles.operators import CASES
from specimens import SPECS

Array = numpy.ndarray[Any, Any]

SMALL = """
network small {
    input  image: float32[N, 1, 8, 8]
    target label: int64[N]
    trunk = conv(8, 3, pad=1) -> relu -> conv(16, 3, stride=2) -> relu -> flatten
    head logits = linear(10)
    train head early = trunk -> linear(10)
    infer head probabilities = logits -> softmax
}
"""

TRAINED = f"""{SMALL}
train small {{
    data      "digits"
    loss      cross_entropy(logits, label)
    optimizer adam(lr=0.01)
    epochs    3
    metric    accuracy(logits, label)
    metric    accuracy(logits, label, top=3)
}}
"""

AUTOENCODER = """
network coder {
    input image: float32[N, 1, 8, 8]
    conv(8, 3, stride=2, pad=1) -> relu
    head drawn = deconv(1, 4, stride=2, pad=1)
}
train coder {
    data   "digits"
    loss   mse(drawn, image)
    metric mse(drawn, image)
    metric mae(drawn, image)
}
"""

UNTRAINED = """
network net {
    input x: float32[N, 1, 8, 8]
    wide = conv(4, 3) -> relu
    head y = flatten -> linear(3)
}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small network that has learned to read digits."""
    folder = tmp_path_factory.mktemp("precision") / "run"
    return train(check(Source("small.loom", TRAINED)), Options(out=folder, quiet=True))


@pytest.fixture(scope="module")
def network(run: Path) -> Trained:
    return find(run)


def of(text: str, **changes: float) -> Trained:
    """A network with random weights, some of them scaled."""
    spec = check(Source("net.loom", text))
    ((name, built),) = spec.networks.items()
    weights = dict(randomised(built.graph))
    for layer, factor in changes.items():
        weights[f"{layer}.weight"] = weights[f"{layer}.weight"] * numpy.float32(factor)
    return Trained(spec, name, weights, None)


def exported(trained: Trained) -> bytes:
    assert trained.weights is not None
    return emit_onnx.model_bytes(trained.graph, trained.weights, {"netloom.network": "kept: ü"})


def lowered(trained: Trained, *request: Any, **more: Any) -> Lowered:
    return lower(trained, exported(trained), Request(*request, **more))


def refused(trained: Trained, *request: Any, **more: Any) -> Diagnostic:
    with pytest.raises(Failed) as failed:
        lowered(trained, *request, **more)
    (diagnostic,) = failed.value.diagnostics
    return diagnostic


def outputs(content: bytes, inputs: dict[str, Array], optimise: bool = True) -> dict[str, Array]:
    options = onnxruntime.SessionOptions()
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def test_digits() -> tuple[Array, Array]:
    """The test images as scikit-learn gives them, scaled to [0, 1], and their labels."""
    digits = load_digits()
    images = numpy.rint(digits.images * (255 / 16)).astype("uint8").astype("float32") / 255
    _, test = train_test_split(
        numpy.arange(1797), test_size=0.25, stratify=digits.target, random_state=0
    )
    return images[test][:, None], digits.target[test]


test_digits.__test__ = False  # type: ignore[attr-defined]


def metadata_of(content: bytes) -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.load_from_string(content).metadata_props}


# ---- what comes out


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_a_lower_model_is_the_same_to_its_users(network: Trained, precision: Any) -> None:
    before, found = exported(network), lowered(network, precision)
    first, second = onnx.load_from_string(before), onnx.load_from_string(found.content)
    onnx.checker.check_model(second, full_check=True)
    assert second.ir_version == first.ir_version
    assert list(second.opset_import) == list(first.opset_import)
    assert second.producer_name == first.producer_name
    assert list(second.graph.input) == list(first.graph.input)
    assert list(second.graph.output) == list(first.graph.output)
    assert found.bytes_before == len(before)
    assert len(found.content) < {"float16": 0.6, "int8": 0.7}[precision] * len(before)


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_equal_models_give_equal_bytes(network: Trained, precision: Any) -> None:
    assert lowered(network, precision).content == lowered(network, precision).content


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--fp16", "--int8"])
def test_bytes_do_not_depend_on_the_hash_seed(run: Path, tmp_path: Path, option: str) -> None:
    found = []
    for seed in ("1", "2"):
        path = tmp_path / f"{seed}.onnx"
        command = [sys.executable, "-m", "netloom", "export", str(run), option, "-o", str(path)]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": seed})
        found.append(path.read_bytes())
    assert found[0] == found[1]


def test_weights_are_of_the_precision(network: Trained) -> None:
    types = {
        precision: {
            tensor.data_type
            for tensor in onnx.load_from_string(
                lowered(network, precision).content
            ).graph.initializer
            if tensor.name.startswith("trunk.conv") and len(tensor.dims) == 4
        }
        for precision in ("float16", "int8")
    }
    assert types == {"float16": {onnx.TensorProto.FLOAT16}, "int8": {onnx.TensorProto.INT8}}


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_the_numbers_are_those_of_the_files(run: Path, network: Trained, precision: Any) -> None:
    """Accuracies are computed again: from scikit-learn's digits, and by PyTorch in training."""
    found = lowered(network, precision)
    images, labels = test_digits()
    decisions = [
        outputs(content, {"image": images})["logits"].argmax(1)
        for content in (exported(network), found.content)
    ]
    accuracy, top3 = found.checks
    assert (accuracy.name, top3.name) == ("accuracy", "top3_accuracy")
    assert accuracy.before == pytest.approx((decisions[0] == labels).mean())
    assert accuracy.after == pytest.approx((decisions[1] == labels).mean(), abs=1 / 450)
    assert found.agreement["logits"] == pytest.approx(
        (decisions[0] == decisions[1]).mean(), abs=1 / 450
    )
    best = json.loads((run / "result.json").read_text())["best"]
    assert accuracy.before == pytest.approx(best["accuracy"], abs=1e-6)
    assert accuracy.before > 0.8


def test_metadata_says_how_it_was_compared(network: Trained) -> None:
    found = lowered(network, "int8", samples=100)
    entries = metadata_of(found.content)
    assert entries["netloom.network"] == "kept: ü"
    assert entries["netloom.precision"] == "int8"
    calibration = json.loads(entries["netloom.calibration"])
    assert calibration == {"data": "digits", "samples": 100, "method": "minmax"}
    comparison = json.loads(entries["netloom.comparison"])
    accuracy = found.checks[0]
    assert comparison["measured"]["accuracy"] == {
        "float32": accuracy.before,
        "int8": accuracy.after,
    }
    assert comparison["on"] == "450 test samples of `digits`"
    assert comparison["agreement"] == found.agreement
    assert not [key for key in entries if not key.startswith("netloom.")]


def test_more_samples_than_there_are_means_all(network: Trained) -> None:
    found = lowered(network, "int8", samples=100_000)
    assert found.calibration == {"data": "digits", "samples": 1347, "method": "minmax"}


def test_json_is_plain_data(network: Trained) -> None:
    document = json.loads(json.dumps(lowered(network, "int8").as_json()))
    assert document["precision"] == "int8"
    assert document["stayed_float"] == {"Softmax": ["probabilities"]}
    assert document["checks"][0]["name"] == "accuracy"


# ---- float16


def test_rounding_everywhere_is_what_pytorch_does_in_half_precision(network: Trained) -> None:
    images, _ = test_digits()
    torch_network = module(network.graph).eval()
    assert network.weights is not None
    state = {name: torch.from_numpy(numpy.array(each)) for name, each in network.weights.items()}
    torch_network.load_state_dict(state)
    with torch.no_grad():
        truth = torch_network.half()(torch.from_numpy(images).half())["logits"].float().numpy()
    exact = outputs(exported(network), {"image": images})["logits"]
    found = outputs(float16.rounded_everywhere(exported(network)), {"image": images})["logits"]
    largest = numpy.abs(truth).max()
    assert numpy.abs(found - truth).max() <= 2e-3 * largest
    # It rounds: what is compared is nearer to half precision than float32 is, in all but a few.
    assert numpy.abs(found - truth).mean() < 0.7 * numpy.abs(exact - truth).mean()
    assert (found == found.astype("float16")).all()


def test_rounding_everywhere_rounds_weights(network: Trained) -> None:
    stand_in = onnx.load_from_string(float16.rounded_everywhere(exported(network)))
    arrays = [onnx.numpy_helper.to_array(tensor) for tensor in stand_in.graph.initializer]
    floats = [array for array in arrays if array.dtype == "float32"]
    assert floats
    assert all((array == array.astype("float16")).all() for array in floats)


def test_weights_that_float16_cannot_hold_are_refused() -> None:
    found = refused(of(UNTRAINED, wide=1e6), "float16")
    assert found.code == "E616"
    assert found.message == "`wide.weight` has weights beyond 65504, where float16 ends"


def test_weights_that_are_tiny_are_told() -> None:
    (note,) = lowered(of(UNTRAINED, wide=1e-9), "float16").notes
    assert note == "weights below 6e-08 become that, in `wide.weight`"


def test_values_that_overflow_are_refused_and_named() -> None:
    """On a CPU this model computes well: ONNX Runtime has no float16 kernels there."""
    trained = of(UNTRAINED, wide=4e4, y=1e-4)
    found = refused(trained, "float16")
    assert found.code == "E615"
    assert found.message.startswith("the difference of `y` is infinite: the output is not finite")
    assert found.help is not None
    assert found.help.startswith("`wide.conv` reaches ")
    assert "and float16 ends at 65504; nothing is written" in found.help
    assert "`y`" not in found.help


def test_an_input_of_training_only_is_not_fed() -> None:
    text = UNTRAINED.replace("    wide = ", "    input extra: float32[N, 5]\n    wide = x -> ")
    text = text.replace("linear(3)", "linear(3)\n    train head early = extra -> linear(2)")
    assert refused(of(text, wide=4e4, y=1e-4), "float16").code == "E615"


PADS_WITH_INFINITY = "maxpool([4, 2], [3, 1], pad=[2, 1], dilation=[2, 3], ceil=true)"


def test_bounds_may_be_larger_than_any_float16() -> None:
    trained = of(
        "network net { input x: float32[N, 2, 16, 16]\n"
        f"head y = conv(3, 3) -> {PADS_WITH_INFINITY} }}"
    )
    constants = onnx.load_from_string(exported(trained)).graph.initializer
    assert any(numpy.isinf(onnx.numpy_helper.to_array(each)).any() for each in constants)
    assert lowered(trained, "float16").checks[0].passes


def test_what_two_float32_operators_read_is_cast_once() -> None:
    trained = of(
        """network net {
            input boxes: float32[r, 4]
            input scores: float32[r]
            moved = boxes -> add { in in }
            head some = moved -> nms(scores, 0.5)
            head fewer = moved -> nms(scores, 0.1)
        }"""
    )
    model = onnx.load_from_string(float16.converted(exported(trained)).content)
    made = [name for node in model.graph.node for name in node.output]
    assert len(made) == len(set(made))
    assert [node.op_type for node in model.graph.node].count("NonMaxSuppression") == 2


SEQUENCE = """
network net {
    input x: float32[N, t, 4]
    s, last = lstm(8)
    head out = s -> linear(2)
}
"""


def test_a_transposition_that_crashes_the_runtime_stays_float32(tmp_path: Path) -> None:
    found = lowered(of(SEQUENCE), "float16")
    assert found.stayed_float == {"Transpose": ("lstm1",)}
    half = [
        tensor.name
        for tensor in onnx.load_from_string(found.content).graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT16
    ]
    assert "lstm1/weight_ih_l0" in half
    assert "out/weight" in half
    (tmp_path / "m.onnx").write_bytes(found.content)
    program = f"import onnxruntime as o; o.InferenceSession({str(tmp_path / 'm.onnx')!r})"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_a_model_that_crashes_the_runtime_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one did before some nodes were kept in float32; nothing here dies of it."""
    monkeypatch.setattr(float16, "_crashing", lambda _: [])
    honest = IsolatedRuntime.open

    def crashing(self: IsolatedRuntime, session: str, *rest: Any) -> Any:
        if session == "float16, optimiser on":
            self.process.send_signal(signal.SIGSEGV)
            self.process.wait()
        return honest(self, session, *rest)

    monkeypatch.setattr(IsolatedRuntime, "open", crashing)
    found = refused(of(SEQUENCE), "float16")
    assert found.code == "E613"
    assert found.message == (
        "ONNX Runtime crashed: it was ended by the signal SIGSEGV "
        "(loading the model, float16, optimiser on)"
    )
    assert found.help == "nothing is written; export it in float32, or try `--int8`"


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_weights_that_are_not_finite_are_refused(precision: Any) -> None:
    trained = of(TRAINED)
    assert isinstance(trained.weights, dict)
    trained.weights["logits.bias"][3] = math.nan
    found = refused(trained, precision)
    assert found.code == "E618"
    assert found.message == "1 number is NaN or infinite in the weights `logits.bias`"


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_whole_networks_in_float16(path: Path) -> None:
    spec = check_file(path)
    for name, built in spec.networks.items():
        trained = Trained(spec._replace(programs={}), name, randomised(built.graph), None)
        found = lowered(trained, "float16")
        assert found.compared_on == "random inputs"
        assert all(check.passes for check in found.checks)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_operator_in_float16(case: Any) -> None:
    found = lowered(of(case.text), "float16")
    onnx.checker.check_model(onnx.load_from_string(found.content), full_check=True)
    assert all(check.passes for check in found.checks)


# ---- int8


def test_each_channel_of_a_weight_has_a_scale(network: Trained) -> None:
    model = onnx.load_from_string(lowered(network, "int8").content)
    scales = {each.name: list(each.dims) for each in model.graph.initializer}
    assert scales["trunk.conv1.weight_scale"] == [8]
    assert scales["trunk.conv2.weight_scale"] == [16]
    assert scales["image_scale"] == []


def test_calibration_takes_training_samples_always_the_same(network: Trained) -> None:
    evidence = evaluation.evidence_for(network, None)
    assert evidence is not None
    first, second = (
        numpy.concatenate([feed["image"] for feed in evaluation.calibration_inputs(evidence, 100)])
        for _ in range(2)
    )
    assert len(first) == 100
    assert (first == second).all()
    tested = {image.tobytes() for image in test_digits()[0]}
    assert not tested & {image.tobytes() for image in first}


def test_it_says_what_stays_float32() -> None:
    trained = of(
        """network net {
            input image: float32[N, 2, 8, 8]
            target label: int64[N]
            a = conv(4, 3) -> tanh
            b = conv(4, 3) -> relu -> maxpool(2) -> flatten
            head logits = linear(10)
            head p = softmax
        }"""
    )
    found = int8.quantised(exported(trained), evaluation.random_inputs(trained.graph))
    assert found.stayed_float == {"Tanh": ("a.tanh1",), "Softmax": ("p",)}


def test_a_network_without_a_layer_for_int8_is_refused() -> None:
    trained = of("network net { input x: float32[N, 4]\n head y = tanh }")
    with pytest.raises(Failed) as failed:
        int8.quantised(exported(trained), evaluation.random_inputs(trained.graph))
    (found,) = failed.value.diagnostics
    assert (found.code, found.message) == ("E616", "network `net` has no layer that can be int8")


@pytest.mark.parametrize(
    "body",
    [
        "conv(8, 3) -> relu -> avgpool(2) -> conv(4, 1)",  # its dilations, which int8 does not know
        "conv(8, 3) -> relu -> deconv(4, 2, stride=2, groups=2)",  # the quantiser cannot
        f"{PADS_WITH_INFINITY} -> conv(4, 1)",
        "conv(8, 3) -> relu -> upsample(2) -> conv(4, 3, groups=4)",
        "conv(8, 3) -> { sigmoid relu } -> mul",
    ],
)
def test_int8_is_near_float32(body: str) -> None:
    if "{" in body:
        body = "c = conv(8, 3)\n a = c -> sigmoid\n b = c -> relu\n head y = mul { a b }"
    else:
        body = f"head y = {body}"
    trained = of(f"network net {{ input x: float32[N, 4, 16, 16]\n {body} }}")
    feeds = list(evaluation.random_inputs(trained.graph))
    content = int8.quantised(exported(trained), feeds).content
    for feed in feeds:
        truth = outputs(exported(trained), feed)["y"]
        for optimise in (False, True):
            found = outputs(content, feed, optimise)["y"]
            assert numpy.abs(found - truth).max() <= 0.05 * numpy.abs(truth).max()


def test_no_files_stay_behind(
    network: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    lowered(network, "int8")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_operator_in_int8(case: Any) -> None:
    """Near float32 where it can be int8; indices may be others, where bytes are equal."""
    trained = of(case.text)
    feeds = list(evaluation.random_inputs(trained.graph))
    try:
        content = int8.quantised(exported(trained), feeds).content
    except Failed:
        pytest.skip("no layer of it can be int8")
    for optimise in (False, True):
        pairs = [
            (outputs(exported(trained), feed), outputs(content, feed, optimise)) for feed in feeds
        ]
        allowed = math.inf if "indices=true" in case.text else 0.1
        assert all(each.passes for each in differences(pairs, allowed))


# ---- the gate


def measured(value: float, higher: bool = True, share: bool = True) -> Evaluation:
    return Evaluation((Measured("m", value, higher, share),), {})


@pytest.mark.parametrize(
    ("before", "after", "higher", "share", "allowed", "passes"),
    [
        (0.989, 0.9791, True, True, None, True),
        (0.989, 0.9789, True, True, None, False),
        (0.5, 0.495, True, True, 0.004, False),
        (0.9, 0.91, True, True, 0, True),
        (0.9, 0.9, True, True, 0, True),
        (0.9, 0.899, True, True, 0, False),
        (0.2, 0.201, False, False, None, True),
        (0.2, 0.203, False, False, None, False),
        (0.2, 0.1, False, False, 0, True),
        (-2.0, -1.99, False, False, None, True),
        (-2.0, -1.97, False, False, None, False),
        (10.0, 9.8, True, False, None, False),
        (0.0, 1e-9, False, False, 0.5, False),
        (0.0, 0.0, False, False, 0, True),
        (0.9, math.nan, True, True, 1, False),
        (0.2, math.nan, False, False, 1, False),
        (0.9, 0.9, True, True, math.nan, False),
    ],
)
def test_what_passes(
    before: float, after: float, higher: bool, share: bool, allowed: float | None, passes: bool
) -> None:
    first, second = measured(before, higher, share), measured(after, higher, share)
    (found,) = checks(first, [second], allowed)
    assert found.passes == passes


@pytest.mark.parametrize("worst", [0.5, math.nan])
def test_the_worst_way_of_running_it_counts(worst: float) -> None:
    for after in ([0.9, worst, 0.8], [worst, 0.9]):
        (found,) = checks(measured(0.9), [measured(each) for each in after], None)
        assert found.after == worst or math.isnan(found.after) == math.isnan(worst)
        assert not found.passes


@pytest.mark.parametrize(
    ("truth", "found", "difference"),
    [
        ([1.0, -4.0], [1.0, -3.0], 0.25),
        ([0.0, 0.0], [0.0, 0.5], 0.5),
        ([1.0, 2.0], [1.0, math.nan], math.inf),
        ([1.0, math.inf], [1.0, math.inf], 0.0),
        ([1, 2], [1, 2], 0.0),
        ([1, 2], [1, 3], math.inf),
        ([], [], 0.0),
        ([1.0], [1.0, 1.0], math.inf),
    ],
)
def test_differences(truth: list[float], found: list[float], difference: float) -> None:
    arrays = [numpy.array(each) for each in (truth, found)]
    (check,) = differences([({"y": arrays[0]}, {"y": arrays[1]})], None)
    assert check.after == pytest.approx(difference)


@pytest.mark.parametrize(
    ("share", "allowed", "words"),
    [
        (True, 0, "nothing"),
        (False, 0, "nothing"),
        (True, None, "-1 point"),
        (True, 0.02, "-2 points"),
        (False, None, "1 % worse"),
    ],
)
def test_what_is_allowed_in_words(share: bool, allowed: float | None, words: str) -> None:
    (found,) = checks(measured(0.9, True, share), [measured(0.8, True, share)], allowed)
    assert found.allowed_text == words
    assert ("where nothing may become worse" in found.verdict()) == (allowed == 0)


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A calibration that sees a hundredth of what there is."""
    real = evaluation.calibration_inputs

    def planted(*arguments: Any) -> Iterator[dict[str, Array]]:
        for inputs in real(*arguments):
            yield {name: array * numpy.float32(0.01) for name, array in inputs.items()}

    monkeypatch.setattr(evaluation, "calibration_inputs", planted)


@pytest.mark.usefixtures("narrow")
def test_a_bad_quantisation_is_refused_with_its_numbers(network: Trained) -> None:
    found = refused(network, "int8")
    assert found.code == "E615"
    assert "accuracy falls from 9" in found.message
    assert "% to " in found.message
    assert "by more than the 1 point allowed" in found.message
    assert found.help is not None
    assert "nothing is written" in found.help


@pytest.mark.usefixtures("narrow")
def test_it_passes_where_everything_is_allowed(network: Trained) -> None:
    found = lowered(network, "int8", 1.0)
    assert found.checks[0].drop > 0.1
    images, _ = test_digits()
    truth = outputs(exported(network), {"image": images})["logits"].argmax(1)
    equal = [
        (outputs(found.content, {"image": images}, optimise)["logits"].argmax(1) == truth).mean()
        for optimise in (False, True)
    ]
    assert found.agreement["logits"] == pytest.approx(min(equal))
    assert min(equal) < 0.9


def test_without_classes_the_metrics_are_compared() -> None:
    found = lowered(of(AUTOENCODER), "int8", 0.1)
    assert [check.name for check in found.checks] == ["mse", "mae"]
    assert {check.kind for check in found.checks} == {"value"}
    assert found.agreement == {}
    images, _ = test_digits()
    drawn = outputs(found.content, {"image": images})["drawn"]
    assert found.checks[0].after == pytest.approx(float(((drawn - images) ** 2).mean()), rel=0.01)


def test_without_a_metric_the_loss_is_compared() -> None:
    text = f'{SMALL}\ntrain small {{ data "digits"  loss cross_entropy(logits, label)  batch 64 }}'
    trained = of(text)
    found = lowered(trained, "float16")
    (check,) = found.checks
    assert (check.name, check.kind) == ("loss", "value")
    images, labels = test_digits()
    logits = torch.from_numpy(outputs(exported(trained), {"image": images})["logits"])
    truth = torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels)).item()
    assert check.before == pytest.approx(truth, rel=1e-5)
    assert found.agreement["logits"] > 0.98


def test_heads_that_no_metric_reads_must_stay_finite() -> None:
    heads = "head wide = trunk -> linear(2)\n    head logits = trunk -> linear"
    text = TRAINED.replace("head logits = linear", heads)
    found = refused(of(text, wide=6e4), "float16", 1.0)
    assert found.code == "E615"
    assert found.message.startswith("the difference of `wide` is infinite")
    assert found.help is not None
    assert found.help.startswith("`wide` reaches ")


def test_a_run_is_measured_on_its_own_data(network: Trained) -> None:
    found = find_with(network, data="digits?size=8")
    assert lowered(found, "int8").compared_on == "450 test samples of `digits?size=8`"
    assert lowered(found, "int8", data="digits").compared_on == "450 test samples of `digits`"


def find_with(trained: Trained, **config: Any) -> Trained:
    return Trained(trained.spec, trained.network, trained.weights, None, config)


# ---- what cannot be measured

ONLY_IN_TRAINING = f'{SMALL}\ntrain small {{ data "digits"  loss cross_entropy(early, label) }}'
WITHOUT_DATA = f"{SMALL}\ntrain small {{ loss cross_entropy(logits, label) }}"


@pytest.mark.parametrize(
    ("text", "message", "help"),
    [
        (
            SMALL,
            "int8 needs data to calibrate with, and network `small` has no train section",
            "add one with `data`",
        ),
        (
            WITHOUT_DATA,
            "int8 needs data to calibrate with, and network `small` names none",
            "`--data digits`",
        ),
        (
            ONLY_IN_TRAINING,
            "network `small` has no metric, and no loss of what is exported",
            "`metric accuracy(logits, label)`",
        ),
    ],
)
def test_int8_needs_data_and_a_measure(text: str, message: str, help: str) -> None:
    found = refused(of(text), "int8")
    assert (found.code, found.help and help in found.help) == ("E616", True)
    assert message in found.message


@pytest.mark.parametrize("text", [SMALL, WITHOUT_DATA, ONLY_IN_TRAINING])
def test_float16_can_do_without(text: str) -> None:
    found = lowered(of(text), "float16")
    assert found.compared_on == "random inputs"
    names = [check.name for check in found.checks]
    assert names == ["the difference of `logits`", "the difference of `probabilities`"]
    assert all(0 < check.after < 0.02 for check in found.checks)


def test_data_can_be_named() -> None:
    assert lowered(of(WITHOUT_DATA), "int8", 1.0, data="digits").calibration


def test_data_without_a_train_section_is_refused() -> None:
    assert refused(of(SMALL), "float16", data="digits").code == "E506"


def test_data_must_fit(network: Trained) -> None:
    assert refused(network, "int8", data="digits?size=9").code == "E505"


# ---- the command


def netloom(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, ["export", *map(str, arguments)], env={"COLUMNS": "200"})


@pytest.mark.parametrize(("option", "precision"), [("--fp16", "float16"), ("--int8", "int8")])
def test_export_writes_it_beside_the_float32_model(run: Path, option: str, precision: str) -> None:
    found = netloom(run, option)
    assert found.exit_code == 0, found.output
    assert ("int8 models are not compared with PyTorch" in found.stderr) == (option == "--int8")
    content = (run / f"model.{precision}.onnx").read_bytes()
    assert metadata_of(content)["netloom.precision"] == precision
    assert metadata_of(content)["netloom.preprocessing"]
    assert "accuracy" in found.stdout
    assert "equal decisions of logits" in found.stdout
    assert f"{len(content):,}" in found.stdout
    assert not (run / "model.onnx").exists()


@pytest.mark.usefixtures("narrow")
def test_a_refused_model_leaves_what_was_there(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"precious")
    found = netloom(run, "--int8", "--out", path, "--force")
    assert found.exit_code == 1
    assert "error[E615]: accuracy falls" in found.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["model.onnx"]
    assert path.read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--fp16 --int8", "exclude one another"),
        ("--max-drop 0.1", "are for --fp16 and --int8"),
        ("--data digits", "are for --fp16 and --int8"),
        ("--calibration-samples 5", "is for --int8"),
        ("--fp16 --calibration-samples 5", "is for --int8"),
        ("--int8 --max-drop -1", "greater than or equal to 0"),
        ("--int8 --calibration-samples 0", "greater than or equal to 1"),
    ],
)
def test_options_that_contradict_are_usage_errors(run: Path, options: str, message: str) -> None:
    found = netloom(run, *options.split())
    assert found.exit_code == 2
    assert message in found.stderr


def test_a_new_run_removes_the_models_of_the_old(tmp_path: Path) -> None:
    for name in ("model.onnx", "model.int8.onnx", "mine.onnx"):
        (tmp_path / name).touch()
    RunDirectory(tmp_path).clear()
    assert [path.name for path in tmp_path.iterdir()] == ["mine.onnx"]
