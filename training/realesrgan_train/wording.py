"""Text from files as it is shown in a message: short, and on one line."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return text with control characters and lone surrogates escaped as Python writes them."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def shown(text: str, limit: int = 80) -> str:
    """Return a name from a file, printable and cut after `limit` characters."""
    return printable(text if len(text) <= limit else f"{text[:limit]}...")


def os_error_text(error: OSError) -> str:
    """Return what the system says of a file: its name first, without the number of the error."""
    if error.strerror is None:
        return printable(str(error))
    return printable(f"{error.filename}: {error.strerror}" if error.filename else error.strerror)


def first_line(error: BaseException, limit: int = 200) -> str:
    """Return the first line of an error's message, or its type where it has none."""
    return shown(str(error).strip().split("\n", 1)[0], limit) or type(error).__name__
