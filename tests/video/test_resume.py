"""A run that is killed, interrupted or out of space goes on, and makes the same file."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import skimage
import video_files
from av.video.codeccontext import VideoCodecContext
from command import COMMAND, run
from compact_network import write_compact

from realesrgan_vk.batch.workers import load_upscalers
from realesrgan_vk.options import Request, Shard, UpscalerOptions
from realesrgan_vk.video import VideoOptions, WorkError, segments
from realesrgan_vk.video.encoders import Encoding
from realesrgan_vk.video.run import VideoProgress, VideoRun

SEGMENT = 0.4  # seconds: ten frames
TIMEOUT = 60


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("network")
    write_compact(folder, "net")
    return folder / "net.param"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds with sound, in open GOPs of B-frames."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    video_files.open_gop(path, "libx264")
    return path


def options_of(network: Path, *more: str) -> list[str]:
    wanted = ["--segment-seconds", str(SEGMENT), "--encoder-threads", "2", *more]
    return ["-m", str(network), "-d", "cpu", "--quiet", *wanted]


def whole(clip: Path, network: Path, target: Path, *more: str) -> bytes:
    done = run("video", clip, "-o", target, *options_of(network, *more))
    assert done.returncode == 0, done.stderr
    return target.read_bytes()


@pytest.fixture(scope="module")
def undisturbed(
    clip: Path, network: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[bytes, float]:
    """The result of a run that nothing stops, and the seconds that it takes."""
    started = time.perf_counter()
    made = whole(clip, network, tmp_path_factory.mktemp("undisturbed") / "a.mp4")
    return made, time.perf_counter() - started


def leftovers(target: Path) -> list[str]:
    return [path.name for path in target.parent.iterdir() if path != target]


def stop_after(clip: Path, network: Path, target: Path, frames: int, options: VideoOptions) -> None:
    """Make some frames of a video in this process, then fail."""
    upscalers = load_upscalers(network, UpscalerOptions(), ["cpu"], pictures=2)
    planned = VideoRun(clip, target, upscalers, Request(), options)

    def report(progress: VideoProgress) -> None:
        if progress.frames >= frames:
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        planned.run(report=report)


@pytest.mark.parametrize(
    ("codec", "suffix"), [("x264", "mp4"), ("x265", "mkv"), ("av1", "mkv"), ("ffv1", "mkv")]
)
def test_a_run_that_goes_on_makes_the_same_bytes(
    codec: str, suffix: str, clip: Path, network: Path, tmp_path: Path
) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    preset = ["--preset", "12"] if codec == "av1" else []
    expected = whole(clip, network, tmp_path / "whole" / f"a.{suffix}", "--codec", codec, *preset)
    target = tmp_path / "parts" / f"a.{suffix}"
    options = VideoOptions(
        codec=codec,
        preset=preset[1] if preset else None,
        segment_seconds=SEGMENT,
        encoder_threads=2,
    )
    for frames in (13, 24):
        stop_after(clip, network, target, frames, options)
        work = target.with_name(f"{target.name}.realesrgan")
        finished = sorted(path.name for path in work.glob("*.mkv"))
        assert finished == [f"{number:06}.mkv" for number in range(frames // 10)]
    assert whole(clip, network, target, "--codec", codec, *preset) == expected
    assert leftovers(target) == []


@pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=[pytest.mark.slow]) for seed in range(20)]
)
def test_kills_at_random_times_lose_nothing(
    seed: int, clip: Path, network: Path, undisturbed: tuple[bytes, float], tmp_path: Path
) -> None:
    expected, seconds = undisturbed
    target = tmp_path / "a.mp4"
    chance = random.Random(seed)
    killed = 0
    command = [*COMMAND, "video", str(clip), "-o", str(target), *options_of(network)]
    while not target.exists():
        with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
            try:
                process.wait(chance.uniform(0.2, seconds * 1.2))
            except subprocess.TimeoutExpired:
                process.send_signal(chance.choice([signal.SIGKILL, signal.SIGINT, signal.SIGTERM]))
                process.wait(TIMEOUT)
                killed += 1
            else:
                assert process.stderr is not None
                assert process.returncode == 0, process.stderr.read()
        assert killed < 100
    assert target.read_bytes() == expected
    assert leftovers(target) == []


def frames_made(
    clip: Path, network: Path, target: Path, options: VideoOptions, monkeypatch: pytest.MonkeyPatch
) -> int:
    """Make the rest of a video in this process; how many frames went through the network."""
    upscalers = load_upscalers(network, UpscalerOptions(), ["cpu"], pictures=2)
    upscale_yuv = upscalers[0].upscale_yuv
    made = 0

    def counted(*given: Any) -> None:  # noqa: ANN401 - whatever it takes
        nonlocal made
        made += 1
        upscale_yuv(*given)

    with monkeypatch.context() as patch:
        patch.setattr(upscalers[0], "upscale_yuv", counted)
        VideoRun(clip, target, upscalers, Request(), options).run()
    return made


@pytest.mark.parametrize("stopped", [7, 17])  # within the first and the second segment
def test_what_a_slow_network_made_of_a_segment_is_not_made_again(
    stopped: int, clip: Path, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = VideoOptions(segment_seconds=SEGMENT, encoder_threads=2)
    expected = whole(clip, network, tmp_path / "b.mkv")
    monkeypatch.setattr("realesrgan_vk.video.run._MOST_LOST", 0)
    target = tmp_path / "a.mkv"
    stop_after(clip, network, target, stopped, options)
    stop_after(clip, network, target, stopped + 2, options)  # goes on, and is stopped again
    frames = target.with_name("a.mkv.realesrgan") / "frames"
    content = bytearray(frames.read_bytes())
    content[100] ^= 1  # of the segment's first frame, which is made again
    frames.write_bytes(content + b"half a frame")
    assert frames_made(clip, network, target, options, monkeypatch) == 30 - (stopped + 1) + 1
    assert target.read_bytes() == expected
    assert leftovers(target) == ["b.mkv"]


def test_a_plan_opens_the_encoder_once(
    clip: Path, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    apply = Encoding.apply

    def counted(encoding: Encoding, context: VideoCodecContext) -> None:
        opened.append(encoding.encoder)
        apply(encoding, context)

    monkeypatch.setattr(Encoding, "apply", counted)
    upscalers = load_upscalers(network, UpscalerOptions(), ["cpu"], pictures=2)
    for suffix in ("mkv", "mp4", "mov"):
        VideoRun(clip, tmp_path / f"a.{suffix}", upscalers, Request(), VideoOptions())
    assert len(opened) == 3


def test_a_fast_network_stores_no_frames(clip: Path, network: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.mkv"
    options = VideoOptions(segment_seconds=SEGMENT, encoder_threads=2)
    stop_after(clip, network, target, 17, options)
    assert not (target.with_name("a.mkv.realesrgan") / "frames").exists()


def test_ctrl_c_keeps_what_is_finished(clip: Path, network: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.mkv"
    command = [*COMMAND, "video", str(clip), "-o", str(target), "--json", *options_of(network)]
    process = subprocess.Popen(
        [*command, "--segment-seconds", "0.1"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["event"] == "progress":
            break
    # Progress is printed twice a second: wait for the first segments themselves.
    work = tmp_path / "a.mkv.realesrgan"
    until = time.monotonic() + TIMEOUT
    while len(list(work.glob("*.json"))) < 3 and time.monotonic() < until and work.exists():
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=TIMEOUT)
    if process.returncode == 0:
        pytest.skip("the run ended before it could be interrupted")
    assert process.returncode == 130
    assert json.loads(rest.splitlines()[-1]) == {"event": "interrupted", "done": 0, "videos": 1}
    assert not target.exists()
    assert (work / "000000.mkv").exists()
    assert not list(work.glob("*.part"))


def test_other_settings_are_refused_with_their_names(
    clip: Path, network: Path, tmp_path: Path
) -> None:
    target = tmp_path / "a.mkv"
    stop_after(clip, network, target, 13, VideoOptions(segment_seconds=SEGMENT, encoder_threads=2))
    done = run("video", clip, "-o", target, *options_of(network, "--crf", "30"))
    assert done.returncode == 1
    assert 'crf: "16", now "30"' in done.stderr
    assert "x264" not in done.stderr  # what is the same is not named
    assert "--restart" in done.stderr
    assert len(list((tmp_path / "a.mkv.realesrgan").glob("*.mkv"))) == 1
    again = run("video", clip, "-o", target, *options_of(network, "--crf", "30", "--restart"))
    assert again.returncode == 0, again.stderr
    assert leftovers(target) == []


def test_another_source_of_the_same_name_is_noticed(
    clip: Path, network: Path, tmp_path: Path
) -> None:
    source, target = tmp_path / "s.mp4", tmp_path / "a.mkv"
    shutil.copy(clip, source)
    stop_after(source, network, target, 13, VideoOptions(segment_seconds=SEGMENT))
    video_files.plain(source)
    done = run("video", source, "-o", target, *options_of(network))
    assert done.returncode == 1
    assert "source" in done.stderr


def change_a_bit(path: Path) -> None:
    """In the middle: of a packet, or of a frame's time."""
    content = bytearray(path.read_bytes())
    place = next(place for place in range(len(content) // 2, len(content)) if content[place] > 48)
    content[place] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        lambda work: (work / "record.json").write_text("{"),
        lambda work: (work / "record.json").write_text("[]"),
        lambda work: (work / "000000.json").write_text('{"times": 3}'),
        lambda work: (work / "000000.json").write_text('{"times": [[1e400, 1]]}'),
        lambda work: change_a_bit(work / "000000.mkv"),
        lambda work: change_a_bit(work / "000000.json"),
        lambda work: (work / "000000.mkv").write_bytes(b"\0" * 100),
        lambda work: (work / "000000.mkv").write_bytes((work / "000000.mkv").read_bytes()[:900]),
    ],
)
def test_a_damaged_folder_is_refused(
    damage: object, clip: Path, network: Path, tmp_path: Path
) -> None:
    target = tmp_path / "a.mkv"
    stop_after(clip, network, target, 13, VideoOptions(segment_seconds=SEGMENT))
    work = tmp_path / "a.mkv.realesrgan"
    damage(work)  # type: ignore[operator]  # a function
    done = run("video", clip, "-o", target, *options_of(network))
    assert done.returncode == 1
    assert "--restart" in done.stderr
    assert "frames" not in done.stderr, "it is found before any work"
    assert not target.exists()


