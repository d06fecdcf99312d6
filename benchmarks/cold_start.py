"""How long a new process takes until its first picture can start, against PyPI's `ncnn` wheel.

    python benchmarks/cold_start.py --device 0 --json cold.json

Ours: from the process' start (interpreter and what `Upscaler` imports included) until the weights
are on the device and every pipeline is made, and what the first run takes longer than later ones.
The wheel, without interpreter and imports: loading, and what its first run takes longer than later
ones. What the first picture imports (NumPy, Pillow, libvips) is in neither. Both with warm caches
(one run each before the measured ones), in turns, a process each time; the median of the rounds
counts. Exits with 1 when ours takes more than `--limit` of the wheel's time.

Beside it stand the processor's time, for a busy machine; ours with the imports for pictures, and
without interpreter and any imports, which is what the wheel's is; and for both everything from the
process' start to the end of the first picture.

Mesa's drivers keep compiled shaders on disk, where they find what an engine compiled before;
`--no-driver-cache` switches that off. Its software driver then compiles at the first run.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

LATER_RUNS = 5
"""With whose middle the first run is compared."""


@dataclass(frozen=True)
class Start:
    """One process' start."""

    seconds: float
    cpu_seconds: float
    """Of all threads together."""
    with_pictures_seconds: float
    """With what the first picture imports."""
    imported_seconds: float
    """Without interpreter and imports."""
    first_run_more: float
    """What of it the first run took longer than later ones."""
    first_picture_seconds: float
    """From the process' start to the end of the first run."""


@dataclass(frozen=True)
class Clock:
    """Where a span began."""

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> "Clock":
        """This moment; the wall clock is the same in all processes of the machine."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        return cls(time.monotonic(), used.ru_utime + used.ru_stime)

    def since(self, start: "Clock") -> "Clock":
        """The span from `start` to here."""
        return Clock(self.wall - start.wall, self.cpu - start.cpu)


def first_run_more(run: Callable[[], object]) -> tuple[Clock, float]:
    """What the first run takes longer than others, and when it ended.

    A driver may put off work until then.
    """
    times = [Clock.now()]
    for _ in range(1 + LATER_RUNS):
        run()
        times.append(Clock.now())
    first, *later = (end.since(start) for start, end in pairwise(times))
    usual = Clock(
        statistics.median(span.wall for span in later), statistics.median(s.cpu for s in later)
    )
    return first.since(usual), times[1].wall


def start_ours(model: str, device: int, side: int, began: float) -> Start:
    """Make our engine ready."""
    # ruff: noqa: PLC0415 - imports are part of what is measured, each engine's its own
    from realesrgan_vk import Upscaler

    imported = Clock.now()
    upscaler = Upscaler(model, device=device, precision="fp16")
    upscaler.prepare((side, side))
    ready = Clock.now()

    import numpy as np

    import realesrgan_vk.processing.processor  # noqa: F401 - as it would be by the first picture

    can_take_pictures = Clock.now()
    picture = np.zeros((side, side, 3), np.uint8)
    first, end = first_run_more(lambda: upscaler.upscale(picture))
    return Start(
        seconds=ready.wall - began + first.wall,
        cpu_seconds=ready.cpu + first.cpu,
        with_pictures_seconds=can_take_pictures.wall - began + first.wall,
        imported_seconds=ready.since(imported).wall + first.wall,
        first_run_more=first.wall,
        first_picture_seconds=end - began,
    )


def start_ncnn(param: str, device: int, side: int, began: float) -> Start:
    """Make the `ncnn` wheel ready: its default options, the whole picture at once."""
    import ncnn
    import numpy as np

    planes = np.zeros((3, side, side), np.float32)  # named: the Mat only borrows it
    picture = ncnn.Mat(planes)
    start = Clock.now()
    net = ncnn.Net()
    net.opt.use_vulkan_compute = True
    net.set_vulkan_device(device)
    if net.load_param(param) or net.load_model(str(Path(param).with_suffix(".bin"))):
        raise RuntimeError(f"ncnn cannot load {param}")
    loaded = Clock.now().since(start)

    def run() -> None:
        extractor = net.create_extractor()
        extractor.input(net.input_names()[0], picture)
        code, _result = extractor.extract(net.output_names()[0])
        if code:
            raise RuntimeError(f"ncnn fails with code {code}")

    first, end = first_run_more(run)
    seconds = loaded.wall + first.wall
    return Start(
        seconds=seconds,
        cpu_seconds=loaded.cpu + first.cpu,
        with_pictures_seconds=seconds,
        imported_seconds=seconds,
        first_run_more=first.wall,
        first_picture_seconds=end - began,
    )


ENGINES = {"ours": start_ours, "ncnn": start_ncnn}
FIGURES = {
    "seconds": "seconds to ready",
    "cpu_seconds": "of processor",
    "with_pictures_seconds": "with imports for pictures",
    "imported_seconds": "without Python's start and imports",
    "first_run_more": "first run longer than later ones by",
    "first_picture_seconds": "process start to first picture",
}
"""A start's, with their headings."""


