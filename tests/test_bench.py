"""`netloom bench`: the statistics against other sources, the rounds with a clock of our own."""

import json
import math
import random
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy
import onnx
import pytest
from scipy.stats import binom

from models import DIGITS, digits, drawn, rectifier
from netloom.compile import check
from netloom.diagnostics import Failed, Source
from netloom.emit.weights import initial
from netloom.ir.graph import Graph
from netloom.runtime.bench import EMITTED, Plan, Subject, subject_of
from netloom.runtime.bench import bench as timed
from netloom.runtime.sessions import opened
from netloom.runtime.timing import candidates, rounds
from netloom.runtime.timing.candidates import (
    REFERENCE,
    TorchForm,
    device_for_torch,
    drawn_inputs,
    largest_error,
    onnx_candidate,
    torch_candidate,
)
from netloom.runtime.timing.rounds import FEWEST_ROUNDS, WARM_UP_CALLS, measure
from netloom.runtime.timing.statistics import estimate, interval_rank, paired_ratios
from test_cli import netloom


def graph_of(text: str) -> Graph:
    (network,) = check(Source("net.loom", text)).networks.values()
    return network.graph


# Statistics


@pytest.mark.parametrize("count", [*range(1, 60), 100, 999, 5000])
def test_the_interval_has_the_ranks_of_the_binomial(count: int) -> None:
    """The oracle is scipy's distribution of heads."""
    rank = interval_rank(count)
    assert rank == 0 or 2 * binom.cdf(rank - 1, count, 0.5) <= 0.05
    assert 2 * binom.cdf(rank, count, 0.5) > 0.05


@pytest.mark.parametrize(("count", "rank"), [(5, 0), (6, 1), (10, 2), (20, 6), (30, 10), (50, 18)])
def test_the_interval_has_the_ranks_of_printed_tables(count: int, rank: int) -> None:
    assert interval_rank(count) == rank


def test_the_interval_holds_the_true_median_as_often_as_it_says() -> None:
    """Of lopsided values, as timings are: the logarithm is normal, so the median is 1."""
    generator = random.Random(7)
    trials, held = 2000, 0
    for _ in range(trials):
        interval = estimate([generator.lognormvariate(0, 1) for _ in range(30)]).interval
        assert interval
        held += interval[0] <= 1 <= interval[1]
    assert 0.945 <= held / trials <= 0.975  # 95.7 % for 30 values


def test_a_median_and_its_interval() -> None:
    values = [5.0, 1.0, 9.0, 3.0, 7.0, 8.0, 2.0]
    found = estimate(values)
    assert found.median == statistics.median(values)
    assert found.interval == (1.0, 9.0)
    assert estimate(values[:5]).interval is None


def test_ratios_are_those_of_rounds() -> None:
    """A round in which everything took thrice as long says the same as the others."""
    reference, other = [2.0, 6.0, 2.0], [1.0, 3.0, 1.0]
    assert paired_ratios(other, reference) == [2.0, 2.0, 2.0]
    with pytest.raises(ValueError, match="longer"):
        paired_ratios(other[:2], reference)


# Rounds


