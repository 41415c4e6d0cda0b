"""What a browser makes of the page of `netloom view`."""

import random
from typing import Any

import pytest

from browser.conftest import Opened, Opener
from netloom.compile import check, check_file
from netloom.diagnostics import Source
from netloom.emit.view.page import filled, page
from netloom.emit.view.sizes import is_admissible
from netloom.ir.dims import evaluate_to_int
from netloom.ir.field import Field
from netloom.ir.graph import Graph, Value
from netloom.ir.types import spatial_axes
from netloom.passes.footprint import footprint
from specimens import ROOT, built, net

SPECS = ROOT / "specs"

# Footprints: the page's are those of the compiler, which tests compare with experiments.

BODIES = {
    "dilation": "conv(4, 3, dilation=3, pad=2) -> maxpool(2, dilation=2) -> conv(4, [1, 5])",
    "stride beyond kernel": "conv(4, 1, stride=2) -> conv(4, 2, stride=3)",
    "deconv": "conv(4, 3, stride=2) -> deconv(4, 3, stride=2, pad=1) -> deconv(4, 2, stride=3)",
    "dilated deconv": "maxpool(3) -> deconv(4, 3, stride=2, dilation=2) -> conv(4, 2)",
    "stretch": 'maxpool(2) -> upsample(2) -> conv(4, 3) -> upsample(3, mode="bilinear")',
    "same": "same_pad(4, stride=3) -> conv(4, 4, stride=3) -> same_pad(2) -> maxpool(2, 1)",
    "folds": 'pad(2, mode="reflect") -> conv(4, 3, stride=2) -> pad(1, mode="replicate")',
    "gate": "maxpool(2) -> gate { global_avgpool -> conv(3, 1) -> sigmoid } -> conv(4, 3)",
    "ceil": "maxpool(2) -> maxpool(3, 2, ceil=true) -> conv(4, 3, pad=1)",
    "skip": "concat { conv(4, 3, pad=1)  { pad(1) -> conv(2, 5, pad=3) -> crop(like=in) } }",
}

SEQUENCE = """network reading { input x: float32[N, 17, 4]
    head y = lstm(8) -> linear(3) }"""


def networks() -> dict[str, tuple[str, Graph]]:
    """Title to the page and the graph."""
    found = {}
    for title, body in BODIES.items():
        text = net(body, "N, 3, 4*h + 2, 4*w")
        found[title] = text
    found["sequence"] = SEQUENCE
    for name in ("unet", "lenet"):
        found[name] = (SPECS / f"{name}.loom").read_text(encoding="utf-8")
    return {
        title: (page(spec, list(spec.networks)), next(iter(spec.networks.values())).graph)
        for title, text in found.items()
        for spec in [check(Source("net.loom", text))]
    }


def values_of(graph: Graph) -> list[Value]:
    """The values in the order in which the page counts them."""
    return [*graph.inputs, *graph.targets, *(v for layer in graph.layers for v in layer.results)]


TITLES = [*BODIES, "sequence", "unet", "lenet"]


def random_sizes(graph: Graph, chance: random.Random) -> dict[str, int]:
    names = {"N", "h", "w"}
    while True:
        sizes = {name: chance.randint(4, 13) for name in names}
        if is_admissible(graph, sizes):
            return sizes


@pytest.mark.parametrize("title", TITLES)
def test_footprints_are_those_of_the_compiler(title: str, show: Opener) -> None:
    text, graph = networks()[title]
    opened = show.page(text)
    values = values_of(graph)
    chance = random.Random(title)
    for value in chance.choices(values[len(graph.inputs) :], k=40):
        sizes = random_sizes(graph, chance)
        position = {
            axis: {chance.randrange(evaluate_to_int(value.type.shape[index], sizes))}
            for axis, index in spatial_axes(value.type.rank).items()
        }
        expected = footprint(graph, value, position, sizes)
        found = _footprint(opened, values.index(value), position, sizes)
        assert found == {values.index(each): seen for each, seen in expected.items()}, value


def _footprint(
    opened: Opened,
    number: int,
    position: dict[str, set[int]],
    sizes: dict[str, int],
    endless: bool = False,
) -> dict[int, dict[str, set[int]]]:
    found = opened(
        """([number, position, sizes, endless]) => {
            const sets = Object.entries(position).map(([axis, all]) => [axis, new Set(all)]);
            const seen = footprint(
                spec.networks[0], number, Object.fromEntries(sets), sizes, endless);
            return [...seen].map(([value, axes]) =>
                [value, Object.entries(axes).map(([axis, all]) => [axis, [...all]])]);
        }""",
        [number, {axis: sorted(all) for axis, all in position.items()}, sizes, endless],
    )
    return {value: {axis: set(all) for axis, all in axes} for value, axes in found}


