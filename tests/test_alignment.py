"""Joins whose paths look at different places: what is told, what is silent, what would help."""

import itertools
import re

import pytest

from netloom.compile import Network, check
from netloom.diagnostics import Diagnostic, Failed, Source
from netloom.ir.field import Field, Varying


def checked(body: str, shape: str = "h, w") -> tuple[Network, tuple[Diagnostic, ...]]:
    text = f"network net {{ input x: float32[N, 1, {shape}]\n{body}\nhead last = relu }}"
    spec = check(Source("net.loom", text))
    return spec.networks["net"], spec.warnings


def warned(body: str, shape: str = "h, w") -> list[str]:
    return [each.message for each in checked(body, shape)[1] if each.code == "W202"]


def summary(network: Network, axis: str) -> tuple[tuple[int | str, ...], object, object]:
    extent = network.fields[network.graph.heads[0].value]["x"][axis]
    if isinstance(extent, Varying):
        return extent.sizes, extent.strides, None
    assert isinstance(extent, Field), extent
    return extent.sizes, (extent.stride,), extent.offset


PARALLEL = "add { conv(1, 1, stride=4)  { %s -> conv(1, 3, stride=2) -> conv(1, 1, stride=2) } }"


def test_a_shift_by_padding_keeps_paths_aligned() -> None:
    network, warnings = checked(PARALLEL % "pad(1, 0)", "4*h, 4*w")
    assert not warnings
    assert summary(network, "h") == ((3,), (4,), -1)


@pytest.mark.parametrize(
    ("shape", "offset", "aligned"),
    [("9, 9", -1, True), ("8, 8", 0, False), ("4*h, 4*w", 0, False), ("2*h + 1, 5", -1, True)],
)
def test_same_padding_depends_on_the_size(shape: str, offset: int, aligned: bool) -> None:
    network, warnings = checked(PARALLEL % "same_pad(3, stride=2)", shape)
    assert summary(network, "h") == ((3,), (4,), offset)
    assert ("W202" not in {each.code for each in warnings}) == aligned


def test_same_padding_of_any_size_has_an_offset_that_varies() -> None:
    network, warnings = checked(PARALLEL % "same_pad(3, stride=2)")
    assert summary(network, "h") == ((3,), (4,), None)
    (told,) = warnings
    assert "along h of `x`, for h = 2, 4, …" in told.message


def test_strides_that_differ_are_told_with_both() -> None:
    body = "add { { pad(2, 1) -> conv(1, 5, stride=2) }  conv(1, 3) -> conv(1, 3) }"
    (told,) = warned(body, "8, 8")
    assert "the strides are 2 and 1 pixels, along h and w of `x`" in told


def test_axes_and_phases_are_independent() -> None:
    network, _ = checked("conv(1, [3, 5], stride=2) -> conv(1, [3, 1], stride=2)")
    assert summary(network, "h") == ((7,), (4,), 0)
    assert summary(network, "w") == ((5,), (4,), 0)


def test_an_upsampled_path_is_aligned_on_average() -> None:
    up = "add { in  { maxpool(2) -> %s } }"
    for stage in ("upsample(2)", 'upsample(2, "bilinear")', "deconv(1, 2, stride=2)"):
        assert not warned(up % stage, "2*h, 2*w"), stage
    assert not warned(up % "deconv(1, 4, stride=2, pad=1)", "2*h, 2*w")
    (told,) = warned(up % "deconv(1, 3, stride=2, pad=1, output_pad=1)", "2*h, 2*w")
    assert "the centres lie at 0 and 0.5 pixels" in told


def test_a_gate_by_channels_has_no_place() -> None:
    assert not warned("gate { conv(1, 2) -> global_avgpool -> sigmoid }")
    assert warned("gate { pad([2, 0], 0) -> conv(1, [3, 1]) -> sigmoid }")


def test_unaligned_says_that_it_is_meant() -> None:
    shifted = "{ pad(2, 0) -> conv(1, 3) }"
    for join in ("concat", "add", "mul"):
        assert warned(f"{join} {{ in  {shifted} }}")
        assert not warned(f"{join} unaligned {{ in  {shifted} }}")
    assert warned(f"residual {shifted}")
    assert not warned(f"residual unaligned {shifted}")
    assert not warned(f"residual unaligned if 1 < 2 {shifted} shortcut {{ conv(1, 1) }}")
    assert not warned(f"gate unaligned {shifted}")


