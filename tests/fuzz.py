"""`make fuzz`: random networks in parallel; what the compiler states and emits against PyTorch.

    python tests/fuzz.py NETS [SEED]

Prints how often everything was drawn. Each difference is reduced and written to tests/crashers;
then the exit status is 1.
"""

import os
import sys
import time
from collections import Counter
from multiprocessing import Pool
from pathlib import Path

import torch

from coverage_of_networks import coverage
from emitted import emission_differences
from generated import differences
from generator.description import Net
from generator.observation import observe
from generator.random_networks import random_network
from netloom.ir.op import Op
from reduction import reduced, written

CRASHERS = Path(__file__).parent / "crashers"
CHUNK = 20
REFRESH = 0.2
"""Seconds between two lines of progress."""

Found = tuple[int, list[str], Counter[str]]


def main(nets: int, seed: int) -> int:
    """Compares so many networks; the exit status."""
    drawn: Counter[str] = Counter()
    differing: list[int] = []
    begun = shown = time.monotonic()
    with Pool(os.cpu_count(), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        results = pool.imap_unordered(compared, range(seed, seed + nets), CHUNK)
        for done, (each, found, counts) in enumerate(results, start=1):
            drawn += counts
            if found:
                differing.append(each)
                print(f"\nseed {each}: {found[0]}", flush=True)
            if time.monotonic() - shown > REFRESH or done == nets:
                shown = time.monotonic()
                print(
                    f"\r{done:,} of {nets:,} networks, {len(differing)} differ", end="", flush=True
                )
        print(f"\n{time.monotonic() - begun:.0f} s\n")
        for name, count in sorted(drawn.items()):
            print(f"{count:9,}  {name}")
        for path in pool.imap_unordered(kept, differing):
            print(f"reduced: {path}")
    return 1 if differing else 0


def compared(seed: int) -> Found:
    """What differs in the network of a seed, and what it has."""
    net = random_network(seed)
    return seed, _news(net), coverage(net, signatures())


def _news(net: Net) -> list[str]:
    """The differences that are not known; a crash of either side is one, too."""
    try:
        return differences(net, observe(net)) or emission_differences(net)
    except Exception as error:
        return [f"crash: {type(error).__name__}: {error}"]


def signatures() -> dict[str, list[str]]:
    """The names of each operator's arguments."""
    return {
        name: [each.name for each in operator.signature() if not each.is_operand]
        for name, operator in Op.registry.items()
    }


def kept(seed: int) -> Path:
    """Writes the smallest network with the same kind of difference; where it is."""
    net = random_network(seed)
    kind = _kinds(net)[0]
    least = reduced(net, lambda each: kind in _kinds(each))
    path = CRASHERS / f"seed_{seed}.loom"
    path.write_text(written(least, _news(least)[0]))
    return path


def _kinds(net: Net) -> list[str]:
    return [each.partition(":")[0] for each in _news(net)]


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
