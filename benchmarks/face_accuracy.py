"""Where faces are found, against an independent run of the detector, by the faces' size.

python benchmarks/face_accuracy.py [PHOTOGRAPH...]. Each has one face, of which the largest is
taken; without any: scikit-image's astronaut. Needs the extra `faces`.

The reference is OpenCV's `FaceDetectorYN` with the same weights, without anything of this package:
the mean of looks at the photograph scaled so that the face has 250 to 400 pixels, each shifted and
half of them mirrored. That range is where single looks scatter least, which is printed first. What
is compared is the search in the photograph shrunken until the face has a given size, also with the
reference of that shrunken picture, enlarged to the same 250 to 400 pixels.
"""

import argparse
import math
from pathlib import Path

import cv2
import numpy as np
import skimage
from numpy.typing import NDArray
from PIL import Image

from realesrgan_vk.faces.detect import detect, require_detector

MIRRORED = [1, 0, 2, 4, 3]
LOOKS = 24
REFERENCE_SIZES = (250, 400)
SINGLE_SIZES = (24, 32, 48, 100, 150, 200, 300, 400)
SIZES = (24, 32, 48, 64, 100, 150, 200)
PHASES = 3  # of the shrunken picture's pixels against the photograph's
Bytes = NDArray[np.uint8]
Points = NDArray[np.float64]


class Oracle:
    """`FaceDetectorYN` on one photograph with one face."""

    def __init__(self, photograph: Image.Image) -> None:
        """Find the face in the photograph at 640 pixels."""
        self._net = cv2.FaceDetectorYN.create(str(require_detector()), "", (32, 32), 0.5)
        factor = min(1, 640 / max(photograph.size))
        size = (round(photograph.width * factor), round(photograph.height * factor))
        rows = self._rows(np.asarray(photograph.resize(size, Image.Resampling.LANCZOS)))
        x, y, width, height = rows[rows[:, 2].argmax(), :4] / factor
        self.face = max(width, height)
        self._centre = np.array([x + width / 2, y + height / 2])
        self._edge = math.ceil(3 * self.face)
        around = [(self._edge, self._edge)] * 2 + [(0, 0)]
        padded = np.pad(np.asarray(photograph), around, mode="edge")
        self._padded = Image.fromarray(padded)

    def _rows(self, pixels: Bytes) -> NDArray[np.float32]:
        self._net.setInputSize((pixels.shape[1], pixels.shape[0]))
        rows: NDArray[np.float32] | None = self._net.detect(
            np.ascontiguousarray(pixels[..., ::-1])
        )[1]
        return np.empty((0, 15), np.float32) if rows is None else rows

    def look(self, size: float, rng: np.random.Generator, *, mirrored: bool) -> Points | None:
        """Landmarks in the photograph of one look in which the face has this size."""
        factor = size / self.face
        side = max(64, round(2.4 * size))
        start = self._centre - (side / 2 + rng.uniform(-16, 16, 2) * min(1, size / 64)) / factor
        box = (*(start + self._edge), *(start + self._edge + side / factor))
        image = self._padded.resize((side, side), Image.Resampling.LANCZOS, box=box)
        pixels = np.asarray(image)
        rows = self._rows(pixels[:, ::-1] if mirrored else pixels)
        points = rows[:, 4:14].reshape(-1, 5, 2).astype(np.float64)
        if mirrored:
            points = points[:, MIRRORED] * (-1, 1) + (side, 0)
        points = points / factor + start
        away = np.linalg.norm(points.mean(axis=1) - self._centre, axis=1)
        if not len(points) or away.min() > 0.4 * self.face:
            return None
        nearest: Points = points[away.argmin()]
        return nearest

    def looks(self, low: float, high: float) -> Points:
        """Landmarks of `LOOKS` looks of sizes in a range."""
        rng = np.random.default_rng(0)
        sizes = np.geomspace(low, high, LOOKS)
        seen = [self.look(size, rng, mirrored=bool(n % 2)) for n, size in enumerate(sizes)]
        return np.array([points for points in seen if points is not None])


def shrunken(photograph: Image.Image, factor: float, phase: Points) -> Bytes:
    """The photograph scaled; its first pixel begins at `phase`."""
    width, height = ((side - at) * factor for side, at in zip(photograph.size, phase, strict=True))
    size = (int(width), int(height))
    box = (*phase, *(phase + np.array(size) / factor))
    return np.asarray(photograph.resize(size, Image.Resampling.LANCZOS, box=box))


def error(points: Points, reference: Points) -> float:
    """The largest one of both eyes and the landmarks' centre, in percent of the eyes' distance."""
    away = points - reference
    most = np.linalg.norm([away[0], away[1], away.mean(axis=0)], axis=1).max()
    return float(100 * most / np.linalg.norm(reference[1] - reference[0]))


def measure(name: str, photograph: Image.Image) -> None:
    """Print the scatter of single looks, and how far the search is from the reference."""
    oracle = Oracle(photograph)
    looks = oracle.looks(*REFERENCE_SIZES)
    reference = looks.mean(axis=0)
    eyes = float(np.linalg.norm(reference[1] - reference[0]))
    print(f"{name}: a face of {oracle.face:.0f} pixels, {eyes:.0f} between the eyes")
    for size in SINGLE_SIZES:
        seen = oracle.looks(size / 1.05, size * 1.05)
        mean = seen.mean(axis=0)
        scatter = np.sqrt(((seen - mean)[:, :2] ** 2).sum(axis=-1).mean()) / eyes
        off = np.linalg.norm((mean - reference)[:2], axis=-1).max() / eyes
        print(f"  single looks at {size:3}: scatter {100 * scatter:4.1f} %, off {100 * off:4.1f} %")
    rng = np.random.default_rng(1)
    for size in SIZES:
        factor = size / oracle.face
        if factor > 1:
            continue
        errors, same = [], []
        for _ in range(PHASES):
            phase = rng.uniform(0, 1 / factor, 2)
            small = shrunken(photograph, factor, phase)
            points = max(detect(small), key=lambda face: face.size).landmarks
            own = Oracle(Image.fromarray(small)).looks(*REFERENCE_SIZES).mean(axis=0)
            errors.append(error(points / factor + phase, reference))
            same.append(error(points, own))
        print(
            f"  found at {size:3}: off {np.mean(errors):4.1f} %, most {max(errors):4.1f} %; "
            f"from the reference of the shrunken picture at most {max(same):4.1f} %",
            flush=True,
        )


def main() -> None:
    """Measure each photograph."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photographs", nargs="*", type=Path)
    asked = parser.parse_args()
    astronaut = Path(skimage.__file__).parent / "data/astronaut.png"
    for path in asked.photographs or [astronaut]:
        with Image.open(path) as image:
            measure(path.name, image.convert("RGB"))


if __name__ == "__main__":
    main()
