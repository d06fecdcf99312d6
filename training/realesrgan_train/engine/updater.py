"""One network's optimiser with its rate, gradient scaling and clipping."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from realesrgan_train.config.schema import ExecutionConfig, OptimizerConfig
from realesrgan_train.errors import ConfigError


def rate_at(config: OptimizerConfig, step: int, steps: int) -> float:
    """The learning rate of a stage's step (from 0), a function of the step alone."""
    rate = config.lr
    if config.schedule == "cosine":
        progress = min(1.0, step / max(1, steps - 1))
        rate *= config.final + (1 - config.final) * (1 + math.cos(math.pi * progress)) / 2
    if step < config.warmup:
        rate *= (step + 1) / config.warmup
    return rate


def _optimizer(parameters: list[nn.Parameter], config: OptimizerConfig) -> torch.optim.Optimizer:
    options: dict[str, Any] = {
        "lr": config.lr,
        "betas": config.betas,
        "weight_decay": config.weight_decay,
    }
    if config.kind == "adam":
        return torch.optim.Adam(parameters, **options)
    if config.kind == "adamw":
        return torch.optim.AdamW(parameters, **options)
    try:
        from schedulefree import AdamWScheduleFree  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise ConfigError(
            "optimizer.kind=schedulefree needs a package that is not installed: "
            "pip install schedulefree"
        ) from error
    optimizer: torch.optim.Optimizer = AdamWScheduleFree(parameters, **options)
    for group in optimizer.param_groups:
        group["train_mode"] = True  # the parameters are y; `averaged` gives x
    return optimizer


class Updater:
    """Collects gradients of scaled losses, and applies them in each of the stage's `steps`."""

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        config: OptimizerConfig,
        execution: ExecutionConfig,
        device: torch.device,
        steps: int,
    ) -> None:
        self.parameters = list(parameters)
        self.config, self.steps = config, steps
        self.clip_norm = execution.clip_norm
        self.optimizer = _optimizer(self.parameters, config)
        # Only fp16 needs its losses scaled; bf16 has the range of fp32.
        self.scaler = torch.amp.GradScaler(device.type, enabled=execution.precision == "fp16")

    def backward(self, loss: Tensor) -> None:
        """Add the loss's gradients to those collected."""
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]

    def update(self, step: int, factor: float) -> float:
        """Apply the collected gradients at the rate of a step (from 0), and clear them.

        The factor on the rate is below 1 after a rollback. Returns the rate used.
        """
        rate = rate_at(self.config, step, self.steps) * factor
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        if self.clip_norm:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.parameters, self.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return rate

    @torch.no_grad()
    def averaged(self) -> list[Tensor] | None:
        """The parameters as the optimiser averages them; None where it does not, or not yet.

        A schedule-free optimiser computes gradients at a point y between the average x and its
        fast iterate z: y = beta x + (1 - beta) z.
        """
        if self.config.kind != "schedulefree":
            return None
        states = [self.optimizer.state[parameter] for parameter in self.parameters]
        if not all("z" in state for state in states):
            return None
        weight = 1 - 1 / self.config.betas[0]
        pairs = zip(self.parameters, states, strict=True)
        return [y.detach().lerp(state["z"], weight) for y, state in pairs]

    def state_dict(self) -> dict[str, Any]:
        """Optimiser and scaler."""
        return {"optimizer": self.optimizer.state_dict(), "scaler": self.scaler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
