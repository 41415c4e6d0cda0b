"""Networks of several operators beside the same by hand, in which fields compose and meet."""

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn

from oracles.case import Case, Function, Sizes, network

WIDE: Sizes = {"N": 1, "h": 53, "w": 47}
SIDES: tuple[Sizes, ...] = (
    {"N": 1, "h": 31, "w": 23},
    {"N": 2, "h": 24, "w": 37},
    {"N": 3, "h": 40, "w": 29},
)


def named(**layers: nn.Module) -> nn.Sequential:
    """A chain whose members have names."""
    return nn.Sequential(OrderedDict(layers))


class Meet(nn.Module):
    """Branches from one value whose results meet."""

    def __init__(self, meet: Callable[[list[Tensor]], Tensor], **branches: nn.Module) -> None:
        super().__init__()
        self.meet = meet
        for name, branch in branches.items():
            self.add_module(name, branch)

    def forward(self, x: Tensor) -> Tensor:
        return self.meet([branch(x) for branch in self.children()])


class Heads(nn.Module):
    """A module whose one result is returned as the only head."""

    def __init__(self, **layers: nn.Module) -> None:
        super().__init__()
        for name, module in layers.items():
            self.add_module(name, module)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        for module in self.children():
            x = module(x)
        return (x,)


def added(xs: list[Tensor]) -> Tensor:
    """The sum of several."""
    return torch.stack(xs).sum(0)


def joined(xs: list[Tensor]) -> Tensor:
    """Their channels, one after the other."""
    return torch.cat(xs, 1)


def _net(
    title: str,
    body: str,
    reference: Callable[[], nn.Module],
    shape: tuple[int | str, ...] = ("N", 3, "h", "w"),
    sizes: tuple[Sizes, ...] = SIDES,
    probe: Sizes = WIDE,
) -> Case:
    text = network({"x": shape}, body, "y")
    return Case(title, text, (shape,), reference, ("y",), sizes, probe)


class _Residual(nn.Module):
    """Two basic blocks of He et al. 2015, the first with a projection."""

    def __init__(self) -> None:
        super().__init__()
        self.basic1 = named(
            conv1=nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False),
            batchnorm1=nn.BatchNorm2d(4),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(4, 4, 3, padding=1, bias=False),
            batchnorm2=nn.BatchNorm2d(4),
        )
        self.basic1.shortcut = named(
            conv1=nn.Conv2d(3, 4, 1, stride=2, bias=False), batchnorm1=nn.BatchNorm2d(4)
        )
        self.y = named(
            conv1=nn.Conv2d(4, 4, 3, padding=1, bias=False),
            batchnorm1=nn.BatchNorm2d(4),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(4, 4, 3, padding=1, bias=False),
            batchnorm2=nn.BatchNorm2d(4),
        )

    def forward(self, x: Tensor) -> tuple[Tensor]:
        x = (self.basic1[:5](x) + self.basic1.get_submodule("shortcut")(x)).relu()
        return ((self.y(x) + x).relu(),)


RESIDUAL = _net(
    "residual blocks",
    "basic(4, stride=2)\ny = basic(4)",
    _Residual,
)


