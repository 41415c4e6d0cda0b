"""From a float32 model to one of lower precision: convert, measure, and only then hand it on."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

from netloom.diagnostics import Diagnostic, Failed
from netloom.runtime.precision import evaluation, float16, gate, int8
from netloom.runtime.precision.evaluation import Evidence
from netloom.runtime.precision.gate import Check
from netloom.runtime.precision.models import with_metadata
from netloom.runtime.precision.running import Array, Way, opened
from netloom.runtime.proof.weights import not_finite, not_finite_diagnostic
from netloom.runtime.trained import Trained

Precision = Literal["float16", "int8"]

CALIBRATION_SAMPLES = 512


class Request(NamedTuple):
    """What is asked for.

    `allowed` is how much worse the model may be, None for the gate's own bounds; `data` is in place
    of the data on which the network was trained.
    """

    precision: Precision
    allowed: float | None = None
    samples: int = CALIBRATION_SAMPLES
    data: str | None = None


class Lowered(NamedTuple):
    """A model that the gate let through, and why.

    `compared_on` says with what both models were fed. `agreement` is by head, the share of equal
    decisions; `stayed_float` is by operator, the nodes that compute in float32.
    """

    content: bytes
    precision: Precision
    bytes_before: int
    compared_on: str
    checks: tuple[Check, ...]
    agreement: dict[str, float]
    calibration: dict[str, Any] | None
    stayed_float: dict[str, tuple[str, ...]]
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """All but the model as plain data."""
        return {
            "precision": self.precision,
            "bytes": {"before": self.bytes_before, "after": len(self.content)},
            "compared_on": self.compared_on,
            "checks": [check._asdict() for check in self.checks],
            "agreement": self.agreement,
            "calibration": self.calibration,
            "stayed_float": {name: list(nodes) for name, nodes in self.stayed_float.items()},
            "notes": list(self.notes),
        }


class _Conversion(NamedTuple):
    """A model as it came out of a converter; `stand_in` computes as other devices would run it."""

    content: bytes
    stand_in: bytes | None
    calibration: dict[str, Any] | None
    stayed_float: dict[str, tuple[str, ...]]
    notes: tuple[str, ...]


class _Comparison(NamedTuple):
    """Both models, fed alike; `feeds` gives the inputs once more."""

    compared_on: str
    feeds: Callable[[], Iterable[dict[str, Array]]]
    checks: list[Check]
    agreement: dict[str, float]


def lower(trained: Trained, content: bytes, request: Request) -> Lowered:
    """Converts a network's float32 model, `content`, and lets it through the accuracy gate.

    Raises `Failed`: E615 where the model is worse than is allowed, E616 where it cannot be of that
    precision or nothing can be measured, E618 for weights that are not finite, E604, E606 and E613
    where ONNX Runtime cannot run it or dies of it, E504 to E506 for the data.
    """
    assert trained.weights is not None
    unsound = not_finite(trained.graph, trained.weights)
    if unsound:
        raise Failed(not_finite_diagnostic(unsound))
    evidence = evaluation.evidence_for(trained, request.data)
    if request.precision == "int8":
        evidence = _needed(evidence, trained)
        conversion = _int8(content, evidence, request.samples)
    else:
        conversion = _float16(content)
    ways = _ways(content, conversion, request.precision)
    with _with_a_way_out(request.precision):
        if evidence and evidence.measures:
            comparison = _on_test_data(trained, ways, evidence, request.allowed)
        else:
            comparison = _on_random_inputs(trained, ways, request.allowed)
        _refuse_if_worse(trained, comparison, content, request.precision)
    lowered = Lowered(
        conversion.content,
        request.precision,
        len(content),
        comparison.compared_on,
        tuple(comparison.checks),
        comparison.agreement,
        conversion.calibration,
        conversion.stayed_float,
        conversion.notes,
    )
    return lowered._replace(content=with_metadata(lowered.content, _metadata(lowered)))


_WAYS_OUT: dict[Precision, str] = {
    "float16": "nothing is written; allow more with `--max-drop`, or export it in float32",
    "int8": (
        "nothing is written; calibrate with more `--calibration-samples`, allow more with "
        "`--max-drop`, or try `--fp16`"
    ),
}


@contextmanager
def _with_a_way_out(precision: Precision) -> Iterator[None]:
    """What ONNX Runtime cannot load or run, or dies of, says what else there is."""
    try:
        yield
    except Failed as failure:
        (found, *others) = failure.diagnostics
        if found.code not in ("E604", "E606", "E613"):
            raise
        other = "--int8" if precision == "float16" else "--fp16"
        help = f"nothing is written; export it in float32, or try `{other}`"
        raise Failed(found._replace(help=help), *others) from None


def _float16(content: bytes) -> _Conversion:
    made = float16.converted(content)
    stand_in = float16.rounded_everywhere(content)
    return _Conversion(made.content, stand_in, None, made.stayed_float, made.notes)


def _int8(content: bytes, evidence: Evidence, samples: int) -> _Conversion:
    feeds = evaluation.calibration_inputs(evidence, samples)
    made = int8.quantised(content, feeds)
    used = min(samples, len(evidence.dataset.train))
    calibration = {"data": evidence.data.text, "samples": used, "method": "minmax"}
    return _Conversion(made.content, None, calibration, made.stayed_float, ())


def _needed(evidence: Evidence | None, trained: Trained) -> Evidence:
    """What int8 cannot do without: data to calibrate with, and something to measure."""
    if evidence and evidence.measures:
        return evidence
    subject = f"network `{trained.network}`"
    if evidence:
        message = f"{subject} has no metric, and no loss of what is exported, to measure int8 with"
        help = "add one to its train section, for instance `metric accuracy(logits, label)`"
    elif trained.network in trained.spec.programs:
        message = f"int8 needs data to calibrate with, and {subject} names none"
        help = "give some, for instance `--data digits`"
    else:
        message = f"int8 needs data to calibrate with, and {subject} has no train section"
        help = "add one with `data`, `loss` and `metric`; `--fp16` can do without"
    raise Failed(Diagnostic("E616", message, help=help))


def _refuse_if_worse(
    trained: Trained, comparison: _Comparison, content: bytes, precision: Precision
) -> None:
    failed = [check for check in comparison.checks if not check.passes]
    if failed:
        is_float16 = precision == "float16"
        notes = _overflows(trained, content, comparison) if is_float16 else ()
        raise Failed(gate.refusal(failed, notes, _WAYS_OUT[precision]))


def _ways(content: bytes, conversion: _Conversion, precision: Precision) -> list[Way]:
    """The float32 model, then each way in which the lower one may be run; the worst counts."""
    lower, stand_in = conversion.content, conversion.stand_in
    ways = [
        Way("float32", content),
        Way(f"{precision}, optimiser off", lower, optimise=False),
        Way(f"{precision}, optimiser on", lower),
    ]
    return ways + ([Way("float32 rounded to float16", stand_in)] if stand_in else [])


def _on_test_data(
    trained: Trained, ways: list[Way], evidence: Evidence, allowed: float | None
) -> _Comparison:
    def feeds() -> Iterator[dict[str, Array]]:
        return evaluation.test_inputs(evidence)

    with opened(ways, trained.graph, next(feeds())) as sessions:
        before, *after = evaluation.evaluations(evidence, sessions)
    agreement = {name: min(each.agreement[name] for each in after) for name in before.agreement}
    count = len(evidence.dataset.test)
    return _Comparison(
        f"{count} test samples of `{evidence.data.text}`",
        feeds,
        gate.checks(before, after, allowed),
        agreement,
    )


def _on_random_inputs(trained: Trained, ways: list[Way], allowed: float | None) -> _Comparison:
    feeds = list(evaluation.random_inputs(trained.graph))
    if not feeds:
        message = f"no small sizes were found at which network `{trained.network}` can be run"
        raise Failed(Diagnostic("E616", message, help="`--data` names something to measure with"))
    pairs = []
    with opened(ways, trained.graph, feeds[-1]) as (float32, *others):
        for inputs in feeds:
            before = float32.run(inputs)
            pairs += [(before, other.run(inputs)) for other in others]
    return _Comparison("random inputs", lambda: feeds, gate.differences(pairs, allowed), {})


def _overflows(trained: Trained, content: bytes, comparison: _Comparison) -> tuple[str, ...]:
    """The first value that float16 cannot hold, if that is what is wrong."""
    probe = float16.probe(content)
    way = Way("float32, every value", probe.content)
    with opened([way], trained.graph, next(iter(comparison.feeds()))) as (session,):
        found = float16.overflowing(probe, session, comparison.feeds())
    if not found:
        return ()
    name, peak = next(iter(found.items()))
    return (f"`{name}` reaches {peak:.1e}, and float16 ends at {float16.LARGEST:.0f}",)


def _metadata(lowered: Lowered) -> dict[str, str]:
    """What the model says of its precision, and of how it was compared."""
    measured = {
        check.name: {"float32": check.before, lowered.precision: check.after}
        for check in lowered.checks
    }
    comparison = {
        "on": lowered.compared_on,
        "measured": measured,
        "agreement": lowered.agreement,
    }
    entries = {
        "netloom.precision": lowered.precision,
        "netloom.comparison": json.dumps(comparison, sort_keys=True),
    }
    if lowered.calibration:
        entries["netloom.calibration"] = json.dumps(lowered.calibration, sort_keys=True)
    return entries
