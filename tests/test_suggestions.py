"""Suggestions: each is made where it is true, is silent where it is not, and its numbers hold."""

import json
import math
import subprocess
import sys
from typing import Any

import pytest
import torch

from netloom.compile import Network, check
from netloom.diagnostics import Source
from netloom.emit.torch import module
from netloom.ir.dims import evaluate_to_int
from netloom.passes.suggestions import Suggestion, suggestions


def network(body: str, shape: str = "N, 6, 2*h, 2*w") -> Network:
    text = f"network net {{ input x: float32[{shape}]\n{body}\n}}"
    return check(Source("net.loom", text)).networks["net"]


def suggested(body: str, shape: str = "N, 6, 2*h, 2*w") -> list[Suggestion]:
    return suggestions(network(body, shape))


def kinds(body: str, shape: str = "N, 6, 2*h, 2*w") -> list[str]:
    return [each.kind for each in suggested(body, shape)]


def saved(body: str, better: str, shape: str = "N, 6, 2*h, 2*w") -> tuple[int, int]:
    """Parameters and MACs that the second body has fewer, as the compiler counts both."""
    before, after = network(body, shape).cost, network(better, shape).cost
    sizes = {"N": 1, "h": 8, "w": 9}
    macs = [evaluate_to_int(each.macs, sizes) for each in (before, after)]
    return before.params - after.params, macs[0] - macs[1]


def numbers(suggestion: Suggestion) -> tuple[int, int]:
    return suggestion.saved_params, evaluate_to_int(suggestion.saved_macs, {"h": 8, "w": 9, "N": 1})


PUT_RIGHT = [
    (
        "smaller-kernels",
        "head y = conv(6, 5, pad=2)",
        "head y = conv(6, 3, pad=1) -> conv(6, 3, pad=1)",
    ),
    (
        "smaller-kernels",
        "head y = conv(12, 7, pad=3, groups=2, bias=false)",
        "repeat 3 { conv(12, 3, pad=1, groups=2, bias=false) } head y = relu",
    ),
    ("smaller-kernels", "head y = conv(6, 5)", "head y = conv(6, 3) -> conv(6, 3)"),
    (
        "bias-before-batchnorm",
        "head y = conv(8, 3) -> batchnorm",
        "head y = conv(8, 3, bias=false) -> batchnorm",
    ),
    (
        "bias-before-batchnorm",
        "head y = deconv(8, 2, stride=2) -> batchnorm",
        "head y = deconv(8, 2, stride=2, bias=false) -> batchnorm",
    ),
    ("linear-chain", "head y = conv(40, 3) -> conv(4, 1)", "head y = conv(4, 3)"),
    (
        "linear-chain",
        "global_avgpool -> flatten head y = linear(40) -> linear(3, bias=false)",
        "global_avgpool -> flatten head y = linear(3)",
    ),
    (
        "unread-channels",
        "a, b = conv(8, 3) -> split(2) head y = a",
        "a = conv(4, 3) head y = a",
    ),
    ("unread-channels", "conv(9, 1) -> relu a, b, c = split(3) head y = b", "head y = conv(3, 1)"),
]


@pytest.mark.parametrize(("kind", "body", "better"), PUT_RIGHT)
def test_the_numbers_are_those_of_the_spec_put_right(kind: str, body: str, better: str) -> None:
    (found,) = suggested(body)
    assert found.kind == kind
    assert numbers(found) == saved(body, better)
    assert kind not in kinds(better)


def test_smaller_kernels_see_the_same() -> None:
    for kind, body, better in PUT_RIGHT[:3]:
        assert kind == "smaller-kernels"
        one, other = (network(each) for each in (body, better))
        heads = [each.fields[each.graph.heads[0].value] for each in (one, other)]
        assert heads[0] == heads[1]


def test_smaller_kernels_are_named_with_their_weights() -> None:
    (found,) = suggested("head y = conv(64, 5, pad=2, bias=false)", "N, 64, 28, 28")
    assert "with 73,728 instead of 102,400 weights, 28 % fewer" in found.message
    assert found.saved_macs == (102_400 - 73_728) * 28 * 28


