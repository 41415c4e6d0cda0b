"""Reading a network of one layer a line, beside what others need to read the same description."""

import argparse
from collections.abc import Sequence

import onnx
import yaml
from google.protobuf import text_format

from bench.report import Table, at_least, compared, show
from bench.rounds import calls
from netloom.diagnostics import Source
from netloom.syntax.parse import parse

LINES = 3_000
OURS = "netloom"


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


def main(given: Sequence[str] | None = None) -> list[Table]:
    parser = argparse.ArgumentParser(prog="bench front_end", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args(given)
    source, as_yaml, as_protobuf = spec(LINES), yaml_text(LINES), protobuf_text(LINES)
    found = calls(
        {
            OURS: lambda: parse(Source("flat.loom", source)),
            "yaml.safe_load": lambda: yaml.safe_load(as_yaml),
            "protobuf text_format": lambda: text_format.Parse(as_protobuf, onnx.GraphProto()),
        },
        options.rounds,
    )
    notes = {OURS: f"{LINES / found.seconds(OURS):,.0f} lines a second; the goal is 50,000"}
    rows = compared(found, OURS, {"yaml.safe_load": at_least(15)}, notes)
    return [show(Table(f"Reading {LINES:,} layers, one a line", OURS, rows))]


if __name__ == "__main__":
    main()
