"""A block that is called again is copied, and nobody can tell the copy from an expansion."""

import pytest

from netloom.compile import Spec, check, check_file
from netloom.diagnostics import Failed, Source
from netloom.emit import torch as emit_torch
from netloom.emit.stages import fields_text, graph_text
from netloom.passes import replay
from random_specs import random_spec
from specimens import ROOT, net

FILES = sorted((ROOT / "specs").glob("*.loom"))


def described(spec: Spec, with_source: bool) -> dict[str, str]:
    """Everything that is known of the networks of a spec."""
    found = {}
    for name, network in spec.networks.items():
        cost = f"{network.cost.params} {network.cost.macs}"
        found[name] = graph_text(network) + fields_text(network) + cost
        if with_source:
            found[name] += emit_torch.source(network.graph)
    return found


def without_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay.Expanded, "copy", lambda *_: None)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_specs_are_the_same_with_and_without_copies(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = described(check_file(path), with_source=False)
    without_copies(monkeypatch)
    assert copied == described(check_file(path), with_source=False)


@pytest.mark.parametrize("seed", range(40))
def test_random_specs_are_the_same_with_and_without_copies(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Source("net.loom", random_spec(seed))
    copied = described(check(source), with_source=True)
    without_copies(monkeypatch)
    assert copied == described(check(source), with_source=True)


def test_blocks_are_copied() -> None:
    found = check_file(ROOT / "specs" / "resnet.loom").networks["resnet152"].graph
    answers = [layer.op.answers() for layer in found.layers if layer.op.name == "conv"]
    assert len({id(each) for each in answers}) < len(answers) / 3


@pytest.mark.parametrize(
    ("body", "code"),
    [
        # The same block, with another value than the entering one as its tensor argument.
        ("a = conv(3, 1)\na -> join(a)\nimage -> join(a)\nhead y = relu", None),
        # A block that was expanded at the top is refused where it comes to call itself.
        ("outer(0)\nouter(1)", "E214"),
    ],
)
def test_calls_that_look_alike(body: str, code: str | None) -> None:
    blocks = """
        block join(other: tensor) { concat { in other } }
        block outer(n: int) { if n > 0 { inner } else { relu } }
        block inner { outer(0) }
    """
    if code is None:
        assert check(Source("net.loom", blocks + net(body))).networks
        return
    with pytest.raises(Failed) as failed:
        check(Source("net.loom", blocks + net(body)))
    assert [found.code for found in failed.value.diagnostics] == [code]


def test_a_copy_counts_against_the_limits() -> None:
    block = "block many { repeat 60_000 { relu } }\n"
    with pytest.raises(Failed, match="E217"):
        check(Source("net.loom", block + net("many\nmany")))
