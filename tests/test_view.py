"""The page that shows a spec: its data, its policy, and what cannot become markup.

What a browser makes of it is tried in tests/browser.
"""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from netloom.compile import check, check_file
from netloom.diagnostics import Source
from netloom.emit.view.document import arguments_text, network_document
from netloom.emit.view.page import data_block, filled, page
from netloom.emit.view.plain import Plain, plain_dim
from netloom.emit.view.sizes import opening_sizes
from netloom.ir.dims import Dim, evaluate_to_int, size
from specimens import ROOT, built, net

ZOO = sorted((ROOT / "specs").glob("*.loom"))

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!-- <script>",
    "<img src=x onerror=alert(1)>",
    "&lt;b&gt; & <b>",
    "line\u2028separator\u2029paragraph",
    "]]>\"'`\\",
    "{{script}} {{data}}",
]


class Elements(HTMLParser):
    """The elements of a page, with the text directly in each."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], str]] = []
        self.is_inside = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs), ""))
        self.is_inside = True

    def handle_endtag(self, tag: str) -> None:
        self.is_inside = False

    def handle_data(self, data: str) -> None:
        if self.is_inside:
            tag, attributes, text = self.found[-1]
            self.found[-1] = tag, attributes, text + data

    def all(self, tag: str) -> list[tuple[dict[str, str | None], str]]:
        return [(attributes, text) for name, attributes, text in self.found if name == tag]


def data_of(text: str) -> Any:
    """What the page's script reads."""
    (block,) = [text for attributes, text in Elements(text).all("script") if attributes]
    return json.loads(block)


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def view(*arguments: str | Path, cwd: Path, seed: str = "0") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "netloom", "view", *map(str, arguments)]
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200", "PYTHONHASHSEED": seed}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment)


# What a spec says never becomes markup.


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_leaves_the_data_block(text: str) -> None:
    document: Plain = {"file": text, text: [text]}
    block = data_block(document)
    assert not re.search("[<>&\u2028\u2029]", block)
    assert json.loads(block) == document


def test_a_hostile_document_adds_no_element() -> None:
    harmless = Elements(filled({"file": "a.loom"}))
    hostile = filled({"file": "".join(HOSTILE)})
    assert [tag for tag, _, _ in Elements(hostile).found] == [tag for tag, _, _ in harmless.found]
    assert data_of(hostile) == {"file": "".join(HOSTILE)}


