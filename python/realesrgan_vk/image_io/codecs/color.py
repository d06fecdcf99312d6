"""Colour: the network sees values with sRGB's tone curve, whatever the file's profile.

The profile's primaries are kept; only its tone curve is replaced by sRGB's while the network
runs. So no colour is clipped to sRGB's gamut: a Display-P3 photograph, whose curve is sRGB's
already, is not changed and keeps its profile.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realesrgan_vk.image_io.codecs import vips
from realesrgan_vk.image_io.metadata import icc
from realesrgan_vk.imaging.picture import Pixels
from realesrgan_vk.imaging.samples import from_unit, linear_to_srgb, to_unit

_ROWS = 256  # converted at a time, as floats take four times the memory of bytes
_SAME = 0.5 / 255  # curves closer than this give the same 8-bit values


@dataclass(frozen=True)
class WorkingCurve:
    """A profile's encoded values to sRGB-encoded ones and back.

    Attributes:
        curves: sRGB-encoded values of evenly spaced encoded ones, one curve for each channel;
            empty: the file's values are used unchanged.
    """

    curves: tuple[NDArray[np.float64], ...] = ()

    @staticmethod
    def of(profile: bytes | None) -> "WorkingCurve":
        """The curve of an ICC profile; the identity for none, and for one without tone curves."""
        linear = icc.tone_curves(profile) if profile else None
        if linear is None:
            return WorkingCurve()
        x = np.linspace(0.0, 1.0, icc.CURVE_POINTS)
        curves = []
        for curve in linear:
            clipped = np.clip(curve, 0, 1).astype(np.float32)
            encoded = linear_to_srgb(clipped).astype(np.float64)
            # np.interp inverts only rising curves.
            curves.append(np.maximum.accumulate(encoded) + x * 1e-9)
        if all(np.abs(curve - x).max() < _SAME for curve in curves):
            return WorkingCurve()
        return WorkingCurve(tuple(curves))

    def encode(self, pixels: Pixels) -> Pixels:
        """sRGB-encoded values; 8-bit samples become 16-bit ones so that none are lost."""
        curves = self._of_channels(pixels.shape[2])
        if not curves:
            return pixels
        x = np.linspace(0.0, 1.0, icc.CURVE_POINTS)
        wide = self.encoded_type(pixels.dtype, pixels.shape[2])
        return self._apply(pixels, [(x, curve) for curve in curves], wide)

    def encoded_type(self, dtype: np.dtype[Any], channels: int) -> np.dtype[Any]:
        """The type of the samples that `encode` makes of such ones."""
        if not self._of_channels(channels):
            return dtype
        return np.dtype(np.float32 if dtype == np.float32 else np.uint16)

    def decode(self, pixels: Pixels, dtype: np.dtype[Any]) -> Pixels:
        """The profile's encoded values again, in the type they had before `encode`."""
        curves = self._of_channels(pixels.shape[2])
        if not curves:
            return pixels
        x = np.linspace(0.0, 1.0, icc.CURVE_POINTS)
        return self._apply(pixels, [(curve, x) for curve in curves], dtype)

    def _of_channels(self, channels: int) -> tuple[NDArray[np.float64], ...]:
        """One curve for each channel; grey with an RGB profile takes green's, as all are alike."""
        if channels == 1 and len(self.curves) == 3:
            return self.curves[1:2]
        return self.curves if channels == len(self.curves) else ()

    def _apply(
        self,
        pixels: Pixels,
        maps: list[tuple[NDArray[np.float64], NDArray[np.float64]]],
        dtype: np.dtype[Any],
    ) -> Pixels:
        out = np.empty(pixels.shape, dtype)
        for channel, (from_values, to_values) in enumerate(maps):
            plane = pixels[..., channel]
            if plane.dtype == np.float32:
                exact = np.interp(np.clip(plane, 0, 1), from_values, to_values)
                out[..., channel] = from_unit(exact.astype(np.float32), dtype)
            else:
                steps = np.arange(np.iinfo(plane.dtype).max + 1, dtype=plane.dtype)
                mapped = np.interp(to_unit(steps), from_values, to_values).astype(np.float32)
                out[..., channel] = from_unit(mapped, dtype)[plane]
        return out


def to_srgb(pixels: Pixels, profile: bytes | None) -> Pixels:
    """Grey or RGB pixels of a profile as sRGB, clipped to its gamut; for files without profile."""
    space = "" if profile is None else icc.colour_space(profile)
    if pixels.shape[2] == 1 and space in ("RGB", "GRAY"):
        curve = WorkingCurve.of(profile)
        return from_unit(to_unit(curve.encode(pixels)), pixels.dtype)
    converted = vips.icc_transform(pixels, profile, None) if space == "RGB" else None
    return pixels if converted is None else converted


def cmyk_to_rgb(inks: Pixels, profile: bytes | None) -> Pixels:
    """CMYK (0: no ink) as sRGB, by the profile where there is a usable one."""
    if profile is not None and icc.colour_space(profile) == "CMYK":
        converted = vips.icc_transform(inks, profile, None)
        if converted is not None:
            return converted
    out = np.empty((*inks.shape[:2], 3), inks.dtype)
    for row in range(0, len(inks), _ROWS):
        unit = to_unit(inks[row : row + _ROWS])
        out[row : row + _ROWS] = from_unit((1 - unit[..., :3]) * (1 - unit[..., 3:]), inks.dtype)
    return out


def rgb_to_cmyk(pixels: Pixels, profile: bytes | None) -> Pixels:
    """From sRGB to CMYK (0: no ink), by the profile where there is a usable one.

    Without one, the part common to the three inks is printed in black.
    """
    rgb = pixels if pixels.shape[2] == 3 else np.repeat(pixels, 3, axis=2)
    if profile is not None and icc.colour_space(profile) == "CMYK":
        converted = vips.icc_transform(rgb, None, profile)
        if converted is not None:
            return converted
    unit = to_unit(rgb)
    white = unit.max(axis=2, keepdims=True)
    inks = 1 - unit / np.maximum(white, np.float32(1e-6))
    return from_unit(np.concatenate([np.where(white > 0, inks, 0), 1 - white], axis=2), rgb.dtype)