class Clock:
    """A clock that only moves when a candidate says how long it takes."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[str] = []

    def __call__(self) -> float:
        return self.now

    def takes(self, name: str, seconds: float) -> Callable[[], None]:
        def run() -> None:
            self.now += seconds
            self.calls.append(name)

        return run


def test_everything_is_timed_once_a_round_and_another_is_first_each_time() -> None:
    clock = Clock()
    candidates = {name: clock.takes(name, s) for name, s in (("a", 1.0), ("b", 2.0), ("c", 4.0))}
    found = measure(candidates, range(6), budget=1e9, clock=clock)
    assert found.complete
    assert found.seconds == {"a": [1.0] * 6, "b": [2.0] * 6, "c": [4.0] * 6}
    rounds = clock.calls[-18:]
    firsts = [rounds[3 * number] for number in range(6)]
    assert firsts == ["a", "b", "c"] * 2
    assert all(sorted(rounds[3 * n : 3 * n + 3]) == ["a", "b", "c"] for n in range(6))
    assert found.speed("b", "a").median == 0.5
    assert found.time("c").median == 4.0


def test_all_are_warm_before_the_first_round() -> None:
    clock = Clock()
    measure({"slow": clock.takes("slow", 1.0)}, range(0), budget=1, clock=clock)
    assert len(clock.calls) == WARM_UP_CALLS + 1


def test_a_short_call_is_repeated_within_a_timing() -> None:
    clock = Clock()
    found = measure({"short": clock.takes("short", 1e-5)}, range(1), budget=1, clock=clock)
    before = len(clock.calls)
    measure({"short": clock.takes("short", 1e-5)}, range(0), budget=1, clock=clock)
    assert before - (len(clock.calls) - before) == 100
    assert found.seconds["short"][0] == pytest.approx(1e-5)


def test_the_budget_ends_the_rounds_and_says_so() -> None:
    clock = Clock()
    found = measure({"a": clock.takes("a", 1.0)}, range(100), budget=10, clock=clock)
    assert (found.rounds, found.complete) == (10, False)
    found = measure({"a": clock.takes("a", 1.0)}, range(100), budget=0, clock=clock)
    assert (found.rounds, found.complete) == (FEWEST_ROUNDS, False)


# Candidates


def test_candidates_compute_the_same(tmp_path: Path) -> None:
    graph = graph_of(DIGITS)
    weights = initial(graph)
    feeds = drawn_inputs(graph, {}, 3)
    reference = torch_candidate(graph, weights, feeds, "cpu", TorchForm()).outputs()
    assert {name: array.shape for name, array in reference.items()} == {
        "logits": (3, 3),
        "probabilities": (3, 3),
    }
    allowed = {"float32": 1e-5, "bfloat16": 0.1, "float16": 0.02}
    for dtype, most in allowed.items():
        for layout in (False, True):
            form = TorchForm(dtype, layout)
            made = torch_candidate(graph, weights, feeds, "cpu", form).outputs()
            error = largest_error(made, reference)
            assert error <= most
            assert dtype == "float32" or error > 1e-6  # another precision was really used
    model = digits(tmp_path / "x.onnx")
    other = onnx_candidate(EMITTED, model, feeds, opened(model))
    assert largest_error(other.outputs(), reference) <= 1e-5


def test_a_gpu_is_given_its_inputs_once_and_keeps_its_outputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The path of a GPU with the memory of the CPU in place of its own."""
    from netloom.runtime.predict import BoundRun

    model = digits(tmp_path / "x.onnx")
    feeds = {"image": drawn(2, 1, 8, 8)}
    plain = onnx_candidate(EMITTED, model, feeds, opened(model)).outputs()
    monkeypatch.setattr(
        candidates, "BoundRun", lambda session, names, device: BoundRun(session, names, "cpu")
    )
    bound = onnx_candidate(EMITTED, model, feeds, opened(model)._replace(device="cuda"))
    bound.run()
    bound.run()
    assert largest_error(bound.outputs(), plain) == 0


def test_the_error_is_relative_and_sees_what_is_missing() -> None:
    truth = {"y": numpy.array([1.0, -4.0])}
    assert largest_error({"y": numpy.array([1.0, -3.0])}, truth) == 0.25
    assert largest_error({}, truth) == math.inf
    assert largest_error({"y": numpy.zeros(3)}, truth) == math.inf


def test_torch_has_a_say_in_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_for_torch("cpu") == ("cpu", None)
    device, reason = device_for_torch("auto")
    assert (device, reason) == ("cpu", "PyTorch finds no GPU that it can use")
    with pytest.raises(Failed) as failed:
        device_for_torch("cuda")
    assert failed.value.diagnostics[0].code == "E607"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device_for_torch("auto") == ("auto", None)


# The whole


@pytest.fixture
def without_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "WARM_UP_SECONDS", 0)


class Following:
    """Takes the rounds as they are."""

    def __init__(self, rounds: range) -> None:
        self.rounds = rounds

    def __enter__(self) -> Iterator[int]:
        return iter(self.rounds)

    def __exit__(self, *problem: object) -> None:
        pass


def subject(text: str = DIGITS) -> Subject:
    graph = graph_of(text)
    return Subject(graph, initial(graph))


@pytest.mark.usefixtures("without_warm_up")
def test_rows_for_every_batch_and_candidate(tmp_path: Path) -> None:
    other = digits(tmp_path / "other.onnx")
    fixed = rectifier(tmp_path / "fixed.onnx", [1, 1, 8, 8])
    content = onnx.load(fixed)
    content.graph.input[0].name = "image"
    content.graph.node[0].input[0] = "image"
    onnx.save(content, fixed)
    plan = Plan((1, 2), models=[other, fixed], rounds=6, seconds=0, threads=1)
    first, second = timed(subject(), plan, Following)  # type: ignore[arg-type]
    names = [REFERENCE, EMITTED, f"{EMITTED}: other.onnx", f"{EMITTED}: fixed.onnx"]
    assert [row.candidate for row in first.rows] == names
    assert [row.candidate for row in second.rows] == names[:3]
    assert list(second.skipped) == names[3:]
    assert [row.error is not None and row.error < 1e-5 for row in first.rows] == [True] * 3 + [
        False
    ]
    assert first.rows[0].speed.median == 1
    assert (first.rounds, first.device, first.threads) == (6, "cpu", 1)


@pytest.mark.usefixtures("without_warm_up")
def test_a_form_that_is_not_possible_is_left_out_with_its_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    def broken(*arguments: object, **options: object) -> None:
        raise RuntimeError("no compiler is here\nand more")

    monkeypatch.setattr(torch, "compile", broken)
    plan = Plan(forms=(TorchForm(), TorchForm(compiled=True)), rounds=6, seconds=0)
    (found,) = timed(subject(), plan, Following)  # type: ignore[arg-type]
    assert found.skipped == {"torch.compile": "no compiler is here"}
    assert len(found.rows) == 2


