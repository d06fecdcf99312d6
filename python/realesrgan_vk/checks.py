"""Checks of values: each raises `TypeError` or `ValueError` with the argument's name and range."""

import numbers
import operator
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import SupportsIndex, TypeGuard, TypeVar

_SHOWN = 60  # characters of a value in a message

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
        low: The smallest that is allowed.
        high: The largest that is allowed; None: no limit.
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
    """One of some texts."""
    if isinstance(value, str):
        for choice in allowed:
            if value == choice:
                return choice
    raise ValueError(f"{name} is {shown(value)}; it must be one of {', '.join(allowed)}")


def flag(name: str, value: object) -> bool:
    """True or False, of Python or NumPy, and nothing that only counts as such."""
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
    """A path of text or of an object that stands for one, whose bytes are decoded."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"{name} must be a path, not {_typed(path)}")
    text = os.fsdecode(path)
    if "\0" in text:
        raise ValueError(f"{name} is {shown(text)}; a path cannot contain a null character")
    return Path(text)


def _typed(value: object) -> str:
    """A value and its type, in a message on a wrong type."""
    return "None" if value is None else f"{type(value).__name__} {shown(value)}"
