"""Upscale a folder, decoding and encoding beside the network.

Usage: batch.py IN OUT [--model NAME].

The command `realesrgan-vk upscale IN -o OUT` does this with metadata, animations and several
devices; this shows how to do it in a program of your own.
"""

import argparse
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from PIL import Image, UnidentifiedImageError

import realesrgan_vk


def read(path: Path) -> Image.Image:
    """Decode a picture whole."""
    with Image.open(path) as image:
        return image.convert("RGB")


def main() -> None:
    """Upscale all pictures; those that cannot be read are named, the others go on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--model", default="realesr-animevideov3")
    given = parser.parse_args()
    given.results.mkdir(parents=True, exist_ok=True)

    upscaler = realesrgan_vk.Upscaler(given.model)
    paths = sorted(path for path in given.folder.iterdir() if path.is_file())
    saved: list[Future[None]] = []
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        coming = [reader.submit(read, path) for path in paths[:1]]
        for number, path in enumerate(paths):
            picture = coming.pop()
            coming += [
                reader.submit(read, following) for following in paths[number + 1 : number + 2]
            ]
            try:
                large = upscaler.upscale(picture.result())
            except (UnidentifiedImageError, realesrgan_vk.RealesrganError) as error:
                print(f"{path}: {error}")
                continue
            if saved:
                saved[-1].result()  # one result at a time waits to be written
            saved.append(writer.submit(large.save, given.results / f"{path.stem}.png"))
    if saved:
        saved[-1].result()
    print(f"{len(saved)} of {len(paths)} written")


if __name__ == "__main__":
    main()
