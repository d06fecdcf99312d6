"""A run that is killed and continued gives the bits of one that never was."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from realesrgan_train.config import load_config
from realesrgan_train.engine import ProcessGroup, Trainer
from realesrgan_train.weights import load_network

from ..conftest import Overrides
from ..interruption import stop_at_step
from ..processes import (
    events,
    finish,
    kill_after_first_step,
    start,
    start_and_be_killed,
    start_python,
    start_torchrun,
)

ALONE = ProcessGroup(0, 1, torch.device("cpu"))
STEPS = 40


def _leaves(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key in value:
            yield from _leaves(value[key], f"{path}/{key}")
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{path}/{index}")
    else:
        yield path, value


def assert_same_bits(a: Path, b: Path) -> int:
    """Every number of two checkpoints is the same; returns how many tensors there were."""
    names = sorted(path.name for path in a.iterdir())
    assert names == sorted(path.name for path in b.iterdir())
    tensors = 0
    for name in names:
        first, second = (torch.load(folder / name, weights_only=True) for folder in (a, b))
        ours, theirs = dict(_leaves(first)), dict(_leaves(second))
        assert ours.keys() == theirs.keys()
        for path, value in ours.items():
            if isinstance(value, Tensor):
                tensors += 1
                # NaN would equal nothing: bit for bit is what torch.equal means for finite ones.
                other = theirs[path]
                assert isinstance(other, Tensor)
                assert torch.equal(value, other), f"{name}{path}"
            else:
                assert value == theirs[path], f"{name}{path}"
    return tensors


#: Where a run of 20 + 20 steps with checkpoints every 4 is killed, how often it comes by there
#: first, and which process kills itself. Each entry is one start; the last of them finishes.
Kill = tuple[str, int, int]


def _kills(world: int) -> list[Kill]:
    """At random steps of both stages, in a checkpoint's file, and before an export."""
    dice = random.Random(20261124 + world)
    if world == 2:
        return [("update", dice.randint(6, 19), 1), ("write", 2, 0)]
    return [
        ("update", dice.randint(2, 15), 0),
        ("write", 2 * dice.randint(1, 2), 0),
        ("export", 4, 0),  # resuming exports, too; so this is at the latest between the stages
        ("update", dice.randint(6, 30), 0),
    ]


@pytest.mark.parametrize("world", [1, 2])
def test_sigkill_at_random_steps_changes_no_bit(
    micro: Overrides, world: int, tmp_path: Path
) -> None:
    common = micro(
        "stages.net.steps=20", "stages.gan.steps=20", "checkpoint.every=4", "execution.accumulate=2"
    )
    straight = tmp_path / "runs" / "straight"
    finish(start(["run", "tiny", *common, "name=straight"], world))

    killed = tmp_path / "runs" / "killed"
    command = ["run", "tiny", *common, "name=killed"]
    for place, number, rank in _kills(world):
        start_and_be_killed(place, number, command, world, rank)
    finish(start(command, world))

    resumed = [event["step"] for event in events(killed) if event["event"] == "resume"]
    assert len(resumed) == len(_kills(world))
    last = f"checkpoints/step-{STEPS:09d}-0"
    assert assert_same_bits(straight / last, killed / last) > 50
    for name in ("net", "gan", "discriminator"):
        file = f"weights/{name}.safetensors"
        ours, theirs = (_tensors(folder / file) for folder in (straight, killed))
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.parametrize("world", [1, 2])
def test_sigkill_changes_no_bit_with_pools_and_caches(
    micro: Overrides, world: int, tmp_path: Path
) -> None:
    """Killed within a pool; the run that never was has neither workers nor a cache."""
    common = micro(
        "data.crops_per_picture=3",
        "data.pool_pictures=4",
        "stages.net.steps=10",
        "stages.gan.steps=6",
        "checkpoint.every=4",
    )
    straight, killed = (tmp_path / "runs" / name for name in ("straight", "killed"))
    finish(start(["run", "tiny", *common, "name=straight", "data.workers=0"], world))
    cached = ("data.workers=2", "data.cache_mb=1", f"data.cache_folder={tmp_path}")
    command = ["run", "tiny", *common, *cached, "name=killed"]
    kills = (6, 5) if world == 1 else (6,)
    for updates in kills:
        start_and_be_killed("update", updates, command, world, world - 1)
    finish(start(command, world))
    resumed = [event["step"] for event in events(killed) if event["event"] == "resume"]
    assert len(resumed) == len(kills)
    last = "checkpoints/step-000000016-0"
    assert assert_same_bits(straight / last, killed / last) > 50
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs"]  # nothing of the cache


