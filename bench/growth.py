"""How the time of a check grows with the size of a spec: linear is an exponent of 1."""

import argparse
import gc
import itertools
import math
import time
from collections.abc import Sequence

from bench.front_end import spec
from bench.report import Row, Table, at_most, show
from bench.rounds import spread
from netloom.compile import check
from netloom.diagnostics import Source
from netloom.limits import DEFAULT

LIMITS = DEFAULT._replace(text=100 * DEFAULT.text, nodes=10 * DEFAULT.nodes)


def nest(layers: int) -> str:
    """A hundred blocks inside one another, with that many layers among them."""
    each = layers // 99
    blocks = [
        f"block b{i} {{ repeat {each} {{ conv(8, 3, pad=1) }} {f'b{i + 1}' if i < 98 else ''} }}\n"
        for i in range(99)
    ]
    network = "network nest { input x: float32[N, 8, h, w] head y = b0 }\n"
    return "".join(blocks) + network


def seconds(text: str) -> float:
    """The processor time of a check; the shorter of two, since other work only makes it longer."""
    found = []
    for _ in range(2):
        gc.collect()
        begin = time.process_time()
        check(Source("large.loom", text), limits=LIMITS)
        found.append(time.process_time() - begin)
    return min(found)


def main(given: Sequence[str] | None = None) -> list[Table]:
    parser = argparse.ArgumentParser(prog="bench growth", description=__doc__)
    parser.parse_args(given)
    gc.set_threshold(100_000)  # as the command does
    rows = []
    for name, make in (("one layer a line", spec), ("100 blocks in one another", nest)):
        times = [seconds(make(layers)) for layers in (1_000, 10_000, 100_000)]
        exponents = [math.log10(larger / smaller) for smaller, larger in itertools.pairwise(times)]
        note = ", ".join(f"{each:.2f} s" for each in times)
        rows.append(Row(f"exponent, {name}", spread(exponents), at_most(1.1), note))
    return [show(Table("Checking specs of 1,000, 10,000 and 100,000 layers", "", rows))]


if __name__ == "__main__":
    main()
