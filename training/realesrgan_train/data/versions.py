"""Whole pictures shrunk by the factors that crops are taken at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from realesrgan_train.data.crops import shrink, shrunken_size
from realesrgan_train.data.pictures import Picture
from realesrgan_train.data.sources import PictureSource


class PictureVersions:
    """The pictures of a source by their number and that of a factor.

    In the source's cache, level 0 is a picture as it is and level 1 + n the one that is shrunk by
    factor n.

    Args:
        source: The pictures.
        size: Edge of the crops; no version is made smaller.
        factors: 0..1.
    """

    def __init__(self, source: PictureSource, size: int, factors: Sequence[float]) -> None:
        self.source, self.size, self.factors = source, size, factors

    def get(self, index: int, numbers: Iterable[int]) -> dict[int, Picture]:
        """A picture's versions for the factors of these numbers; decoded at most once.

        Raises:
            DataError: It cannot be read or decoded.
        """
        found: dict[int, Picture] = {}
        missing = []
        for number in sorted(set(numbers)):
            kept = self._kept(index, 1 + number)
            if kept is None:
                missing.append(number)
            else:
                found[number] = kept
        if missing:
            picture = self._kept(index, 0)
            if picture is None:
                picture = self.source.decode_anew(index)
            found |= self._make(picture, index, missing)
        return found

    def _make(self, picture: Picture, index: int, numbers: list[int]) -> dict[int, Picture]:
        height, width = picture.shape[:2]
        large = min(height, width) > self.size
        made: dict[tuple[int, int], tuple[int, Picture]] = {}  # level and pixels by size
        found = {}
        for number in numbers:
            shape = height, width
            if large:
                shape = shrunken_size(height, width, self.size, self.factors[number])
            if shape not in made:
                level = 0 if shape == (height, width) else 1 + number
                version = picture if level == 0 else shrink(picture, *shape)
                self._keep(version, index, level)
                made[shape] = level, version
            level, found[number] = made[shape]
            if self.source.cache is not None and level != 1 + number:
                self.source.cache.link(index, 1 + number, level)
        return found

    def _kept(self, index: int, level: int) -> Picture | None:
        return self.source.cache.get(index, level) if self.source.cache is not None else None

    def _keep(self, picture: Picture, index: int, level: int) -> None:
        if self.source.cache is not None:
            self.source.cache.keep(picture, index, level)
