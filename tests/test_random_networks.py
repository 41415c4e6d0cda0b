"""Random networks: everything that the compiler states of them is what PyTorch says."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch

from comparisons import NOT_INFERRED, compare_inferred
from coverage_of_networks import coverage
from emitted import emission_differences
from fuzz import CRASHERS, signatures
from generated import differences
from generator.description import Net
from generator.observation import Facts, observe, run, seen
from generator.operators import OPERATORS, Chance
from generator.random_networks import random_network
from generator.text import spec
from generator.walk import Modules, Step
from netloom.compile import check
from netloom.diagnostics import Source
from netloom.emit import onnx as emit_onnx
from netloom.emit.weights import initial
from netloom.ir import receptive
from netloom.ir.dims import Symbolic
from netloom.ir.op import Op
from netloom.ir.window import POINT, Fold, SizedShift, Stretch, TransposedWindow, Window
from oracles.case import make_positive
from reduction import read, reduced, written
from test_conv_mutations import changed

NETS = 1000
CHUNKS = 20


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_the_compiler_agrees_with_pytorch(chunk: int) -> None:
    for seed in range(chunk, NETS, CHUNKS):
        net = random_network(seed)
        found = differences(net, observe(net))
        assert not found, f"seed {seed}: {found[0]}\n{spec(net)}"


# --- What is emitted -----------------------------------------------------------------------------

EMITTED = 60
"""Values are compared in test_rewrites.py, for all networks."""


@pytest.mark.parametrize("chunk", range(4))
def test_onnx_infers_the_shapes_that_we_state(chunk: int) -> None:
    for seed in range(chunk, EMITTED, 4):
        net = random_network(seed)
        network = check(Source("net.loom", spec(net))).networks["net"]
        if any(layer.op.name in NOT_INFERRED for layer in network.graph.layers):
            continue  # nor infers it what comes behind
        content = emit_onnx.model_bytes(network.graph, initial(network.graph), fold=False)
        compare_inferred(content, net.bindings, network)


@pytest.mark.parametrize("path", sorted(CRASHERS.glob("*.loom")), ids=lambda path: path.stem)
def test_what_once_differed_does_so_no_more(path: Path) -> None:
    net = read(path.read_text())
    assert not differences(net, observe(net))
    assert not emission_differences(net)


# --- What is drawn -------------------------------------------------------------------------------

NEVER_DRAWN = {
    "nms": "its sizes come from data, and its field has no experiment",
}


def test_every_operator_and_argument_is_drawn() -> None:
    drawn: Counter[str] = Counter()
    for seed in range(300):
        drawn += coverage(random_network(seed), signatures())
    for name, arguments in signatures().items():
        if name in NEVER_DRAWN:
            continue
        assert drawn[name], f"{name} is never drawn"
        for argument in arguments:
            begin = f"{name}({argument}="
            classes = {each for each in drawn if each.startswith(begin)}
            assert len(classes) > 1, f"{name}({argument}=) is drawn with {classes} only"


def test_every_join_and_brace_is_drawn() -> None:
    drawn: Counter[str] = Counter()
    for seed in range(300):
        drawn += coverage(random_network(seed), {})
    for wanted in (
        "add of 2 branches",
        "mul of 2 branches",
        "concat of 3 branches",
        "residual",
        "residual with a shortcut",
        "repeat 3",
        "stage Gate",
        "stage BlockCall",
        "stage Shared",
        "a layer with another's weights",
        "3 inputs",
        "3 heads",
        "a side 8*w",
    ):
        assert drawn[wanted], wanted


# --- What an operator depends on -----------------------------------------------------------------


@pytest.mark.parametrize(
    "name", sorted(set(OPERATORS) - {"add", "mul", "concat", "gate", "unpool", "crop"})
)
def test_what_is_seen_is_what_changes_the_output(name: str) -> None:
    """The maps of 0 and 1 that the oracle pushes through a layer are those of an experiment."""
    operator = OPERATORS[name]
    chance = Chance(1)
    tried = 0
    while tried < 12:
        rank = chance.choice(operator.ranks)
        shape = {4: (1, 4, 9, 8), 3: (1, 7, 4), 2: (1, 4)}[rank]
        step = Step(0, 0, name, operator.draw(chance, shape))
        for axis in {4: (2, 3), 3: (1,), 2: ()}[rank]:
            try:
                expected = _disturbed(step, shape, axis)
            except (RuntimeError, ValueError):
                break
            flat = torch.zeros(shape[axis], *shape[1:], dtype=torch.float64)
            one = flat[..., :1] if rank == 3 else flat[:, :1]
            for position in range(shape[axis]):
                one[position].select(axis - 1, position).fill_(1)
            found = seen(step, [one])[0].bool()
            assert (found == expected).all(), (step, axis)
        tried += 1


def _disturbed(step: Step, shape: tuple[int, ...], axis: int) -> torch.Tensor:
    """Which outputs change, in any channel, if a row of the input does."""
    modules = Modules(dtype=torch.float64)
    make_positive(modules.module(step, shape))
    changes: Any = 0
    for seed in range(6):
        torch.manual_seed(seed)
        x = torch.rand(shape, dtype=torch.float64)
        rows = x.repeat(shape[axis], *[1] * (len(shape) - 1))
        for position in range(shape[axis]):
            row = rows[position].select(axis - 1, position)
            row.add_(3 * torch.rand(row.shape, dtype=torch.float64))
        with torch.no_grad():
            before, after = modules(step, [x])[0], modules(step, [rows])[0]
        changes = changes + (after - before).abs()
    channels = 2 if after.dim() == 3 else 1
    result: torch.Tensor = (changes > 1e-11).any(channels, keepdim=True)
    return result


# --- Planted faults ------------------------------------------------------------------------------

DRAWN = 600
PER_OPERATOR = 80
WITHOUT_EFFECT = 20
"""A rule that gives the right answer in so many networks does not depend on what was changed."""
RULES = ("result", "results", "window", "params", "macs")


@lru_cache(maxsize=1)
def networks_with() -> dict[str, list[int]]:
    """Seeds of networks that have an operator, among the first `DRAWN`."""
    found: dict[str, list[int]] = defaultdict(list)
    for seed in range(DRAWN):
        net = random_network(seed)
        for name in {step.operator for step in run(net, net.bindings[0]).run.steps}:
            found[name].append(seed)
    return found


@cache
def observed(seed: int) -> tuple[Net, Facts]:
    net = random_network(seed)
    return net, observe(net)


def is_noticed(name: str, has_effect: Callable[[], bool] = lambda: True) -> bool:
    """Whether a fault of an operator shows in one of a few networks that have it."""
    for index, seed in enumerate(networks_with()[name][:PER_OPERATOR]):
        if index >= WITHOUT_EFFECT and not has_effect():
            return False
        net, facts = observed(seed)
        try:
            if differences(net, facts):
                return True
        except Exception:
            return True  # a compiler that crashes is noticed, too
    return False


WITHOUT_CONSEQUENCE = {
    "flatten.window": "an axis that the result has no more is seen as a whole anyway",
}


class Fault:
    """A wrong rule, and whether its answer was ever another than the right one's."""

    def __init__(self, operator: type[Op], rule: str, answer: Callable[[Op, Any], Any]) -> None:
        self.true = getattr(operator, rule)
        self.answer = answer
        self.had_effect = False

    def __call__(self, op: Op) -> Any:
        true = self.true(op)
        false = self.answer(op, self.true)
        self.had_effect |= _plain(true) != _plain(false)
        return false


