"""Faces in videos: followed over the frames around each one, without flicker, and resumable.

The network that restores is one 3x3 convolution, whose files are written here.
"""

from __future__ import annotations

import math
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import pytest
import video_files
from command import COMMAND, run_here
from compact_network import write_compact
from faces_extra import detector_weights, photograph, write_sharpener
from h273 import planes_by_h273
from numpy.typing import NDArray
from PIL import Image

from realesrgan_vk import FaceOptions, ModelError, YuvFormat
from realesrgan_vk.batch.workers import load_upscalers
from realesrgan_vk.faces.align import CROP, TEMPLATE, Floats, to_crop
from realesrgan_vk.faces.detect import detect
from realesrgan_vk.faces.enhance import FaceEnhancer
from realesrgan_vk.faces.face import Face
from realesrgan_vk.faces.paste import mask_at
from realesrgan_vk.imaging.samples import from_unit
from realesrgan_vk.options import Progress, Request, Shard, UpscalerOptions
from realesrgan_vk.video import VideoFrame, VideoOptions, VideoReader, WorkError, upscale
from realesrgan_vk.video.faces import RADIUS, Window, find_all, windows
from realesrgan_vk.video.run import VideoProgress, VideoRun

FORM = YuvFormat(matrix="bt601", full_range=True)
FACES = FaceOptions()
LOSSLESS = VideoOptions(codec="ffv1", segment_seconds=0.12, encoder_threads=1)
SEGMENT = 3  # frames of LOSSLESS: fewer than a frame's faces depend on


@pytest.fixture(scope="module")
def weights() -> Path:
    return detector_weights()


@pytest.fixture(autouse=True, scope="module")
def _looks_are_remembered() -> Iterator[None]:
    """The same pictures are looked at in many runs; a look takes most of a run's time."""
    known: dict[tuple[bytes, FaceOptions], list[Face]] = {}

    def remembered(pixels: NDArray[np.uint8], options: FaceOptions) -> list[Face]:
        key = (pixels.tobytes(), replace(options, model="", strength=1))
        if key not in known:
            known[key] = detect(pixels, options)
        return known[key]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("realesrgan_vk.faces.enhance.detect", remembered)
        yield


def frame(number: int, grey: int = 100) -> VideoFrame:
    """A frame of which only its number and its brightness are of interest."""
    planes = (np.full((32, 32), grey, np.uint8), *(np.full((16, 16), 128, np.uint8),) * 2)
    planes[0][0, 0] = number
    return VideoFrame(planes, FORM, None, number, 1, Fraction(1, 25))


def face(x: float, y: float = 50, size: float = 40, degrees: float = 0) -> Face:
    angle = math.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = (TEMPLATE - TEMPLATE.mean(axis=0)) * (size / CROP) @ turn.T + (x, y)
    return Face((x - size / 2, y - size / 2, size, size), 0.9, points)


def followed(
    faces: Sequence[list[Face]],
    options: FaceOptions = FACES,
    grey: Callable[[int], int] = lambda _: 100,
) -> list[list[tuple[Face, float]]]:
    """What is restored in each frame, where these faces are found in them."""
    frames = [frame(number, grey(number)) for number in range(len(faces))]
    numbers = {float(np.round(one.rgb()[0, 0, 0], 5)): n for n, one in enumerate(frames)}

    def find(pixels: NDArray[np.float32]) -> list[Face]:
        return faces[numbers[float(np.round(pixels[0, 0, 0], 5))]]

    return [window.faces(find, options) for window in windows(frames)]


def centre(one: Face) -> NDArray[np.float64]:
    middle: NDArray[np.float64] = one.landmarks.mean(axis=0)
    return middle


def test_each_frame_has_those_around_it() -> None:
    frames = [frame(number) for number in range(3 * RADIUS)]
    taken = []

    def source() -> Iterator[VideoFrame]:
        for one in frames:
            taken.append(one)
            yield one

    made: list[Window] = []
    for window in windows(source()):
        made.append(window)
        assert len(taken) <= len(made) + RADIUS, "frames are taken as late as can be"
    assert [window.frame for window in made] == frames
    own = [window.sight for window in made]
    for number, window in enumerate(made):
        assert window.before == tuple(own[max(0, number - RADIUS) : number][::-1])
        assert window.after == tuple(own[number + 1 : number + 1 + RADIUS])


