"""Weights of another library: reading its checkpoint, and putting them under our keys."""

import math
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy

from netloom.diagnostics import Diagnostic, Failed
from netloom.emit.checkpoint import is_pickled
from netloom.emit.key_map import Key, KeyMap, first_fitting
from netloom.emit.weights import Weights, expected, shortened
from netloom.extras import need
from netloom.ir.graph import Graph
from netloom.ir.op import Filled, Parameter

if TYPE_CHECKING:
    from torch import Tensor

Place = Callable[[str], Key | None]
"""What a foreign key is called here; None for one that has no place."""

NEARLY_ALL = 0.9
"""The share of keys that has a prefix which is proposed to be left out."""


class Foreign(NamedTuple):
    """Tensors under the keys of another library, floats as float32, and the types they had."""

    weights: Weights
    dtypes: Mapping[str, str]

    @property
    def converted(self) -> Counter[str]:
        """How many tensors became float32, by the type that they had."""
        both = ((self.dtypes[name], str(each.dtype)) for name, each in self.weights.items())
        return Counter(before for before, now in both if before != now)


def read_checkpoint(path: Path) -> Foreign:
    """The tensors of a safetensors file, or of one that PyTorch pickled, under the keys it has.

    A pickled file is read by a process of its own, which unpickles tensors and nothing else. Floats
    of every width become float32.

    Raises `Failed`: E001 if there is no such file, E602 if it is no checkpoint.
    """
    if not path.is_file():
        raise Failed(Diagnostic("E001", f"there is no file `{path}`"))
    need("torch", "train")
    if not is_pickled(path):
        return _read_safetensors(path, path)
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.safetensors"
        command = [sys.executable, "-m", "netloom.emit.unpickled", str(path), str(plain)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        found = subprocess.run(command, capture_output=True, text=True, env=environment)
        if found.returncode:
            reason = (found.stderr.strip().splitlines() or ["it cannot be unpickled"])[-1]
            help = "only tensors are unpickled: `torch.save(model.state_dict(), path)` saves them"
            raise Failed(Diagnostic("E602", f"cannot read `{path}`: {reason}", help=help))
        return _read_safetensors(plain, path)


def _read_safetensors(path: Path, named: Path) -> Foreign:
    safetensors = need("safetensors.torch", "train")
    try:
        found = safetensors.load_file(path)
    except Exception as problem:  # the library's own error type is private
        message = f"`{named}` is not a safetensors checkpoint: {problem}"
        raise Failed(Diagnostic("E602", message)) from None
    return foreign(found)


def foreign(state: "Mapping[str, Tensor | numpy.ndarray[Any, Any]]") -> Foreign:
    """A state dict, floats as float32.

    Raises `TypeError` where it holds something else than tensors and arrays.
    """
    weights = {name: _as_array(name, each) for name, each in state.items()}
    return Foreign(
        weights, {name: str(each.dtype).removeprefix("torch.") for name, each in state.items()}
    )


def _as_array(name: str, tensor: "Tensor | numpy.ndarray[Any, Any]") -> "numpy.ndarray[Any, Any]":
    if isinstance(tensor, numpy.ndarray):
        is_float = numpy.issubdtype(tensor.dtype, numpy.floating)
        return tensor.astype("float32", copy=False) if is_float else tensor
    if not hasattr(tensor, "detach"):
        kind = type(tensor).__name__
        raise TypeError(f"a state dict has tensors or arrays, but this has {kind} at `{name}`")
    plain = tensor.detach().cpu()
    array: numpy.ndarray[Any, Any] = (plain.float() if plain.is_floating_point() else plain).numpy()
    return array


def renamed(
    found: Foreign, key_map: KeyMap | None, graph: Graph, what: str, prefix: str = ""
) -> Weights:
    """The weights of a network from those of another library, by a key map.

    Without a map the keys are ours already. `prefix` is left out where a key begins with it. Every
    foreign key has exactly one place, and every place is filled. A counter that a checkpoint lacks,
    as old ones lack `num_batches_tracked`, starts at its initial value, as in PyTorch.

    Raises `Failed` with all keys, types and shapes that differ: E610 with a key map, E603 without.
    """
    place = _place_by(key_map, graph.name)
    wanted = expected(graph)
    placing = _Placing(_without_prefix(place, prefix, found.weights, what), wanted)
    for key in found.weights:
        placing.put(key, found)
    placing.fill()
    if not placing.differences:
        return {name: placing.made[name] for name in wanted}
    needless = None if prefix else _needless_prefix(found.weights, place, wanted)
    help = shortened(placing.differences)
    if needless:
        help = f"the keys fit without `{needless}`: `--strip-prefix {needless}` leaves it out"
    elif key_map is None:
        help += "\n`--keys MAP` says how the keys of another library become ours"
    raise Failed(_does_not_fit(key_map, graph.name, what, help))


def _does_not_fit(key_map: KeyMap | None, network: str, what: str, help: str) -> Diagnostic:
    if key_map is None:
        message = f"{what} does not hold the weights of network `{network}`"
        return Diagnostic("E603", message, help=help)
    message = f"`{key_map.name}` does not lead from {what} to network `{network}`"
    return Diagnostic("E610", message, help=help)


def _place_by(key_map: KeyMap | None, network: str) -> Place:
    if key_map is None:
        return lambda key: Key(key, False)
    rules = key_map.rules(network)
    return lambda key: first_fitting(rules, key)


def _without_prefix(place: Place, prefix: str, keys: Iterable[str], what: str) -> Place:
    """The place of what follows the prefix. Raises `Failed` (E610) if no key begins with it."""
    if not prefix:
        return place
    if not any(key.startswith(prefix) for key in keys):
        first = next(iter(keys), None)
        help = f"its first key is `{first}`" if first else None
        raise Failed(Diagnostic("E610", f"no key of {what} begins with `{prefix}`", help=help))
    # `module` means `module.`: no key begins with a dot.
    return lambda key: place(key.removeprefix(prefix).removeprefix("."))


def _needless_prefix(
    keys: Iterable[str], place: Place, wanted: Mapping[str, Parameter]
) -> str | None:
    """The prefix that nearly all keys have, and without which nearly all of them fit."""
    names = list(keys)
    for prefix in _shared_prefixes(names):
        made = [place(name.removeprefix(prefix)) for name in names if name.startswith(prefix)]
        if sum(each is not None and each.name in wanted for each in made) >= NEARLY_ALL * len(
            names
        ):
            return prefix
    return None


def _shared_prefixes(names: list[str]) -> Iterator[str]:
    """What nearly all keys begin with, up to a dot: `module.`, then `module.model.`."""
    prefix = ""
    while True:
        below = Counter(
            name.removeprefix(prefix).partition(".")[0] for name in names if name.startswith(prefix)
        )
        part = max(below, key=lambda each: below[each], default="")
        prefix = f"{prefix}{part}."
        if not part or sum(name.startswith(prefix) for name in names) < NEARLY_ALL * len(names):
            return
        yield prefix


class _Placing:
    """Puts foreign weights at their places, and notes what does not fit."""

    def __init__(self, place: Place, wanted: Mapping[str, Parameter]) -> None:
        self.place, self.wanted = place, wanted
        self.made: dict[str, numpy.ndarray[Any, Any]] = {}
        self.taken: dict[str, str] = {}
        self.of_weights: list[str] = []
        self.of_counters: list[str] = []

    @property
    def differences(self) -> list[str]:
        """What does not fit, weights first: counters say little."""
        return self.of_weights + self.of_counters

    def put(self, key: str, found: Foreign) -> None:
        """Puts one weight at its place."""
        ours = self.place(key)
        array = found.weights[key]
        if ours and ours.name in self.wanted and _is_counter(self.wanted[ours.name]):
            array = _counted(array)
        difference = self._difference(key, ours, array, found.dtypes[key])
        if difference:
            (self.of_weights if array.ndim else self.of_counters).append(difference)
        elif ours:
            parameter = self.wanted[ours.name]
            self.made[ours.name] = array.reshape(parameter.shape)
        if ours:
            self.taken.setdefault(ours.name, key)

    def _difference(
        self, key: str, ours: Key | None, array: "numpy.ndarray[Any, Any]", dtype: str
    ) -> str | None:
        """Why a weight cannot be put there."""
        if ours is None:
            return f"no line fits `{key}`"
        parameter = self.wanted.get(ours.name)
        would_be = f" would be `{ours.name}`, which" if ours.name != key else ""
        if parameter is None:
            return f"`{key}`{would_be} belongs to no layer"
        if ours.name in self.taken:
            return f"`{key}` and `{self.taken[ours.name]}` would both be `{ours.name}`"
        if str(array.dtype) != parameter.dtype:
            return f"`{key}` is {dtype}, but `{ours.name}` is {parameter.dtype}"
        if array.shape == parameter.shape:
            return None
        same_size = array.size == math.prod(parameter.shape)
        if ours.reshaped and same_size:
            return None
        hint = "; a line may end in `reshaped`" if same_size else ""
        shapes = f"{list(array.shape)}, but `{ours.name}` is {list(parameter.shape)}"
        return f"`{key}` is {shapes}{hint}"

    def fill(self) -> None:
        """Fills the places of counters that were not there, and notes all other empty places."""
        for name, parameter in self.wanted.items():
            if name in self.taken:
                continue
            if _is_counter(parameter):
                self.made[name] = numpy.zeros(parameter.shape, parameter.dtype)
            else:
                self.of_weights.append(f"nothing becomes `{name}`")


def _counted(array: "numpy.ndarray[Any, Any]") -> "numpy.ndarray[Any, Any]":
    """A counter as int64, where it became a float and still is a whole number."""
    is_float = numpy.issubdtype(array.dtype, numpy.floating)
    if not is_float or not numpy.isfinite(array).all() or (array % 1).any():
        return array
    return array.astype("int64")


def _is_counter(parameter: Parameter) -> bool:
    return parameter.dtype == "int64" and parameter.initial == Filled(0)
