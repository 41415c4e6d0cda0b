"""A network in PyTorch and in ONNX Runtime, timed side by side."""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from netloom.compile import check, chosen
from netloom.diagnostics import Diagnostic, Failed, Source
from netloom.emit import onnx
from netloom.emit.onnx.files import write_model
from netloom.emit.weights import Weights, initial
from netloom.extras import need
from netloom.ir.graph import Graph
from netloom.runtime.devices import Device
from netloom.runtime.sessions import Opened, left_on_cpu, opened, placement_of, reason_in
from netloom.runtime.timing.candidates import (
    REFERENCE,
    Candidate,
    Feeds,
    TorchForm,
    device_for_torch,
    drawn_inputs,
    largest_error,
    onnx_candidate,
    torch_candidate,
)
from netloom.runtime.timing.rounds import measure
from netloom.runtime.timing.statistics import Estimate
from netloom.runtime.trained import find

EMITTED = "ONNX Runtime"
"""The candidate that is the network's own export."""

Follow = Callable[[Sequence[int]], AbstractContextManager[Iterable[int]]]
"""What shows how far the rounds are."""


class Subject(NamedTuple):
    """The network that is timed. Of a `model` that is a file the weights are its own."""

    graph: Graph
    weights: Weights
    model: Path | None = None


class Plan(NamedTuple):
    """What is timed: sizes, forms of PyTorch, other models of the network, and for how long.

    `threads` of 0 are as many as PyTorch takes by itself; `seconds` bounds the rounds of one batch.
    """

    batches: Sequence[int] = (1,)
    sizes: Mapping[str, int] = {}
    forms: Sequence[TorchForm] = (TorchForm(),)
    models: Sequence[Path] = ()
    device: Device = "auto"
    threads: int = 0
    rounds: int = 30
    seconds: float = 60


class Row(NamedTuple):
    """One candidate at one batch size.

    `seconds` are those of one inference, `speed` is how many times faster than PyTorch it is, and
    `error` how far its outputs are from PyTorch's, where it has the same weights.
    """

    batch: int
    candidate: str
    seconds: Estimate
    speed: Estimate
    error: float | None


class Timed(NamedTuple):
    """All rows of one batch size, and what there is to say about them."""

    rows: list[Row]
    device: str
    not_cuda: str | None
    on_cpu: str
    threads: int
    rounds: int
    is_complete: bool
    skipped: Mapping[str, str]


def subject_of(
    target: Path, network: str | None, weights: Path | None, settings: Sequence[str]
) -> Subject:
    """What a run's folder, a spec, or an exported model means.

    A spec without weights gets untrained ones, which take as long. Raises `Failed` as `find` does,
    and E604 for a model that does not say which spec it is of.
    """
    if target.suffix == ".onnx":
        return _subject_of_model(target)
    trained = find(target, network, weights, settings)
    given = trained.weights if trained.weights is not None else initial(trained.graph)
    return Subject(trained.graph, given)


def _subject_of_model(path: Path) -> Subject:
    metadata = opened(path).session.get_modelmeta().custom_metadata_map
    text = metadata.get("netloom.spec")
    if text is None or "netloom.imports" in metadata:
        reason = "is of a spec that imports others" if text else "does not say which spec it is of"
        message = f"`{path}` {reason}, and PyTorch's side is emitted from that"
        help = f"name the spec: `netloom bench SPEC --model {path}`"
        raise Failed(Diagnostic("E604", message, help=help))
    settings = _settings(path, metadata.get("netloom.set", "[]"))
    spec = check(Source(f"the spec in {path}", text), settings)
    graph = spec.networks[chosen(spec, metadata.get("netloom.network"))].graph
    return Subject(graph, initial(graph), path)


def _settings(path: Path, text: str) -> list[str]:
    import json

    try:
        return [str(each) for each in json.loads(text)]
    except (ValueError, TypeError):
        message = f"the metadata `netloom.set` of `{path}` is damaged"
        raise Failed(Diagnostic("E604", message, help="export the model again")) from None


