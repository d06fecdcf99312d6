"""The C API by ctypes: upscale a binary PPM file with the shared library, without this package.

python examples/c_api.py LIBRARY NAME.param NAME.bin IN.ppm OUT.ppm
"""

import ctypes
import sys
from pathlib import Path


class Image(ctypes.Structure):
    """`realesrgan_image` of realesrgan.h."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("type", ctypes.c_int32),  # 0: 8 bits
        ("width", ctypes.c_int32),
        ("height", ctypes.c_int32),
        ("channels", ctypes.c_int32),
        ("row_stride", ctypes.c_ssize_t),
        ("pixel_stride", ctypes.c_ssize_t),
        ("channel_stride", ctypes.c_ssize_t),
    )


def rgb(samples: "ctypes.Array[ctypes.c_char]", width: int, height: int) -> Image:
    """Packed RGB pixels of 8 bits."""
    return Image(ctypes.addressof(samples), 0, width, height, 3, 3 * width, 3, 1)


def main() -> int:
    """Upscale one file; 1 with a message where the library refuses."""
    library, param, weights, source, target = sys.argv[1:]
    core = ctypes.CDLL(library)
    core.realesrgan_last_error.restype = ctypes.c_char_p
    core.realesrgan_scale.argtypes = core.realesrgan_close.argtypes = [ctypes.c_void_p]
    core.realesrgan_close.restype = None

    header = Path(source).read_bytes().split(maxsplit=3)
    magic, width, height = header[0], int(header[1]), int(header[2])
    white, samples = header[3][:3], header[3][4:]  # one white space before the samples
    if magic != b"P6" or white != b"255":
        sys.exit(f"{source} is no binary PPM file of 8 bits")

    network = ctypes.c_void_p()
    if core.realesrgan_open(param.encode(), weights.encode(), None, ctypes.byref(network)):
        sys.exit(core.realesrgan_last_error().decode())
    try:
        scale = core.realesrgan_scale(network)
        small = ctypes.create_string_buffer(samples, 3 * width * height)
        large = ctypes.create_string_buffer(len(small) * scale * scale)
        before, after = rgb(small, width, height), rgb(large, scale * width, scale * height)
        pictures = ctypes.byref(before), ctypes.byref(after)
        if core.realesrgan_upscale(network, *pictures, None, None):
            sys.exit(core.realesrgan_last_error().decode())
    finally:
        core.realesrgan_close(network)
    head = f"P6\n{scale * width} {scale * height}\n255\n".encode()
    Path(target).write_bytes(head + large.raw)
    return 0


if __name__ == "__main__":
    sys.exit(main())
