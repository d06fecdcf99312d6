"""Amounts of memory as people write them: 2GiB, 500MB, 1073741824."""

import re

_UNITS = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}
_FORM = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", re.IGNORECASE)


def parse_bytes(name: str, given: int | str) -> int:
    """Bytes of "2GiB", "500 MB" or a plain number.

    Args:
        name: What it is for, as the error shall say.
        given: A whole number of bytes, or a number and a unit (B, kB, MB, GB, KiB, MiB, GiB ...).

    Raises:
        TypeError: Neither a whole number nor text.
        ValueError: Not such a text, or less than one byte.
    """
    if isinstance(given, bool) or not isinstance(given, (int, str)):
        raise TypeError(
            f"{name} must be bytes as a whole number, or text such as '2GiB', "
            f"not {type(given).__name__}"
        )
    if isinstance(given, str):
        form = _FORM.fullmatch(given)
        unit = _UNITS.get(form[2].lower()) if form else None
        if form is None or unit is None:
            raise ValueError(
                f"{name} is {given!r}; give a number of bytes, or one with a unit: 500MB, 2GiB"
            )
        given = int(float(form[1]) * unit)
    if given < 1:
        raise ValueError(f"{name} is {given} bytes; it must be at least 1")
    return given


def format_bytes(count: int) -> str:
    """In the largest binary unit that keeps it above 1: 1536 -> "1.5 KiB"."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.2f} GiB"
