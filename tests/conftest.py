"""Shared by all tests: golden files, and settings that make runs quick and repeatable."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
import torch

GOLDEN = Path(__file__).parent / "golden"

# Tests run beside one another, so each keeps to its own core.
torch.set_num_threads(1)
hypothesis.settings.register_profile("netloom", deadline=None, derandomize=True)
hypothesis.settings.load_profile("netloom")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="rewrite the files in tests/golden"
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compares a text with the file of that name under tests/golden, or rewrites the file.

    A golden is reviewed as prose, and changes only together with the reason in the commit.
    """
    update = request.config.getoption("--update-golden")

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        assert path.is_file(), f"{name} is missing; pytest --update-golden writes it"
        assert text == path.read_text(encoding="utf-8"), f"{name} differs; see --update-golden"

    return compare


@pytest.fixture
def netloom() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command line in a process of its own."""

    def run(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "netloom", *map(str, arguments)]
        # One thread each: tests run beside one another, and spinning threads would starve them.
        environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "OMP_NUM_THREADS": "1"}
        return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment)

    return run
