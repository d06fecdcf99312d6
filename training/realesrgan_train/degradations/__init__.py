"""The degradation recipe: from a sharp picture to a plausible low-resolution one.

`Degrader` runs all of it; each stage is a function of its own, on whole batches, on any device.
"""

from realesrgan_train.config.degradation import KERNEL_FAMILIES, DegradationConfig
from realesrgan_train.degradations.blur import filter2d
from realesrgan_train.degradations.degrader import Degrader
from realesrgan_train.degradations.draw import draw
from realesrgan_train.degradations.drawn import DrawnParameters
from realesrgan_train.degradations.jpeg import jpeg
from realesrgan_train.degradations.kernels import gaussian_family_kernels, sinc_kernels
from realesrgan_train.degradations.noise import gaussian_noise, poisson_noise
from realesrgan_train.degradations.pair_pool import PairPool
from realesrgan_train.degradations.patch import DegradedBatch, crop_patches
from realesrgan_train.degradations.recipe import degrade
from realesrgan_train.degradations.resize import RESIZE_MODES, resize
from realesrgan_train.degradations.usm import usm_sharpen

__all__ = [
    "KERNEL_FAMILIES",
    "RESIZE_MODES",
    "DegradationConfig",
    "DegradedBatch",
    "Degrader",
    "DrawnParameters",
    "PairPool",
    "crop_patches",
    "degrade",
    "draw",
    "filter2d",
    "gaussian_family_kernels",
    "gaussian_noise",
    "jpeg",
    "poisson_noise",
    "resize",
    "sinc_kernels",
    "usm_sharpen",
]
