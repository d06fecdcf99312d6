"""Networks under the argument and parameter names of the public checkpoints."""

from realesrgan_train.networks.gfpgan import GFPGANv1Clean
from realesrgan_train.networks.rrdbnet import RRDBNet
from realesrgan_train.networks.span import SPAN
from realesrgan_train.networks.srvgg import SRVGGNetCompact
from realesrgan_train.networks.unet_discriminator import UNetDiscriminatorSN

__all__ = ["SPAN", "GFPGANv1Clean", "RRDBNet", "SRVGGNetCompact", "UNetDiscriminatorSN"]
