"""Training: what a train section may say, what its records compute, what a run leaves behind."""

import csv
import hashlib
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file

from netloom.compile import Spec, check
from netloom.diagnostics import Diagnostic, Failed, Source
from netloom.emit.torch import module
from netloom.limits import DEFAULT
from netloom.train.fitting import open_for
from netloom.train.history import Epoch, History
from netloom.train.interrupts import Interrupted, interrupts
from netloom.train.loading import KeyedBatches, training_loader
from netloom.train.losses import Loss
from netloom.train.metrics import Metric
from netloom.train.optimizers import Optimizer
from netloom.train.program import Program, loss_text
from netloom.train.progress import Report
from netloom.train.run import Options, train
from netloom.train.run_directory import RunDirectory, save_weights
from netloom.train.schedules import Length, Schedule

Array = numpy.ndarray[Any, Any]

NETWORK = """
network net(classes: int = 10) {
    input  image: float32[N, 1, 8, 8]
    target label: int64[N]
    target wanted: float32[N, 10]
    trunk = conv(4, 3) -> relu -> flatten
    hidden = linear(16) -> relu
    head logits = linear(classes)
    train head early = trunk -> linear(classes)
    infer head probabilities = logits -> softmax
}
"""

SMALL = """
network small {
    input  image: float32[N, 1, 8, 8]
    target label: int64[N]
    trunk = conv(4, 3, stride=2) -> batchnorm -> relu -> flatten -> dropout(0.1)
    head logits = linear(10)
    train head early = trunk -> linear(10)
}
train small {
    data      "digits"
    augment   { rotate(10) }
    loss      cross_entropy(logits, label) + 0.5*cross_entropy(early, label)
    optimizer adam(lr=0.01)
    schedule  cosine(warmup=1)
    epochs    2
    batch     256
    metric    accuracy(logits, label)
    metric    accuracy(logits, label, top=3)
}
"""


def section(*settings: str) -> str:
    return f"{NETWORK}train net {{\n    " + "\n    ".join(settings) + "\n}\n"


def program_of(*settings: str) -> Program:
    return check(Source("spec", section(*settings))).programs["net"]


def small(**changes: str) -> Spec:
    """The small spec with other settings; an empty one is left out."""
    text = SMALL
    for name, value in changes.items():
        line = f"    {name:<9} {value}\n" if value else ""
        text = re.sub(rf"(    {name} .*\n)+", line, text)
    return check(Source("small.loom", text))


def refused(text: str) -> tuple[Diagnostic, ...]:
    with pytest.raises(Failed) as failed:
        check(Source("spec", text))
    return failed.value.diagnostics


def place(diagnostic: Diagnostic) -> str:
    span = diagnostic.span
    assert span is not None
    return span.source.text[span.start : span.end]


# ---- what a train section may say

CE = "loss cross_entropy(logits, label)"


@pytest.mark.parametrize(
    ("setting", "code", "at", "message", "help"),
    [
        ("epoch 3", "E501", "epoch", "there is no setting `epoch`", "did you mean `epochs`?"),
        ("epochs 0", "E206", "0", "`epochs` of train section `net` must be at least 1", None),
        ("epochs 1.5", "E205", "1.5", "is a whole number, not 1.5", None),
        ("batch 0", "E206", "0", "must be at least 1", None),
        ("seed -1", "E206", "-1", "must be at least 0", None),
        ("seed 4294967296", "E206", "4294967296", "must be at most 4294967295", None),
        ("epochs 2 epochs 3", "E211", "epochs", "`epochs` is given twice", None),
        ("optimizer adma", "E503", "adma", "no optimizer `adma`", "did you mean `adam`?"),
        ("optimizer sgd", "E204", "sgd", "optimizer `sgd` needs `lr`", "it takes lr, "),
        ("optimizer adam(rl=1)", "E203", "rl", "has no argument `rl`", "one of `beta1`"),
        ("optimizer adam(lr=0)", "E206", "0", "`lr` of optimizer `adam` must be more than 0", None),
        ("optimizer adam(beta1=1)", "E206", "beta1=1", "`beta1` must be less than 1", None),
        ("optimizer adamw(beta2=1)", "E206", "beta2=1", "`beta2` must be less than 1", None),
        (
            "optimizer sgd(lr=0.1, nesterov=true)",
            "E206",
            "nesterov=true",
            "`nesterov` needs a momentum",
            "`momentum=0.9`",
        ),
        ("optimizer 3", "E503", "3", "not a call of an optimizer", "such as `sgd(…)`, `adam(…)`"),
        ("optimizer { adam }", "E503", "optimizer", "one value, not a list in braces", None),
        ("schedule cosin", "E503", "cosin", "no schedule `cosin`", "did you mean `cosine`?"),
        ("schedule cosine(warmup=10)", "E206", "warmup=10", "leaves nothing of 10", None),
        ("schedule cosine(warmup=3) epochs 3", "E206", "warmup=3", "leaves nothing of 3", None),
        ("schedule cosine(warmup=30) epochs 0", "E206", "0", "must be at least 1", None),
        ("schedule onecycle(rise=1)", "E206", "rise=1", "must be less than 1", None),
        ("schedule step(every=0)", "E206", "0", "must be at least 1", None),
        (
            "augment rotate(10)",
            "E503",
            "rotate(10)",
            "a list in braces",
            "`augment { rotate(10) }`",
        ),
        ("augment { rotat(9) }", "E503", "rotat", "augmentation `rotat`", "did you mean `rotate`?"),
        ("augment { rotate }", "E204", "rotate", "needs `degrees`", "it takes degrees"),
        ("augment { scale(2, 1) }", "E206", "2", "smallest factor 2 exceeds the largest 1", None),
        ("augment { rotate(181) }", "E206", "181", "must be at most 180", None),
        ("data digits", "E503", "digits", "`data` is a string", '`data "digits"`'),
        ('data "digit"', "E504", '"digit"', "no data source `digit`", "did you mean `digits`?"),
        ('data "digits?sise=8"', "E504", "sise", "no option `sise`", "did you mean `size`?"),
        (
            "metric acuracy(logits, label)",
            "E503",
            "acuracy",
            "there is no metric `acuracy`",
            "did you mean `accuracy`?",
        ),
        (
            "metric accuracy(early, label)",
            "E508",
            "early",
            "does not exist when the network is evaluated, so a metric cannot read it",
            "heads that do: `logits`, `probabilities`",
        ),
        ("metric accuracy(hidden, label)", "E508", "hidden", "is not a head", "`head hidden`"),
        ("metric accuracy(logits, label, top=11)", "E206", "top=11", "there are 10 classes", None),
        ("metric mse(logits, label)", "E210", "label", "needs float32", None),
    ],
    ids=lambda value: None,
)
def test_a_bad_setting_is_told_at_its_place(
    setting: str, code: str, at: str, message: str, help: str | None
) -> None:
    (diagnostic,) = refused(section(CE, setting))
    assert (diagnostic.code, place(diagnostic)) == (code, at)
    assert message in diagnostic.message
    assert (help or "") in (diagnostic.help or "")
    if help is None:
        assert diagnostic.help is None


