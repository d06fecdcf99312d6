"""The U-Net discriminator of Real-ESRGAN: one verdict a pixel, spectrally normalised."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import spectral_norm


def _normalised(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding=1, bias=False)
    return spectral_norm(conv)


def _double(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class UNetDiscriminatorSN(nn.Module):
    """Tell real pictures from generated ones, pixel by pixel.

    Spectral norm (Miyato et al., 2018) on every convolution but the first and the last. The hook
    form of spectral norm is used because its names (`weight_orig`, `weight_u`, `weight_v`) are
    those of the public checkpoints.

    Args:
        num_in_ch: Channels of the picture.
        num_feat: Channels of the first convolution.
        skip_connection: Whether encoder features are added to the decoder's.
    """

    def __init__(
        self, num_in_ch: int = 3, num_feat: int = 64, skip_connection: bool = True
    ) -> None:
        super().__init__()
        self.skip_connection = skip_connection
        self.conv0 = nn.Conv2d(num_in_ch, num_feat, 3, padding=1)
        self.conv1 = _normalised(num_feat, num_feat * 2, 4, 2)
        self.conv2 = _normalised(num_feat * 2, num_feat * 4, 4, 2)
        self.conv3 = _normalised(num_feat * 4, num_feat * 8, 4, 2)
        self.conv4 = _normalised(num_feat * 8, num_feat * 4, 3)
        self.conv5 = _normalised(num_feat * 4, num_feat * 2, 3)
        self.conv6 = _normalised(num_feat * 2, num_feat, 3)
        self.conv7 = _normalised(num_feat, num_feat, 3)
        self.conv8 = _normalised(num_feat, num_feat, 3)
        self.conv9 = nn.Conv2d(num_feat, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, 1, H, W] of [B, num_in_ch, H, W], H and W divisible by 8; positive: real."""
        encoded = [functional.leaky_relu(self.conv0(x), 0.2)]
        for down in (self.conv1, self.conv2, self.conv3):
            encoded.append(functional.leaky_relu(down(encoded[-1]), 0.2))
        out = encoded.pop()
        for up in (self.conv4, self.conv5, self.conv6):
            out = functional.leaky_relu(up(_double(out)), 0.2)
            skip = encoded.pop()
            if self.skip_connection:
                out = out + skip
        out = functional.leaky_relu(self.conv7(out), 0.2)
        out = functional.leaky_relu(self.conv8(out), 0.2)
        logits: Tensor = self.conv9(out)
        return logits
