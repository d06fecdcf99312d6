"""Write docs/models.md: what known networks are for and take, their licences, a detail of each.

    python tools/zoo.py              writes the page from what was measured
    python tools/zoo.py --measure    measures, writes the figures and the details, then the page

What is measured is processor time, which other programs hardly change, of networks that are
installed or lie in installed packages of PyPI. The details are of CC0 pictures in scikit-image's
wheel.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from realesrgan_vk import Upscaler, list_models
from realesrgan_vk.models.figures import MEASURED, Figures, figures_of
from realesrgan_vk.models.packaged import PACKAGED
from realesrgan_vk.models.published import PUBLISHED

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "models.md"
DETAILS = ROOT / "docs" / "images" / "networks"
FIGURES = ROOT / "python" / "realesrgan_vk" / "models" / "figures.py"
MOST_BYTES = 400_000  # of all details
REFERENCE = "realesrgan-x4plus"
_MEASURED_SIDE = 96
_PLANNED = (512, 512)
# File, left, top, width, height.
_PHOTO = ("chelsea.png", 130, 90, 96, 72)
_DRAWING = ("logo.png", 190, 140, 96, 72)
_VARIANT = re.compile(r"-(noise\d|conservative)$")
_HEAD = """# Networks and what they take

Written by `tools/zoo.py`. Time is the processor time of a picture as a multiple of that of
`realesrgan-x4plus` (101 s a megapixel of the source on two cores with AVX2). Memory is planned for
512 x 512 pixels on the CPU with two threads; of networks in the row stream it grows with the width
only, others take tiles where it is short (`--memory-limit`). A dash: not measured, as no package
has its weights. `realesrgan-vk models list --all --json` has the same fields.

| network | for | scale | time | memory | licence | detail |
| --- | --- | --- | --- | --- | --- | --- |
"""
_TAIL = """
The details are 96 x 72 pixels of a photograph or a drawing (scikit-image, CC0). The networks of
waifu2x, Real-CUGAN and RealSR are installed by `realesrgan-vk models pull NAME`. For more networks:
`realesrgan-vk models search` ([OpenModelDB](reference/networks.md#openmodeldb)). What else can be
converted: [the architectures that were tried](reference/architectures.md).
"""


@dataclass(frozen=True, slots=True)
class Row:
    """Networks of one shape.

    Attributes:
        key: The name without what tells the variants apart.
        names: Of all of them; the detail is of the first one.
        made_for: The kind of pictures.
        scale: Output pixels per input pixel.
        licence: SPDX identifier.
    """

    key: str
    names: tuple[str, ...]
    made_for: str
    scale: int
    licence: str

    @property
    def detail(self) -> Path:
        """The picture of it."""
        return DETAILS / f"{self.key}.webp"

    def text(self) -> str:
        """Of the table."""
        figures = figures_of(self.names[0])
        spent = ("-", "-")
        if figures is not None:
            spent = (f"{figures.relative_time:.2g}", f"{figures.memory / 1e6:.0f} MB")
        shown = (
            f"![{self.key}](images/networks/{self.detail.name})" if self.detail.is_file() else ""
        )
        variants = [name.removeprefix(self.key) for name in self.names[1:]]
        names = ", ".join(f"`{each}`" for each in (self.names[0], *variants))
        scale = f"x{self.scale}"
        cells = (names, self.made_for, scale, *spent, self.licence, shown)
        return f"| {' | '.join(cells)} |"


def rows() -> Iterator[Row]:
    """The installed official networks, then those that can be pulled."""
    others = {item.name for item in PUBLISHED} | {item.name for item in PACKAGED}
    for model in list_models():
        if model.origin and model.name not in others:
            yield Row(model.name, (model.name,), model.made_for, model.scale, model.licence)
    groups: dict[str, list[str]] = {}
    for item in PACKAGED:
        groups.setdefault(_VARIANT.sub("", item.name), []).append(item.name)
    known = {item.name: item for item in PACKAGED}
    for key, names in groups.items():
        item = known[names[0]]
        names.sort(key=lambda name: (name != key, name))
        yield Row(key, tuple(names), item.made_for, item.scale, item.licence)
    for published_item in PUBLISHED:
        yield Row(
            published_item.name,
            (published_item.name,),
            published_item.made_for,
            published_item.scale,
            published_item.licence,
        )


def page() -> str:
    """The text of docs/models.md."""
    return _HEAD + "\n".join(row.text() for row in rows()) + "\n" + _TAIL


def _param(name: str) -> Path | None:
    for model in list_models():
        if model.name == name and model.param.is_file():
            return model.param
    for item in PACKAGED:
        spec = find_spec(item.package)
        if item.name == name and spec is not None and spec.submodule_search_locations:
            return Path(spec.submodule_search_locations[0], f"{item.stem}.param")
    return None


def _measure() -> None:
    import skimage  # noqa: PLC0415 - for measuring only
    from PIL import Image  # noqa: PLC0415

    data = Path(skimage.__file__).parent / "data"
    DETAILS.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(1).integers(0, 256, (_MEASURED_SIDE, _MEASURED_SIDE, 3), np.uint8)
    spent: dict[str, float] = {}
    memory: dict[str, int] = {}
    for row in rows():
        param = _param(row.names[0])
        if param is None:
            continue
        upscaler = Upscaler(param, device="cpu", threads=1)
        upscaler.upscale(noise[:32, :32])
        times = []
        for _ in range(2):
            start = time.process_time()
            upscaler.upscale(noise)
            times.append(time.process_time() - start)
        spent[row.key] = min(times)
        plan = Upscaler(param, device="cpu", threads=2, memory_limit="4GiB").plan(_PLANNED)
        memory[row.key] = plan.memory_bytes["total"]
        file, left, top, width, height = _PHOTO if "photo" in row.made_for else _DRAWING
        with Image.open(data / file) as image:
            white = Image.new("RGBA", image.size, "white")
            whole = Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
        detail = whole.crop((left, top, left + width, top + height))
        large = upscaler.upscale(detail)
        assert isinstance(large, Image.Image)
        large.save(row.detail, quality=75)
        print(f"{row.key}: {spent[row.key]:.2f} s", file=sys.stderr)
    MEASURED.clear()
    for key, seconds in spent.items():
        relative = float(f"{seconds / spent[REFERENCE]:.2g}")
        MEASURED[key] = Figures(relative, round(memory[key], -6))
    MEASURED["realesrnet-x4plus"] = MEASURED[REFERENCE]  # the same layers
    lines = [
        f'    "{key}": Figures({each.relative_time:g}, {each.memory:_}),\n'
        for key, each in MEASURED.items()
    ]
    text = FIGURES.read_text("utf-8")
    table = re.compile(r"(MEASURED: .* = \{\n)(?:    .*\n)*(\})")
    FIGURES.write_text(table.sub(lambda found: found[1] + "".join(lines) + found[2], text), "utf-8")


def main() -> int:
    """Measure where asked, and write the page."""
    if sys.argv[1:] == ["--measure"]:
        _measure()
    elif sys.argv[1:]:
        print(__doc__, file=sys.stderr)
        return 2
    PAGE.write_text(page(), "utf-8")
    size = sum(path.stat().st_size for path in DETAILS.glob("*.webp"))
    if size > MOST_BYTES:
        print(f"the details are {size} bytes, more than {MOST_BYTES}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