SUM_OF_CALLS = "a loss is a sum of calls"


@pytest.mark.parametrize(
    ("loss", "code", "at", "message", "help"),
    [
        ("cros_entropy(logits, label)", "E503", "cros_entropy", "no loss", "`cross_entropy`?"),
        ("cross_entropy(logits, lable)", "E201", "lable", "no value named `lable`", "`label`?"),
        ("cross_entropy(logits)", "E204", "cross_entropy", "needs `label`", "it takes logits"),
        ("cross_entropy(logits, wanted)", "E210", "wanted", "needs int64 class indices", None),
        ("cross_entropy(image, label)", "E208", "label", "needs labels [N, 8, 8]", None),
        ("cross_entropy(wanted, label, 2)", "E206", "2", "must be at most 1", None),
        ("cross_entropy(label, label)", "E210", "label", "needs float32", None),
        (
            "cross_entropy(probabilities, label)",
            "E206",
            "probabilities",
            "has been through softmax",
            "give it the value before `softmax`",
        ),
        ("mse(logits, label)", "E210", "label", "needs float32, but `label` is int64[N]", None),
        ("l1(logits, image)", "E208", "image", "[N, 10] and [N, 1, 8, 8] differ", "one shape"),
        ("bce(probabilities, wanted)", "E206", "probabilities", "has been through softmax", ""),
        (
            "mse(probabilities, wanted)",
            "E508",
            "probabilities",
            "does not exist in training, so a loss cannot read it",
            "heads that do: `logits`, `early`",
        ),
        ("cross_entropy(trunk, label)", "E508", "trunk", "is not a head", "`train head trunk`"),
        ("3", "E503", "3", "this is not a loss", SUM_OF_CALLS),
        ("2 * 3", "E503", "2 * 3", "this is a number, not a loss", None),
        ("logits", "E503", "logits", "this is not a loss", SUM_OF_CALLS),
        ("mse(logits, wanted) + 3", "E503", "3", "this is not a loss", SUM_OF_CALLS),
        ("mse(logits, wanted) * true", "E503", "true", "is a number, not true", None),
        ("mse(logits, wanted) / 0", "E503", "0", "cannot be made with `/ 0`", None),
        ("2 * mse(logits, wanted) // 3", "E503", "3", "cannot be made with `// 3`", None),
        (
            "mse(logits, wanted) * l1(early, wanted)",
            "E503",
            "l1(early, wanted)",
            "can be multiplied by numbers",
            None,
        ),
        ("1 / mse(logits, wanted)", "E503", "mse(logits, wanted)", "or divided by them", None),
    ],
    ids=lambda value: None,
)
def test_a_bad_loss_is_told_at_its_place(
    loss: str, code: str, at: str, message: str, help: str | None
) -> None:
    (diagnostic,) = refused(section(f"loss {loss}"))
    assert (diagnostic.code, place(diagnostic)) == (code, at)
    assert message in diagnostic.message
    assert (help or "") in (diagnostic.help or "")
    if help is None:
        assert diagnostic.help is None


def test_a_misfit_shows_where_both_operands_are_declared() -> None:
    (diagnostic,) = refused(section("loss l1(logits, image)"))
    assert [note.message for note in diagnostic.notes] == [
        "`logits` is float32[N, 10]",
        "`image` is float32[N, 1, 8, 8]",
    ]
    spans = [note.span for note in diagnostic.notes]
    assert [span.source.position(span.start)[0] for span in spans if span] == [8, 3]


def test_a_section_needs_a_loss() -> None:
    (diagnostic,) = refused(section("epochs 3"))
    assert (diagnostic.code, place(diagnostic)) == ("E502", "net")
    assert diagnostic.help == "for instance `loss cross_entropy(logits, label)`"


def test_a_network_has_one_train_section() -> None:
    text = section(CE) + "train net { loss mse(logits, wanted) }\n"
    (diagnostic,) = refused(text)
    assert (diagnostic.code, place(diagnostic)) == ("E211", "net")
    assert diagnostic.span is not None
    assert diagnostic.span.start > text.rindex("train")
    assert [note.message for note in diagnostic.notes] == ["the first one is here"]


def test_a_section_names_a_network() -> None:
    (diagnostic,) = refused(NETWORK + "train nett { loss mse(logits, wanted) }")
    assert (diagnostic.code, place(diagnostic)) == ("E201", "nett")
    assert diagnostic.help == "did you mean `net`?"


def test_all_independent_mistakes_are_told_at_once() -> None:
    text = section(
        'data "digit"',
        "loss cros_entropy(logits, label) + mse(logits, label)",
        "    - 2*(cross_entropy(hidden, label) + 7)",
        "augment { rotat(3) scale(2, 1) }",
        "optimizer adam(lr=-1, beta3=0)",
        "schedule cosine(warmup=5)",
        "epochs 4",
        "batch 0",
        "colour 3",
        "metric accuracy(early, label)",
        "metric acuracy(logits, label)",
    )
    found = refused(text)
    assert [each.code for each in found] == [
        *("E504", "E503", "E210", "E508", "E503", "E503", "E206", "E206", "E203"),
        *("E206", "E206", "E501", "E508", "E503"),
    ]
    starts = [each.span.start for each in found if each.span]
    assert all(left < right for left, right in pairwise(starts))


