"""Small specs for tests, and the mistakes that the compiler finds in them."""

from pathlib import Path

import pytest

from netloom.compile import Network, check
from netloom.diagnostics import Diagnostic, Failed, Source

ROOT = Path(__file__).parents[1]
SPECS = [ROOT / "specs" / f"{name}.loom" for name in ("googlenet_digits", "lenet", "resnet_digits")]
"""Specs of networks that are small enough for any test; all others are in test_zoo.py."""


def net(body: str, shape: str = "N, 3, 32, 32") -> str:
    """A spec with one network: an input `image` of that shape, the body, and one head."""
    lines = [f"input image: float32[{shape}]", *body.strip("\n").split("\n"), "head out = relu"]
    return "network net {\n" + "".join(f"    {line}\n" for line in lines) + "}\n"


def built(text: str) -> Network:
    """The only network of a sound spec."""
    (network,) = check(Source("net.loom", text)).networks.values()
    return network


def mistakes(text: str) -> tuple[Diagnostic, ...]:
    """The diagnostics of a spec that must have some."""
    with pytest.raises(Failed) as failed:
        check(Source("net.loom", text))
    return failed.value.diagnostics


def unmarked(marked: str) -> tuple[str, dict[str, list[tuple[int, int]]]]:
    """A text without its marks, and where the pieces in `«…»` and in `‹…›` begin and end."""
    text = ""
    opened: list[tuple[str, int]] = []
    found: dict[str, list[tuple[int, int]]] = {"«": [], "‹": []}
    for character in marked:
        if character in found:
            opened.append((character, len(text)))
        elif character in "»›":
            mark, start = opened.pop()
            found[mark].append((start, len(text)))
        else:
            text += character
    return text, found
