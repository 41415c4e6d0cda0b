"""Receptive fields of whole networks: against experiments, and against published numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import pytest
import torch
from torch import nn

from comparisons import (
    compare_emitted_pytorch,
    compare_fields,
    compare_macs,
    compare_onnx,
    compare_parameters,
    compare_shapes,
    compare_training,
)
from netloom.compile import check
from netloom.diagnostics import Failed, Source
from netloom.ir.field import Extent, Field
from oracles.architectures import alexnet, discriminator, lenet, patchgan, pnet, resnet18, vgg16
from oracles.case import Case
from oracles.networks import NETWORKS
from oracles.reach import measure_deep

every_network = pytest.mark.parametrize("case", NETWORKS, ids=str)


@every_network
def test_fields_are_what_changes_the_output(case: Case) -> None:
    compare_fields(case)


@every_network
def test_the_other_facts_hold_too(case: Case) -> None:
    compare_shapes(case)
    compare_parameters(case)
    compare_macs(case)


@every_network
def test_what_is_emitted_computes_the_same(case: Case) -> None:
    compare_emitted_pytorch(case)
    compare_training(case)
    compare_onnx(case)


BASIC = """
block basic(ch: int, stride: int = 1) {
    residual {
        conv(ch, 3, stride=stride, pad=1, bias=false) -> batchnorm -> relu
        conv(ch, 3, pad=1, bias=false) -> batchnorm
    } shortcut if stride != 1 or in.channels != ch {
        conv(ch, 1, stride=stride, bias=false) -> batchnorm
    }
    relu
}
"""


@dataclass(frozen=True)
class Published:
    """A network of the literature with its last map's extent, stride and padding, in pixels."""

    title: str
    body: str
    size: int
    stride: int
    pad: int
    reference: Callable[[], nn.Module]

    def __str__(self) -> str:
        return self.title

    @property
    def text(self) -> str:
        return f"{BASIC}network net {{ input x: float32[N, 1, h, w]\n{self.body}\nhead y = relu }}"


PUBLISHED = [
    Published(
        "LeNet, up to S4",
        "conv(1, 5) avgpool(2) conv(1, 5) avgpool(2)",
        16,
        4,
        0,
        lenet,
    ),
    Published(
        "AlexNet",
        """
        conv(1, 11, stride=4, pad=2) -> relu -> maxpool(3, stride=2)
        conv(1, 5, pad=2) -> relu -> maxpool(3, stride=2)
        repeat 3 { conv(1, 3, pad=1) -> relu }
        maxpool(3, stride=2)
        """,
        195,
        32,
        66,
        alexnet,
    ),
    Published(
        "VGG-16",
        """
        repeat 2 { repeat 2 { conv(1, 3, pad=1) -> relu }  maxpool(2) }
        repeat 3 { repeat 3 { conv(1, 3, pad=1) -> relu }  maxpool(2) }
        """,
        212,
        32,
        90,
        vgg16,
    ),
    Published(
        "ResNet-18",
        """
        conv(1, 7, stride=2, pad=3, bias=false) -> batchnorm -> relu -> maxpool(3, 2, pad=1)
        repeat 2 { basic(1) }
        repeat 3 { basic(1, stride=2)  basic(1) }
        """,
        435,
        32,
        217,
        resnet18,
    ),
    Published(
        "PatchGAN",
        "repeat 3 { conv(1, 4, stride=2, pad=1) } repeat 2 { conv(1, 4, pad=1) }",
        70,
        8,
        23,
        patchgan,
    ),
    Published(
        "MTCNN's P-Net",
        "conv(1, 3) maxpool(2, ceil=true) conv(1, 3) conv(1, 3)",
        12,
        2,
        0,
        pnet,
    ),
    Published(
        "DCGAN's discriminator",
        "repeat 4 { conv(1, 4, stride=2, pad=1) } conv(1, 4)",
        94,
        16,
        15,
        discriminator,
    ),
]

every_published = pytest.mark.parametrize("network", PUBLISHED, ids=str)


