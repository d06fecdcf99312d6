"""Checks of values: each raises `TypeError` or `ValueError` with the argument's name and range."""

import numbers
import operator
import os
import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import SupportsIndex, TypeGuard, TypeVar

MAX_INPUT_SIDE = 1 << 26
"""Largest side in pixels: larger than in any file format, with products that fit 64 bits."""

_SHOWN = 60  # characters of a value in a message
_UNITS = {"": 1, "b": 1}
for _power, _prefix in enumerate("kmgt", start=1):
    _UNITS |= {_prefix: 1024**_power, f"{_prefix}b": 1000**_power, f"{_prefix}ib": 1024**_power}
_FORM = re.compile(r"\s*([0-9]{1,20}(?:\.[0-9]{1,20})?)\s*([a-z]*)\s*", re.IGNORECASE | re.ASCII)
_MAX_BYTES = 2**63 - 1
_HELP = "give a number of bytes, or one with a unit: 500MB, 2GiB, 2G (the same as 2GiB)"

Choice = TypeVar("Choice", bound=str)


def shown(value: object) -> str:
    """The value as a message quotes it: its `repr`, cut to a short line."""
    try:
        text = repr(value)
    except Exception:  # a whole number of too many digits, or an object that cannot describe itself
        text = f"a value of type {type(value).__name__}"
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def is_whole(value: object) -> TypeGuard[SupportsIndex]:
    """Whether this is a whole number of Python's or NumPy's; True and False are none."""
    if isinstance(value, bool):
        return False
    try:
        operator.index(value)  # type: ignore[arg-type]  # what this function is for
    except Exception:  # an object's own __index__ may raise anything
        return False
    return True


def whole_number(
    name: str, value: object, low: int, high: int | None = None, *, kind: str = "a whole number",
    others: str = "",
) -> int:  # fmt: skip
    """A whole number within a range, of Python's or NumPy's.

    Args:
        name: The argument, for messages.
        value: As given.
        low: Smallest allowed value.
        high: Largest allowed value; None: no limit.
        kind: What it must be, for messages.
        others: What else the argument may be, for messages, such as ", or None".

    Raises:
        TypeError: Not a whole number.
        ValueError: Out of range.
    """
    if not is_whole(value):
        raise TypeError(f"{name} must be {kind}{others}, not {_typed(value)}")
    number = operator.index(value)
    if number < low or (high is not None and number > high):
        span = f"at least {low}" if high is None else f"from {low} to {high}"
        raise ValueError(f"{name} is {shown(number)}; it must be {span}{others}")
    return number


def real_number(name: str, value: object, span: str, allowed: Callable[[float], bool]) -> float:
    """A finite number within a range, of any real type that Python knows, NumPy's included.

    Args:
        name: The argument, for messages.
        value: As given.
        span: The range in words, such as "from 0 to 1".
        allowed: Whether a number is in the range.

    Raises:
        TypeError: Not a real number.
        ValueError: Out of range, or not finite.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number {span}, not {_typed(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = float("inf")
    if not allowed(number):
        raise ValueError(f"{name} is {shown(value)}; it must be {span}")
    return number


def one_of(name: str, value: object, allowed: Sequence[Choice]) -> Choice:
    """One of the allowed texts."""
    if isinstance(value, str):
        for choice in allowed:
            if value == choice:
                return choice
    raise ValueError(f"{name} is {shown(value)}; it must be one of {', '.join(allowed)}")


def flag(name: str, value: object) -> bool:
    """A boolean of Python or NumPy; other values are not converted to one."""
    kind = type(value)
    if kind is bool or (kind.__module__ == "numpy" and kind.__name__ in ("bool", "bool_")):
        return bool(value)
    raise TypeError(f"{name} must be True or False, not {shown(value)}")


def instance_of(name: str, value: object, kind: type) -> None:
    """Refuse an object of another class."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be a {kind.__name__}, not {_typed(value)}")


def callback(name: str, value: object) -> None:
    """Refuse what cannot be called; None is allowed."""
    if value is not None and not callable(value):
        raise TypeError(f"{name} must be a function or None, not {_typed(value)}")


def file_path(path: object, name: str = "path") -> Path:
    """A path given as text or as a path object; bytes of a path object are decoded."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"{name} must be a path, not {_typed(path)}")
    text = os.fsdecode(path)
    if "\0" in text:
        raise ValueError(f"{name} is {shown(text)}; a path cannot contain a null character")
    return Path(text)


def pixel_limit(value: object) -> int | None:
    """The most pixels that a file may have; None: any number."""
    return None if value is None else whole_number("max_pixels", value, 1, others=", or None")


def picture_size(size: object, name: str = "image") -> tuple[int, int]:
    """Width and height in pixels, each from 1 to `MAX_INPUT_SIDE`.

    Raises:
        TypeError: Not two whole numbers.
        ValueError: A side out of range.
    """
    if not (isinstance(size, tuple) and len(size) == 2 and all(map(is_whole, size))):
        raise TypeError(f"{name} must be (width, height) in whole pixels, not {shown(size)}")
    width, height = map(operator.index, size)
    if min(width, height) < 1 or max(width, height) > MAX_INPUT_SIDE:
        raise ValueError(
            f"{name} is {shown(width)}x{shown(height)} pixels; each side must be from 1 to "
            f"{MAX_INPUT_SIDE}"
        )
    return width, height


def parse_bytes(name: str, given: object) -> int:
    """Bytes of "2GiB", "500 MB" or a plain number.

    Args:
        name: The argument, for messages.
        given: A whole number of bytes, or text: a number and a unit (B; kB, MB, GB, TB: powers of
            1000; K, M, G, T, KiB, MiB, GiB, TiB: powers of 1024).

    Raises:
        TypeError: Neither a whole number nor text.
        ValueError: Not such a text, less than one byte, or 2^63 bytes or more.
    """
    if isinstance(given, str):
        form = _FORM.fullmatch(given)
        unit = _UNITS.get(form[2].lower()) if form else None
        if form is None or unit is None:
            raise ValueError(f"{name} is {shown(given)}; {_HELP}")
        count = int(Fraction(form[1]) * unit)
    elif is_whole(given):
        count = operator.index(given)
    else:
        raise TypeError(
            f"{name} must be bytes as a whole number, or text such as '2GiB', "
            f"not {type(given).__name__}"
        )
    if not 1 <= count <= _MAX_BYTES:
        raise ValueError(f"{name} is {shown(given)}; it must be from 1 to {_MAX_BYTES} bytes")
    return count


def format_bytes(count: int) -> str:
    """The amount in the largest binary unit that keeps it above 1: 1536 -> "1.5 KiB"."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.2f} GiB"


def _typed(value: object) -> str:
    """A value and its type, in a message on a wrong type."""
    return "None" if value is None else f"{type(value).__name__} {shown(value)}"
