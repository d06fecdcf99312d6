"""Videos on a Ray cluster: two worker processes on this machine make the segments."""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import ray_cluster
import video_files
from command import run_here
from compact_network import write_compact

from realesrgan_vk.batch.cluster import Cluster
from realesrgan_vk.options import Request, Shard, UpscalerOptions
from realesrgan_vk.upscaler import Upscaler
from realesrgan_vk.video import VideoOptions, ray, upscale
from realesrgan_vk.video.run import VideoProgress, VideoRun
from realesrgan_vk.video.segments import Segment

SHORT = VideoOptions(segment_seconds=0.12, encoder_threads=2)  # three frames: ten segments
ONE, TWO = (Cluster(workers=workers, gpus_per_worker=0) for workers in (1, 2))


@pytest.fixture(scope="module", autouse=True)
def _environment() -> Iterator[None]:
    yield from ray_cluster.environment()


@pytest.fixture(scope="module", autouse=True)
def two_cores(_environment: None) -> Iterator[ModuleType]:
    yield from ray_cluster.of_two_cores()


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_compact(tmp_path_factory.mktemp("network"), "net")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty frames with sound, in open GOPs of B-frames."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    video_files.open_gop(path, "libx264")
    return path


@pytest.fixture(scope="module")
def expected(clip: Path, network: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The result of one process."""
    target = tmp_path_factory.mktemp("whole") / "a.mkv"
    upscale(clip, target, model=network, device="cpu", options=SHORT)
    return target.read_bytes()


def only(target: Path) -> bool:
    """Whether there is no other file beside it."""
    return [path.name for path in target.parent.iterdir()] == [target.name]


@pytest.mark.parametrize("when", ["begun", pytest.param("made", marks=pytest.mark.slow)])
def test_a_killed_workers_segment_is_made_again(  # noqa: PLR0917 - fixtures
    when: str,
    clip: Path,
    network: Path,
    expected: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One is killed when it has begun a segment, or has made it and not told."""
    marker = str(tmp_path / "killed")

    class Killed(ray._Process):
        def kill_once(self) -> None:
            try:
                os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return
            os.kill(os.getpid(), signal.SIGKILL)

        def _begin(self, number: int, task: int) -> None:
            if when == "begun" and task == 5:
                self.kill_once()
            ray._Process._begin(self, number, task)

        def _end(self, number: int, segment: Segment | None) -> None:
            if when == "made" and number == 4:
                self.kill_once()
            ray._Process._end(self, number, segment)

    monkeypatch.setattr(ray.RayVideos, "_process", lambda _: Killed)
    target = tmp_path / "out" / "a.mkv"
    notes: list[str] = []
    fractions: list[float] = []
    target.parent.mkdir()
    summary = upscale(
        clip,
        target,
        model=network,
        options=SHORT,
        cluster=TWO,
        note=notes.append,
        progress=lambda progress: fractions.append(progress.fraction),
    )
    assert Path(marker).exists()
    assert any(words.startswith("a worker ended; another one is started") for words in notes)
    assert target.read_bytes() == expected
    assert only(target)
    assert (summary.frames, summary.resumed) == (30, 0)
    assert max(fractions) == 1


def test_a_run_goes_on_and_leaves_off(
    clip: Path, network: Path, expected: bytes, tmp_path: Path
) -> None:
    """A shard's segments are taken over; then a run is stopped, and one process ends it."""
    target = tmp_path / "a.mkv"
    upscaler = Upscaler(network, device="cpu")
    planned = VideoRun(clip, target, [upscaler], Request(), SHORT)
    planned.run(shard=Shard(1, 3))

    def stop(progress: VideoProgress) -> None:
        assert progress.frames > 9
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        upscale(clip, target, model=network, options=SHORT, cluster=ONE, progress=stop)
    assert not target.exists()
    whole = VideoRun(clip, target, [upscaler], Request(), SHORT).run()
    assert 9 < whole.resumed <= 30
    assert target.read_bytes() == expected
    assert only(target)


@pytest.mark.parametrize(
    "frames", [0, pytest.param(4, marks=pytest.mark.slow), pytest.param(99, marks=pytest.mark.slow)]
)
def test_the_number_of_frames_need_not_be_known(
    frames: int, clip: Path, network: Path, expected: bytes, tmp_path: Path
) -> None:
    target = tmp_path / "a.mkv"
    driver = ray.RayVideos(network, UpscalerOptions(), ONE, lambda _: None)
    run = driver.plan(clip, target, Request(), SHORT)
    run.planned.info = replace(run.planned.info, frames=frames)
    assert run.run().frames == 30
    assert target.read_bytes() == expected
    assert only(target)


def test_the_command_takes_several_videos(
    clip: Path, network: Path, expected: bytes, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    for name in "ab":
        (tmp_path / "in" / f"{name}.mp4").symlink_to(clip)
    (tmp_path / "in" / "broken.mp4").write_bytes(b"no video")
    words = ["-m", str(network), "--segment-seconds", "0.12", "--encoder-threads", "2"]
    words += ["--container", "matroska", "--ray-workers", "1"]
    done = run_here("video", tmp_path / "in", "-o", f"{tmp_path}/out/", *words, "--ray")
    assert done.returncode == 1, done.stderr
    assert "broken.mp4" in done.stderr
    made = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert made == {"a.mkv": expected, "b.mkv": expected}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--ray-workers", "2"], "--ray-workers is for --ray"),
        (["--shard", "0/2", "--ray"], "--shard is of runs on this machine"),
        (["--plan", "--ray"], "--plan is of runs on this machine"),
        (["-d", "cpu", "-d", "0", "--ray"], "give one --device"),
    ],
)
def test_the_command_refuses(words: list[str], told: str, clip: Path) -> None:
    done = run_here("video", clip, *words)
    assert done.returncode == 2
    assert told in " ".join(done.stderr.split())