class _SegNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)
        self.y = nn.Conv2d(4, 2, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        x = self.conv1(x)
        pooled, where = nn.functional.max_pool2d(x, 2, return_indices=True)
        unpooled = nn.functional.max_unpool2d(
            self.conv2(pooled), where, [2, 2], output_size=x.shape[2:]
        )
        return (self.y(unpooled),)


class _Unet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.skip = nn.Conv2d(3, 4, 3, padding=1)
        self.conv1 = nn.Conv2d(4, 8, 3, padding=1)
        self.deconv1 = nn.ConvTranspose2d(8, 4, 2, stride=2)
        self.y = nn.Conv2d(8, 4, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        skip = self.skip(x)
        up = self.deconv1(self.conv1(nn.functional.max_pool2d(skip, 2)))
        return (self.y(joined([up, skip])),)


class _TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.near = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.far = nn.Conv2d(3, 4, 7, stride=2, padding=3)

    def forward(self, left: Tensor, right: Tensor) -> tuple[Tensor]:
        return (self.near(left) * self.far(right),)


NETWORKS = [
    _net(
        "strides, pooling and dilation in a chain",
        """
        conv(4, 5, stride=2, pad=2) -> relu -> maxpool(3, stride=2)
        y = conv(2, 3, dilation=2)
        """,
        lambda: Heads(
            conv1=nn.Conv2d(3, 4, 5, stride=2, padding=2),
            rest=nn.Sequential(nn.ReLU(), nn.MaxPool2d(3, 2)),
            y=nn.Conv2d(4, 2, 3, dilation=2),
        ),
    ),
    _net(
        "an even kernel, stride without overlap, ceil mode",
        """
        conv(4, 2, pad=1) -> avgpool(2, stride=3, ceil=true)
        y = conv(2, [3, 1], pad=[1, 0]) -> tanh
        """,
        lambda: Heads(
            conv1=nn.Conv2d(3, 4, 2, padding=1),
            pool=nn.AvgPool2d(2, 3, ceil_mode=True),
            y=nn.Conv2d(4, 2, (3, 1), padding=(1, 0)),
            tanh=nn.Tanh(),
        ),
    ),
    Case(
        RESIDUAL.title,
        """
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
        + RESIDUAL.text,
        RESIDUAL.shapes,
        RESIDUAL.reference,
        RESIDUAL.heads,
        SIDES,
        WIDE,
    ),
    _net(
        "inception",
        """
        y = concat {
            conv(2, 1) -> relu
            conv(2, 1) -> relu -> conv(3, 3, pad=1) -> relu
            conv(2, 1) -> relu -> conv(2, 5, pad=2) -> relu
            maxpool(3, stride=1, pad=1) -> conv(2, 1) -> relu
        }
        """,
        lambda: Heads(
            y=Meet(
                joined,
                branch1=named(conv1=nn.Conv2d(3, 2, 1), relu1=nn.ReLU()),
                branch2=named(
                    conv1=nn.Conv2d(3, 2, 1),
                    relu1=nn.ReLU(),
                    conv2=nn.Conv2d(2, 3, 3, padding=1),
                    relu2=nn.ReLU(),
                ),
                branch3=named(
                    conv1=nn.Conv2d(3, 2, 1),
                    relu1=nn.ReLU(),
                    conv2=nn.Conv2d(2, 2, 5, padding=2),
                    relu2=nn.ReLU(),
                ),
                branch4=named(
                    maxpool1=nn.MaxPool2d(3, 1, 1), conv1=nn.Conv2d(3, 2, 1), relu1=nn.ReLU()
                ),
            )
        ),
    ),
    _net(
        "branches whose centres differ: the hull is larger than either",
        "y = add { conv(4, 3, stride=2, pad=1)  conv(4, 1) -> avgpool(3, stride=2, ceil=true) }",
        lambda: Heads(
            y=Meet(
                added,
                branch1=nn.Conv2d(3, 4, 3, stride=2, padding=1),
                branch2=named(
                    conv1=nn.Conv2d(3, 4, 1), avgpool1=nn.AvgPool2d(3, 2, ceil_mode=True)
                ),
            )
        ),
        ("N", 3, "2*h", "2*w"),
        probe={"N": 1, "h": 23, "w": 26},
    ),
    _net(
        "branches of different stride",
        "y = add { conv(2, 5, stride=2, pad=2)  conv(2, 3) -> conv(2, 3) }",
        lambda: Heads(
            y=Meet(
                added,
                branch1=nn.Conv2d(3, 2, 5, stride=2, padding=2),
                branch2=named(conv1=nn.Conv2d(3, 2, 3), conv2=nn.Conv2d(2, 2, 3)),
            )
        ),
        ("N", 3, 9, 9),
        ({"N": 1}, {"N": 2}),
        {"N": 1},
    ),
    _net(
        "a transposed convolution over a strided one: two phases",
        """
        conv(4, 3, stride=2, pad=1) -> relu
        y = deconv(2, 3, stride=2, pad=1, output_pad=1)
        """,
        lambda: Heads(
            conv1=nn.Conv2d(3, 4, 3, stride=2, padding=1),
            relu=nn.ReLU(),
            y=nn.ConvTranspose2d(4, 2, 3, stride=2, padding=1, output_padding=1),
        ),
    ),
    _net(
        "a transposed convolution with gaps, over and under convolutions",
        """
        conv(4, 3, pad=1)
        deconv(4, 2, stride=4, bias=false)
        y = conv(2, 2)
        """,
        lambda: Heads(
            conv1=nn.Conv2d(3, 4, 3, padding=1),
            deconv1=nn.ConvTranspose2d(4, 4, 2, stride=4, bias=False),
            y=nn.Conv2d(4, 2, 2),
        ),
        probe={"N": 1, "h": 17, "w": 19},
    ),
    _net(
        "enlarged by 3 and reduced by 2: a rational stride",
        'upsample(3) -> conv(4, 3, stride=2, pad=1)\ny = upsample([2, 1], "bilinear")',
        lambda: Heads(
            up=nn.Upsample(scale_factor=3),
            conv1=nn.Conv2d(3, 4, 3, stride=2, padding=1),
            y=nn.Upsample(scale_factor=(2, 1), mode="bilinear"),
        ),
        probe={"N": 1, "h": 19, "w": 23},
    ),
    _net(
        "pooled, and unpooled at the places found",
        """
        conv(4, 3, pad=1)
        pooled, where = maxpool(2, indices=true)
        conv(4, 3, pad=1) -> unpool(where)
        y = conv(2, 3, pad=1)
        """,
        _SegNet,
    ),
    _net(
        "a skip connection around a coarser path",
        """
        skip = conv(4, 3, pad=1)
        maxpool(2) -> conv(8, 3, pad=1) -> deconv(4, 2, stride=2)
        concat { in skip }
        y = conv(4, 3, pad=1)
        """,
        _Unet,
        ("N", 3, "2*h", "2*w"),
        ({"N": 1, "h": 7, "w": 9}, {"N": 2, "h": 10, "w": 5}),
        {"N": 1, "h": 25, "w": 22},
    ),
    _net(
        "the whole input, back on the map",
        "y = add { in  global_avgpool -> upsample(9) }",
        lambda: Heads(y=Function(lambda x: x + x.mean((2, 3), keepdim=True).expand(-1, -1, 9, 9))),
        ("N", 3, 9, 9),
        ({"N": 1}, {"N": 2}),
        {"N": 1},
    ),
    Case(
        "two inputs, seen differently",
        network(
            {"left": ("N", 3, "h", "w"), "right": ("N", 3, "h", "w")},
            """
            near = left -> conv(4, 3, stride=2, pad=1)
            far = right -> conv(4, 7, stride=2, pad=3)
            y = near -> mul { in far }
            """,
            "y",
        ),
        (("N", 3, "h", "w"), ("N", 3, "h", "w")),
        _TwoInputs,
        ("y",),
        SIDES,
        WIDE,
    ),
]