@pytest.mark.parametrize("count", [0, 1, RADIUS, RADIUS + 1])
def test_videos_shorter_than_a_window(count: int) -> None:
    frames = [frame(number) for number in range(count)]
    assert [window.frame for window in windows(frames)] == frames


def test_equal_frames_are_looked_at_once() -> None:
    frames = [frame(number) for number in (0, 1, 1, 1, 2)]
    looks = []

    def find(pixels: NDArray[np.float32]) -> list[Face]:
        looks.append(pixels)
        return [face(50)]

    assert all(len(window.faces(find, FACES)) == 1 for window in windows(frames))
    assert len(looks) == 3


def test_faces_depend_on_the_window_alone() -> None:
    rng = np.random.default_rng(1)
    faces = [[face(40 + n + rng.normal(), size=40 + rng.normal())] for n in range(40)]
    whole = followed(faces)
    for first in (5, 17, 30):
        part = followed(faces[first - RADIUS :])
        for mine, other in zip(part[RADIUS:], whole[first:], strict=True):
            assert np.array_equal(mine[0][0].landmarks, other[0][0].landmarks)
            assert mine[0][1] == other[0][1]


def test_a_face_in_even_motion_stays_where_it_is() -> None:
    """At the video's beginning and end, too."""
    faces = [[face(30 + 1.5 * n, 60 - n, size=30 + 0.5 * n)] for n in range(25)]
    for (one,), found in zip(faces, followed(faces), strict=True):
        ((smooth, share),) = found
        assert share == 1
        assert np.abs(smooth.landmarks - one.landmarks).max() < 1e-9
        assert np.allclose(smooth.box, one.box)


def test_jitter_becomes_less() -> None:
    rng = np.random.default_rng(2)
    steady = [face(40 + 10 * math.sin(n / 10)) for n in range(200)]
    noisy = [Face(f.box, f.score, f.landmarks + rng.normal(0, 0.3, (5, 2))) for f in steady]
    smooth = [found[0][0] for found in followed([[one] for one in noisy])]

    def away(faces: Sequence[Face], order: int) -> float:
        """RMS of the landmarks' error, or of its differences from frame to frame."""
        pairs = zip(faces, steady, strict=True)
        error = np.array([mine.landmarks - true.landmarks for mine, true in pairs])
        return float(np.sqrt((np.diff(error, order, axis=0) ** 2).mean()))

    assert away(smooth, 1) < 0.2 * away(noisy, 1)
    assert away(smooth, 0) < 0.6 * away(noisy, 0)


def test_a_face_that_one_frame_misses_is_restored_there() -> None:
    faces = [[face(40 + n)] for n in range(20)]
    faces[9] = []
    ((between, share),) = followed(faces)[9]
    assert share == 1
    assert np.allclose(between.landmarks, face(49).landmarks)


def test_a_face_comes_and_goes_over_several_frames() -> None:
    faces = [[face(50)] if 15 <= n < 30 else [] for n in range(45)]
    shares = [found[0][1] if found else 0.0 for found in followed(faces)]
    assert shares[:12] == [0] * 12
    assert shares[33:] == [0] * 12
    assert shares[18:27] == [1] * 9
    assert np.abs(np.diff(shares)).max() < 0.6
    assert 0 < shares[15] < 1
    assert 0 < shares[29] < 1


def test_what_one_frame_takes_for_a_face_is_none() -> None:
    faces: list[list[Face]] = [[] for _ in range(15)]
    faces[7] = [face(50)]
    assert followed(faces) == [[]] * 15


@pytest.mark.parametrize(
    "other",
    [face(50 + 0.6 * 40), face(50, size=70), face(50, degrees=140)],
    ids=["elsewhere", "larger", "upside down"],
)
def test_another_face_is_not_followed(other: Face) -> None:
    """One frame alone has it, so it is taken for a mistake, and the face itself is not moved."""
    faces = [[face(50)] for _ in range(15)]
    faces[7] = [other]
    for found in followed(faces):
        ((one, _),) = found
        assert np.allclose(one.landmarks, face(50).landmarks)


def test_nothing_is_followed_across_a_cut() -> None:
    """The face of the next scene is in nearly the same place."""
    faces = [[face(50)] if n < 10 else [face(60, 58)] for n in range(20)]
    for number, found in enumerate(followed(faces, grey=lambda n: 60 if n < 10 else 160)):
        ((one, share),) = found
        assert share == 1
        assert np.allclose(one.landmarks, faces[number][0].landmarks)


