"""Weights of another library: reading its checkpoint, and putting them under our keys."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy

from netloom.diagnostics import Diagnostic, Failed
from netloom.emit.key_map import KeyMap, first_fitting
from netloom.emit.weights import Weights, check_fit, expected, shortened
from netloom.extras import need
from netloom.ir.graph import Graph
from netloom.ir.op import Filled, Parameter

if TYPE_CHECKING:
    from torch import Tensor

PICKLED = (".pt", ".pth")


def read_checkpoint(path: Path) -> Weights:
    """The tensors of a `.safetensors`, `.pt` or `.pth` file under the keys that it has.

    A pickled file is read by a process of its own, which unpickles tensors and nothing else. Floats
    of every width become float32.

    Raises `Failed`: E001 if there is no such file, E602 if it is no checkpoint.
    """
    if not path.is_file():
        raise Failed(Diagnostic("E001", f"there is no file `{path}`"))
    need("torch", "train")
    if path.suffix not in PICKLED:
        return _read_safetensors(path, path)
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.safetensors"
        command = [sys.executable, "-m", "netloom.emit.unpickled", str(path), str(plain)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        found = subprocess.run(command, capture_output=True, text=True, env=environment)
        if found.returncode:
            reason = (found.stderr.strip().splitlines() or ["it cannot be unpickled"])[-1]
            help = "only tensors are unpickled: save `model.state_dict()`, best as safetensors"
            raise Failed(Diagnostic("E602", f"cannot read `{path}`: {reason}", help=help))
        return _read_safetensors(plain, path)


def _read_safetensors(path: Path, named: Path) -> Weights:
    safetensors = need("safetensors.torch", "train")
    try:
        found = safetensors.load_file(path)
    except Exception as problem:  # the library's own error type is private
        message = f"`{named}` is not a safetensors checkpoint: {problem}"
        raise Failed(Diagnostic("E602", message)) from None
    return as_arrays(found)


def as_arrays(state: "Mapping[str, Tensor | numpy.ndarray[Any, Any]]") -> Weights:
    """A state dict as arrays, floats as float32."""
    return {name: _as_array(tensor) for name, tensor in state.items()}


def _as_array(tensor: "Tensor | numpy.ndarray[Any, Any]") -> "numpy.ndarray[Any, Any]":
    if isinstance(tensor, numpy.ndarray):
        return tensor
    plain = tensor.detach().cpu()
    array: numpy.ndarray[Any, Any] = (plain.float() if plain.is_floating_point() else plain).numpy()
    return array


def renamed(found: Weights, key_map: KeyMap, graph: Graph, what: str) -> Weights:
    """The weights of a network from those of another library, by a key map.

    Every foreign key has exactly one place, and every place is filled. A counter that a checkpoint
    lacks, as old ones lack `num_batches_tracked`, starts at its initial value, as in PyTorch.

    Raises `Failed`: E610 with all keys and shapes that differ.
    """
    rules = key_map.rules(graph.name)
    wanted = expected(graph)
    taken: dict[str, str] = {}
    made: dict[str, numpy.ndarray[Any, Any]] = {}
    differences = []
    for foreign, array in found.items():
        ours = first_fitting(rules, foreign)
        parameter = wanted.get(ours.name) if ours else None
        if ours is None:
            differences.append(f"no line fits `{foreign}`")
        elif parameter is None:
            differences.append(f"`{foreign}` would be `{ours.name}`, which belongs to no layer")
        elif ours.name in taken:
            differences.append(f"`{foreign}` and `{taken[ours.name]}` would both be `{ours.name}`")
        elif not _fits(array, parameter, ours.reshaped):
            shapes = f"is {list(array.shape)}, but `{ours.name}` is {list(parameter.shape)}"
            hint = "; a line may end in `reshaped`" if array.size == _size(parameter) else ""
            differences.append(f"`{foreign}` {shapes}{hint}")
        else:
            made[ours.name] = array.reshape(parameter.shape).astype(parameter.dtype, copy=False)
        if ours:
            taken.setdefault(ours.name, foreign)
    for name, parameter in wanted.items():
        if name in taken:
            continue
        if _is_counter(parameter):
            made[name] = numpy.zeros(parameter.shape, parameter.dtype)
        else:
            differences.append(f"nothing becomes `{name}`")
    if differences:
        message = f"`{key_map.name}` does not lead from {what} to network `{graph.name}`"
        raise Failed(Diagnostic("E610", message, help=shortened(differences)))
    weights = {name: made[name] for name in wanted}
    check_fit(weights, graph, what)
    return weights


def _fits(array: "numpy.ndarray[Any, Any]", parameter: Parameter, reshaped: bool) -> bool:
    same_kind = numpy.issubdtype(array.dtype, numpy.floating) == (parameter.dtype == "float32")
    if not same_kind:
        return False
    return array.shape == parameter.shape or (reshaped and array.size == _size(parameter))


def _size(parameter: Parameter) -> int:
    return int(numpy.prod(parameter.shape))


def _is_counter(parameter: Parameter) -> bool:
    return parameter.dtype == "int64" and parameter.initial == Filled(0)
