"""`denoise=`: a network blended, when it is loaded, with a variant trained to keep noise."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from realesrgan_vk.errors import ModelError
from realesrgan_vk.models.manifest import entry_of
from realesrgan_vk.models.published import PUBLISHED
from realesrgan_vk.models.registry import Model, find_model, model_at


@contextmanager
def denoised(model: Model, denoise: float | None) -> Iterator[Path]:
    """The `.bin` of a network for a strength of denoising; temporary where it is a blend.

    Args:
        model: Its manifest names the twin (`weak_denoise`), or it has a published network's name.
        denoise: 0 (the twin) .. 1 (the network itself); None: the network itself, twin or not.

    Yields:
        A `.bin` that goes with the network's `.param`.

    Raises:
        ModelError: There is no twin, it cannot be read, or it is another network.
    """
    networks = blended_networks(model, denoise)
    if denoise is None or len(networks) == 1:
        yield model.bin
        return
    from realesrgan_vk.models.interpolation import blended_file  # noqa: PLC0415 - NumPy, for few networks

    with blended_file(*networks, denoise) as path:
        yield path


def blended_networks(model: Model, denoise: float | None) -> tuple[Model] | tuple[Model, Model]:
    """The networks whose weights `denoised` reads: the model and, for a blend, its twin.

    Raises:
        ModelError: As `denoised`.
    """
    if denoise is None:
        return (model,)
    twin = _twin(model)
    return (model,) if denoise == 1 else (model, twin)


def _twin(model: Model) -> Model:
    entry = entry_of(model.param)
    twin = entry.weak_denoise if entry else ""
    twin = twin or next((item.twin for item in PUBLISHED if item.name == model.name), "")
    if not twin:
        raise ModelError(
            f"model {model.name} has no weakly denoising twin, so denoise does not apply to it; "
            "realesr-general-x4v3 has one: realesrgan-vk models pull realesr-general-x4v3"
        )
    beside = model.param.with_name(f"{twin}.param")
    try:
        return model_at(beside) if beside.is_file() else find_model(twin)
    except ModelError as error:
        raise ModelError(f"model {model.name} needs its twin for denoise: {error}") from error
