"""What a convolution's form and number format cost in accuracy, network by network.

    python benchmarks/winograd_accuracy.py [--model realesrgan-x4plus] [--size 96x80]
        [--json benchmarks/results/winograd-accuracy.json]

Every 3x3 convolution is computed directly or by Winograd's F(m, 3), its operands in fp32 or rounded
to bf16 where the matrix products read them (products and sums stay fp32, as the processors' bf16
instructions have it). Errors are against PyTorch in double precision, on a photograph. This
emulates what is not built, too (bf16; F(6, 3) in deep networks), to tell whether it should be.
Needs torch and scikit-image.
"""

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from cpu import SIZES, eight_bit_steps, photograph
from torch import Tensor, nn
from torch.nn import functional
from torch_graph import TorchGraph

from realesrgan_vk.models import find_model

POINTS = {
    2: (0.0, 1.0, -1.0),
    4: (0.0, math.sqrt(0.5), -math.sqrt(0.5), math.sqrt(2), -math.sqrt(2)),
    6: (0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0),
}
"""Finite interpolation points of F(m, 3), as in cpp/src/cpu/winograd/transforms.hpp: our own of
F(4, 3), the usual ones of F(2, 3) and F(6, 3). Infinity comes on top."""

Rounding = Callable[[Tensor], Tensor]


def same(values: Tensor) -> Tensor:
    """No rounding."""
    return values


def to_bf16(values: Tensor) -> Tensor:
    """Round to bfloat16 and back."""
    return values.to(torch.bfloat16).to(values.dtype)


class Winograd:
    """F(m, 3) by Toom and Cook: outputs of a tile, from the values at the interpolation points."""

    def __init__(self, m: int) -> None:
        """The three matrices, in double precision."""
        points = POINTS[m]
        n = m + 2
        whole = np.vander(points, n, increasing=True)
        whole = np.vstack([whole, np.eye(n)[-1]])
        scale = np.array([np.prod([p - q for q in points if q != p]) for p in points] + [1.0])
        self.m = m
        self.data = torch.from_numpy(np.linalg.inv(whole).T * scale[:, None])
        evaluate = np.vstack([np.vander(points, 3, increasing=True), np.eye(3)[-1]])
        self.weights = torch.from_numpy(evaluate / scale[:, None])
        collect = np.vstack([np.vander(points, m, increasing=True), np.eye(m)[-1]])
        self.outputs = torch.from_numpy(collect.T.copy())

    def transform(self, tiles: Tensor) -> Tensor:
        """A tile's pixels [..., n, n] at the interpolation points."""
        return _both_sides(self.data.to(tiles.dtype), tiles)

    def convolve(self, picture: Tensor, weight: Tensor, rounding: Rounding) -> Tensor:
        """Padding 1, stride 1; `rounding` is applied to the operands of the products."""
        height, width = picture.shape[2:]
        m, n = self.m, self.m + 2
        down, across = -height % m, -width % m
        padded = functional.pad(picture, (1, 1 + across, 1, 1 + down))
        tiles = padded.unfold(2, n, m).unfold(3, n, m)  # [1, in, rows, columns, n, n]
        kind = picture.dtype
        data = rounding(self.transform(tiles))
        taps = rounding(_both_sides(self.weights.to(kind), weight))
        products = torch.einsum("bityuv,oiuv->botyuv", data, taps)
        results = _both_sides(self.outputs.to(kind), products)
        joined = results.permute(0, 1, 2, 4, 3, 5).flatten(4, 5).flatten(2, 3)
        return joined[:, :, :height, :width]


def _both_sides(matrix: Tensor, values: Tensor) -> Tensor:
    return matrix @ values @ matrix.T


class Emulated(TorchGraph):
    """A network whose 3x3 convolutions are computed by `convolve`."""

    def __init__(self, param: Path, convolve: Callable[[Tensor, Tensor], Tensor]) -> None:
        """Read the network."""
        super().__init__(param)
        self._convolve_by = convolve

    def conv2d(
        self, picture: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int
    ) -> Tensor:
        """The convolution in the form to be judged."""
        if weight.shape[2:] != (3, 3) or stride != 1 or padding != 1:
            return super().conv2d(picture, weight, bias, stride, padding)
        result = self._convolve_by(picture, weight)
        return result if bias is None else result + bias[:, None, None]


def direct(picture: Tensor, weight: Tensor, rounding: Rounding) -> Tensor:
    """By the definition."""
    return functional.conv2d(rounding(picture), rounding(weight), None, 1, 1)


def forms() -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """What is compared."""
    small, large = Winograd(4), Winograd(6)
    return {
        "direct, fp32": lambda x, w: direct(x, w, same),
        "F(4, 3), fp32": lambda x, w: small.convolve(x, w, same),
        "F(6, 3), fp32": lambda x, w: large.convolve(x, w, same),
        "direct, bf16": lambda x, w: direct(x, w, to_bf16),
        "F(4, 3), bf16": lambda x, w: small.convolve(x, w, to_bf16),
    }


def run(module: nn.Module, picture: Tensor) -> Tensor:
    """The network's result, clamped to 0..1, in double precision."""
    with torch.inference_mode():
        result: Tensor = module(picture)
    return result.double().clamp(0, 1)


def compare(model: str, width: int, height: int) -> dict[str, dict[str, float]]:
    """Errors of every form on one network."""
    param = find_model(model).param
    pixels = photograph(width, height).transpose(2, 0, 1).copy()
    picture = torch.from_numpy(pixels)[None]
    truth = run(TorchGraph(param).double(), picture.double())
    found: dict[str, dict[str, float]] = {}
    for name, convolve in forms().items():
        result = run(Emulated(param, convolve), picture)
        steps = eight_bit_steps(result.numpy(), truth.numpy())
        found[name] = {
            "max_error": float((result - truth).abs().max()),
            "max_steps": int(steps.max()),
            "share_beyond_1_step": float((steps > 1).mean()),
        }
    return found


def main() -> None:
    """Parse the arguments, compare, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", action="append", choices=list(SIZES), help="default: all")
    parser.add_argument("--size", default="96x80", help="WIDTHxHEIGHT of the photograph")
    parser.add_argument("--json", type=Path, help="write all numbers here")
    given = parser.parse_args()
    width, height = map(int, given.size.split("x"))
    found = {model: compare(model, width, height) for model in given.model or SIZES}
    print("| network | form | max error | 8-bit steps | beyond one step |")
    print("| --- | --- | --- | --- | --- |")
    for model, forms_found in found.items():
        for name, error in forms_found.items():
            print(
                f"| {model} | {name} | {error['max_error']:.1e} | {error['max_steps']:.0f} | "
                f"{100 * error['share_beyond_1_step']:.3f} % |"
            )
    if given.json:
        result = {"size": given.size, "networks": found}
        given.json.write_text(json.dumps(result, indent=1) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
