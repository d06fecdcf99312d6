"""What known networks take, as `tools/zoo.py --measure` measured it."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figures:
    """What a network takes on the CPU.

    Attributes:
        relative_time: Processor time for a picture, as a multiple of realesrgan-x4plus' for the
            same picture.
        memory: Bytes planned for a picture of 512 x 512 pixels with two threads.
    """

    relative_time: float
    memory: int


# By name, without what tells networks of one shape apart.
_VARIANT = re.compile(r"-(noise\d|conservative|x[234])$")
MEASURED: dict[str, Figures] = {
    "realesrgan-x4plus": Figures(1, 566_000_000),
    "realesrgan-x4plus-anime": Figures(0.31, 177_000_000),
    "realesr-animevideov3": Figures(0.033, 35_000_000),
    "realesr-animevideov3-x2": Figures(0.034, 35_000_000),
    "realesr-animevideov3-x3": Figures(0.033, 36_000_000),
    "realesr-animevideov3-x4": Figures(0.033, 35_000_000),
    "waifu2x-anime-x2": Figures(0.044, 55_000_000),
    "waifu2x-cunet-x1": Figures(0.1, 436_000_000),
    "waifu2x-cunet-x2": Figures(0.2, 1_276_000_000),
    "waifu2x-photo-x2": Figures(0.048, 55_000_000),
    "realcugan-pro-x2": Figures(0.29, 1_275_000_000),
    "realcugan-pro-x3": Figures(0.33, 2_740_000_000),
    "realcugan-se-x2": Figures(0.16, 1_275_000_000),
    "realcugan-se-x3": Figures(0.34, 2_740_000_000),
    "realcugan-se-x4": Figures(0.26, 1_969_000_000),
    "realsr-df2k-x4": Figures(0.82, 566_000_000),
    "realesrnet-x4plus": Figures(1, 566_000_000),
}


def figures_of(name: str) -> Figures | None:
    """The figures of a known network; None where it was not measured."""
    return MEASURED.get(name) or MEASURED.get(_VARIANT.sub("", name))
