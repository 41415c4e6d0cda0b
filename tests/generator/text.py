"""The spec of a described network."""

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


def spec(net: Net) -> str:
    """The text of a spec with one network, named `net`."""
    text = "netloom 1\n"
    for block in net.blocks:
        parameters = ", ".join(f"{name}: int" for name in block.parameters)
        text += f"\nblock {block.name}({parameters}) {_brace(block.body, 0)}\n"
    text += "\nnetwork net {\n"
    for name, shape in net.inputs.items():
        text += f"    input {name}: float32[{', '.join(map(str, shape))}]\n"
    for name, call in net.shares.items():
        text += f"    share {name} = {_call(call)}\n"
    text += "".join(_line(line, 1) for line in net.body)
    text += "".join(f"    head {name}\n" for name in net.heads)
    return text + "}\n"


def _line(line: Line, depth: int) -> str:
    names = f"{', '.join(line.names)} = " if line.names else ""
    return f"{'    ' * depth}{names}{_pipeline(line.pipeline, depth)}\n"


def _pipeline(pipeline: Pipeline, depth: int) -> str:
    stages = [_stage(stage, depth) for stage in pipeline.stages]
    if pipeline.start is not None or not stages:
        stages.insert(0, pipeline.start or "in")
    return " -> ".join(stages)


def _stage(stage: Stage, depth: int) -> str:
    match stage:
        case Call():
            return _call(stage)
        case Join(kind, branches):
            blanks = "    " * (depth + 1)
            lines = "".join(f"{blanks}{_brace(branch, depth + 1)}\n" for branch in branches)
            return f"{kind} {{\n{lines}{'    ' * depth}}}"
        case Residual(body, shortcut):
            behind = f" shortcut {_brace(shortcut, depth)}" if shortcut is not None else ""
            return f"residual {_brace(body, depth)}{behind}"
        case Gate(body):
            return f"gate {_brace(body, depth)}"
        case Repeat(times, body):
            return f"repeat {times} {_brace(body, depth)}"
        case BlockCall(block, arguments):
            return f"{block}({', '.join(f'{k}={_constant(v)}' for k, v in arguments.items())})"
        case Shared(name):
            return name


def _brace(body: Body, depth: int) -> str:
    return f"{{\n{''.join(_line(line, depth + 1) for line in body)}{'    ' * depth}}}"


def _call(call: Call) -> str:
    given = [] if call.where is None else [call.where]
    for index, (name, value) in enumerate(call.arguments.items()):
        constant = _constant(value)
        given.append(constant if index < call.by_place else f"{name}={constant}")
    return f"{call.operator}({', '.join(given)})" if given else call.operator


def _constant(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{value}"'
        case Param():
            return value.name
        case tuple() | list():
            return f"[{', '.join(map(_constant, value))}]"
        case _:
            return repr(value)
