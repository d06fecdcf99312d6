"""Restoring the faces of a picture in its enlarged version: find, align, restore, paste."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from realesrgan_vk.faces.align import CROP, Floats, Similarity, to_crop, warp
from realesrgan_vk.faces.detect import detect, require_detector
from realesrgan_vk.faces.face import Face
from realesrgan_vk.faces.paste import paste
from realesrgan_vk.imaging.picture import Pixels
from realesrgan_vk.imaging.samples import from_unit, to_unit
from realesrgan_vk.options import FaceOptions, Progress

Restore = Callable[[Floats, Progress | None], Floats]
"""Maps a crop of RGB in 0..1 to the restored one."""

# Root mean square of what half of the size cannot hold, of a crop's. Portraits that fill the crop
# with their own pixels have more; those that were enlarged, or are out of focus, have less.
_SHARP = 0.03


class FaceEnhancer:
    """Finds the faces of a picture, and puts them, restored, into its enlarged version."""

    def __init__(self, restore: Restore, load: Callable[[], object] = lambda: None) -> None:
        """Check that faces can be found.

        Args:
            restore: What restores a crop.
            load: Called when there are faces to restore, before their picture is enlarged; raises
                what hinders `restore`.

        Raises:
            ImportError: What finds faces is not installed.
        """
        require_detector()
        self._restore, self._load = restore, load

    def find(self, pixels: Pixels, options: FaceOptions) -> list[Face]:
        """The faces of a picture of any sample type that are to be restored, the smallest first.

        Raises:
            ModelError, DeviceError, OutOfMemoryError: There are some, and what restores them cannot
                be loaded.
        """
        bytes_ = np.dtype(np.uint8)
        seen = pixels if pixels.dtype == bytes_ else from_unit(to_unit(pixels), bytes_)
        found = detect(seen, options)
        faces = [face for face in reversed(found) if not _is_fine(pixels, face)]
        if faces and options.strength > 0:
            self._load()
        return faces

    def enhance(
        self,
        pixels: Pixels,
        faces: Sequence[Face],
        large: Pixels,
        options: FaceOptions,
        progress: Progress | None = None,
        *,
        shares: Sequence[float] | None = None,
    ) -> Pixels:
        """Return the enlarged picture with the faces restored.

        Args:
            pixels: The picture, height x width x 1 or 3.
            faces: Its faces.
            large: The enlarged picture, of any size; it is changed where it can be.
            options: How strongly.
            progress: Called with the completed fraction.
            shares: How much of `options.strength` each face gets, 0..1; None: all of it.
        """
        if not faces or options.strength == 0:
            return large
        large = large if large.flags.writeable else large.copy()
        across, down = (large.shape[axis] / pixels.shape[axis] for axis in (1, 0))
        shares = [1.0] * len(faces) if shares is None else shares
        for number, (face, share) in enumerate(zip(faces, shares, strict=True)):
            there = to_crop(face.landmarks)
            restored = self._restore(crop_of(pixels, there), _part(progress, number, len(faces)))
            paste(large, restored, there.of_scaled(across, down), options.strength * share)
        return large


def crop_of(pixels: Pixels, there: Similarity) -> Floats:
    """The crop of a face in RGB, 0..1."""
    crop = np.clip(warp(pixels, there, (CROP, CROP)), 0, 1)
    return np.repeat(crop, 3, axis=2) if crop.shape[2] == 1 else crop


def _part(progress: Progress | None, number: int, count: int) -> Progress | None:
    if progress is None:
        return None
    return lambda fraction: progress((number + fraction) / count)


def _is_fine(pixels: Pixels, face: Face) -> bool:
    """Whether a face has more pixels than a crop, and all of the crop's detail."""
    there = to_crop(face.landmarks)
    if there.scale > 1:
        return False
    middle = crop_of(pixels, there).mean(axis=2)[CROP // 4 : -CROP // 4, CROP // 4 : -CROP // 4]
    side = middle.shape[0]
    half = Image.fromarray(middle).resize((side // 2, side // 2), Image.Resampling.LANCZOS)
    smooth = np.asarray(half.resize((side, side), Image.Resampling.LANCZOS))
    spread = float(middle.std())
    return spread > 0 and float((middle - smooth).std()) / spread > _SHARP
