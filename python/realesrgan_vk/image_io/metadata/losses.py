"""Notes on what a file holds besides its picture, and a result does not."""

from realesrgan_vk.image_io.containers.jpeg_segments import JpegFile
from realesrgan_vk.image_io.metadata import xmp

_WORDS = {
    xmp.GAIN_MAP: "the gain map (Ultra HDR) is dropped: the result has standard dynamic range",
    xmp.VIDEO: "the video (motion photo) is dropped",
    xmp.DEPTH: "the depth map is dropped",
    xmp.FURTHER: "the file's further pictures or sounds are dropped",
    xmp.DAMAGED: "the XMP data is damaged and is dropped",
}

_HEADER = 1 << 16  # bytes; more than the boxes before the pixels take
CREDENTIALS = "the content credentials (C2PA) vouch for the old pixels and are dropped"


def of_announced(announced: set[str]) -> tuple[str, ...]:
    """Notes on what was in the file, by the names in `xmp`."""
    return tuple(words for kind, words in _WORDS.items() if kind in announced)


def of_heif(heif: bytes, *, has_depth: bool) -> tuple[str, ...]:
    """Notes on an AVIF or HEIC file: gain maps (Apple, ISO 21496-1) and Google's video box."""
    found = {xmp.DEPTH} if has_depth else set()
    if heif.find(b":hdrgainmap\0", 0, _HEADER) >= 0 or heif.find(b"tmap", 0, _HEADER) >= 0:
        found.add(xmp.GAIN_MAP)
    if b"mpvd" in heif:
        found.add(xmp.VIDEO)
    return of_announced(found)


def of_jpeg(file: JpegFile, jpeg: bytes, announced: set[str]) -> tuple[str, ...]:
    """Notes on a JPEG file, which may hold more than its XMP data announces."""
    found = set(announced)
    if file.has_gain_map:
        found.add(xmp.GAIN_MAP)
    if jpeg.find(b"ftyp", file.trailer) >= 0:
        found.add(xmp.VIDEO)
    notes = []
    if file.pictures > 1 + (xmp.GAIN_MAP in found):
        notes.append(f"only the first of {file.pictures} pictures is used")
        found.discard(xmp.FURTHER)
    notes += of_announced(found)
    if file.has_credentials:
        notes.append(CREDENTIALS)
    if not notes and jpeg[file.trailer :].strip(b"\0"):
        notes.append(f"the {len(jpeg) - file.trailer} bytes after the picture are dropped")
    return tuple(notes)
