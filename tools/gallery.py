"""Make the pictures of the gallery with the project's own command. Usage: gallery.py FOLDER.

The sources are details of pictures in scikit-image's wheel (CC0 or public domain). Beside each
result lies the detail enlarged bicubically.
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
SCALE = 4


def main() -> int:
    """Write NAME-before.webp and NAME-after.webp of each detail."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    command = Path(sys.executable).with_name("realesrgan-vk")
    for name, (file, left, top, width, height, network) in DETAILS.items():
        with Image.open(Path(skimage.__file__).parent / "data" / file) as image:
            white = Image.new("RGBA", image.size, "white")
            whole = Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
        detail = whole.crop((left, top, left + width, top + height))
        larger = detail.resize((SCALE * width, SCALE * height), Image.Resampling.BICUBIC)
        larger.save(folder / f"{name}-before.webp", quality=80)
        with tempfile.TemporaryDirectory() as scratch:
            detail.save(Path(scratch) / "detail.png")
            subprocess.run(
                [command, "upscale", Path(scratch) / "detail.png", "-m", network, "--quality", "80",
                 "--lossy", "-o", folder / f"{name}-after.webp"],
                check=True,
            )  # fmt: skip
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
