"""Video files: every frame upscaled, all else kept; with the extra `realesrgan-vk[video]`.

>>> from realesrgan_vk import video
>>> video.upscale("film.mkv", "film-x2.mkv", scale=2)  # doctest: +SKIP
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from realesrgan_vk.video.file import upscale as upscale
    from realesrgan_vk.video.frames import VideoFrame as VideoFrame
    from realesrgan_vk.video.options import VideoOptions as VideoOptions
    from realesrgan_vk.video.reader import VideoInfo as VideoInfo
    from realesrgan_vk.video.reader import VideoReader as VideoReader
    from realesrgan_vk.video.run import VideoProgress as VideoProgress
    from realesrgan_vk.video.run import VideoSummary as VideoSummary
    from realesrgan_vk.video.segments import WorkError as WorkError
    from realesrgan_vk.video.writer import VideoWriter as VideoWriter

_HOMES = {
    "VideoFrame": "frames",
    "VideoInfo": "reader",
    "VideoOptions": "options",
    "VideoProgress": "run",
    "VideoReader": "reader",
    "VideoSummary": "run",
    "VideoWriter": "writer",
    "WorkError": "segments",
    "upscale": "file",
}
__all__ = sorted(_HOMES)  # noqa: PLE0605 - a list of str


def require_av() -> None:
    """Raise `ImportError`, with the command that installs it, where PyAV is missing."""
    try:
        import av  # noqa: F401, PLC0415 - an optional dependency
    except ImportError as error:
        raise ImportError(
            "videos need PyAV, which is not installed (or not for this Python: it needs 3.11 or "
            f"later): pip install 'av>=18.1' ({error})"
        ) from error


if not TYPE_CHECKING:  # type checkers know all names from above

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module  # noqa: PLC0415 - see above

        if name != "VideoOptions":
            require_av()
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
