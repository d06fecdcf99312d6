"""Checkpoints are whole or absent; start weights fit or are refused."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from realesrgan_train.checkpoint_file import read_tensors
from realesrgan_train.config import RunConfig, load_config
from realesrgan_train.engine import ProcessGroup, Trainer
from realesrgan_train.engine import checkpoints as checkpoints_module
from realesrgan_train.engine.building import (
    build_discriminator,
    build_generator,
    discriminator_caution,
)
from realesrgan_train.engine.checkpoints import CheckpointStore
from realesrgan_train.engine.run_folder import owned
from realesrgan_train.errors import CheckpointError, ConfigError
from realesrgan_train.networks import RRDBNet, UNetDiscriminatorSN
from realesrgan_train.weights import load_network, save_network

from ..conftest import Overrides
from ..processes import events, finish, start

ALONE = ProcessGroup(0, 1, torch.device("cpu"))


def _store(folder: Path, keep: int = 2) -> CheckpointStore:
    return CheckpointStore(folder, keep, ALONE)


def _save(store: CheckpointStore, step: int) -> Path:
    tensor = torch.full((1000,), float(step))
    return store.save(step, 0, {"world": 1, "value": tensor}, {"own": step})


def test_the_newest_are_kept(tmp_path: Path) -> None:
    store = _store(tmp_path / "c")
    assert store.load_newest(pytest.fail) is None
    for step in (3, 6, 9):
        _save(store, step)
    assert store.names() == ["step-000000006-0", "step-000000009-0"]
    found = store.load_newest(pytest.fail)
    assert found is not None
    assert found[1] == {"own": 9}


def test_a_crash_while_writing_leaves_the_last_good_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = _store(tmp_path / "c")
    _save(store, 3)

    def fail(path: Path, state: object) -> None:
        path.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(checkpoints_module, "_write", fail)
    with pytest.raises(OSError, match="no space"):
        _save(store, 6)
    monkeypatch.undo()
    assert [p.name for p in store.folder.iterdir()] == ["step-000000003-0"]
    (store.folder / ".step-000000006-0.tmp").mkdir()  # as a kill leaves it
    _save(store, 9)  # and the leftovers are swept up
    assert sorted(p.name for p in store.folder.iterdir()) == [
        "step-000000003-0",
        "step-000000009-0",
    ]


def test_a_write_that_fails_is_an_error_of_the_file(tmp_path: Path) -> None:
    """A limit on the size of files stands in for a full disk, which needs a disk of its own."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
    try:
        with pytest.raises(OSError, match=r"no earlier one.*/step-000000001-0'") as caught:
            _save(_store(tmp_path / "c"), 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.errno == errno.EFBIG
    assert not list((tmp_path / "c").iterdir())


def test_a_full_disk_ends_the_run_and_keeps_what_was_saved(
    micro: Overrides, small_disk: Path
) -> None:
    common = micro(
        f"output={small_disk}",
        "network.num_feat=24",
        "data.workers=0",
        "stages.gan=null",
        "stages.net.steps=60",
        "checkpoint={every: 3, keep: 20}",
    )
    [process] = start(["run", "tiny", *common])
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 1, output
    lines = output.splitlines()
    assert "Traceback" not in output
    assert lines[-1].startswith(f"error: {small_disk / 'micro'}")
    assert "No space left on device" in lines[-1]
    folder = small_disk / "micro" / "checkpoints"
    names = sorted(path.name for path in folder.iterdir())
    assert len(names) > 2
    assert all(name.startswith("step-") for name in names)
    store = _store(folder, 20)
    assert all(not store._fault(name) for name in names)
    for name in names[:-2]:
        shutil.rmtree(folder / name)  # makes room
    finish(start(["run", "tiny", *common, "checkpoint.every=30", "checkpoint.keep=1"]))
    found = _store(folder).load_newest(pytest.fail)
    assert found is not None
    assert found[0]["step"] == 60
    steps = [event["step"] for event in events(small_disk / "micro")]  # every line is whole
    assert steps[-1] == 60


@pytest.mark.parametrize("depth", [1, 2])
def test_the_error_of_the_system_is_found_behind_those_of_the_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, depth: int
) -> None:
    def fail(_state: object, _file: object, again: int = depth) -> None:
        try:
            if not again:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            fail(_state, _file, again - 1)
        except (OSError, RuntimeError):
            raise RuntimeError("unexpected pos 128 vs 22")  # noqa: B904 - as a C++ error, without a cause

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="No space left on device") as caught:
        _save(_store(tmp_path / "c"), 1)
    assert caught.value.errno == errno.ENOSPC
    assert not list((tmp_path / "c").iterdir())


