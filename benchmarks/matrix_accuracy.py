"""What candidates for faster fp16 convolutions on a GPU cost in accuracy, network by network.

    python benchmarks/matrix_accuracy.py [--model realesrgan-x4plus | --model FILE.param]
        [--size 128] [--photographs 2] [--picture FILE] [--form NAME]
        [--device INDEX [--half-products 3]] [--json benchmarks/results/matrix-accuracy.json]

Emulates them in PyTorch, on crops of scikit-image's photographs, and compares with the fp32 picture
in 8-bit steps. All forms have what the Vulkan engine does in fp16: convolutions read values rounded
to fp16, but for the picture and the sums along the trunk; weights are fp16, activations fp32;
convolutions from or to fewer than 16 channels are today's. The other 3x3 ones have one of these
forms:

- "fp16": today's, fp16 products with fp32 sums
- "F(2x2)", "F(4x4)": Winograd's, transformed in fp32, transformed pixels and weights rounded to
  fp16 once, products summed in fp32; "fp16 transform": every step of the pixels' transform is
  rounded; "scale 1": only where the picture is not enlarged yet; "F(2x1)": along rows only
- "sums of N": N products are summed in fp16, those sums in fp32, and rounded once for 16 products
  ("rounded by 16", the best that a device's matrix product may do) or after each ("rounded by 1")
- "dot of N": products of N channels and their sums each rounded to fp16, what they give summed in
  fp32

With `--device` the engine's own fp16 result on a Vulkan device is compared, too: it should be like
"fp16", and with `--half-products` (products of matrices that are summed in fp16) like "sums of N".
Needs torch and scikit-image.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import skimage
import torch
from cpu import SIZES, eight_bit_steps
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional
from torch_graph import TorchGraph
from winograd_accuracy import Emulated, Winograd, direct, same

from realesrgan_vk import Upscaler
from realesrgan_vk.models import find_model
from realesrgan_vk.models.ncnn.param import Layer

PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png")
GROUP = 16
"""Channels that a matrix product sums, and the fewest that have candidates."""
ALL = 1 << 30
"""Products, more than any convolution has."""
STRIP = 1024
"""Pixels emulated at once, so that their sums stay in the processor's cache."""

Convolve = Callable[[Tensor, Tensor], Tensor]


def to_half(values: Tensor) -> Tensor:
    """Round to fp16 and back."""
    return values.half().to(values.dtype)


class Halves(Emulated):
    """A network as the Vulkan engine runs it in fp16, its wide convolutions by `convolve`."""

    def __init__(self, param: Path, convolve: Convolve) -> None:
        """Read the network."""
        super().__init__(param, convolve)
        writers = {blob: layer.type for layer in self.graph for blob in layer.outputs}
        self._inside_block = {
            layer.name
            for layer in self.graph
            if layer.type == "Eltwise" and writers[layer.inputs[0]] == "Convolution"
        }

    def conv2d(
        self, picture: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int
    ) -> Tensor:
        """One convolution; `convolve` gets values that fp16 holds."""
        if picture.shape[1] < GROUP:
            return functional.conv2d(picture, to_half(weight), bias, stride, padding)
        if weight.shape[0] < GROUP:
            return functional.conv2d(to_half(picture), to_half(weight), bias, stride, padding)
        return super().conv2d(to_half(picture), to_half(weight), bias, stride, padding)

    def combine(self, layer: Layer, inputs: list[Tensor]) -> Tensor:
        """The sum that ends a dense block reads its skip in fp16."""
        if layer.name in self._inside_block:
            inputs = [inputs[0], to_half(inputs[1])]
        return super().combine(layer, inputs)


class RoundedTransform(Winograd):
    """Winograd's form with the pixels' transform in fp16 arithmetic."""

    def transform(self, tiles: Tensor) -> Tensor:
        """Down, then across; F(2, 3) adds or subtracts two values in each."""
        matrix = self.data.to(tiles.dtype)
        return to_half(to_half(matrix @ tiles) @ matrix.T)


def along_rows(picture: Tensor, weight: Tensor) -> Tensor:
    """F(2, 3) of each row's pixels; the three taps above each other are summed as they are."""
    form = Winograd(2)
    kind, height, width = picture.dtype, *picture.shape[2:]
    tiles = functional.pad(picture, (1, 1 + width % 2, 1, 1)).unfold(3, 4, 2)
    data = to_half(tiles @ form.data.to(kind).T)  # [1, in, height + 2, columns, 4]
    taps = to_half(weight @ form.weights.to(kind).T)  # [out, in, 3, 4]
    products = torch.zeros(())
    for y in range(3):
        rows = data[:, :, y : y + height]
        products = products + torch.einsum("bihtu,oiu->bohtu", rows, taps[:, :, y])
    return (products @ form.outputs.to(kind).T).flatten(3)[..., :width]


