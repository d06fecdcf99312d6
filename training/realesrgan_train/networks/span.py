"""SPAN, the Swift Parameter-free Attention Network (Wan et al., CVPR workshops 2024)."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

RGB_MEAN = (0.4488, 0.4371, 0.4040)
"""Of DIV2K's pictures; published networks take it off."""
IMG_RANGE = 255.0
GAIN = 2
"""Inner channels of a `Conv3XC` over its outer ones."""
BLOCKS = 6


class Conv3XC(nn.Module):
    """A 3x3 convolution with padding 1, trained as 1x1, 3x3, 1x1 with a 1x1 one beside them.

    All of it is linear, so one 3x3 kernel computes the same; it is what runs in evaluation mode.
    `eval_conv` holds that kernel under the name that published files have it by: it follows from
    the other tensors, and is written from them.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.sk = nn.Conv2d(inputs, outputs, 1)
        self.conv = nn.Sequential(
            nn.Conv2d(inputs, inputs * GAIN, 1),
            nn.Conv2d(inputs * GAIN, outputs * GAIN, 3),
            nn.Conv2d(outputs * GAIN, outputs, 1),
        )
        self.eval_conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.eval_conv.requires_grad_(requires_grad=False)

    def fused(self) -> tuple[Tensor, Tensor]:
        """Return kernel [outputs, inputs, 3, 3] and bias [outputs] of the one convolution."""
        tensors = dict(self.named_parameters())
        widen, narrow = (tensors[f"conv.{i}.weight"][:, :, 0, 0] for i in (0, 2))
        middle = tensors["conv.1.weight"]
        kernel = torch.einsum("om,mnyx,ni->oiyx", narrow, middle, widen)
        kernel = kernel + functional.pad(self.sk.weight, (1, 1, 1, 1))
        bias = middle.sum((2, 3)) @ tensors["conv.0.bias"] + tensors["conv.1.bias"]
        return kernel, narrow @ bias + tensors["conv.2.bias"] + tensors["sk.bias"]

    def plain(self) -> nn.Conv2d:
        """Return the one convolution, without gradients."""
        with torch.no_grad():
            kernel, bias = self.fused()
            conv = nn.Conv2d(kernel.shape[1], kernel.shape[0], 3, padding=1)
            conv = conv.to(kernel.device, kernel.dtype)
            conv.weight.copy_(kernel)
            assert conv.bias is not None
            conv.bias.copy_(bias)
        return conv.requires_grad_(requires_grad=False)

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        self.eval_conv.load_state_dict(self.plain().state_dict())
        super()._save_to_state_dict(destination, prefix, keep_vars)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, inputs, H, W] to [B, outputs, H, W]."""
        if self.training:
            # The 1x1 convolution's bias is a part of what lies around the picture, too.
            out: Tensor = self.conv(functional.pad(x, (1, 1, 1, 1))) + self.sk(x)
            return out
        kernel, bias = self.fused()
        return functional.conv2d(x, kernel, bias, padding=1)


class SPAB(nn.Module):
    """Three convolutions; the last one's result is the attention map that it is weighted by."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.c1_r = Conv3XC(features, features)
        self.c2_r = Conv3XC(features, features)
        self.c3_r = Conv3XC(features, features)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the block's result and its first activated features, all [B, features, H, W]."""
        first = functional.silu(self.c1_r(x))
        last: Tensor = self.c3_r(functional.silu(self.c2_r(first)))
        return (last + x) * (torch.sigmoid(last) - 0.5), first


class SPAN(nn.Module):
    """Enlarge pictures by a whole factor.

    Args:
        num_in_ch: Channels of the input picture; 3 with `norm`.
        num_out_ch: Channels of the output picture.
        feature_channels: Channels of the body: 48 or 52 in the published networks.
        upscale: Factor, any positive integer.
        norm: Whether the picture becomes (x - RGB_MEAN) * IMG_RANGE first. Files of networks
            without it have a tensor `no_norm`.

    Raises:
        ValueError: For `norm` with other than 3 channels.
    """

    def __init__(
        self,
        num_in_ch: int = 3,
        num_out_ch: int = 3,
        feature_channels: int = 48,
        upscale: int = 4,
        *,
        norm: bool = True,
    ) -> None:
        super().__init__()
        if norm and num_in_ch != len(RGB_MEAN):
            raise ValueError(f"SPAN: norm is of {len(RGB_MEAN)} channels, not {num_in_ch}")
        self.upscale = upscale
        self.norm = norm
        if not norm:
            self.register_buffer("no_norm", torch.zeros(1))
        self.conv_1: nn.Module = Conv3XC(num_in_ch, feature_channels)
        for i in range(1, BLOCKS + 1):
            setattr(self, f"block_{i}", SPAB(feature_channels))
        self.conv_cat = nn.Conv2d(4 * feature_channels, feature_channels, 1)
        self.conv_2: nn.Module = Conv3XC(feature_channels, feature_channels)
        self.upsampler = nn.Sequential(
            nn.Conv2d(feature_channels, num_out_ch * upscale**2, 3, padding=1),
            nn.PixelShuffle(upscale),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge [B, num_in_ch, H, W], 0..1, to [B, num_out_ch, upscale * H, upscale * W].

        The result is not clamped.
        """
        if self.norm:
            mean = torch.tensor(RGB_MEAN, dtype=x.dtype, device=x.device).view(1, -1, 1, 1)
            x = (x - mean) * IMG_RANGE
        first = features = inner = self.conv_1(x)
        blocks: list[Tensor] = []
        for i in range(1, BLOCKS + 1):
            features, inner = getattr(self, f"block_{i}")(features)
            blocks.append(features)
        joined = torch.cat([first, self.conv_2(features), blocks[0], inner], dim=1)
        out: Tensor = self.upsampler(self.conv_cat(joined))
        return out


def deployed(network: SPAN) -> SPAN:
    """Return a copy in evaluation mode whose every `Conv3XC` is one plain convolution."""
    network = copy.deepcopy(network).eval()
    parents = [module for module in network.modules() if not isinstance(module, Conv3XC)]
    for parent in parents:
        for name, child in list(parent.named_children()):
            if isinstance(child, Conv3XC):
                setattr(parent, name, child.plain())
    return network
