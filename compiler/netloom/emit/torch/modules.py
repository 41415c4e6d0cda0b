"""Which parts of a network become modules of their own, and how each is constructed.

1. The network, each block call, and each brace that is more than a chain become classes.
2. A brace or named pipeline that is a chain of modules becomes an nn.Sequential with names.
3. A repeat becomes an nn.Sequential counted from 0; equal iterations become one expression.
"""

from collections.abc import Mapping
from typing import TypeGuard

from netloom.emit.names import identifier
from netloom.emit.torch.expressions import (
    Code,
    Each,
    Expression,
    Hole,
    Invoke,
    Keyword,
    Listing,
    Repeated,
    leaves,
    rewrite,
)
from netloom.ir.call import Module
from netloom.ir.graph import Layer, Scope, Value

POSITIONAL_ROLES = {
    "nn.Conv2d": ("in_channels", "out_channels", "kernel_size"),
    "nn.ConvTranspose2d": ("in_channels", "out_channels", "kernel_size"),
    "nn.Linear": ("in_features", "out_features"),
    "nn.LSTM": ("input_size", "hidden_size"),
    "nn.BatchNorm1d": ("num_features",),
    "nn.BatchNorm2d": ("num_features",),
    "nn.MaxPool2d": ("kernel_size",),
    "nn.AvgPool2d": ("kernel_size",),
    "nn.MaxUnpool2d": ("kernel_size",),
    "nn.LocalResponseNorm": ("size",),
    "nn.LayerNorm": ("normalized_shape",),
    "nn.GroupNorm": ("num_groups", "num_channels"),
    "nn.PReLU": ("num_parameters",),
    "nn.ZeroPad2d": ("padding",),
    "nn.ReflectionPad2d": ("padding",),
    "nn.ReplicationPad2d": ("padding",),
    "LayerNorm2d": ("channels",),
    "SamePad": ("kernel_size",),
    "Crop": ("offset",),
    "Scale": ("channels",),
    "DropPath": ("p",),
}
"""What PyTorch calls the positional arguments, for parameters that have to be invented."""


REPEATS = "repeats"
"""The role of the number of iterations."""


def attributes_of(scope: Scope) -> dict[int, str]:
    """The attribute that holds each step's module, by the step's identity.

    What has weights stands directly in its scope, and the attribute is its label. A pooling of
    `stem = conv(64, 7) -> maxpool(3)` is called `stem.maxpool1`, but `stem` is the convolution; its
    attribute is `stem_maxpool1`, or `stem_maxpool1_2` where something else has that name.
    """
    steps = list(scope.steps())
    paths = [_path_in(scope, step) for step in steps]
    found = {path: identifier(path) for path in paths if "." not in path}
    taken = set(found.values())
    for path in paths:
        if path not in found:
            name = joined = "_".join(identifier(part) for part in path.split("."))
            number = 1
            while name in taken:
                number += 1
                name = f"{joined}_{number}"
            found[path] = name
            taken.add(name)
    return {id(step): found[path] for step, path in zip(steps, paths, strict=True)}


def _path_in(scope: Scope, step: Layer | Scope) -> str:
    """The path of a step below its scope; all calls of something shared have the first one's."""
    name = step.twin.name if step.twin and _parent(step.twin) == scope.name else step.name
    return name.removeprefix(f"{scope.name}.") if scope.name else name


def _parent(step: Layer | Scope) -> str:
    return step.name.rpartition(".")[0]


def outside_reads(step: Layer | Scope) -> list[Value]:
    """The values that a step needs from around it, each once, in the order of first use."""
    if isinstance(step, Layer):
        return list({id(value): value for value in step.op.reads()}.values())
    if step.common:
        given = arguments_of(step)
        return list({id(value): value for value in given}.values())
    inside: set[int] = set()
    found: dict[int, Value] = {}
    for each in step.steps():
        for value in outside_reads(each):
            if id(value) not in inside:
                found.setdefault(id(value), value)
        inside.update(id(result) for result in each.results)
    return list(found.values())


def inputs_of(scope: Scope) -> tuple[Value, ...]:
    """The values that a class's `forward` takes: what enters the brace first, then the others."""
    reads = outside_reads(scope)
    return tuple(sorted(reads, key=lambda value: value is not scope.entry))


def arguments_of(call: Scope) -> tuple[Value, ...]:
    """What a call gives to `forward`: the values that it reads, or those for the common body."""
    if call.common is None:
        return inputs_of(call)
    return tuple(call.passed[id(value)] for value in inputs_of(call.common))


def chain(scope: Scope) -> list[Layer | Scope] | None:
    """The steps of a scope, if each is a module that reads what the one before made and no more."""
    if scope.kind in ("network", "block") and only_layer(scope) is None:
        return None
    steps = list(scope.steps())
    if any(step.twin for step in steps) and len({*attributes_of(scope).values()}) < len(steps):
        return None  # an OrderedDict holds nothing twice
    expected: Value | None = None
    for step in steps:
        reads = outside_reads(step)
        if len(reads) != 1 or (expected is not None and reads[0] is not expected):
            return None
        if not _is_plain_module(step):
            return None
        expected = step.results[0]
    if not steps or scope.results != (expected,):
        return None
    return steps


