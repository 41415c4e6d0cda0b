"""Admissible sizes: what is stated is tried at every size in a range, in real PyTorch."""

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from netloom.compile import check, check_file
from netloom.diagnostics import Failed, Source
from netloom.emit.names import class_name
from netloom.emit.sizes import refusal, sizes_json, sizes_text
from netloom.emit.torch import module, source
from netloom.ir.equality import Undecided
from netloom.passes.admissible import Admissible, Bounds, admissible_sizes, small_sizes
from netloom.runtime.metadata import admissible_from, model_metadata
from oracles.case import Case
from oracles.networks import NETWORKS
from oracles.operators import CASES
from specimens import ROOT, built, mistakes, net
from terms import Term

SIDES = range(1, 14)


def runs(made: nn.Module, inputs: Iterable[Tensor]) -> bool:
    """Whether PyTorch can run a module on these inputs and gives something."""
    try:
        with torch.no_grad():
            given = made(*inputs)
    except (RuntimeError, ValueError):
        return False
    results = given.values() if isinstance(given, dict) else given
    results = [results] if isinstance(results, Tensor) else results
    return all(0 not in each.shape and bool(each.isfinite().all()) for each in results)


def letters_of(case: Case) -> list[str]:
    """The sizes that a case leaves free, but for the batch."""
    text = " ".join(str(dim) for shape in case.shapes for dim in shape)
    return sorted(set(re.findall(r"[A-Za-z]\w*", text)) - {"N"})


def slices(letters: list[str]) -> Iterator[dict[str, int]]:
    """Each size alone from 1 on, the others roomy, and all of them together."""
    for side in SIDES:
        for letter in letters:
            yield {"N": 1, **dict.fromkeys(letters, 16), letter: side}
        yield {"N": 1, **dict.fromkeys(letters, side)}


@pytest.mark.parametrize("case", [*CASES, *NETWORKS], ids=repr)
def test_what_is_admissible_is_what_pytorch_runs(case: Case) -> None:
    if case.draw:
        pytest.skip("its values, too, must fit")
    found = admissible_sizes(built(case.text).graph)
    made = case.reference().double().eval()
    for binding in slices(letters_of(case)) if letters_of(case) else ():
        needed = {name: binding[name] for name in found.bounds}
        assert runs(made, case.inputs(binding)) == found.contain(needed), binding


POOLS = [
    f"{pool}({kernel}, stride={stride}, pad={pad}, ceil={ceil})"
    for pool in ("maxpool", "avgpool")
    for kernel, stride, pad, ceil in itertools.product(
        range(1, 6), range(1, 6), range(3), ("false", "true")
    )
    if 2 * pad <= kernel
]


def _pool(call: str) -> nn.Module:
    name, *numbers = re.findall(r"^\w+|\d", call)
    kernel, stride, pad = map(int, numbers)
    made = nn.MaxPool2d if name == "maxpool" else nn.AvgPool2d
    return made(kernel_size=kernel, stride=stride, padding=pad, ceil_mode="true" in call)


def test_every_window_of_a_pooling_fits_where_pytorch_says_so() -> None:
    for call in POOLS:
        found = admissible_sizes(built(net(call, "N, 2, h, 9")).graph)
        for side in SIDES:
            fits = runs(_pool(call), [torch.zeros(1, 2, side, 9)])
            assert fits == found.contain({"N": 1, "h": side}), (call, side)


