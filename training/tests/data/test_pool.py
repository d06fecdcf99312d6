"""Several crops a decode, mixed; a cache that all workers share; sub-images written once."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import pickle
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from realesrgan_train.config import RunConfig, load_config
from realesrgan_train.config.preflight import cautions
from realesrgan_train.data.batches import BatchDataset, TrainingBatch, batch_loader, cache_levels
from realesrgan_train.data.cache import DecodedCache
from realesrgan_train.data.crops import shrink
from realesrgan_train.data.opening import open_pairs, open_sources
from realesrgan_train.data.pictures import decode_picture
from realesrgan_train.data.prepare import places
from realesrgan_train.data.sampler import dealt
from realesrgan_train.data.sources import FolderSource
from realesrgan_train.data.versions import PictureVersions
from realesrgan_train.errors import ConfigError

from ..cli.test_commands import call
from ..conftest import Overrides, draw_picture

POOL = ("data.crops_per_picture=3", "data.pool_pictures=4", "data.batch_size=2")


def _dataset(
    config: RunConfig, cache: DecodedCache | None = None, rank: int = 0, world: int = 1
) -> BatchDataset:
    return BatchDataset(
        config,
        open_sources(config.data.pictures, cache, cache_levels(config.data)),
        open_pairs(config.data.pairs, config.scale, cache),
        seed=config.seed,
        rank=rank,
        world=world,
    )


def _called(code: int, *arguments: str | Path) -> tuple[str, str]:
    """Output and messages of a command that ends with this code."""
    result = call(*arguments)
    assert result.exit_code == code, result.output
    return result.stdout, result.stderr


def assert_same(a: Sequence[TrainingBatch], b: Sequence[TrainingBatch]) -> None:
    assert len(a) == len(b)
    for ours, theirs in zip(a, b, strict=True):
        for name in ("crops", "pair_gt", "pair_lq"):
            assert torch.equal(getattr(ours, name), getattr(theirs, name)), name


@given(st.integers(0, 10**9), st.integers(0, 60), st.integers(1, 9), st.integers(0, 99))
def test_a_pool_deals_every_crop_once_and_all_pictures_in_turn(
    first: int, count: int, per_picture: int, pool: int
) -> None:
    order = dealt(first, first + count, per_picture, 7, pool)
    assert sorted(order) == list(range(first, first + count))
    # Whole pictures: each turn shows all of them once.
    pictures = -(-count // per_picture) or 1
    aligned = dealt(first * per_picture, (first + pictures) * per_picture, per_picture, 7, pool)
    for turn in range(per_picture):
        shown = [crop // per_picture for crop in aligned[turn * pictures : (turn + 1) * pictures]]
        assert sorted(shown) == list(range(first, first + pictures))


@pytest.mark.parametrize("ratio", [0.0, 0.3, 1.0])
def test_the_pool_does_not_depend_on_workers_caches_or_where_it_starts(
    micro: Overrides, ratio: float, tmp_path: Path
) -> None:
    config = load_config("tiny", micro(*POOL, f"data.pair_ratio={ratio}"))
    plain = _dataset(config)
    assert plain.group_size == 6
    whole = list(batch_loader(plain, 0, 20))
    assert_same([plain[number] for number in (0, 7, 19)], [whole[n] for n in (0, 7, 19)])
    assert_same(list(batch_loader(plain, 9, 16)), whole[9:16])  # from the middle of one pool
    assert all(len(batch.crops) + len(batch.pair_gt) == 2 for batch in whole)
    assert sum(len(batch.pair_gt) for batch in whole) == int(20 * 2 * ratio)
    for megabytes in (0, 20_000, 1 << 20):
        cache = DecodedCache(megabytes, tmp_path) if megabytes else None
        cached = _dataset(config, cache)
        cached.config = config.data.model_copy(update={"workers": 2})
        assert_same(list(batch_loader(cached, 0, 20)), whole)
        assert_same(list(batch_loader(cached, 5, 20)), whole[5:])  # with what was kept before
        assert cache is None or 0 < cache.used <= cache.capacity


def test_crops_of_a_pool_differ_and_come_from_all_pictures(
    tmp_path: Path, micro: Overrides
) -> None:
    """Four pictures of one colour each: a batch of four has all of them, three times over."""
    for number in range(4):
        pixels = np.zeros((60, 60, 3), np.uint8)
        pixels[..., 0] = np.arange(60)[:, None]
        pixels[..., 1] = np.arange(60)
        pixels[..., 2] = number
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    options = (f"data.pictures={tmp_path}", "data.pair_ratio=0", "data.pairs=[]")
    config = load_config(
        "tiny", micro(*POOL, *options, "data.batch_size=4", "data.crop_scales=[1]")
    )
    for rank in range(2):
        batches = [_dataset(config, rank=rank, world=2)[number] for number in range(6)]
        for batch in batches:
            if rank == 0:
                assert len(batch.crops) == 4
        shown = Counter(int(crop[2, 0, 0]) for batch in batches[:3] for crop in batch.crops)
        assert sum(shown.values()) == 12
        corners = {tuple(crop[:, 0, 0].tolist()) for batch in batches for crop in batch.crops}
        assert len(corners) > 20  # of 24; two may fall together
    alone = _dataset(config)
    for number in range(6):
        assert sorted(int(crop[2, 0, 0]) for crop in alone[number].crops) == [0, 1, 2, 3]


def test_two_processes_share_an_epoch_of_pictures(micro: Overrides, tmp_path: Path) -> None:
    for number in range(8):
        Image.new("RGB", (48, 48), (number, 0, 0)).save(tmp_path / f"{number}.png")
    options = (f"data.pictures={tmp_path}", "data.pair_ratio=0", "data.pairs=[]")
    config = load_config("tiny", micro(*POOL, *options))
    shown = [
        Counter(
            int(crop[0, 0, 0])
            for number in range(6)
            for crop in _dataset(config, rank=rank, world=2)[number].crops
        )
        for rank in range(2)
    ]
    assert all(set(each.values()) == {3} and len(each) == 4 for each in shown)
    assert set(shown[0]) | set(shown[1]) == set(range(8))


def test_a_damaged_picture_of_a_pool_is_replaced_and_told(micro: Overrides, tmp_path: Path) -> None:
    for number in range(4):
        draw_picture(number).save(tmp_path / f"{number}.png")
    options = (f"data.pictures={tmp_path}", "data.pair_ratio=0", "data.pairs=[]")
    config = load_config("tiny", micro(*POOL, *options))
    good = [_dataset(config)[number] for number in range(6)]
    (tmp_path / "2.png").write_bytes(b"nothing")
    damaged = list(batch_loader(_dataset(config, DecodedCache(1 << 20)), 0, 6))
    messages = {message for batch in damaged for message in batch.damaged}
    assert len(messages) == 1
    assert "2.png" in messages.pop()
    changed = sum(
        not torch.equal(a, b)
        for ours, theirs in zip(good, damaged, strict=True)
        for a, b in zip(ours.crops, theirs.crops, strict=True)
    )
    assert changed == 3  # its crops, and no other
    later = list(batch_loader(_dataset(config), 4, 6))
    assert [bool(batch.damaged) for batch in later] == [True, False]


def test_versions_are_the_whole_picture_shrunk(tmp_path: Path) -> None:
    """Lanczos as Pillow has it; factors that would leave less than a crop are raised."""
    draw_picture(0, 90, 60).save(tmp_path / "a.png")
    draw_picture(1, 50, 30).save(tmp_path / "b.png")
    source = FolderSource(tmp_path)
    cache = DecodedCache(1 << 20)
    source.cache = cache.part(2, 4)
    versions = PictureVersions(source, 40, (1.0, 0.75, 0.5))
    found = versions.get(0, [0, 1, 2])
    assert [found[number].shape[:2] for number in range(3)] == [(60, 90), (45, 68), (40, 60)]
    original = source.decode_anew(0)
    assert np.array_equal(found[0], original)
    assert np.array_equal(found[1], shrink(original, 45, 68))
    size = cache.used
    assert size == sum(version.nbytes for version in found.values())
    small = versions.get(1, [0, 1, 2])  # too small for a crop: never shrunk, and kept once
    assert all(version.shape[:2] == (30, 50) for version in small.values())
    assert cache.used == size + small[0].nbytes
    (tmp_path / "a.png").unlink()
    (tmp_path / "b.png").unlink()
    for index, before in enumerate((found, small)):
        again = versions.get(index, [0, 1, 2])
        assert all(np.array_equal(again[number], before[number]) for number in range(3))


_SPAWNED = """
import hashlib, sys
from torch import multiprocessing
from realesrgan_train.config import load_config
from realesrgan_train.data.batches import BatchDataset, batch_loader, cache_levels
from realesrgan_train.data.cache import DecodedCache
from realesrgan_train.data.opening import open_sources

