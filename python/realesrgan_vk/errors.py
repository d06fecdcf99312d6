"""The errors of this package: subclasses of `RealesrganError` for failures of correct calls.

A wrong call (an unknown option, an array of a wrong shape or type) raises `ValueError` or
`TypeError` instead. `Cancelled` is for callers: a `progress` callback that raises it, or any other
exception, stops the run, and the exception is raised by the call.
"""

import unicodedata

from realesrgan_vk._core import (
    Cancelled,
    DeviceError,
    ImageError,
    ModelError,
    OutOfMemoryError,
    RealesrganError,
)

__all__ = [
    "NO_MEMORY",
    "NO_THREAD",
    "Cancelled",
    "DeviceError",
    "ImageError",
    "ModelError",
    "OutOfMemoryError",
    "RealesrganError",
    "printable",
]

NO_MEMORY = "the system has no memory left; free memory, or take a smaller picture"
NO_THREAD = (
    "the system cannot start another thread: no memory is left, or a limit on threads is reached; "
    "free memory, or raise the limit"
)

# Unicode categories: control and format characters (including those that change the writing
# direction), lone surrogates, and line and paragraph separators.
_ESCAPED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def printable(text: object) -> str:
    r"""Text of one line: control and format characters as escapes, such as `\n` or `\u202e`."""
    words = str(text)
    if words.isprintable():
        return words
    return "".join(_escaped(character) for character in words)


def _escaped(character: str) -> str:
    if unicodedata.category(character) not in _ESCAPED:
        return character
    return character.encode("unicode_escape").decode("ascii")