@pytest.mark.parametrize("title", ["dilation", "deconv", "stretch", "ceil", "unet", "lenet"])
def test_the_outline_is_the_field_before_clipping(title: str, show: Opener) -> None:
    text, graph = networks()[title]
    opened = show.page(text)
    network = {"N": 1, "h": 7, "w": 6}
    values = values_of(graph)
    compared = 0
    for value in values:
        fields = value.fields or {}
        field = fields.get(graph.inputs[0].name, {}).get("h")
        if not isinstance(field, Field) or not spatial_axes(value.type.rank):
            continue
        for at in (0, evaluate_to_int(value.type.shape[2], network) - 1):
            seen = _footprint(opened, values.index(value), {"h": {at}, "w": {0}}, network, True)
            first, last = field.interval(at)
            if first <= last:
                assert (min(seen[0]["h"]), max(seen[0]["h"])) == (first, last), value
                compared += 1
    assert compared > 4


# Drawing.


@pytest.mark.parametrize(
    ("file", "network"),
    [
        ("googlenet", "googlenet"),
        ("unet", "unet"),
        ("densenet", "densenet121"),
        ("mobilenet_v3", "mobilenet_v3_large"),
        ("resnet", "resnet152"),
    ],
)
def test_every_layer_is_drawn_and_nothing_overlaps(file: str, network: str, show: Opener) -> None:
    opened = show.file(SPECS / f"{file}.loom", network)
    graph = check_file(SPECS / f"{file}.loom").networks[network].graph
    assert 3 <= opened("() => page.subjects.size") <= 40
    assert opened(OVERLAPS) == []
    opened.tab.click("#unfold")
    kinds = opened("() => [...page.subjects.values()].map((item) => item.kind)")
    assert kinds.count("layer") == len(graph.layers)
    assert kinds.count("open") == len(list(graph.scope.scopes()))
    assert kinds.count("head") == len(graph.heads)
    assert opened(OVERLAPS) == []


OVERLAPS = """() => {
    const boxes = [...page.subjects].map(([group, item]) =>
        [group, item, group.querySelector(":scope > .body").getBoundingClientRect()]);
    const found = [];
    const compare = ([one, first, a], [other, second, b]) => {
        if (one.contains(other) || other.contains(one)) return;
        const isBeside = a.right <= b.left || b.right <= a.left;
        if (!isBeside && a.bottom > b.top && b.bottom > a.top) found.push([first.id, second.id]);
    };
    boxes.forEach((one, index) => boxes.slice(index + 1).forEach((other) => compare(one, other)));
    return found;
}"""


def test_lines_lead_from_what_makes_a_value_to_what_reads_it(show: Opener) -> None:
    opened = show.file(SPECS / "unet.loom", "unet")
    opened.tab.click("#unfold")
    ends = opened(
        """() => {
            const place = (item) => {
                const box = [...page.subjects].find(([, each]) => each === item)[0]
                    .querySelector(":scope > .body").getBoundingClientRect();
                return [box.left + box.width / 2, box.top, box.bottom];
            };
            const points = page.edges.map(({ path, value }) => {
                const onScreen = path.getScreenCTM();
                const ends = [0, path.getTotalLength()];
                const [first, last] = ends.map((length) =>
                    path.getPointAtLength(length).matrixTransform(onScreen));
                return [value, first.x, first.y, last.x, last.y];
            });
            const near = (a, b) => Math.abs(a - b) < 1.5;
            const missing = [];
            for (const item of page.subjects.values()) {
                if (item.kind !== "layer" && item.kind !== "head") continue;
                const [x, top] = place(item);
                for (const value of item.reads) {
                    // Follow the pieces of the line upwards to the bottom of its maker.
                    const endingAt = (x, y) => points.find(([v, , , x2, y2]) =>
                        v === value && near(x2, x) && near(y2, y));
                    let at = endingAt(x, top);
                    for (let piece = at; piece; piece = endingAt(at[1], at[2])) at = piece;
                    const maker = [...page.subjects.values()].find((each) =>
                        ["layer", "input"].includes(each.kind) && each.gives.includes(value));
                    const [from, , bottom] = place(maker);
                    const isConnected = at && near(at[1], from) && near(at[2], bottom);
                    if (!isConnected) missing.push([item.id, value]);
                }
            }
            return missing;
        }"""
    )
    assert ends == []


