"""The network run layer by layer, against the module that is emitted."""

import weakref
from pathlib import Path

import numpy
import pytest

from netloom.compile import check, check_file
from netloom.diagnostics import Source
from netloom.ir.graph import Graph
from netloom.passes.admissible import small_sizes
from netloom.runtime.proof.cases import Case, draw
from netloom.runtime.proof.interpreter import Interpreter
from netloom.runtime.proof.policy import error_of
from netloom.runtime.proof.references import EmittedModule
from netloom.runtime.verify import randomised
from oracles.case import Case as OperatorCase
from oracles.operators import CASES
from random_specs import random_spec
from specimens import ROOT, SPECS, built

QUICK = [*SPECS, ROOT / "specs" / "squeezenet.loom", ROOT / "specs" / "mobilenet_v3.loom"]
OTHERS = sorted(set((ROOT / "specs").glob("*.loom")) - set(QUICK))


def compare(graph: Graph) -> None:
    weights = randomised(graph)
    interpreter = Interpreter(graph, weights, "float64")
    emitted = EmittedModule(graph, weights, "float32")
    for sizes in small_sizes(graph):
        inputs = draw(graph, Case(sizes, "random"), "float32", 0)
        values = {id(value): inputs[value.name] for value in graph.inputs}
        for layer, results in interpreter.run(inputs):
            for value, result in zip(layer.results, results, strict=True):
                values[id(value)] = result.numpy()
        truth = emitted.references(inputs).truth
        for head in graph.heads_in("infer"):
            assert error_of(values[id(head.value)], truth[head.name]) < 1e-12


@pytest.mark.parametrize("path", QUICK, ids=lambda path: path.stem)
def test_it_gives_what_the_emitted_module_gives(path: Path) -> None:
    for network in check_file(path).networks.values():
        compare(network.graph)


@pytest.mark.slow
@pytest.mark.parametrize("path", OTHERS, ids=lambda path: path.stem)
def test_it_gives_what_the_emitted_module_gives_for_the_others(path: Path) -> None:
    for network in check_file(path).networks.values():
        compare(network.graph)


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_it_runs_every_operator(case: OperatorCase) -> None:
    *_, network = check(Source("net.loom", case.text)).networks.values()
    compare(network.graph)


@pytest.mark.parametrize("seed", range(30))
def test_it_runs_random_networks(seed: int) -> None:
    compare(check(Source("random.loom", random_spec(seed))).networks["net"].graph)


def test_shared_weights_are_those_of_their_owner() -> None:
    graph = built(
        "network net { input a: float32[N, 3]\n input b: float32[N, 3]\n share last = linear(4)\n"
        " x = a -> last\n y = b -> relu -> last\n head out = mul { x  y } }"
    ).graph
    assert len({id(layer.weights_of) for layer in graph.layers if layer.op.params()}) == 1
    compare(graph)


def test_the_owner_of_shared_weights_may_be_there_in_training_only() -> None:
    graph = built(
        "network net { input x: float32[N, 3]\n share last = linear(4)\n"
        " train head early = x -> last\n head out = x -> tanh -> last }"
    ).graph
    assert graph.layers_in("infer")[-1].weights_of not in graph.layers_in("infer")
    compare(graph)


def test_a_value_is_forgotten_after_its_last_use() -> None:
    """Otherwise a deep network would be held in memory as a whole."""
    spec = "network net { input x: float32[N, 3]\n repeat 5 { tanh }\n head out = relu }"
    interpreter = Interpreter(built(spec).graph, {}, "float32")
    alive: list[weakref.ref[object]] = []
    for _, (result,) in interpreter.run({"x": numpy.ones((1, 3), "float32")}):
        alive = [each for each in alive if each() is not None]
        assert len(alive) <= 2
        alive.append(weakref.ref(result))
