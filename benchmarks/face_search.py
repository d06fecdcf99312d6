"""What `--faces` costs where a picture has no face: the search beside the super-resolution.

python benchmarks/face_search.py [--models M,...] [--sizes WxH,...] [--rounds N] [--part PIXELS].
Needs the extra `faces` and scikit-image, whose photographs without faces are scaled to each size.
Runs with and without the search alternate. Processor time counts all threads, the search's too.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import skimage
from numpy.typing import NDArray
from PIL import Image

from realesrgan_vk import FaceOptions, Upscaler
from realesrgan_vk.faces.enhance import FaceEnhancer

PHOTOGRAPHS = (
    *("brick.png", "cell.png", "chelsea.png", "coffee.png", "coins.png", "grass.png"),
    *("gravel.png", "hubble_deep_field.jpg", "ihc.png", "moon.png", "motorcycle_left.png"),
    *("motorcycle_right.png", "page.png", "retina.jpg", "rocket.jpg", "text.png"),
)
Bytes = NDArray[np.uint8]


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of wall and processor time."""
    begin = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - begin[0], time.process_time() - begin[1]


def photographs(size: tuple[int, int]) -> dict[str, Bytes]:
    """scikit-image's photographs without faces, scaled to this size."""
    folder = Path(skimage.__file__).parent / "data"
    pictures = {}
    for name in PHOTOGRAPHS:
        with Image.open(folder / name) as image:
            pictures[name] = np.asarray(image.convert("RGB").resize(size))
    return pictures


def measure(model: str, size: tuple[int, int], rounds: int, part: int) -> None:
    """Print the search's share of the time of a network."""
    enhancer = FaceEnhancer(lambda crop, _: crop)
    pictures = photographs(size)
    side = part or max(size)
    first = pictures["brick.png"]
    small = np.ascontiguousarray(first[:side, :side])
    share = small.size / first.size  # a network's time is in proportion to the pixels
    with Upscaler(model, device="cpu") as upscaler:

        def without() -> None:
            upscaler.upscale(small)

        def find(pixels: Bytes) -> None:
            enhancer.find(pixels, FaceOptions())

        def with_search() -> None:
            enhancer.find(first, FaceOptions())
            upscaler.upscale(small)

        with_search()
        plain, both = [], []
        for _ in range(rounds):
            plain.append(timed(without))
            both.append(timed(with_search))
        searches = {
            name: min(timed(partial(find, pixels))[1] for _ in range(rounds))
            for name, pixels in pictures.items()
        }
    wall, processor = (statistics.median(one[n] for one in plain) for n in (0, 1))
    if share == 1:
        more = [statistics.median(one[n] for one in both) for n in (0, 1)]
        alternating = (
            f"with the search, alternately: {100 * (more[0] / wall - 1):+.1f} % of wall time, "
            f"{100 * (more[1] / processor - 1):+.1f} % of processor time; "
        )
    else:
        alternating = ""
    whole = min(one[1] for one in plain) / share
    shares = sorted((100 * seconds / whole, name) for name, seconds in searches.items())
    print(
        f"{model}, {size[0]}x{size[1]}: {whole:.2f} s of processor time without; {alternating}"
        f"the search: median {statistics.median(each for each, _ in shares):.1f} %, "
        f"most {shares[-1][0]:.1f} % ({shares[-1][1]})",
        flush=True,
    )


def main() -> None:
    """Measure each network at each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default="realesr-animevideov3-x4,realesrgan-x4plus")
    parser.add_argument("--sizes", default="256x256,512x512,2048x1536")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--part", type=int, default=0, help="side of what the network runs on")
    asked = parser.parse_args()
    for model in asked.models.split(","):
        for size in asked.sizes.split(","):
            width, height = map(int, size.split("x"))
            measure(model, (width, height), asked.rounds, asked.part)


if __name__ == "__main__":
    main()