FREE = """
network free {
    input image: float32[N, 2, 4*h, w]
    head map = conv(3, 3)
}
"""


@pytest.mark.parametrize(
    ("text", "plan", "code", "words"),
    [
        (FREE, Plan(), "E612", "has the free sizes `h`, `w`"),
        (FREE, Plan(sizes={"h": 2}), "E612", "has the free size `w`"),
        (FREE, Plan(sizes={"h": 2, "w": 1}), "E605", "width must be at least 3, but is 1"),
        ("network n { input x: float32[4]  head y = relu }", Plan((2,)), "E605", "counts samples"),
    ],
)
def test_sizes_that_cannot_be_run(text: str, plan: Plan, code: str, words: str) -> None:
    with pytest.raises(Failed) as failed:
        next(timed(subject(text), plan._replace(device="cpu"), Following))  # type: ignore[arg-type]
    (found,) = failed.value.diagnostics
    assert found.code == code
    assert words in found.message


def test_a_model_of_another_network_is_refused(tmp_path: Path) -> None:
    plan = Plan(models=[rectifier(tmp_path / "x.onnx", ["N", 3])])
    with pytest.raises(Failed) as failed:
        next(timed(subject(), plan, Following))  # type: ignore[arg-type]
    assert "takes `x`, which the network does not" in failed.value.diagnostics[0].message


def test_a_model_says_which_spec_it_is_of(tmp_path: Path) -> None:
    found = subject_of(digits(tmp_path / "x.onnx"), None, None, ())
    assert (found.graph.name, found.model) == ("digits", tmp_path / "x.onnx")
    with pytest.raises(Failed) as failed:
        subject_of(rectifier(tmp_path / "y.onnx", ["N", 3]), None, None, ())
    assert "does not say which spec it is of" in failed.value.diagnostics[0].message


@pytest.mark.usefixtures("without_warm_up")
def test_a_model_with_weights_of_its_own_is_not_compared(tmp_path: Path) -> None:
    subject = subject_of(digits(tmp_path / "x.onnx"), None, None, ())
    (found,) = timed(subject, Plan(rounds=6, seconds=0), Following)  # type: ignore[arg-type]
    assert [(row.candidate, row.error) for row in found.rows] == [(REFERENCE, 0), (EMITTED, None)]


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "digits.loom"
    path.write_text(DIGITS, encoding="utf-8")
    return path


def test_the_table_lines_up_at_80_columns(spec: Path) -> None:
    options = ("--rounds", "6", "--seconds", "0", "--threads", "1", "--device", "cpu")
    forms = ("--dtype", "bfloat16", "--channels-last")
    found = netloom("bench", spec, "--batch", "1,8", *options, *forms)
    assert found.returncode == 0, found.stderr
    lines = found.stdout.splitlines()
    assert lines[0] == "digits on the CPU, 1 thread"
    assert max(map(len, lines)) <= 80
    assert [line.rstrip() for line in lines] == lines
    assert sum("ONNX Runtime" in line for line in lines) == 2
    assert sum("bfloat16" in line for line in lines) == 4


def test_json_has_the_documented_form(spec: Path) -> None:
    found = netloom("bench", spec, "--rounds", "6", "--seconds", "0", "--json")
    assert (found.returncode, found.stderr) == (0, "")
    told = json.loads(found.stdout)
    assert (told["ok"], told["network"], told["device"]) == (True, "digits", "cpu")
    (batch,) = told["batches"]
    assert (batch["batch"], batch["rounds"], batch["complete"]) == (1, 6, True)
    reference, other = batch["rows"]
    assert reference["candidate"] == REFERENCE
    assert reference["speed"] == {"median": 1.0, "interval": [1.0, 1.0]}
    low, high = other["speed"]["interval"]
    assert low <= other["speed"]["median"] <= high
    assert other["error"] < 1e-5


def test_the_command_says_when_time_was_over(spec: Path) -> None:
    options = ("--rounds", "1000", "--seconds", "0.001", "--device", "cpu")
    found = netloom("bench", spec, *options)
    assert f"only {FEWEST_ROUNDS} of 1000 rounds, because 0.001 seconds were over" in found.stderr


@pytest.mark.parametrize(
    "options", [("--batch", "0"), ("--batch", "1,x"), ("--dtype", "float8"), ("--rounds", "2")]
)
def test_wrong_usage_is_2(spec: Path, options: tuple[str, ...]) -> None:
    assert netloom("bench", spec, *options).returncode == 2


@pytest.mark.parametrize("options", [("--size", "q=3"), ("--device", "tensorrt")])
def test_what_cannot_be_had_is_told(spec: Path, options: tuple[str, ...]) -> None:
    found = netloom("bench", spec, *options, "--json")
    assert (found.returncode, json.loads(found.stdout)["ok"]) == (1, False)


@pytest.mark.slow
def test_torch_compile_is_one_of_them(spec: Path) -> None:
    found = netloom("bench", spec, "--compile", "--rounds", "6", "--batch", "1,3")
    assert found.returncode == 0, found.stderr
    assert found.stdout.count("torch.compile") == 2