def test_settings_are_checked_beside_mistakes_of_the_network() -> None:
    text = section("loss cross_entropy(logits, label)", "epochs 0").replace("relu", "rely")
    assert [each.code for each in refused(text)] == ["E202", "E202", "E206"]


# ---- losses, against the formula


def values(program: Program, *arrays: Array) -> dict[Any, torch.Tensor]:
    """The arrays as the operands of the first loss or metric."""
    graph = program.graph
    names = [*(head.value for head in graph.heads), *graph.targets]
    return {value: torch.from_numpy(array) for value, array in zip(names, arrays, strict=False)}


def with_head(shape: str, target: str, *settings: str) -> Program:
    text = (
        f"network net {{ input x: float32{shape}\n target t: {target}\n head y = x -> tanh }}\n"
        f"train net {{ {' '.join(settings)} }}"
    )
    return check(Source("spec", text)).programs["net"]


def log_softmax(logits: Array, axis: int) -> Array:
    shifted = logits.astype(float) - logits.max(axis, keepdims=True)
    result: Array = shifted - numpy.log(numpy.exp(shifted).sum(axis, keepdims=True))
    return result


RANDOM = numpy.random.default_rng(0)
LABELLED = [
    ("[N, 5]", "int64[N]", (6, 5), 1),
    ("[N, T, 5]", "int64[N, T]", (3, 4, 5), 2),
    ("[N, 5, H, W]", "int64[N, H, W]", (2, 5, 3, 4), 1),
]


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize(("shape", "target", "sizes", "axis"), LABELLED)
def test_cross_entropy(
    shape: str, target: str, sizes: tuple[int, ...], axis: int, smoothing: float
) -> None:
    logits = RANDOM.normal(size=sizes, scale=3).astype(numpy.float32)
    labels = RANDOM.integers(0, 5, [n for i, n in enumerate(sizes) if i != axis])
    program = with_head(shape, target, f"loss cross_entropy(y, t, smoothing={smoothing})")
    probabilities = log_softmax(logits, axis)
    chosen = numpy.take_along_axis(probabilities, numpy.expand_dims(labels, axis), axis).mean()
    expected = -(1 - smoothing) * chosen - smoothing * probabilities.mean()
    loss = program.loss[0].loss.value(values(program, logits, labels))
    assert loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("mse", lambda y, t: ((y - t) ** 2).mean()),
        ("l1", lambda y, t: abs(y - t).mean()),
        (
            "bce",
            lambda y, t: (numpy.log1p(numpy.exp(-abs(y))) + numpy.maximum(y, 0) - y * t).mean(),
        ),
    ],
)
def test_a_loss_of_two_alike_values(name: str, formula: Callable[[Array, Array], float]) -> None:
    y = RANDOM.normal(size=(3, 2, 4, 5), scale=4).astype(numpy.float32)
    t = RANDOM.random((3, 2, 4, 5), numpy.float32)
    program = with_head("[N, 2, 4, 5]", "float32[N, 2, 4, 5]", f"loss {name}(y, t)")
    loss = program.loss[0].loss.value(values(program, y, t))
    assert loss.item() == pytest.approx(formula(y.astype(float), t.astype(float)), rel=1e-5)


def test_every_loss_has_a_formula() -> None:
    assert set(Loss.registry) == {"cross_entropy", "mse", "l1", "bce"}


@pytest.mark.parametrize(
    ("loss", "flat"),
    [
        ("mse(logits, wanted)", "mse(logits, wanted)"),
        ("0.5*mse(logits, wanted)*4", "2*mse(logits, wanted)"),
        ("-mse(logits, wanted) / 4", "- 0.25*mse(logits, wanted)"),
        (
            "2*(mse(logits, wanted) - 0.5*l1(early, wanted)) - (bce(early, wanted) - 3*CE)",
            "2*mse(logits, wanted) - l1(early, wanted) - bce(early, wanted) + 3*CE",
        ),
        ("-(2*-mse(logits, wanted))", "2*mse(logits, wanted)"),
        ("cross_entropy(logits, label, 0.1)", "cross_entropy(logits, label, smoothing=0.1)"),
    ],
    ids=lambda value: None,
)
def test_a_loss_is_flattened_into_weighted_terms(loss: str, flat: str) -> None:
    loss, flat = (text.replace("CE", "cross_entropy(logits, label)") for text in (loss, flat))
    assert loss_text(program_of(f"loss {loss}").loss) == flat


# ---- metrics, over batches of different sizes


def measured(program: Program, y: Array, t: Array) -> float:
    (metric,) = program.metrics
    gathered = metric.create()
    for part in (slice(0, 4), slice(4, 5), slice(5, None)):
        metric.update(gathered, values(program, y[part], t[part]))
    return float(gathered.compute())


@pytest.mark.parametrize("top", [1, 2, 4])
@pytest.mark.parametrize(("shape", "target", "sizes", "axis"), LABELLED)
def test_accuracy(shape: str, target: str, sizes: tuple[int, ...], axis: int, top: int) -> None:
    sizes = (7, *sizes[1:])
    logits = RANDOM.normal(size=sizes).astype(numpy.float32)
    labels = RANDOM.integers(0, 5, [n for i, n in enumerate(sizes) if i != axis])
    own = numpy.take_along_axis(logits, numpy.expand_dims(labels, axis), axis)
    expected = ((logits > own).sum(axis) < top).mean()
    settings = ("loss cross_entropy(y, t)", f"metric accuracy(y, t, top={top})")
    assert measured(with_head(shape, target, *settings), logits, labels) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "formula"),
    [("mse", lambda y, t: ((y - t) ** 2).mean()), ("mae", lambda y, t: abs(y - t).mean())],
)
def test_an_error_metric(name: str, formula: Callable[[Array, Array], float]) -> None:
    y, t = (RANDOM.normal(size=(7, 3)).astype(numpy.float32) for _ in "yt")
    program = with_head("[N, 3]", "float32[N, 3]", "loss mse(y, t)", f"metric {name}(y, t)")
    assert measured(program, y, t) == pytest.approx(formula(y, t), rel=1e-5)


