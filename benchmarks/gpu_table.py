"""The figures of `gpu.py` as Markdown."""

import statistics
from typing import Any

HEAD = (
    "| network, picture | engine | seconds | Mpx/s | theirs / ours | of the arithmetic peak "
    "| of the copy rate | error against fp32, in 8-bit steps: largest, mean | peak memory |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
)
GIGA = 1e9


def _median(result: dict[str, Any]) -> float:
    return float(statistics.median(result["seconds"]))


def _row(result: dict[str, Any], mine: dict[str, Any] | None, roofline: dict[str, float]) -> str:
    name = f"{result['model']}, {result['width']}x{result['height']}"
    engine = f"{result['engine']} {result['version']}".strip()
    if result["missing"] or result["failure"]:
        why = result["missing"] or result["failure"]
        word = "not here" if result["missing"] else "failed"
        clean = why.replace("|", "/").replace("\n", " ")
        return f"| {name} | {engine} | {word}: {clean} | | | | | | |"
    seconds = _median(result)
    pixels = result["width"] * result["height"]
    peak = roofline["matrix_flops"] or roofline["fma_flops"]
    if result["engine"] == "ours-fp32":
        peak = roofline["fma_flops"]
    moved = ""
    plan = result["facts"].get("plan")
    if plan and plan["bytes_moved_per_input_pixel"]:
        rate = plan["bytes_moved_per_input_pixel"] * pixels / seconds
        moved = f"{rate / roofline['copy_bytes_per_second']:.3f}"
    memory = f"{result['peak_bytes'] / 1e6:.0f} MB" if result["peak_bytes"] else ""
    if plan:
        memory += f" (planned {plan['memory_bytes'].get('total', 0) / 1e6:.0f})"
    ratio = f"{seconds / _median(mine):.2f}" if mine else ""
    alone = " (alone)" if result["alone"] else ""
    return (
        f"| {name} | {engine}{alone} | {seconds:.4f} | {pixels / seconds / 1e6:.4f} | {ratio} | "
        f"{result['flops'] / seconds / peak:.3f} | {moved} | "
        f"{result['max_steps']}, {result['mean_steps']:.4f} | {memory} |"
    )


def _plans(results: list[dict[str, Any]]) -> list[str]:
    lines = []
    for result in results:
        plan = result["facts"].get("plan")
        if not plan:
            continue
        lines.append(
            f"- {result['model']}, {result['width']}x{result['height']}, {result['engine']}: "
            f"{plan['path']}, {plan['band_rows']} rows a band, {plan['dispatches_per_band']} "
            f"dispatches a band, {plan['bytes_moved_per_input_pixel'] / 1e3:.0f} KB moved an "
            "input pixel"
        )
    return lines


def _trunk(tuned: dict[str, Any], peak: float) -> list[str]:
    """The dense block by itself, of which the trunks of x4plus and x4plus-anime are made."""
    rates = {band["pixels"]: band["flops"] / band["seconds"] for band in tuned["bands"]}
    rate = rates.get(tuned["band_pixels"])
    if rate is None or not peak:
        return []
    return [
        f"Trunk: a dense block by itself runs at {rate / GIGA:.0f} GFLOP/s in bands of "
        f"{tuned['band_pixels']} pixels, {rate / peak:.3f} of the matrices' rate; kernels: "
        f"{tuned['narrow']} (to 32 channels), {tuned['wide']} (to 64).",
        "",
    ]


def _ours(result: dict[str, Any], results: list[dict[str, Any]]) -> dict[str, Any] | None:
    same = ("model", "width", "height")
    return next(
        (
            other
            for other in results
            if other["engine"] == "ours-fp16"
            and other["seconds"]
            and not other["failure"]
            and all(other[key] == result[key] for key in same)
        ),
        None,
    )


def table(record: dict[str, Any]) -> str:
    """The whole record as a page."""
    roofline = record["roofline"]
    device = record["device"]
    results = record["results"]
    lines = [
        f"{device['name']}, {device['driver']}; realesrgan-vk {record['version']}, "
        f"{record['system']}; median of {record['rounds']} rounds.",
        "",
        f"Measured in the same run: cooperative matrices {roofline['matrix_flops'] / GIGA:.1f} "
        f"GFLOP/s (0: the device has none), multiply-adds of fp32 "
        f"{roofline['fma_flops'] / GIGA:.1f} GFLOP/s, copies "
        f"{roofline['copy_bytes_per_second'] / GIGA:.1f} GB/s read and written. The arithmetic "
        "peak is the matrices' where there are any, and that of fp32 for ours-fp32; all engines' "
        "arithmetic is counted by direct convolution.",
        "",
    ]
    lines += _trunk(record["tuned"], roofline["matrix_flops"])
    if device["type"] == "cpu":
        lines += ["**This is a software driver, not a GPU: the times say nothing about one.**", ""]
    rows = [_row(result, _ours(result, results), roofline) for result in results]
    return "\n".join(lines) + "\n" + HEAD + "\n".join([*rows, "", *_plans(results)]) + "\n"
