"""The drop-in executable: models of one's own, several devices, metadata, and `upscayl-bin`."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from drop_in import SIZE, assert_progress, run, size_of
from numpy.typing import NDArray
from PIL import Image

from realesrgan_vk.models import find_model

Photo = Callable[..., NDArray[np.uint8]]


def test_a_models_folder_of_ones_own(source: Path, tmp_path: Path) -> None:
    """Any blobs, any names: beside the working directory, and by an absolute path."""
    official = find_model("realesr-animevideov3-x2")
    folder = tmp_path / "my models"
    folder.mkdir()
    graph = official.param.read_text()
    renamed = re.sub(r"\bdata\b", "in0", graph)
    renamed = re.sub(r"\boutput\b", "out0", renamed)
    assert renamed != graph
    (folder / "mine.param").write_text(renamed)
    shutil.copy(official.bin, folder / "mine.bin")
    target = tmp_path / "out.png"
    done = run("-i", source, "-o", target, "-m", "my models", "-n", "mine", "-s", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert size_of(target) == (40, 32)
    (folder / "mine.bin").write_bytes(b"short")
    target.unlink()
    broken = run("-i", source, "-o", target, "-m", folder, "-n", "mine")
    assert broken.returncode == 255
    assert broken.stderr.startswith("Error: ")
    assert str(folder / "mine.bin") in broken.stderr
    assert broken.stderr.count("\n") == 1
    assert not target.exists()


def test_several_devices_share_a_folder(photo: Photo, tmp_path: Path) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    for index in range(6):
        Image.fromarray(photo(12, 12)).save(inside / f"{index}.png")
    out = tmp_path / "out"
    done = run("-i", inside, "-o", out, "-t", "0,64", "-j", "1:1,2:2", gpu="-1,-1")
    assert done.returncode == 0, done.stderr
    assert len(list(out.iterdir())) == 6
    assert done.stderr.count("100.00%\n") == 6


def test_a_result_may_take_its_sources_place(source: Path, tmp_path: Path) -> None:
    assert run("-i", source, "-o", source).returncode == 0
    assert size_of(source) == (80, 64)
    folder = tmp_path / "folder"
    folder.mkdir()
    Image.new("RGB", (8, 8), "red").save(folder / "a.png")
    assert run("-i", folder, "-o", folder).returncode == 0
    assert size_of(folder / "a.png") == (32, 32)
    assert len(list(folder.iterdir())) == 1


def test_tta_and_metadata(photo: Photo, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker", 8
    source = tmp_path / "a.jpg"
    Image.fromarray(photo(*SIZE)).save(source, exif=exif, dpi=(300, 300))
    assert run("-i", source, "-o", tmp_path / "b.jpg", "-x").returncode == 0
    with Image.open(tmp_path / "b.jpg") as out:
        assert out.size == (64, 80)
        assert (out.getexif()[0x010F], out.getexif()[0x0112]) == ("Maker", 1)
    assert run("-i", source, "-o", tmp_path / "c.jpg", "--strip").returncode == 0
    with Image.open(tmp_path / "c.jpg") as out:
        assert not out.getexif()


def test_upscayl(source: Path, photo: Photo, tmp_path: Path) -> None:
    """Its flags, as its window starts it, and its default model."""
    target = tmp_path / "out.jpg"
    models = tmp_path / "models"
    models.mkdir()
    official = find_model("realesr-animevideov3")
    shutil.copy(official.param, models / "upscayl-fast.param")
    shutil.copy(official.bin, models / "upscayl-fast.bin")
    window: list[str | Path] = ["-m", models, "-n", "upscayl-fast", "-f", "jpg"]
    done = run(
        "-i", source, "-o", target, "-s", "8", "-c", "30", "-t", "32", *window,
        program="upscayl-bin",
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert_progress(done.stderr)
    assert size_of(target) == (160, 128)
    compressed = target.stat().st_size
    done = run("-i", source, "-o", target, "-s", "8", *window, program="upscayl-bin")
    assert target.stat().st_size > compressed
    for flags, size in (
        (["-w", "50"], (50, 40)),
        (["-w", "50:mitchell"], (50, 40)),
        (["-r", "33x21:pointsample"], (33, 21)),
        (["-z", "4"], (80, 64)),
        ([], (80, 64)),
    ):
        done = run("-i", source, "-o", target, *flags, *window, program="upscayl-bin")
        assert done.returncode == 0, done.stderr
        assert size_of(target) == size
    wrong = run("-i", source, "-o", target, "-r", "33", program="upscayl-bin")
    assert wrong.returncode == 255
    assert "realesrgan-x4plus)" not in run("-h").stderr.splitlines()[8]
    assert "(default=realesrgan-x4plus" in run("-h", program="upscayl-bin").stderr
