"""What a plan says against what a process takes: pictures of all modes, sizes and ways of running.

Each way is a process of its own (`plan_memory_run.py`), which measures by how much it grows.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from compact_network import write_compact

from realesrgan_vk import list_devices

Sizes = tuple[tuple[int, int], ...]

# Large: Linux counts a process's pages a thread in batches, 256 KiB off at most.
SIZES = ((2048, 400), (800, 600), (400, 1800))
WAYS: dict[str, dict[str, Any]] = {
    "stream": {},
    "stream in column tiles": {"memory_limit": 1_500_000},
    "all orientations": {"tta": True},
}
TOLERANCE = 0.1


def measured(
    model: Path, device: str, options: dict[str, Any], sizes: Sizes, tmp_path: Path
) -> list[Any]:
    try:
        Path("/proc/self/clear_refs").write_text("5", "ascii")
    except OSError as error:
        pytest.skip(f"the largest memory of a process cannot be reset here: {error}")
    script = Path(__file__).with_name("plan_memory_run.py")
    # Freed blocks go back to the system at once, so that what is left of one run is not taken for
    # the next one's.
    environment = {
        "MALLOC_MMAP_THRESHOLD_": "65536",
        "MALLOC_ARENA_MAX": "1",
        "REALESRGAN_VK_CACHE": str(tmp_path / "cache"),
    }
    run = subprocess.run(
        [sys.executable, str(script), str(model), device, json.dumps(options), json.dumps(sizes)],
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    )
    return [json.loads(line) for line in run.stdout.splitlines()]


def check_plans(reports: list[Any]) -> None:
    far = [
        f"{report['taken'] / report['planned']:.2f} of the plan: {report['run']}"
        for report in reports
        if abs(report["taken"] - report["planned"]) > TOLERANCE * report["planned"]
    ]
    assert reports
    assert not far, "\n".join(far)


@pytest.mark.parametrize("way", WAYS)
def test_a_run_on_the_cpu_takes_what_is_planned(way: str, tmp_path: Path) -> None:
    model = write_compact(tmp_path, "net", features=48)
    # Eight orientations take eight times as long: a smaller picture.
    sizes = {"stream": SIZES, "all orientations": ((700, 300),)}.get(way, SIZES[:1])
    reports = measured(model, "cpu", {"threads": 1, **WAYS[way]}, sizes, tmp_path)
    assert len(reports) == (18 if way == "stream" else 6)
    assert any(report["column_tiles"] > 1 for report in reports) == (
        way == "stream in column tiles"
    )
    check_plans(reports)


@pytest.mark.parametrize("tile", ["whole", 64])
def test_tiles_on_the_cpu_take_what_is_planned(tile: object, tmp_path: Path) -> None:
    options = {"threads": 1, "tile": tile}
    model = Path("realesr-animevideov3")
    check_plans(measured(model, "cpu", options, ((160, 100),), tmp_path))


@pytest.mark.parametrize(("tile", "threads"), [("whole", 1), (128, 2)])
@pytest.mark.parametrize("features", [8, 24, 48])
def test_tiles_take_what_is_planned_for_any_channels(
    features: int, tile: object, threads: int, tmp_path: Path
) -> None:
    """ncnn chooses the form of a convolution, and so its workspace, by the channels."""
    model = write_compact(tmp_path, "net", features=features)
    options = {"threads": threads, "tile": tile}
    check_plans(measured(model, "cpu", options, ((360, 250),), tmp_path))


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_tiles_on_vulkan_take_what_is_planned(precision: str, tmp_path: Path) -> None:
    """On a driver that computes on the processor, whose device memory is the process's."""
    devices = list_devices()
    if not devices or devices[0].type != "cpu":
        pytest.skip("the first Vulkan device is not a driver that computes on the processor")
    model = write_compact(tmp_path, "net", features=48, scale=4)
    options = {"precision": precision, "tile": "whole"}
    check_plans(measured(model, "0", options, ((260, 180),), tmp_path))
