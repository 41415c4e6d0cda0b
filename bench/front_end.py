"""Reading a network of one layer a line, beside what others need to read the same description."""

import time

import onnx
import yaml
from google.protobuf import text_format

from bench.rounds import print_ratios, ratios
from netloom.diagnostics import Source
from netloom.syntax.parse import parse

LINES = 3_000
GOALS = (50_000, 15)


def spec(lines: int) -> str:
    """The layers as a spec."""
    layers = [f"conv{i} = conv({8 + i % 8}, 3, stride=1, pad=1)" for i in range(lines)]
    body = "\n".join(["input image: float32[N, 3, 32, 32]", *layers, f"head conv{lines - 1}"])
    return f"network flat {{\n{body}\n}}\n"


def yaml_text(lines: int) -> str:
    """The layers as a YAML list."""
    return "".join(
        f"- {{name: conv{i}, op: conv, out: {8 + i % 8}, kernel: 3, stride: 1, pad: 1}}\n"
        for i in range(lines)
    )


def protobuf_text(lines: int) -> str:
    """The layers as protobuf's text format."""
    return "".join(
        f'node {{ name: "conv{i}" op_type: "conv" attribute {{ name: "out" i: {8 + i % 8} }} '
        'attribute { name: "kernel" i: 3 } attribute { name: "stride" i: 1 } '
        'attribute { name: "pad" i: 1 } }\n'
        for i in range(lines)
    )


def main() -> None:
    source, as_yaml, as_protobuf = spec(LINES), yaml_text(LINES), protobuf_text(LINES)
    candidates = {
        "netloom": lambda: parse(Source("flat.loom", source)),
        "yaml.safe_load": lambda: yaml.safe_load(as_yaml),
        "protobuf text_format": lambda: text_format.Parse(as_protobuf, onnx.GraphProto()),
    }
    found = ratios(candidates, "netloom", rounds=7)
    print_ratios(f"Reading {LINES:,} layers, one a line", found, "netloom")
    begin = time.perf_counter()
    parse(Source("flat.loom", source))
    rate = LINES / (time.perf_counter() - begin)
    print(f"  netloom reads {rate:,.0f} lines a second")
    print(f"  goals: {GOALS[0]:,} lines a second, {GOALS[1]} times yaml.safe_load")


if __name__ == "__main__":
    main()