def extents(text: str) -> dict[str, Extent]:
    """What the only head of a spec sees of its only input, along each axis."""
    network = check(Source("net.loom", text)).networks["net"]
    (head,), (given,) = network.graph.heads, network.graph.inputs
    return dict(network.fields[head.value][given.name])


@every_published
def test_published_numbers(network: Published) -> None:
    for extent in extents(network.text).values():
        assert isinstance(extent, Field)
        assert extent.sizes == (network.size,)
        assert (extent.stride, extent.period) == (Fraction(network.stride), 1)
        assert extent.offset == -network.pad


@every_published
def test_published_numbers_are_what_gradients_show(network: Published) -> None:
    length = network.size + 8 * network.stride
    middle = length // network.stride // 2
    inputs = torch.empty(1, 1, length, 64)
    module = network.reference().double()
    first, second = measure_deep(module, inputs, 2, (middle, middle + 1))
    begin = middle * network.stride - network.pad
    assert first == (begin, begin + network.size - 1)
    assert second == (begin + network.stride, begin + network.stride + network.size - 1)


@pytest.mark.parametrize(
    ("body", "shape", "expected"),
    [
        # Kernel and stride belong to the same layer; with another's stride this would be 5.
        ("conv(1, 3) -> maxpool(2)", "h, w", {"h": (4, 2, 0), "w": (4, 2, 0)}),
        # The axes are independent.
        (
            "conv(1, [3, 5], stride=2) -> conv(1, [3, 1], stride=2)",
            "h, w",
            {"h": (7, 4, 0), "w": (5, 4, 0)},
        ),
        # The shorter branch is aligned with the longer, which is the whole answer.
        (
            "add { conv(1, 1, stride=4)  conv(1, 3, stride=2, pad=1) -> conv(1, 1, stride=2) }",
            "4*h, 4*w",
            {"h": (3, 4, -1), "w": (3, 4, -1)},
        ),
        # The field of FCN's scores; the padding of 100 moves it and does not enlarge it.
        (
            "conv(1, 3, pad=100) conv(1, 3, pad=1) maxpool(2)"
            " repeat 2 { conv(1, 3, pad=1) } maxpool(2)"
            " repeat 3 { repeat 3 { conv(1, 3, pad=1) } maxpool(2) } conv(1, 7)",
            "h, w",
            {"h": (404, 32, -189), "w": (404, 32, -189)},
        ),
    ],
)
def test_small_vectors(body: str, shape: str, expected: dict[str, tuple[int, int, int]]) -> None:
    text = f"network net {{ input x: float32[N, 1, {shape}]\n{body}\nhead y = relu }}"
    for axis, extent in extents(text).items():
        assert isinstance(extent, Field)
        assert (*extent.sizes, extent.stride, extent.offset) == expected[axis]


UNET = """
block twice() { conv(1, 3, pad=1) -> conv(1, 3, pad=1) }
network net {
    input x: float32[N, 1, 16*h, 16*w]
    a = twice
    b = maxpool(2) -> twice
    c = maxpool(2) -> twice
    d = maxpool(2) -> twice
    maxpool(2) -> twice
    deconv(1, 2, stride=2) -> concat { in d } -> twice
    deconv(1, 2, stride=2) -> concat { in c } -> twice
    deconv(1, 2, stride=2) -> concat { in b } -> twice
    deconv(1, 2, stride=2) -> concat { in a } -> twice
    head y = relu
}
"""


def test_the_field_of_a_unet_depends_on_the_phase() -> None:
    for extent in extents(UNET).values():
        assert isinstance(extent, Field)
        assert (extent.sizes, extent.stride, extent.period) == ((188, 204), Fraction(1), 16)


def test_paths_of_different_stride_are_misaligned() -> None:
    body = "add { conv(1, 5, stride=2, pad=2)  conv(1, 3) -> conv(1, 3) }"
    text = f"network net {{ input x: float32[N, 1, 9, 9]\n{body}\nhead y = relu }}"
    assert extents(text) == {"h": "misaligned", "w": "misaligned"}


