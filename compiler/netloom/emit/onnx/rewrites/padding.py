"""Pad folding: zeros around a map become the padding of the layers that read it.

1. `Pad` with zeros on the two spatial axes, all of whose readers are
2. `Conv`, or `AveragePool` that counts its padding, or has none and so divides by its whole window,
3. with less padding than kernel in sum, which ONNX Runtime demands of a pooling.

A maximum is another matter: zeros may win, and the padding of `MaxPool` never does.
"""

from netloom.emit.onnx.program import Program, Step, without
from netloom.emit.onnx.rewrites.change import Change

_DATA, _PADS, _VALUE = range(3)


def fold_padding(program: Program) -> list[Change]:
    """Merges `Pad` nodes into what reads them."""
    readers_of = _readers_of_pads(program)
    removed: set[int] = set()
    changes = []
    for step in program.steps:
        readers = readers_of.get(step.outputs[0], [])
        pads = _zeros(program, step)
        if pads is None or not readers or step.outputs[0] in program.outputs:
            continue
        if not all(_takes(reader, step.outputs[0], pads) for reader in readers):
            continue
        for reader in readers:
            _give(reader, step, pads)
        removed.add(id(step))
        into = ", ".join(reader.layers[-1] for reader in readers)
        layers = (*step.layers, *(name for reader in readers for name in reader.layers))
        changes.append(Change("padding", layers, f"{step.layers[-1]} into the padding of {into}"))
    program.steps = without(program.steps, removed)
    return changes


def _readers_of_pads(program: Program) -> dict[str, list[Step]]:
    """The nodes that read what each `Pad` makes, once for each time that they read it."""
    found: dict[str, list[Step]] = {s.outputs[0]: [] for s in program.steps if s.op_type == "Pad"}
    for step in program.steps if found else ():
        for name in step.inputs:
            if name in found:
                found[name].append(step)
    return found


def _zeros(program: Program, step: Step) -> tuple[int, ...] | None:
    """The zeros that a step adds above, left, below and right, if that is what it does."""
    if step.op_type != "Pad" or step.attributes["mode"] != "constant":
        return None
    pads, value = (program.tensors.get(step.inputs[i]) for i in (_PADS, _VALUE))
    if pads is None or value is None or value.array().item() != 0:
        return None
    if pads.array().min() < 0:
        return None  # a negative padding takes pixels away, which zeros do not bring back
    _, _, top, left, _, _, bottom, right = pads.array().tolist()
    return top, left, bottom, right


def _takes(reader: Step, name: str, pads: tuple[int, ...]) -> bool:
    if reader.op_type not in ("Conv", "AveragePool") or reader.inputs.count(name) != 1:
        return False
    if reader.inputs[0] != name:
        return False
    if reader.op_type == "Conv":
        return True
    own = reader.attributes["pads"]
    if any(own) and not reader.attributes["count_include_pad"]:
        return False
    kernel = reader.attributes["kernel_shape"] * 2
    return all(a + b < size for a, b, size in zip(own, pads, kernel, strict=True))


def _give(reader: Step, pad: Step, pads: tuple[int, ...]) -> None:
    own = reader.attributes["pads"]
    more = {"pads": tuple(a + b for a, b in zip(own, pads, strict=True))}
    if reader.op_type == "AveragePool":
        more["count_include_pad"] = 1  # type: ignore[assignment]
    reader.attributes = {**reader.attributes, **more}
    reader.inputs[0] = pad.inputs[_DATA]
    reader.layers = (*pad.layers, *reader.layers)
