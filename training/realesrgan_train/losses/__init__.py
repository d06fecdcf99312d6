"""The losses of the two training stages."""

from realesrgan_train.losses.gan import GANLoss
from realesrgan_train.losses.perceptual import PerceptualLoss
from realesrgan_train.losses.pixel import CharbonnierLoss, L1Loss
from realesrgan_train.losses.vgg19 import VGG19Features, fetch_vgg19, is_cached, load_vgg19

__all__ = [
    "CharbonnierLoss",
    "GANLoss",
    "L1Loss",
    "PerceptualLoss",
    "VGG19Features",
    "fetch_vgg19",
    "is_cached",
    "load_vgg19",
]