def test_a_folder_of_something_else_is_left_alone(
    clip: Path, network: Path, tmp_path: Path
) -> None:
    target = tmp_path / "a.mkv"
    work = tmp_path / "a.mkv.realesrgan"
    work.mkdir()
    (work / "diary.txt").write_text("mine")
    for more in ([], ["--restart"]):
        done = run("video", clip, "-o", target, *options_of(network, *more))
        assert done.returncode == 1
        assert "is in the way" in done.stderr
    assert (work / "diary.txt").read_text() == "mine"


def test_what_follows_a_segment_without_its_record_is_made_again(
    clip: Path, network: Path, tmp_path: Path
) -> None:
    """A run may end between a segment's file and its record."""
    expected = whole(clip, network, tmp_path / "whole.mkv")
    target = tmp_path / "a.mkv"
    stop_after(clip, network, target, 23, VideoOptions(segment_seconds=SEGMENT, encoder_threads=2))
    work = tmp_path / "a.mkv.realesrgan"
    (work / "000001.json").unlink()
    (work / "segment.part").write_bytes(b"half")
    assert whole(clip, network, target) == expected
    assert not work.exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 300 kB."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root on Linux")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)], check=False
    )
    if mounted.returncode != 0:
        pytest.skip("this container may not mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_stops_and_goes_on_after_space_is_made(
    clip: Path, network: Path, small_disk: Path, tmp_path: Path
) -> None:
    crf = ["--crf", "1"]
    expected = whole(clip, network, tmp_path / "whole.mkv", *crf)
    target = small_disk / "a.mkv"
    filler = small_disk / "filler"
    filler.write_bytes(bytes(300_000 - len(expected)))
    done = run("video", clip, "-o", target, *options_of(network, *crf))
    assert done.returncode == 1, done.stderr
    assert "No space left on device" in done.stderr
    assert "run the same command again" in done.stderr
    assert not target.exists()
    filler.unlink()
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    assert whole(clip, network, target, *crf) == expected
    assert leftovers(target) == []