def test_scopes_fold_by_click_and_by_key(show: Opener) -> None:
    opened = show.file(SPECS / "googlenet.loom", "googlenet")
    scope = opened.tab.locator('[aria-label^="inception3a,"]')
    assert scope.get_attribute("aria-expanded") == "false"
    scope.click()
    assert scope.get_attribute("aria-expanded") == "true"
    assert opened.tab.locator('[aria-label^="inception3a.branch2.conv2"]').count() == 1
    opened.tab.keyboard.press("Enter")
    assert scope.get_attribute("aria-expanded") == "false"
    assert opened.tab.locator('[aria-label^="inception3a.branch2.conv2"]').count() == 0


def test_every_item_can_be_reached_by_tab(show: Opener) -> None:
    opened = show.text(net("conv(4, 3) -> maxpool(2)"))
    opened.tab.locator("#larger").focus()
    reached = []
    for _ in range(4):
        opened.tab.keyboard.press("Tab")
        reached.append(opened("() => document.activeElement.getAttribute('aria-label')"))
    assert [label for label in reached if label] == [
        "input image, [N, 3, 32, 32]",
        "conv1, conv 4, 3, [N, 4, 30, 30]",
        "maxpool1, maxpool 2, [N, 4, 15, 15]",
    ]
    assert opened.tab.text_content("#value-name") == "maxpool1"


def test_shapes_stand_on_the_lines(show: Opener) -> None:
    opened = show.text(net("conv(4, 3, pad=1) -> relu -> maxpool(2)", "N, 3, 8*h, 8*w"))
    labels = opened("() => [...document.querySelectorAll('text.shape')].map((e) => e.textContent)")
    assert labels == ["[N, 3, 8*h, 8*w]", "[N, 4, 8*h, 8*w]", "[N, 4, 4*h, 4*w]"]


# The panel.


def test_what_is_hovered_is_told(show: Opener) -> None:
    opened = show.text(net("conv(4, 3, dilation=2) -> maxpool(2)"))
    opened.tab.locator('[aria-label^="conv1,"]').hover()
    assert opened.tab.text_content("#value-name") == "conv1"
    assert opened.tab.text_content("#value-kind") == "conv(4, 3, dilation=2)"
    facts = opened.tab.text_content("#facts")
    assert "h51-0" not in facts
    assert "h510" in facts
    assert "parameters112" in facts
    assert f"MACs{28 * 28 * 4 * 27:,}" in facts
    sight = opened.tab.text_content("#sight")
    assert sight == (
        "Position h 14, w 14 sees 3 × 3 pixels of image: h 14 to 18, w 14 to 18, with gaps."
    )


def test_the_picture_colours_what_is_seen_and_nothing_else(show: Opener) -> None:
    opened = show.text(net("conv(4, 3, dilation=2, pad=2)"))
    opened.tab.locator('[aria-label^="conv1,"]').click()
    coloured = """() => {
        const canvas = document.createElement("canvas");
        const picture = document.getElementById("picture");
        [canvas.width, canvas.height] = [picture.width, picture.height];
        const context = canvas.getContext("2d", { willReadFrequently: true });
        context.drawImage(picture, 0, 0);
        const data = context.getImageData(0, 0, canvas.width, canvas.height).data;
        const pixel = (PICTURE - 8) / SPAN;
        const found = [];
        for (let y = 0; y < SPAN; y++) for (let x = 0; x < SPAN; x++) {
            const [column, row] = [x, y].map((each) => Math.round(4 + (each + 0.5) * pixel));
            const at = 4 * (row * canvas.width + column);
            if (data[at] - data[at + 2] > 60) found.push([y, x]);
        }
        return found;
    }"""
    for row, column, span, margin in [(14, 9, 32, 0), (0, 0, 34, 2)]:
        opened("([row, column]) => move(row, column)", [row, column])
        found = opened(coloured.replace("SPAN", str(span)))
        taps = [[row + down, column + right] for down in (-2, 0, 2) for right in (-2, 0, 2)]
        expected = [[y + margin, x + margin] for y, x in taps if y >= 0 and x >= 0]
        # The dashed outline lies on pixel borders, so the middles of pixels are free of it.
        assert found == expected
    assert "outside: 2 before along h, 2 before along w" in opened.tab.text_content("#sight")


