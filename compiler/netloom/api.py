"""netloom from Python: `netloom.load("specs/resnet.loom").network("resnet50").module()`.

A mistake of a spec is the exception `netloom.Failed`, whose text is what the command line prints.
torch, numpy and onnx are imported by the methods that need them.
"""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from netloom import compile as compiler
from netloom.diagnostics import Diagnostic, Failed, did_you_mean
from netloom.ir.types import Shape
from netloom.syntax import ast

if TYPE_CHECKING:
    from torch import Tensor, nn

    from netloom.emit.weights import Weights

    Given = str | os.PathLike[str] | Mapping[str, Tensor]
    """Weights as a caller has them: the path of a checkpoint, or a state dict."""

PathLike = str | os.PathLike[str]
Size = int | str
"""A size that is fixed, or a formula of free ones: `224`, `"N"`, `"32*h"`."""


def load(path: PathLike) -> "Spec":
    """Reads and checks a spec.

    Raises:
        netloom.Failed: with every independent mistake in it.
        TypeError: for what is no path.
    """
    _check_path("the path of a spec", path)
    return Spec(path, compiler.check_file(path))


class Spec:
    """A checked spec."""

    def __init__(self, path: PathLike, checked: compiler.Spec) -> None:
        self.path = path
        self._checked = checked

    def __repr__(self) -> str:
        return f"<spec {os.fspath(self.path)}: {', '.join(self.networks)}>"

    @property
    def networks(self) -> tuple[str, ...]:
        """The names of its networks."""
        return tuple(self._checked.networks)

    def network(self, name: str | None = None, /, **parameters: object) -> "Network":
        """One of its networks, which may be left out where there is one only.

        `parameters` replace defaults of the network's own, as `--set` does: whole numbers, floats,
        truths, texts, and lists of these. The spec is checked again with them.

        Raises:
            netloom.Failed: for a name or parameter that is not there (E201, E608, E203), and as
                `load` where the spec does not hold with the parameters.
            TypeError: for a value that a spec cannot have, and a name that is no text.
            ValueError: for a number that is not finite.
        """
        if not isinstance(name, str | None):
            raise TypeError(f"the name of a network is a text, not {_kind(name)}")
        chosen = compiler.chosen(self._checked, name)
        if not parameters:
            return Network(self._checked, chosen)
        self._refuse_unknown(chosen, parameters)
        settings = [f"{each}={_written(each, value)}" for each, value in parameters.items()]
        return Network(compiler.check_file(self.path, settings), chosen)

    def _refuse_unknown(self, network: str, parameters: Mapping[str, object]) -> None:
        (declared,) = (
            item
            for item in self._checked.file.items
            if isinstance(item, ast.Network) and item.name.text == network
        )
        known = [parameter.name.text for parameter in declared.parameters]
        for name in parameters:
            if name not in known:
                message = f"network `{network}` has no parameter `{name}`"
                raise Failed(Diagnostic("E203", message, help=did_you_mean(name, known)))


