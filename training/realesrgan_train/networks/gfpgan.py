"""GFPGANv1Clean, which restores faces (Wang et al., CVPR 2021), under its checkpoints' names.

The variant of GFPGAN 1.2 to 1.4: a U-Net whose features scale and shift half of the channels of a
StyleGAN2 generator (Karras et al., CVPR 2020), without custom operators. For inference; the noise
of the generator is the constant that the checkpoint holds.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

_SLOPE = 0.2
_EPSILON = 1e-8


def _resized(x: Tensor, factor: float) -> Tensor:
    return functional.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


class ResizingBlock(nn.Module):
    """A residual block that halves or doubles the size."""

    def __init__(self, inputs: int, outputs: int, factor: float) -> None:
        super().__init__()
        self.factor = factor
        self.conv1 = nn.Conv2d(inputs, inputs, 3, padding=1)
        self.conv2 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.skip = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, inputs, H, W] to [B, outputs, factor * H, factor * W]."""
        made = functional.leaky_relu(self.conv1(x), _SLOPE)
        made = functional.leaky_relu(self.conv2(_resized(made, self.factor)), _SLOPE)
        skip: Tensor = self.skip(_resized(x, self.factor))
        return made + skip


class ModulatedConv2d(nn.Module):
    """A convolution whose weights a latent vector scales (StyleGAN2, section 2.2).

    Args:
        inputs: Channels.
        outputs: Channels.
        kernel: Width and height of the kernel.
        latent: Length of the latent vector.
        demodulate: Whether each output channel's weights are brought to a norm of 1.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, latent: int, *, demodulate: bool
    ) -> None:
        super().__init__()
        self.demodulate = demodulate
        self.modulation = nn.Linear(latent, inputs)
        nn.init.ones_(self.modulation.bias)
        deviation = math.sqrt(inputs * kernel**2)
        self.weight = nn.Parameter(torch.randn(1, outputs, inputs, kernel, kernel) / deviation)

    def forward(self, x: Tensor, latent: Tensor) -> Tensor:
        """Map [B, inputs, H, W] and [B, latent] to [B, outputs, H, W]."""
        scales = self.modulation(latent)
        weight = self.weight[0]
        made = functional.conv2d(x * scales[..., None, None], weight, padding=weight.shape[-1] // 2)
        if self.demodulate:
            squares = (weight**2).sum(dim=(2, 3))
            sums = functional.linear(scales**2, squares)
            made = made * torch.rsqrt(sums + _EPSILON)[..., None, None]
        return made


class StyleConv(nn.Module):
    """A modulated convolution with noise, a bias and an activation; it may double the size."""

    def __init__(self, inputs: int, outputs: int, latent: int, *, enlarge: bool) -> None:
        super().__init__()
        self.enlarge = enlarge
        self.modulated_conv = ModulatedConv2d(inputs, outputs, 3, latent, demodulate=True)
        self.weight = nn.Parameter(torch.zeros(1))
        self.bias = nn.Parameter(torch.zeros(1, outputs, 1, 1))

    def forward(self, x: Tensor, latent: Tensor, noise: Tensor) -> Tensor:
        """Map [B, inputs, H, W] to [B, outputs, H', W'], the size of the noise."""
        if self.enlarge:
            x = _resized(x, 2)
        made: Tensor = self.modulated_conv(x, latent) * math.sqrt(2)
        return functional.leaky_relu(made + self.weight * noise + self.bias, _SLOPE)


class ToRGB(nn.Module):
    """Three colours of the generator's features."""

    def __init__(self, inputs: int, latent: int) -> None:
        super().__init__()
        self.modulated_conv = ModulatedConv2d(inputs, 3, 1, latent, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))

    def forward(self, x: Tensor, latent: Tensor) -> Tensor:
        """Map [B, inputs, H, W] to [B, 3, H, W]."""
        made: Tensor = self.modulated_conv(x, latent)
        return made + self.bias


