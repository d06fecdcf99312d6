"""Which changes of the configuration and of the data a run may be continued with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from realesrgan_train.config import RunConfig, load_config
from realesrgan_train.engine import ProcessGroup, Trainer
from realesrgan_train.engine.run_folder import Changes, check_same_run, save_config
from realesrgan_train.errors import ConfigError, TrainingStopped
from realesrgan_train.weights import load_network

from ..conftest import Overrides, draw_picture
from ..interruption import stop_at_step
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
        ("", "data.weight_by=area", False),
        ("", "degradation.jpeg=diffjpeg", False),
        ("", "stages.gan.warmup_discriminator=2", False),
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


def test_a_run_of_before_goes_on_with_libjpeg_and_not_with_diffjpeg(micro: Overrides) -> None:
    """Its stored configuration lacks what the preset of the same name asks for today."""
    asked = [next(o for o in micro() if o.startswith("output=")), "data.pictures=photos"]
    config = load_config("x2plus", asked)
    assert config.degradation.jpeg == "diffjpeg"
    save_config(config)
    path = config.run_dir / "config.yaml"
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    del values["degradation"]["jpeg"], values["degradation"]["usm"]["target"]
    del values["degradation"]["first_resize"]
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        check_same_run(config)
    assert "degradation.jpeg was 'libjpeg', now 'diffjpeg'" in str(caught.value)
    assert "degradation.usm.target was 'picture', now 'patch'" in str(caught.value)
    assert "degradation.first_resize was 'size', now 'factor'" in str(caught.value)
    as_before = (
        "degradation.jpeg=libjpeg",
        "degradation.usm.target=picture",
        "degradation.first_resize=size",
    )
    assert check_same_run(load_config("x2plus", [*asked, *as_before])) == Changes()


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


def test_pictures_of_other_contents_are_told_of(
    micro: Overrides, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "replaced"
    folder.mkdir()
    draw_picture(0).save(folder / "0.png")
    config = load_config("tiny", micro(f"data.pictures={folder}", "stages.gan=null"))
    Trainer(config, ALONE).run()
    draw_picture(1).save(folder / "0.png")
    Trainer(config, ALONE).run()
    assert "pictures have the same names, but other contents" in capsys.readouterr().err


def test_what_changes_no_result_may_change(
    micro: Overrides,
    pictures: Path,
    pairs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Moved pictures and pairs, another device, another licence: the bits stay the same."""
    straight = load_config("tiny", micro("name=straight"))
    Trainer(straight, ALONE).run()
    stop_at_step(load_config("tiny", micro("name=moved")), 5)
    shutil.copytree(pictures, tmp_path / "disk" / "pictures")
    shutil.copytree(pairs, tmp_path / "disk" / "pairs")
    moved = load_config(
        "tiny",
        micro(
            "name=moved",
            f"data.pictures={tmp_path / 'disk' / 'pictures'}",
            f"data.pairs=[{{gt: {tmp_path}/disk/pairs/gt, lq: {tmp_path}/disk/pairs/lq}}]",
            "licence=CC0-1.0",
            f"execution.device={'cpu' if torch.cuda.is_available() else 'auto'}",
            "execution.threads=0",
        ),
    )
    assert Trainer(moved, ALONE).run().finished
    last = Path("checkpoints") / "step-000000014-0"
    assert_same_bits(straight.run_dir / last, moved.run_dir / last)
    told = capsys.readouterr().err
    assert "the pictures are at another place than before, and the same" in told
    assert "warning" not in told
    weights = load_network(moved.run_dir / "weights" / "gan.safetensors")
    assert weights.metadata["licence"] == "CC0-1.0"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("other contents", "pictures have the same names, but other contents"),
        ("one renamed", "pictures have other names"),
        ("one more", "there were 6 pictures, now there are 7"),
    ],
)
def test_other_pictures_at_another_place_are_refused(
    micro: Overrides, pictures: Path, tmp_path: Path, change: str, words: str
) -> None:
    config = load_config("tiny", micro("stages.gan=null"))
    stop_at_step(config, 5)
    saved = (config.run_dir / "config.yaml").read_bytes()
    other = tmp_path / "other"
    shutil.copytree(pictures, other)
    if change == "other contents":
        for path in other.rglob("*.png"):
            draw_picture(77).save(path)
    elif change == "one renamed":
        (other / "p0.png").rename(other / "p00.png")
    else:
        draw_picture(7).save(other / "p9.png")
    changed = load_config("tiny", micro("stages.gan=null", f"data.pictures={other}"))
    with pytest.raises(ConfigError, match="holds a run with other pictures") as caught:
        Trainer(changed, ALONE).run()
    assert words in str(caught.value)
    assert (config.run_dir / "config.yaml").read_bytes() == saved
    assert Trainer(config, ALONE).run().finished


def test_another_device_is_told_of(micro: Overrides, capsys: pytest.CaptureFixture[str]) -> None:
    config = load_config("tiny", micro("stages.gan=null"))
    stop_at_step(config, 5)
    path = config.run_dir / "checkpoints" / "step-000000005-0" / "main.pt"
    torch.save({**torch.load(path, weights_only=True), "device": "cuda"}, path)
    assert Trainer(config, ALONE).run().finished
    assert "the run was on cuda before, and is on cpu now" in capsys.readouterr().err


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