def test_every_metric_has_a_formula() -> None:
    assert set(Metric.registry) == {"accuracy", "mse", "mae"}


def test_metrics_have_names_that_tell_them_apart() -> None:
    metrics = ("accuracy(logits, label)", "accuracy(logits, label, top=3)", "mse(logits, wanted)")
    calls = [f"metric {each}" for each in (*metrics, "mse(probabilities, wanted)")]
    program = program_of(CE, *calls)
    assert program.metric_names == (
        *("accuracy", "top3_accuracy", "mse_logits_wanted", "mse_probabilities_wanted"),
    )


# ---- optimizers, step by step

Memory = dict[str, Array]
"""What an optimizer remembers of earlier steps; zeros at first."""

Rule = Callable[[Array, Array, Memory, int], Array]
"""Weights, gradient, memory and the number of the step, from 1, to new weights."""


def sgd(lr: float, momentum: float = 0.0, decay: float = 0.0, nesterov: bool = False) -> Rule:
    def step(w: Array, g: Array, memory: Memory, number: int) -> Array:
        g = g + decay * w
        memory["v"] = momentum * memory["v"] + g
        new: Array = w - lr * (g + momentum * memory["v"] if nesterov else memory["v"])
        return new

    return step


def adam(
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    decay: float = 0.0,
    decoupled: bool = False,
) -> Rule:
    def step(w: Array, g: Array, memory: Memory, number: int) -> Array:
        if decoupled:
            w = w * (1 - lr * decay)
        else:
            g = g + decay * w
        memory["m"] = betas[0] * memory["m"] + (1 - betas[0]) * g
        memory["v"] = betas[1] * memory["v"] + (1 - betas[1]) * g**2
        m, v = memory["m"] / (1 - betas[0] ** number), memory["v"] / (1 - betas[1] ** number)
        new: Array = w - lr * m / (numpy.sqrt(v) + eps)
        return new

    return step


def rmsprop(
    lr: float = 0.01,
    alpha: float = 0.99,
    eps: float = 1e-8,
    momentum: float = 0.0,
    decay: float = 0.0,
) -> Rule:
    def step(w: Array, g: Array, memory: Memory, number: int) -> Array:
        g = g + decay * w
        memory["v"] = alpha * memory["v"] + (1 - alpha) * g**2
        memory["b"] = momentum * memory["b"] + g / (numpy.sqrt(memory["v"]) + eps)
        new: Array = w - lr * memory["b"]
        return new

    return step


OPTIMIZERS: dict[str, Rule] = {
    "sgd(lr=0.1)": sgd(0.1),
    "sgd(0.1, momentum=0.9)": sgd(0.1, 0.9),
    "sgd(0.1, 0.9, weight_decay=0.01, nesterov=true)": sgd(0.1, 0.9, 0.01, nesterov=True),
    "adam": adam(),
    "adam(lr=0.1, beta1=0.8, beta2=0.9, eps=0.001, weight_decay=0.1)": adam(
        0.1, (0.8, 0.9), 1e-3, 0.1
    ),
    "adamw": adam(decay=0.01, decoupled=True),
    "adamw(0.1, 0.8, 0.9, 0.001, weight_decay=0.1)": adam(0.1, (0.8, 0.9), 1e-3, 0.1, True),
    "rmsprop": rmsprop(),
    "rmsprop(0.1, alpha=0.8, eps=0.001, momentum=0.5, weight_decay=0.1)": rmsprop(
        0.1, 0.8, 1e-3, 0.5, 0.1
    ),
}


@pytest.mark.parametrize("call", OPTIMIZERS)
def test_an_optimizer_follows_its_formula(call: str) -> None:
    wanted = numpy.array([3.0, -1.0, 0.5])
    weights = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimizer = program_of(CE, f"optimizer {call}").optimizer.create([weights])
    expected, memory = numpy.zeros(3), defaultdict[str, Array](lambda: numpy.zeros(3))
    for number in range(1, 6):
        gradient = 2 * (expected - wanted) * [1, 10, 0.1]
        expected = OPTIMIZERS[call](expected, gradient, memory, number)
        weights.grad = torch.from_numpy(gradient)
        optimizer.step()
        numpy.testing.assert_allclose(weights.detach().numpy(), expected, rtol=1e-9, atol=1e-12)


def test_every_optimizer_has_a_formula() -> None:
    assert {call.partition("(")[0] for call in OPTIMIZERS} == set(Optimizer.registry)


# ---- schedules


def factors(call: str, epochs: int, batches: int) -> list[float]:
    schedule = program_of(CE, f"schedule {call}", f"epochs {epochs}").schedule
    return [schedule.factor(step, Length(epochs, batches)) for step in range(epochs * batches)]


def test_constant() -> None:
    assert factors("constant", 3, 5) == [1] * 15


def test_cosine_falls_from_one_to_almost_zero() -> None:
    expected = (1 + numpy.cos(numpy.pi * numpy.arange(50) / 50)) / 2
    numpy.testing.assert_allclose(factors("cosine", 5, 10), expected, atol=1e-12)


def test_cosine_rises_first_in_equal_steps() -> None:
    found = factors("cosine(warmup=1.5)", 5, 10)
    numpy.testing.assert_allclose(found[:15], numpy.arange(1, 16) / 15)
    expected = (1 + numpy.cos(numpy.pi * numpy.arange(35) / 35)) / 2
    numpy.testing.assert_allclose(found[15:], expected, atol=1e-12)


def test_step_changes_at_whole_epochs() -> None:
    found = factors("step(every=2, gamma=0.5)", 5, 3)
    numpy.testing.assert_allclose(found, [1] * 6 + [0.5] * 6 + [0.25] * 3)


@pytest.mark.parametrize("rise", [0.3, 0.05, 0.9])
@pytest.mark.parametrize(("epochs", "batches"), [(5, 10), (1, 40)])
def test_onecycle_is_that_of_torch(rise: float, epochs: int, batches: int) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    torchs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 1.0, total_steps=epochs * batches, pct_start=rise, cycle_momentum=False
    )
    expected: list[float] = []
    for _ in range(epochs * batches):
        expected.append(float(torchs.get_last_lr()[0]))
        optimizer.step()
        torchs.step()
    found = factors(f"onecycle(rise={rise})", epochs, batches)
    assert found == pytest.approx(expected, abs=1e-12)


