"""`netloom check` as a whole process, for every spec, beside a Python that does nothing."""

import compileall
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from bench.rounds import print_ratios, ratios

ROOT = Path(__file__).parents[1]
GOAL = 5


def process(*arguments: str) -> Callable[[], object]:
    def run() -> None:
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)

    return run


def main() -> None:
    # As an installation does; an environment that forbids Python to write would compile each time.
    compileall.compile_dir(ROOT / "compiler", quiet=2)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    candidates = {"python -c pass": process("-c", "pass")}
    for spec in sorted((ROOT / "specs").glob("*.loom")):
        candidates[f"check {spec.name}"] = process("-m", "netloom", "check", str(spec))
    candidates["netloom --help"] = process("-m", "netloom", "--help")
    candidates["python -c 'import torch'"] = process("-c", "import torch")
    found = ratios(candidates, "python -c pass", rounds=7)
    print_ratios("Whole processes, wall time", found, "python -c pass")
    print(f"  goal: a check of at most {GOAL}")


if __name__ == "__main__":
    main()
