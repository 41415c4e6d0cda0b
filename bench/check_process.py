"""`netloom check` as a whole process, for every spec, beside a Python that does nothing."""

import argparse
from collections.abc import Sequence

from bench.networks import SPECS
from bench.processes import prepare, python
from bench.report import Table, at_most, compared, show
from bench.rounds import interleaved

PASS = "python -c pass"


def main(given: Sequence[str] | None = None) -> list[Table]:
    parser = argparse.ArgumentParser(prog="bench check_process", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args(given)
    prepare()
    specs = {f"check {spec.name}": spec for spec in sorted(SPECS.glob("*.loom"))}
    found = interleaved(
        {
            PASS: python("-c", "pass"),
            **{name: python("-m", "netloom", "check", str(spec)) for name, spec in specs.items()},
            "netloom --help": python("-m", "netloom", "--help"),
            "python -c 'import torch'": python("-c", "import torch"),
        },
        options.rounds,
    )
    rows = compared(found, PASS, dict.fromkeys(specs, at_most(5)))
    return [show(Table("Whole processes, wall time", PASS, rows))]


if __name__ == "__main__":
    main()
