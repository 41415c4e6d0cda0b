"""Normalisation, learned scales, and what is dropped at random."""

from netloom.ir.call import Module, Option
from netloom.ir.declared import Reject, arg, operand
from netloom.ir.dims import Dim
from netloom.ir.graph import Value
from netloom.ir.node import Constant, Local, Node, Weight
from netloom.ir.op import Filled, Op, Parameter
from netloom.ir.types import Type
from netloom.ir.window import Reach
from netloom.ops.operands import channel_axis, feature_map, known, of_rank


class BatchNorm(Op, name="batchnorm"):
    """Normalises channels by mean and variance: of the batch in training, else running ones.

    PyTorch: `nn.BatchNorm2d` or `nn.BatchNorm1d`; ONNX: `BatchNormalization`. Its receptive field
    is that of inference, one pixel.
    """

    x: Value = operand("feature map [n, c, h, w] or features [n, c]")
    eps: float = arg("added to the variance", default=1e-5, above=0)
    momentum: float = arg("share of a new batch in the running mean", default=0.1, minimum=0)

    def result(self) -> Type:
        known(of_rank(self.x, 2, 4)[1], "channel count")
        return self.x.type

    def params(self) -> dict[str, Parameter]:
        shape = (known(self.x.type.shape[1], "channel count"),)
        return {
            "weight": Parameter(shape, Filled(1)),
            "bias": Parameter(shape, Filled(0)),
            "running_mean": Parameter(shape, Filled(0), learned=False),
            "running_var": Parameter(shape, Filled(1), learned=False),
            "num_batches_tracked": Parameter((), Filled(0), learned=False, dtype="int64"),
        }

    def torch(self) -> Module:
        target = "nn.BatchNorm2d" if self.x.type.rank == 4 else "nn.BatchNorm1d"
        channels = known(self.x.type.shape[1], "channel count")
        options = {"eps": Option(self.eps, 1e-5), "momentum": Option(self.momentum, 0.1)}
        return Module(target, (channels,), (self.x,), options)

    def onnx(self) -> Node:
        # ONNX's momentum is the share of the old mean. It means nothing in inference.
        attributes = {"epsilon": self.eps, "momentum": 1 - self.momentum, "training_mode": 0}
        scale, bias = Weight(("weight",)), Weight(("bias",))
        mean, variance = Weight(("running_mean",)), Weight(("running_var",))
        return Node("BatchNormalization", (self.x, scale, bias, mean, variance), attributes)


class LayerNorm(Op, name="layernorm"):
    """Normalises each position by mean and variance of its own channels (Ba et al. 2016).

    In a map a position is a pixel, as in ConvNeXt. PyTorch: `nn.LayerNorm`, for a map between two
    permutations; ONNX: `LayerNormalization`.
    """

    x: Value = operand("feature map [n, c, h, w], sequence [n, t, c] or features [n, c]")
    eps: float = arg("added to the variance", default=1e-5, above=0)

    def result(self) -> Type:
        _channels(self.x)
        return self.x.type

    def params(self) -> dict[str, Parameter]:
        shape = (_channels(self.x),)
        return {"weight": Parameter(shape, Filled(1)), "bias": Parameter(shape, Filled(0))}

    def torch(self) -> Module:
        target = "LayerNorm2d" if self.x.type.rank == 4 else "nn.LayerNorm"
        options = {"eps": Option(self.eps, 1e-5)}
        return Module(target, (_channels(self.x),), (self.x,), options)

    def onnx(self) -> Node | tuple[Node, ...]:
        scale, bias = Weight(("weight",)), Weight(("bias",))
        attributes = {"axis": -1, "epsilon": self.eps, "stash_type": 1}
        if self.x.type.rank != 4:
            return Node("LayerNormalization", (self.x, scale, bias), attributes)
        channels_last, normal = Local("channels_last"), Local("normal")
        return (
            Node("Transpose", (self.x,), {"perm": (0, 2, 3, 1)}, (channels_last,)),
            Node("LayerNormalization", (channels_last, scale, bias), attributes, (normal,)),
            Node("Transpose", (normal,), {"perm": (0, 3, 1, 2)}),
        )


