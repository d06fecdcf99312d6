"""Descriptions of TIFF files that programs read the layout of the pixels from.

They are of the old pixels: corrected where that is simple, else dropped.
"""

import json
import re
from typing import Any

_MOST_BYTES = 1 << 20
_SEVERAL = re.compile(rb"^(?:images|channels|slices|frames)=(?!1\s*$)", re.MULTILINE)
_OME = re.compile(rb"<(?:\w+:)?OME[\s>]")


def stale(text: bytes) -> str:
    """Whose description it is, where it is of pixels that a result does not have; else empty."""
    if _OME.search(text[:_MOST_BYTES]):
        return "OME-XML"
    if text.startswith(b"ImageJ=") and _SEVERAL.search(text[:_MOST_BYTES]):
        return "ImageJ"
    return ""


def is_shape(text: bytes) -> bool:
    """Whether it is tifffile's JSON, which holds the shape of the array."""
    return _shaped(text) is not None


def with_shape(text: bytes, shape: tuple[int, ...]) -> bytes:
    """Tifffile's JSON with this shape; keys that contradict it are left out."""
    content = _shaped(text) or {}
    axes = content.get("axes")
    if not isinstance(axes, str) or len(axes) != len(shape):
        content.pop("axes", None)
    return json.dumps(content | {"shape": list(shape)}).encode("ascii")


def says_more(text: bytes) -> bool:
    """Whether tifffile's JSON holds more than the layout of the pixels."""
    return bool(set(_shaped(text) or {}) - {"shape", "axes"})


def _shaped(text: bytes) -> dict[str, Any] | None:
    if not text.startswith(b"{") or len(text) > _MOST_BYTES:
        return None
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) and "shape" in content else None
