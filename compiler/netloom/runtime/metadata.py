"""What an exported model says about itself."""

import hashlib
import json
from collections import ChainMap
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import netloom
from netloom.compile import Spec
from netloom.diagnostics import Diagnostic, Failed, Source
from netloom.emit.sizes import sizes_json
from netloom.ir.dims import Dim, Symbolic, size
from netloom.ops.activation import Sigmoid, Softmax
from netloom.ops.operands import channel_axis
from netloom.passes.admissible import Admissible, Bounds, admissible_sizes
from netloom.passes.expressions import Names, evaluate
from netloom.syntax import ast
from netloom.syntax.parse import LANGUAGE_VERSION, parse
from netloom.train.losses import CrossEntropy

HeadKind = Literal["probabilities", "logits"]


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
        "netloom.sizes": json.dumps(sizes_json(admissible_sizes(spec.networks[network].graph))),
    }
    kinds = kinds_of_heads(spec, network)
    if kinds:
        entries["netloom.heads"] = json.dumps(kinds)
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


def kinds_of_heads(spec: Spec, network: str) -> dict[str, HeadKind]:
    """What the numbers of a head are, where the spec says so.

    They are `probabilities` behind a softmax of the channels or a sigmoid, and `logits` in front of
    such a softmax, or where the training minimises their cross-entropy. Of other heads nothing is
    known.
    """
    heads = spec.networks[network].graph.heads_in("infer")
    program = spec.programs.get(network)
    terms = program.loss if program else ()
    logits = {term.loss.logits for term in terms if isinstance(term.loss, CrossEntropy)}
    probabilities = set()
    for value in (head.value for head in heads):
        op = value.layer.op if value.layer else None
        if isinstance(op, Softmax) and op.axis in (None, channel_axis(value.type.rank)):
            logits.add(op.x)
            probabilities.add(value)
        elif isinstance(op, Sigmoid):
            probabilities.add(value)
    kinds: dict[str, HeadKind] = {
        h.name: "probabilities" for h in heads if h.value in probabilities
    }
    return kinds | {h.name: "logits" for h in heads if h.value in logits - probabilities}


def admissible_from(metadata: Mapping[str, str]) -> Admissible | None:
    """The admissible sizes that a model says it takes; None for a model that does not say.

    Raises `Failed` (E604) for metadata that cannot be read.
    """
    if "netloom.sizes" not in metadata:
        return None
    try:
        given = json.loads(metadata["netloom.sizes"])
        letters = {name: size(name) for name in given["free"]}
        return Admissible(
            {
                name: tuple(_dim(axis["size"], letters) for axis in axes)
                for name, axes in given["inputs"].items()
            },
            {name: Bounds(**bounds) for name, bounds in given["free"].items()},
            tuple(_condition(each, letters) for each in given["conditions"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, Failed):
        message = "the model's metadata `netloom.sizes` is damaged"
        raise Failed(Diagnostic("E604", message, help="export the model again")) from None


def _dim(given: int | str, letters: Mapping[str, Dim]) -> Dim:
    """A size as the language writes it; nothing of it is run."""
    if isinstance(given, int):
        return given
    (item,) = parse(Source("netloom.sizes", f"let size = {given}")).items
    if not isinstance(item, ast.Let):
        raise ValueError(given)
    found = evaluate(item.value, Names(ChainMap(dict(letters))))
    if not isinstance(found, Dim):
        raise TypeError(given)
    return found


def _condition(given: Mapping[str, Any], letters: Mapping[str, Dim]) -> Symbolic:
    dim = _dim(given["size"], letters) - (given["minimum"] - 1)
    if not isinstance(dim, Symbolic):
        raise TypeError(given)
    return dim
