"""SIGINT and SIGTERM as an exception, and the exit code of a program that one of them ended."""

import signal

EXIT_SOME_FAILED = 1
"""Of a program some of whose pictures or videos were not made."""


class Interrupted(KeyboardInterrupt):
    """SIGINT or SIGTERM came.

    A plain `KeyboardInterrupt` that leaves code run by `exec` would make the interpreter end itself
    by a signal, even if it is handled.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def exit_code(error: BaseException | None) -> int:
    """What a shell shows for a program that the signal behind an exception ended."""
    return 128 + (error.number if isinstance(error, Interrupted) else signal.SIGINT)