def test_an_input_that_is_not_read_has_no_field() -> None:
    text = """
        network net {
            input x: float32[N, 1, h, w]
            input z: float32[N, 1, h, w]
            head y = x -> relu
        }
    """
    network = check(Source("net.loom", text)).networks["net"]
    assert set(network.fields[network.graph.heads[0].value]) == {"x"}


INNER = """
network net {
    input x: float32[N, 1, 16*h, 16*w]
    stem = conv(1, 7, stride=2, pad=3) -> maxpool(3, stride=2, pad=1)
    a = conv(1, 3, pad=1) -> conv(1, 3, stride=2, pad=1)
    b = residual { conv(1, 3, dilation=2, pad=2) } -> upsample(2) -> conv(1, 3)
    head c = b -> flatten
}
"""


def required(*conditions: str) -> None:
    """Checks that conditions on `INNER` hold."""
    lines = "".join(f"require {condition}\n" for condition in conditions)
    check(Source("net.loom", INNER.rstrip()[:-1] + lines + "}"))


def test_fields_of_an_inner_value() -> None:
    required("rf(a, from=stem) == 5", "stride(a, from=stem) == 2", "offset(a, from=stem) == -2")
    required("rf(a, from=x) == rf(a)", "rf(a, from=a) == 1", "offset(a) == -13")
    required("rf(b, from=a) <= 7", 'stride(b, from=a) == "1/2"', 'rf(c, from=stem) == "whole"')


def test_a_field_of_what_is_not_below_is_refused() -> None:
    with pytest.raises(Failed, match="`stem` does not depend on `a`"):
        required("rf(stem, from=a) == 1")
    with pytest.raises(Failed, match="has no argument `from`"):
        required("params(a, from=stem) == 1")
    with pytest.raises(Failed, match="exactly one value"):
        required("rf(a, of=stem) == 1")


HALVES = """
block lower() { conv(1, 7, stride=2, pad=3)  maxpool(3, stride=2, pad=1)  conv(1, 2) }
block upper() {
    residual { conv(1, 3, stride=2, pad=1)  conv(1, 3, pad=1) } shortcut { conv(1, 1, stride=2) }
    concat { maxpool(2)  conv(1, 4, stride=2, pad=1)  { conv(1, 3, pad=1) -> maxpool(2) } }
    upsample(2) -> conv(1, 3)
}
network whole {
    input x: float32[N, 1, 99, 103]
    middle = lower
    end = upper
    head y = end
    require rf(end, from=middle) == %(rf)s and stride(end, from=middle) == %(stride)s
    require offset(end, from=middle) == %(offset)s
}
network above {
    input x: float32[N, 1, 24, 25]
    head y = upper
}
"""


def test_from_an_inner_value_is_as_if_it_were_the_input() -> None:
    sound = HALVES.split("    require")[0] + "}\n" + HALVES[HALVES.index("network above") :]
    above = check(Source("net.loom", sound)).networks["above"]
    seen = above.fields[above.graph.heads[0].value]["x"]["h"]
    assert isinstance(seen, Field)
    assert len(seen.sizes) == 1
    facts = {"rf": seen.sizes[0], "stride": seen.stride, "offset": seen.offset}
    check(Source("net.loom", HALVES % facts))
    for name, wrong in (("rf", 1), ("stride", 7), ("offset", 1)):
        with pytest.raises(Failed, match=r"is -?\d"):
            check(Source("net.loom", HALVES % {**facts, name: wrong}))


def test_past_is_what_a_recurrent_layer_has_read() -> None:
    text = """
        network net {
            input x: float32[N, T, 3]
            states, last = lstm(4)
            next = states -> linear(4) -> lstm(2)
            head y = next
            require rf(states) == "past" and stride(states) == 1 and rf(last) == "whole"
            require rf(y) == "past" and rf(y, from=states) == "past"
        }
    """
    check(Source("net.loom", text))
