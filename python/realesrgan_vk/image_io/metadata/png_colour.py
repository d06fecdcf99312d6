"""The colour space that a PNG file's chunks describe, as an ICC profile.

PNG specification, third edition, section 4.3: cICP comes before iCCP, iCCP before sRGB, sRGB
before gAMA and cHRM. Code points of cICP: ITU-T H.273, tables 2 and 3.
"""

import struct

import numpy as np

from realesrgan_vk.image_io.metadata import icc_build
from realesrgan_vk.image_io.metadata.icc_build import SRGB_CURVE, Chromaticity, Primaries

SIZES = {b"cICP": 4, b"sRGB": 1, b"gAMA": 4, b"cHRM": 32, b"mDCV": 24, b"cLLI": 8}
"""Bytes of each chunk."""

DESCRIBING = (b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM")
"""The chunks that describe the colour space."""

_D65: Chromaticity = (0.3127, 0.3290)
_C: Chromaticity = (0.310, 0.316)
_BT709: Primaries = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), _D65)
_PRIMARIES: dict[int, Primaries] = {
    1: _BT709,
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), _C),
    5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), _D65),
    6: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    7: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    8: ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), _C),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
    22: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), _D65),
}
_BT709_CURVE = (1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)
_CURVES: dict[int, tuple[float, ...]] = {
    1: _BT709_CURVE,
    4: (2.2,),
    5: (2.8,),
    6: _BT709_CURVE,
    7: (1 / 0.45, 1 / 1.1115, 0.1115 / 1.1115, 1 / 4, 0.0913),
    8: (1.0,),
    13: SRGB_CURVE,
    14: _BT709_CURVE,
    15: _BT709_CURVE,
}
_SAME = 0.0005  # chromaticities closer than this are equal
_HDR = {16: "PQ", 18: "HLG"}


def hdr_curve(chunks: dict[bytes, bytes]) -> str:
    """Which curve without an ICC profile cICP names, "PQ" or "HLG"; else empty."""
    return _HDR.get(chunks.get(b"cICP", bytes(4))[1], "")


def is_understood(cicp: bytes) -> bool:
    """Whether a cICP chunk names a colour space known here, of RGB in full range."""
    primaries, curve, matrix, full_range = cicp
    known = primaries in _PRIMARIES and (curve in _CURVES or curve in _HDR)
    return known and matrix == 0 and full_range == 1


def profile_of(chunks: dict[bytes, bytes], *, grey: bool) -> bytes | None:
    """The ICC profile that cICP, or else sRGB, or else gAMA and cHRM stand for.

    Args:
        chunks: Contents by kind, of the sizes in `SIZES`; iCCP is not looked at.
        grey: Whether the picture is grey.

    Returns:
        None for sRGB, for no such chunk, and for PQ and HLG.

    Raises:
        ValueError: Numbers that make no sense.
    """
    cicp = chunks.get(b"cICP")
    if cicp is not None and is_understood(cicp):
        if cicp[1] in _HDR or cicp[:2] == b"\x01\x0d":
            return None
        name, primaries = f"cICP {cicp[0]}/{cicp[1]}", _PRIMARIES[cicp[0]]
        return icc_build.profile(None if grey else primaries, _CURVES[cicp[1]], name)
    if b"sRGB" in chunks or not (b"gAMA" in chunks or b"cHRM" in chunks):
        return None
    # What the chunks leave out is as in sRGB.
    curve: tuple[float, ...] = SRGB_CURVE
    primaries, name = _BT709, "PNG"
    if b"gAMA" in chunks:
        (gamma,) = struct.unpack(">I", chunks[b"gAMA"])
        if not 10_000 <= gamma <= 1_000_000:  # exponents from 0.1 to 10
            raise ValueError(f"gAMA is {gamma}")
        curve = (100_000 / gamma,)
        name += f" gamma {gamma / 100_000:.5f}"
    if b"cHRM" in chunks:
        values = [each / 100_000 for each in struct.unpack(">8I", chunks[b"cHRM"])]
        white, red, green, blue = ((values[at], values[at + 1]) for at in (0, 2, 4, 6))
        primaries = (red, green, blue, white)
        if any(not 0 < y <= 1 or not 0 <= x <= 1 for x, y in (white, red, green)):
            raise ValueError(f"cHRM is {values}")
        name += " with primaries"
        same = np.abs(np.subtract(primaries, _BT709)).max() < _SAME
        if same and b"gAMA" not in chunks:
            return None
    return icc_build.profile(None if grey else primaries, curve, name)
