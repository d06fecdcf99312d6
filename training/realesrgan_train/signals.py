"""SIGINT and SIGTERM of a command: it exits with 130 or 143, without a traceback.

Only the standard library is imported here, so that a command can call `exit_at_once` before
anything that takes long to import.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_received: list[int] = []


class Interrupted(BaseException):
    """A signal asked the command to end; raised where it came, so that `finally` blocks run."""


def exit_at_once() -> None:
    """Let both signals, unless ignored, end the process at once, while modules are imported."""
    _handle(lambda number, _frame: os._exit(128 + number))


def raise_interrupted() -> None:
    """Let the first signal raise `Interrupted`; those that follow are ignored while it cleans up.

    Does nothing unless `exit_at_once` was called: a program that uses the library keeps its own.
    """
    if any(signal.getsignal(number) in _ours for number in _SIGNALS):
        _handle(_raise)


def restore() -> None:
    """Put Python's own handlers back: SIGTERM ends the process also while it is outside Python."""
    for number, handler in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGTERM, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def exit_code() -> int | None:
    """What the process has to exit with when a signal came, None when none did."""
    return 128 + _received[0] if _received else None


_Handler = Callable[[int, FrameType | None], object]
_ours: list[_Handler] = []


def _handle(handler: _Handler) -> None:
    _ours.append(handler)
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def _raise(number: int, _frame: FrameType | None) -> None:
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    _received.append(number)
    raise Interrupted(number)


class StopRequest:
    """Set by the first signal; the second one interrupts at once."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """The signal handler."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


@contextmanager
def stop_on_signals(active: bool) -> Iterator[StopRequest]:
    """Listen for SIGINT and SIGTERM where the process is the only one.

    Several would have to agree on the step to stop after: they end at once, and lose what was done
    since the last checkpoint.
    """
    request = StopRequest()
    if not active or threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request) for number in _SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
