"""What two processes tell: one log, one table, whichever of them met what."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from realesrgan_train.config import load_config
from realesrgan_train.engine import ProcessGroup, Trainer
from realesrgan_train.engine import trainer as loop_module
from realesrgan_train.networks import SRVGGNetCompact
from realesrgan_train.weights import save_network

from ..cli.test_commands import call
from ..conftest import Overrides, draw_picture
from ..processes import events, finish, start, start_torchrun_and_kill
from .test_resume import assert_same_bits


def test_damaged_pictures_of_every_process_are_reported(micro: Overrides, tmp_path: Path) -> None:
    """Each of the three is met first by a process that the seed decides: some by the second."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    for number in range(8):
        draw_picture(number).save(folder / f"{number}.png")
    for number in (1, 4, 6):
        (folder / f"{number}.png").write_bytes(b"nothing")
    options = micro(
        f"data.pictures={folder}",
        "data.pairs=[]",
        "data.pair_ratio=0",
        "stages.gan=null",
        "stages.net.steps=4",  # two epochs
        "logging.every=2",
    )
    finish(start(["run", "tiny", *options], 2))
    log = events(tmp_path / "runs" / "micro")
    told = sorted(str(e["message"]) for e in log if e["event"] == "damaged_picture")
    assert len(told) == 3
    for message, number in zip(told, (1, 4, 6), strict=True):
        assert f"{number}.png" in message


@pytest.mark.parametrize("rank", [0, 1])
def test_a_lost_process_restarts_the_run_from_its_last_checkpoint(
    micro: Overrides, tmp_path: Path, rank: int
) -> None:
    """torchrun starts all processes again; the result has the bits of a run that lost none."""
    common = micro("stages.net.steps=6", "stages.gan.steps=4", "checkpoint.every=2")
    finish(start(["run", "tiny", *common, "name=straight"], 2))
    arguments = ["run", "tiny", *common, "name=restarted"]
    output = finish(start_torchrun_and_kill("update", 4, arguments, 2, rank))
    assert "continuing at step 2" in output
    straight, restarted = (tmp_path / "runs" / name for name in ("straight", "restarted"))
    resumed = [event["step"] for event in events(restarted) if event["event"] == "resume"]
    assert resumed == [2]
    last = "checkpoints/step-000000010-0"
    assert assert_same_bits(straight / last, restarted / last) > 50


def test_validate_prints_the_same_from_two_processes_as_from_one(
    pictures: Path, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    weights = tmp_path / "a.safetensors"
    save_network(weights, SRVGGNetCompact(num_feat=8, num_conv=2, upscale=2))
    arguments = ["validate", str(weights), "--pictures", str(pictures), "--device", "cpu"]
    alone = call(*arguments)
    assert "mean of 6" in alone.stdout
    assert finish(start(arguments, 2)) == alone.stdout
    report = json.loads(call(*arguments, "--json").stdout)
    assert len(report["pictures"]) == 6


def test_vgg_weights_are_looked_for_on_every_node(
    micro: Overrides, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(ProcessGroup, "barrier", lambda group: None)
    for rank, local_rank in ((0, 0), (1, 1), (2, 0), (3, 1)):
        group = ProcessGroup(rank, 1, torch.device("cpu"), local_rank)
        monkeypatch.setattr(loop_module, "check_perceptual", lambda _, r=rank: asked.append(r))
        Trainer(load_config("tiny", micro()), group)
    assert asked == [0, 2]  # the first of each node
