"""Networks in the form that inference needs: pixel-unshuffle folded, and what pnnx cannot convert.

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

_PICTURE_CHANNELS = 3
_SHUFFLES = 8
"""Results of which GPS ("geometric ensemble pixel shuffle") takes the mean."""


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

    An `RRDBNet`'s needs no pixel-unshuffle, a `SPAN`'s has plain convolutions, spandrel's PLKSR,
    RealPLKSR and MoSR have only operators that ncnn has.
    """
    if isinstance(network, SPAN):
        return deployed(network)
    network = copy.deepcopy(network)
    if not isinstance(network, RRDBNet):
        return _converted(network)
    if network.unshuffle == 1:
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


def _converted(network: nn.Module) -> nn.Module:
    """Change what spandrel's networks have and ncnn lacks, in place, by the classes' names.

    - PLKSR and RealPLKSR add the picture, each channel repeated: a 1x1 convolution with fixed
      weights instead.
    - Their partial convolution writes into its input when it is evaluated; as in training, it
      splits and joins instead.
    - MoSR's GPS takes the mean of eight results of one convolution: one with the mean weights
      instead.
    """
    if not type(network).__module__.startswith("spandrel."):
        return network
    if type(network).__name__ in ("PLKSR", "RealPLKSR"):
        features = network.get_submodule("feats")
        assert isinstance(features, nn.Sequential)
        last = features[-1]
        assert isinstance(last, nn.Conv2d)
        network.repeat_op = _repeating(_PICTURE_CHANNELS, last.out_channels)
    for parent in list(network.modules()):
        if type(parent).__name__ == "PLKConv2d":
            parent.training = True
        for name, module in parent.named_children():
            if type(module).__name__ == "GPS":
                setattr(parent, name, _single_shuffle(module))
    return network


def _repeating(channels: int, outputs: int) -> nn.Conv2d:
    """Return the convolution that repeats each channel `outputs / channels` times."""
    conv = nn.Conv2d(channels, outputs, 1, bias=False)
    with torch.no_grad():
        conv.weight.copy_(
            torch.eye(channels).repeat_interleave(outputs // channels, 0)[..., None, None]
        )
    return conv


def _single_shuffle(shuffle: nn.Module) -> nn.Sequential:
    """Return GPS, whose eight results are those of one convolution each, with their mean's."""
    many, pixels = shuffle.in_to_k, shuffle.ps
    assert isinstance(many, nn.Conv2d)
    assert isinstance(pixels, nn.PixelShuffle)
    assert many.bias is not None
    outputs = many.out_channels // _SHUFFLES
    side = many.weight.shape[-1]
    one = nn.Conv2d(many.in_channels, outputs, side, padding=side // 2)
    assert one.bias is not None
    with torch.no_grad():
        one.weight.copy_(many.weight.reshape(_SHUFFLES, *one.weight.shape).mean(0))
        one.bias.copy_(many.bias.reshape(_SHUFFLES, outputs).mean(0))
    return nn.Sequential(one, pixels)