def _plain(answer: Any) -> Any:
    """What can be compared: windows are by what is in them, weights without initial values."""
    match answer:
        case Window() | TransposedWindow() | Stretch() | Fold():
            return type(answer).__name__, tuple(vars(answer).items())
        case dict():
            return {name: (each.shape, each.learned) for name, each in answer.items()}
        case tuple():
            return tuple(map(_plain, answer))
        case _:
            return str(answer)


def _faults() -> Iterator[Any]:
    for name, operator in sorted(Op.registry.items()):
        if name in NEVER_DRAWN:
            continue
        for rule in RULES:
            if rule not in operator.__dict__ or f"{name}.{rule}" in WITHOUT_CONSEQUENCE:
                continue
            for title, answer in _wrong_answers(operator, rule):
                yield pytest.param(name, rule, answer, id=f"{name}.{rule}: {title}")


def _wrong_answers(operator: type[Op], rule: str) -> Iterator[tuple[str, Callable[[Op, Any], Any]]]:
    for field in operator.signature():
        if field.is_operand:
            continue
        other = field.default if not field.required and field.default is not None else None
        if other is None:
            other = (1, 1) if "tuple" in str(field.type) else 1
        yield f"{field.name} ignored", _with(field.name, other)
        if "tuple" in str(field.type):
            yield f"{field.name} turned", _turned(field.name)
    yield "damaged", DAMAGES[rule]