def test_arrow_keys_and_pointer_choose_the_position(show: Opener) -> None:
    opened = show.text(net("maxpool(4)"))
    opened.tab.locator('[aria-label^="maxpool1,"]').click()
    opened.tab.locator("#map").focus()
    assert "h 16 to 19, w 16 to 19" in opened.tab.text_content("#sight")
    opened.tab.keyboard.press("ArrowUp")
    opened.tab.keyboard.press("ArrowRight")
    assert "h 12 to 15, w 20 to 23" in opened.tab.text_content("#sight")
    opened.tab.locator("#map").hover(position={"x": 3, "y": 3})
    assert "h 0 to 3, w 0 to 3" in opened.tab.text_content("#sight")


def test_sizes_can_be_chosen_and_too_small_ones_are_told(show: Opener) -> None:
    opened = show.text(net("conv(4, 3) -> maxpool(2) -> conv(4, 5)", "N, 3, h, w"))
    assert "image 1×3×192×192" in opened.tab.text_content("#size-note")
    opened.tab.fill('input[name="h"]', "40")
    assert "image 1×3×40×192" in opened.tab.text_content("#size-note")
    assert "1×4×15×91" in opened.tab.text_content("#facts")
    opened.tab.fill('input[name="h"]', "9")
    assert "must be at least 1" in opened.tab.text_content("#size-note")
    assert opened.tab.get_attribute("#size-note", "class") == "wrong"


def test_networks_and_inputs_can_be_chosen(show: Opener) -> None:
    first = net("relu").replace("network net", "network first")
    second = """network second { input left: float32[N, 1, 16, 16]
        input right: float32[N, 1, 16, 16]
        a = left -> conv(2, 3)
        b = right -> conv(2, 3)
        head both = add { a  b } }"""
    opened = show.text(first + second)
    opened.tab.select_option("#network", "second")
    assert opened.tab.text_content("#title") == "second"
    assert "of left" in opened.tab.text_content("#sight")
    opened.tab.click("#input-choice >> text=right")
    assert "of right" in opened.tab.text_content("#sight")


def test_a_picture_of_ones_own_is_shown(show: Opener) -> None:
    opened = show.text(net("maxpool(4)"))
    before = opened("() => document.getElementById('picture').toDataURL()")
    opened.tab.set_input_files("#file", ROOT / "docs" / "images" / "digit-3.png")
    opened.tab.wait_for_function("() => page.picture !== null")
    assert opened("() => document.getElementById('picture').toDataURL()") != before


def test_light_and_dark_are_both_readable(show: Opener) -> None:
    for scheme in ("light", "dark"):
        opened = show.text(net("conv(4, 3)"), color_scheme=scheme)
        ink, paper = opened(
            """() => ["color", "backgroundColor"].map((name) =>
                getComputedStyle(document.body)[name].match(/\\d+/g).slice(0, 3).map(Number))"""
        )
        assert abs(sum(ink) - sum(paper)) > 450
        assert (sum(paper) > 600) == (scheme == "light")


# What a stranger's spec may do: nothing.


HOSTILE = "</script><img src=x onerror=alert(1)><script>alert(2)</script>"


def hostile(document: Any) -> Any:
    """The same document with markup in every name."""
    for network in document["networks"]:
        network["name"] += HOSTILE
        for each in network["values"] + network["layers"] + network["heads"]:
            each["name"] += HOSTILE
        for layer in network["layers"]:
            layer["arguments"] += HOSTILE
        for value in network["values"]:
            value["text"] += HOSTILE
    return document


def test_names_are_text(show: Opener) -> None:
    from netloom.emit.view.document import network_document

    document = hostile(
        {"file": HOSTILE, "networks": [network_document(built(net("conv(4, 3) -> maxpool(2)")))]}
    )
    opened = show.page(filled(document))
    opened.tab.locator("g.conv").click()
    assert opened.tab.text_content("#value-name") == f"conv1{HOSTILE}"
    assert opened("() => document.querySelectorAll('img').length") == 0
    assert opened("() => document.querySelectorAll('script').length") == 2


def test_the_policy_is_in_force(show: Opener) -> None:
    opened = show.text(net("relu"))
    opened.tab.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.intruder = true";
            document.body.append(script);
            document.body.setAttribute("onclick", "window.intruder = true");
            document.body.click();
        }"""
    )
    fetched = opened("() => fetch('https://example.org/').then(() => true, () => false)")
    assert (opened("() => window.intruder ?? false"), fetched) == (False, False)
    assert len(opened.complaints) >= 3  # the browser tells each attempt
    opened.complaints.clear()
