"""Make the gallery's pictures with the project's own command. Usage: gallery.py FOLDER [EXAMPLES].

The sources are details of pictures in scikit-image's wheel (CC0 or public domain). Beside each
result lies the detail enlarged bicubically. EXAMPLES is the folder for the small pictures of the
page's list of networks, whose left half is enlarged bicubically, and the right one by the network.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import skimage
from PIL import Image

DETAILS = {
    # name: file, left, top, width, height, network
    "cat": ("chelsea.png", 110, 70, 180, 120, "realesrgan-x4plus"),
    "coffee": ("coffee.png", 210, 100, 180, 120, "realesrgan-x4plus"),
    "drawing": ("logo.png", 150, 130, 180, 120, "realesrgan-x4plus-anime"),
}
EXAMPLES = {
    # network: file, left, top, width, height; of these the middle is shown
    "realesrgan-x4plus": ("chelsea.png", 158, 94, 64, 48),
    "realesrgan-x4plus-anime": ("logo.png", 183, 141, 64, 48),
    "realesr-animevideov3": ("logo.png", 232, 182, 64, 48),
}
EXAMPLE_SIZE = (240, 120)
SCALE = 4


def enlarged(network: str, file: str, *place: int) -> tuple[Image.Image, Image.Image]:
    """A detail, at (left, top, width, height), enlarged bicubically and by a network."""
    left, top, width, height = place
    with Image.open(Path(skimage.__file__).parent / "data" / file) as image:
        white = Image.new("RGBA", image.size, "white")
        whole = Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    detail = whole.crop((left, top, left + width, top + height))
    larger = detail.resize((SCALE * width, SCALE * height), Image.Resampling.BICUBIC)
    command = Path(sys.executable).with_name("realesrgan-vk")
    with tempfile.TemporaryDirectory() as scratch:
        source, result = Path(scratch) / "detail.png", Path(scratch) / "result.png"
        detail.save(source)
        subprocess.run([command, "upscale", source, "-m", network, "-o", result], check=True)
        with Image.open(result) as image:
            return larger, image.convert("RGB")


def main() -> int:
    """Write NAME-before.webp and NAME-after.webp of each detail, and the examples."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, (file, left, top, width, height, network) in DETAILS.items():
        both = enlarged(network, file, left, top, width, height)
        for suffix, picture in zip(("before", "after"), both, strict=True):
            picture.save(folder / f"{name}-{suffix}.webp", quality=80)
    for network, of in EXAMPLES.items() if len(sys.argv) > 2 else ():
        before, after = enlarged(network, *of)
        width, height = EXAMPLE_SIZE
        left, top = (before.width - width) // 2, (before.height - height) // 2
        shown = before.crop((left, top, left + width, top + height))
        half = (left + width // 2, top, left + width, top + height)
        shown.paste(after.crop(half), (width // 2, 0))
        shown.save(Path(sys.argv[2]) / f"example-{network}.webp", quality=75, method=6)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
