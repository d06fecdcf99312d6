"""Both stages with all losses on photographs: the figures stay finite, the picture a picture."""

from __future__ import annotations

import json
import math
from pathlib import Path

import torch
from benchmarks.photographs import write_photographs

from realesrgan_train.config import load_config
from realesrgan_train.engine import ProcessGroup, Trainer


def test_net_then_gan_on_photographs(tmp_path: Path) -> None:
    train, held_out = write_photographs(tmp_path / "photographs")
    config = load_config(
        "tiny",
        [
            f"output={tmp_path}",
            f"data.pictures={train}",
            f"validation.pictures={held_out}",
            "validation={every: 15, limit: 4, crop: 128}",
            "data.batch_size=4",
            "degradation={input_size: 64, patch_size: 64, pool_size: 16}",
            "stages.net={steps: 15, optimizer: {warmup: 5}}",
            "stages.gan.steps=5",
            "stages.gan.perceptual={weight: 0.1, weights: random}",
            "logging.every=1",
            "execution.device=cpu",
        ],
    )
    trainer = Trainer(config, ProcessGroup(0, 1, torch.device("cpu")))
    assert trainer.run().finished
    log = [json.loads(line) for line in (config.run_dir / "log.jsonl").read_text().splitlines()]
    steps = [line for line in log if line["event"] == "step"]
    assert [line["stage"] for line in steps] == ["net"] * 15 + ["gan"] * 5
    for line in steps:
        figures = [value for name, value in line.items() if "loss" in name or "colour" in name]
        assert all(isinstance(value, float) and math.isfinite(value) for value in figures), line
    parts = {"loss", "loss_pixel", "loss_perceptual", "loss_gan", "discriminator_loss"}
    assert parts <= steps[-1].keys()
    after_net, after_gan = [line for line in log if line["event"] == "validation"]
    assert after_gan["psnr_y"] > after_net["psnr_y"] - 2  # a few steps do not wreck it