def test_every_schedule_is_tried() -> None:
    assert set(Schedule.registry) == {"constant", "cosine", "step", "onecycle"}


@pytest.mark.parametrize("call", ["constant", "cosine", "cosine(0.5)", "step(1)", "onecycle"])
def test_the_shortest_training_has_a_rate(call: str) -> None:
    assert factors(call, 1, 1)[0] > 0


# ---- the best epoch


def history(*rows: tuple[float, float | None, float], metric: str = "") -> History:
    """Epochs of a training loss, a validation loss and a metric."""
    found = History(program_of(CE, metric))
    for number, (train_loss, val_loss, value) in enumerate(rows, 1):
        measured = dict.fromkeys(found.program.metric_names, value)
        found.add(Epoch(number, number, train_loss, val_loss, measured, 0.1, 1.0))
    return found


@pytest.mark.parametrize(
    ("metric", "best", "column"),
    [
        ("metric accuracy(logits, label)", 3, "accuracy"),
        ("metric mse(logits, wanted)", 4, "mse"),
        ("", 2, "val_loss"),
    ],
)
def test_the_first_metric_decides_then_the_loss(metric: str, best: int, column: str) -> None:
    rows = [(1.0, 0.9, 0.7), (0.9, 0.2, 0.5), (0.8, 0.5, 0.7), (0.7, 0.6, 0.1), (0.7, 0.5, 0.7)]
    found = history(*rows, metric=metric)
    assert found.best is not None
    assert (found.best.epoch, found.best_by) == (best, column)


def test_an_epoch_is_told_to_be_the_best_when_it_is() -> None:
    found = History(program_of(CE))
    told = [found.add(Epoch(i, i, 1.0, loss, {}, 0.1, 1.0)) for i, loss in enumerate([3, 2, 2, 1])]
    assert told == [True, True, False, True]


# ---- a run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    assert train(small(), Options(out=out, quiet=True)) == out
    return out


def weights(run: Path, name: str = "last") -> dict[str, Array]:
    return load_file(run / "checkpoints" / f"{name}.safetensors")


