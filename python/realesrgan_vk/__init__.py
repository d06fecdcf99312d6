"""Real-ESRGAN on any GPU through Vulkan, or on the CPU: seamless, in planned memory.

>>> import realesrgan_vk
>>> large = realesrgan_vk.upscale("photo.jpg")  # doctest: +SKIP
"""

# Names are imported when they are first used: the commands handle signals before that (`start`).
TYPE_CHECKING = False  # importing typing would take longer than all of this
if TYPE_CHECKING:
    from realesrgan_vk._core import DeviceInfo, NetworkInfo, YuvFormat, __version__
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
    from realesrgan_vk.image_io.rows import RowReader, RowWriter
    from realesrgan_vk.imaging.picture import Frame, Metadata, Mode, Picture, Pixels, TiffTags
    from realesrgan_vk.models import Model, list_models
    from realesrgan_vk.options import (
        AlphaMethod,
        CallArguments,
        FileSource,
        Filter,
        Light,
        Precision,
        Progress,
        Request,
        TargetSize,
        Tile,
        UpscaleArguments,
    )
    from realesrgan_vk.plan import RunPlan
    from realesrgan_vk.upscaler import Upscaler

__all__ = [
    "AlphaMethod",
    "CallArguments",
    "Cancelled",
    "DeviceError",
    "DeviceInfo",
    "FileSource",
    "Filter",
    "Frame",
    "ImageError",
    "Light",
    "Metadata",
    "Mode",
    "Model",
    "ModelError",
    "NetworkInfo",
    "OutOfMemoryError",
    "Picture",
    "Pixels",
    "Precision",
    "Progress",
    "RealesrganError",
    "Request",
    "RowReader",
    "RowWriter",
    "RunPlan",
    "TargetSize",
    "TiffTags",
    "Tile",
    "UpscaleArguments",
    "Upscaler",
    "YuvFormat",
    "__version__",
    "list_devices",
    "list_models",
    "upscale",
]

_MODULES = {
    "_core": "DeviceInfo NetworkInfo YuvFormat __version__",
    "devices": "list_devices",
    "errors": "Cancelled DeviceError ImageError ModelError OutOfMemoryError RealesrganError",
    "functional": "upscale",
    "image_io.rows": "RowReader RowWriter",
    "imaging.picture": "Frame Metadata Mode Picture Pixels TiffTags",
    "models": "Model list_models",
    "options": (
        "AlphaMethod CallArguments FileSource Filter Light Precision Progress Request "
        "TargetSize Tile UpscaleArguments"
    ),
    "plan": "RunPlan",
    "upscaler": "Upscaler",
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names.split()}

if not TYPE_CHECKING:  # a checker knows all names, and that there are no others

    def __getattr__(name: str) -> object:
        if name != "_core" and name not in _HOMES:
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
        if name in _HOMES:
            found = getattr(import_module(f"realesrgan_vk.{_HOMES[name]}"), name)
        globals()[name] = found
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