class GroupNorm(Op, name="groupnorm"):
    """Normalises groups of channels by mean and variance over the whole map (Wu, He 2018).

    PyTorch: `nn.GroupNorm`; ONNX: `GroupNormalization`.
    """

    x: Value = operand("feature map [n, c, h, w]")
    groups: int = arg("groups of channels that are normalised together", minimum=1)
    eps: float = arg("added to the variance", default=1e-5, above=0)

    def result(self) -> Type:
        _, channels, _, _ = feature_map(self.x)
        if channels % self.groups:
            message = f"{self.groups} groups cannot split {channels} channels evenly"
            raise Reject("E206", message, "groups")
        return self.x.type

    def fits(self) -> tuple[Dim, ...]:
        # PyTorch refuses, in inference too, where all samples together have one value a group.
        n, channels, h, w = feature_map(self.x)
        return (n * (channels // self.groups) * h * w - 1,)

    def window(self) -> Reach:
        return "whole"

    def params(self) -> dict[str, Parameter]:
        shape = (_channels(self.x),)
        return {"weight": Parameter(shape, Filled(1)), "bias": Parameter(shape, Filled(0))}

    def torch(self) -> Module:
        options = {"eps": Option(self.eps, 1e-5)}
        return Module("nn.GroupNorm", (self.groups, _channels(self.x)), (self.x,), options)

    def onnx(self) -> Node:
        attributes = {"epsilon": self.eps, "num_groups": self.groups, "stash_type": 1}
        inputs = (self.x, Weight(("weight",)), Weight(("bias",)))
        return Node("GroupNormalization", inputs, attributes)


class LocalResponseNorm(Op, name="lrn"):
    """Divides each pixel by a power of the energy in neighbouring channels (Krizhevsky 2012).

    y = x / (k + alpha / size * sum of x^2 over `size` channels) ^ beta. PyTorch:
    `nn.LocalResponseNorm`; ONNX: `LRN`.
    """

    x: Value = operand("feature map [n, c, h, w]")
    size: int = arg("channels in the neighbourhood", minimum=1)
    alpha: float = arg(
        "weight of the energy, divided by `size` as in PyTorch and Caffe", default=1e-4
    )
    beta: float = arg("exponent", default=0.75)
    k: float = arg("constant added to the energy", default=1.0)

    def result(self) -> Type:
        of_rank(self.x, 4)
        return self.x.type

    def torch(self) -> Module:
        options = {
            "alpha": Option(self.alpha, 1e-4),
            "beta": Option(self.beta, 0.75),
            "k": Option(self.k, 1.0),
        }
        return Module("nn.LocalResponseNorm", (self.size,), (self.x,), options)

    def onnx(self) -> Node | tuple[Node, ...]:
        if self.size % 2:
            attributes = {
                "size": self.size,
                "alpha": self.alpha,
                "beta": self.beta,
                "bias": self.k,
            }
            return Node("LRN", (self.x,), attributes)
        # ONNX Runtime refuses an even size, for which the neighbourhood is off centre.
        square, volume, mean, energy = (
            Local("square"),
            Local("volume"),
            Local("mean"),
            Local("energy"),
        )
        scaled, base, divisor = Local("scaled"), Local("base"), Local("divisor")
        pool = {
            "auto_pad": "NOTSET",
            "kernel_shape": (self.size, 1, 1),
            "strides": (1, 1, 1),
            "pads": (self.size // 2, 0, 0, (self.size - 1) // 2, 0, 0),
            "dilations": (1, 1, 1),
            "ceil_mode": 0,
            "count_include_pad": 1,
        }
        one = Constant("int64", (1,))
        return (
            Node("Mul", (self.x, self.x), {}, (square,)),
            Node("Unsqueeze", (square, one), {}, (volume,)),
            Node("AveragePool", (volume,), pool, (mean,)),
            Node("Squeeze", (mean, one), {}, (energy,)),
            Node("Mul", (energy, Constant("float32", self.alpha)), {}, (scaled,)),
            Node("Add", (scaled, Constant("float32", self.k)), {}, (base,)),
            Node("Pow", (base, Constant("float32", self.beta)), {}, (divisor,)),
            Node("Div", (self.x, divisor)),
        )


class Dropout(Op, name="dropout"):
    """Zeroes elements at random in training and scales up the others; leaves no trace on export.

    PyTorch: `nn.Dropout`.
    """

    x: Value = operand("any value")
    p: float = arg("probability of zero", default=0.5, minimum=0, maximum=1)

    identity_in_inference = True

    def result(self) -> Type:
        return self.x.type

    def torch(self) -> Module:
        return Module("nn.Dropout", (), (self.x,), {"p": Option(self.p, 0.5)})

    def onnx(self) -> Node:
        return Node("Identity", (self.x,))


class DropPath(Op, name="drop_path"):
    """Zeroes whole samples at random in training and scales up the others (stochastic depth).

    It ends the body of a residual, which then is skipped for these samples (Huang et al. 2016).
    It leaves no trace on export. PyTorch: as `torchvision.ops.StochasticDepth` by rows.
    """

    x: Value = operand("any value")
    p: float = arg("probability of zero", minimum=0, maximum=1)

    identity_in_inference = True

    def result(self) -> Type:
        return self.x.type

    def torch(self) -> Module:
        return Module("DropPath", (self.p,), (self.x,))

    def onnx(self) -> Node:
        return Node("Identity", (self.x,))


class Scale(Op, name="scale"):
    """Multiplies each channel by a learned factor (the layer scale of Touvron et al. 2021).

    PyTorch: `*` with an `nn.Parameter`; ONNX: `Mul`.
    """

    x: Value = operand("feature map [n, c, h, w], sequence [n, t, c] or features [n, c]")
    init: float = arg("initial factor", default=1.0)

    def result(self) -> Type:
        _channels(self.x)
        return self.x.type

    def params(self) -> dict[str, Parameter]:
        # Behind the channels of a map there are height and width.
        shape = (_channels(self.x), *[1] * self._axes_behind())
        return {"weight": Parameter(shape, Filled(self.init))}

    def torch(self) -> Module:
        options = {"init": Option(self.init, 1.0), "axes_behind": Option(self._axes_behind(), 0)}
        return Module("Scale", (_channels(self.x),), (self.x,), options)

    def onnx(self) -> Node:
        return Node("Mul", (self.x, Weight(("weight",))))

    def _axes_behind(self) -> int:
        return self.x.type.rank - 1 - channel_axis(self.x.type.rank)


def _channels(x: Value) -> int:
    """The channels of a value of any layout."""
    shape = of_rank(x, 2, 3, 4)
    return known(shape[channel_axis(len(shape))], "channel count")
