"""Adversarial losses on a discriminator's logits."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

GANKind = Literal["vanilla", "lsgan", "hinge", "relativistic"]


class GANLoss(nn.Module):
    """The generator's and the discriminator's side of one adversarial loss.

    - "vanilla": logistic loss on the logits (Goodfellow et al., 2014, non-saturating generator).
    - "lsgan": squared distance of the logits to 1 and 0 (Mao et al., 2017).
    - "hinge": max(0, 1 -/+ logit) for the discriminator, -logit for the generator
      (Lim and Ye, 2017).
    - "relativistic": logistic loss on the logits less the mean logit of the other side, averaged
      over both sides (Jolicoeur-Martineau, 2018, RaGAN; used by ESRGAN).

    Args:
        kind: Which loss.
        weight: Factor on the generator's loss. The discriminator's is never weighted: with Adam a
            weight on a lone loss would change nothing but the meaning of epsilon.

    Raises:
        ValueError: For an unknown kind.
    """

    def __init__(self, kind: GANKind = "vanilla", weight: float = 0.1) -> None:
        super().__init__()
        if kind not in get_args(GANKind):
            raise ValueError(
                f"GANLoss: kind must be one of {', '.join(get_args(GANKind))}, not {kind!r}"
            )
        self.kind = kind
        self.weight = weight

    @property
    def needs_real_for_generator(self) -> bool:
        """Whether `generator` must be given the discriminator's logits of real pictures."""
        return self.kind == "relativistic"

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """Loss of the generator, a scalar, from logits of any shape.

        Those of real pictures are detached, and only the relativistic loss uses them.

        Raises:
            ValueError: If the loss is relativistic and `real` is missing.
        """
        if self.kind == "hinge":
            return -self.weight * fake.mean()
        if self.kind != "relativistic":
            return self.weight * self._distance(fake, is_real=True)
        if real is None:
            raise ValueError("GANLoss: the relativistic generator loss needs the real logits, too")
        lifted = self._distance(fake - real.mean(), is_real=True)
        sunk = self._distance(real - fake.mean(), is_real=False)
        return self.weight * (lifted + sunk) / 2

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Loss of the discriminator, a scalar: the sum of its real and its fake half."""
        if self.kind == "hinge":
            return functional.relu(1 - real).mean() + functional.relu(1 + fake).mean()
        if self.kind == "relativistic":
            lifted = self._distance(real - fake.mean(), is_real=True)
            sunk = self._distance(fake - real.mean(), is_real=False)
            return (lifted + sunk) / 2
        return self._distance(real, is_real=True) + self._distance(fake, is_real=False)

    def _distance(self, logits: Tensor, *, is_real: bool) -> Tensor:
        target = torch.ones_like(logits) if is_real else torch.zeros_like(logits)
        if self.kind == "lsgan":
            return functional.mse_loss(logits, target)
        return functional.binary_cross_entropy_with_logits(logits, target)
