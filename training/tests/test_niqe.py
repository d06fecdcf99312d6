"""NIQE against the paper's formulas in NumPy and SciPy, on parameters of our own."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from scipy import ndimage, special

from realesrgan_train.config import load_config
from realesrgan_train.engine.measures import is_better
from realesrgan_train.errors import CheckpointError, ConfigError
from realesrgan_train.niqe import Niqe, load_niqe

from .cli.test_commands import call
from .conftest import Overrides, draw_picture

Array = npt.NDArray[np.float64]


@pytest.fixture
def parameters(tmp_path: Path) -> Path:
    """A file as the published one, of other numbers: where the package mmagic has it."""
    rng = np.random.default_rng(6)
    root = rng.normal(0, 0.3, (36, 36))
    line = np.exp(-(np.arange(-3, 4) ** 2) / (2 * (7 / 6) ** 2))
    window = np.outer(line, line)
    path = tmp_path / "site" / "mmagic" / "evaluation" / "metrics" / "niqe_pris_params.npz"
    path.parent.mkdir(parents=True)
    (tmp_path / "site" / "mmagic" / "__init__.py").write_text("raise ImportError('not to be')")
    np.savez(
        path,
        mu_pris_param=rng.uniform(0.1, 2, (1, 36)),
        cov_pris_param=root @ root.T,
        gaussian_window=window / window.sum(),
    )
    return path


def _fitted(values: Array) -> tuple[float, float, float]:
    """Equations 4 to 7 of the paper, the shape looked for on its grid."""
    left = np.sqrt(np.mean(values[values < 0] ** 2))
    right = np.sqrt(np.mean(values[values > 0] ** 2))
    r = np.mean(np.abs(values)) ** 2 / np.mean(values**2)
    g = left / right
    wanted = r * (g**3 + 1) * (g + 1) / (g**2 + 1) ** 2
    grid = np.linspace(0.2, 10, 9801)
    gamma = special.gamma
    ratios = gamma(2 / grid) ** 2 / (gamma(1 / grid) * gamma(3 / grid))
    shape = float(grid[np.argmin((ratios - wanted) ** 2)])
    factor = math.sqrt(gamma(1 / shape) / gamma(3 / shape))
    return shape, left * factor, right * factor


def _block_features(block: Array) -> list[float]:
    shape, left, right = _fitted(block)
    found = [shape, (left + right) / 2]
    for shift in ((0, 1), (1, 0), (1, 1), (1, -1)):
        shape, left, right = _fitted(block * np.roll(block, shift, (0, 1)))
        mean = (right - left) * special.gamma(2 / shape) / special.gamma(1 / shape)
        found += [shape, mean, left, right]
    return found


def _halved(x: Array) -> Array:
    """MATLAB's imresize by 1/2, written as a sum over taps of its cubic, widened to the source."""
    for axis in (0, 1):
        count = x.shape[axis]
        out = np.arange(count // 2)[:, None]
        taps = 2 * out + np.arange(-3, 5)
        t = np.abs(taps - (2 * out + 0.5)) / 2
        near = 1.5 * t**3 - 2.5 * t**2 + 1
        weights = np.where(t <= 1, near, -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2) / 2
        mirrored = np.where(
            taps < 0, -1 - taps, np.where(taps >= count, 2 * count - 1 - taps, taps)
        )
        x = np.moveaxis((np.moveaxis(x, axis, -1)[..., mirrored] * weights).sum(-1), -1, axis)
    return x


def by_the_paper(rgb: npt.NDArray[np.uint8], path: Path) -> float:
    file = np.load(path)
    x = np.round(rgb @ np.array([65.481, 128.553, 24.966]) / 255 + 16)
    rows, columns = x.shape[0] // 96, x.shape[1] // 96
    x = x[: rows * 96, : columns * 96]
    features: list[Array] = []
    for edge in (96, 48):
        mean = ndimage.correlate(x, file["gaussian_window"], mode="nearest")
        square = ndimage.correlate(x**2, file["gaussian_window"], mode="nearest")
        normal = (x - mean) / (np.sqrt(np.abs(square - mean**2)) + 1)
        places = [(r * edge, c * edge) for r in range(rows) for c in range(columns)]
        blocks = [_block_features(normal[r : r + edge, c : c + edge]) for r, c in places]
        features.append(np.array(blocks))
        x = _halved(x)
    whole = np.concatenate(features, 1)
    away = file["mu_pris_param"][0] - whole.mean(0)
    spread = np.linalg.pinv((file["cov_pris_param"] + np.cov(whole, rowvar=False)) / 2)
    return float(np.sqrt(away @ spread @ away))


def as_tensor(rgb: npt.NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(rgb.transpose(2, 0, 1)[None] / np.float32(255))


def test_figures_equal_the_papers_formulas(parameters: Path) -> None:
    measure = Niqe(parameters)
    for seed, size in ((1, (192, 192)), (2, (300, 211))):
        rgb = np.asarray(draw_picture(seed, *size))
        found = float(measure(as_tensor(rgb)))
        assert found == pytest.approx(by_the_paper(rgb, parameters), rel=1e-6)
        assert found > 1
    grey = np.asarray(draw_picture(3, 200, 200).convert("L"))[..., None]
    expected = by_the_paper(np.repeat(grey, 3, 2), parameters)
    assert float(measure(as_tensor(grey))) == pytest.approx(expected, rel=1e-6)


def test_flat_pictures_have_no_figure_and_are_never_better(
    parameters: Path, tmp_path: Path
) -> None:
    assert math.isnan(float(Niqe(parameters)(torch.full((1, 3, 192, 192), 0.4))))
    assert not is_better(tmp_path, "niqe", 1, math.nan)
    assert is_better(tmp_path, "niqe", 1, 4.0)


def test_files_that_do_not_fit_are_told(
    parameters: Path, micro: Overrides, pictures: Path, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match="no parameters of NIQE there"):
        Niqe(tmp_path / "none.npz")
    other = tmp_path / "other.npz"
    np.savez(other, mu_pris_param=np.zeros(3))
    with pytest.raises(CheckpointError, match="not the parameters of NIQE"):
        Niqe(other)
    other.write_bytes(b"no archive")
    with pytest.raises(CheckpointError, match="not the parameters of NIQE"):
        Niqe(other)
    with pytest.raises(ConfigError, match="best is niqe, which is not measured"):
        load_config("tiny", micro("validation.best=niqe"))
    options = micro("validation.niqe=mmagic", f"validation.pictures={pictures}")
    result = call("run", "tiny", *options)
    assert result.exit_code == 2
    assert "pip install --no-deps mmagic" in result.stderr
    crop = micro(f"validation.niqe={parameters}", "validation.crop=128")
    result = call("run", "tiny", *crop, f"validation.pictures={pictures}")
    assert "at scale 2 192 pixels is the least" in result.stderr


def test_a_run_measures_niqe_by_the_packages_parameters(
    parameters: Path, micro: Overrides, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert torch.equal(load_niqe("mmagic").mean, Niqe(parameters).mean)
    folder = tmp_path / "held_out"
    folder.mkdir()
    draw_picture(31, 200, 196).save(folder / "a.png")
    Image.new("RGB", (192, 192), (9, 9, 9)).save(folder / "flat.png")
    measured = f"validation={{pictures: {folder}, every: 2, crop: 192, niqe: mmagic, best: niqe}}"
    options = micro("stages.net.steps=2", "stages.gan=null", measured)
    result = call("run", "tiny", *options)
    assert result.exit_code == 0, result.output
    assert "NIQE " in result.output
    run_dir = tmp_path / "runs" / "micro"
    assert call("report", run_dir).exit_code == 0
    assert "NIQE, lower is better" in (run_dir / "report.html").read_text()
    best = run_dir / "weights" / "best.safetensors"
    found = call("validate", best, "--pictures", folder, "--device", "cpu", "--niqe", parameters)
    assert found.exit_code == 0, found.output
    assert "NIQE  bicubic" in found.stdout