class Network:
    """A checked network."""

    def __init__(self, spec: compiler.Spec, name: str) -> None:
        self.name = name
        self._spec = spec
        self._network = spec.networks[name]

    def __repr__(self) -> str:
        inputs = ", ".join(f"{n}: {_text(shape)}" for n, shape in self.inputs.items())
        heads = ", ".join(f"{n}: {_text(shape)}" for n, shape in self.heads.items())
        return f"<network {self.name}: {inputs} -> {heads}, {self.parameters:,} parameters>"

    @property
    def inputs(self) -> dict[str, tuple[Size, ...]]:
        """The shapes of the inputs, in their order: `{"image": ("N", 3, "32*h", "32*w")}`."""
        return {each.name: _plain(each.type.shape) for each in self._network.graph.inputs}

    @property
    def heads(self) -> dict[str, tuple[Size, ...]]:
        """The shapes of the heads, those included that exist in one mode only."""
        return {each.name: _plain(each.value.type.shape) for each in self._network.graph.heads}

    @property
    def parameters(self) -> int:
        """Learned numbers, as of the exported graph."""
        return self._network.cost.params

    @property
    def macs(self) -> Size:
        """Multiply-accumulate operations for one sample; a formula where sizes are free."""
        macs = self._network.cost.macs
        return macs if isinstance(macs, int) else str(macs)

    def source(self) -> str:
        """The text of a Python file that defines the network for PyTorch and needs torch only."""
        from netloom.emit.torch import source

        return source(self._network.graph)

    def module(
        self,
        weights: "Given | None" = None,
        keys: PathLike | None = None,
    ) -> "nn.Module":
        """The network as a torch module: what `source` says, run.

        Its weights are fresh, or those of a checkpoint (`.safetensors`) or state dict. With `keys`,
        a key map, the checkpoint (then also `.pt`) or state dict is that of another library.

        Raises:
            netloom.Failed: for weights that are not those of the network (E602, E603, E610).
            TypeError: for weights that are neither a path nor a state dict, and `keys` alone.
        """
        _check_weights(weights, keys)
        from netloom.emit.torch import module

        made = module(self._network.graph)
        if weights is not None:
            import torch

            arrays = self._weights(weights, keys)
            made.load_state_dict({name: torch.tensor(array) for name, array in arrays.items()})
        return made

    def onnx(
        self,
        weights: "Given | None" = None,
        keys: PathLike | None = None,
        *,
        seed: int = 0,
    ) -> bytes:
        """The bytes of an ONNX model with the weights, as `module` takes them.

        Without weights they are untrained, drawn from `seed`. Raises as `module`, and ValueError
        for a `seed` below 0.
        """
        _check_weights(weights, keys)
        _check_seed(seed)
        from netloom.emit import onnx
        from netloom.emit.weights import initial
        from netloom.runtime.metadata import model_metadata

        graph = self._network.graph
        used = initial(graph, seed) if weights is None else self._weights(weights, keys)
        return onnx.model_bytes(graph, used, model_metadata(self._spec, self.name))

    def _weights(self, weights: "Given", keys: PathLike | None) -> "Weights":
        from netloom.emit.foreign import foreign, read_checkpoint, renamed
        from netloom.emit.key_map import read_key_map
        from netloom.emit.weights import load

        graph = self._network.graph
        key_map = None if keys is None else read_key_map(keys)
        if isinstance(weights, Mapping):
            return renamed(foreign(weights), key_map, graph, "the state dict")
        if key_map is None:
            return load(Path(weights), graph)
        return renamed(read_checkpoint(Path(weights)), key_map, graph, f"`{os.fspath(weights)}`")


def _kind(value: object) -> str:
    return type(value).__name__


def _check_path(what: str, path: object) -> None:
    if not isinstance(path, str | os.PathLike) or isinstance(os.fspath(path), bytes):
        raise TypeError(f"{what} is a str or a pathlib.Path, not {_kind(path)}")


def _check_weights(weights: object, keys: object) -> None:
    """Refuses what cannot be weights and their key map, before anything is loaded or read."""
    if keys is not None:
        _check_path("`keys`, the path of a key map,", keys)
        if weights is None:
            raise TypeError("`keys` says what the weights are called: give `weights`, too")
    if weights is None or isinstance(weights, Mapping):
        return
    if hasattr(weights, "state_dict"):
        message = f"weights are a state dict or a path, not a module: give {_kind(weights)}"
        raise TypeError(f"{message}.state_dict()")
    if not isinstance(weights, str | os.PathLike):
        raise TypeError(f"`weights` is a checkpoint's path or a state dict, not {_kind(weights)}")


def _check_seed(seed: object) -> None:
    if not isinstance(seed, int):
        raise TypeError(f"`seed` is a whole number, not {_kind(seed)}")
    if seed < 0:
        raise ValueError(f"`seed` is at least 0, not {seed}")


def _plain(shape: Shape) -> tuple[Size, ...]:
    return tuple(dim if isinstance(dim, int) else str(dim) for dim in shape)


def _text(shape: tuple[Size, ...]) -> str:
    return f"[{', '.join(map(str, shape))}]"


def _written(name: str, value: object) -> str:
    """A value as a spec writes it."""
    match value:
        case bool():
            return str(value).lower()
        case float() if not math.isfinite(value):
            raise ValueError(f"parameter `{name}` takes finite numbers, not {value}")
        case int() | float():
            return repr(value)
        case str():
            escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
            return f'"{escaped}"'
        case list() | tuple():
            return f"[{', '.join(_written(name, item) for item in value)}]"
    kinds = "a number, a truth, a text or a list of these"
    raise TypeError(f"parameter `{name}` takes {kinds}, not {type(value).__name__}")
