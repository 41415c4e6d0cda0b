"""What a run was made of, as plain data, for people, for `run` and for `export`."""

import hashlib
import platform
from importlib.metadata import version
from typing import Any

import netloom
from netloom.compile import Spec
from netloom.passes.cost import costs, total
from netloom.train.program import Program, call_text, loss_text
from netloom.train.sources import Data, Dataset

PACKAGES = ("torch", "lightning", "numpy", "pillow", "scikit-learn")
"""Those that have a say in the weights."""


def spec_path(spec: Spec) -> str:
    """Where in a run's folder the spec is kept: in one of its own where it imports others."""
    return f"spec/{spec.place_of(spec.source)}" if len(spec.sources) > 1 else "spec.loom"


def describe(spec: Spec, program: Program, data: Data, dataset: Dataset) -> dict[str, Any]:
    """The content of `config.json`.

    `classes` and `preprocessing`, by input, say what goes in and what comes out; the rest repeats
    every setting, with defaults, so that the run can be told and made again.
    """
    graph = program.graph
    table = costs(graph)
    return {
        "network": graph.name,
        "spec": spec_path(spec),
        "set": list(spec.settings),
        "limits": spec.limits._asdict(),
        "data": data.text,
        "samples": {"train": len(dataset.train), "test": len(dataset.test)},
        "classes": list(dataset.classes),
        "preprocessing": {
            field.name: field.preprocessing.as_json()
            for field in dataset.fields
            if field.preprocessing
        },
        "loss": loss_text(program.loss),
        "augment": [call_text(each) for each in program.augment],
        "optimizer": call_text(program.optimizer),
        "schedule": call_text(program.schedule),
        "epochs": program.epochs,
        "batch": program.batch,
        "seed": program.seed,
        "metrics": [call_text(metric) for metric in program.metrics],
        "parameters": total(graph.layers_in("infer"), table).params,
        "parameters_in_training": total(graph.layers_in("train"), table).params,
        "spec_sha256": hashlib.sha256(spec.source.text.encode()).hexdigest(),
        "versions": {
            "netloom": netloom.__version__,
            "python": platform.python_version(),
            **{package: version(package) for package in PACKAGES},
        },
    }