def in_new_process(engine: str, model: str, device: int, side: int) -> Start:
    """Start an engine in a process of its own.

    Raises:
        RuntimeError: with the end of what the process wrote, if it failed.
    """
    command = [sys.executable, __file__, "--model", model, "--device", str(device)]
    command += ["--side", str(side), "--engine", engine, "--began", repr(time.monotonic())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{engine} failed: {done.stderr.strip()[-400:]}")
    return Start(**json.loads(done.stdout.splitlines()[-1]))


def median(starts: list[Start], name: str) -> float:
    """The median of one figure."""
    return float(statistics.median(getattr(start, name) for start in starts))


def table(starts: dict[str, list[Start]], ratios: dict[str, float]) -> str:
    """The medians as Markdown."""
    lines = ["| engine |" + "".join(f" {head} |" for head in FIGURES.values())]
    lines.append("| --- |" + " --- |" * len(FIGURES))
    for engine, runs in starts.items():
        lines.append(f"| {engine} |" + "".join(f" {median(runs, name):.2f} |" for name in FIGURES))
    cells = (f" {ratios[name]:.3f} |" if name in ratios else " |" for name in FIGURES)
    lines.append("| ours / ncnn |" + "".join(cells))
    return "\n".join(lines)


def measure(model: str, device: int, side: int, rounds: int) -> dict[str, list[Start]]:
    """Start both in turns, after one start each that warms the caches."""
    files = {"ours": model, "ncnn": path_of(model)}
    starts: dict[str, list[Start]] = {engine: [] for engine in ENGINES}
    for turn in range(rounds + 1):
        for engine, kept in starts.items():
            start = in_new_process(engine, files[engine], device, side)
            print(f"round {turn}: {engine} {start.seconds:.2f} s", file=sys.stderr)
            if turn:
                kept.append(start)
    return starts


def main() -> int:
    """Parse the arguments; measure, or be one of the measured processes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="realesrgan-x4plus")
    parser.add_argument("--device", type=int, default=0, help="index of the Vulkan device")
    parser.add_argument(
        "--side",
        type=int,
        default=4,
        help="of the picture, in pixels; GPUs with matrices have other pipelines below 16",
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--limit", type=float, default=0.3, help="of the wheel's time")
    parser.add_argument("--json", type=Path, help="where to write all figures")
    parser.add_argument("--no-driver-cache", action="store_true", help="without Mesa's own cache")
    parser.add_argument("--engine", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--began", type=float, default=0.0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.engine:
        start = ENGINES[arguments.engine](
            arguments.model, arguments.device, arguments.side, arguments.began
        )
        print(json.dumps(asdict(start)))
        return 0
    if arguments.no_driver_cache:
        os.environ["MESA_SHADER_CACHE_DISABLE"] = "true"
    starts = measure(arguments.model, arguments.device, arguments.side, arguments.rounds)
    ratios = {
        name: median(starts["ours"], name) / median(starts["ncnn"], name)
        for name in FIGURES
        if name != "first_run_more"  # next to nothing, where drivers have caches
    }
    print(table(starts, ratios))
    if arguments.json:
        record = {
            "model": arguments.model,
            "device": device_name(arguments.device),
            "processors": os.cpu_count(),
            "ncnn": version("ncnn"),
            "driver_cache": not arguments.no_driver_cache,
            "limit": arguments.limit,
            "ratios": ratios,
            "starts": {engine: [asdict(run) for run in runs] for engine, runs in starts.items()},
        }
        arguments.json.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    if ratios["seconds"] > arguments.limit:
        print(f"over the limit: {ratios['seconds']:.3f} > {arguments.limit}", file=sys.stderr)
        return 1
    return 0


def path_of(model: str) -> str:
    """The `.param` of a network, which the wheel is to be given."""
    from realesrgan_vk.models import find_model

    return str(find_model(model).param)


def device_name(index: int) -> str:
    """The device's name and driver."""
    from realesrgan_vk import list_devices

    device = next(known for known in list_devices() if known.index == index)
    return f"{device.name}, {device.driver}"


if __name__ == "__main__":
    sys.exit(main())
