"""GFPGANv1Clean, which restores faces: its PyTorch tensors to the two files of an ncnn network.

X. Wang et al.: Towards Real-World Blind Face Restoration with Generative Facial Prior, CVPR 2021;
the variant of GFPGAN 1.2 to 1.4, which needs no custom operators. A U-Net encodes the crop. A
StyleGAN2 generator, whose latent vectors come from the encoder, draws the face; at each size the
U-Net's features scale and shift half of the generator's channels.

The result is that of the published code, in another order of arithmetic:

- The generator's noise is the constant that the checkpoint holds. (The published code draws new
  noise in every run unless it is told otherwise.)
- A modulated convolution, whose weights depend on the latent vector, becomes: the input's channels
  scaled, a convolution with constant weights, the output's channels scaled. The scale of an output
  channel is 1 / sqrt(sum of (weight x input scale)^2): a matrix of the weights' squares times the
  squares of the input scales.
- A factor for each channel and a 1x1 convolution commute with bilinear resizing, so they come where
  the picture is smaller.
- 0..1 becomes the network's -1..1 in the first convolution, and back in the sum of the colours.

Layers come in the order in which they need the least memory, which ncnn keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from realesrgan_vk.errors import ModelError
from realesrgan_vk.models.ncnn.param import ParamValue
from realesrgan_vk.models.ncnn.weights import LayerWeights
from realesrgan_vk.models.network_builder import (
    LARGEST_FP16,
    Array,
    Builder,
    ConvertedNetwork,
    Tensors,
)

_ADD, _MULTIPLY = 0, 2  # of BinaryOp
_SQUARE, _RSQRT = 4, 6  # of UnaryOp
_LEAKY_RELU = 2
_BILINEAR = 2
_REST = -233
_SLOPE = 0.2
_EPSILON = 1e-8
_DECODER = "stylegan_decoder."
# ncnn's mask of what a layer must not use. Winograd's kernels are four times as large. Up to this
# side the network has most of its weights and little of its work.
_MASK, _NO_WINOGRAD = 31, 64
_SIDE_WITHOUT_WINOGRAD = 64
# An enlarged input of more values is convolved in parts, for the peak of the memory.
_MOST_VALUES = 1 << 23


def is_face_network(names: Mapping[str, object]) -> bool:
    """Whether tensors of these names may be those of a GFPGANv1Clean."""
    return f"{_DECODER}constant_input.weight" in names and "final_linear.weight" in names


def convert_face_network(tensors: Tensors) -> ConvertedNetwork:
    """Convert a GFPGANv1Clean of any size with a latent vector a layer.

    Args:
        tensors: By PyTorch's names.

    Raises:
        ModelError: A tensor is missing, left over or has a shape that does not fit.
    """
    sizes = _Sizes.of(tensors)
    to = _Builder(tensors, fp16=tensors.largest <= LARGEST_FP16)
    features = _Encoder(to, sizes)
    latents = [
        to.rows("final_linear", features.code, number, sizes.latent, 16 * sizes.encoder[0])
        for number in range(2 * sizes.levels + 2)
    ]
    to.rows_end("final_linear")
    for layer in range(1, 2 * _mapping_layers(tensors), 2):  # only used for random faces
        tensors.take(f"{_DECODER}style_mlp.{layer}.weight", sizes.latent, sizes.latent)
        tensors.take(f"{_DECODER}style_mlp.{layer}.bias", sizes.latent)
    first = sizes.decoder[0]
    constant = tensors.take(f"{_DECODER}constant_input.weight", 1, first, 4, 4)
    drawn = to.style_convolution(
        to.constant(constant[0]), "style_conv1", latents[0], first, first, 0, 4
    )
    colours = to.colours(drawn, "to_rgb1", latents[1], first, last=sizes.levels == 0)
    for level in range(1, sizes.levels + 1):
        before, after, side = sizes.decoder[level - 1], sizes.decoder[level], 4 << level
        number = 2 * level - 1
        drawn = to.style_convolution(
            drawn, f"style_convs.{number - 1}", latents[number], before, after, number, side,
            enlarge=True,
        )  # fmt: skip
        drawn = features.modulate(drawn, level, after, side)
        drawn = to.style_convolution(
            drawn, f"style_convs.{number}", latents[number + 1], after, after, number + 1, side
        )
        enlarged = to.resize(colours, 2)
        own = to.colours(
            drawn, f"to_rgbs.{level - 1}", latents[number + 2], after, last=level == sizes.levels
        )
        colours = to.add("BinaryOp", [enlarged, own], {0: _ADD})
    return to.network(f"GFPGANv1Clean, {4 << sizes.levels} pixels", 1)


@dataclass(frozen=True, slots=True)
class _Sizes:
    """Channels from 4 pixels a side on, doubling, and of a latent vector."""

    encoder: list[int]
    decoder: list[int]
    latent: int

    @property
    def levels(self) -> int:
        """How often the side doubles from 4 pixels."""
        return len(self.decoder) - 1

    @staticmethod
    def of(tensors: Tensors) -> _Sizes:
        levels = 0
        while f"conv_body_down.{levels}.conv1.weight" in tensors:
            levels += 1
        if not 1 <= levels <= 8:
            raise ModelError(f"a GFPGANv1Clean of {levels} sizes")
        encoder = [tensors.shape("conv_body_first.weight", 4)[0]]
        for level in range(levels):
            encoder.insert(0, tensors.shape(f"conv_body_down.{level}.conv2.weight", 4)[0])
        decoder = [tensors.shape(f"{_DECODER}constant_input.weight", 4)[1]]
        for level in range(levels):
            name = f"{_DECODER}style_convs.{2 * level}.modulated_conv.weight"
            decoder.append(tensors.shape(name, 5)[1])
        latent = tensors.shape(f"{_DECODER}to_rgb1.modulated_conv.modulation.weight", 2)[1]
        return _Sizes(encoder, decoder, latent)


def _mapping_layers(tensors: Tensors) -> int:
    layers = 0
    while f"{_DECODER}style_mlp.{2 * layers + 1}.weight" in tensors:
        layers += 1
    return layers


class _Builder(Builder):
    """With the layers of this architecture."""

    def __init__(self, tensors: Tensors, *, fp16: bool) -> None:
        super().__init__(tensors)
        self._fp16 = fp16
        self._rows: dict[str, tuple[Array, Array]] = {}

    def stored(self, weight: Array) -> Array:
        """The values that the file holds, of which all further ones are computed."""
        return weight.astype(np.float16).astype(np.float32) if self._fp16 else weight

    def kernel(
        self,
        source: str,
        kernel: Array,
        bias: Array | None,
        side: int,
        slope: float = 0.0,
    ) -> str:
        """Add a convolution that keeps the size, and a LeakyReLU if it has a slope."""
        outputs, _, width, _ = kernel.shape
        params: dict[int, ParamValue] = {
            0: outputs, 1: width, 4: width // 2, 5: int(bias is not None), 6: kernel.size,
        }  # fmt: skip
        if slope:
            params |= {9: _LEAKY_RELU, 10: (slope,)}
        if width > 1 and side <= _SIDE_WITHOUT_WINOGRAD:
            params[_MASK] = _NO_WINOGRAD
        made = self.add("Convolution", [source], params)
        self.weights[self.last] = LayerWeights(np.ascontiguousarray(kernel), bias, self._fp16)
        return made

    def convolution(
        self, source: str, name: str, shape: tuple[int, int, int], side: int, slope: float = 0.0
    ) -> str:
        """Add the convolution of a name; `shape`: inputs, outputs, the kernel's width."""
        inputs, outputs, width = shape
        kernel = self.stored(self.tensors.take(f"{name}.weight", outputs, inputs, width, width))
        return self.kernel(source, kernel, self.tensors.take(f"{name}.bias", outputs), side, slope)

    def resize(self, source: str, factor: float) -> str:
        """Add a bilinear resizing."""
        return self.add("Interp", [source], {0: _BILINEAR, 1: float(factor), 2: float(factor)})

    def constant(self, values: Array) -> str:
        """Add a constant of shape [channels, height, width]."""
        channels, height, width = values.shape
        made = self.add("MemoryData", [], {0: width, 1: height, 2: channels, 21: 1})
        self.weights[self.last] = LayerWeights(values)
        return made

    def linear(self, source: str, weight: Array, bias: Array, *, fp16: bool) -> str:
        """Add a matrix [out, in] and a bias."""
        params: dict[int, ParamValue] = {0: weight.shape[0], 1: 1, 2: weight.size}
        made = self.add("InnerProduct", [source], params)
        self.weights[self.last] = LayerWeights(np.ascontiguousarray(weight), bias, fp16)
        return made

    def rows(self, name: str, source: str, number: int, count: int, inputs: int) -> str:
        """Add a part of a linear layer: outputs from `number` times `count` on."""
        if name not in self._rows:
            outputs = self.tensors.shape(f"{name}.bias", 1)[0]
            weight = self.tensors.take(f"{name}.weight", outputs, inputs)
            self._rows[name] = weight, self.tensors.take(f"{name}.bias", outputs)
        weight, bias = (each[number * count : (number + 1) * count] for each in self._rows[name])
        if len(weight) != count:
            raise ModelError(f"{name} has too few outputs; it must give a vector to each layer")
        return self.linear(source, self.stored(weight), bias, fp16=self._fp16)

    def rows_end(self, name: str) -> None:
        """Refuse a layer of which rows are left over."""
        del self._rows[name]

    def style_convolution(  # noqa: PLR0917 - read like a layer's line
        self,
        source: str,
        name: str,
        latent: str,
        inputs: int,
        outputs: int,
        noise: int,
        side: int,
        *,
        enlarge: bool = False,
    ) -> str:
        """Add a modulated convolution, noise, a bias and a LeakyReLU.

        Args:
            source: Its input.
            name: Of the layer.
            latent: The latent vector.
            inputs: Channels.
            outputs: Channels.
            noise: The number of its noise.
            side: Of the result in pixels.
            enlarge: Whether the input is enlarged to twice the size before.
        """
        name = f"{_DECODER}{name}"
        kernel = self._modulated_kernel(name, inputs, outputs, 3)
        scales = self._scales(name, latent, inputs)
        # The published code multiplies the result by sqrt(2).
        squares = (kernel.astype(np.float64) ** 2).sum(axis=(2, 3)) / 2
        squared = self.add("UnaryOp", [scales], {0: _SQUARE})
        sums = self.linear(
            squared,
            squares.astype(np.float32),
            np.full(outputs, _EPSILON / 2, np.float32),
            fp16=False,
        )
        factors = self.add("UnaryOp", [sums], {0: _RSQRT})
        made = self._scaled(source, scales, inputs)
        if enlarge:
            made = self.enlarged_kernel(made, kernel, None, side)
        else:
            made = self.kernel(made, kernel, None, side)
        made = self._scaled(made, factors, outputs)
        strength = self.tensors.take(f"{name}.weight", 1)
        values = self.tensors.take(f"{_DECODER}noises.noise{noise}", 1, 1, side, side)[0]
        made = self.add("BinaryOp", [made, self.constant(values * strength)], {0: _ADD})
        bias = self.tensors.take(f"{name}.bias", 1, outputs, 1, 1)[0]
        made = self.add("BinaryOp", [made, self.constant(bias)], {0: _ADD})
        return self.add("ReLU", [made], {0: _SLOPE})

    def colours(self, source: str, name: str, latent: str, inputs: int, *, last: bool) -> str:
        """Add the layer that draws three colours, in halves; the last one moves them to 0..1."""
        name = f"{_DECODER}{name}"
        kernel = self._modulated_kernel(name, inputs, 3, 1)
        scales = self._scales(name, latent, inputs)
        half = np.float32(0.5)
        bias = half * self.tensors.take(f"{name}.bias", 1, 3, 1, 1).reshape(3)
        scaled = self._scaled(source, scales, inputs)
        return self.kernel(scaled, half * kernel, bias + half if last else bias, 1)

    def enlarged_kernel(
        self, source: str, kernel: Array, bias: Array | None, side: int, slope: float = 0.0
    ) -> str:
        """Add a convolution of the enlarged input, the sum of several where that is large."""
        count = -(-kernel.shape[1] * side**2 // _MOST_VALUES)
        if count == 1:
            return self.kernel(self.resize(source, 2), kernel, bias, side, slope)
        sources = self.sliced(source, count)
        parts = np.split(kernel, count, axis=1)
        made = self.kernel(self.resize(sources[0], 2), parts[0], bias, side)
        for part, weights in zip(sources[1:], parts[1:], strict=True):
            other = self.kernel(self.resize(part, 2), weights, None, side)
            made = self.add("BinaryOp", [made, other], {0: _ADD})
        return self.add("ReLU", [made], {0: slope}) if slope else made

    def sliced(self, source: str, count: int = 2) -> list[str]:
        """Add a division into parts of equally many channels."""
        first = self.add("Slice", [source], {0: (_REST,) * count}, outputs=count)
        return [first, *(f"{first}_{number}" for number in range(1, count))]

    def _modulated_kernel(self, name: str, inputs: int, outputs: int, width: int) -> Array:
        shape = (1, outputs, inputs, width, width)
        return self.stored(self.tensors.take(f"{name}.modulated_conv.weight", *shape)[0])

    def _scales(self, name: str, latent: str, inputs: int) -> str:
        name = f"{name}.modulated_conv.modulation"
        length = self.tensors.shape(f"{name}.weight", 2)[1]
        weight = self.stored(self.tensors.take(f"{name}.weight", inputs, length))
        bias = self.tensors.take(f"{name}.bias", inputs)
        return self.linear(latent, weight, bias, fp16=self._fp16)

    def _scaled(self, source: str, factors: str, channels: int) -> str:
        shaped = self.add("Reshape", [factors], {0: 1, 1: 1, 2: channels})
        return self.add("BinaryOp", [source, shaped], {0: _MULTIPLY})


class _Encoder:
    """The U-Net; its second half is added size by size, when the generator needs it."""

    def __init__(self, to: _Builder, sizes: _Sizes) -> None:
        self._to = to
        self._sizes = sizes
        side, channels = 4 << sizes.levels, sizes.encoder[-1]
        kernel = to.stored(to.tensors.take("conv_body_first.weight", channels, 3, 1, 1))
        bias = to.tensors.take("conv_body_first.bias", channels) - kernel.sum(axis=(1, 2, 3))
        made = to.kernel("data", 2 * kernel, bias, side, _SLOPE)
        self._skips: list[str] = []
        for number in range(sizes.levels):
            level = sizes.levels - number
            before, after = sizes.encoder[level], sizes.encoder[level - 1]
            made = self._block(made, f"conv_body_down.{number}", before, after, 4 << level, 0.5)
            self._skips.insert(0, made)
        smallest = sizes.encoder[0]
        self._made = to.convolution(made, "final_conv", (smallest, smallest, 3), 4, _SLOPE)
        self.code = to.add("Flatten", [self._made], {})

    def modulate(self, drawn: str, level: int, channels: int, side: int) -> str:
        """Scale and shift the second half of the generator's channels."""
        to, sizes = self._to, self._sizes
        before, after = sizes.encoder[level - 1], sizes.encoder[level]
        kept, moved = to.sliced(drawn)
        joined = to.add("BinaryOp", [self._made, self._skips[level - 1]], {0: _ADD})
        self._made = self._block(joined, f"conv_body_up.{level - 1}", before, after, side, 2)
        to.tensors.take(f"toRGB.{level - 1}.weight", 3, after, 1, 1)  # for the training's losses
        to.tensors.take(f"toRGB.{level - 1}.bias", 3)
        scale = self._condition(
            f"condition_scale.{level - 1}", after, channels - channels // 2, side
        )
        moved = to.add("BinaryOp", [moved, scale], {0: _MULTIPLY})
        shift = self._condition(
            f"condition_shift.{level - 1}", after, channels - channels // 2, side
        )
        moved = to.add("BinaryOp", [moved, shift], {0: _ADD})
        return to.add("Concat", [kept, moved], {0: 0})

    def _condition(self, name: str, channels: int, outputs: int, side: int) -> str:
        made = self._to.convolution(self._made, f"{name}.0", (channels, channels, 3), side, _SLOPE)
        return self._to.convolution(made, f"{name}.2", (channels, outputs, 3), side)

    def _block(  # noqa: PLR0917 - read like a layer's line
        self, source: str, name: str, before: int, after: int, side: int, factor: float
    ) -> str:
        """A residual block that resizes; `side` is the larger one of its input and result."""
        to = self._to
        wide, narrow = (side, side // 2) if factor < 1 else (side // 2, side)
        made = to.convolution(source, f"{name}.conv1", (before, before, 3), wide, _SLOPE)
        if factor < 1:
            made = to.resize(made, factor)
            made = to.convolution(made, f"{name}.conv2", (before, after, 3), narrow, _SLOPE)
        else:
            second = to.stored(to.tensors.take(f"{name}.conv2.weight", after, before, 3, 3))
            bias = to.tensors.take(f"{name}.conv2.bias", after)
            made = to.enlarged_kernel(made, second, bias, narrow, _SLOPE)
        kernel = to.stored(to.tensors.take(f"{name}.skip.weight", after, before, 1, 1))
        if factor < 1:
            skip = to.kernel(to.resize(source, factor), kernel, None, narrow)
        else:
            skip = to.resize(to.kernel(source, kernel, None, wide), factor)
        return to.add("BinaryOp", [made, skip], {0: _ADD})
