"""How to write a file."""

from dataclasses import dataclass

from realesrgan_vk.options import SUBSAMPLINGS


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """Options of the formats that have them.

    Attributes:
        quality: Of JPEG, lossy WebP, AVIF and HEIC, 1..100.
        subsampling: Of JPEG's colour, one of `SUBSAMPLINGS`.
        lossless: WebP without loss; None: as the source was, when that was WebP.
        compression: PNG's effort, 0..9.
        strip: Drop all metadata and the colour profile (the colours become sRGB).

    Raises:
        ValueError: A value out of range.
    """

    quality: int = 95
    subsampling: str = "4:4:4"
    lossless: bool | None = None
    compression: int = 6
    strip: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.quality <= 100:
            raise ValueError(f"quality is {self.quality}; it must be from 1 to 100")
        if self.subsampling not in SUBSAMPLINGS:
            allowed = ", ".join(SUBSAMPLINGS)
            raise ValueError(f"subsampling is {self.subsampling!r}; it must be one of {allowed}")
        if not 0 <= self.compression <= 9:
            raise ValueError(f"compression is {self.compression}; it must be from 0 to 9")
