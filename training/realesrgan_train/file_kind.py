"""What a file is that was given as a checkpoint and is none, told by its first bytes."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Literal

_HEAD = 4096
"""Bytes read to recognise a file."""

_MARKUP = re.compile(rb"<(!doctype|html|head|body|\?xml|svg|!--)", re.IGNORECASE)
_NCNN = b"7767517"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (
        b"version https://git-lfs.github.com/spec/",
        "a git-lfs pointer, which stands for the file: run 'git lfs pull' where it is from",
    ),
    (b"\x89PNG\r\n\x1a\n", "a picture (PNG)"),
    (b"\xff\xd8\xff", "a picture (JPEG)"),
    (b"GIF8", "a picture (GIF)"),
    (b"BM", "a picture (BMP)"),
    (b"II*\x00", "a picture (TIFF)"),
    (b"MM\x00*", "a picture (TIFF)"),
    (b"%PDF-", "a PDF document"),
    (b"GGUF", "a GGUF model"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x1f\x8b", "a gzip archive; unpack it and give the file inside"),
    (b"BZh", "a bzip2 archive; unpack it and give the file inside"),
    (b"\xfd7zXZ\x00", "an xz archive; unpack it and give the file inside"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive; unpack it and give the file inside"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it and give the file inside"),
    (b"Rar!\x1a\x07", "a RAR archive; unpack it and give the file inside"),
    (b"\x7fELF", "a program (ELF)"),
    (b"MZ", "a program (Windows)"),
)
_ONNX_FIELDS = frozenset({0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42})
"""Keys that may follow `ir_version` in ONNX's `ModelProto` (onnx.proto: fields 2 to 8)."""


def recognise(path: Path) -> tuple[Literal["safetensors", "torch", ""], str]:
    """Return a file's format by its content, and what it is where that is certainly no checkpoint.

    PyTorch's files are zip archives or, before 1.6, pickles. What another file is has an article,
    such as "an HTML page".

    Raises:
        OSError: If the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if len(head) < 16:
        size = f"a file of {len(head)} bytes" if head else "an empty file"
        return "", f"{size}; copy or download it again"
    # A 64-bit length of the JSON header, then the header. The length may look like any signature.
    if 2 <= int.from_bytes(head[:8], "little") <= path.stat().st_size - 8 and head[8:9] == b"{":
        return "safetensors", ""
    if head.startswith(_ZIP):
        return "torch", _archive(path)
    words = _by_signature(head) or _text(head)
    return "torch" if head[:1] == b"\x80" and head[1] <= 5 else "", words  # pickle's protocols


def _by_signature(head: bytes) -> str:
    for signature, words in _SIGNATURES:
        if head.startswith(signature):
            return words
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "a picture (WebP)"
    if head[257:262] == b"ustar":
        return "a tar archive; unpack it and give the file inside"
    if head[0] == 0x08 and 0 < head[1] < 0x20 and head[2] in _ONNX_FIELDS:
        return "an ONNX model"
    return ""


def _archive(path: Path) -> str:
    """Tell PyTorch's zip files from others; a damaged one may be a checkpoint cut short."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return ""
    inner = {member.filename.rpartition("/")[2] for member in members}
    if "constants.pkl" in inner:
        return "a TorchScript program, not named weights"
    if "data.pkl" not in inner:
        return "a zip archive without PyTorch's data.pkl"
    # Reading one would fill the memory with what a small file says it unpacks to.
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        return "a compressed archive, where PyTorch compresses nothing"
    return ""


def _text(head: bytes) -> str:
    for mark, encoding in (
        (b"\xef\xbb\xbf", "utf-8-sig"),
        (b"\xff\xfe", "utf-16"),
        (b"\xfe\xff", "utf-16"),
    ):
        if head.startswith(mark):
            head = head.decode(encoding, "replace").encode()
    start = head.lstrip()
    if _MARKUP.match(start):
        return "an HTML or XML page; the address gave a web page instead of the file"
    if start.startswith(_NCNN):
        return "an ncnn graph (.param)"
    controls = set(range(32)) - {9, 10, 12, 13, 27} | {127}
    return "" if controls.intersection(head) else "a text file"