def test_a_run_killed_with_its_loader_workers_starts_again_at_once(
    micro: Overrides, tmp_path: Path
) -> None:
    """The workers live on for seconds; they must not keep the run's folder locked."""
    common = micro(
        "data.workers=2",
        "stages.gan=null",
        "stages.net.optimizer={schedule: constant, warmup: 0}",
        "checkpoint.every=1000000",
    )
    killed, straight = tmp_path / "runs" / "killed", tmp_path / "runs" / "straight"
    command = ["run", "tiny", *common, "name=killed"]
    kill_after_first_step(start([*command, "stages.net.steps=1000000"]), killed)
    finish(start([*command, "stages.net.steps=3"]))  # from the only checkpoint, of step 0
    config = load_config("tiny", [*common, "name=straight", "data.workers=0", "stages.net.steps=3"])
    Trainer(config, ALONE).run()
    last = "checkpoints/step-000000003-0"
    assert assert_same_bits(straight / last, killed / last) > 10


@pytest.mark.parametrize("stage", ["net", "gan"])
def test_weights_lost_between_checkpoint_and_export_are_written_again(
    micro: Overrides, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    config = load_config("tiny", micro())
    last = {"net": 8, "gan": 14}[stage]

    def die(trainer: Trainer) -> None:
        if trainer.state.step == last:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_export", die)
        with pytest.raises(KeyboardInterrupt):
            Trainer(config, ALONE).run()
    weights = config.run_dir / "weights"
    assert not weights.exists()
    again = Trainer(config, ALONE)
    assert again.run().finished
    exported = load_network(weights / f"{stage}.safetensors")
    assert exported.metadata["step"] == str(last)
    if stage == "gan":
        average = again.state.average.network.state_dict()
        tensors = exported.network.state_dict()
        assert all(torch.equal(average[key], tensors[key]) for key in average)
        assert (weights / "discriminator.safetensors").is_file()


def _tensors(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file  # noqa: PLC0415

    return load_file(path)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("stop_at", [5, 8, 11])
def test_every_part_of_the_state_is_restored(
    micro: Overrides, precision: str, stop_at: int
) -> None:
    """Stopped inside stage 1, exactly between the stages, and inside stage 2."""
    options = (f"execution.precision={precision}", "checkpoint.every=100")
    straight = load_config("tiny", micro(*options, "name=straight"))
    Trainer(straight, ALONE).run()

    broken = load_config("tiny", micro(*options, "name=broken"))
    stop_at_step(broken, stop_at)
    torch.manual_seed(99)  # whatever the global generator did meanwhile must not matter
    second = Trainer(broken, ALONE)
    second.run()
    last = "checkpoints/step-000000014-0"
    assert_same_bits(straight.run_dir / last, broken.run_dir / last)
    if precision == "fp16":
        main = torch.load(straight.run_dir / last / "main.pt", weights_only=True)
        assert main["stage_state"]["generator_updater"]["scaler"]["scale"] > 0


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("stop_at", [10, 12, 13])
def test_the_warmup_of_the_discriminator_is_continued(
    micro: Overrides, precision: str, stop_at: int
) -> None:
    """Stopped inside it, exactly at its end, and after it; figures are logged across its end."""
    options = (
        f"execution.precision={precision}",
        "execution.accumulate=2",
        "checkpoint.every=100",
        "logging.every=5",
        "stages.gan.steps=8",
        "stages.gan.warmup_discriminator=4",
        "stages.gan.discriminator_steps=2",
    )
    straight = load_config("tiny", micro(*options, "name=straight"))
    Trainer(straight, ALONE).run()
    weights = _tensors(straight.run_dir / "weights/gan.safetensors")
    first_stage = _tensors(straight.run_dir / "weights/net.safetensors")
    assert any(not torch.equal(weights[key], first_stage[key]) for key in weights)

    broken = load_config("tiny", micro(*options, "name=broken"))
    stop_at_step(broken, stop_at)
    if stop_at <= 12:
        assert_same_weights(broken.run_dir / "weights/gan.safetensors", first_stage)
    Trainer(broken, ALONE).run()
    last = "checkpoints/step-000000016-0"
    assert assert_same_bits(straight.run_dir / last, broken.run_dir / last) > 50
    ours, theirs = (
        [e for e in events(c.run_dir) if e["event"] == "step"] for c in (straight, broken)
    )
    for a, b in zip(ours, theirs, strict=True):
        assert {k: v for k, v in a.items() if k not in _TIMES} == {
            k: v for k, v in b.items() if k not in _TIMES
        }


#: What two runs of the same bits log differently.
_TIMES = ("steps_per_second", "time", "seconds")


def assert_same_weights(path: Path, expected: dict[str, Tensor]) -> None:
    found = _tensors(path)
    assert all(torch.equal(found[key], value) for key, value in expected.items())


@pytest.mark.parametrize("world", [1, 2])
def test_sigkill_in_the_warmup_of_the_discriminator_changes_no_bit(
    micro: Overrides, world: int, tmp_path: Path
) -> None:
    """With crops weighed by area, of which a checkpoint holds as little as of any others."""
    common = micro(
        "data.weight_by=area",
        "stages.net.steps=2",
        "stages.gan.steps=12",
        "stages.gan.warmup_discriminator=6",
        "checkpoint.every=2",
    )
    finish(start(["run", "tiny", *common, "name=straight"], world))
    command = ["run", "tiny", *common, "name=killed"]
    kills = (5, 6) if world == 1 else (5,)  # updates of a start: within the warm-up, and later
    for updates in kills:
        start_and_be_killed("update", updates, command, world, world - 1)
    finish(start(command, world))
    killed, straight = (tmp_path / "runs" / name for name in ("killed", "straight"))
    resumed = [event["step"] for event in events(killed) if event["event"] == "resume"]
    assert len(resumed) == len(kills)
    assert 2 < resumed[0] < 8
    last = "checkpoints/step-000000014-0"
    assert assert_same_bits(straight / last, killed / last) > 50


_COUNT_THREADS = """
import os, sys
from pathlib import Path
from realesrgan_train.config import load_config
from realesrgan_train.engine import Trainer, process_group
with process_group("cpu") as group:
    assert Trainer(load_config("tiny", sys.argv[1:]), group).run().finished
names = [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
assert not [name for name in names if "gloo" in name], names
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_no_thread_of_the_group_outlives_it(micro: Overrides) -> None:
    """One that lets go of a tensor while Python shuts down aborts a run that was finished."""
    finish(start_python(["-c", _COUNT_THREADS, *micro("data.workers=0")], 2))


def test_two_processes_train_as_one_with_their_batches_together(
    micro: Overrides, tmp_path: Path
) -> None:
    """Gradients are means over processes, and validation does not depend on how it is shared."""
    common = micro(
        "data.pair_ratio=0",
        "data.pairs=[]",
        # Nothing is drawn per batch or process here, so both see the same pictures.
        "degradation={input_size: 32, first: {kernel: {sigma: [1, 1], size: [7, 7]}}}",
        "degradation.pool_size=0",
        "degradation.first.noise.probability=0",
        "degradation.second={noise: {probability: 0}, jpeg_quality: [90, 90]}",
        "stages.net.steps=4",
        "stages.gan=null",
        "stages.net.optimizer={lr: 1.0e-3, schedule: constant, warmup: 0}",
        "degradation.granularity=batch",
        "degradation.first.resize={up: 0, down: 0, keep: 1, modes: [area]}",
        f"validation.pictures={tmp_path.parent}",
        "validation={pictures: [], every: 4, crop: 64}",
    )
    pictures = next(o for o in common if o.startswith("data.pictures="))
    common.append(pictures.replace("data.", "validation."))
    finish(start_torchrun(["run", "tiny", *common, "name=two", "data.batch_size=2"], 2))
    finish(start(["run", "tiny", *common, "name=one", "data.batch_size=4"], 1))
    weights = [
        _tensors(tmp_path / f"runs/{name}/weights/net.safetensors") for name in ("one", "two")
    ]
    for key, value in weights[0].items():
        assert torch.allclose(value, weights[1][key], atol=2e-4), key
    figures = []
    for name in ("one", "two"):
        log = events(tmp_path / "runs" / name)
        figures.append(next(e for e in log if e["event"] == "validation"))
        assert sum(e["event"] == "validation" for e in log) == 1
    assert figures[0]["bicubic_psnr_y"] == pytest.approx(figures[1]["bicubic_psnr_y"], abs=1e-9)
    assert figures[0]["psnr_y"] == pytest.approx(figures[1]["psnr_y"], abs=0.05)
