"""Faces of a video: found in each frame, and smoothed over the frames around it.

What is restored in a frame depends on the frames within `RADIUS` of it and on nothing else: not on
where segments begin, and not on what a run has made before. So a run that goes on after an
interruption, and one of several shards, make the same samples as a run in one go.

A face is followed from a frame to the ones before and after it: the nearest face of about the same
size and roll is the same one. Its landmarks are then those of a line fitted to all of them, with
weights that fall off in time (local linear regression), so that a face in even motion stays where
it is. Nothing is followed across a cut. A face that is found in some of the frames only is restored
with less strength, so that it neither appears nor ends within one frame.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from realesrgan_vk.faces.face import Face
from realesrgan_vk.options import FaceOptions

if TYPE_CHECKING:
    from realesrgan_vk.imaging.picture import Pixels
    from realesrgan_vk.video.frames import VideoFrame

RADIUS = 4
"""How many frames before and after a frame have a part in its faces."""

_SIGMA = 2.0  # frames: the weights are those of a normal distribution
_REACH = 0.5  # of a face's size: how far away, and by what part larger, it is in the next frame
_TURN = math.radians(45)  # between two frames
_FADE = (0.4, 0.75)  # shares of the frames in which a face begins to be restored, and is it fully
_THUMBNAIL = (16, 16)
_CUT = 24.0  # mean difference of two frames' thumbnails, of 255; more is a cut

Find = Callable[["Pixels"], "list[Face]"]
"""Finds the faces of a frame, floats of RGB in 0..1."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What a look at a frame found.

    Attributes:
        faces: Its faces.
        thumbnail: The first plane in 8 bits, scaled to `_THUMBNAIL`.
    """

    faces: list[Face]
    thumbnail: NDArray[np.float32]

    def is_cut_from(self, other: Seen) -> bool:
        """Whether the two frames, one after the other, are of different scenes."""
        return float(np.abs(self.thumbnail - other.thumbnail).mean()) > _CUT


class Sight:
    """A frame that is looked at once, by the first thread that needs it; it is then released."""

    def __init__(self, frame: VideoFrame) -> None:
        """`frame`: what is looked at."""
        self._frame: VideoFrame | None = frame
        self._seen: Seen | None = None
        self._lock = threading.Lock()

    def look(self, find: Find) -> Seen:
        """What is seen in the frame; equal for all that ask."""
        with self._lock:
            if self._seen is None:
                assert self._frame is not None
                self._seen = Seen(find(self._frame.rgb()), _thumbnail(self._frame))
                self._frame = None
            return self._seen


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A frame and those around it.

    Attributes:
        frame: The frame.
        sight: What is seen in it.
        before: The frames before it, the nearest first, at most `RADIUS`.
        after: Those after it, the nearest first.
    """

    frame: VideoFrame
    sight: Sight
    before: tuple[Sight, ...]
    after: tuple[Sight, ...]

    def faces(self, find: Find, options: FaceOptions) -> list[tuple[Face, float]]:
        """The frame's faces that are to be restored, the smallest first, each with its share.

        Args:
            find: Finds all faces of a frame.
            options: How many of them are wanted.

        Returns:
            Faces with smoothed landmarks and boxes, and above 0 to 1: how much of the strength that
            is asked for each is restored with.
        """
        scene = self._scene(find)
        whole = sum(map(_weight, scene))
        found = []
        for track in _tracks(scene):
            presence = sum(map(_weight, track)) / whole
            share = float(np.clip((presence - _FADE[0]) / (_FADE[1] - _FADE[0]), 0, 1))
            if share > 0:
                found.append((_smoothed(track), share))
        found.sort(key=lambda each: -each[0].size)
        most = 1 if options.only == "largest" else options.max_faces
        return found[:most][::-1]

    def _scene(self, find: Find) -> dict[int, list[Face]]:
        """The faces of the frames of the same scene, by their place; the frame itself is at 0."""
        own = self.sight.look(find)
        scene = {0: own.faces}
        for direction, sights in ((-1, self.before), (1, self.after)):
            last = own
            for away, sight in enumerate(sights, start=1):
                seen = sight.look(find)
                if seen.is_cut_from(last):
                    break
                scene[direction * away] = seen.faces
                last = seen
        return scene


