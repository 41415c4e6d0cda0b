"""Ctrl-C and SIGTERM in the middle of training: the current step is finished, then training ends.

The trainer has its own ideas: it turns Ctrl-C into exit status 1 and SIGTERM into status 0. So
both signals are noted here and acted on between two steps, where the weights are whole.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(Exception):  # noqa: N818  a request, not a fault
    """Training was asked to end by the signal of that number."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number

    def as_exit(self) -> BaseException:
        """What the process would have died of: KeyboardInterrupt, or exit status 128 + number."""
        if self.number == signal.SIGINT:
            return KeyboardInterrupt()
        return SystemExit(128 + self.number)


class Interrupts:
    """Remembers the first signal; a second one acts at once."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._former = {number: signal.getsignal(number) for number in SIGNALS}

    def note(self, number: int, _: FrameType | None) -> None:
        """The signal handler."""
        if self.received is not None:
            self.restore()
            signal.raise_signal(number)
        self.received = number

    def restore(self) -> None:
        """Lets signals do what they did before."""
        for number, former in self._former.items():
            signal.signal(number, former or signal.SIG_DFL)

    def raise_if_received(self) -> None:
        """Raises `Interrupted` if a signal has come."""
        if self.received is not None:
            raise Interrupted(self.received)


@contextmanager
def interrupts() -> Iterator[Interrupts]:
    """Notes signals while training runs, but for those that the process was started to ignore.

    Only the main thread may: elsewhere nothing changes.
    """
    noted = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, noted.note)
    try:
        yield noted
    finally:
        noted.restore()