def only_layer(scope: Scope) -> Layer | None:
    """The one layer of a block that is no more than that, such as `act { relu }`.

    What has weights has a path that contains the block's, and so a class.
    """
    steps = list(scope.steps())
    if scope.kind != "block" or len(steps) != 1:
        return None
    (step,) = steps
    if isinstance(step, Scope) or step.twin or step.op.params():
        return None
    return step if _is_plain_module(step) and scope.results == step.results else None


def _is_plain_module(step: Layer | Scope) -> bool:
    if isinstance(step, Scope):
        return len(step.results) == 1 and not is_list(step)
    call = step.op.torch()
    return (
        isinstance(call, Module)
        and len(call.inputs) == 1
        and not call.call_options
        and call.picks == ((),)
    )


def is_class(scope: Scope) -> bool:
    """Whether a scope needs a forward of its own."""
    return scope.kind != "repeat" and chain(scope) is None


def class_scopes(scope: Scope) -> list[Scope]:
    """All scopes that become classes, each after those inside it; shared ones once."""
    found = []
    shared: set[int] = set()
    for step in scope.steps():
        if isinstance(step, Scope):
            body = step.common or step
            if id(body) not in shared:
                found += class_scopes(body)
            shared.add(id(body))
    if is_class(scope):
        found.append(scope)
    return found


def construct(step: Layer | Scope, made: Mapping[int, Invoke]) -> Expression:
    """The expression that makes the module of a step; `made` has those of the classes inside it."""
    if isinstance(step, Layer):
        call = step.op.torch()
        assert isinstance(call, Module), "functions have no constructor"
        return _mentioning(_construct_layer(step.label, call), step.mentions)
    body = step.common or step
    if id(body) in made:
        return _mentioning(made[id(body)], step.mentions)
    if step.kind == "repeat":
        return _construct_repeat(step, made)
    only = only_layer(step)
    if only:
        return construct(only, made)
    steps = chain(step)
    assert steps is not None
    attributes = attributes_of(step)
    named = tuple(Keyword(attributes[id(each)], construct(each, made)) for each in steps)
    return Invoke(Code("nn.Sequential"), (Invoke(Code("OrderedDict"), (), named),))


def has_modules(repeat: Scope) -> bool:
    """Whether an iteration of a repeat is a module, not only a function."""
    return any(map(_is_made, repeat.steps()))


def _is_made(step: Layer | Scope) -> bool:
    if is_list(step):
        return has_modules(step)
    return isinstance(step, Scope) or isinstance(step.op.torch(), Module)


def is_list(step: Layer | Scope) -> TypeGuard[Scope]:
    """Whether a step is a repeat that is no chain of modules, and so cannot be called itself."""
    return isinstance(step, Scope) and step.kind == "repeat" and chain(step) is None


def _construct_repeat(repeat: Scope, made: Mapping[int, Invoke]) -> Expression:
    """A Sequential where each iteration runs on what the one before made, else a list.

    An iteration that makes no module keeps its number, which the keys of the state dict contain.
    """
    placed = {int(step.label): construct(step, made) for step in repeat.steps() if _is_made(step)}
    nothing = Invoke(Code("nn.Identity"))
    items = tuple(placed.get(index, nothing) for index in range(max(placed) + 1))
    is_sequence = chain(repeat) is not None
    container = Code("nn.Sequential" if is_sequence else "nn.ModuleList")
    item = _item_of_all(items)
    if item is not None:
        repeated = Repeated(item, Hole(len(items), REPEATS), starred=is_sequence)
        return Invoke(container, (repeated,))
    return Invoke(container, items if is_sequence else (Listing(items),))


def _item_of_all(items: tuple[Expression, ...]) -> Expression | None:
    """One expression for all iterations, if they differ in literals only."""
    if any(erased(item) != erased(items[0]) for item in items):
        return None
    columns = list(zip(*map(holes, items), strict=True))
    varying = [len({repr(hole.value) for hole in column}) > 1 for column in columns]
    if any(varying) and any(column[0].role == REPEATS for column in columns):
        return None  # a repeat in a repeat that varies: nobody would read it
    settled = iter(
        Hole(Each(tuple(hole.value for hole in column)), column[0].role, column[0].mentions)
        if differs
        else column[0]
        for column, differs in zip(columns, varying, strict=True)
    )
    return rewrite(items[0], lambda leaf: next(settled) if isinstance(leaf, Hole) else leaf)


def holes(expression: Expression) -> list[Hole]:
    """The literals of an expression that may become parameters, from left to right."""
    return [leaf for leaf in leaves(expression) if isinstance(leaf, Hole)]


def erased(expression: Expression) -> Expression:
    """The expression without its literals: what calls of one structure have in common."""
    return rewrite(expression, lambda leaf: Hole(None, "") if isinstance(leaf, Hole) else leaf)


def _mentioning(expression: Expression, mentions: tuple[str, ...]) -> Expression:
    return rewrite(
        expression,
        lambda leaf: Hole(leaf.value, leaf.role, mentions) if isinstance(leaf, Hole) else leaf,
    )


def _construct_layer(label: str, call: Module) -> Invoke:
    roles = POSITIONAL_ROLES.get(call.target, ())
    arguments = []
    for index, value in enumerate(call.arguments):
        role = roles[index] if index < len(roles) else f"argument{index + 1}"
        arguments.append(Hole(value, f"{label}.{role}"))
    keywords = tuple(
        Keyword(name, Hole(option.value, f"{label}.{name}"), option.default)
        for name, option in call.options.items()
    )
    return Invoke(Code(call.target), tuple(arguments), keywords)
