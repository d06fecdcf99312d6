"""How far an engine's pictures are from PyTorch's, and how far they may be."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from realesrgan_export.engines import Engine
from realesrgan_export.errors import ExportError, ParityError
from realesrgan_export.pictures import NamedPicture, Picture
from realesrgan_train.wording import first_line
from realesrgan_vk.errors import RealesrganError


@dataclass(frozen=True)
class Limits:
    """What the numerical contract allows; None where it allows anything.

    Attributes:
        max_error: Largest absolute difference, of full scale (1.0).
        max_steps: Largest difference of the 8-bit pictures.
        equal_share: Smallest share of equal 8-bit samples, over all pictures of an engine.
    """

    max_error: float | None
    max_steps: int | None = 1
    equal_share: float | None = None


FP32 = Limits(1e-4, 1, 0.999)
FP16 = Limits(4e-3, 1, None)
REPORTED = Limits(None, None, None)

_DARK = 4 / 255
"""Pictures of a smaller mean may become all black; realesrgan-vk has the same limit."""


@dataclass(frozen=True)
class Row:
    """One engine on one picture.

    Attributes:
        max_error: Largest absolute difference, of full scale.
        mean_error: Mean absolute difference, of full scale.
        psnr: PSNR of the float pictures in dB, peak 1; infinite when equal.
        max_steps: Largest difference of the 8-bit pictures.
        equal: Number of equal 8-bit samples.
        samples: Number of samples.
    """

    engine: str
    picture: str
    max_error: float
    mean_error: float
    psnr: float
    max_steps: int
    equal: int
    samples: int

    def as_json(self) -> dict[str, object]:
        """Return the row for a manifest; an infinite PSNR becomes None, which JSON can hold."""
        row = asdict(self)
        row["psnr"] = None if math.isinf(self.psnr) else round(self.psnr, 2)
        return row


def to_8bit(picture: Picture) -> NDArray[np.int16]:
    """Clamp to 0..1 and round to 0..255."""
    steps: NDArray[np.int16] = np.floor(np.clip(picture, 0, 1) * 255 + 0.5).astype(np.int16)
    return steps


def compare(engine: str, picture: str, result: Picture, expected: Picture) -> Row:
    """Measure one result.

    Raises:
        ParityError: If the sizes differ or the result is not finite.
    """
    if result.shape != expected.shape:
        raise ParityError(
            f"{engine} makes {result.shape[1]}x{result.shape[0]} pixels of {picture}, PyTorch "
            f"{expected.shape[1]}x{expected.shape[0]}"
        )
    if not np.isfinite(result).all():
        raise ParityError(f"{engine} makes NaN or infinity of {picture}")
    error = np.abs(result.astype(np.float64) - expected)
    mse = float(np.mean(error**2))
    steps = np.abs(to_8bit(result) - to_8bit(expected))
    return Row(
        engine,
        picture,
        float(error.max()),
        float(error.mean()),
        -10 * math.log10(mse) if mse > 0 else math.inf,
        int(steps.max()),
        int((steps == 0).sum()),
        steps.size,
    )


def parity_table(
    reference: Engine,
    engines: Mapping[str, Engine],
    pictures: Sequence[NamedPicture],
    clamping: Collection[str] = (),
) -> list[Row]:
    """Run all engines, by name, on all pictures; `reference` is PyTorch.

    Engines in `clamping` clamp their result to 0..1; PyTorch's is clamped for them, too.

    Raises:
        ParityError: If sizes differ or something is not finite.
        ExportError: If PyTorch's result is all black, or an engine cannot run a picture.
        RealesrganError: If realesrgan-vk cannot.
    """
    rows: list[Row] = []
    for picture in pictures:
        expected = _run("PyTorch", reference, picture)
        if not np.isfinite(expected).all():
            raise ParityError(f"PyTorch itself makes NaN or infinity of {picture.name}")
        if picture.pixels.mean() >= _DARK and not (to_8bit(expected) > 1).any():
            # realesrgan-vk refuses such results, too, and would suspect the device.
            raise ExportError(
                f"the network makes an all black picture of {picture.name}, in PyTorch, too: it "
                "has learned too little; train longer (a network trained long enough that does "
                "so has damaged weights)"
            )
        rows += [
            compare(
                name,
                picture.name,
                _run(name, engine, picture),
                np.clip(expected, 0, 1) if name in clamping else expected,
            )
            for name, engine in engines.items()
        ]
    return rows


def _run(name: str, engine: Engine, picture: NamedPicture) -> Picture:
    try:
        return engine(picture.pixels)
    except (ExportError, RealesrganError):
        raise
    except Exception as error:  # the engines' errors have no common base
        raise ExportError(
            f"{name} cannot run the network on the picture {picture.name}: {first_line(error)}"
        ) from error


def check(rows: Sequence[Row], limits: Mapping[str, Limits]) -> None:
    """Compare rows of `parity_table` with the limits of their engines.

    Raises:
        ParityError: Naming the engine, the picture, the figure and the limit.
    """
    for name, limit in limits.items():
        own = [row for row in rows if row.engine == name]
        for row in own:
            if limit.max_error is not None and not row.max_error <= limit.max_error:
                raise ParityError(
                    f"{name} differs from PyTorch by {row.max_error:.2e} of full scale on "
                    f"{row.picture}; the limit is {limit.max_error:.0e}"
                )
            if limit.max_steps is not None and row.max_steps > limit.max_steps:
                raise ParityError(
                    f"{name} differs from PyTorch by {row.max_steps} of 255 on {row.picture}; the "
                    f"limit is {limit.max_steps}"
                )
        share = sum(row.equal for row in own) / max(1, sum(row.samples for row in own))
        if own and limit.equal_share is not None and share < limit.equal_share:
            raise ParityError(
                f"only {share:.3%} of the 8-bit samples of {name} equal PyTorch's; the limit is "
                f"{limit.equal_share:.1%}"
            )