@pytest.mark.parametrize(
    "body",
    [
        "head y = conv(6, 5, stride=2, pad=2)",
        "head y = conv(6, 5, dilation=2, pad=4)",
        "head y = conv(6, [5, 3], pad=[2, 1])",
        "head y = conv(6, 4, pad=1)",
        "head y = conv(6, 5, pad=1)",
        "head y = conv(60, 5, pad=2)",  # from 6 to 60 channels two small ones have more weights
        "head y = conv(8, 3, bias=false) -> batchnorm",
        "a = conv(8, 3) b = a -> batchnorm head y = add { a  b }",
        "head y = conv(8, 3) -> relu -> conv(4, 1)",
        "head y = conv(2, 3) -> conv(40, 1)",
        "head y = relu -> maxpool(3, 1, 1)",
        "a, b = conv(8, 3) -> split(2) head y = concat { b a }",
        "head y = deconv(6, 4, stride=2, pad=1)",
        "head y = conv(6, 1, stride=2)",
        "head y = relu -> maxpool(2, stride=1, pad=1)",  # which makes the map larger
        # What is shared is used in another way at its other call.
        "share c = conv(8, 3) a = x -> c -> batchnorm b = x -> c -> relu head y = add { a b }",
        "share c = conv(8, 1) a = x -> c -> conv(4, 1) b = x -> c -> relu head a head b",
        "share d = conv(4, 1) a = conv(8, 1) -> d b = x -> conv(8, 1) -> relu -> d head a head b",
        "share c = conv(8, 1) a, b = x -> c -> split(2) d = x -> relu -> c head a head d",
        "conv(4, 1) head y = conv(2, 1, stride=100_000_007)",  # too many to be counted
    ],
)
def test_silence_where_nothing_is_to_be_had(body: str) -> None:
    assert not suggested(body)


@pytest.mark.parametrize(
    ("kind", "body", "better"),
    [
        (
            "bias-before-batchnorm",
            "share c = conv(8, 3) a = x -> c -> batchnorm b = x -> relu -> c -> batchnorm "
            "head a head b",
            "share c = conv(8, 3, bias=false) a = x -> c -> batchnorm "
            "b = x -> relu -> c -> batchnorm head a head b",
        ),
        (
            "linear-chain",
            "share c = conv(64, 1) share d = conv(4, 1) a = x -> c -> d b = x -> relu -> c -> d "
            "head a head b",
            "share c = conv(4, 1) a = x -> c b = x -> relu -> c head a head b",
        ),
        (
            "smaller-kernels",
            "share c = conv(6, 5, pad=2) a = x -> c b = x -> relu -> c head a head b",
            "share c = conv(6, 3, pad=1) share d = conv(6, 3, pad=1) "
            "a = x -> c -> d b = x -> relu -> c -> d head a head b",
        ),
    ],
)
def test_weights_that_are_shared_are_saved_once(kind: str, body: str, better: str) -> None:
    found = suggested(body)
    assert {each.kind for each in found} == {kind}
    assert tuple(map(sum, zip(*map(numbers, found), strict=True))) == saved(body, better)


def outputs(net: Network, state: dict[str, Any], inputs: torch.Tensor) -> torch.Tensor:
    emitted = module(net.graph).double().eval()
    emitted.load_state_dict(state)
    with torch.no_grad():
        found: torch.Tensor = emitted(inputs)
    return found


def test_pooling_and_activation_can_be_exchanged() -> None:
    (found,) = suggested("head y = relu -> maxpool(3, 2, pad=1)")
    assert found.kind == "activation-before-pooling"
    assert "6*h*w instead of 24*h*w elements" in found.message
    inputs = torch.randn(2, 6, 10, 12, dtype=torch.float64)
    one = outputs(network("head y = relu -> maxpool(3, 2, pad=1)"), {}, inputs)
    other = outputs(network("head y = maxpool(3, 2, pad=1) -> relu"), {}, inputs)
    assert torch.equal(one, other)