def test_two_faces_that_pass_each_other() -> None:
    faces = [[face(20 + 3 * n, 40, 30), face(110 - 3 * n, 75, 30)][:: 1 - 2 * (n % 2)]
             for n in range(30)]  # fmt: skip
    for number, found in enumerate(followed(faces)):
        assert [share for _, share in found] == [1, 1]
        rows = sorted((one for one, _ in found), key=lambda one: one.landmarks[0, 1])
        assert np.allclose(rows[0].landmarks, face(20 + 3 * number, 40, 30).landmarks)
        assert np.allclose(rows[1].landmarks, face(110 - 3 * number, 75, 30).landmarks)


@pytest.mark.parametrize("options", [FaceOptions(only="largest"), FaceOptions(max_faces=1)])
def test_the_largest_face_is_the_same_one_in_all_frames(options: FaceOptions) -> None:
    """Its size jitters by more than the other one is smaller."""
    rng = np.random.default_rng(3)
    faces = [
        [face(30, size=40 + rng.normal()), face(90, size=39 + rng.normal())] for _ in range(40)
    ]
    every = find_all(options)
    assert (every.only, every.max_faces) == ("all", None)
    lefts = [found[0][0].landmarks[0, 0] < 60 for found in followed(faces, options)]
    assert sum(a != b for a, b in pairwise(lefts)) <= 2
    assert sum(lefts) > 36


# With pictures


def camera(count: int, *, noise: float = 3, empty: int = 0) -> list[NDArray[np.uint8]]:
    """A camera's pictures of the astronaut's head, 96 x 112 pixels, moving by parts of a pixel.

    Behind them `empty` pictures of bricks.
    """
    rng = np.random.default_rng(5)
    head = photograph("astronaut.png").crop((60, 0, 400, 280)).resize((170, 140))
    pictures = []
    for number in range(count):
        left, top = 24 + 14 * math.sin(number / 7), 4 + 4 * math.cos(number / 9)
        moved = head.transform(
            (112, 96), Image.Transform.AFFINE, (1, 0, left, 0, 1, top), Image.Resampling.BICUBIC
        )
        noisy = np.asarray(moved) + rng.normal(0, noise, (96, 112, 3))
        pictures.append(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))
    bricks = np.asarray(photograph("brick.png"))
    pictures += [bricks[n : n + 96, :112] for n in range(empty)]
    return pictures


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """14 frames with a face, and 7 without one."""
    path = tmp_path_factory.mktemp("clip") / "clip.mkv"
    form = video_files.pixel_format("yuv420p")
    frames = [planes_by_h273(picture / 255, form) for picture in camera(14, empty=7)]
    with video_files.ClipFile(path) as file:
        file.video(frames, video_files.seconds(len(frames)), "ffv1", "yuv420p", tags="bt601")
    return path


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_compact(tmp_path_factory.mktemp("network"), "net")


@pytest.fixture(scope="module")
def restorer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sharpener(tmp_path_factory.mktemp("restorer"))


class Plans:
    """Runs of the clip, on one core."""

    def __init__(self, clip: Path, network: Path, restorer: Path) -> None:
        self.clip = clip
        self.restorer = restorer
        self.upscalers = load_upscalers(network, UpscalerOptions(threads=1), ["cpu"], pictures=2)

    def __call__(
        self,
        target: Path,
        faces: FaceOptions | None = FACES,
        options: VideoOptions = LOSSLESS,
    ) -> VideoRun:
        """A run; with faces they are restored by the test's own network, if no other is named."""
        if faces is not None and faces.model == FACES.model:
            faces = replace(faces, model=str(self.restorer))
        return VideoRun(self.clip, target, self.upscalers, Request(faces=faces), options)


@pytest.fixture(scope="module")
def plan(clip: Path, network: Path, restorer: Path, weights: Path) -> Plans:
    return Plans(clip, network, restorer)


