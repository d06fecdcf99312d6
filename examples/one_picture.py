"""Upscale one picture to a size. Usage: one_picture.py IN OUT [--scale FACTOR] [--model NAME]."""

import argparse

import realesrgan_vk


def main() -> None:
    """Read the arguments, upscale, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("picture")
    parser.add_argument("result")
    parser.add_argument("--scale", type=float, help="default: the network's")
    parser.add_argument("--model", default="realesrgan-x4plus")
    given = parser.parse_args()
    try:
        large = realesrgan_vk.upscale(given.picture, model=given.model, scale=given.scale)
    except realesrgan_vk.RealesrganError as error:
        parser.exit(1, f"{error}\n")
    large.save(given.result)
    print(f"{given.result}: {large.width} x {large.height}")


if __name__ == "__main__":
    main()
