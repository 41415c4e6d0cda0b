"""A bar on stderr for what takes long, where a person looks at it."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

PATIENCE = 2.0
"""Seconds that pass before there is a bar."""

Item = TypeVar("Item")


@contextmanager
def followed(items: Sequence[Item], is_wanted: bool = True) -> Iterator[Iterator[Item]]:
    """The items one by one, with a bar that moves as they are taken.

    There is none where stderr is no terminal, and none for what is done within two seconds.
    """
    console = Console(stderr=True)
    bar = Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    task = bar.add_task("", total=len(items))
    start = time.monotonic() + PATIENCE if is_wanted and console.is_terminal else float("inf")

    def taken() -> Iterator[Item]:
        for item in items:
            yield item
            bar.advance(task)
            if not bar.live.is_started and time.monotonic() > start:
                bar.start()

    try:
        yield taken()
    finally:
        if bar.live.is_started:
            bar.stop()