def test_a_run_that_cannot_fit_is_refused_before_its_work(
    clip: Path, network: Path, small_disk: Path
) -> None:
    target = small_disk / "a.mkv"
    done = run("video", clip, "-o", target, *options_of(network, "--lossless", "--height", "2000"))
    assert done.returncode == 1
    assert "are needed beside" in done.stderr
    assert list(small_disk.iterdir()) == []


def test_settings_of_the_folder_are_checked_in_the_process_too(
    clip: Path, network: Path, tmp_path: Path
) -> None:
    target = tmp_path / "a.mkv"
    stop_after(clip, network, target, 13, VideoOptions(segment_seconds=SEGMENT))
    upscalers = load_upscalers(network, UpscalerOptions(tta=True), ["cpu"], pictures=2)
    options = VideoOptions(segment_seconds=SEGMENT)
    with pytest.raises(WorkError, match="tta"):
        VideoRun(clip, target, upscalers, Request(), options).run()


def test_two_runs_do_not_share_a_folder(clip: Path, network: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.mkv"
    refused: list[str] = []
    upscalers = load_upscalers(network, UpscalerOptions(), ["cpu"], pictures=2)
    options = VideoOptions(segment_seconds=SEGMENT)

    def report(progress: VideoProgress) -> None:
        if progress.frames == 5 and not refused:
            other = run("video", clip, "-o", target, *options_of(network, "--restart"))
            assert other.returncode == 1
            refused.append(other.stderr)

    summary = VideoRun(clip, target, upscalers, Request(), options).run(report=report)
    assert "another run is at work in" in refused[0]
    assert summary.frames > 0
    assert leftovers(target) == []


def test_a_lock_in_a_folder_that_another_run_removes_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other run ends between the opening of the file and its locking."""
    fcntl = pytest.importorskip("fcntl")
    lock = tmp_path / "lock"
    monkeypatch.setattr(fcntl, "flock", lambda *_: lock.unlink())
    with pytest.raises(WorkError, match="another run is at work"):
        segments._locked(lock)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc fills memory on request")
@pytest.mark.parametrize("codec", ["x264", "x265", "av1", "vp9", "ffv1", "prores"])
def test_bits_do_not_depend_on_what_was_in_memory(codec: str) -> None:
    """glibc fills what it hands out with a byte; x264's AVX-512 code gave other bits then."""
    photo = Path(skimage.__file__).parent / "data" / "astronaut.png"
    script = [sys.executable, str(Path(__file__).with_name("encode_run.py")), str(photo), codec]
    digests = set()
    for byte in ("0", "77", "165"):
        environment = os.environ | {"MALLOC_PERTURB_": byte, "SVT_LOG": "-1"}
        environment["PYTHONPATH"] = str(Path(__file__).parents[1])
        done = subprocess.run(
            script, capture_output=True, text=True, check=True, env=environment, timeout=TIMEOUT
        )
        digests.add(done.stdout)
    assert len(digests) == 1


def test_a_run_that_was_killed_as_it_named_its_result_ends(
    clip: Path, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a.mkv"
    upscalers = load_upscalers(network, UpscalerOptions(), ["cpu"], pictures=2)
    options = VideoOptions(segment_seconds=SEGMENT, encoder_threads=2)

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("shutil.copymode", fail)
        with pytest.raises(KeyboardInterrupt):
            VideoRun(clip, target, upscalers, Request(), options).run()
    work = tmp_path / "a.mkv.realesrgan"
    assert len(list(work.iterdir())) == 1, "the result alone is left"
    other = run("video", clip, "-o", target, *options_of(network, "--crf", "30"))
    assert other.returncode == 1
    assert "other settings" in other.stderr
    assert whole(clip, network, target) == whole(clip, network, tmp_path / "b.mkv")
    assert not work.exists()


@pytest.mark.parametrize(
    "names", [[], ["lock"], [".realesrgan-vk-host_name-7-0a.part", "lock"], ["segment.part"]]
)
def test_what_a_kill_leaves_of_an_empty_folder_is_no_hindrance(
    names: list[str], clip: Path, network: Path, tmp_path: Path
) -> None:
    target = tmp_path / "a.mkv"
    work = tmp_path / "a.mkv.realesrgan"
    work.mkdir()
    for name in names:
        (work / name).write_bytes(b"half")
    whole(clip, network, target)
    assert leftovers(target) == []


SHORT = ("--segment-seconds", "0.12")  # three frames: there are ten segments


def shard(clip: Path, network: Path, target: Path, which: str, *more: str) -> str:
    done = run("video", clip, "-o", target, "--shard", which, *options_of(network, *SHORT, *more))
    assert done.returncode == 0, done.stderr
    assert not target.exists()
    return done.stderr


@pytest.mark.parametrize(("count", "suffix"), [(2, "mp4"), (3, "mkv"), (13, "mkv")])
def test_shards_make_the_same_bytes_in_any_order(
    count: int, suffix: str, clip: Path, network: Path, tmp_path: Path
) -> None:
    """With 13 shards some have no segment."""
    (tmp_path / "whole").mkdir()
    (tmp_path / "shards").mkdir()
    expected = whole(clip, network, tmp_path / "whole" / f"a.{suffix}", *SHORT)
    target = tmp_path / "shards" / f"a.{suffix}"
    work = target.with_name(f"{target.name}.realesrgan")
    for number in reversed(range(count)):
        shard(clip, network, target, f"{number}/{count}")
        made = {int(path.stem) for path in work.glob("*.mkv")}
        assert made == {n for n in range(10) if n % count >= number}
    assert whole(clip, network, target, *SHORT) == expected
    assert leftovers(target) == []


def test_a_run_makes_what_shards_left_out(clip: Path, network: Path, tmp_path: Path) -> None:
    expected = whole(clip, network, tmp_path / "b.mkv", *SHORT)
    target = tmp_path / "a.mkv"
    shard(clip, network, target, "1/3")
    shard(clip, network, target, "2/3")
    done = run("video", clip, "-o", target, *options_of(network, *SHORT), "--json")
    last = json.loads(done.stdout.splitlines()[-2])
    assert last["event"] == "done"
    assert (last["frames"], last["resumed"]) == (30, 18)
    assert target.read_bytes() == expected


def test_shards_run_at_the_same_time_and_go_on_after_kills(
    clip: Path, network: Path, tmp_path: Path
) -> None:
    """Each is killed whenever it has finished a segment more, however long that takes."""
    expected = whole(clip, network, tmp_path / "b.mkv", *SHORT)
    target = tmp_path / "a.mkv"
    work = target.with_name(f"{target.name}.realesrgan")
    words = [str(clip), "-o", str(target), *options_of(network, *SHORT)]
    waiting = set(range(3))
    kills = 0

    def finished(number: int) -> int:
        return sum(int(path.stem) % 3 == number for path in work.glob("[0-9]*.json"))

    while waiting:
        before = {number: finished(number) for number in waiting}
        running = {
            number: subprocess.Popen([*COMMAND, "video", *words, "--shard", f"{number}/3"])
            for number in waiting
        }
        for number, process in running.items():
            while process.poll() is None and finished(number) == before[number]:
                time.sleep(0.01)
            if process.poll() is None:
                process.kill()
                process.wait(TIMEOUT)
                kills += 1
            else:
                assert process.returncode == 0
                waiting.discard(number)
    assert kills
    assert whole(clip, network, target, *SHORT) == expected
    assert leftovers(target) == ["b.mkv"]


def test_a_run_and_a_shard_do_not_share_a_folder(clip: Path, network: Path, tmp_path: Path) -> None:
    pytest.importorskip("fcntl", reason="Windows has no shared locks")
    target = tmp_path / "a.mkv"
    upscalers = load_upscalers(network, UpscalerOptions(), ["cpu"], pictures=2)
    options = VideoOptions(segment_seconds=SEGMENT, encoder_threads=2)
    refused: list[str] = []

    def other(*more: str) -> str:
        done = run("video", clip, "-o", target, *options_of(network, *more))
        assert done.returncode == 1
        return done.stderr

    def report(progress: VideoProgress) -> None:
        if progress.frames == 5 and not refused:
            refused.extend(other(*more) for more in others)

    others = [[], ["--shard", "0/2"]]
    planned = VideoRun(clip, target, upscalers, Request(), options)
    planned.run(shard=Shard(0, 2), report=report)
    others = [["--shard", "0/2"]]
    whole_run = VideoRun(clip, target, upscalers, Request(), options)
    first = [*refused]
    refused.clear()
    whole_run.run(report=lambda progress: None if refused else refused.append(other(*others[0])))
    assert all("another run is at work in" in words for words in (*first, *refused))
    assert len(first) == 2
    assert leftovers(target) == []


def test_shards_of_other_settings_are_refused(clip: Path, network: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.mkv"
    shard(clip, network, target, "0/2")
    words = ("--shard", "1/2", "--crf", "30")
    done = run("video", clip, "-o", target, *options_of(network, *SHORT, *words))
    assert done.returncode == 1
    assert "other settings" in done.stderr
    done = run(
        "video", clip, "-o", target, *options_of(network, *SHORT, "--shard", "1/2", "--restart")
    )
    assert done.returncode == 2
    assert "give only one of restart and shard" in done.stderr
