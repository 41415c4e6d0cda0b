"""Random networks that fit: each stage is tried in PyTorch at several sizes before it is kept."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from generator.description import (
    Block,
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
    Side,
    Sizes,
    Stage,
    letters,
    number,
)
from generator.operators import OPERATORS, Chance, Shape, channel_axis, pair
from generator.walk import Modules, Names, Step, Value, Walk

ATTEMPTS = 6
MOST_PIXELS = 8_000
"""Elements of one value; nothing is learned from larger ones."""

SHAPES: tuple[tuple[Side, ...], ...] = (
    ("c", "h", "w"),
    ("c", "h", "w"),
    ("c", "2*h", "2*w"),
    ("c", "4*h", "8*w"),
    ("c", "4*h", "4*w"),
    ("c", "2*h + 1", "w"),
    ("c", "h", "h"),
    ("c", "4*h", "4*h"),
    ("c", "h", 17),
    ("c", 12, "w"),
    ("c", 9, 9),
    ("c", 16, 12),
    ("T", "c"),
    ("T", "c"),
    (7, "c"),
    ("c",),
)
"""Shapes of inputs behind the batch; "c" is a number of channels."""

LEAST = (1, 1, 1, 2, 3, 5, 7, 11)
STEPS = (0, 1, 2, 5)
"""Lengths are one of `LEAST` and the same with `STEPS` added: odd, even and prime ones."""


class Unfit(Exception):  # noqa: N818  a draw that comes to nothing
    """Nothing was found that fits."""


@dataclass(frozen=True)
class Refused:
    """A network whose last stage PyTorch does not run at `sizes`."""

    net: Net
    sizes: Sizes


def random_network(seed: int) -> Net:
    """A network in which no value is empty at any of its bindings."""
    while True:
        drawn = _Draw(seed)
        try:
            return drawn.network()
        except Unfit:
            seed += 1_000_003


class AtSeveralSizes:
    """Layers of PyTorch on tuples of tensors, one for each set of sizes; refuses what is empty."""

    def __init__(self, most_pixels: int = MOST_PIXELS) -> None:
        self.most_pixels = most_pixels
        self.shared: dict[int, Any] = {}

    def __call__(self, step: Step, xs: list[tuple[Tensor, ...]]) -> tuple[Any, ...]:
        operator = OPERATORS[step.operator]
        shapes = [tuple(x.shape) for x in xs[0]]
        axis = channel_axis(len(shapes[0]))
        if len(shapes[0]) not in operator.ranks or not xs[0][0].is_floating_point():
            raise Unfit(step.operator)
        if operator.fixed and len({shape[axis] for shape in shapes}) > 1:
            raise Unfit("channels depend on sizes")
        modules = Modules()
        if step.weights_of in self.shared:
            modules.of[step.weights_of] = self.shared[step.weights_of]
        runs = []
        for each in zip(*xs, strict=True):
            try:
                with torch.no_grad():
                    runs.append(modules(step, list(each)))
            except (RuntimeError, ValueError, IndexError) as refusal:
                raise Unfit(str(refusal)) from refusal
        self.shared[step.weights_of] = modules.of[step.weights_of]
        if any(not 0 < each.numel() <= self.most_pixels for run in runs for each in run):
            raise Unfit("empty, or too large")
        return tuple(zip(*runs, strict=True))


@dataclass
class _Scope:
    """What is visible where a stage is drawn."""

    names: Names = field(default_factory=dict)
    depth: int = 0
    is_top: bool = False
    in_block: bool = False


class _Draw:
    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.chance = Chance(seed)
        self.taken = 0
        self.blocks: tuple[Block, ...] = ()
        self.shares: dict[str, Call] = {}
        self.layers = AtSeveralSizes()
        self.walk = Walk(Net({}, (), ()), self.layers)

    # --- The network ---------------------------------------------------------------------------

    def network(self) -> Net:
        chance = self.chance
        torch.manual_seed(self.seed)
        inputs = self.inputs()
        bindings = self.bindings(inputs)
        self.walk.shares = self.shares
        names = {
            name: Value(tuple(_zeros(shape, sizes) for sizes in bindings))
            for name, shape in inputs.items()
        }
        scope = _Scope(names, is_top=True)
        current = next(iter(names.values())) if len(inputs) == 1 else None
        body: list[Line] = []
        for _ in range(chance.randint(1, 4)):
            line = self.line(current, scope, start=current is None)
            current = self.placed(line, current, scope)
            body += line
        given = [name for name in names if name not in inputs and _is_float(names[name])]
        last = self.name()
        body.append(Line(Pipeline((Call("relu"),)), (last,)))
        inner = chance.sample(given, min(len(given), chance.choice([0, 0, 1, 2])))
        heads = (*inner, last)
        net = Net(inputs, tuple(body), heads, self.blocks, self.shares, bindings, self.seed)
        _check_large(net)
        return net

    def inputs(self) -> dict[str, tuple[Side, ...]]:
        chance = self.chance
        shape = chance.choice(SHAPES)
        batch: Side = chance.choice(["N"] * 7 + [1, 2])
        count = chance.choice([1, 1, 1, 1, 2, 2, 3])
        shapes = [shape] + [chance.choice([shape, chance.choice(SHAPES)]) for _ in range(count - 1)]
        return {
            f"x{index}": (batch, *(chance.randint(1, 6) if s == "c" else s for s in each))
            for index, each in enumerate(shapes)
        }

    def bindings(self, inputs: dict[str, tuple[Side, ...]]) -> tuple[Sizes, ...]:
        chance = self.chance
        factors = [each for shape in inputs.values() for each in shape if "*" in str(each)]
        least = chance.choice(LEAST[:5] if factors else LEAST)
        free = letters(inputs)
        bindings = []
        for index, step in enumerate(STEPS):
            lengths = {each: least + step + chance.randrange(3) * (index > 0) for each in free}
            bindings.append({**lengths, **({"N": index % 2 + 1} if "N" in free else {})})
        return tuple(bindings)

    def name(self) -> str:
        self.taken += 1
        return f"v{self.taken}"

    def placed(self, body: list[Line], current: Value | None, scope: _Scope) -> Value:
        """The value behind lines; their names become visible."""
        result = self.walk.body(tuple(body), current, scope.names)
        assert result is not None
        return result

    # --- Lines ---------------------------------------------------------------------------------

    def line(self, current: Value | None, scope: _Scope, start: bool = False) -> list[Line]:
        """One line, or the few of an unpooling, that fit behind the current value."""
        chance = self.chance
        source = None
        readable = [name for name, value in scope.names.items() if _is_float(value)]
        if readable and (start or chance.odds(0.12)):
            source = chance.choice(readable)
            current = scope.names[source]
        assert current is not None
        rank = current.data[0].dim()
        if rank == 4 and source is None and chance.odds(0.08):
            return self.unpooling(current, scope)
        if rank == 4 and source is None and chance.odds(0.08):
            cropping = self.cropping(current, scope)
            if cropping:
                return [Line(cropping)]
        if source is None and chance.odds(0.15):
            met = self.meeting(current, scope)
            if met:
                return [Line(met, (self.name(),) if scope.is_top else ())]
        if scope.is_top and rank == 4 and source is None and chance.odds(0.08):
            return self.sharing(current, scope)
        stages: list[Stage] = []
        for _ in range(chance.choice([1, 1, 2, 3])):
            stage, current = self.stage(current, scope)
            stages.append(stage)
        names: tuple[str, ...] = ()
        several = isinstance(stages[-1], Call) and _results(stages[-1])
        if several and chance.odds(0.8):
            names = tuple(self.name() for _ in range(several))
        elif chance.odds(0.5):
            names = (self.name(),)
        return [Line(Pipeline(tuple(stages), source), names)]

    def sharing(self, current: Value, scope: _Scope) -> list[Line]:
        """A call of something shared, and another one behind it if that fits."""
        line = Line(Pipeline((self.share(current, scope),)), (self.name(),))
        again = replace(line, names=(self.name(),))
        try:
            self.walk.body((line, again), current, dict(scope.names))
        except Unfit:
            return [line]
        return [line, again]

    def unpooling(self, current: Value, scope: _Scope) -> list[Line]:
        """`pooled, where = maxpool(…)`, something between that keeps the shape, `unpool(where)`."""
        for _ in range(ATTEMPTS):
            arguments = OPERATORS["maxpool"].draw(self.chance, _shape(current))
            arguments["indices"] = True
            pooled, where = self.name(), self.name()
            first = Line(Pipeline((Call("maxpool", arguments, 1),)), (pooled, where))
            try:
                names = dict(scope.names)
                inner = self.walk.line(first, current, names)
                body, _ = self.keeping(inner, replace(scope, names=names))
                last = Line(Pipeline((*body, Call("unpool", where=where))))
                self.walk.line(last, inner, names)
                return [first, last]
            except Unfit:
                continue
        raise Unfit("unpool")

    def cropping(self, current: Value, scope: _Scope) -> Pipeline | None:
        """A crop to a named map that is not larger, perhaps once the current one is padded."""
        for name, value in self.chance.sample(sorted(scope.names.items()), len(scope.names)):
            if not _is_float(value) or value.data[0].dim() != 4:
                continue
            more = self.chance.choice([0, 2, 5])
            stages: list[Stage] = [Call("pad", {"before": more}, 1)] if more else []
            offset = self.chance.pair(0, 0, 1, 2, more)
            stages.append(Call("crop", {"offset": offset}, where=name))
            pipeline = Pipeline(tuple(stages))
            try:
                self.walk.pipeline(pipeline, current, scope.names, {})
                return pipeline
            except Unfit:
                continue
        return None

    def meeting(self, current: Value, scope: _Scope) -> Pipeline | None:
        """A join with a named value of the same size, perhaps after an enlargement."""
        chance = self.chance
        for name, value in chance.sample(sorted(scope.names.items()), len(scope.names)):
            if not _is_float(value) or value.data[0].dim() != current.data[0].dim():
                continue
            for first in (None, self.enlargement(current, value)):
                stages: list[Stage] = [first] if first else []
                kind = chance.choice(["concat", "concat", "add", "mul"])
                branches: list[Body] = [
                    (Line(Pipeline()),),
                    (Line(Pipeline((), name)),),
                ]
                chance.shuffle(branches)
                stages.append(Join(kind, tuple(branches)))
                pipeline = Pipeline(tuple(stages))
                try:
                    self.walk.pipeline(pipeline, current, scope.names, {})
                    return pipeline
                except Unfit:
                    continue
        return None

    def enlargement(self, current: Value, wanted: Value) -> Call | None:
        """What makes a map as large as another that is a few times larger."""
        if current.data[0].dim() != 4:
            return None
        (_, _, h, w), (_, channels, height, width) = _shape(current), _shape(wanted)
        factor = [height // h, width // w]
        if not all(1 <= each <= 4 for each in factor) or factor == [1, 1]:
            return None
        if self.chance.odds(0.5):
            mode = self.chance.choice(["nearest", "bilinear"])
            return Call("upsample", {"factor": factor, "mode": mode}, 1)
        return Call("deconv", {"out": channels, "kernel": factor, "stride": factor}, 2)

    # --- Stages --------------------------------------------------------------------------------

    def stage(self, current: Value, scope: _Scope) -> tuple[Stage, Value]:
        """A stage that fits, and the value behind it."""
        makers: list[Callable[[Value, _Scope], Stage]] = [self.operator] * 6
        if scope.depth < 2:
            makers += [self.join, self.residual, self.repeat]
            makers += [self.gate] if current.data[0].dim() == 4 else []
            makers += [self.block] if not scope.in_block else []
        for _ in range(ATTEMPTS):
            try:
                stage = self.chance.choice(makers)(current, scope)
                return stage, self.behind(stage, current, scope)
            except Unfit:
                continue
        return Call("relu"), self.behind(Call("relu"), current, scope)

    def behind(self, stage: Stage, current: Value, scope: _Scope) -> Value:
        return self.walk.stage(stage, current, scope.names, {})[0]

    def operator(self, current: Value, scope: _Scope) -> Call:
        rank = current.data[0].dim()
        able = {name: each for name, each in OPERATORS.items() if rank in each.ranks}
        weights = [each.often for each in able.values()]
        (name,) = self.chance.choices(list(able), weights)
        return self.drawn(name, current)

    def drawn(self, name: str, current: Value, **fixed: Any) -> Call:
        """A call with drawn arguments, some given by place."""
        operator = OPERATORS[name]
        for _ in range(ATTEMPTS):
            arguments = {**operator.draw(self.chance, _shape(current)), **fixed}
            by_place = self.chance.randint(0, operator.by_place)
            call = Call(name, arguments, by_place)
            try:
                self.behind(call, current, _Scope())
                return call
            except Unfit:
                continue
        raise Unfit(name)

    def join(self, current: Value, scope: _Scope) -> Join:
        chance = self.chance
        kind = chance.choice(["add", "mul", "concat", "concat"])
        inside = replace(scope, depth=scope.depth + 1, is_top=False)
        stages, end = self.chain(current, inside)
        branches = [_body(stages)]
        for _ in range(chance.choice([1, 1, 2])):
            branches.append(_body(self.like(stages, current, end, scope, kind == "concat")))
        chance.shuffle(branches)
        return Join(kind, tuple(branches))

    def residual(self, current: Value, scope: _Scope) -> Residual:
        inside = replace(scope, depth=scope.depth + 1, is_top=False)
        if self.chance.odds(0.5):
            stages, _ = self.keeping(current, inside)
            return Residual(_body(list(stages)))
        chain, end = self.chain(current, inside)
        return Residual(_body(chain), _body(self.like(chain, current, end, scope, False)))

    def gate(self, current: Value, scope: _Scope) -> Gate:
        channels = _shape(current)[1]
        if self.chance.odds(0.5):
            stages: list[Stage] = [Call("global_avgpool"), Call("conv", _one_by_one(channels), 2)]
        else:
            call = Call("conv", {"out": 1, "kernel": 3, "pad": 1, "bias": False}, 2)
            stages = [call]
        return Gate(_body([*stages, Call("sigmoid")]))

    def repeat(self, current: Value, scope: _Scope) -> Repeat:
        inside = replace(scope, depth=scope.depth + 1, is_top=False)
        times = self.chance.choice([1, 2, 2, 3])
        stages, _ = self.chain(current, inside)
        return Repeat(times, _body(stages))

    def block(self, current: Value, scope: _Scope) -> BlockCall:
        """A call of a block, an old or a new one."""
        chance = self.chance
        channels = {"out": chance.choice([1, 2, 4])}
        if self.blocks and chance.odds(0.5):
            block = chance.choice(self.blocks)
            return BlockCall(block.name, dict.fromkeys(block.parameters, channels["out"]))
        inside = _Scope(depth=scope.depth + 1, in_block=True)
        stages, _ = self.chain(current, inside)
        parameters: tuple[str, ...] = ()
        for index, each in enumerate(stages):
            if isinstance(each, Call) and "out" in each.arguments and each.operator != "linear":
                arguments = {**each.arguments, "out": Param("out")}
                arguments.pop("groups", None)
                stages[index] = replace(each, arguments=arguments)
                parameters = ("out",)
        name = f"block{len(self.blocks) + 1}"
        made = Block(name, parameters, _body(stages))
        self.walk.blocks[name] = made
        arguments = channels if parameters else {}
        call = BlockCall(name, arguments)
        self.behind(call, current, scope)
        self.blocks = (*self.blocks, made)
        return call

    def share(self, current: Value, scope: _Scope) -> Shared:
        """A call of something shared, an old or a new one."""
        for name in self.chance.sample(list(self.shares), len(self.shares)):
            try:
                self.behind(Shared(name), current, scope)
            except Unfit:
                continue
            return Shared(name)
        name = f"same{len(self.shares) + 1}"
        channels = _shape(current)[1]
        call = self.drawn("conv", current, out=channels, groups=1)
        self.shares[name] = call
        return Shared(name)

    # --- Stages one after the other ------------------------------------------------------------

    def chain(self, current: Value, scope: _Scope) -> tuple[list[Stage], Value]:
        stages: list[Stage] = []
        for _ in range(self.chance.choice([1, 1, 1, 2, 3])):
            stage, current = self.stage(current, scope)
            stages.append(stage)
        return stages, current

    def keeping(self, current: Value, scope: _Scope) -> tuple[tuple[Stage, ...], Value]:
        """Stages behind which the shape is what it was."""
        for _ in range(ATTEMPTS):
            stages, end = self.chain(current, scope)
            if _all_shapes(end) == _all_shapes(current):
                return tuple(stages), end
            fitted = self.fitted(stages, current, end, current, scope)
            if fitted is not None:
                return tuple(fitted), current
        return (Call("tanh"),), current

    def like(
        self, stages: list[Stage], current: Value, wanted: Value, scope: _Scope, any_channels: bool
    ) -> list[Stage]:
        """Other stages whose result has the same size: each replaced by one that moves alike."""
        chance = self.chance
        for _ in range(ATTEMPTS):
            others = [self.alike(stage) for stage in stages if chance.odds(0.85)]
            if chance.odds(0.1):
                others = []
            try:
                end = self.run(others, current, scope)
            except Unfit:
                continue
            if any_channels and _sizes(end) == _sizes(wanted) and end.data[0].dim() != 3:
                return others
            if _all_shapes(end) == _all_shapes(wanted):
                return others
            fitted = self.fitted(others, current, end, wanted, scope)
            if fitted is not None:
                return fitted
        return stages

    def alike(self, stage: Stage) -> Stage:
        """A stage of the same step and size, as far as that is known, and another window."""
        chance = self.chance
        if not isinstance(stage, Call):
            return stage
        arguments = stage.arguments
        if stage.operator in ("conv", "maxpool", "avgpool") and not arguments.get("ceil", False):
            kernel, pad = pair(arguments["kernel"]), pair(arguments.get("pad", 0))
            stride = pair(arguments.get("stride", 1 if stage.operator == "conv" else kernel))
            if pair(arguments.get("dilation", 1)) != (1, 1):
                return stage
            grown = chance.choice([-2, -1, 0, 1, 2])
            kernel = (kernel[0] + 2 * grown, kernel[1] + 2 * grown)
            pad = (pad[0] + grown, pad[1] + grown)
            if min(kernel) < 1 or min(pad) < 0:
                return stage
            geometry = {"kernel": list(kernel), "stride": list(stride), "pad": list(pad)}
            name = chance.choice(["conv", "maxpool", "avgpool"])
            out = {"out": arguments.get("out", 2)} if name == "conv" else {}
            return Call(name, {**out, **geometry})
        if stage.operator == "upsample" and chance.odds(0.5):
            factor = arguments["factor"]
            return Call("deconv", {"out": 2, "kernel": factor, "stride": factor}, 2)
        return stage

    def fitted(
        self, stages: list[Stage], current: Value, end: Value, wanted: Value, scope: _Scope
    ) -> list[Stage] | None:
        """The stages and one that gives the wanted channels, if that is all that differs."""
        if end.data[0].dim() != wanted.data[0].dim() or _sizes(end) != _sizes(wanted):
            return None
        rank = end.data[0].dim()
        out = _shape(wanted)[channel_axis(rank)]
        last = Call("conv", _one_by_one(out), 2) if rank == 4 else Call("linear", {"out": out}, 1)
        fitted = [*stages, last]
        try:
            found = self.run(fitted, current, scope)
        except Unfit:
            return None
        return fitted if _all_shapes(found) == _all_shapes(wanted) else None

    def run(self, stages: list[Stage], current: Value, scope: _Scope) -> Value:
        for stage in stages:
            current = self.behind(stage, current, scope)
        return current


def _check_large(net: Net) -> None:
    """Refuses what fits at small sizes only: 1 is `h`, `(h + 1)//2` and `(h + 8)//9` there."""
    lengths = {"N": 1, "T": 29, "h": 31, "w": 37}
    inputs = [
        Value((_zeros(shape, net.bindings[0]), _zeros(shape, lengths)))
        for shape in net.inputs.values()
    ]
    walk = Walk(net, AtSeveralSizes(most_pixels=10**7))
    names = dict(zip(net.inputs, inputs, strict=True))
    walk.body(net.body, inputs[0] if len(inputs) == 1 else None, names)


def _one_by_one(out: int) -> dict[str, Any]:
    return {"out": out, "kernel": 1}


def _body(stages: list[Stage]) -> Body:
    return (Line(Pipeline(tuple(stages))),)


def _zeros(shape: tuple[Side, ...], sizes: Sizes) -> Tensor:
    return torch.zeros([number(side, sizes) for side in shape])


def _is_float(value: Value) -> bool:
    return bool(value.data[0].is_floating_point())


def _shape(value: Value) -> Shape:
    return tuple(value.data[0].shape)


def _all_shapes(value: Value) -> list[tuple[int, ...]]:
    return [tuple(each.shape) for each in value.data]


def _sizes(value: Value) -> list[tuple[int, ...]]:
    """All shapes, without the channels."""
    axis = channel_axis(value.data[0].dim())
    return [shape[:axis] + shape[axis + 1 :] for shape in _all_shapes(value)]


def _results(call: Call) -> int:
    """How many results a call has, if several."""
    if call.operator == "split":
        return int(call.arguments["parts"])
    return 2 if call.operator == "lstm" else 0
