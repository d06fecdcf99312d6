"""What every command does before anything large is imported: signals and standard streams.

Importing the rest takes a fifth of a second and more. Until that is done, SIGINT and SIGTERM end
the process at once, with 130 and 143; then they raise, so that what runs can be tidied up. This
module imports only what the interpreter has loaded by then, and so does the package itself.
"""

import _thread
import io
import os
import signal
import sys

from realesrgan_vk.cli.interruption import Interrupted, exit_code

TYPE_CHECKING = False  # importing typing would take longer than all of this
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import NoReturn

    from _typeshed import ReadableBuffer


_arrived: "list[int]" = []  # signals that were raised
_INTERRUPTED = (128 + signal.SIGINT, 128 + signal.SIGTERM)


def command() -> "NoReturn":
    """`realesrgan-vk`."""

    def load() -> "Callable[[], object]":
        from realesrgan_vk.cli.commands import main  # noqa: PLC0415 - see above

        return main

    run(load, not_loaded=2)


def drop_in() -> "NoReturn":
    """`realesrgan-ncnn-vulkan` and `upscayl-bin`."""

    def load() -> "Callable[[], object]":
        from realesrgan_vk.cli.ncnn_compat import main  # noqa: PLC0415 - see above

        return main

    run(load, not_loaded=255)


def run(load: "Callable[[], Callable[[], object]]", *, not_loaded: int = 1) -> "NoReturn":
    """Import a program with `load`, run it, and end the process with its exit code.

    The program may leave `KeyboardInterrupt` to this function.

    Args:
        load: Imports the program.
        not_loaded: The exit code where something cannot be imported: the installation is damaged,
            or no memory is left.
    """
    _on_signals(_exit_at_once)
    _open_standard_streams()
    sys.unraisablehook = _interrupt_again
    code: object = 0
    try:
        program = load()
        _on_signals(_interrupt)
        program()
    except SystemExit as ended:
        code = ended.code
    except KeyboardInterrupt as error:
        code = exit_code(error)
    except (ImportError, MemoryError) as error:  # programs import what they need when they do
        if _arrived:  # NumPy makes an ImportError of what is raised while its core is imported
            code = 128 + _arrived[0]
        else:
            words = " ".join(str(error).split()) or "no memory is left"
            sys.stderr.write(f"Error: the program cannot be loaded: {words}\n")
            code = not_loaded
    finally:
        _on_signals(_exit_at_once)
    if code in _INTERRUPTED and len(sys._current_frames()) > 1:
        # A thread still computes or waits for a pipe: tearing down what it uses would crash it.
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:
                continue
        os._exit(int(code))
    sys.exit(code)  # type: ignore[arg-type]  # any object, as the built-in exception takes


def _on_signals(handler: "Callable[[int, FrameType | None], object]") -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:  # as of a shell's background job
            signal.signal(number, handler)


def _exit_at_once(number: int, _: "FrameType | None") -> None:
    os._exit(128 + number)


def _interrupt(number: int, _: "FrameType | None") -> None:
    _arrived.append(number)
    raise Interrupted(number)


def _interrupt_again(ignored: "sys.UnraisableHookArgs") -> None:
    """Send a signal once more whose exception was raised where Python ignores exceptions.

    Such places are finalizers and the callbacks of weak references; imports have some.
    """
    if _arrived and issubclass(ignored.exc_type, KeyboardInterrupt):
        # Not at once: the exception would be raised in this function, and be ignored, too.
        _thread.start_new_thread(_send_soon, (_arrived[-1],))
    else:
        sys.__unraisablehook__(ignored)


def _send_soon(number: int) -> None:
    from time import sleep  # noqa: PLC0415 - see above

    sleep(0.01)
    signal.raise_signal(number)


class _Messages(io.FileIO):
    """Standard error; what cannot be written to it is dropped, for results do not depend on it."""

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write, or act as if."""
        try:
            written = super().write(data)
        except OSError:  # closed, full, or nobody reads it
            written = None
        return memoryview(data).nbytes if written is None else written


def _open_standard_streams() -> None:
    """Make the standard streams usable if one is closed, or stderr cannot be written.

    A closed one's descriptor would otherwise be that of the next file that is opened, and get what
    libraries print. It is opened the wrong way round, so that using it still fails.
    """
    for descriptor, mode in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_RDONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, mode)  # gets the lowest free number
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    if os.name == "posix":  # elsewhere a console is no file
        encoding = sys.stderr.encoding if sys.stderr is not None else "utf-8"
        buffer = io.BufferedWriter(_Messages(2, "wb", closefd=False))
        sys.stderr = io.TextIOWrapper(buffer, encoding, "backslashreplace", line_buffering=True)