def test_every_window_is_put_back_where_pytorch_does_so() -> None:
    for call in POOLS[: len(POOLS) // 2]:
        body = f"p, where = {call[:-1]}, indices=true)\nunpool(where)"
        graph = built(net(body, "N, 2, h, 9")).graph
        found, made = admissible_sizes(graph), unchecked(graph)
        for side in SIDES:
            fits = runs(made, [torch.rand(1, 2, side, 9)])
            assert fits == found.contain({"N": 1, "h": side}), (call, side)


def unchecked(graph: Any) -> nn.Module:
    """The emitted module without its check."""
    namespace: dict[str, Any] = {}
    exec(source(graph), namespace)
    namespace["check_sizes"] = lambda *_: None
    made: nn.Module = namespace[class_name(graph.name)]().eval()
    return made


VALID = net("repeat 2 { conv(4, 3, stride=2) -> relu }\nconv(2, 3)", "N, 1, h, w")
CEILED = net("repeat 3 { maxpool(3, 2, ceil=true) }\nconv(2, 2)", "N, 1, h, w")
DECONVS = net("conv(2, 5) -> deconv(2, 4, stride=2, pad=3) -> conv(2, 4)", "N, 1, h, w")
UNPOOLED = net(
    "p, where = maxpool(3, 2, ceil=true, indices=true)\nconv(1, 3, pad=1) -> unpool(where)",
    "N, 1, h, w",
)
UNET = """
block level(ch: int) { conv(ch, 3, pad=1) -> relu }
network unet {
    input image: float32[N, 1, 8*h, 8*w]
    a = level(2)
    b = maxpool(2) -> level(2)
    c = maxpool(2) -> level(2)
    maxpool(2) -> conv(2, [3, 5]) -> level(2) -> upsample(2) -> deconv(2, [5, 9]) -> conv(2, 1)
    concat { in  c } -> conv(2, 1) -> upsample(2)
    concat { in  b } -> conv(2, 1) -> upsample(2)
    head mask = concat { in  a } -> conv(1, 1)
}
"""
TWO = """
network two {
    input left:  float32[N, 1, h, w]
    input right: float32[N, 2, w, 3*h + 1]
    a = left -> conv(2, 3) -> global_avgpool
    b = right -> conv(2, [1, 9]) -> global_avgpool
    head out = add { a  b }
}
"""
APART = """
network apart {
    input image: float32[N, 1, h + w, h]
    head out = conv(2, 5) -> conv(2, [1, 3]) -> global_avgpool
}
"""
DIFFERENCE = """
network difference {
    input image: float32[N, 1, h - w, w]
    head out = conv(2, 3)
}
"""
DOWNWARDS = """
network downwards {
    input image: float32[N, 1, 40 - 3*h, h]
    head out = conv(2, [9, 3]) -> relu
}
"""
SQUARE = net("conv(2, 4) -> maxpool(2)", "N, 3, h, h")
ODD = net("conv(2, 4) -> maxpool(2)", "N, 3, 2*h - 1, 4*w + 3")

OWN = {
    name.lower(): text
    for name, text in list(globals().items())
    if name.isupper() and isinstance(text, str) and "network " in text
}
every_own = pytest.mark.parametrize("text", OWN.values(), ids=OWN)


def shaped(found: Admissible, binding: Mapping[str, int]) -> dict[str, list[int]]:
    """The shapes of the inputs, computed by Python from their text."""
    return {
        name: [eval(str(dim), {}, dict(binding)) for dim in shape]
        for name, shape in found.inputs.items()
    }


@every_own
def test_exactly_the_admissible_sizes_run(text: str) -> None:
    graph = built(text).graph
    found, made, bare = admissible_sizes(graph), module(graph).eval(), unchecked(graph)
    free = [name for name in found.bounds if name != "N"]
    top = 26 if len(free) == 1 or "8*h" not in text else 6
    admitted = 0
    for numbers in itertools.product(range(1, top), repeat=len(free)):
        binding = {"N": 1, **dict(zip(free, numbers, strict=True))}
        shapes = shaped(found, binding)
        if any(side < 1 for shape in shapes.values() for side in shape):
            assert not found.contain(binding)
            continue
        inputs = [torch.rand(shape) for shape in shapes.values()]
        fits = runs(bare, inputs)
        admitted += fits
        assert found.contain(binding) == fits, binding
        assert runs(made, inputs) == fits, binding
    assert admitted, "a range without any admissible size tests nothing"


def message_of(made: nn.Module, shapes: Iterable[tuple[int, ...]]) -> str | None:
    """What a module refuses inputs of these shapes with, if it does."""
    try:
        made(*map(torch.zeros, shapes))
    except ValueError as refused:
        return str(refused)
    return None


@every_own
def test_module_and_metadata_refuse_in_the_same_words(text: str) -> None:
    spec = check(Source("net.loom", text))
    ((name, network),) = spec.networks.items()
    made = module(network.graph).eval()
    metadata = model_metadata(spec, name)
    found = admissible_from(metadata)
    assert found == admissible_sizes(network.graph)
    ranges = [[1, 2], [1, 2, 3], range(1, 44, 3), range(1, 44, 5)]
    shapes = [*itertools.product(*ranges), (1, 3), (1, 3, 9), (1, 1, 2, 3, 4)]
    words: set[str] = set()
    for shape in shapes:
        given = dict.fromkeys(found.inputs, shape)
        if len(given) > 1:
            given["right"] = (shape[0], 2, *shape[3:], *(3 * each + 1 for each in shape[2:3]))
        reason = refusal(name, found, given)
        words |= {reason.rpartition(": ")[2].partition(" but ")[0]} if reason else set()
        assert message_of(made, given.values()) == reason
    assert len(words) > 2


def test_an_axis_that_a_later_input_decides_is_checked_behind_its_rank() -> None:
    text = """
network later {
    input left:  float32[N, 1, h + w, 2*h]
    input right: float32[N, 1, h, w]
    a = left -> global_avgpool
    head out = add { a  { right -> global_avgpool } }
}
"""
    made = module(built(text).graph)
    begin = "later takes right of [N, 1, h, w]: "
    assert message_of(made, [(1, 1, 7, 8), (1, 1, 4, 3)]) is None
    assert message_of(made, [(1, 1, 7, 8), (1, 1)]) == f"{begin}it must have 4 axes, but has 2"
    refused = message_of(made, [(1, 1, 9, 8), (1, 1, 4, 3)])
    assert refused == f"{begin}height of left must be h + w, but is 9"


def test_a_unet_says_its_sizes_everywhere() -> None:
    path = ROOT / "specs" / "unet.loom"
    spec = check_file(path)
    graph = spec.networks["unet"].graph
    found = admissible_sizes(graph)
    assert sizes_text(found) == [
        "image: batch any; channels 1; height a multiple of 16; width a multiple of 16"
    ]
    words = [each["words"] for each in sizes_json(found)["inputs"]["image"]]
    assert words == ["any", "1", "a multiple of 16", "a multiple of 16"]
    assert json.loads(model_metadata(spec, "unet")["netloom.sizes"]) == sizes_json(found)
    with torch.device("meta"):
        made = module(graph)
    message = "unet takes image of [N, 1, 16*h, 16*w]: height must be a multiple of 16, but is 40"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        made(torch.zeros(1, 1, 40, 32, device="meta"))
    assert made(torch.zeros(1, 1, 48, 32, device="meta")).shape == (1, 2, 48, 32)


@pytest.mark.parametrize(
    ("shape", "body", "words"),
    [
        ("N, 3, 16*h, 16*w", "relu", ["any", "3", "a multiple of 16", "a multiple of 16"]),
        (
            "N, 3, 16*h, w",
            "conv(1, 17)",
            ["any", "3", "a multiple of 16, at least 32", "at least 17"],
        ),
        ("N, 3, h, h", "conv(1, 9)", ["any", "3", "at least 9", "the same as height"]),
        ("N, 3, 224, 2*h", "relu", ["any", "3", "224", "a multiple of 2"]),
        ("N, 3, 2*h + 1, h", "relu", ["any", "3", "2*h + 1", "any"]),
        ("N, 3, 2*h + 3, 5", "relu", ["any", "3", "of the form 2*h + 3, at least 5", "5"]),
        ("N, 3, 9 - h, h", "conv(1, 3)", ["any", "3", "9 - h", "at least 3, at most 6"]),
        ("N, 3, 9 - h, 4", "relu", ["any", "3", "at most 8", "4"]),
        ("2, 3, h + w, h", "relu", ["2", "3", "of the form h + w, at least h + 1", "any"]),
    ],
)
def test_axes_are_told_in_words(shape: str, body: str, words: list[str]) -> None:
    found = admissible_sizes(built(net(body, shape)).graph)
    given = [each["words"] for each in sizes_json(found)["inputs"]["image"]]
    assert [each.replace("-h + 9", "9 - h") for each in given] == [
        each.replace(", at least h + 1", "") for each in words
    ]


SIDE = st.builds(
    "{}*h - {}*((h + {}) // {}) + {}".format,
    st.integers(-3, 3),
    st.integers(-3, 3),
    st.integers(0, 5),
    st.integers(2, 6),
    st.integers(-20, 20),
)


@given(SIDE, SIDE)
@settings(max_examples=150, deadline=None)
def test_sizes_of_one_letter_are_solved_exactly(first: str, second: str) -> None:
    holding = [
        number
        for number in range(1, 200)
        if all(Term(each).number({"h": number}) >= 1 for each in (first, second))
    ]
    text = net("relu", f"N, 3, {first}, {second}")
    if not holding:
        assert mistakes(text)[0].code in ("E301", "E206")
        return
    found = admissible_sizes(built(text).graph)
    if "h" not in found.bounds:
        return
    assert [n for n in range(1, 200) if found.contain({"N": 1, "h": n})] == holding
    if not found.conditions:
        assert found.bounds["h"].minimum == holding[0]


@pytest.mark.parametrize(
    ("shape", "body", "code", "at", "says"),
    [
        ("N, 3, 12 - h, h", "conv(4, 9) -> conv(4, [5, 1])", "E301", 3, "at least 9"),
        ("N, 3, 12 - h, h", "conv(4, [9, 1])\nconv(4, [1, 9])", "E301", 4, "at least 9"),
        ("N, 3, h, w", "repeat 80 { conv(4, 3, stride=2) }", "E301", 3, "beyond 64 bits"),
        ("N, 3, 0 - h, w", "relu", "E301", 2, "every `h`"),
        ("N, 3, 0 - h, w - h", "relu", "E301", 2, "every `h`"),
        ("N, 3, 0 - h - w, 3", "relu", "E301", 2, "every size"),
        ("N, 3, 4000000000, 4000000000", "relu", "E217", 2, "64 bits"),
        ("N, 3, 4000000000*h, 4000000000", "relu", "E217", 2, "64 bits"),
        ("N, 3, h, w", "conv(4, 3)\nrepeat 8 { deconv(4, 2, stride=999) }", "E217", 4, "64 bits"),
        ("N, 3, h, w", "repeat 3200 { deconv(4, 2, stride=2) }", "E217", 3, "64 bits"),
        ("N, 3, h, w", "repeat 400 { conv(4, 3, stride=3) -> deconv(4, 2, stride=2) }", "E217", 3,
         "too complicated"),
        ("N, 3, h, w", "repeat 3200 { maxpool(100) }", "E217", 3, "too complicated"),
        ("1, 3, 1, 1", "groupnorm(3)", "E301", 3, "too small"),
        ("N, 3, 5, w", "conv(4, 7)", "E209", 3, "does not fit"),
        ("N, 3, 5, 0", "conv(4, 3)", "E206", 2, "at least 1"),
    ],
)  # fmt: skip
def test_impossible_sizes_are_told_at_their_place(
    shape: str, body: str, code: str, at: int, says: str
) -> None:
    (found,) = mistakes(net(body, shape))
    assert found.code == code
    assert says in found.message
    assert found.span is not None
    assert found.span.source.position(found.span.start)[0] == at


def test_a_chain_of_valid_layers_has_its_minimum_at_any_depth() -> None:
    found = admissible_sizes(built(net("repeat 3200 { conv(4, 3) }", "N, 3, h, w")).graph)
    assert found.bounds["h"] == Bounds(6401)
    found = admissible_sizes(
        built(net("repeat 30 { conv(4, [3, 1], stride=[2, 1]) }", "N, 3, h, w")).graph
    )
    assert found.bounds["h"] == Bounds(2**31 - 1)


@every_own
def test_sizes_to_try_are_admissible_and_differ(text: str) -> None:
    graph = built(text).graph
    found = admissible_sizes(graph)
    first, second = small_sizes(graph)
    assert found.contain(first)
    assert found.contain(second)
    assert (first["N"], second["N"]) == (1, 3)
    if not found.conditions and len(first) > 2:
        assert first["h"] != first["w"]
    lower = {name: found.bounds[name].minimum for name in first}
    if found.contain(lower) and len(set(lower.values())) == len(lower):
        assert first == lower


def test_the_zoo_has_no_undecided_equality(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(Undecided, "__init__", lambda self: made.append(self))
    for path in sorted((ROOT / "specs").glob("*.loom")):
        for network in check_file(path).networks.values():
            admissible_sizes(network.graph)
    assert not made


@pytest.mark.parametrize("dynamic", [None, True])
def test_the_check_is_compiled_with_the_module(dynamic: bool | None) -> None:
    made = module(built(VALID).graph).eval()
    compiled = torch.compile(made, fullgraph=True, dynamic=dynamic, backend="eager")
    for shape in ((1, 1, 31, 33), (2, 1, 40, 31), (3, 1, 47, 55)):
        x = torch.rand(shape)
        assert torch.equal(compiled(x), made(x))


@pytest.mark.parametrize("strict", [False, True])
def test_the_check_is_exported_with_its_bounds(strict: bool) -> None:
    made = module(built(UNET).graph).eval()
    found = admissible_sizes(built(UNET).graph)
    least = {name: found.bounds[name].minimum for name in ("h", "w")}
    h, w = (torch.export.Dim(name, min=low, max=99) for name, low in least.items())
    sizes = {"image": {0: torch.export.Dim("N"), 2: 8 * h, 3: 8 * w}}
    x = torch.rand(2, 1, 8 * least["h"] + 24, 8 * least["w"] + 16)
    exported = torch.export.export(made, (x,), dynamic_shapes=sizes, strict=strict)
    other = torch.rand(3, 1, 8 * least["h"] + 8, 8 * least["w"] + 8)
    assert torch.allclose(exported.module()(other), made(other), atol=1e-6)


def test_a_file_of_another_size_is_refused_in_the_same_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from netloom.emit import onnx
    from netloom.emit.weights import initial
    from netloom.runtime.predict import predict
    from netloom.runtime.sessions import open_session

    spec = check(Source("unet.loom", UNET))
    graph = spec.networks["unet"].graph
    session = open_session(onnx.model_bytes(graph, initial(graph), model_metadata(spec, "unet")))
    numpy.save(tmp_path / "odd.npy", numpy.zeros((1, 1, 44, 64), "float32"))
    with pytest.raises(Failed) as failed:
        predict(session, [tmp_path / "odd.npy"], 1)
    (found,) = failed.value.diagnostics
    with pytest.raises(ValueError, match="height must be") as refused:
        module(graph)(torch.zeros(1, 1, 44, 64))
    assert found.code == "E605"
    assert found.message.endswith(str(refused.value))


NO_SIZE = '{"inputs": {"x": [{"size": "1 +"}]}, "free": {}, "conditions": []}'


@pytest.mark.parametrize("text", ["{", "[]", '{"inputs": {}}', NO_SIZE])
def test_damaged_metadata_is_told(text: str) -> None:
    with pytest.raises(Failed) as failed:
        admissible_from({"netloom.sizes": text})
    assert failed.value.diagnostics[0].code == "E604"


def test_called_networks_do_not_check() -> None:
    text = """
network inner {
    input x: float32[N, 3, h, w]
    head y = conv(3, 3)
}
network outer {
    input image: float32[N, 3, 2*h, 2*w]
    head y = inner
}
"""
    graphs = {name: each.graph for name, each in check(Source("a.loom", text)).networks.items()}
    for graph in graphs.values():
        emitted = source(graph)
        assert emitted.count("def check_sizes(") == emitted.count("        check_sizes(") == 1
    assert admissible_sizes(graphs["inner"]).bounds["h"] == Bounds(3)
    assert admissible_sizes(graphs["outer"]).bounds["h"] == Bounds(2)