def steps(picture: Tensor, weight: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Pixels [GROUP, pixels] and weights [out, GROUP] of matrix products, in the kernel's order."""
    height, width = picture.shape[2] - 2, picture.shape[3] - 2
    for first in range(0, picture.shape[1], GROUP):
        channels = slice(first, first + GROUP)
        for x in range(3):
            for y in range(3):
                pixels = picture[0, channels, y : y + height, x : x + width]
                yield pixels.reshape(GROUP, -1), weight[:, channels, y, x].contiguous()


def by_strips(strip: Convolve, picture: Tensor, weight: Tensor) -> Tensor:
    """Convolve rows of about STRIP pixels at a time; `strip` maps padded rows to [out, pixels]."""
    height, width = picture.shape[2:]
    padded = functional.pad(picture, (1, 1, 1, 1))
    count = max(1, STRIP // width)
    parts = [
        torch.unflatten(strip(padded[:, :, y : min(y + count, height) + 2], weight), 1, (-1, width))
        for y in range(0, height, count)
    ]
    return torch.cat(parts, 1)[None]


def chunks(length: int, rounded_by: int, picture: Tensor, weight: Tensor) -> Tensor:
    """Sums of `length` products in fp16, rounded after every matrix product or multiply-add."""
    pixel_count = (picture.shape[2] - 2) * (picture.shape[3] - 2)
    chunk = torch.zeros(weight.shape[0], pixel_count)
    total, half, count = torch.zeros_like(chunk), chunk.half(), 0
    for pixels, taps in steps(picture, weight):
        for k in range(0, GROUP, rounded_by):
            if rounded_by == 1:  # a product of two fp16 numbers is exact in fp32
                chunk.addcmul_(taps[:, k : k + 1], pixels[k])
            else:
                chunk.addmm_(taps[:, k : k + rounded_by], pixels[k : k + rounded_by])
            chunk.copy_(half.copy_(chunk))
        count += GROUP
        if count % length == 0:
            total += chunk
            chunk.zero_()
    return total.add_(chunk)


def dots(length: int, picture: Tensor, weight: Tensor) -> Tensor:
    """Dot products of `length` channels in fp16, every product and every sum rounded."""
    pixel_count = (picture.shape[2] - 2) * (picture.shape[3] - 2)
    total = torch.zeros(weight.shape[0], pixel_count)
    dot, product, widened = total.half(), total.half(), total.clone()
    for pixels, taps in steps(picture, weight):
        half, across = pixels.half(), taps.half()
        for first in range(0, GROUP, length):
            torch.mul(across[:, first : first + 1], half[first], out=dot)
            for k in range(first + 1, first + length):
                dot += torch.mul(across[:, k : k + 1], half[k], out=product)
            total += widened.copy_(dot)
    return total


def at_scale_one(convolve: Convolve, width: int, picture: Tensor, weight: Tensor) -> Tensor:
    """Today's form where the picture is enlarged already."""
    if picture.shape[3] == width:
        return convolve(picture, weight)
    return direct(picture, weight, same)


def forms(width: int) -> dict[str, Convolve]:
    """What is compared, for a picture of this width; today's form is first."""
    small, large, rounded = Winograd(2), Winograd(4), RoundedTransform(2)
    winograd = partial(small.convolve, rounding=to_half)
    found: dict[str, Convolve] = {
        "fp16": partial(direct, rounding=same),
        "F(2x2)": winograd,
        "F(2x2), scale 1": partial(at_scale_one, winograd, width),
        "F(2x2), fp16 transform": partial(rounded.convolve, rounding=to_half),
        "F(2x1)": along_rows,
        "F(4x4)": partial(large.convolve, rounding=to_half),
    }
    for length in (16, 32, 48, 64):
        for rounded_by in (GROUP, 1):
            strip = partial(chunks, length, rounded_by)
            found[f"sums of {length}, rounded by {rounded_by}"] = partial(by_strips, strip)
    found["sums of all, rounded by 16"] = partial(by_strips, partial(chunks, ALL, GROUP))
    for length in (2, 4):
        found[f"dot of {length}"] = partial(by_strips, partial(dots, length))
    return found


def crop(path: Path, size: int) -> NDArray[np.uint8]:
    """The middle of a photograph."""
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    left, top = (image.width - size) // 2, (image.height - size) // 2
    if left < 0 or top < 0:
        raise SystemExit(f"{path}: {image.width}x{image.height} is smaller than {size}x{size}")
    return np.asarray(image.crop((left, top, left + size, top + size)))


def judge(result: NDArray[np.float32], truth: NDArray[np.float32]) -> dict[str, float]:
    """How far a result [..., 0..1] is from the fp32 picture, in 8-bit steps."""
    whole = eight_bit_steps(result, truth)
    apart = 255 * np.abs(result.astype(np.float64) - truth)
    return {
        "max_steps": int(whole.max()),
        "share_beyond_1_step": float((whole > 1).mean()),
        "max_before_rounding": float(apart.max()),
        "mean_before_rounding": float(apart.mean()),
    }


def run(network: TorchGraph, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The network's result [height, width, 3], clamped to 0..1."""
    picture = torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None].float() / 255
    with torch.inference_mode():
        result: Tensor = network(picture)
    clamped: NDArray[np.float32] = result[0].clamp(0, 1).permute(1, 2, 0).numpy()
    return clamped


def engine(param: Path, pixels: NDArray[np.uint8], device: int) -> NDArray[np.float32]:
    """The engine's own result in fp16."""
    with Upscaler(param, device=device, precision="fp16") as upscaler:
        result: NDArray[np.float32] = upscaler.upscale(pixels.astype(np.float32) / 255)
    return result


def compare(
    model: str, picture: Path, given: argparse.Namespace, found: dict[str, dict[str, float]]
) -> Iterator[str]:
    """Add what every form gives on one network and picture; yields each form when it is done."""
    param = Path(model) if model.endswith(".param") else find_model(model).param
    pixels = crop(picture, given.size)
    truth = run(TorchGraph(param), pixels)
    if given.device is not None:
        name = "engine"
        if given.half_products is not None:
            name += f", {given.half_products} matrix products in fp16"
        found[name] = judge(engine(param, pixels, given.device), truth)
        yield name
    for name, convolve in forms(given.size).items():
        if given.form and name not in given.form:
            continue
        found[name] = judge(run(Halves(param, convolve), pixels), truth)
        yield name


def main() -> None:
    """Parse the arguments, compare, print; the file is rewritten after every form."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", action="append", help="name or .param file; default: all")
    parser.add_argument("--size", type=int, default=128, help="side of the crops")
    parser.add_argument("--photographs", type=int, default=2, help="how many of scikit-image's")
    parser.add_argument("--picture", type=Path, action="append", default=[], help="another one")
    parser.add_argument("--form", action="append", choices=list(forms(0)), help="default: all")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", type=int, help="compare the engine's result on it, too")
    parser.add_argument("--half-products", type=int, choices=(0, 1, 3), help="for --device")
    parser.add_argument("--json", type=Path, help="add all numbers to those that are here")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    cache = tempfile.TemporaryDirectory()  # without a choice of kernels
    if given.half_products is not None:  # the core reads both at its first use
        os.environ["REALESRGAN_VK_LIMITS"] = f"half_products={given.half_products}"
        os.environ["REALESRGAN_VK_CACHE"] = cache.name
    data = Path(skimage.__file__).parent / "data"
    pictures = [data / name for name in PHOTOGRAPHS[: given.photographs]] + given.picture
    kept = given.json is not None and given.json.exists()
    record = json.loads(given.json.read_text("ascii")) if kept else {}
    print(
        "| network | picture | form | 8-bit steps | beyond 1 step | largest, mean before rounding |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    for model in given.model or SIZES:
        network = record.setdefault(Path(model).name.removesuffix(".param"), {})
        for picture in pictures:
            found = network.setdefault(f"{picture.stem} {given.size}x{given.size}", {})
            for form in compare(model, picture, given, found):
                each = found[form]
                print(
                    f"| {model} | {picture.stem} | {form} | {each['max_steps']} | "
                    f"{100 * each['share_beyond_1_step']:.4f} % | "
                    f"{each['max_before_rounding']:.2f}, {each['mean_before_rounding']:.4f} |",
                    flush=True,
                )
                if given.json:
                    given.json.write_text(json.dumps(record, indent=1) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
