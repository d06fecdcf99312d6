"""The tone curves of an ICC profile (ICC.1:2022, sections 7, 10.6 and 10.18)."""

import struct

import numpy as np
from numpy.typing import NDArray

CURVE_POINTS = 4096
# Exceptions of parsing damaged bytes.
_DAMAGE = (struct.error, KeyError, ValueError, IndexError, ArithmeticError)


def colour_space(profile: bytes) -> str:
    """The profile's space: "RGB", "GRAY", "CMYK", ...; empty for bytes that are no profile."""
    if len(profile) < 132 or profile[36:40] != b"acsp":
        return ""
    return profile[16:20].decode("latin-1").strip()


def tone_curves(profile: bytes) -> list[NDArray[np.float64]] | None:
    """Linear light of `CURVE_POINTS` evenly spaced encoded values, one curve for each channel.

    Returns:
        None for a profile without tone curves (one that works by tables), or a damaged one.
    """
    try:
        return _curves(profile)
    except _DAMAGE:
        return None


def is_damaged(profile: bytes) -> bool:
    """Whether these bytes are no profile, or one whose tone curves cannot be used."""
    try:
        _curves(profile)
    except _DAMAGE:
        return True
    return not colour_space(profile)


def _curves(profile: bytes) -> list[NDArray[np.float64]] | None:
    names = {"RGB": (b"rTRC", b"gTRC", b"bTRC"), "GRAY": (b"kTRC",)}.get(colour_space(profile))
    (count,) = struct.unpack_from(">I", profile, 128)
    tags = {}
    for index in range(min(count, 100)):
        name, offset, size = struct.unpack_from(">4sII", profile, 132 + 12 * index)
        tags[name] = profile[offset : offset + size]
    if names is None or b"A2B0" in tags:
        return None
    with np.errstate(all="ignore"):  # what is not finite is refused below
        curves = [_curve(tags[name]) for name in names]
        valid = all(np.isfinite(curve).all() and curve[-1] > curve[0] for curve in curves)
    if not valid:
        raise ValueError("a tone curve that does not rise")
    return curves


def _curve(tag: bytes) -> NDArray[np.float64]:
    x: NDArray[np.float64] = np.linspace(0.0, 1.0, CURVE_POINTS)
    if tag[:4] == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        if count == 0:
            return x
        values = struct.unpack_from(f">{count}H", tag, 12)
        if count == 1:
            return _power(x, values[0] / 256)
        return np.interp(x, np.linspace(0.0, 1.0, count), np.array(values) / 65535)
    if tag[:4] == b"para":
        return _parametric(tag, x)
    raise ValueError("unknown kind of curve")


def _parametric(tag: bytes, x: NDArray[np.float64]) -> NDArray[np.float64]:
    (kind,) = struct.unpack_from(">H", tag, 8)
    count = (1, 3, 4, 5, 7)[kind]
    values = [value / 65536 for value in struct.unpack_from(f">{count}i", tag, 12)]
    g, a, b, c, d, e, f = values + [0.0] * (7 - count)
    if kind == 0:
        return _power(x, g)
    base = a * x + b
    power = _power(np.maximum(base, 0), g)
    # The standard's x >= -b / a for a positive a; others give no rising curve.
    if kind == 1:
        return np.where(base >= 0, power, np.zeros_like(x))
    if kind == 2:
        return np.where(base >= 0, power + c, np.full_like(x, c))
    linear: NDArray[np.float64] = c * x + f
    return np.where(x >= d, power + e, linear)


def _power(base: NDArray[np.float64], exponent: float) -> NDArray[np.float64]:
    result: NDArray[np.float64] = np.power(base, exponent)
    return result
