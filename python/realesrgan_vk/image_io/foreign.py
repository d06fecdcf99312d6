"""Identifies files that are not pictures of a known format, by their first bytes."""

import re

_JXL = "a JPEG XL picture, which the installed Pillow and libvips cannot read; convert it to PNG"
CAMERA_RAW = "a camera's raw file; develop it first, and save it as TIFF or PNG"
_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "a PDF document; export its pages as pictures"),
    (b"%!PS", "a PostScript document; export its pages as pictures"),
    (b"8BPS", "a Photoshop document (PSD); export it as PNG or TIFF"),
    (b"gimp xcf", "a GIMP document (XCF); export it as PNG or TIFF"),
    (b"\xff\x0a", _JXL),
    (b"\x00\x00\x00\x0cJXL ", _JXL),
    (b"DDS ", "a DirectDraw texture (DDS); convert it to PNG"),
    (b"qoif", "a QOI picture; convert it to PNG"),
    (b"v/1\x01", "an OpenEXR picture; convert it to a float TIFF file"),
    (b"#?RADIANCE", "a Radiance HDR picture; convert it to a float TIFF file"),
    (b"#?RGBE", "a Radiance HDR picture; convert it to a float TIFF file"),
    (b"\x00\x00\x01\x00", "a Windows icon (ICO); export it as PNG"),
    *((start, CAMERA_RAW) for start in (b"FUJIFILMCCD-RAW", b"IIU\0", b"IIRO", b"IIRS", b"FOVb")),
    (b"\x1aE\xdf\xa3", "a video (Matroska or WebM); extract its frames first"),
    (b"PK\x03\x04", "a ZIP archive; unpack it first"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"BZh", "a bzip2 archive; unpack it first"),
    (b"\xfd7zXZ", "an xz archive; unpack it first"),
    (b"7z\xbc\xaf", "a 7-Zip archive; unpack it first"),
    (b"Rar!", "a RAR archive; unpack it first"),
    (b"version https://git-lfs", "a pointer of Git LFS; fetch the file with: git lfs pull"),
    (b"7767517\n", "a network's .param file; give it with --model"),
    (b"{", "a JSON text"),
)
_PATTERNS: tuple[tuple[bytes, str], ...] = (
    (rb"\s*<svg\b", "an SVG drawing; export it as PNG"),
    (rb"\s*<\?xml\b", "an XML document, perhaps an SVG drawing; export it as PNG"),
    (
        rb"\s*<(!doctype|html|head|body)\b",
        "an HTML page, perhaps a server's message in place of the picture; download it anew",
    ),
    (rb".{4}ftypcrx ", CAMERA_RAW),
    (rb".{4}ftyp", "a video (MP4 or QuickTime) or other ISO media; extract its frames first"),
    (rb"RIFF.{4}(AVI |WAVE)", "a video or sound (RIFF); extract its frames first"),
    (rb"\0+$", "a file of zeros; it was not downloaded or copied whole"),
    *((re.escape(start), words) for start, words in _STARTS),
)
_KINDS = [(re.compile(pattern, re.IGNORECASE | re.DOTALL), words) for pattern, words in _PATTERNS]
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def what(start: bytes) -> str:
    """Words to follow the file's name, by its first bytes (64 suffice)."""
    if not start:
        return "is empty"
    start = start.removeprefix(_BYTE_ORDER_MARK)
    for kind, words in _KINDS:
        if kind.match(start):
            return f"is {words}"
    return "is not a picture of a known format"
