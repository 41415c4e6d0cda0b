"""`netloom check` as a whole process, beside what any tool on PyTorch must pay before it begins."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from bench.rounds import print_ratios, ratios

SPECS = Path(__file__).parents[1] / "specs"
GOAL = 0.25


def process(*arguments: str) -> Callable[[], object]:
    def run() -> None:
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)

    return run


def main() -> None:
    candidates = {
        "python -c 'import torch'": process("-c", "import torch"),
        "netloom check lenet.loom": process("-m", "netloom", "check", str(SPECS / "lenet.loom")),
        "netloom --help": process("-m", "netloom", "--help"),
        "python -c pass": process("-c", "pass"),
    }
    found = ratios(candidates, "python -c 'import torch'", rounds=7)
    print_ratios("Whole processes, wall time", found, "python -c 'import torch'")
    print(f"  goal: check at most {GOAL}")


if __name__ == "__main__":
    main()
