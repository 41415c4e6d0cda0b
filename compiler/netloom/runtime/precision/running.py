"""Models side by side in a process of their own, because ONNX Runtime crashes on some of them.

Of float32 models none is known; its optimiser has brought itself down over float16 ones.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy

from netloom.ir.dims import evaluate_to_int, product
from netloom.ir.graph import Graph
from netloom.passes.admissible import small_sizes
from netloom.runtime.proof.cases import activation_bytes, work
from netloom.runtime.proof.isolated import Interface, IsolatedRuntime, Limits

Array = numpy.ndarray[Any, Any]
Outputs = dict[str, Array]


class Way(NamedTuple):
    """One way of running a model; `name` tells a user where it failed."""

    name: str
    content: bytes
    optimise: bool = True


class Session(NamedTuple):
    """A model that is open in the other process."""

    runtime: IsolatedRuntime
    name: str
    interface: Interface

    def run(self, inputs: Mapping[str, Array], wanted: Sequence[str] = ()) -> Outputs:
        """All outputs by name, or those that are `wanted`; inputs that it does not take are left.

        Raises `Failed`: E606 where ONNX Runtime cannot run the model, E613 where it dies.
        """
        given = {each.name: inputs[each.name] for each in self.interface.inputs}
        names = wanted or [each.name for each in self.interface.outputs]
        return self.runtime.run(self.name, given, names, "running the model")


@contextmanager
def opened(
    ways: Sequence[Way], graph: Graph, inputs: Mapping[str, Array]
) -> Iterator[list[Session]]:
    """Sessions of all models as long as the context lasts; `inputs` are as large as any will be.

    Raises `Failed`: E604 where ONNX Runtime cannot load one, E613 where it dies.
    """
    with IsolatedRuntime(_limits(ways, graph, inputs)) as runtime:
        sessions = []
        for index, way in enumerate(ways):
            path = runtime.folder / f"{index}.onnx"
            path.write_bytes(way.content)
            interface = runtime.open(way.name, path, way.optimise)
            path.unlink()
            sessions.append(Session(runtime, way.name, interface))
        yield sessions


def _limits(ways: Sequence[Way], graph: Graph, inputs: Mapping[str, Array]) -> Limits:
    """Several times what running could take: what small inputs take, in proportion."""
    given = [value for value in graph.inputs if value.name in inputs]
    activations, macs = 0.0, 0.0
    for sizes in small_sizes(graph):
        small = sum(evaluate_to_int(product(value.type.shape), sizes) for value in given)
        times = max(1.0, sum(inputs[value.name].size for value in given) / max(1, small))
        activations = max(activations, times * activation_bytes(graph, sizes))
        macs = max(macs, times * work(graph, sizes))
    models = sum(len(way.content) for way in ways)
    memory = 4 * 2**30 + 10 * models + int(10 * len(ways) * activations)
    return Limits(memory, 60 + macs / 1e8)
