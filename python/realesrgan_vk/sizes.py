"""The size a caller asks for."""

import math
from dataclasses import dataclass

from realesrgan_vk.checks import real_number, whole_number

MAX_SIDE = 1 << 24  # beyond any picture: a mistake in the arguments


@dataclass(frozen=True, slots=True)
class TargetSize:
    """An output size: a factor, sides, or the long edge; nothing means the network's own scale.

    With one side or the long edge given, the other follows from the picture's aspect. With both
    sides given the picture is stretched to them.

    Attributes:
        scale: Output pixels per input pixel along a side.
        width: In pixels.
        height: In pixels.
        long_edge: The longer side in pixels.

    Raises:
        TypeError: A value is not a number.
        ValueError: A value is out of range, or they contradict each other.
    """

    scale: float | None = None
    width: int | None = None
    height: int | None = None
    long_edge: int | None = None

    def __post_init__(self) -> None:
        # Numbers of other types, such as NumPy's, are kept as Python's own.
        if self.scale is not None:
            scale = real_number("scale", self.scale, "above 0 and at most 256", _is_scale)
            object.__setattr__(self, "scale", scale)
        for name in ("width", "height", "long_edge"):
            side = getattr(self, name)
            if side is not None:
                number = whole_number(name, side, 1, MAX_SIDE, kind="a whole number of pixels")
                object.__setattr__(self, name, number)
        ways = [
            self.scale is not None,
            self.width is not None or self.height is not None,
            self.long_edge is not None,
        ]
        if sum(ways) > 1:
            raise ValueError("give only one of: scale; width and/or height; long_edge")

    def of(self, width: int, height: int, network_scale: int) -> tuple[int, int]:
        """Width and height asked for a picture of this width and height, at least 1 x 1."""
        if self.width is not None and self.height is not None:
            return self.width, self.height
        if self.width is not None:
            return self.width, _rounded(self.width * height / width)
        if self.height is not None:
            return _rounded(self.height * width / height), self.height
        if self.long_edge is not None:
            longest = max(width, height)
            return (
                _rounded(self.long_edge * width / longest),
                _rounded(self.long_edge * height / longest),
            )
        scale = network_scale if self.scale is None else self.scale
        return _rounded(width * scale), _rounded(height * scale)


def _is_scale(value: float) -> bool:
    return 0 < value <= 256


def _rounded(side: float) -> int:
    return max(1, math.floor(side + 0.5))
