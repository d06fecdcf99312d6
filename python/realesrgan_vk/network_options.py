"""How a network is run: the options of `Upscaler`, checked once."""

import operator
from dataclasses import dataclass
from typing import Literal

from realesrgan_vk import arguments
from realesrgan_vk.checks import flag, is_whole, one_of, real_number, shown, whole_number
from realesrgan_vk.options import PRECISIONS, Precision

_MOST_RUNS = 1 << 20


@dataclass(frozen=True, slots=True)
class NetworkOptions:
    """The keyword arguments of `Upscaler`, which describes them, in Python's own types.

    Equal options mean equal runs; they can be hashed and pickled.
    """

    device: str | int
    precision: Precision
    tile: int | Literal["auto", "whole"]
    tta: bool
    denoise: float | None
    threads: int | None
    memory_limit: int | None
    runs_at_once: int

    @classmethod
    def checked(
        cls,
        *,
        device: object,
        precision: object,
        tile: object,
        tta: object,
        denoise: object,
        threads: object,
        memory_limit: object,
        runs_at_once: object = 1,
    ) -> "NetworkOptions":
        """The options that a caller gave.

        Raises:
            TypeError: A value of the wrong type.
            ValueError: A value out of range.
        """
        return cls(
            device=_device(device),
            precision=one_of("precision", precision, PRECISIONS),
            tile=arguments.tile(tile),
            tta=flag("tta", tta),
            denoise=_strength(denoise),
            threads=arguments.thread_count(threads),
            memory_limit=arguments.byte_count(memory_limit),
            runs_at_once=whole_number("runs_at_once", runs_at_once, 1, _MOST_RUNS),
        )


def _strength(value: object) -> float | None:
    """A number from 0 to 1, or None."""
    if value is None:
        return None
    span = "from 0 (keep noise) to 1 (remove it)"
    return real_number("denoise", value, span, lambda number: 0 <= number <= 1)


def _device(value: object) -> str | int:
    if isinstance(value, str):
        return str(value)
    if is_whole(value):
        return operator.index(value)
    raise TypeError(f"device must be a name or an index, not {type(value).__name__} {shown(value)}")
