"""The examples run on small pictures, and give what the library gives."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from compact_network import write_compact
from conftest import FAST_MODEL, Photo
from PIL import Image

import realesrgan_vk

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"


def _run(*command: object) -> str:
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _example(name: str, *arguments: object) -> str:
    return _run(sys.executable, EXAMPLES / name, *arguments)


def _picture(folder: Path, photo: Photo) -> Path:
    path = folder / "photo.png"
    Image.fromarray(photo(12, 10)).save(path)
    return path


def _pixels(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    with Image.open(path) as image:
        return np.asarray(image)


def test_one_picture(photo: Photo, tmp_path: Path) -> None:
    result = tmp_path / "large.png"
    picture = _picture(tmp_path, photo)
    told = _example("one_picture.py", picture, result, "--scale", 1.5, "--model", FAST_MODEL)
    assert told == f"{result}: 18 x 15\n"
    expected = realesrgan_vk.upscale(picture, model=FAST_MODEL, scale=1.5)
    np.testing.assert_array_equal(_pixels(result), np.asarray(expected))


def test_batch(photo: Photo, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    _picture(folder, photo)
    (folder / "notes.txt").write_text("no picture")
    assert "1 of 2 written" in _example("batch.py", folder, tmp_path / "out")
    assert _pixels(tmp_path / "out" / "photo.png").shape == (40, 48, 3)


def test_rows(photo: Photo, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "scan.tif", photo(12, 10), photometric="rgb")
    told = _example("rows.py", tmp_path / "scan.tif", tmp_path / "large.tif")
    assert told.endswith("48 x 40\n")
    expected = realesrgan_vk.upscale(photo(12, 10), model=FAST_MODEL)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "large.tif"), expected)


def test_own_model(photo: Photo, tmp_path: Path) -> None:
    param = write_compact(tmp_path, "net")
    told = _example("own_model.py", param, _picture(tmp_path, photo), tmp_path / "large.png")
    assert told.startswith("x2, sees 2 pixels to each side\nruns as stream")
    assert _pixels(tmp_path / "large.png").shape == (20, 24, 3)


def test_cpp(photo: Photo, tmp_path: Path) -> None:
    program = ROOT / "build" / "default" / "examples" / "cpp" / "upscale"
    if not program.exists():
        assert "CI" not in os.environ
        pytest.skip("`make test-cpp` builds the C++ example")
    param = write_compact(tmp_path, "net")
    Image.fromarray(photo(12, 10)).save(tmp_path / "in.ppm")
    _run(program, param, param.with_suffix(".bin"), tmp_path / "in.ppm", tmp_path / "out.ppm")
    expected = realesrgan_vk.upscale(photo(12, 10), model=param, device="cpu")
    np.testing.assert_array_equal(_pixels(tmp_path / "out.ppm"), expected)
