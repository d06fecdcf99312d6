"""Real-ESRGAN on any GPU through Vulkan, or on the CPU: seamless, in planned memory.

>>> import realesrgan_vk
>>> large = realesrgan_vk.upscale("photo.jpg")  # doctest: +SKIP
"""

# Names are imported when they are first used: the commands handle signals before that (`start`).
TYPE_CHECKING = False  # importing typing would take longer than all of this
if TYPE_CHECKING:
    from realesrgan_vk._core import DeviceInfo as DeviceInfo
    from realesrgan_vk._core import NetworkInfo as NetworkInfo
    from realesrgan_vk._core import YuvFormat as YuvFormat
    from realesrgan_vk._core import __version__ as __version__
    from realesrgan_vk.batch import ray as ray
    from realesrgan_vk.devices import list_devices as list_devices
    from realesrgan_vk.errors import Cancelled as Cancelled
    from realesrgan_vk.errors import DeviceError as DeviceError
    from realesrgan_vk.errors import ImageError as ImageError
    from realesrgan_vk.errors import ModelError as ModelError
    from realesrgan_vk.errors import OutOfMemoryError as OutOfMemoryError
    from realesrgan_vk.errors import RealesrganError as RealesrganError
    from realesrgan_vk.image_io.rows import RowReader as RowReader
    from realesrgan_vk.image_io.rows import RowWriter as RowWriter
    from realesrgan_vk.imaging.picture import Frame as Frame
    from realesrgan_vk.imaging.picture import Metadata as Metadata
    from realesrgan_vk.imaging.picture import Mode as Mode
    from realesrgan_vk.imaging.picture import Picture as Picture
    from realesrgan_vk.imaging.picture import Pixels as Pixels
    from realesrgan_vk.imaging.picture import TiffTags as TiffTags
    from realesrgan_vk.models import Model as Model
    from realesrgan_vk.models import list_models as list_models
    from realesrgan_vk.options import AlphaMethod as AlphaMethod
    from realesrgan_vk.options import CallArguments as CallArguments
    from realesrgan_vk.options import FaceOptions as FaceOptions
    from realesrgan_vk.options import FileSource as FileSource
    from realesrgan_vk.options import Filter as Filter
    from realesrgan_vk.options import Light as Light
    from realesrgan_vk.options import Precision as Precision
    from realesrgan_vk.options import Progress as Progress
    from realesrgan_vk.options import Request as Request
    from realesrgan_vk.options import TargetSize as TargetSize
    from realesrgan_vk.options import Tile as Tile
    from realesrgan_vk.options import UpscaleArguments as UpscaleArguments
    from realesrgan_vk.processing.plan import RunPlan as RunPlan
    from realesrgan_vk.processing.profile import LayerTime as LayerTime
    from realesrgan_vk.processing.profile import RunProfile as RunProfile
    from realesrgan_vk.upscaler import Upscaler as Upscaler
    from realesrgan_vk.upscaler import upscale as upscale

_MODULES = {
    "_core": "DeviceInfo NetworkInfo YuvFormat __version__",
    "devices": "list_devices",
    "errors": "Cancelled DeviceError ImageError ModelError OutOfMemoryError RealesrganError",
    "image_io.rows": "RowReader RowWriter",
    "imaging.picture": "Frame Metadata Mode Picture Pixels TiffTags",
    "models": "Model list_models",
    "options": (
        "AlphaMethod CallArguments FaceOptions FileSource Filter Light Precision Progress "
        "Request TargetSize Tile UpscaleArguments"
    ),
    "processing.plan": "RunPlan",
    "processing.profile": "LayerTime RunProfile",
    "upscaler": "Upscaler upscale",
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names.split()}
__all__ = sorted(_HOMES)  # noqa: PLE0605 - a list of str
_SUBMODULES = {"_core": "_core", "ray": "batch.ray"}

if not TYPE_CHECKING:  # type checkers know all names from above

    def __getattr__(name: str) -> object:
        if name not in _SUBMODULES and name not in _HOMES:
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
        elif name in _SUBMODULES:
            found = import_module(f"realesrgan_vk.{_SUBMODULES[name]}")
        globals()[name] = found
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
