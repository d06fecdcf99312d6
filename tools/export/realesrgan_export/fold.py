"""Pixel-unshuffle folded into the convolution that follows it, and out of it again.

Unshuffling by r and convolving with a 3x3 kernel (padding 1) reads every picture sample in the same
place as one convolution with a kernel of 3r, stride r and padding r. ncnn's name for the unshuffle,
`Reorg`, is missing from common builds; the convolution is not.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from realesrgan_train.networks import SPAN, RRDBNet
from realesrgan_train.networks.span import deployed


def fold_kernel(weight: Tensor, factor: int) -> Tensor:
    """Turn the kernel that follows a pixel-unshuffle into one that reads the picture itself.

    From [out, in * factor**2, height, width] to [out, in, factor * height, factor * width]. Channel
    c * factor**2 + i * factor + j of the unshuffled picture holds row i and column j of each cell
    of channel c (PyTorch's order).
    """
    outputs, inputs, height, width = weight.shape
    cells = weight.reshape(outputs, inputs // factor**2, factor, factor, height, width)
    return cells.permute(0, 1, 4, 2, 5, 3).reshape(
        outputs, inputs // factor**2, height * factor, width * factor
    )


def unfold_kernel(weight: Tensor, factor: int) -> Tensor:
    """Undo `fold_kernel`."""
    outputs, inputs, height, width = weight.shape
    cells = weight.reshape(outputs, inputs, height // factor, factor, width // factor, factor)
    return cells.permute(0, 1, 3, 5, 2, 4).reshape(
        outputs, inputs * factor**2, height // factor, width // factor
    )


def folded(network: nn.Module) -> nn.Module:
    """Return a copy of any network.

    An `RRDBNet`'s needs no pixel-unshuffle, a `SPAN`'s has plain convolutions.
    """
    if isinstance(network, SPAN):
        return deployed(network)
    network = copy.deepcopy(network)
    if not isinstance(network, RRDBNet) or network.unshuffle == 1:
        return network
    factor, first = network.unshuffle, network.conv_first
    kernel = fold_kernel(first.weight.detach(), factor)
    conv = nn.Conv2d(
        kernel.shape[1], kernel.shape[0], 3 * factor, stride=factor, padding=factor
    ).to(kernel.dtype)
    with torch.no_grad():
        conv.weight.copy_(kernel)
        if conv.bias is not None and first.bias is not None:
            conv.bias.copy_(first.bias)
    network.conv_first = conv
    network.unshuffle = 1
    return network.eval()
