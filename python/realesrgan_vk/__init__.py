"""Real-ESRGAN on any GPU through Vulkan, or on the CPU: seamless, in planned memory.

>>> import realesrgan_vk
>>> large = realesrgan_vk.upscale("photo.jpg")  # doctest: +SKIP
"""

# Names are imported when they are first used: the commands handle signals before that (`start`).
TYPE_CHECKING = False  # importing typing would take longer than all of this
if TYPE_CHECKING:
    from realesrgan_vk._core import DeviceInfo, NetworkInfo, __version__
    from realesrgan_vk.devices import list_devices
    from realesrgan_vk.errors import (
        Cancelled,
        DeviceError,
        ImageError,
        ModelError,
        OutOfMemoryError,
        RealesrganError,
    )
    from realesrgan_vk.functional import upscale
    from realesrgan_vk.models import Model, list_models
    from realesrgan_vk.plan import RunPlan
    from realesrgan_vk.upscaler import Upscaler

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

_MODULES = {
    "Cancelled": "errors",
    "DeviceError": "errors",
    "DeviceInfo": "_core",
    "ImageError": "errors",
    "Model": "models",
    "ModelError": "errors",
    "NetworkInfo": "_core",
    "OutOfMemoryError": "errors",
    "RealesrganError": "errors",
    "RunPlan": "plan",
    "Upscaler": "upscaler",
    "__version__": "_core",
    "list_devices": "devices",
    "list_models": "models",
    "upscale": "functional",
}

if not TYPE_CHECKING:  # a checker knows all names, and that there are no others

    def __getattr__(name: str) -> object:
        if name != "_core" and name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module  # noqa: PLC0415 - see above

        try:
            found = import_module("realesrgan_vk._core")
        except ImportError as error:
            raise ImportError(
                f"the compiled part of realesrgan_vk cannot be loaded ({error}). Install the "
                "package with 'pip install .' in a checkout, for the Python that runs this, and "
                "do not run from inside the 'python' folder of a checkout that is not installed"
            ) from error
        if name in _MODULES:
            found = getattr(import_module(f"realesrgan_vk.{_MODULES[name]}"), name)
        globals()[name] = found
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
