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

WAYS: dict[str, dict[str, Any]] = {
    "stream": {},
    "stream in strips": {"memory_limit": 1_500_000},
    "all orientations": {"tta": True},
}
TOLERANCE = 0.1


def measured(model: Path, device: str, options: dict[str, Any], tmp_path: Path) -> list[Any]:
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
        [sys.executable, str(script), str(model), device, json.dumps(options)],
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    )
    return [json.loads(line) for line in run.stdout.splitlines()]


@pytest.mark.parametrize("way", WAYS)
def test_a_run_on_the_cpu_takes_what_is_planned(way: str, tmp_path: Path) -> None:
    model = write_compact(tmp_path, "net", features=48)
    reports = measured(model, "cpu", {"threads": 1, **WAYS[way]}, tmp_path)
    assert len(reports) == (18 if way == "stream" else 6)
    assert any(report["strips"] > 1 for report in reports) == (way == "stream in strips")
    far = [
        f"{report['taken'] / report['planned']:.2f} of the plan: {report['run']}"
        for report in reports
        if abs(report["taken"] - report["planned"]) > TOLERANCE * report["planned"]
    ]
    assert not far, "\n".join(far)


@pytest.mark.parametrize("tile", ["whole", 64])
def test_tiles_on_the_cpu_take_what_is_planned(tile: object, tmp_path: Path) -> None:
    """Of an official network, for whose layers the workspace of ncnn's convolutions is counted."""
    options = {"threads": 1, "tile": tile}
    far = [
        f"{report['taken'] / report['planned']:.2f} of the plan: {report['run']}"
        for report in measured(Path("realesr-animevideov3"), "cpu", options, tmp_path)
        if abs(report["taken"] - report["planned"]) > TOLERANCE * report["planned"]
    ]
    assert not far, "\n".join(far)