def bench(subject: Subject, plan: Plan, follow: Follow) -> Iterator[Timed]:
    """Times the candidates, one batch size after the other.

    Raises `Failed`: E601 without PyTorch or ONNX Runtime, E605 and E612 for sizes, E606 for a model
    that is not of this network, E607 for a device that cannot be had.
    """
    torch = need("torch", "train")
    device, not_cuda = device_for_torch(plan.device)
    if plan.threads:
        torch.set_num_threads(plan.threads)
    _compute_float32_in_full(torch)
    with _models(subject, plan) as models:
        sessions = {
            name: opened(model, device, threads=torch.get_num_threads())
            for name, model in models.items()
        }
        found = next(iter(sessions.values()))
        shown = found._replace(not_taken={**found.not_taken, **_reason(not_cuda)})
        for batch in plan.batches:
            feeds = drawn_inputs(subject.graph, plan.sizes, batch)
            candidates, skipped = _candidates(subject, plan, feeds, models, sessions)
            yield _timed(subject, plan, batch, candidates, skipped, shown, follow)


def _reason(not_cuda: str | None) -> dict[str, str]:
    return {"cuda": not_cuda} if not_cuda else {}


def _compute_float32_in_full(torch: Any) -> None:
    """No TF32 in PyTorch, as there is none in ONNX Runtime's sessions."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


@contextmanager
def _models(subject: Subject, plan: Plan) -> Iterator[dict[str, Path]]:
    """The files that ONNX Runtime runs, by the candidates' names."""
    others = {f"{EMITTED}: {path.name}": path for path in plan.models}
    if subject.model:
        yield {EMITTED: subject.model, **others}
        return
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.onnx"
        program, _ = onnx.program(subject.graph, subject.weights)
        write_model(model, program, {})
        yield {EMITTED: model, **others}


def _candidates(
    subject: Subject,
    plan: Plan,
    feeds: Feeds,
    models: Mapping[str, Path],
    sessions: Mapping[str, Opened],
) -> tuple[list[Candidate], dict[str, str]]:
    """All that can be run, PyTorch first, and why the others cannot."""
    device = "cpu" if sessions[EMITTED].device == "cpu" else "cuda"
    makers: dict[str, Callable[[], Candidate]] = {
        form.name: partial(torch_candidate, subject.graph, subject.weights, feeds, device, form)
        for form in plan.forms
    }
    makers |= {
        name: partial(onnx_candidate, name, models[name], feeds, sessions[name]) for name in models
    }
    found = []
    skipped = {}
    for name, make in makers.items():
        try:
            candidate = make()
            candidate.run()
            found.append(candidate)
        except Failed:
            raise
        except Exception as problem:  # PyTorch and ONNX Runtime raise what they like
            reason = reason_in(problem)
            if name in (REFERENCE, EMITTED):
                message = f"{name} cannot run network `{subject.graph.name}` at this size: {reason}"
                raise Failed(Diagnostic("E605", message)) from None
            skipped[name] = reason
    return found, skipped


def _timed(
    subject: Subject,
    plan: Plan,
    batch: int,
    candidates: Sequence[Candidate],
    skipped: Mapping[str, str],
    found: Opened,
    follow: Follow,
) -> Timed:
    torch = need("torch", "train")
    reference = candidates[0].outputs()
    errors = {each.name: largest_error(each.outputs(), reference) for each in candidates}
    if subject.model:
        errors.pop(EMITTED)  # its weights are its own
    with follow(range(plan.rounds)) as rounds:
        timings = measure({each.name: each.run for each in candidates}, rounds, plan.seconds)
    rows = [
        Row(
            batch,
            each.name,
            timings.time(each.name),
            timings.speed(each.name, REFERENCE),
            errors.get(each.name),
        )
        for each in candidates
    ]
    on_cpu = left_on_cpu(placement_of(found.session) or []) if found.device != "cpu" else ""
    threads = torch.get_num_threads()
    why = found.not_taken.get("cuda")
    return Timed(
        rows, found.device, why, on_cpu, threads, timings.rounds, timings.complete, skipped
    )
