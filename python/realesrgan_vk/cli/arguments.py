"""The arguments of `realesrgan-vk upscale`, between its options and what they do."""

from dataclasses import dataclass

from realesrgan_vk.options import Request, Shard, UpscalerOptions, WriteOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """What a command line of `upscale` asks for; None where its default depends on the pictures.

    Attributes:
        max_pixels: Refuse larger pictures; None: never.
        mask: A picture, or a folder of such, that says where the network's result is used.
        suffix: Of results, with its dot.
        shard: The share of the pictures that is taken; None: all.
        ray: The address of the Ray cluster that works, "" for the one that is found or started;
            None: this machine without Ray.
        ray_workers: At most so many workers of it; None: as many as it has room for.
    """

    inputs: tuple[str, ...]
    request: Request
    mask: str | None
    model: str
    upscaler: UpscalerOptions
    devices: tuple[str, ...]
    recursive: bool
    shard: Shard | None
    ray: str | None
    ray_workers: int | None
    max_pixels: int | None
    output: str | None
    suffix: str | None
    template: str | None
    skip_existing: bool
    write: WriteOptions
    quiet: bool
    as_json: bool
