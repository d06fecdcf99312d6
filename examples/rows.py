"""Upscale a TIFF file row by row, in little memory. Usage: rows.py IN OUT [--model NAME]."""

import argparse

import realesrgan_vk
from realesrgan_vk.image_io.rows import TiffRows, TiffRowWriter


def show(part: float) -> None:
    """Print how much is done."""
    print(f"\r{part:.0%}", end="", flush=True)


def main() -> None:
    """Neither the picture nor the result is in memory whole."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("picture")
    parser.add_argument("result")
    parser.add_argument("--model", default="realesr-animevideov3")
    given = parser.parse_args()

    upscaler = realesrgan_vk.Upscaler(given.model, memory_limit="500MB")
    source = TiffRows(given.picture)
    width, height = source.width * upscaler.scale, source.height * upscaler.scale
    with TiffRowWriter(given.result, width, height, source.metadata) as sink:
        upscaler.upscale_rows(source, sink, show)
    print(f"\r{given.result}: {width} x {height}")


if __name__ == "__main__":
    main()
