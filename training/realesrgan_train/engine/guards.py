"""Notice a run that has gone wrong: non-finite numbers, discriminator collapse, colour drift."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from realesrgan_train.config.schema import GuardConfig

_CHANNELS = {"r": "red", "g": "green", "b": "blue", "grey": "grey"}


class Guards:
    """Judges the mean figures since the last check."""

    def __init__(self, config: GuardConfig) -> None:
        self.config = config
        self._failing: dict[str, int] = {}

    @property
    def suspicious(self) -> bool:
        """Whether a figure is out of bounds but not yet for long enough: not a state to save."""
        return bool(self._failing)

    def check(self, figures: Mapping[str, float], stage_step: int) -> str | None:
        """Say what is wrong and what to try, or None.

        Args:
            figures: Means over processes and steps since the last check.
            stage_step: Steps of this stage in which the generator has learned; below 0 while only
                the discriminator learns.
        """
        broken = [name for name, value in figures.items() if not math.isfinite(value)]
        if broken:
            return (
                f"{', '.join(sorted(broken))} became infinite or not a number. Lower the learning "
                "rate (optimizer.lr of the stage), clip gradients (execution.clip_norm=1), or use "
                "bf16 or fp32 instead of fp16 (execution.precision)"
            )
        if stage_step < self.config.warmup:
            return None
        problems = dict(self._problems(figures))
        self._failing = {name: self._failing.get(name, 0) + 1 for name in problems}
        for name, explanation in problems.items():
            if self._failing[name] >= self.config.patience:
                return explanation
        return None

    def _problems(self, figures: Mapping[str, float]) -> Iterator[tuple[str, str]]:
        """Which figures are out of bounds, and what to try."""
        loss = figures.get("discriminator_loss")
        if loss is not None:
            gap = abs(figures["discriminator_real"] - figures["discriminator_fake"])
            if loss < self.config.discriminator_loss:
                yield (
                    "won",
                    f"the discriminator tells all pictures apart: its loss is {loss:.2g}, from "
                    "which the generator learns nothing. Lower "
                    "stages.gan.discriminator_optimizer.lr, or begin a new run from a better first "
                    "stage",
                )
            elif gap < self.config.discriminator_gap:
                yield (
                    "blind",
                    f"the discriminator gives the same answer to real and generated pictures "
                    f"(difference {gap:.2g}). Lower the learning rates (optimizer.lr, "
                    "discriminator_optimizer.lr) or the GAN weight (stages.gan.gan.weight)",
                )
        drifts = {c: figures[f"colour_{c}"] for c in _CHANNELS if f"colour_{c}" in figures}
        channel = max(drifts, key=lambda c: abs(drifts[c]), default="")
        if channel and abs(drifts[channel]) > self.config.colour_drift:
            word = _CHANNELS[channel]
            side = "high" if drifts[channel] > 0 else "low"
            yield (
                "drift",
                f"colours drift: {word} is {abs(drifts[channel]) * 255:.0f}/255 too {side} on "
                "average. Lower the learning rate (optimizer.lr of the stage) or the GAN weight "
                "(stages.gan.gan.weight), or raise the pixel weight (pixel.weight of the stage)",
            )

    def reset(self) -> None:
        """Forget earlier failures, at a stage's start and after a rollback."""
        self._failing = {}

    def state_dict(self) -> dict[str, Any]:
        """Counters of failed checks."""
        return dict(self._failing)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self._failing = dict(state)