class ConstantInput(nn.Module):
    """What the generator begins with."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, channels, 4, 4))

    def forward(self, batch: int) -> Tensor:
        """Return [batch, channels, 4, 4]."""
        return self.weight.expand(batch, -1, -1, -1)


class Noises(nn.Module):
    """The constant noise of each style convolution, `noise0` to `noiseN`, of shape [1, 1, H, W]."""

    def __init__(self, levels: int) -> None:
        super().__init__()
        for number in range(2 * levels + 1):
            side = 2 ** ((number + 5) // 2)
            self.register_buffer(f"noise{number}", torch.randn(1, 1, side, side))

    def forward(self, number: int) -> Tensor:
        """Return the noise of a style convolution."""
        found: Tensor = getattr(self, f"noise{number}")
        return found


class StyleGAN2GeneratorCSFT(nn.Module):
    """The generator; conditions scale and shift the second half of its channels at each size.

    Args:
        channels: From 4 pixels a side on, doubling.
        latent: Length of a latent vector.
        num_mlp: Layers of the mapping of random vectors, which restoring does not use.
    """

    def __init__(self, channels: list[int], latent: int, num_mlp: int) -> None:
        super().__init__()
        mapping: list[nn.Module] = [nn.Identity()]
        for _ in range(num_mlp):
            mapping += [nn.Linear(latent, latent), nn.LeakyReLU(_SLOPE)]
        self.style_mlp = nn.Sequential(*mapping)
        first = channels[0]
        self.constant_input = ConstantInput(first)
        self.style_conv1 = StyleConv(first, first, latent, enlarge=False)
        self.to_rgb1 = ToRGB(first, latent)
        self.style_convs = nn.ModuleList()
        self.to_rgbs = nn.ModuleList()
        for before, after in itertools.pairwise(channels):
            self.style_convs.append(StyleConv(before, after, latent, enlarge=True))
            self.style_convs.append(StyleConv(after, after, latent, enlarge=False))
            self.to_rgbs.append(ToRGB(after, latent))
        self.noises = Noises(len(channels) - 1)

    def forward(self, latents: Tensor, conditions: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Draw [B, 3, H, W] in -1..1 from [B, N, latent] and a scale and a shift a size."""
        made = self.constant_input(latents.shape[0])
        made = self.style_conv1(made, latents[:, 0], self.noises(0))
        colours: Tensor = self.to_rgb1(made, latents[:, 1])
        for level, (scale, shift) in enumerate(conditions):
            number = 2 * level + 1
            made = self.style_convs[number - 1](made, latents[:, number], self.noises(number))
            kept, moved = made.split([made.shape[1] - scale.shape[1], scale.shape[1]], dim=1)
            made = torch.cat((kept, moved * scale + shift), dim=1)
            made = self.style_convs[number](made, latents[:, number + 1], self.noises(number + 1))
            own: Tensor = self.to_rgbs[level](made, latents[:, number + 2])
            colours = own + _resized(colours, 2)
        return colours


class GFPGANv1Clean(nn.Module):
    """Restore the faces of aligned crops.

    The defaults are those of GFPGAN 1.3 and 1.4.

    Args:
        out_size: Side of a crop in pixels, a power of 2, at least 8.
        num_style_feat: Length of a latent vector.
        channel_multiplier: Of the channels at 64 pixels and more.
        num_mlp: Layers of the generator's mapping, which restoring does not use.
        narrow: Factor of all channels.

    Raises:
        ValueError: For a size that is no power of 2, or less than 8.
    """

    def __init__(
        self,
        out_size: int = 512,
        num_style_feat: int = 512,
        channel_multiplier: int = 2,
        num_mlp: int = 8,
        narrow: float = 1,
    ) -> None:
        super().__init__()
        levels = out_size.bit_length() - 3
        if levels < 1 or out_size != 4 << levels:
            raise ValueError(f"GFPGANv1Clean: out_size must be a power of 2, not {out_size}")
        self.out_size, self.num_style_feat = out_size, num_style_feat
        widths = [512, 512, 512, 512, *(256 * channel_multiplier >> n for n in range(levels))]
        channels = [int(width * narrow * 0.5) for width in widths[: levels + 1]]
        generated = [int(width * narrow) for width in widths[: levels + 1]]
        self.conv_body_first = nn.Conv2d(3, channels[-1], 1)
        self.conv_body_down = nn.ModuleList(
            ResizingBlock(channels[level], channels[level - 1], 0.5)
            for level in range(levels, 0, -1)
        )
        self.final_conv = nn.Conv2d(channels[0], channels[0], 3, padding=1)
        self.conv_body_up = nn.ModuleList(
            ResizingBlock(channels[level - 1], channels[level], 2) for level in range(1, levels + 1)
        )
        # The training compares these colours, too.
        self.toRGB = nn.ModuleList(nn.Conv2d(width, 3, 1) for width in channels[1:])
        self.final_linear = nn.Linear(channels[0] * 16, (2 * levels + 2) * num_style_feat)
        self.stylegan_decoder = StyleGAN2GeneratorCSFT(generated, num_style_feat, num_mlp)
        self.condition_scale = nn.ModuleList(self._condition(width) for width in channels[1:])
        self.condition_shift = nn.ModuleList(self._condition(width) for width in channels[1:])

    @staticmethod
    def _condition(width: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.LeakyReLU(_SLOPE),
            nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, 3, out_size, out_size], RGB in -1..1, to the same shape, unclamped."""
        made = functional.leaky_relu(self.conv_body_first(x), _SLOPE)
        skips: list[Tensor] = []
        for block in self.conv_body_down:
            made = block(made)
            skips.insert(0, made)
        made = functional.leaky_relu(self.final_conv(made), _SLOPE)
        latents = self.final_linear(made.flatten(1)).unflatten(1, (-1, self.num_style_feat))
        conditions = []
        for level, block in enumerate(self.conv_body_up):
            made = block(made + skips[level])
            conditions.append(
                (self.condition_scale[level](made), self.condition_shift[level](made))
            )
        out: Tensor = self.stylegan_decoder(latents, conditions)
        return out
