"""What an exported model says about itself."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import netloom
from netloom.compile import Spec
from netloom.syntax.parse import LANGUAGE_VERSION


def model_metadata(
    spec: Spec,
    network: str,
    classes: Sequence[str] = (),
    preprocessing: Mapping[str, Mapping[str, Any]] | None = None,
    training: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    """The metadata of a model: where it comes from, and how it is fed and read.

    `preprocessing` is by input, as `Preprocessing.as_json` gives it.
    """
    text = spec.source.text
    entries = {
        "netloom.version": netloom.__version__,
        "netloom.language": str(LANGUAGE_VERSION),
        "netloom.network": network,
        "netloom.spec": text,
        "netloom.spec_sha256": hashlib.sha256(text.encode()).hexdigest(),
    }
    imports = {spec.place_of(each): each.text for each in spec.sources[1:]}
    if imports:
        entries["netloom.imports"] = json.dumps(imports, sort_keys=True)
    if spec.settings:
        entries["netloom.set"] = json.dumps(list(spec.settings))
    if classes:
        entries["netloom.classes"] = json.dumps(list(classes))
    if preprocessing:
        entries["netloom.preprocessing"] = json.dumps(preprocessing, sort_keys=True)
    if training:
        entries["netloom.training"] = json.dumps(training, sort_keys=True)
    return entries
