"""The commands: `realesrgan-vk`, and the drop-in `realesrgan-ncnn-vulkan` and `upscayl-bin`."""

# Imported on first use: `start` handles signals before the commands and what they need are loaded.
TYPE_CHECKING = False  # importing typing would take longer than all of this
if TYPE_CHECKING:
    from realesrgan_vk.cli.commands import app, main

__all__ = ["app", "main"]

if not TYPE_CHECKING:  # a checker knows both names, and that there are no others

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from realesrgan_vk.cli import commands  # noqa: PLC0415 - see above

        return getattr(commands, name)