def same(left: Mapping[str, Array], right: Mapping[str, Array]) -> bool:
    return left.keys() == right.keys() and all(
        numpy.array_equal(left[name], right[name]) for name in left
    )


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_leaves_these_files(run: Path) -> None:
    found = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    assert found == {
        *("spec.loom", "config.json", "model.py", "metrics.csv", "result.json"),
        *("checkpoints/last.safetensors", "checkpoints/best.safetensors", "plots/loss.png"),
    }
    assert (run / "spec.loom").read_text() == SMALL
    assert (run / "plots" / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_the_config_says_what_was_trained(run: Path) -> None:
    config = json.loads((run / "config.json").read_text())
    versions = config.pop("versions")
    assert {"netloom", "python", "torch", "lightning", "numpy"} <= versions.keys()
    assert all(versions.values())
    assert config.pop("spec_sha256") == hashlib.sha256(SMALL.encode()).hexdigest()
    assert config.pop("limits") == DEFAULT._asdict()
    assert config == {
        "network": "small",
        "spec": "spec.loom",
        "set": [],
        "data": "digits",
        "samples": {"train": 1347, "test": 450},
        "classes": list("0123456789"),
        "preprocessing": {
            "image": {
                "colours": "grey",
                "height": 8,
                "width": 8,
                "resample": "bilinear",
                "scale": 1 / 255,
                "mean": [0.0],
                "std": [1.0],
            }
        },
        "loss": "cross_entropy(logits, label) + 0.5*cross_entropy(early, label)",
        "augment": ["rotate(degrees=10.0)"],
        "optimizer": "adam(lr=0.01)",
        "schedule": "cosine(warmup=1.0)",
        "epochs": 2,
        "batch": 256,
        "seed": 0,
        "metrics": ["accuracy(logits, label)", "accuracy(logits, label, top=3)"],
        "parameters": 4 * 10 + 2 * 4 + 36 * 10 + 10,
        "parameters_in_training": 4 * 10 + 2 * 4 + 2 * (36 * 10 + 10),
    }


def test_the_table_has_a_row_for_each_epoch(run: Path) -> None:
    found = rows(run)
    assert list(found[0]) == [
        *("epoch", "step", "train_loss", "val_loss", "accuracy", "top3_accuracy", "lr", "seconds"),
    ]
    assert [(row["epoch"], row["step"]) for row in found] == [("1", "6"), ("2", "12")]
    # One epoch of warmup, then the last but one of six steps down.
    expected = [0.01, 0.01 * (1 + numpy.cos(numpy.pi * 5 / 6)) / 2]
    assert [float(row["lr"]) for row in found] == pytest.approx(expected)
    assert float(found[1]["train_loss"]) < float(found[0]["train_loss"])


def test_the_result_is_that_of_the_last_and_the_best_epoch(run: Path) -> None:
    result, found = json.loads((run / "result.json").read_text()), rows(run)
    assert (result["status"], result["best_by"]) == ("finished", "accuracy")
    best = max(found, key=lambda row: float(row["accuracy"]))
    for name, row in (("last", found[-1]), ("best", best)):
        assert {key: str(value) for key, value in result[name].items()} == row


def test_the_checkpoint_and_the_source_make_the_measured_network(run: Path) -> None:
    place = importlib.util.spec_from_file_location("model", run / "model.py")
    assert place is not None
    assert place.loader is not None
    model = importlib.util.module_from_spec(place)
    place.loader.exec_module(model)
    network = model.Small().eval()
    network.load_state_dict({name: torch.from_numpy(a) for name, a in weights(run).items()})
    images, labels = arrays_of(small(), "test")
    logits = network(images)["logits"].detach().numpy()
    assert (logits.argmax(1) == labels).mean() == pytest.approx(float(rows(run)[-1]["accuracy"]))
    with safe_open(run / "checkpoints" / "last.safetensors", "numpy") as file:
        assert file.metadata() == {"network": "small"}


def arrays_of(spec: Spec, part: str) -> tuple[torch.Tensor, Array]:
    """All images and labels of a part of the data, as they are."""
    (program,) = spec.programs.values()
    assert program.data is not None
    samples = getattr(open_for(program, program.data), part)
    images = numpy.stack([samples[index]["image"] for index in range(len(samples))])
    return torch.from_numpy(images), numpy.stack([samples[i]["label"] for i in range(len(samples))])


def test_training_is_the_loop_that_one_would_write_by_hand(run: Path) -> None:
    (program,) = small().programs.values()
    assert program.data is not None
    loader = training_loader(open_for(program, program.data), program.augment, 256, seed=0)
    assert isinstance(loader.batch_sampler, KeyedBatches)
    torch.manual_seed(0)
    network = module(program.graph).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for epoch in range(2):
        loader.batch_sampler.sampler.set_epoch(epoch)
        for index, batch in enumerate(loader):
            falling = (1 + numpy.cos(numpy.pi * index / 6)) / 2
            optimizer.param_groups[0]["lr"] = 0.01 * ((index + 1) / 6 if epoch == 0 else falling)
            output = network(batch["image"])
            losses = [
                torch.nn.functional.cross_entropy(output[head], batch["label"])
                for head in ("logits", "early")
            ]
            optimizer.zero_grad()
            torch.autograd.backward(losses[0] + 0.5 * losses[1])
            optimizer.step()
    for name, tensor in network.state_dict().items():
        numpy.testing.assert_allclose(weights(run)[name], tensor.numpy(), rtol=1e-5, atol=1e-7)


def test_the_seed_decides_the_weights(run: Path, tmp_path: Path) -> None:
    torch.manual_seed(77)
    numpy.random.seed(77)
    train(small(), Options(out=tmp_path / "same", quiet=True))
    train(small(), Options(out=tmp_path / "other", quiet=True, seed=1))
    for name in ("last", "best"):
        file = Path("checkpoints", f"{name}.safetensors")
        assert (tmp_path / "same" / file).read_bytes() == (run / file).read_bytes()
    other = weights(tmp_path / "other")
    for name, array in weights(run).items():
        assert name.endswith("num_batches_tracked") or not numpy.array_equal(array, other[name])


def test_train_heads_count_in_training_and_not_in_validation(tmp_path: Path) -> None:
    # The learning rate is too small to change any weight, so every loss is that of the first ones.
    settings = ('data "digits"', "optimizer sgd(lr=1e-30)", "epochs 1", "batch 100", "seed 5")
    loss = "loss 100*cross_entropy(early, label) + cross_entropy(logits, label)"
    text = section(*settings, loss).replace("    target wanted: float32[N, 10]\n", "")
    spec = check(Source("spec", text))
    train(spec, Options(out=tmp_path / "run", quiet=True))
    torch.manual_seed(5)
    network = module(spec.networks["net"].graph)

    def measured_loss(head: str, part: str) -> float:
        images, labels = arrays_of(spec, part)
        probabilities = log_softmax(network(images)[head].detach().numpy(), 1)
        return float(-probabilities[numpy.arange(len(labels)), labels].mean())

    (row,) = rows(tmp_path / "run")
    expected = measured_loss("logits", "train") + 100 * measured_loss("early", "train")
    assert float(row["train_loss"]) == pytest.approx(expected, rel=1e-5)
    assert float(row["val_loss"]) == pytest.approx(measured_loss("logits", "test"), rel=1e-5)


def test_a_loss_of_train_heads_alone_has_no_validation_loss(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    spec = small(loss="cross_entropy(early, label)", metric="")
    train(spec, Options(out=tmp_path / "run", epochs=2))
    assert [row["val_loss"] for row in rows(tmp_path / "run")] == ["", ""]
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (result["best_by"], result["last"]["val_loss"]) == ("train_loss", None)
    assert "val loss" not in capfd.readouterr().err


def test_the_best_weights_are_not_those_that_came_later(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    steps, run = "step(1, gamma=1e4)", tmp_path / "run"
    train(small(optimizer="sgd(lr=0.1)", schedule=steps, epochs="1"), Options(out=tmp_path / "one"))
    train(small(optimizer="sgd(lr=0.1)", schedule=steps, epochs="2"), Options(out=run))
    assert same(weights(run, "best"), weights(tmp_path / "one"))
    assert not same(weights(run, "best"), weights(run, "last"))
    result = json.loads((run / "result.json").read_text())
    assert (result["best"]["epoch"], result["last"]["epoch"]) == (1, 2)
    assert "best by accuracy was epoch 1: val loss" in capfd.readouterr().err


def test_options_go_before_the_spec(tmp_path: Path) -> None:
    options = Options("small", "digits?size=8", 1, 500, 7, tmp_path / "run", quiet=True)
    spec = small(schedule="constant")
    config = json.loads((train(spec, options) / "config.json").read_text())
    found = {key: config[key] for key in ("data", "epochs", "batch", "seed")}
    assert found == {"data": "digits?size=8", "epochs": 1, "batch": 500, "seed": 7}


def test_settings_that_are_left_out_have_their_defaults(tmp_path: Path) -> None:
    names = ("augment", "optimizer", "schedule", "epochs", "batch", "metric")
    spec = small(**dict.fromkeys(names, ""))
    (program,) = spec.programs.values()
    assert (program.epochs, program.batch, program.seed) == (10, 64, 0)
    out = train(spec, Options(out=tmp_path / "run", epochs=1, quiet=True))
    config = json.loads((out / "config.json").read_text())
    found = {key: config[key] for key in ("augment", "optimizer", "schedule", "metrics")}
    assert found == {"augment": [], "optimizer": "adam", "schedule": "constant", "metrics": []}


# ---- what is said


def test_a_quiet_run_says_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    train(small(), Options(out=tmp_path / "run", epochs=2, quiet=True))
    assert capfd.readouterr() == ("", "")


SAID = r"""digits: 1347 train / 450 test, 8x8, 10 classes
small: 788 parameters, 2 epochs of 6 steps, seed 0
run: .*run
epoch 1/2  loss \d\.\d{4}  val loss \d\.\d{4}  accuracy [\d.]+ %  top3 accuracy [\d.]+ %  lr 0\.01  .* s  \*
epoch 2/2  loss \d\.\d{4}  val loss \d\.\d{4}  accuracy [\d.]+ %  top3 accuracy [\d.]+ %  lr 0\.00067  .* s  \*
trained 2 epochs in \d+ s: val loss \d\.\d{4}, accuracy [\d.]+ %, top3 accuracy [\d.]+ %
weights: .*best\.safetensors
"""  # noqa: E501


def test_progress_goes_to_stderr_a_line_an_epoch(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    train(small(), Options(out=tmp_path / "run"))
    out, told = capfd.readouterr()
    assert out == ""
    assert re.fullmatch(SAID, told), told


# ---- what cannot be trained


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (Options(epochs=0), "E206", "`epochs` of the command line must be at least 1, but is 0"),
        (Options(batch=0), "E206", "`batch` of the command line must be at least 1"),
        (Options(seed=-1), "E206", "`seed` of the command line must be at least 0"),
        (Options(seed=2**32), "E206", "must be at most 4294967295"),
        (Options(epochs=1), "E206", "`cosine`: a warmup of 1 epochs leaves nothing of 1"),
        (Options(network="smal"), "E201", "has no network `smal`"),
        (Options(data="digit"), "E504", "there is no data source `digit`"),
        (Options(data="digits?size=9"), "E505", "is [1, 8, 8], not [1, 9, 9]"),
    ],
    ids=lambda value: None,
)
def test_bad_options_are_refused_before_anything_is_written(
    options: Options, code: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Failed) as failed:
        train(small(), options)
    (diagnostic,) = failed.value.diagnostics
    assert diagnostic.code == code
    assert message in diagnostic.message
    assert not list(tmp_path.iterdir())


def test_there_must_be_data() -> None:
    with pytest.raises(Failed, match=r"E502\]: nothing says what `small` is trained on"):
        train(small(data=""))


def test_there_must_be_a_train_section() -> None:
    network = SMALL[: SMALL.index("train small")]
    with pytest.raises(Failed, match=r"E506\]: `spec` has no train section"):
        train(check(Source("spec", network)))
    both = SMALL + network.replace("network small", "network other")
    with pytest.raises(Failed, match=r"E506\]: network `other` has no train section"):
        train(check(Source("spec", both)), Options(network="other"))


def test_of_several_train_sections_one_must_be_chosen(tmp_path: Path) -> None:
    spec = check(Source("spec", SMALL + SMALL.replace("small", "other")))
    with pytest.raises(Failed, match=r"E608\]: `spec` has 2 train sections") as failed:
        train(spec)
    assert failed.value.diagnostics[0].help == "choose one with --network: `small`, `other`"
    out = train(spec, Options(network="other", out=tmp_path / "run", quiet=True))
    assert json.loads((out / "config.json").read_text())["network"] == "other"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_not_replaced_silently(tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"E607\]: there is no CUDA device"):
        train(small(), Options(out=tmp_path / "run", device="cuda"))
    assert not (tmp_path / "run").exists()


# ---- the run directory


def test_a_folder_that_is_not_empty_is_kept(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("precious")
    with pytest.raises(Failed, match=r"E004\]: the folder .* is not empty"):
        train(small(), Options(out=tmp_path, quiet=True))
    with pytest.raises(Failed, match=r"E004\]: .* is a file"):
        train(small(), Options(out=tmp_path / "precious.txt", force=True))
    with pytest.raises(Failed, match=r"E005\]: cannot write .* not a directory"):
        train(small(), Options(out=tmp_path / "precious.txt" / "run"))
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


def test_force_replaces_the_run_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("precious")
    old = RunDirectory(tmp_path)
    for file in (old.spec, old.last, old.best, old.exported, old.plot):
        file.parent.mkdir(exist_ok=True)
        file.write_text("old")
    with pytest.raises(Failed, match="E507"):
        train(small(optimizer="sgd(lr=1e30)"), Options(out=tmp_path, force=True, quiet=True))
    found = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {"precious.txt", "spec.loom", "config.json", "model.py"}
    assert old.spec.read_text() != "old"


def test_a_run_has_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = Options(epochs=1, quiet=True)
    found = [train(small(schedule="constant"), options) for _ in range(2)]
    assert len(set(found)) == 2
    assert all(re.fullmatch(r"runs/small/[\d-]{10}_[\d-]{8}(_\d+)?", str(each)) for each in found)


def test_checkpoints_are_replaced_as_a_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, saved = os.replace, list[dict[str, Array]]()

    def failing(source: str, target: Path) -> None:
        if target.name == "last.safetensors" and saved:
            raise OSError(28, "No space left on device")
        rename(source, target)
        if target.name == "last.safetensors":
            saved.append(weights(tmp_path / "run"))

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(Failed, match=r"E005\]: cannot write .*last.safetensors.*: no space left"):
        train(small(), Options(out=tmp_path / "run", quiet=True))
    assert same(weights(tmp_path / "run"), saved[0])
    assert same(weights(tmp_path / "run", "best"), saved[0])
    files = {path.name for path in (tmp_path / "run" / "checkpoints").iterdir()}
    assert files == {"last.safetensors", "best.safetensors"}
    assert len(rows(tmp_path / "run")) == 1


def test_weights_are_saved_as_they_are(tmp_path: Path) -> None:
    graph = small().networks["small"].graph
    network = module(graph)
    save_weights(tmp_path / "w.safetensors", graph, network)
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    assert same(load_file(tmp_path / "w.safetensors"), state)


# ---- numbers that are none


def test_a_loss_that_is_not_finite_ends_training(tmp_path: Path) -> None:
    spec = small(optimizer="sgd(lr=1e30)")
    with pytest.raises(Failed) as failed:
        train(spec, Options(out=tmp_path / "run", quiet=True))
    (diagnostic,) = failed.value.diagnostics
    assert diagnostic.code == "E507"
    assert re.fullmatch(r"the loss is (nan|inf) in epoch 1, step [2-6]", diagnostic.message)
    assert place(diagnostic).startswith("cross_entropy(logits, label) + 0.5*")
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (1, "the validation loss is nan after epoch 1"),
        (100, "the weights are not finite after step 1"),
    ],
)
def test_weights_of_no_use_are_never_saved(weight: int, message: str, tmp_path: Path) -> None:
    loss = f"{weight}*cross_entropy(logits, label)"
    spec = small(loss=loss, optimizer="sgd(lr=3e38)", batch="2000", schedule="constant")
    with pytest.raises(Failed, match=rf"E507\]: {message}"):
        train(spec, Options(out=tmp_path / "run", epochs=1, quiet=True))
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_the_last_good_epoch_survives(tmp_path: Path) -> None:
    spec = small(optimizer="sgd(lr=0.001)", schedule="step(1, gamma=1e30)")
    with pytest.raises(Failed, match=r"E507\]: the loss is .* in epoch 2"):
        train(spec, Options(out=tmp_path / "run", quiet=True))
    for name in ("last", "best"):
        assert all(numpy.isfinite(each).all() for each in weights(tmp_path / "run", name).values())
    assert [row["epoch"] for row in rows(tmp_path / "run")] == ["1"]


# ---- interruption

SCRIPT = """
import signal, sys
from pathlib import Path
from netloom.compile import check_file
from netloom.train.run import Options, train
spec, out, quiet = sys.argv[1:]
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
try:
    train(check_file(Path(spec)), Options(out=Path(out), quiet=quiet == "quiet"))
except KeyboardInterrupt:
    sys.exit("KeyboardInterrupt")
"""


@contextmanager
def training(spec: Path, out: Path, quiet: str) -> Iterator[subprocess.Popen[str]]:
    """A training in a process of its own, in its second epoch or later."""
    command = [sys.executable, "-c", SCRIPT, str(spec), str(out), quiet]
    pipe, environment = subprocess.PIPE, {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment) as process:
        try:
            deadline = time.monotonic() + 60
            while not (out / "metrics.csv").exists():
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < deadline
                time.sleep(0.05)
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("number", "quiet", "status", "told"),
    [
        (signal.SIGINT, "quiet", 1, r"KeyboardInterrupt\n"),
        (
            signal.SIGTERM,
            "aloud",
            143,
            r"digits: .*\nsmall: .*\nrun: .*\n(epoch .*\n)+stopped by SIGTERM; the weights .*\n",
        ),
    ],
    ids=["SIGINT", "SIGTERM"],
)
def test_a_signal_leaves_whole_weights(
    number: signal.Signals, quiet: str, status: int, told: str, tmp_path: Path
) -> None:
    spec, out = tmp_path / "small.loom", tmp_path / "run"
    spec.write_text(small(epochs="100000").source.text)
    with training(spec, out, quiet) as process:
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout) == (status, "")
    assert re.fullmatch(told, stderr), stderr
    result = json.loads((out / "result.json").read_text())
    assert result["status"] == f"stopped by {number.name}"
    assert result["last"]["epoch"] == len(rows(out)) >= 1
    fresh = module(small().networks["small"].graph).state_dict()
    for name in ("last", "best"):
        found = weights(out, name)
        assert found.keys() == fresh.keys()
        assert all(found[key].shape == tensor.shape for key, tensor in fresh.items())
        assert all(numpy.isfinite(array).all() for array in found.values())
    assert found["trunk.batchnorm1.num_batches_tracked"] == result["best"]["step"]
    assert weights(out)["trunk.batchnorm1.num_batches_tracked"] >= result["last"]["step"]
    assert (out / "plots" / "loss.png").exists()