def _with(name: str, value: Any) -> Callable[[Op, Any], Any]:
    return lambda op, true: true(changed(op, **{name: value}))


def _turned(name: str) -> Callable[[Op, Any], Any]:
    return lambda op, true: true(changed(op, **{name: (getattr(op, name) or (1, 1))[::-1]}))


def _longer(type_: Any) -> Any:
    return changed(type_, shape=(*type_.shape[:-1], type_.shape[-1] + 1))


def _later(pad: Symbolic) -> Symbolic:
    moved = pad + 1
    assert isinstance(moved, Symbolic)
    return moved


def _wider(reach: Any) -> Any:
    match reach:
        case Window():
            return Window(reach.kernel, reach.step, reach.pad + 1, reach.dilation)
        case TransposedWindow():
            return TransposedWindow(reach.kernel + 1, reach.step, reach.pad, reach.dilation)
        case Fold():
            return Fold(reach.pad + 1, reach.mirrored)
        case SizedShift():
            return SizedShift(_later(reach.pad))
        case Stretch():
            return Window(1, 1, 0)
        case tuple():
            return tuple(map(_wider, reach))
        case _:
            return POINT


DAMAGES: dict[str, Callable[[Op, Any], Any]] = {
    "result": lambda op, true: _longer(true(op)),
    "results": lambda op, true: tuple(map(_longer, true(op))),
    "window": lambda op, true: _wider(true(op)),
    "params": lambda op, true: dict(list(true(op).items())[1:]),
    "macs": lambda op, true: 2 * true(op),
}


@pytest.mark.parametrize(("name", "rule", "answer"), list(_faults()))
def test_a_planted_fault_is_found(
    name: str, rule: str, answer: Callable[[Op, Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = Fault(Op.registry[name], rule, answer)
    monkeypatch.setattr(Op.registry[name], rule, lambda op: fault(op))
    found = is_noticed(name, lambda: fault.had_effect)
    if not fault.had_effect:
        assert answer not in DAMAGES.values(), "damage always has an effect"
        pytest.skip("the rule does not depend on it")
    assert found


def test_a_union_of_the_last_path_only_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receptive, "union", lambda left, right: right)
    assert is_noticed("add")


def test_a_phase_of_an_enlargement_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    true = Stretch.interval
    monkeypatch.setattr(Stretch, "interval", lambda self, position: true(self, position + 1))
    assert is_noticed("upsample")


# --- Reduction -----------------------------------------------------------------------------------


def test_a_difference_is_reduced_and_can_be_read_again() -> None:
    net = next(each for each in map(random_network, range(100)) if " avgpool(" in spec(each))

    def shows(each: Net) -> bool:
        steps = run(each, each.bindings[0]).run.steps
        return any(step.operator == "avgpool" for step in steps)

    least = reduced(net, shows)
    assert shows(least)
    assert len(run(least, least.bindings[0]).run.steps) == 1
    assert read(written(least, "why")) == least