@pytest.fixture(scope="module")
def made(plan: Plans, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The clip's result in one go."""
    target = tmp_path_factory.mktemp("whole") / "a.mkv"
    plan(target).run()
    return target.read_bytes()


@pytest.mark.parametrize("frames", [1, 4, 8, 13, 19])
def test_a_run_that_goes_on_makes_the_same_bytes(
    frames: int, made: bytes, plan: Plans, tmp_path: Path
) -> None:
    target = tmp_path / "a.mkv"

    def report(progress: VideoProgress) -> None:
        if progress.frames >= frames:
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        plan(target).run(report=report)
    finished = list((tmp_path / "a.mkv.realesrgan").glob("*.mkv"))
    assert len(finished) == (frames - 1) // SEGMENT
    summary = plan(target).run()
    assert summary.resumed == len(finished) * SEGMENT
    assert target.read_bytes() == made


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bytes(
    clip: Path, network: Path, restorer: Path, weights: Path, tmp_path: Path
) -> None:
    """Killed once after the first segment and once anywhere."""
    options: list[str | Path] = ["-m", network, "-d", "cpu", "--codec", "ffv1", "--quiet"]
    options += ["--encoder-threads", "1"]
    options += ["--segment-seconds", "0.12", "--faces", "--face-model", restorer]
    whole, target = tmp_path / "whole.mkv", tmp_path / "killed.mkv"
    done = run_here("video", clip, "-o", whole, *options)
    assert done.returncode == 0, done.stderr
    command = [*COMMAND, "video", str(clip), "-o", str(target), *map(str, options)]
    work = tmp_path / "killed.mkv.realesrgan"
    seed = random.SystemRandom().randrange(2**32)
    for wait in (0.0, random.Random(seed).uniform(0, 2)):
        with subprocess.Popen(command) as process:
            while process.poll() is None and not (work / "000000.json").exists():
                time.sleep(0.01)
            time.sleep(wait)
            process.send_signal(signal.SIGKILL)
    # A kill between the removal of the segments and the last rename leaves the result there.
    assert target.exists() or any(work.iterdir()), f"seed {seed}"
    done = run_here("video", clip, "-o", target, *options)
    assert done.returncode == 0, done.stderr
    assert target.read_bytes() == whole.read_bytes(), f"seed {seed}"
    assert not work.exists()


@pytest.mark.parametrize("count", [2, 5])
def test_shards_make_the_same_bytes(count: int, made: bytes, plan: Plans, tmp_path: Path) -> None:
    target = tmp_path / "a.mkv"
    for number in reversed(range(count)):
        plan(target).run(shard=Shard(number, count))
    summary = plan(target).run()
    assert summary.resumed == summary.frames == 21
    assert target.read_bytes() == made


def test_another_length_of_segments_makes_the_same_samples(
    made: bytes, plan: Plans, tmp_path: Path
) -> None:
    (tmp_path / "short.mkv").write_bytes(made)
    options = VideoOptions(codec="ffv1", encoder_threads=1)
    plan(tmp_path / "a.mkv", options=options).run()
    mine, others = (video_files.decoded(tmp_path / name) for name in ("a.mkv", "short.mkv"))
    assert all(map(np.array_equal, chain(*mine), chain(*others)))


def test_the_faces_change_and_nothing_else(made: bytes, plan: Plans, tmp_path: Path) -> None:
    (tmp_path / "faces.mkv").write_bytes(made)
    plan(tmp_path / "plain.mkv", None).run()
    with VideoReader(plan.clip) as reader:
        sources = list(reader)
    plain = video_files.decoded(tmp_path / "plain.mkv")
    restored = video_files.decoded(tmp_path / "faces.mkv")
    enhancer = FaceEnhancer(lambda crop, _: crop)
    found = [
        window.faces(lambda pixels: enhancer.find(pixels, FACES), FACES)
        for window in windows(sources)
    ]
    assert [len(faces) for faces in found][:13] == [1] * 13
    assert [len(faces) for faces in found][15:] == [0] * 6
    x, y = np.meshgrid(np.arange(224) + 0.5, np.arange(192) + 0.5)
    points = np.stack([x, y], -1).reshape(-1, 2)
    for faces, before, after in zip(found, plain, restored, strict=True):
        changed = before[0] != after[0]
        covered = np.zeros(changed.shape, bool)
        for one, _ in faces:
            mask = mask_at(to_crop(one.landmarks).of_scaled(2, 2)(points))
            covered |= mask.reshape(changed.shape) > 0
        assert not changed[~covered].any()
        assert changed.any() == bool(faces)


def test_without_strength_the_result_is_that_without_faces(plan: Plans, tmp_path: Path) -> None:
    plan(tmp_path / "plain.mkv", None).run()
    plan(tmp_path / "none.mkv", FaceOptions(strength=0)).run()
    assert (tmp_path / "plain.mkv").read_bytes() == (tmp_path / "none.mkv").read_bytes()


def test_other_faces_are_other_settings(plan: Plans, tmp_path: Path) -> None:
    target = tmp_path / "a.mkv"
    plan(target).run(shard=Shard(1, 2))
    other = plan(target, FaceOptions(strength=0.4))
    with pytest.raises(WorkError, match="strength"):
        other.run()
    changed = write_sharpener(tmp_path)  # of the same name, with another network
    changed.with_suffix(".bin").write_bytes(changed.with_suffix(".bin").read_bytes()[:-4] + b"1234")
    with pytest.raises(WorkError, match="files"):
        plan(target, FaceOptions(model=str(changed))).run()


def test_the_call_and_the_command_make_the_same(
    clip: Path, network: Path, restorer: Path, weights: Path, tmp_path: Path
) -> None:
    faces = FaceOptions(model=str(restorer), strength=0.5, only="largest")
    options = VideoOptions(codec="ffv1", encoder_threads=1, end=0.2)
    one, other = tmp_path / "call.mkv", tmp_path / "command.mkv"
    upscale(clip, one, model=network, device="cpu", faces=faces, options=options)
    done = run_here(
        "video", clip, "-o", other, "-m", network, "-d", "cpu", "--codec", "ffv1", "--end", "0.2",
        "--encoder-threads", "1", "--faces", "--face-strength", "0.5", "--face-only", "largest",
        "--face-model", restorer, "--quiet",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert one.read_bytes() == other.read_bytes()


def test_without_the_network_one_message_says_how_to_get_it(
    clip: Path, network: Path, weights: Path, tmp_path: Path
) -> None:
    target = tmp_path / "a.mkv"
    with pytest.raises(ModelError, match=r"realesrgan-vk models pull gfpgan-1\.4"):
        upscale(clip, target, model=network, device="cpu", faces=True)
    done = run_here("video", clip, "-o", target, "-m", network, "-d", "cpu", "--faces")
    assert done.returncode == 2
    assert "realesrgan-vk models pull gfpgan-1.4" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_restored_face_changes_no_more_than_the_video_does(weights: Path) -> None:
    """From frame to frame, with a "restorer" that draws a fixed pattern into the crop.

    What changes in the drawn part beyond the pattern's motion with the face is flicker. The motion
    is known here; the pattern moved by it is what a detector without errors gives.
    """
    pictures = camera(12, noise=6)
    frames = [
        VideoFrame(
            tuple(planes_by_h273(picture / 255, FORM_444)), FORM_444, None, n, 1, Fraction(1, 25)
        )
        for n, picture in enumerate(pictures)
    ]
    every = find_all(FACES)

    def find(pixels: NDArray[np.float32]) -> list[Face]:
        return detect(from_unit(pixels, np.dtype(np.uint8)), every)

    smooth = [window.faces(find, FACES) for window in windows(frames)]
    single = [find(one.rgb()) for one in frames]
    assert [len(found) for found in smooth] == [len(found) for found in single] == [1] * 12
    grid = np.arange(CROP) / 12
    pattern = (0.5 + 0.3 * np.sin(grid)[:, None] * np.sin(grid)[None])[..., None]

    def draw(crop: Floats, progress: Progress | None) -> Floats:
        return np.repeat(pattern, 3, axis=2).astype(np.float32)

    motion = [np.array([24 + 14 * math.sin(n / 7), 4 + 4 * math.cos(n / 9)]) for n in range(12)]
    base = np.mean([found[0].landmarks + at for found, at in zip(single, motion, strict=True)], 0)

    def flicker(faces: Sequence[Face]) -> float:
        """RMS of the difference from the steady pattern, its change from frame to frame."""
        grey = np.full((192, 224, 3), 0.5, np.float32)
        small = np.full((96, 112, 3), 0.5, np.float32)
        errors = []
        for one, at in zip(faces, motion, strict=True):
            steady = Face(one.box, one.score, base - at)
            drawn, true = (
                FaceEnhancer(draw).enhance(small, [each], grey.copy(), FaceOptions(strength=1))
                for each in (one, steady)
            )
            errors.append(drawn - true)
        return float(np.sqrt((np.diff(np.array(errors), axis=0) ** 2).mean()))

    assert flicker([found[0][0] for found in smooth]) < 0.5 * flicker([f[0] for f in single])


FORM_444 = YuvFormat(matrix="bt601", full_range=True, subsampling=(1, 1))