def test_a_bias_before_batchnorm_changes_nothing_in_training() -> None:
    emitted: Any = module(network("c = conv(8, 3) head y = batchnorm").graph).double().train()
    inputs = torch.randn(2, 6, 10, 12, dtype=torch.float64)
    before = emitted(inputs)
    with torch.no_grad():
        emitted.c.bias.add_(torch.randn(8))
    assert torch.allclose(emitted(inputs), before)


def test_unread_channels_change_nothing() -> None:
    net = network(
        "c = conv(9, 1) -> relu\na, b, d = split(3)\nhead y = concat { a  d } -> conv(2, 1)"
    )
    (found,) = suggestions(net)
    assert (found.kind, found.layer.name) == ("unread-channels", "c")
    assert found.message == "3 of its 9 channels are read by no head"
    emitted: Any = module(net.graph).double().eval()
    inputs = torch.randn(2, 6, 4, 4, dtype=torch.float64)
    with torch.no_grad():
        before = emitted(inputs)
        emitted.c.weight[3:6] += 1
        assert torch.equal(emitted(inputs), before)
        emitted.c.weight[2] += 1
        assert not torch.allclose(emitted(inputs), before)


@pytest.mark.parametrize(
    ("body", "shape", "share"),
    [
        ("conv(4, 3) head y = conv(2, 1, stride=2)", "N, 6, h, w", "3/4"),
        ("conv(4, 3) head y = conv(2, [1, 2], stride=[3, 2])", "N, 6, h, w", "2/3"),
        ("conv(4, 3) head y = maxpool(2)", "N, 6, 11, 10", "1/9"),
        ("conv(4, 3) -> gelu -> silu head y = maxpool(2)", "N, 6, 11, 10", "1/9"),
        (
            "conv(4, 3) head y = add { conv(2, 1, stride=2)  relu -> conv(2, 1, stride=2) }",
            "N, 6, h, w",
            "3/4",
        ),
        ("conv(4, 3, pad=1) head y = conv(2, 1, stride=3, dilation=1)", "N, 6, 5, 5", "21/25"),
    ],
)
def test_unread_positions(body: str, shape: str, share: str) -> None:
    (found,) = suggested(body, shape)
    assert found.kind == "unread-positions"
    assert found.message.startswith(f"{share} of the positions of `conv1`")


def test_unread_positions_are_those_of_all_readers() -> None:
    two = "a = conv(4, 3, pad=1) b = conv(4, %s) head y = add { b  { a -> conv(4, 1, stride=2) } }"
    assert not suggested(two % "3, stride=2, pad=1")
    assert kinds(two % "1, stride=2") == ["unread-positions"]
    assert not suggested("a = conv(4, 3) b = relu -> conv(4, 1, stride=2) head a head y = b")
    cropped = "b = conv(4, 5) head y = x -> conv(4, 3) -> crop(like=b)"
    assert "unread-positions" not in kinds(cropped, "N, 6, 9, 9")
    assert not suggested("a = conv(4, 3) b = maxpool(2) head a head y = b", "N, 6, 11, 10")


def test_fields_beyond_the_image() -> None:
    deep = "repeat %d { conv(6, 3, pad=1) } head y = relu"
    (found,) = suggested(deep % 11, "N, 6, 9, 9")
    # Behind eight layers the first position sees up to the ninth pixel.
    assert found.layer.name == "repeat1.8"
    assert "sees the image from end to end" in found.message
    assert found.message.endswith("; so do that of 2 more")
    assert not suggested(deep % 8, "N, 6, 9, 9")
    assert not suggested(deep % 11, "N, 6, h, w")


def test_a_field_as_large_as_the_image_is_not_all_of_it() -> None:
    body = "conv(2, 17, pad=8) -> relu -> conv(4, 3, pad=1) head y = relu"
    assert "beyond-the-image" not in kinds(body, "N, 9, 16, 16")