def test_a_file_name_with_markup_is_data(tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)>&.loom"
    (tmp_path / name).write_text(net('pad(1, mode="reflect")'))
    found = view(name, "--out", "page.html", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    text = read(tmp_path / "page.html")
    assert not Elements(text).all("img")
    assert data_of(text)["file"] == name
    assert data_of(text)["networks"][0]["layers"][0]["arguments"] == '1, mode="reflect"'


# The page's own policy.


def googlenet() -> str:
    return page(check_file(ROOT / "specs" / "googlenet.loom"), ["googlenet"])


def test_the_policy_allows_the_one_script_and_the_one_style() -> None:
    elements = Elements(googlenet())
    (policy,) = [
        attributes["content"] or ""
        for attributes, _ in elements.all("meta")
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    (script,) = [text for attributes, text in elements.all("script") if not attributes]
    ((_, style),) = elements.all("style")
    assert rules == {
        "default-src": "'none'",
        "script-src": _hash(script),
        "style-src": _hash(style),
        "img-src": "data: blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_nothing_is_fetched_and_nothing_runs_from_attributes() -> None:
    text = googlenet()
    assert not re.search(r"https?:|url\((?!#)|@import|\beval\b|innerHTML|insertAdjacentHTML", text)
    for tag, attributes, _ in Elements(text).found:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base"), tag
        assert not {"src", "href", "style", "action"} & attributes.keys(), (tag, attributes)
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)


# The data.


def _evaluated(tree: Any, sizes: dict[str, int]) -> int:
    """A size as the page evaluates it."""
    if isinstance(tree, int):
        return tree
    total = 0
    for coefficient, *factors in tree:
        for factor in factors:
            is_name = isinstance(factor, str)
            coefficient *= (
                sizes[factor] if is_name else _evaluated(factor["floor"], sizes) // factor["by"]
            )
        total += coefficient
    return total


H, W = size("h"), size("w")


@pytest.mark.parametrize(
    "dim",
    [7, H, 2 * H * W - 3, (H + 1) // 2, 3 * ((W - 5) // 4) * H + 1, ((H + 2) // 3 * W - 7) // 5],
    ids=str,
)
def test_sizes_are_what_they_were(dim: Dim) -> None:
    for height, width in [(1, 1), (7, 3), (64, 97)]:
        sizes = {"h": height, "w": width}
        assert _evaluated(plain_dim(dim), sizes) == evaluate_to_int(dim, sizes)


@pytest.mark.parametrize(
    ("call", "written"),
    [
        ("conv(8, 3)", "8, 3"),
        ("conv(8, kernel=[1, 3], pad=[0, 1], bias=false)", "8, [1, 3], pad=[0, 1], bias=false"),
        ("conv(out=8, kernel=3, stride=1)", "8, 3"),
        ("maxpool(2)", "2"),
        ("maxpool(3, 2, ceil=true)", "3, stride=2, ceil=true"),
        ("relu", ""),
        ("dropout(0.25)", "p=0.25"),
    ],
)
def test_arguments_are_written_as_a_spec_writes_them(call: str, written: str) -> None:
    layer = built(net(call)).graph.layers[0]
    assert arguments_text(layer.op) == written
    again = built(net(f"{layer.op.name}({written})" if written else call)).graph.layers[0]
    assert str(again.results[0].type) == str(layer.results[0].type)


@pytest.mark.parametrize("path", ZOO, ids=lambda path: path.stem)
def test_every_layer_stands_in_the_tree_of_scopes_once(path: Path) -> None:
    for network in check_file(path).networks.values():
        document: Any = network_document(network)
        assert sorted(_layers_in(document["scope"])) == list(range(len(document["layers"])))
        for number, value in enumerate(document["values"]):
            assert all(operand < number for operand, _ in value["sees"])


def _layers_in(scope: Any) -> list[int]:
    found: list[int] = []
    for step in scope["steps"]:
        found += [step] if isinstance(step, int) else _layers_in(step)
    return found


@pytest.mark.parametrize("path", ZOO, ids=lambda path: path.stem)
def test_a_page_opens_with_sizes_that_can_be_run(path: Path) -> None:
    for network in check_file(path).networks.values():
        sizes = opening_sizes(network.graph)
        for layer in network.graph.layers:
            for dim in [dim for result in layer.results for dim in result.type.shape]:
                assert evaluate_to_int(dim, sizes) >= 1, layer
        height, width = (
            evaluate_to_int(dim, sizes) for dim in network.graph.inputs[0].type.shape[2:]
        )
        assert 16 <= height == width <= 227


def test_sizes_grow_until_every_map_has_a_position() -> None:
    deep = "repeat 9 { conv(4, 3, stride=2) }"
    sizes = opening_sizes(built(net(deep, "N, 3, h, w")).graph)
    assert sizes == {"N": 1, "h": 1536, "w": 1536}


def test_weights_that_are_shared_name_their_owner() -> None:
    text = """network two { input a: float32[N, 4]
        input b: float32[N, 4]
        share last = linear(2)
        x = a -> last
        y = b -> last
        head sum = add { x  y } }"""
    layers: Any = network_document(built(text))["layers"]
    assert [each["weightsOf"] for each in layers] == [None, "last", None]


# The command.


def test_the_page_is_written_beside_and_named_after_the_spec(tmp_path: Path) -> None:
    found = view(ROOT / "specs" / "lenet.loom", cwd=tmp_path)
    assert (found.returncode, found.stdout) == (0, "")
    assert "wrote lenet.html" in found.stderr
    assert data_of(read(tmp_path / "lenet.html"))["file"] == "lenet.loom"


def test_equal_specs_give_equal_pages(tmp_path: Path) -> None:
    for seed in ("1", "2"):
        view(ROOT / "specs" / "unet.loom", "--out", f"{seed}.html", cwd=tmp_path, seed=seed)
    assert (tmp_path / "1.html").read_bytes() == (tmp_path / "2.html").read_bytes()


def test_all_networks_or_the_chosen_one(tmp_path: Path) -> None:
    spec = ROOT / "specs" / "vgg.loom"
    assert view(spec, cwd=tmp_path).returncode == 0
    assert view(spec, "-n", "vgg13", cwd=tmp_path).returncode == 0
    names = [
        [network["name"] for network in data_of(read(tmp_path / f"{page}.html"))["networks"]]
        for page in ("vgg", "vgg13")
    ]
    assert names == [["vgg11", "vgg13", "vgg16", "vgg19"], ["vgg13"]]


def test_a_page_is_replaced_but_no_other_file(tmp_path: Path) -> None:
    spec = ROOT / "specs" / "lenet.loom"
    target = tmp_path / "lenet.html"
    assert view(spec, cwd=tmp_path).returncode == 0
    assert view(spec, cwd=tmp_path).returncode == 0
    target.write_text("<html>mine</html>")
    refused = view(spec, cwd=tmp_path)
    assert refused.returncode == 1
    assert "E004" in refused.stderr
    assert read(target) == "<html>mine</html>"
    assert view(spec, "--force", cwd=tmp_path).returncode == 0
    assert "netloom view" in read(target)


def test_a_file_without_a_network_is_told(tmp_path: Path) -> None:
    (tmp_path / "blocks.loom").write_text("block a(n: int) { conv(n, 3) }\n")
    found = view("blocks.loom", cwd=tmp_path)
    assert found.returncode == 1
    assert "no network" in found.stderr


def test_the_page_of_the_deepest_network_is_small() -> None:
    text = page(check_file(ROOT / "specs" / "resnet.loom"), ["resnet152"])
    assert len(text.encode()) < 2_000_000


def test_sizes_that_only_the_data_decides_are_left_open() -> None:
    text = """network boxes { input at: float32[r, 4]
        input score: float32[r]
        head kept = at -> nms(score, 0.5) }"""
    document: Any = network_document(check(Source("a.loom", text)).networks["boxes"])
    assert document["needed"] == []
    assert document["sizes"] == {"r": 1}
