"""Builds an ICC profile of primaries and a tone curve (ICC.1:2022, sections 7 to 10)."""

import struct

import numpy as np
from numpy.typing import NDArray

Chromaticity = tuple[float, float]
"""CIE 1931 x and y."""

Primaries = tuple[Chromaticity, Chromaticity, Chromaticity, Chromaticity]
"""Chromaticities of red, green, blue and white."""

SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
"""IEC 61966-2-1, as the parameters of a curve of type 3 (section 10.18)."""

_D50 = (0.9642, 1.0, 0.8249)
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
_PARAMETER_TYPES = {1: 0, 3: 1, 4: 2, 5: 3, 7: 4}  # of a curve, by the number of parameters


def profile(primaries: Primaries | None, curve: tuple[float, ...], name: str) -> bytes:
    """A display profile.

    Args:
        primaries: Any that span a triangle; None: of grey.
        curve: The parameters of a parametric curve, encoded values to linear light.
        name: The profile's description, in ASCII.

    Raises:
        ValueError: The primaries span no triangle, or a number is too large for a profile.
    """
    if primaries is None:
        return _profile(b"GRAY", {b"kTRC": _curve_type(curve)}, name)
    columns = np.array([_xyz(each) for each in primaries[:3]]).T
    white = _xyz(primaries[3])
    try:
        to_xyz = columns * np.linalg.solve(columns, white)
        adaptation = _adaptation(white)
    except np.linalg.LinAlgError as error:
        raise ValueError("the primaries span no triangle") from error
    adapted = adaptation @ to_xyz
    tags = {b"chad": b"sf32" + bytes(4) + _fixed(*adaptation.ravel())}
    for index, tag in enumerate((b"rXYZ", b"gXYZ", b"bXYZ")):
        tags[tag] = _xyz_type(*adapted[:, index])
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _curve_type(curve))
    return _profile(b"RGB ", tags, name)


def _xyz(point: Chromaticity) -> NDArray[np.float64]:
    x, y = point
    if not y:
        raise ValueError("a chromaticity has no y")
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _adaptation(white: NDArray[np.float64]) -> NDArray[np.float64]:
    """The linear Bradford transform from this white to D50 (section E.2)."""
    cones = _BRADFORD @ np.array(_D50) / (_BRADFORD @ white)
    result: NDArray[np.float64] = np.linalg.solve(_BRADFORD, np.diag(cones) @ _BRADFORD)
    return result


def _fixed(*values: float) -> bytes:
    """s15Fixed16 numbers."""
    if not np.isfinite(values).all() or max(map(abs, values)) >= 32768:
        raise ValueError("a number is too large for a profile")
    return struct.pack(f">{len(values)}i", *(round(65536 * float(value)) for value in values))


def _xyz_type(*values: float) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(*values)


def _curve_type(curve: tuple[float, ...]) -> bytes:
    return b"para" + bytes(4) + struct.pack(">HH", _PARAMETER_TYPES[len(curve)], 0) + _fixed(*curve)


def _profile(space: bytes, tags: dict[bytes, bytes], name: str) -> bytes:
    about = {}
    for tag, words in ((b"desc", name), (b"cprt", "No copyright, use freely")):
        text = words.encode("utf-16-be")
        head = struct.pack(">4s4xII4sII", b"mluc", 1, 12, b"enUS", len(text), 28)
        about[tag] = head + text
    tags = about | {b"wtpt": _xyz_type(*_D50)} | tags
    table, content = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    placed: dict[bytes, int] = {}
    for tag, data in tags.items():
        if data not in placed:
            placed[data] = start + len(content)
            content += data + bytes(-len(data) % 4)
        table += struct.pack(">4sII", tag, placed[data], len(data))
    header = struct.pack(
        ">I4xI4s4s4s12s4s28x12s48x",
        start + len(content),
        0x04400000,
        b"mntr",
        space,
        b"XYZ ",
        struct.pack(">6H", 2026, 1, 1, 0, 0, 0),
        b"acsp",
        _fixed(*_D50),
    )
    return header + table + content