@pytest.fixture
def handler() -> Iterator[Any]:
    """The handler of SIGINT that a process in the foreground has."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.default_int_handler
    signal.signal(signal.SIGINT, former)


def test_a_signal_in_the_first_epoch_leaves_the_weights_of_that_step(
    handler: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(report: Report, number: int, loss: float) -> None:
        if number == 3:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Report, "step", step)
    with pytest.raises(KeyboardInterrupt):
        train(small(), Options(out=tmp_path, quiet=True))
    assert signal.getsignal(signal.SIGINT) is handler
    assert weights(tmp_path)["trunk.batchnorm1.num_batches_tracked"] == 3
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["last"], result["best"]) == (None, None)
    assert not RunDirectory(tmp_path).best.exists()


def test_a_signal_saves_no_weights_that_are_not_finite(
    handler: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Report, "step", lambda *_: signal.raise_signal(signal.SIGINT))
    settings = {"optimizer": "sgd(lr=3e38)", "batch": "2000", "schedule": "constant"}
    spec = small(loss="100*cross_entropy(logits, label)", **settings)
    with pytest.raises(Failed, match=r"E507\]: the weights are not finite after step 1"):
        train(spec, Options(out=tmp_path, quiet=True))
    assert not RunDirectory(tmp_path).last.exists()


def test_a_signal_does_not_hide_a_failure(
    handler: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.replace

    def failing(source: str, target: Path) -> None:
        if target.name == "last.safetensors":
            monkeypatch.setattr(os, "replace", rename)
            signal.raise_signal(signal.SIGINT)
            raise OSError(28, "No space left on device")
        rename(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(Failed, match=r"E005\]: cannot write"):
        train(small(), Options(out=tmp_path, quiet=True))


def test_the_second_signal_is_obeyed_at_once(handler: Any) -> None:
    with interrupts() as noted:
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(Interrupted, match="SIGINT"):
            noted.raise_if_received()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_signal_that_is_ignored_stays_so(handler: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with interrupts() as noted:
        signal.raise_signal(signal.SIGINT)
        noted.raise_if_received()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_signals_belong_to_the_main_thread(handler: Any) -> None:
    seen = []

    def enter() -> None:
        with interrupts():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [handler]


@pytest.mark.parametrize(("number", "ending"), [(signal.SIGINT, None), (signal.SIGTERM, 143)])
def test_an_interrupt_becomes_what_the_process_would_have_died_of(
    number: int, ending: int | None
) -> None:
    with pytest.raises(KeyboardInterrupt if ending is None else SystemExit) as raised:
        raise Interrupted(number).as_exit()
    assert getattr(raised.value, "code", None) == ending