if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    config = load_config("tiny", sys.argv[1:])
    cache = DecodedCache(1 << 20)
    pictures = open_sources(config.data.pictures, cache, cache_levels(config.data))
    digest = hashlib.sha256()
    for batch in batch_loader(BatchDataset(config, pictures, None, seed=0), 0, 12):
        digest.update(batch.crops.numpy().tobytes())
    print(digest.hexdigest(), cache.used)
"""


def test_workers_that_are_not_forked_share_the_cache(micro: Overrides, tmp_path: Path) -> None:
    """Where there is no fork the dataset is sent to the workers; the cache's file goes with it."""
    script = tmp_path / "spawned.py"
    script.write_text(_SPAWNED)
    options = micro(*POOL, "data.pair_ratio=0", "data.pairs=[]", "data.workers=2")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script), *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    digest = hashlib.sha256()
    dataset = _dataset(load_config("tiny", options))
    for number in range(12):
        digest.update(dataset[number].crops.numpy().tobytes())
    found, used = done.stdout.split()
    assert found == digest.hexdigest()
    assert int(used) >= 4 * 96 * 80 * 3  # what the workers decoded


def test_a_worker_that_cannot_reach_the_file_decodes(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Windows an open file does not go to another process."""
    source = FolderSource(pictures)
    source.cache = DecodedCache(1 << 20).part(len(source))
    before = source.decode(0)
    monkeypatch.delattr("multiprocessing.reduction.DupFd")
    sent = pickle.loads(pickle.dumps(source.cache))
    source.cache = sent
    assert np.array_equal(source.decode(0), before)
    assert sent.get(0) is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_worker_that_is_killed_does_not_keep_the_cache(tmp_path: Path) -> None:
    """Workers are killed when a run goes back to a checkpoint while they are at work."""
    cache = DecodedCache(1 << 20, tmp_path)
    part = cache.part(2)
    picture = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        with cache.locked():
            os.write(writing, b"x")
            signal.pause()
    os.read(reading, 1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(reading)
    os.close(writing)
    part.keep(picture, 1)
    kept = part.get(1)
    assert kept is not None
    assert np.array_equal(kept, picture)


def test_the_cache_file_has_no_name_and_a_full_disk_only_ends_keeping(
    small_disk: Path,
) -> None:
    cache = DecodedCache(64 << 20, small_disk)
    assert list(small_disk.iterdir()) == []
    part = cache.part(8)
    picture = np.random.default_rng(0).integers(0, 256, (500, 500, 3), np.uint8)
    for index in range(8):
        part.keep(picture, index)
    kept = [part.get(index) for index in range(8)]
    assert [each is not None for each in kept] == [True] * 2 + [False] * 6
    assert all(np.array_equal(each, picture) for each in kept if each is not None)
    assert cache.used == cache.capacity
    del part, cache, kept  # or the file system could not be unmounted
    gc.collect()


def test_a_folder_for_the_cache_that_is_not_there_is_told(micro: Overrides) -> None:
    done = _called(2, "run", "tiny", *micro("data.cache_mb=5", "data.cache_folder=/no/where"))[1]
    assert "data.cache_folder: no file of 5 MB can be made in /no/where" in done
    with pytest.raises(ConfigError, match="name another folder, or lower data"):
        DecodedCache(1 << 20, Path("/no/where"))


def test_too_little_shared_memory_is_told(
    micro: Overrides, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("data.pair_ratio=0", "data.pairs=[]", "data.workers=3")
    assert cautions(load_config("tiny", micro(*options))) == []
    huge = load_config(
        "tiny", micro(*options, "data.pool_pictures=1000000", "data.crops_per_picture=1000")
    )
    if Path("/dev/shm").is_dir():
        assert "take up to 18310546 MB of shared memory" in cautions(huge)[0].replace(",", "")


def test_sub_images_cover_a_picture() -> None:
    assert places(100, 48, 24) == [0, 24, 48, 52]
    assert places(48, 48, 24) == [0]
    assert places(30, 48, 24) == [0]
    assert places(96, 48, 24) == [0, 24, 48]


@pytest.mark.parametrize("kind", ["png", "ppm"])
def test_prepare_writes_sub_images_that_training_takes(
    micro: Overrides, pictures: Path, tmp_path: Path, kind: str
) -> None:
    broken = tmp_path / "more"
    broken.mkdir()
    (broken / "0.png").write_bytes(b"nothing")
    draw_picture(9, 60, 44).save(broken / "1.png")
    out = tmp_path / "out"
    options = micro(
        f"data.pictures=[{pictures}, {broken}]", "data.crop_scales=[1, 0.5]", "data.workers=2"
    )
    arguments = ["prepare", "tiny", *options, "--out", str(out), "--size", "48", "--format", kind]
    stdout, stderr = _called(0, *arguments)
    assert "left out:" in stderr
    assert "0.png: not a picture" in stderr
    # 96x80 gives 3x3, and at 48x40 (the factor 0.5) one; 60x44 gives 2x1 and at 55x40 2x1.
    assert f"64 sub-images of 7 pictures: train with data.pictures={out}" in stdout
    written = sorted(path for path in out.rglob(f"*.{kind}"))
    assert len(written) == 6 * 10 + 4
    first = decode_picture((out / f"0/p0.png.96x80.0004.{kind}").read_bytes(), "x")
    whole = decode_picture((pictures / "p0.png").read_bytes(), "x")
    assert np.array_equal(first, whole[24:72, 24:72])
    stamps = {path: path.stat().st_mtime_ns for path in written}
    with (out / "prepared.jsonl").open("a") as torn:
        torn.write('{"picture": "cut o')
    victim = out / f"1/1.png.60x44.0000.{kind}"
    journal = (out / "prepared.jsonl").read_text().splitlines(keepends=True)
    assert json.loads(journal[-2])["picture"] == "1/1.png"
    (out / "prepared.jsonl").write_text("".join(journal[:-2]) + journal[-1])
    victim.unlink()
    assert "64 sub-images of 7" in _called(0, *arguments)[0]  # goes on with what is missing
    assert victim.is_file()
    assert sum(path.stat().st_mtime_ns != stamps[path] for path in written) == 4
    run = load_config("tiny", micro(f"data.pictures={out}", "data.crop_scales=[1]"))
    assert not _dataset(run)[0].damaged
    other = _called(2, *arguments[:-4], "--size", "50")[1]
    assert "holds sub-images of other settings" in other


def test_prepare_refuses_folders_that_are_in_use(
    micro: Overrides, pictures: Path, tmp_path: Path
) -> None:
    options = micro()
    inside = _called(2, "prepare", "tiny", *options, "--out", str(pictures / "sub"))[1]
    assert "whose pictures it would join" in inside
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note").touch()
    full = _called(2, "prepare", "tiny", *options, "--out", str(tmp_path / "full"))[1]
    assert "is not an empty folder" in full
    small = _called(2, "prepare", "tiny", *options, "--out", str(tmp_path / "n"), "--size", "20")[1]
    assert "no crop would fit" in small


def test_the_benchmark_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-W", "error", "-m", "benchmarks.loader_speed"),
            *("--pictures", "2", "--edge", "96", "--crop", "40", "--seconds", "0.01"),
            *("--out", str(tmp_path / "speed.json")),
        ],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "one crop a decode" in done.stdout
