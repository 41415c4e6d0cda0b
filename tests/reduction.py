"""Makes a network that shows a difference smaller, for as long as it still shows it."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import generator.description as description
from generator.description import (
    BlockCall,
    Body,
    Call,
    Line,
    Net,
    Param,
    Pipeline,
    Repeat,
    Shared,
    Stage,
    inner_bodies,
    stages,
    with_inner_bodies,
)
from generator.text import spec


def reduced(net: Net, shows: Callable[[Net], bool], attempts: int = 3000) -> Net:
    """The smallest network found; `shows` raises for one that cannot be built or run."""
    while True:
        for smaller in _smaller(net):
            attempts -= 1
            if attempts < 0:
                return net
            if _shows(shows, smaller):
                net = smaller
                break
        else:
            return net


def _shows(shows: Callable[[Net], bool], net: Net) -> bool:
    try:
        return shows(net)
    except Exception:  # whatever PyTorch or the walk makes of a mutilated network
        return False


def _smaller(net: Net) -> Iterator[Net]:
    """Networks with a little less, those with much less first."""
    for head in net.heads if len(net.heads) > 1 else ():
        yield replace(net, heads=tuple(each for each in net.heads if each != head))
    yield from (net.with_body(body) for body in _smaller_bodies(net.body, net))
    used = set(map(_name_of, stages(net.body)))
    kept = tuple(block for block in net.blocks if block.name in used)
    if len(kept) < len(net.blocks):
        yield replace(net, blocks=kept)
    shares = {name: call for name, call in net.shares.items() if name in used}
    if len(shares) < len(net.shares):
        yield replace(net, shares=shares)
    for name, call in net.shares.items():
        for less in _smaller_calls(call):
            yield replace(net, shares={**net.shares, name: less})
    for name, shape in net.inputs.items():
        if len(net.inputs) > 1:
            yield replace(net, inputs={k: v for k, v in net.inputs.items() if k != name})
        for index, side in enumerate(shape):
            for simpler in _simpler_sides(side):
                changed = (*shape[:index], simpler, *shape[index + 1 :])
                yield replace(net, inputs={**net.inputs, name: changed})


def _name_of(stage: Stage) -> str:
    match stage:
        case BlockCall():
            return stage.block
        case Shared():
            return stage.name
        case _:
            return ""


def _simpler_sides(side: description.Side) -> list[description.Side]:
    if isinstance(side, int):
        return [side - 1] if side > 1 else []
    letter = side.partition(" + ")[0].rpartition("*")[2]
    return [letter] if letter != side else []


def _smaller_bodies(body: Body, net: Net) -> Iterator[Body]:
    for index, line in enumerate(body):
        if len(body) > 1:
            yield (*body[:index], *body[index + 1 :])
        for less in _smaller_pipelines(line.pipeline, net):
            yield (*body[:index], Line(less, line.names), *body[index + 1 :])
        if line.names and len(body) > 1:
            yield (*body[:index], Line(line.pipeline), *body[index + 1 :])


def _smaller_pipelines(pipeline: Pipeline, net: Net) -> Iterator[Pipeline]:
    of = pipeline.stages
    if pipeline.start is not None:
        yield Pipeline(of)
    for index, stage in enumerate(of):
        before, after = of[:index], of[index + 1 :]
        yield replace(pipeline, stages=before + after)
        for inside in _inlined(stage, net):
            yield replace(pipeline, stages=before + inside + after)
        for less in _smaller_stages(stage, net):
            yield replace(pipeline, stages=(*before, less, *after))


def _inlined(stage: Stage, net: Net) -> Iterator[tuple[Stage, ...]]:
    """What stands inside a brace or a block, in place of it."""
    bodies = inner_bodies(stage)
    if isinstance(stage, BlockCall):
        (block,) = (each for each in net.blocks if each.name == stage.block)
        bodies = (block.body,)
    if isinstance(stage, Shared):
        yield (net.shares[stage.name],)
    for body in bodies:
        if len(body) != 1 or body[0].pipeline.start is not None:
            continue
        given = stage.arguments if isinstance(stage, BlockCall) else {}
        yield tuple(_filled(each, given) for each in body[0].pipeline.stages)


def _filled(stage: Stage, given: dict[str, object]) -> Stage:
    if isinstance(stage, Call):
        arguments = {
            name: given[value.name] if isinstance(value, Param) and given else value
            for name, value in stage.arguments.items()
        }
        return replace(stage, arguments=arguments)
    return stage


def _smaller_stages(stage: Stage, net: Net) -> Iterator[Stage]:
    bodies = inner_bodies(stage)
    for index, body in enumerate(bodies):
        for less in _smaller_bodies(body, net):
            yield with_inner_bodies(stage, (*bodies[:index], less, *bodies[index + 1 :]))
        if isinstance(stage, description.Join) and len(bodies) > 2:
            yield with_inner_bodies(stage, bodies[:index] + bodies[index + 1 :])
        if isinstance(stage, description.Residual) and len(bodies) > 1:
            yield description.Residual(body)
    if isinstance(stage, Repeat) and stage.times > 1:
        yield Repeat(stage.times - 1, stage.body)
    if isinstance(stage, Call):
        yield from _smaller_calls(stage)


def _smaller_calls(call: Call) -> Iterator[Call]:
    for index, (name, value) in enumerate(call.arguments.items()):
        if index >= call.by_place:
            others = {k: v for k, v in call.arguments.items() if k != name}
            yield replace(call, arguments=others)
        for less in _smaller_values(value):
            yield replace(call, arguments={**call.arguments, name: less})


def _smaller_values(value: object) -> list[object]:
    match value:
        case bool():
            return []
        case int():
            return [value - 1] if value > 0 else []
        case [int() as height, int() as width]:
            lower = [[height - 1, width]] if height > 0 else []
            narrower = [[height, width - 1]] if width > 0 else []
            return [height, width, *lower, *narrower]
        case _:
            return []


# --- Files --------------------------------------------------------------------------------------

_DESCRIPTION = "# net: "


def written(net: Net, why: str) -> str:
    """A spec that tells where it comes from, and its description for a replay."""
    return f"# Seed {net.seed}. {why}\n{_DESCRIPTION}{net!r}\n{spec(net)}"


def read(text: str) -> Net:
    """The network of such a file."""
    line = next(each for each in text.splitlines() if each.startswith(_DESCRIPTION))
    kinds = {name: getattr(description, name) for name in _KINDS}
    net = eval(line.removeprefix(_DESCRIPTION), {"__builtins__": {}}, kinds)
    assert isinstance(net, Net)
    return net


_KINDS = (
    "Block",
    "BlockCall",
    "Call",
    "Gate",
    "Join",
    "Line",
    "Net",
    "Param",
    "Pipeline",
    "Repeat",
    "Residual",
    "Shared",
)
