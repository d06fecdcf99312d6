"""Amounts of memory as people write them: 2GiB, 2G, 500MB, 1073741824."""

import operator
import re
from fractions import Fraction

from realesrgan_vk.checks import is_whole, shown

_UNITS = {
    "": 1,
    "b": 1,
    "k": 2**10,
    "m": 2**20,
    "g": 2**30,
    "t": 2**40,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}
_FORM = re.compile(r"\s*([0-9]{1,20}(?:\.[0-9]{1,20})?)\s*([a-z]*)\s*", re.IGNORECASE | re.ASCII)
_MAX_BYTES = 2**63 - 1
_HELP = "give a number of bytes, or one with a unit: 500MB, 2GiB, 2G (the same as 2GiB)"


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
    """In the largest binary unit that keeps it above 1: 1536 -> "1.5 KiB"."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.2f} GiB"
