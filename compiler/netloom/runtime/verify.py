"""The proof that an exported model equals the trained network.

PyTorch in float64 is the oracle. PyTorch in the precision of the model shows how much of a
difference is rounding; ONNX Runtime is run with its optimiser off and on, in a process of its own.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy

from netloom.diagnostics import Diagnostic, Failed
from netloom.emit.weights import Weights
from netloom.ir.graph import Graph
from netloom.runtime.proof.cases import Case, Cases, Sizes, cases, draw
from netloom.runtime.proof.interface import check_interface
from netloom.runtime.proof.isolated import Interface, IsolatedRuntime
from netloom.runtime.proof.model_file import on_disk, read_model
from netloom.runtime.proof.policy import (
    POLICIES,
    Inputs,
    Policy,
    Precision,
    Verdict,
    error_of,
    errors_json,
    finite_or_none,
    is_constant,
    is_unchanged,
    judge,
)
from netloom.runtime.proof.random_weights import randomised as randomised
from netloom.runtime.proof.references import EmittedModule
from netloom.runtime.proof.sessions import SESSIONS, ample, feeds, open_both
from netloom.runtime.proof.weights import (
    Carried,
    compare_weights,
    not_finite,
    not_finite_diagnostic,
)

Array = numpy.ndarray[Any, Any]


class Comparison(NamedTuple):
    """One head for one kind of inputs at one size: all errors and the verdict.

    `torch_error` is PyTorch's own, in the precision of the model; None where it has no kernel.
    """

    head: str
    sizes: Sizes
    inputs: Inputs
    torch_error: float | None
    plain_error: float
    optimised_error: float
    verdict: Verdict

    @property
    def onnx_error(self) -> float:
        """The larger error of ONNX Runtime."""
        return max(self.plain_error, self.optimised_error)

    def as_json(self) -> dict[str, Any]:
        """The same as plain data; an error is null where nothing could be compared."""
        return {
            "head": self.head,
            "sizes": dict(self.sizes),
            "inputs": self.inputs,
            **errors_json(self.torch_error, self.plain_error, self.optimised_error),
            "same": self.verdict == "same",
            "verdict": self.verdict,
        }


class Proof(NamedTuple):
    """All comparisons of a model with its network; `left_out` was too much work to be tried.

    `weights` says which of a float32 model's weights are the network's; None for others.
    `not_finite` are the network's weights that hold NaN or infinities, with how many.
    """

    comparisons: tuple[Comparison, ...]
    precision: Precision
    left_out: tuple[Case, ...]
    metadata: dict[str, str]
    weights: Carried | None
    not_finite: dict[str, int]

    @property
    def holds(self) -> bool:
        """Whether no comparison and no weight differs, and each head says something."""
        return not self.differs and not self.diagnostics()

    @property
    def differs(self) -> bool:
        """Whether a comparison is beyond the bounds."""
        return any(each.verdict == "DIFFERENT" for each in self.comparisons)

    @property
    def silent(self) -> tuple[str, ...]:
        """The heads of which no comparison says anything."""
        heads = dict.fromkeys(each.head for each in self.comparisons)
        telling = {each.head for each in self.comparisons if each.verdict != "says nothing"}
        return tuple(head for head in heads if head not in telling)

    @property
    def torch_error(self) -> float:
        """PyTorch's own largest error."""
        return max((each.torch_error or 0.0 for each in self.comparisons), default=0.0)

    @property
    def onnx_error(self) -> float:
        """ONNX Runtime's largest error."""
        return max((each.onnx_error for each in self.comparisons), default=0.0)

    @property
    def worst_case(self) -> Case:
        """The first case in which a head differs, or the first of all."""
        different = [each for each in self.comparisons if each.verdict == "DIFFERENT"]
        first = (*different, *self.comparisons)[0]
        return Case(first.sizes, first.inputs)

    def as_json(self) -> dict[str, Any]:
        """The same as plain data."""
        return {
            "ok": self.holds,
            "precision": self.precision,
            "torch_error": finite_or_none(self.torch_error),
            "onnx_error": finite_or_none(self.onnx_error),
            "comparisons": [each.as_json() for each in self.comparisons],
            "left_out": [
                {"sizes": dict(each.sizes), "inputs": each.inputs} for each in self.left_out
            ],
            "weights": self.weights.as_json() if self.weights else None,
            "not_finite": self.not_finite,
            "diagnostics": [each.as_json() for each in self.diagnostics()],
        }

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Why this is no proof, but for outputs that differ.

        Weights that are others (E619), or a head of which nothing is said (E614), which is no
        wonder where weights are not finite (E618).
        """
        found = [self.weights.diagnostic() if self.weights else None]
        if self.not_finite and (self.silent or self.differs):
            found.append(not_finite_diagnostic(self.not_finite))
        elif self.silent and not self.differs:
            found.append(self._nothing_proved())
        return tuple(each for each in found if each)

    def _nothing_proved(self) -> Diagnostic:
        heads = ", ".join(f"`{head}`" for head in self.silent)
        message = f"nothing is proved of {heads}: it hardly varies, or not with the inputs"
        help = (
            "does a layer let nothing through, such as a softmax of one channel?\n"
            "if not, other weights help, with `--weights` or `--seed`"
        )
        return Diagnostic("E614", message, help=help)


class _Trial(NamedTuple):
    """One case: the true outputs, and the errors of each head."""

    case: Case
    truth: dict[str, Array]
    own: dict[str, float | None]
    errors: dict[str, tuple[float, ...]]


def verify(
    graph: Graph,
    weights: Weights,
    model: Path | bytes,
    seed: int = 0,
    precision: Precision | None = None,
    *,
    sizes: Sizes | None = None,
    memory: int | None = None,
    seconds: float | None = None,
    progress: Callable[[str], None] | None = None,
) -> Proof:
    """Compares a model with the network and weights that it is said to be.

    Several kinds of inputs at several sizes, or at the given numbers for free `sizes`. The bounds
    are those of the `precision`, by default that of the model's weights. ONNX Runtime may take so
    many bytes of `memory`, and `seconds` for each run; by default more than any sound model does.

    Raises `Failed`: E001 and E604 for what is no model, E605 if there are no sizes to try, E606 if
    the model has other inputs or outputs than the network or fails, and E613 if it brings ONNX
    Runtime down or takes more than the limits allow.
    """
    with on_disk(model) as path:
        file = read_model(path)
        precision = precision or file.precision
        planned = planned_cases(graph, POLICIES[precision], sizes)
        limits = ample(graph, file, planned.tried, memory, seconds)
        with IsolatedRuntime(limits) as runtime:
            interface = open_both(runtime, path)
            check_interface(interface, graph)
            module = EmittedModule(graph, weights, precision)
            trials = []
            for index, case in enumerate(planned.tried):
                if progress:
                    progress(f"comparing {index + 1} of {len(planned.tried)}: {case}")
                inputs = draw(graph, case, precision, seed)
                trials.append(_trial(case, inputs, module, runtime, interface))
        is_comparable = precision == file.precision == "float32"
        carried = compare_weights(graph, weights, file) if is_comparable else None
    compared = _compared(trials, POLICIES[precision])
    unsound = not_finite(graph, weights)
    return Proof(compared, precision, planned.left_out, file.metadata, carried, unsound)


def planned_cases(graph: Graph, policy: Policy, sizes: Sizes | None) -> Cases:
    """What is tried. Raises `Failed` (E605) where a network can be run at no such size."""
    planned = cases(graph, policy, sizes)
    if planned.tried:
        return planned
    message = f"no small sizes were found at which network `{graph.name}` can be run"
    help = "the proof needs some; do the sizes of its inputs contradict one another?"
    if sizes:
        message = f"network `{graph.name}` cannot be run at these sizes"
        help = "`netloom explain` says which sizes it takes"
    raise Failed(Diagnostic("E605", message, help=help))


def _trial(
    case: Case,
    inputs: dict[str, Array],
    module: EmittedModule,
    runtime: IsolatedRuntime,
    interface: Interface,
) -> _Trial:
    truth, own = module.references(inputs)
    wanted = [each.name for each in interface.outputs]
    given = feeds(interface, inputs)
    runs = [runtime.run(session, given, wanted, str(case)) for session in SESSIONS]
    return _Trial(
        case,
        {head: truth[head] for head in wanted},
        {head: error_of(own[head], truth[head]) if own else None for head in wanted},
        {head: tuple(error_of(run[head], truth[head]) for run in runs) for head in wanted},
    )


def _compared(trials: Sequence[_Trial], policy: Policy) -> tuple[Comparison, ...]:
    return tuple(
        _comparison(head, trial, trials, policy) for trial in trials for head in trial.truth
    )


def _comparison(head: str, trial: _Trial, trials: Sequence[_Trial], policy: Policy) -> Comparison:
    truth, own, errors = trial.truth[head], trial.own[head], trial.errors[head]
    verdict = judge(policy, truth, own, errors, trial.case.inputs == "large")
    tells = not is_constant(policy, truth) and not _is_unmoved(head, trial, trials, policy)
    if verdict != "DIFFERENT" and not tells:
        verdict = "says nothing"
    plain, optimised = errors
    return Comparison(head, trial.case.sizes, trial.case.inputs, own, plain, optimised, verdict)


def _is_unmoved(head: str, trial: _Trial, trials: Sequence[_Trial], policy: Policy) -> bool:
    """Whether a head is the same for all inputs of a size.

    Where there is but one, it is as at the other sizes.
    """
    others = [each for each in trials if each is not trial and each.case.sizes == trial.case.sizes]
    if others:
        return all(is_unchanged(policy, trial.truth[head], each.truth[head]) for each in others)
    sizes = [each.case.sizes for each in trials]
    twins = [each for each in trials if sizes.count(each.case.sizes) > 1]
    return any(_is_unmoved(head, each, trials, policy) for each in twins)