def windows(frames: Iterable[VideoFrame]) -> Iterator[Window]:
    """Each frame with those around it; frames are taken up to `RADIUS` ahead."""
    sights: deque[Sight] = deque()  # of the frames before, of the one at hand and after it
    waiting: deque[VideoFrame] = deque()  # the frame at hand and those after it
    last: VideoFrame | None = None

    def following() -> Window:
        place = len(sights) - len(waiting)
        window = Window(
            waiting.popleft(),
            sights[place],
            tuple(islice(reversed(sights), len(sights) - place, len(sights) - place + RADIUS)),
            tuple(islice(sights, place + 1, place + 1 + RADIUS)),
        )
        if place == RADIUS:
            sights.popleft()
        return window

    for frame in frames:
        is_repeated = last is not None and frame.equals(last)
        sights.append(sights[-1] if is_repeated else Sight(frame))
        waiting.append(frame)
        last = frame
        if len(waiting) > RADIUS:
            yield following()
    while waiting:
        yield following()


def find_all(options: FaceOptions) -> FaceOptions:
    """The options by which single frames are searched; which faces are wanted is chosen after."""
    return replace(options, only="all", max_faces=None)


def _thumbnail(frame: VideoFrame) -> NDArray[np.float32]:
    form = frame.yuv_format
    plane = (frame.planes[0] >> (form.bits + form.low_bits - 8)).astype(np.uint8)
    small = Image.fromarray(plane).resize(_THUMBNAIL, Image.Resampling.BOX)
    return np.asarray(small).astype(np.float32)


def _weight(place: int) -> float:
    return float(np.exp(-0.5 * (place / _SIGMA) ** 2))


def _tracks(scene: Mapping[int, list[Face]]) -> list[dict[int, Face]]:
    """Which faces are the same one, by the places of their frames.

    Frames are taken from the one at hand outwards. A track goes on with the nearest face that no
    nearer track takes; it pauses where that is too far away, or of another size or roll.
    """
    tracks: list[dict[int, Face]] = []
    for place in sorted(scene, key=lambda place: (abs(place), place)):
        faces = scene[place]
        nearest = [
            (_distance(track[min(track, key=lambda other: abs(other - place))], face), one, other)
            for one, track in enumerate(tracks)
            for other, face in enumerate(faces)
        ]
        taken: dict[int, int] = {}  # the track of a face
        for distance, one, other in sorted(nearest):
            if distance <= _REACH and one not in taken.values() and other not in taken:
                taken[other] = one
        for other, face in enumerate(faces):
            if other in taken:
                tracks[taken[other]][place] = face
            else:
                tracks.append({place: face})
    return tracks


def _distance(one: Face, other: Face) -> float:
    """How far apart two faces are, or by how much one is larger, in sizes of the smaller one.

    Infinite between faces turned by more than `_TURN`.
    """
    if one.turned_from(other) > _TURN:
        return math.inf
    smaller, larger = sorted((one.size, other.size))
    away = float(np.hypot(*(one.landmarks.mean(axis=0) - other.landmarks.mean(axis=0))))
    return max(away, larger - smaller) / max(smaller, 1e-6)


def _smoothed(track: Mapping[int, Face]) -> Face:
    """The face at place 0 of lines fitted to the landmarks and boxes of a track."""
    places = np.array(list(track), np.float64)
    weights = np.array([_weight(place) for place in track])
    weights /= weights.sum()
    middle = float(weights @ places)
    spread = float(weights @ (places - middle) ** 2)
    # The value at 0 of the fitted line is a weighted mean of the values.
    if spread > 0:
        weights *= 1 - middle * (places - middle) / spread
    values = [np.concatenate([face.landmarks.ravel(), face.box]) for face in track.values()]
    value = weights @ np.array(values)
    x, y, width, height = value[10:].tolist()
    score = float(np.mean([face.score for face in track.values()]))
    return Face((x, y, width, height), score, value[:10].reshape(5, 2))
