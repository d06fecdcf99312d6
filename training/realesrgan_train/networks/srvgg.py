"""SRVGGNetCompact, the small generator of Real-ESRGAN's general and video models."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

ACTIVATIONS = ("relu", "prelu", "leakyrelu")


def _activation(act_type: str, num_feat: int) -> nn.Module:
    if act_type == "relu":
        return nn.ReLU(inplace=True)
    if act_type == "prelu":
        return nn.PReLU(num_parameters=num_feat)
    if act_type == "leakyrelu":
        return nn.LeakyReLU(negative_slope=0.1, inplace=True)
    raise ValueError(
        f"SRVGGNetCompact: act_type must be one of {', '.join(ACTIVATIONS)}, not {act_type!r}"
    )


class SRVGGNetCompact(nn.Module):
    """Plain convolutions at low resolution, a pixel-shuffle, and the enlarged input added.

    Args:
        num_in_ch: Channels of the input picture.
        num_out_ch: Channels of the output picture; equal to num_in_ch, or num_in_ch is 1 (the
            enlarged input is added to the output).
        num_feat: Channels between the convolutions.
        num_conv: Convolutions between the first and the last one (16 and 32 in the public models).
        upscale: Factor, any positive integer.
        act_type: "relu", "prelu" or "leakyrelu" (slope 0.1).

    Raises:
        ValueError: For an unknown act_type.
    """

    def __init__(  # noqa: PLR0917 - the argument order of the public checkpoints' code
        self,
        num_in_ch: int = 3,
        num_out_ch: int = 3,
        num_feat: int = 64,
        num_conv: int = 16,
        upscale: int = 4,
        act_type: str = "prelu",
    ) -> None:
        super().__init__()
        self.upscale = upscale
        self.act_type = act_type
        layers: list[nn.Module] = [nn.Conv2d(num_in_ch, num_feat, 3, padding=1)]
        for _ in range(num_conv):
            layers += [_activation(act_type, num_feat), nn.Conv2d(num_feat, num_feat, 3, padding=1)]
        layers += [
            _activation(act_type, num_feat),
            nn.Conv2d(num_feat, num_out_ch * upscale**2, 3, padding=1),
        ]
        self.body = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge [B, num_in_ch, H, W], 0..1, to [B, num_out_ch, upscale * H, upscale * W].

        The result is not clamped.
        """
        residual = functional.pixel_shuffle(self.body(x), self.upscale)
        return residual + functional.interpolate(x, scale_factor=self.upscale, mode="nearest")
