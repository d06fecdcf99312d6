"""A face that was found in a picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LANDMARKS = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
"""What the landmarks are, in their order; left and right as a viewer sees an upright face."""


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """Where a face is, in pixels of the picture; the first pixel's centre is at (0.5, 0.5).

    Attributes:
        box: Left, top, width and height; it may reach beyond the picture.
        score: How sure the detector is, 0..1.
        landmarks: Five points (x, y) in the order of `LANDMARKS`, of shape (5, 2), float64.
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks: NDArray[np.float64]

    @property
    def size(self) -> float:
        """The longer side of the box."""
        return max(self.box[2:])

    @property
    def roll(self) -> float:
        """How far the face is turned in the picture's plane, in radians; clockwise is positive."""
        across = self.landmarks[1] - self.landmarks[0] + self.landmarks[4] - self.landmarks[3]
        return float(np.arctan2(across[1], across[0]))

    def turned_from(self, other: Face) -> float:
        """The angle between the rolls of two faces, in radians, 0..pi."""
        return abs(math.remainder(self.roll - other.roll, math.tau))

    def as_dict(self) -> dict[str, object]:
        """The numbers as JSON has them, rounded to a hundredth of a pixel."""
        return {
            "box": [round(value, 2) for value in self.box],
            "score": round(self.score, 4),
            "landmarks": {
                name: [round(float(x), 2), round(float(y), 2)]
                for name, (x, y) in zip(LANDMARKS, self.landmarks, strict=True)
            },
        }