def test_unaligned_does_not_make_it_aligned() -> None:
    body = "add unaligned { in  { pad(2, 0) -> conv(1, 3) } }\nrequire aligned(y)"
    with pytest.raises(Failed, match="requirement does not hold"):
        checked(body.replace("add", "y = add", 1))


def test_one_mistake_is_told_once() -> None:
    later = "residual { conv(1, 3, pad=1) }\n" * 3
    assert len(warned("residual { pad(2, 0) -> conv(1, 3) }\n" + later)) == 1
    two = "residual { pad(2, 0) -> conv(1, 3) }\n" * 2
    assert len(warned(two)) == 2
    assert len(warned("repeat 5 { residual { pad(2, 0) -> conv(1, 3) } }")) == 1


def test_both_paths_are_shown() -> None:
    _, (told,) = checked("a = conv(1, 3, pad=1)\nb = x -> pad(2, 0) -> conv(1, 3)\nadd { a b }")
    assert [note.message for note in told.notes] == [
        "`a`: stride 1, first centre at 0 pixels",
        "`b`: stride 1, first centre at -1 pixels",
    ]


Window = tuple[int, int, int]
"""Kernel, stride and padding."""


def positions(window: Window, length: int) -> int:
    kernel, stride, pad = window
    return (length + 2 * pad - kernel) // stride + 1


def is_misaligned(one: Window, other: Window) -> bool:
    """Whether two windows give as many positions for even lengths, but look at other places."""
    equal = all(positions(one, n) == positions(other, n) for n in range(10, 42, 2))
    return equal and one[1] == other[1] and one[0] - 2 * one[2] != other[0] - 2 * other[2]


WINDOWS = [
    window
    for window in itertools.product((1, 2, 3, 4, 5, 6), (1, 2, 3), (0, 1, 2))
    if window[2] < window[0]
]
PAIRS = [pair for pair in itertools.combinations(WINDOWS, 2) if is_misaligned(*pair)]


def written(window: Window) -> str:
    kernel, stride, pad = window
    return f"conv(1, {kernel}, stride={stride}, pad={pad})"


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_the_change_that_is_proposed_aligns_the_paths(one: Window, other: Window) -> None:
    _, (told,) = checked(f"add {{ {written(one)}\n{written(other)} }}", "2*h, 2*w")
    found = re.search(r"`kernel=(\d+), pad=(\d+)` in `branch(\d)`", told.help or "")
    border = re.search(
        r"`pad\((\d+), (\d+)\)` before it and no `pad` in `branch(\d)`", told.help or ""
    )
    assert found or border, told.help
    calls = [written(one), written(other)]
    if found:
        kernel, pad, branch = map(int, found.groups())
        calls[branch - 1] = written((kernel, one[1], pad))
    elif border:
        before, after, branch = map(int, border.groups())
        kernel, stride, _ = (one, other)[branch - 1]
        calls[branch - 1] = f"pad({before}, {after}) -> {written((kernel, stride, 0))}"
    assert not warned(f"add {{ {calls[0]}\n{calls[1]} }}", "2*h, 2*w"), told.help


@pytest.mark.parametrize("pool", ["maxpool(2)", "avgpool(2)", "maxpool([2, 2])"])
def test_a_pooling_keeps_its_stride(pool: str) -> None:
    body = f"add {{ {pool}  conv(1, 1, stride=2) }}"
    (told,) = checked(body, "2*h, 2*w")[1]
    found = re.search(r"`(kernel=3, pad=1, stride=2)` in `branch1`", told.help or "")
    assert found, told.help
    better = f"{pool.partition('(')[0]}({found[1]})"
    assert not warned(f"add {{ {better}  conv(1, 1, stride=2) }}", "2*h, 2*w")


def test_what_holds_for_all_sizes_names_none() -> None:
    body = "add { pad(2, 0) -> conv(1, 3)  in } -> same_pad(3, stride=2) -> conv(1, 3, stride=2)"
    (told,) = warned(body)
    assert told.endswith("along h and w of `x`")