@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_a_damaged_newest_one_is_passed_over(tmp_path: Path, damage: str) -> None:
    store, warnings = _store(tmp_path / "c"), list[str]()
    _save(store, 3)
    path = _save(store, 6) / "main.pt"
    data = bytearray(path.read_bytes())
    if damage == "cut":
        del data[len(data) // 2 :]
    else:
        place = data.find(torch.tensor(6.0).numpy().tobytes() * 8)
        data[place + 1] ^= 0xFF
    path.write_bytes(data)
    found = store.load_newest(warnings.append)
    assert found is not None
    assert found[0]["value"][0] == 3
    assert len(warnings) == 1
    assert "passing over a damaged checkpoint" in warnings[0]


class _Stranger:
    """Of a type that PyTorch does not read without running code."""


def test_no_message_advises_to_switch_a_protection_off(tmp_path: Path) -> None:
    store, warnings = _store(tmp_path / "c"), list[str]()
    _save(store, 3)
    torch.save({"world": 1, "value": _Stranger()}, _save(store, 6) / "main.pt")
    found = store.load_newest(warnings.append)
    assert found is not None
    assert found[0]["value"][0] == 3
    assert len(warnings) == 1
    assert "reading it could run code" in warnings[0]
    assert "weights_only" not in warnings[0]


def test_the_file_of_every_process_must_be_there(tmp_path: Path) -> None:
    store, warnings = _store(tmp_path / "c"), list[str]()
    _save(store, 3)
    (_save(store, 6) / "rank-0000.pt").unlink()
    found = store.load_newest(warnings.append)
    assert found is not None
    assert found[1] == {"own": 3}
    assert "step-000000006-0/rank-0000.pt is missing" in warnings[0]


def test_a_whole_checkpoint_is_never_taken_away_to_be_written_again(tmp_path: Path) -> None:
    store = _store(tmp_path / "c", keep=1)
    path = _save(store, 3) / "main.pt"
    before = path.stat().st_ino
    _save(store, 3)
    assert path.stat().st_ino == before
    path.write_bytes(b"damaged")
    _save(store, 3)
    found = store.load_newest(pytest.fail)
    assert found is not None
    assert found[0]["value"][0] == 3


def test_a_damaged_later_one_does_not_push_out_a_good_one(tmp_path: Path) -> None:
    store, warnings = _store(tmp_path / "c", keep=1), list[str]()
    (_save(store, 9) / "main.pt").write_bytes(b"")
    _save(store, 6)
    found = store.load_newest(warnings.append)
    assert found is not None
    assert found[1] == {"own": 6}
    assert len(warnings) == 1


def test_nothing_readable_is_an_error_not_a_fresh_start(tmp_path: Path) -> None:
    store = _store(tmp_path / "c")
    (_save(store, 3) / "main.pt").write_bytes(b"")
    with pytest.raises(CheckpointError, match="none of the 1 checkpoints"):
        store.load_newest(lambda _: None)


def test_another_number_of_processes_is_refused(tmp_path: Path) -> None:
    store = _store(tmp_path / "c")
    folder = store.save(3, 0, {"world": 4}, {})
    for rank in range(1, 4):
        shutil.copy(folder / "rank-0000.pt", folder / f"rank-{rank:04d}.pt")
    with pytest.raises(CheckpointError, match="torchrun --nproc-per-node=4"):
        store.load_newest(pytest.fail)


def test_exported_weights_say_what_they_are(micro: Overrides) -> None:
    config = load_config("tiny", micro("licence=CC0-1.0"))
    trainer = Trainer(config, ALONE)
    assert trainer.run().finished
    folder = config.run_dir / "weights"
    assert sorted(path.name for path in folder.iterdir()) == [
        "discriminator.safetensors",
        "gan.safetensors",
        "net.safetensors",
    ]
    loaded = load_network(folder / "gan.safetensors")
    average = trainer.state.average.network.state_dict()
    assert all(torch.equal(average[k], v) for k, v in loaded.network.state_dict().items())
    facts = loaded.metadata
    assert (facts["recipe"], facts["step"], facts["stage"]) == ("tiny", "14", "gan")
    assert facts["licence"] == "CC0-1.0"
    manifest = json.loads(facts["data_manifest"])
    assert manifest["pictures"]["count"] == 6
    assert manifest["pairs"]["count"] == 3
    assert json.loads(facts["config"])["network"]["num_feat"] == 8


def test_fine_tuning_starts_from_the_exported_weights(micro: Overrides) -> None:
    config = load_config("tiny", micro("stages.gan.steps=1"))
    Trainer(config, ALONE).run()
    folder = config.run_dir / "weights"
    tuned = load_config(
        "tiny",
        micro(
            "name=tuned",
            "stages.net=null",
            f"start.generator={folder / 'net.safetensors'}",
            f"start.discriminator={folder / 'discriminator.safetensors'}",
        ),
    )
    generator, left = build_generator(tuned)
    tensors, _ = read_tensors(folder / "net.safetensors")
    assert left == []
    assert all(torch.equal(tensors[k], v) for k, v in generator.state_dict().items())
    judge, _ = read_tensors(folder / "discriminator.safetensors")
    assert all(torch.equal(judge[k], v) for k, v in build_discriminator(tuned).state_dict().items())


def test_a_published_discriminator_starts_the_second_stage(
    micro: Overrides, tmp_path: Path
) -> None:
    """The published files are pickles that keep the weights under `params`."""
    torch.manual_seed(5)
    judge = UNetDiscriminatorSN(num_feat=4).state_dict()
    path = tmp_path / "RealESRGAN_x4plus_netD.pth"
    torch.save({"params": judge}, path)
    built = build_discriminator(load_config("tiny", micro(f"start.discriminator={path}")))
    assert all(torch.equal(judge[k], v) for k, v in built.state_dict().items())
    with pytest.raises(CheckpointError, match=r"check discriminator\.num_feat"):
        build_discriminator(
            load_config("tiny", micro(f"start.discriminator={path}", "discriminator.num_feat=8"))
        )


def test_a_finished_generator_without_its_discriminator_is_told_of(
    micro: Overrides, tmp_path: Path
) -> None:
    Trainer(load_config("tiny", micro("stages.gan.steps=1", "name=made")), ALONE).run()
    weights = tmp_path / "runs" / "made" / "weights"
    bare = tmp_path / "bare.pth"
    torch.save({"params_ema": read_tensors(weights / "gan.safetensors")[0]}, bare)

    def caution(generator: Path, *more: str) -> str | None:
        asked = micro("stages.net=null", f"start.generator={generator}", *more)
        return discriminator_caution(load_config("tiny", asked))

    said = caution(weights / "gan.safetensors")
    assert said is not None
    assert said.startswith(f"{weights / 'gan.safetensors'} was trained against a discriminator")
    assert "start.discriminator" in said
    assert "stages.gan.warmup_discriminator=1000" in said
    said = caution(bare)
    assert said is not None
    assert "That is right for a first stage's result; if" in said
    assert caution(weights / "net.safetensors") is None
    assert caution(bare, f"start.discriminator={weights / 'discriminator.safetensors'}") is None
    assert caution(bare, "stages.gan.warmup_discriminator=2") is None
    assert caution(bare, "stages.gan.gan.weight=0") is None
    assert caution(bare, "stages.net.steps=3") is None  # a first stage comes between


def test_start_weights_of_another_network_are_refused(micro: Overrides, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_network(other, RRDBNet(scale=4, num_feat=8, num_block=1, num_grow_ch=4))
    with pytest.raises(CheckpointError) as caught:
        build_generator(load_config("tiny", micro(f"start.generator={other}")))
    message = str(caught.value)
    assert "holds an RRDBNet x4 with 8 features, 1 blocks" in message
    assert "asks for an SRVGGNetCompact x2 with 8 features and 2 convolutions" in message
    assert "start.strict=false" in message
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        build_generator(load_config("tiny", micro("start.generator=nowhere.pth")))


def test_an_x2_network_starts_from_x4_without_strictness(micro: Overrides, tmp_path: Path) -> None:
    x4 = RRDBNet(scale=4, num_feat=8, num_block=1, num_grow_ch=4)
    path = tmp_path / "x4.safetensors"
    save_network(path, x4)
    sizes = "{architecture: rrdbnet, num_feat: 8, num_block: 1, num_grow_ch: 4}"
    overrides = micro(f"network={sizes}", f"start.generator={path}", "start.strict=false")
    network, left = build_generator(load_config("tiny", overrides))
    assert left == ["conv_first.weight"]
    ours, theirs = network.state_dict(), x4.state_dict()
    assert all(torch.equal(ours[k], theirs[k]) for k in ours if k != "conv_first.weight")


def test_a_run_is_not_continued_with_another_configuration(
    micro: Overrides, micro_config: RunConfig
) -> None:
    Trainer(micro_config, ALONE).run()
    changed = load_config("tiny", micro("stages.gan.optimizer.lr=3e-4", "logging.every=5"))
    with pytest.raises(ConfigError) as caught:
        Trainer(changed, ALONE)
    assert "stages.gan.optimizer.lr was 0.0001, now 0.0003" in str(caught.value)
    assert "logging" not in str(caught.value)
    longer = Trainer(load_config("tiny", micro("stages.gan.steps=8")), ALONE)
    assert longer.run().step == 16  # a constant rate may go on


_OWN_AND_FORK = """
import os, signal, sys
from pathlib import Path
from realesrgan_train.engine.run_folder import owned
with owned(Path(sys.argv[1]), True):
    if os.fork() == 0:  # as a loader worker: it outlives its parent
        print("forked", flush=True)
        sys.stdin.read()
        os._exit(0)
    signal.pause()  # the worker alone reads: from one pipe, either might get the word for the other
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="loader workers are forked on POSIX only")
def test_a_folder_has_one_owner_and_none_after_its_death(micro_config: RunConfig) -> None:
    """A worker that was forked meanwhile does not own it."""
    folder = micro_config.run_dir
    command = [sys.executable, "-c", _OWN_AND_FORK, str(folder)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, text=True, stdin=pipe, stdout=pipe) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "forked\n"
        with pytest.raises(ConfigError, match="another process is training in"):
            Trainer(micro_config, ALONE).run()
        owner.kill()
        assert owner.wait() == -signal.SIGKILL
        with owned(folder, True):  # the worker still waits for its input to end
            pass
