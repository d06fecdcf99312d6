"""RRDBNet, the generator of ESRGAN (Wang et al., ECCV workshops 2018) and Real-ESRGAN (2021)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

UNSHUFFLE_OF_SCALE = {1: 4, 2: 2, 4: 1}
"""Pixel-unshuffle factor before the first convolution: the body always works at a quarter of x4."""


class ResidualDenseBlock(nn.Module):
    """Five 3x3 convolutions, each fed with everything before it, and a 0.2-weighted residual."""

    def __init__(self, num_feat: int, num_grow_ch: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(num_feat, num_grow_ch, 3, padding=1)
        self.conv2 = nn.Conv2d(num_feat + num_grow_ch, num_grow_ch, 3, padding=1)
        self.conv3 = nn.Conv2d(num_feat + 2 * num_grow_ch, num_grow_ch, 3, padding=1)
        self.conv4 = nn.Conv2d(num_feat + 3 * num_grow_ch, num_grow_ch, 3, padding=1)
        self.conv5 = nn.Conv2d(num_feat + 4 * num_grow_ch, num_feat, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, num_feat, H, W] to the same shape."""
        dense = x
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            dense = torch.cat((dense, functional.leaky_relu(conv(dense), 0.2)), dim=1)
        residual: Tensor = self.conv5(dense)
        return x + 0.2 * residual


class RRDB(nn.Module):
    """Residual in residual: three dense blocks and another 0.2-weighted residual."""

    def __init__(self, num_feat: int, num_grow_ch: int) -> None:
        super().__init__()
        self.rdb1 = ResidualDenseBlock(num_feat, num_grow_ch)
        self.rdb2 = ResidualDenseBlock(num_feat, num_grow_ch)
        self.rdb3 = ResidualDenseBlock(num_feat, num_grow_ch)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, num_feat, H, W] to the same shape."""
        residual: Tensor = self.rdb3(self.rdb2(self.rdb1(x)))
        return x + 0.2 * residual


class RRDBNet(nn.Module):
    """Enlarge pictures by 1, 2 or 4.

    Args:
        num_in_ch: Channels of the input picture.
        num_out_ch: Channels of the output picture.
        scale: 1, 2 or 4. The body is the same for all three; x2 and x1 first fold the picture by
            pixel-unshuffle (2 and 4), so they cost a quarter and a sixteenth per input pixel.
        num_feat: Channels of the body.
        num_block: Number of RRDBs.
        num_grow_ch: Channels each convolution of a dense block adds.

    Raises:
        ValueError: For a scale other than 1, 2 and 4.
    """

    def __init__(  # noqa: PLR0917 - the argument order of the public checkpoints' code
        self,
        num_in_ch: int = 3,
        num_out_ch: int = 3,
        scale: int = 4,
        num_feat: int = 64,
        num_block: int = 23,
        num_grow_ch: int = 32,
    ) -> None:
        super().__init__()
        if scale not in UNSHUFFLE_OF_SCALE:
            raise ValueError(f"RRDBNet: scale must be 1, 2 or 4, not {scale}")
        self.scale = scale
        self.unshuffle = UNSHUFFLE_OF_SCALE[scale]
        self.conv_first = nn.Conv2d(num_in_ch * self.unshuffle**2, num_feat, 3, padding=1)
        self.body = nn.Sequential(*(RRDB(num_feat, num_grow_ch) for _ in range(num_block)))
        self.conv_body = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.conv_up1 = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.conv_up2 = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.conv_hr = nn.Conv2d(num_feat, num_feat, 3, padding=1)
        self.conv_last = nn.Conv2d(num_feat, num_out_ch, 3, padding=1)
        self._init_dense_blocks()

    def _init_dense_blocks(self) -> None:
        """A tenth of Kaiming's deviation in the dense blocks (ESRGAN, section 3.1)."""
        for block in self.modules():
            if not isinstance(block, ResidualDenseBlock):
                continue
            for conv in block.children():
                assert isinstance(conv, nn.Conv2d)
                assert conv.bias is not None
                nn.init.kaiming_normal_(conv.weight)
                with torch.no_grad():
                    conv.weight.mul_(0.1)
                nn.init.zeros_(conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge [B, num_in_ch, H, W], 0..1, to [B, num_out_ch, scale * H, scale * W], unclamped.

        H and W must be divisible by the unshuffle factor (2 for x2, 4 for x1).
        """
        if self.unshuffle > 1:
            x = functional.pixel_unshuffle(x, self.unshuffle)
        features = self.conv_first(x)
        features = features + self.conv_body(self.body(features))
        for conv in (self.conv_up1, self.conv_up2):
            features = functional.interpolate(features, scale_factor=2, mode="nearest")
            features = functional.leaky_relu(conv(features), 0.2)
        out: Tensor = self.conv_last(functional.leaky_relu(self.conv_hr(features), 0.2))
        return out
