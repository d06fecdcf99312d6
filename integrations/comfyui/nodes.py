"""The node. Pictures go to realesrgan-vk as arrays and come back so; PyTorch computes nothing."""

from collections.abc import Callable
from typing import Any

import comfy.model_management
import comfy.utils
import numpy as np
import torch
from comfy_api.latest import ComfyExtension, io
from numpy.typing import NDArray

import realesrgan_vk
from realesrgan_vk.upscaler import DEFAULT_MODEL

Array = NDArray[np.float32]

_STEPS = 1000  # of the progress bar, for each picture


class Upscale(io.ComfyNode):
    """Upscales a batch of pictures, and their alpha as a mask, without tile seams."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs; networks and devices are those of this machine."""
        models = [model.name for model in realesrgan_vk.list_models()]
        devices = [f"vulkan:{each.index} {each.name}" for each in realesrgan_vk.list_devices()]
        return io.Schema(
            node_id="RealesrganVkUpscale",
            display_name="Upscale (realesrgan-vk)",
            category="image/upscaling",
            description=(
                "Real-ESRGAN by Vulkan or on the processor: the whole picture's result without "
                "tile seams, in memory of its own beside PyTorch's."
            ),
            inputs=[
                io.Image.Input("image"),
                io.Combo.Input("model", options=models, default=DEFAULT_MODEL),
                io.Float.Input(
                    "scale",
                    default=0.0,
                    min=0.0,
                    max=16.0,
                    step=0.25,
                    tooltip="Output pixels per input pixel along a side; 0: the network's own.",
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="How much of the network's result is in the picture; the rest is the "
                    "picture, enlarged by Lanczos.",
                ),
                io.Combo.Input(
                    "device",
                    options=["auto", "cpu", *devices],
                    default="auto",
                    tooltip="auto: a GPU, else the processor.",
                ),
                io.Combo.Input(
                    "precision",
                    options=["auto", "fp32", "fp16"],
                    default="auto",
                    tooltip="auto: fp16 on a GPU that has it, else fp32.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="What is transparent, as Load Image gives it: 1 - alpha.",
                ),
            ],
            outputs=[io.Image.Output(display_name="image"), io.Mask.Output(display_name="mask")],
        )

    @classmethod
    def execute(  # noqa: PLR0917 - ComfyUI passes them by their names
        cls,
        image: torch.Tensor,
        model: str,
        scale: float,
        strength: float,
        device: str,
        precision: realesrgan_vk.Precision,
        mask: torch.Tensor | None = None,
    ) -> io.NodeOutput:
        """Upscale each picture of a batch as `realesrgan_vk.upscale` does.

        Args:
            image: [B, H, W, C], floats 0..1; a fourth channel is alpha.
            model: A network's name.
            scale: Output pixels per input pixel; 0: the network's own.
            strength: How much of the network's result is in the picture, 0..1.
            device: "auto", "cpu", or "vulkan:INDEX" and a name.
            precision: "auto", "fp32" or "fp16".
            mask: [B, H, W] or [1, H, W], 1 - alpha. One of zeros may have any size: nothing is
                transparent. It replaces a fourth channel.

        Returns:
            IMAGE with the channels of `image`, and MASK: 1 - alpha, zeros without alpha.

        Raises:
            ValueError: The mask is of another size than the pictures.
            realesrgan_vk.RealesrganError: As `realesrgan_vk.upscale`.
        """
        pictures: Array = image.cpu().numpy().astype(np.float32, copy=False)
        alphas = None if mask is None else _alphas(mask.cpu().numpy(), pictures.shape)
        count, _, _, channels = pictures.shape
        bar = comfy.utils.ProgressBar(count * _STEPS)
        large: list[Array] = []
        for index, picture in enumerate(pictures):
            source = picture
            if alphas is not None:
                colours = np.repeat(picture, 3, axis=2) if channels == 1 else picture[..., :3]
                source = np.dstack([colours, alphas[index]])
            large.append(
                realesrgan_vk.upscale(
                    source,
                    model=model,
                    scale=scale or None,
                    strength=strength,
                    device=device.split(maxsplit=1)[0],
                    precision=precision,
                    progress=_progress(bar, index * _STEPS),
                )
            )
        made = np.stack(large)
        has_alpha = made.shape[3] == 4
        masks = 1 - made[..., 3] if has_alpha else np.zeros(made.shape[:3], np.float32)
        kept = np.ascontiguousarray(made[..., :channels])
        return io.NodeOutput(torch.from_numpy(kept), torch.from_numpy(masks))


def _progress(bar: Any, before: int) -> Callable[[float], None]:  # noqa: ANN401 - ComfyUI's
    """Move the bar on from `before`; stop the run where the user has asked for it."""

    def progress(fraction: float) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        bar.update_absolute(before + round(fraction * _STEPS))

    return progress


def _alphas(masks: Array, shape: tuple[int, ...]) -> Array | None:
    """Alpha of each picture, [B, H, W]; None where nothing is transparent."""
    if not masks.any():  # Load Image gives a small one of zeros for a picture without alpha
        return None
    count, height, width, _ = shape
    if masks.shape[1:] != (height, width) or masks.shape[0] not in (1, count):
        raise ValueError(
            f"the mask is of {masks.shape[0]} x {masks.shape[2]} x {masks.shape[1]} (pictures, "
            f"width, height), the image of {count} x {width} x {height}"
        )
    return np.broadcast_to(1 - masks.astype(np.float32), (count, height, width))


class Extension(ComfyExtension):
    """What this folder adds to ComfyUI."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Its nodes."""
        return [Upscale]


async def comfy_entrypoint() -> Extension:
    """The extension, for ComfyUI."""
    return Extension()
