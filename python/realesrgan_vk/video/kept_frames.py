"""Results of the segment in work, on the disk, so that a run that goes on does not make them again.

An encoder's state cannot be stored: a segment that was not finished is encoded again from its first
frame. Where the network takes long, what matters are the frames it made.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

if TYPE_CHECKING:
    from realesrgan_vk.video.frames import Plane

_HEAD = Struct("<QI")  # a frame's number, and the CRC-32 of its samples
_LEAST_FREE = 1 << 30  # bytes that are left on the disk for all else


class KeptFrames:
    """A file of frames of one size, each with its number.

    It only saves time: what cannot be read or written, or is damaged, is made again. Several
    threads may load frames while one adds others.
    """

    def __init__(self, path: Path, frame_bytes: int) -> None:
        """Find what an interrupted run left.

        Args:
            path: The file, which need not exist.
            frame_bytes: Of all samples of a frame.
        """
        self._path = path
        self._record = _HEAD.size + frame_bytes
        self._places: dict[int, int] = {}
        self._end = 0
        with suppress(OSError), path.open("rb") as file:
            self._end = path.stat().st_size // self._record * self._record
            for place in range(0, self._end, self._record):
                file.seek(place)
                number, _ = _HEAD.unpack(file.read(_HEAD.size))
                self._places[number] = place

    def load(self, number: int, planes: Sequence[Plane]) -> bool:
        """Fill planes with a frame's samples; False: it is not there, or damaged."""
        place = self._places.get(number)
        if place is None:
            return False
        content = b""
        with suppress(OSError), self._path.open("rb") as file:
            file.seek(place)
            content = file.read(self._record)
        samples = memoryview(content)[_HEAD.size :]
        if content[: _HEAD.size] != _HEAD.pack(number, crc32(samples)):
            del self._places[number]
            return False
        for plane in planes:
            own, samples = samples[: plane.nbytes], samples[plane.nbytes :]
            plane[...] = np.frombuffer(own, plane.dtype).reshape(plane.shape)
        return True

    def add(self, number: int, planes: Sequence[Plane]) -> None:
        """Store a frame, unless it is there or the disk is nearly full."""
        if number in self._places:
            return
        samples = b"".join(plane.tobytes() for plane in planes)
        try:
            if shutil.disk_usage(self._path.parent).free < _LEAST_FREE + self._record:
                return
            with self._path.open("r+b" if self._path.exists() else "xb") as file:
                file.seek(self._end)
                file.write(_HEAD.pack(number, crc32(samples)) + samples)
        except OSError:
            self.clear()
            return
        self._places[number] = self._end
        self._end += self._record

    def clear(self) -> None:
        """Forget all frames: their segment is finished."""
        self._places.clear()
        self._end = 0
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
