"""Runs the quick form of all measurements, `make bench`, or one: `python -m bench NAME …`."""

import importlib
import os
import sys
import time

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads slow the other side down

NAMES = (
    "check_process",
    "front_end",
    "analysis",
    "growth",
    "depth",
    "onnx_emission",
    "export_process",
    "onnx_latency",
    "rewrites",
    "training_step",
    "gpu",
)


def main() -> None:
    from bench.report import Table, markdown

    name, *arguments = sys.argv[1:] or ["all"]
    if name not in (*NAMES, "all"):
        sys.exit(f"there is no measurement `{name}`; there are {', '.join(NAMES)}")
    begin = time.perf_counter()
    tables: list[Table] = []
    for each in NAMES if name == "all" else (name,):
        tables += importlib.import_module(f"bench.{each}").main(arguments)
    minutes = (time.perf_counter() - begin) / 60
    print(f"\n\nThe same for docs/benchmarks.md, measured in {minutes:.0f} minutes:\n")
    print(markdown(tables))


if __name__ == "__main__":
    main()
