"""Real-ESRGAN on any GPU through Vulkan, or on the CPU: seamless, in planned memory.

>>> import realesrgan_vk
>>> large = realesrgan_vk.upscale("photo.jpg")  # doctest: +SKIP
"""

try:
    from realesrgan_vk import _core
except ImportError as error:  # pragma: no cover - needs a broken installation
    raise ImportError(
        f"the compiled part of realesrgan_vk cannot be loaded ({error}). Install the package with "
        "'pip install realesrgan-vk' (or 'pip install .' in a checkout) for the Python that runs "
        "this, and do not run from inside the 'python' folder of a checkout that is not installed"
    ) from error

from realesrgan_vk._core import DeviceInfo, NetworkInfo
from realesrgan_vk.devices import list_devices
from realesrgan_vk.errors import (
    Cancelled,
    DeviceError,
    ImageError,
    ModelError,
    OutOfMemoryError,
    RealesrganError,
)
from realesrgan_vk.models import Model, list_models
from realesrgan_vk.one_call import upscale
from realesrgan_vk.run_plan import RunPlan
from realesrgan_vk.upscaler import Upscaler

__version__ = _core.__version__

__all__ = [
    "Cancelled",
    "DeviceError",
    "DeviceInfo",
    "ImageError",
    "Model",
    "ModelError",
    "NetworkInfo",
    "OutOfMemoryError",
    "RealesrganError",
    "RunPlan",
    "Upscaler",
    "__version__",
    "list_devices",
    "list_models",
    "upscale",
]
