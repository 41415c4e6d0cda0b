"""What is counted before a network is built: bombs are refused, what is legal is not."""

import time

import pytest

from netloom.compile import check
from netloom.diagnostics import Failed, Source
from netloom.limits import DEFAULT
from specimens import built, mistakes, net

A_NETWORK = "network a {{ input x: float32[N, 3, 32, 32]\n {} \n head out = relu }}\n"

LEGAL = {
    "a branch that is not taken": net(
        "if image.channels == 3 { relu } else { repeat 300_000 { relu } }"
    ),
    "repeated never": net("repeat 0 { repeat 300_000 { relu } }"),
    "a branch that an unknown size decides": (
        "block b(c: int) { if c == 3 { relu } else { repeat 300_000 { relu } } }\n"
        + net("b(image.channels)")
    ),
    "a default that a parameter does not change": (
        "let n = 3\nblock b(n: int, m: int = n) { repeat m { relu } }\n" + net("b(300_000)")
    ),
    "a share that hides its block": (
        "block f(n: int) { repeat n { relu } }\n" + net("share f = f(5)\nf f")
    ),
    "a value that hides a block": (
        "block f(n: int = 90_000) { repeat n { repeat n { relu } } }\n"
        + net("f = relu\nf -> relu\nadd { f f }")
    ),
    "a head for training": (
        A_NETWORK.format("train head aux = repeat 150 { relu }") + net("repeat 2 { relu }\na")
    ),
}


@pytest.mark.parametrize("legal", LEGAL)
def test_what_is_legal_is_not_refused(legal: str) -> None:
    assert check(Source("net.loom", LEGAL[legal])).networks


def test_heads_for_training_of_a_called_network_count_once() -> None:
    limits = DEFAULT._replace(nodes=400)
    assert check(Source("net.loom", LEGAL["a head for training"]), limits=limits).networks


def test_what_is_set_from_outside_is_what_counts() -> None:
    text = "network m(n: int = 300_000) { input x: float32[N, 3, 8, 8]\n repeat n { relu }\n"
    source = Source("net.loom", text + "head out = relu }")
    assert check(source, ["n=3"]).networks
    with pytest.raises(Failed) as failed:
        check(source, ["n=400_000"])
    assert [found.code for found in failed.value.diagnostics] == ["E217"]


@pytest.mark.parametrize("body", ["f f f", "add { f f }", "residual { f f }", "gate { f f f }"])
def test_calls_of_what_is_shared_count(body: str) -> None:
    block = "block f(n: int) { repeat n { relu } }\n"
    (found,) = mistakes(block + net(f"share f = f(20_000)\nrepeat 9_999 {{ {body} }}"))
    assert found.code == "E217"
    assert found.span
    assert found.span.source.text[found.span.start :].startswith("repeat 9_999")


def test_the_innermost_stage_that_is_too_much_is_shown() -> None:
    (found,) = mistakes(net("repeat 3 { repeat 300_000 { relu } }"))
    assert found.span
    assert found.span.source.text[found.span.start :].startswith("repeat 300_000")


def test_blocks_that_count_in_their_arguments_are_not_counted_for_ever() -> None:
    blocks = "".join(
        f"block b{i}(n: int) {{ if in.channels == 3 {{ b{i + 1}(2 * n) }} else {{ b{i + 1}(n) }}\n"
        f"if in.channels == 3 {{ b{i + 1}(2 * n + 1) }} else {{ relu }} }}\n"
        for i in range(40)
    )
    text = blocks + "block b40(n: int) { relu }\n" + net("b0(1)")
    begin = time.process_time()
    with pytest.raises(Failed) as failed:
        check(Source("net.loom", text), limits=DEFAULT._replace(nodes=1_000))
    assert [found.code for found in failed.value.diagnostics] == ["E217"]
    assert time.process_time() - begin < 3


def test_many_branches_need_no_recursion() -> None:
    branches = "else if image.channels == 6 { relu } " * 120
    text = net("if image.channels == 5 { relu } " + branches + "else { conv(3, 1) }")
    assert built(text).cost.params == 12
