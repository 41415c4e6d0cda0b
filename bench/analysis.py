"""Analysing ResNet-152 beside what else tells its shapes and costs, and how that grows with depth.

Ours is everything between the syntax tree and the tables: build with shapes, receptive fields,
alignment, parameters, MACs; with the text and without. torchinfo reports shapes, parameters and
MACs of the module on the meta device for one size. ONNX's shape inference is given the exported
model as a user has it, and also without its weights, which it otherwise copies.
"""

import argparse
import gc
import itertools
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import torch
import torchinfo

from bench.growth import seconds
from bench.report import Row, Table, at_least, at_most, compared, show
from bench.rounds import calls, spread
from netloom.compile import Network, analyse, check
from netloom.diagnostics import Diagnostics, Source
from netloom.emit import onnx as emit_onnx
from netloom.emit.torch import module
from netloom.limits import DEFAULT
from netloom.passes.build import build
from netloom.passes.modules import Modules
from netloom.passes.settings import Settings
from netloom.runtime.verify import randomised
from netloom.syntax.parse import parse_damaged

SPEC = Path(__file__).parent.parent / "specs" / "resnet.loom"
OURS = "netloom, from the syntax tree"
TORCHINFO = "torchinfo.summary on meta"
SHAPES = "onnx shape inference"
DEPTHS = (200, 400, 800, 1600, 3200)
"""Numbers of residual blocks, of seven layers each."""


def resnet152() -> str:
    """The zoo's file with ResNet-152 as its only network."""
    first, *networks = re.split(r"(?=^network )", SPEC.read_text(), flags=re.MULTILINE)
    return first + next(each for each in networks if each.startswith("network resnet152("))


def deep(blocks: int) -> str:
    """A chain of residual blocks of one shape with strided and dilated layers among them."""
    return f"""
        block unit(rate: int) {{
            residual {{
                conv(8, 3, pad=rate, dilation=rate, bias=false) -> batchnorm -> relu
                conv(8, 3, stride=2, pad=1, bias=false) -> batchnorm -> upsample(2)
            }}
        }}
        network deep {{
            input x: float32[N, 8, 2*h, w*2]
            repeat i in 0..{blocks} {{ unit(1 + i % 3) }}
            head y = relu
        }}
    """


def without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with weights of no bytes, of which only the shapes are left."""
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    for weight in bare.graph.initializer:
        if weight.raw_data and weight.data_type == onnx.TensorProto.FLOAT:
            weight.raw_data = b""
    return bare


def main(given: Sequence[str] | None = None) -> list[Table]:
    parser = argparse.ArgumentParser(prog="bench analysis", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args(given)
    gc.set_threshold(100_000)  # as the command does
    return [show(beside_others(options.rounds)), show(depth())]


def beside_others(rounds: int) -> Table:
    """ResNet-152, analysed by all sides."""
    text = resnet152()
    source = Source("resnet152.loom", text)
    file, _ = parse_damaged(source, DEFAULT)

    def analysis() -> Network:
        diagnostics = Diagnostics()
        opened = Modules(DEFAULT, diagnostics).open(source, file)
        built = build(opened, Settings(()), DEFAULT, diagnostics)
        return analyse(built["resnet152"].graph)

    graph = check(source).networks["resnet152"].graph
    model = onnx.load_from_string(emit_onnx.model_bytes(graph, randomised(graph)))
    bare = without_weights(model)
    with torch.device("meta"):
        network = module(graph).to("meta")
    image: Any = torch.empty(1, 3, 224, 224, device="meta")

    found = calls(
        {
            OURS: analysis,
            "netloom, from the text, with all of a check": lambda: check(source),
            TORCHINFO: lambda: torchinfo.summary(
                network, input_data=image, verbose=0, device="meta"
            ),
            SHAPES: lambda: onnx.shape_inference.infer_shapes(model),
            f"{SHAPES}, without weights": lambda: onnx.shape_inference.infer_shapes(bare),
        },
        rounds,
    )
    goals = {TORCHINFO: at_least(50), SHAPES: at_least(3)}
    seconds = found.seconds(OURS)
    title = f"ResNet-152: shapes, fields, cost; {seconds * 1e3:.0f} ms"
    return Table(title, OURS, compared(found, OURS, goals))


def depth() -> Table:
    """How a check grows with the number of blocks."""
    times = [seconds(deep(blocks)) for blocks in DEPTHS]
    exponents = [math.log2(larger / smaller) for smaller, larger in itertools.pairwise(times)]
    note = ", ".join(f"{each:.3f} s" for each in times)
    rows = [Row("exponent", spread(exponents), at_most(1.05), note)]
    return Table("A check of 200 to 3,200 residual blocks with free sizes", "", rows)


if __name__ == "__main__":
    main()
