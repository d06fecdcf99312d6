"""Given pairs: a target and its small version, matched by name."""

from __future__ import annotations

import re
from collections.abc import Sequence

from realesrgan_train.data.pictures import Picture
from realesrgan_train.data.sources import PictureSource
from realesrgan_train.errors import DataError

_SCALE_ENDING = re.compile(r"x\d$")


class PairedSource:
    """Pairs of pictures of two sources; `0001x4.png` also finds `0001.png`.

    Raises:
        DataError: A target has no small version, naming the first few.
    """

    def __init__(self, gt: PictureSource, lq: PictureSource, scale: int) -> None:
        self.gt, self.lq, self.scale = gt, lq, scale
        exact = {lq.key(index): index for index in range(len(lq))}
        loose = {_SCALE_ENDING.sub("", key): index for key, index in exact.items()}
        self.matches: list[tuple[int, int]] = []
        lonely: list[str] = []
        for index in range(len(gt)):
            key = gt.key(index)
            partner = exact.get(key, loose.get(key))
            if partner is None:
                lonely.append(key)
            else:
                self.matches.append((index, partner))
        if lonely:
            some = ", ".join(lonely[:3]) + (", ..." if len(lonely) > 3 else "")
            raise DataError(
                f"{len(lonely)} of {len(gt)} pictures in {gt.origin} have no small version of the "
                f"same name in {lq.origin}: {some}"
            )

    def __len__(self) -> int:
        return len(self.matches)

    def label(self, index: int) -> str:
        """Name of the pair's target, for messages."""
        return self.gt.label(self.matches[index][0])

    def read(self, index: int) -> tuple[bytes, bytes]:
        """The encoded target and the encoded small picture.

        Raises:
            DataError: One cannot be read.
        """
        gt_index, lq_index = self.matches[index]
        return self.gt.read(gt_index), self.lq.read(lq_index)

    def decode(self, index: int) -> tuple[Picture, Picture]:
        """Target `uint8[s*h, s*w, C]` and small picture `uint8[h, w, C]`.

        Raises:
            DataError: Unreadable, or the sizes do not differ by exactly the scale.
        """
        gt_index, lq_index = self.matches[index]
        gt, lq = self.gt.decode(gt_index), self.lq.decode(lq_index)
        problem = wrong_sizes(gt.shape[:2], lq.shape[:2], self.scale, self.label(index))
        if problem:
            raise DataError(problem)
        return gt, lq


def wrong_sizes(gt: tuple[int, ...], lq: tuple[int, ...], scale: int, label: str) -> str:
    """What is wrong unless `gt` (height, width) is exactly `scale` times `lq`; else nothing."""
    height, width = lq
    if gt == (height * scale, width * scale):
        return ""
    return (
        f"{label}: is {gt[1]}x{gt[0]}, but its small version is {width}x{height}; "
        f"at scale {scale} it must be {width * scale}x{height * scale}"
    )


class JoinedPairs:
    """Several paired sources, one after the other."""

    def __init__(self, parts: Sequence[PairedSource]) -> None:
        self.parts = list(parts)
        self._where = [(part, index) for part in self.parts for index in range(len(part))]

    def __len__(self) -> int:
        return len(self._where)

    def label(self, index: int) -> str:
        """Name of the pair's target, for messages."""
        part, inner = self._where[index]
        return part.label(inner)

    def read(self, index: int) -> tuple[bytes, bytes]:
        """See `PairedSource.read`."""
        part, inner = self._where[index]
        return part.read(inner)

    def decode(self, index: int) -> tuple[Picture, Picture]:
        """See `PairedSource.decode`."""
        part, inner = self._where[index]
        return part.decode(inner)
