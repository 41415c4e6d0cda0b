"""Finding a network and its weights: a training run's folder, or a spec and a checkpoint."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from netloom.compile import Spec, check_file, chosen
from netloom.diagnostics import Diagnostic, Failed
from netloom.emit.weights import Weights, load
from netloom.ir.graph import Graph
from netloom.limits import DEFAULT, Limits

SPEC_FILE = "spec.loom"
CONFIG_FILE = "config.json"
BEST_WEIGHTS = Path("checkpoints") / "best.safetensors"
MODEL_FILE = "model.onnx"


class Trained(NamedTuple):
    """A network, its weights where there are some, and what its training run recorded."""

    spec: Spec
    network: str
    weights: Weights | None
    run: Path | None
    config: Mapping[str, Any] = MappingProxyType({})

    @property
    def graph(self) -> Graph:
        """The network's graph."""
        return self.spec.networks[self.network].graph

    @property
    def model_path(self) -> Path:
        """Where its exported model stands if nobody says otherwise."""
        return self.run / MODEL_FILE if self.run else Path(f"{self.network}.onnx")


def find(
    target: Path,
    network: str | None = None,
    weights: Path | None = None,
    settings: Sequence[str] = (),
) -> Trained:
    """The network that a run's folder or a spec means.

    A run has its best weights and the settings with which it was trained; a spec has the weights of
    `weights`, or none, and those `settings`. Raises `Failed` as the
    reading of specs and checkpoints does, and E602 for a folder that is no run.
    """
    if not target.is_dir():
        spec = check_file(target, settings)
        name = chosen(spec, network)
        found = load(weights, spec.networks[name].graph) if weights else None
        return Trained(spec, name, found, None)
    config_path = target / CONFIG_FILE
    if not config_path.is_file():
        message = f"`{target}` is not the folder of a training run: it has no {CONFIG_FILE}"
        raise Failed(Diagnostic("E602", message, help=_meant_by(target)))
    try:
        config = json.loads(config_path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise Failed(Diagnostic("E602", f"cannot read `{config_path}`: {problem}")) from None
    if settings:
        help = "a run has the parameters with which it was trained"
        raise Failed(Diagnostic("E203", "`--set` is for specs, not for runs", help=help))
    limits = Limits(**config["limits"]) if "limits" in config else DEFAULT
    spec = check_file(target / config.get("spec", SPEC_FILE), config.get("set", ()), limits)
    name = chosen(spec, network or config.get("network"))
    found = load(weights or target / BEST_WEIGHTS, spec.networks[name].graph)
    return Trained(spec, name, found, target, config)


def _meant_by(folder: Path) -> str:
    """What could be given instead of a folder that is no run: a run in it, or a spec."""
    runs = sorted(each.parent for each in folder.glob(f"*/{CONFIG_FILE}"))
    if runs:
        return "runs in that folder: " + ", ".join(f"`{each}`" for each in runs[-3:])
    models = sorted(folder.glob("*.onnx"))
    if models:
        return (
            "give a run's folder, or a spec; a model is compared with its spec by "
            f"`netloom verify SPEC --model {models[0]}`"
        )
    return "give a run's folder, or a spec"