@pytest.mark.parametrize("activation", ["relu6", "tanh", "sigmoid", "leaky_relu(0.1)", "elu"])
def test_any_activation_that_never_falls_can_be_exchanged(activation: str) -> None:
    (found,) = suggested(f"head y = {activation} -> maxpool(2)")
    assert found.kind == "activation-before-pooling"
    assert not suggested("head y = leaky_relu(-0.1) -> maxpool(2)")
    assert not suggested("head y = gelu -> maxpool(2)")


def test_uneven_deconvolutions() -> None:
    (found,) = suggested("head y = deconv(6, 3, stride=2)")
    assert "sums over 1 or 2 inputs in turn" in found.message
    assert "a kernel of 4 would be even" in found.message


@pytest.mark.parametrize("stride", range(1, 5))
@pytest.mark.parametrize("dilation", range(1, 5))
def test_deconvolutions_are_uneven_where_outputs_have_different_numbers_of_taps(
    stride: int, dilation: int
) -> None:
    for kernel in range(1, 7):
        length = dilation * (kernel - 1) + 1
        filters = torch.nn.ConvTranspose2d(
            1, 1, (kernel, 1), (stride, 1), dilation=(dilation, 1), bias=False
        )
        torch.nn.init.ones_(filters.weight)
        row = filters(torch.ones(1, 1, 60, 1)).flatten()[length : length + stride]
        counts = sorted({round(each) for each in row.tolist()})
        call = f"deconv(6, [{kernel}, 1], stride=[{stride}, 1], dilation=[{dilation}, 1])"
        found = [each.message for each in suggested(f"head y = {call}")]
        assert len(found) == (len(counts) > 1)
        if found:
            assert f"sums over {' or '.join(map(str, counts))} inputs" in found[0]
            assert ("without dilation" in found[0]) == (math.gcd(stride, dilation) > 1)


def test_a_block_is_told_of_once() -> None:
    text = """
        block unit() { conv(8, 3, pad=1) -> batchnorm -> relu }
        network net { input x: float32[N, 8, h, w] repeat 5 { unit } head y = relu }
    """
    found = suggestions(check(Source("net.loom", text)).networks["net"])
    assert [each.kind for each in found] == ["bias-before-batchnorm"]


def test_what_all_calls_of_a_block_would_save_is_added() -> None:
    text = """
        block unit(ch: int) { conv(ch, 5, pad=2) }
        network net { input x: float32[N, 8, 32, 32] repeat 3 { unit(8) } unit(6) head y = relu }
    """
    (found,) = suggestions(check(Source("net.loom", text)).networks["net"])
    better = text.replace("conv(ch, 5, pad=2)", "conv(ch, 3, pad=1) -> conv(ch, 3, pad=1)")
    costs = [check(Source("net.loom", each)).networks["net"].cost for each in (text, better)]
    assert found.times == 4
    assert found.saved_params == costs[0].params - costs[1].params
    assert found.saved_macs == costs[0].macs - costs[1].macs


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "netloom", "explain", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_on_the_command_line() -> None:
    spec = "specs/mobilenet_v3.loom"
    told = run(spec, "--suggest")
    assert told.returncode == 0
    assert "mobilenet_v3_large: 1 suggestion" in told.stdout
    assert f"{spec}:20:9  smaller-kernels: `bneck5.conv2` and 3 more of this line" in told.stdout
    assert "saves 15,120 parameters and 40,320*h*w MACs in all" in told.stdout
    assert "nothing to suggest" in run("specs/lenet.loom", "--suggest").stdout
    document = json.loads(run(spec, "--suggest", "--json").stdout)
    (found,) = document["networks"]["mobilenet_v3_large"]["suggestions"]
    assert (found["line"], found["times"], found["saved_params"]) == (20, 4, 15_120)
    assert run(spec, "--suggest", "--csv").returncode == 2
