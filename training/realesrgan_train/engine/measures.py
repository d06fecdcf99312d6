"""What validations leave in a run's folder: figures of each picture, sheets, the best step."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realesrgan_train.files import replacing

if TYPE_CHECKING:
    from realesrgan_train.config.schema import Measure
    from realesrgan_train.engine.validation import Measured

_BEST = Path("weights") / "best.json"
_LOWER_IS_BETTER = ("lpips", "dists", "niqe")


def sheet_path(run_dir: Path, step: int) -> Path:
    """The contact sheet of a validation."""
    return run_dir / "sheets" / f"step-{step:09d}.png"


def _write(path: Path, values: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        partial.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def without_nan(figures: dict[str, float]) -> dict[str, float | None]:
    """Figures for JSON, which has no NaN."""
    return {name: None if math.isnan(value) else value for name, value in figures.items()}


def write_measures(
    run_dir: Path, step: int, means: dict[str, float], each: Sequence[Measured]
) -> None:
    """Write means and the table of all pictures as `measures/step-NNNNNNNNN.json`, NaN as null."""
    pictures = {name: without_nan(figures) for name, figures in each}
    values = {"step": step, "mean": without_nan(means), "pictures": pictures}
    _write(run_dir / "measures" / f"step-{step:09d}.json", values)


def read_measures(run_dir: Path) -> list[dict[str, Any]]:
    """What `write_measures` wrote, by step."""
    files = sorted((run_dir / "measures").glob("step-*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in files]


def read_best(run_dir: Path) -> dict[str, Any]:
    """Measure, step and value of `weights/best.safetensors`; empty without one."""
    path = run_dir / _BEST
    if not path.is_file():
        return {}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def is_better(run_dir: Path, measure: Measure, step: int, value: float) -> bool:
    """Whether a validation beats the best one of earlier steps by this measure.

    A run that goes on from before its best step measures it again. NaN, NIQE's of flat pictures, is
    never better.
    """
    if math.isnan(value):
        return False
    best = read_best(run_dir)
    if best.get("measure") != measure or best["step"] >= step:
        return True
    better: bool = value < best["value"] if measure in _LOWER_IS_BETTER else value > best["value"]
    return better


def note_best(run_dir: Path, measure: Measure, step: int, value: float) -> None:
    """Remember the best validation."""
    _write(run_dir / _BEST, {"measure": measure, "step": step, "value": value})
