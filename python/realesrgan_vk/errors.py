"""The errors of this package: one family for all that goes wrong with a correct call.

A call that is itself wrong (an unknown option, an array of a wrong shape or type) raises
`ValueError` or `TypeError` instead.

`Cancelled` is for the caller: no run raises it by itself. A `progress` callback that raises it, or
anything else, stops the run, and the exception comes out of the call.
"""

from realesrgan_vk._core import (
    Cancelled,
    DeviceError,
    ImageError,
    ModelError,
    OutOfMemoryError,
    RealesrganError,
)

__all__ = [
    "Cancelled",
    "DeviceError",
    "ImageError",
    "ModelError",
    "OutOfMemoryError",
    "RealesrganError",
]
