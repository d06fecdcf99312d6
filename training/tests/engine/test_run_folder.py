"""Which changes of the configuration and of the data a run may be continued with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from realesrgan_train.config import RunConfig, load_config
from realesrgan_train.engine import ProcessGroup, Trainer
from realesrgan_train.engine.run_folder import Changes, check_same_run, save_config
from realesrgan_train.errors import ConfigError, TrainingStopped

from ..conftest import Overrides, draw_picture
from .test_resume import assert_same_bits

ALONE = ProcessGroup(0, 1, torch.device("cpu"))


def _events(config: RunConfig) -> list[dict[str, object]]:
    return [json.loads(line) for line in (config.run_dir / "log.jsonl").read_text().splitlines()]


def test_a_run_stopped_by_a_guard_goes_on_with_what_the_guard_advised(micro: Overrides) -> None:
    config = load_config("tiny", micro("stages.net.optimizer={lr: 1.0e+30, warmup: 0}"))
    with pytest.raises(TrainingStopped, match="as key=value continues from it"):
        Trainer(config, ALONE).run()
    advised = ("stages.net.optimizer={lr: 1.0e-3, warmup: 0}", "execution.clip_norm=1")
    again = Trainer(load_config("tiny", micro(*advised, "guards.action=rollback")), ALONE)
    assert again.run().finished
    resumed = next(event for event in _events(config) if event["event"] == "resume")
    assert resumed["changed"] == [
        "execution.clip_norm was 0.0, now 1.0",
        "stages.net.optimizer.lr was 1e+30, now 0.001",
    ]
    with pytest.raises(ConfigError, match=r"optimizer\.lr was 0\.001, now 1e\+30"):
        check_same_run(config)  # upwards is no advice


@pytest.mark.parametrize(
    ("base", "change", "admitted"),
    [
        ("", "stages.gan.discriminator_optimizer.lr=1e-5", True),
        ("", "stages.gan.gan.weight=0.01", True),
        ("", "stages.gan.gan.weight=0.03", False),
        ("", "stages.net.pixel.weight=2", True),
        ("", "stages.gan.pixel.weight=0.5", False),
        ("execution.clip_norm=1", "execution.clip_norm=0.5", True),
        ("execution.clip_norm=1", "execution.clip_norm=0", False),
        ("execution.precision=fp16", "execution.precision=bf16", True),
        ("execution.precision=bf16", "execution.precision=fp16", False),
        ("", "data.batch_size=3", False),
        ("", "execution.compile=true", False),
    ],
)
def test_only_after_a_stop_and_only_in_the_advised_direction(
    micro: Overrides, base: str, change: str, admitted: bool
) -> None:
    before = [base] if base else []
    config = load_config("tiny", micro(*before))
    save_config(config)
    changed = load_config("tiny", micro(*before, change))
    with pytest.raises(ConfigError, match="holds a run with another configuration"):
        check_same_run(changed)
    (config.run_dir / "log.jsonl").write_text('{"event": "stopped", "step": 3}\n')
    if admitted:
        assert len(check_same_run(changed).advised) == 1
    else:
        with pytest.raises(ConfigError, match="holds a run with another configuration"):
            check_same_run(changed)
    assert check_same_run(config) == Changes()


def test_changed_data_is_told_of(
    micro: Overrides, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "growing"
    folder.mkdir()
    for number in range(3):
        draw_picture(number).save(folder / f"{number}.png")
    config = load_config("tiny", micro(f"data.pictures={folder}"))
    Trainer(config, ALONE).run()
    Trainer(config, ALONE).run()
    assert "the data has changed" not in capsys.readouterr().err
    draw_picture(9).save(folder / "9.png")
    Trainer(config, ALONE).run()
    assert "the data has changed since the checkpoint" in capsys.readouterr().err
    counts = [e["data"]["pictures"]["count"] for e in _events(config) if "data" in e]  # type: ignore[index]
    assert counts == [3, 3, 4]


def test_pairs_that_are_not_used_are_told_of(
    micro: Overrides, capsys: pytest.CaptureFixture[str]
) -> None:
    Trainer(load_config("tiny", micro("data.pair_ratio=0", "stages.gan=null")), ALONE).run()
    assert "data.pair_ratio is 0: none of the pairs will be used" in capsys.readouterr().err


CONSTANT = "stages.net.optimizer={lr: 1.0e-3, schedule: constant, warmup: 0}"


@pytest.mark.parametrize(
    ("first", "then", "last"),
    [
        (("stages.gan=null", CONSTANT), ("stages.net.steps=13",), "step-000000013-0"),
        ((), ("stages.gan.steps=9",), "step-000000017-0"),
        (("stages.gan=null",), ("stages.gan={steps: 6}",), "step-000000014-0"),
    ],
    ids=["net longer", "gan longer", "gan added"],
)
def test_a_finished_run_made_longer_is_the_longer_run(
    micro: Overrides, first: tuple[str, ...], then: tuple[str, ...], last: str
) -> None:
    long = [each for each in first if "gan=null" not in each or "gan" not in then[0]]
    config = load_config("tiny", micro(*first))
    assert Trainer(config, ALONE).run().finished
    longer = load_config("tiny", micro(*long, *then))
    assert check_same_run(longer) == Changes()
    assert Trainer(longer, ALONE).run().finished
    straight = load_config("tiny", micro(*long, *then, "name=straight"))
    Trainer(straight, ALONE).run()
    folder = Path("checkpoints") / last
    assert_same_bits(straight.run_dir / folder, longer.run_dir / folder)
    assert (longer.run_dir / "weights" / "net.safetensors").is_file()


def test_a_schedule_that_depends_on_the_length_goes_on_and_is_told_of(
    micro: Overrides, capsys: pytest.CaptureFixture[str]
) -> None:
    Trainer(load_config("tiny", micro("stages.gan=null")), ALONE).run()
    longer = load_config("tiny", micro("stages.gan=null", "stages.net.steps=12"))
    assert Trainer(longer, ALONE).run().step == 12
    assert "stages.net.steps is larger than before, and the learning" in capsys.readouterr().err
    shorter = load_config("tiny", micro("stages.gan=null", "stages.net.steps=11"))
    with pytest.raises(ConfigError, match=r"stages\.net\.steps was 12, now 11"):
        check_same_run(shorter)


def test_the_first_stage_may_grow_until_the_second_has_begun(micro: Overrides) -> None:
    config = load_config("tiny", micro(CONSTANT))
    save_config(config)
    longer = load_config("tiny", micro(CONSTANT, "stages.net.steps=20"))
    (config.run_dir / "checkpoints" / "step-000000008-0").mkdir(parents=True)
    assert check_same_run(longer) == Changes()
    (config.run_dir / "checkpoints" / "step-000000009-0").mkdir()
    with pytest.raises(ConfigError, match=r"the gan stage has begun.*raise stages\.gan\.steps"):
        check_same_run(longer)
