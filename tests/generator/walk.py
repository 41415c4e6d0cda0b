"""Runs a described network with whatever a layer is taken to be: PyTorch's, or what it sees."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from generator.description import (
    BlockCall,
    Body,
    Call,
    Gate,
    Join,
    Line,
    Net,
    Param,
    Pipeline,
    Repeat,
    Residual,
    Shared,
    Stage,
)
from generator.operators import OPERATORS, Arguments, Shape


@dataclass(frozen=True)
class Value:
    """What flows, the layers that it comes from, and for indices the map that was pooled."""

    data: Any
    layers: frozenset[int] = frozenset()
    before: "Value | None" = None
    pooling: Arguments = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """A layer in the order of the run, and the first layer that has the same weights."""

    index: int
    weights_of: int
    operator: str
    arguments: Arguments


Names = dict[str, Value]


class Walk:
    """One run. `layer` is given a step and the data of its operands, and gives its results'."""

    def __init__(self, net: Net, layer: Callable[[Step, list[Any]], tuple[Any, ...]]) -> None:
        self.layer = layer
        self.blocks = {block.name: block for block in net.blocks}
        self.shares = net.shares
        self.shared: dict[str, int] = {}
        self.count = 0

    def body(
        self, body: Body, current: Value | None, names: Names, given: Arguments | None = None
    ) -> Value | None:
        """The current value behind some lines, whose names are added to `names`."""
        for line in body:
            current = self.line(line, current, names, given or {})
        return current

    def line(
        self, line: Line, current: Value | None, names: Names, given: Arguments | None = None
    ) -> Value:
        results = self.pipeline(line.pipeline, current, names, given or {})
        names.update(zip(line.names, results, strict=False))
        return results[0]

    def pipeline(
        self, pipeline: Pipeline, current: Value | None, names: Names, given: Arguments
    ) -> tuple[Value, ...]:
        if pipeline.start is not None:
            current = names[pipeline.start]
        assert current is not None, "there is no current value"
        results: tuple[Value, ...] = (current,)
        for stage in pipeline.stages:
            results = self.stage(stage, results[0], names, given)
        return results

    def stage(
        self, stage: Stage, current: Value, names: Names, given: Arguments
    ) -> tuple[Value, ...]:
        match stage:
            case Call():
                return self.call(stage, current, names, given)
            case Join(kind, branches):
                values = [self.brace(branch, current, names, given) for branch in branches]
                return self.step(kind, {}, values)
            case Residual(body, shortcut):
                inner = self.brace(body, current, names, given)
                around = current
                if shortcut is not None:
                    around = self.brace(shortcut, current, names, given)
                return self.step("add", {}, [around, inner])
            case Gate(body):
                return self.step("gate", {}, [current, self.brace(body, current, names, given)])
            case Repeat(times, body):
                for _ in range(times):
                    current = self.brace(body, current, names, given)
                return (current,)
            case BlockCall(block, arguments):
                result = self.body(self.blocks[block].body, current, {}, arguments)
                assert result is not None
                return (result,)
            case Shared(name):
                call = self.shares[name]
                return self.step(call.operator, call.arguments, [current], name)

    def brace(self, body: Body, current: Value, names: Names, given: Arguments) -> Value:
        """A body whose names nobody outside sees."""
        result = self.body(body, current, dict(names), given)
        assert result is not None
        return result

    def call(self, call: Call, current: Value, names: Names, given: Arguments) -> tuple[Value, ...]:
        arguments = {
            name: given[value.name] if isinstance(value, Param) else value
            for name, value in call.arguments.items()
        }
        if call.where is None:
            return self.step(call.operator, arguments, [current])
        where = names[call.where]
        if call.operator == "crop":
            return self.step(call.operator, arguments, [current, where])
        assert where.before is not None, "only a max-pooling makes indices"
        return self.step(call.operator, where.pooling, [current, where, where.before])

    def step(
        self, operator: str, arguments: Arguments, operands: list[Value], share: str = ""
    ) -> tuple[Value, ...]:
        index = self.count
        self.count += 1
        first = self.shared.setdefault(share, index) if share else index
        step = Step(index, first, operator, arguments)
        results = self.layer(step, [each.data for each in operands])
        layers = frozenset({index}).union(*(each.layers for each in operands))
        if operator == "maxpool" and len(results) == 2:
            pooled = Value(results[0], layers)
            return pooled, Value(results[1], layers, operands[0], arguments)
        return tuple(Value(data, layers) for data in results)


class Modules:
    """The layers of a run in PyTorch, each made when it is first used."""

    def __init__(self, device: str = "cpu", dtype: torch.dtype = torch.float32) -> None:
        self.device, self.dtype = device, dtype
        self.of: dict[int, nn.Module] = {}

    def module(self, step: Step, shape: Shape) -> nn.Module:
        if step.weights_of not in self.of:
            with torch.device(self.device):
                module = OPERATORS[step.operator].module(step.arguments, shape)
            module = module if self.dtype == torch.float32 else module.to(self.dtype)
            self.of[step.weights_of] = module.eval()
        return self.of[step.weights_of]

    def __call__(self, step: Step, xs: list[Any]) -> tuple[Any, ...]:
        results = self.module(step, xs[0].shape)(*xs)
        return results if isinstance(results, tuple) else (results,)
