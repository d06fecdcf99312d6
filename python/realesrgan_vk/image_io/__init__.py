"""Picture files to pixels and back, keeping mode, depth, colour profile and metadata."""

from realesrgan_vk.image_io.formats import Format, format_for
from realesrgan_vk.image_io.limits import Header
from realesrgan_vk.image_io.read import decode, header_of, read, read_open
from realesrgan_vk.image_io.write import check_size, encode, write
from realesrgan_vk.options import DEFAULT_MAX_PIXELS, WriteOptions

__all__ = [
    "DEFAULT_MAX_PIXELS",
    "Format",
    "Header",
    "WriteOptions",
    "check_size",
    "decode",
    "encode",
    "format_for",
    "header_of",
    "read",
    "read_open",
    "write",
]
