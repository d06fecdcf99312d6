"""`realesrgan-vk models compare`: the sheet's cells against the same crop run by itself."""

from pathlib import Path

import numpy as np
import pytest
from command import run
from compact_network import write_compact
from conftest import Photo
from numpy.typing import NDArray
from PIL import Image

import realesrgan_vk
from realesrgan_vk.cli.compare_run import CONTEXT
from realesrgan_vk.imaging.resample import resize

WIDTH, HEIGHT, SCALE = 20, 12, 2
CELL = (8 + WIDTH * SCALE, 8 + 26 + HEIGHT * SCALE)  # with its gap and its name


@pytest.fixture
def folder(photo: Photo, tmp_path: Path) -> Path:
    Image.fromarray(photo(120, 90)).save(tmp_path / "photo.png")
    write_compact(tmp_path, "one")
    write_compact(tmp_path, "other", seed=7)
    return tmp_path


def cells(sheet: Path) -> list[NDArray[np.uint8]]:
    samples = np.asarray(Image.open(sheet))
    return [
        samples[y + 26 : y + 26 + HEIGHT * SCALE, x : x + WIDTH * SCALE]
        for y in range(8, samples.shape[0] - 8, CELL[1])
        for x in range(8, samples.shape[1] - 8, CELL[0])
    ]


def test_each_cell_is_the_crop_as_its_network_enlarges_it(folder: Path) -> None:
    crop = f"{50},{40},{WIDTH},{HEIGHT}"
    words = ("photo.png", "-m", "one.param", "-m", "other.param", "-d", "cpu")
    done = run("models", "compare", *words, "--crop", crop, "-s", "2", cwd=folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "photo-networks.png\n", "")
    seen = np.asarray(Image.open(folder / "photo.png"))[
        40 - CONTEXT : 40 + HEIGHT + CONTEXT, 50 - CONTEXT : 50 + WIDTH + CONTEXT
    ]
    whole = [resize(seen, (2 * seen.shape[1], 2 * seen.shape[0]))]
    whole += [
        realesrgan_vk.upscale(seen, model=folder / f"{name}.param", device="cpu")
        for name in ("one", "other")
    ]
    inside = slice(2 * CONTEXT, 2 * (CONTEXT + HEIGHT)), slice(2 * CONTEXT, 2 * (CONTEXT + WIDTH))
    shown = cells(folder / "photo-networks.png")
    assert len(shown) >= 3
    for cell, expected in zip(shown, whole, strict=False):
        np.testing.assert_array_equal(cell, expected[inside])
    assert np.ptp(shown[0].astype(int) - shown[1]) > 0


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "I;16"])
def test_pictures_of_every_kind_at_their_corner(folder: Path, photo: Photo, mode: str) -> None:
    picture = Image.fromarray(photo(40, 30))
    kind = picture.convert("L").convert("I").convert("I;16") if mode == "I;16" else None
    (kind or picture.convert(mode)).save(folder / "kind.tif")
    words = ("kind.tif", "-m", "one.param", "-d", "cpu", "-s", "2", "-o", "sheet.png")
    done = run("models", "compare", *words, "--crop", f"20,18,{WIDTH},{HEIGHT}", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert len(cells(folder / "sheet.png")) == 2


def test_all_that_are_installed_are_compared(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REALESRGAN_VK_MODELS", str(folder))
    (folder / "broken.param").write_text((folder / "one.param").read_text())
    (folder / "broken.bin").write_bytes(b"\0" * 64)
    words = ("photo.png", "-d", "cpu", "-s", "2", "--crop", f"0,0,{WIDTH},{HEIGHT}")
    done = run("models", "compare", *words, cwd=folder)
    assert done.returncode == 1
    assert done.stderr.startswith("broken: ")
    assert len(done.stderr.splitlines()) == 1
    installed = {model.param.resolve() for model in realesrgan_vk.list_models()}
    assert len(cells(folder / "photo-networks.png")) >= len(installed)


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (("nothing.png",), "picture nothing.png does not exist"),
        (("photo.png", "--crop", "1,2,3"), "'1,2,3' is no crop; give LEFT,TOP,WIDTH,HEIGHT such"),
        (("photo.png", "--crop", "1,2,0,9"), "is no crop"),
        (("photo.png", "--crop", "110,0,20,12"), "is not inside the picture of 120 x 90 pixels"),
        (("photo.png", "-m", "no-such"), "unknown model 'no-such'"),
        (("photo.png", "-s", "16", "--max-pixels", "20000"), "give a smaller --crop or --scale"),
        (("photo.png", "-o", "missing/sheet.png"), "missing"),
    ],
)
def test_what_cannot_be_compared_is_a_usage_error(
    folder: Path, words: tuple[str, ...], answer: str
) -> None:
    before = sorted(folder.iterdir())
    given = words if "-m" in words else (*words, "-m", "one.param")
    done = run("models", "compare", *given, "-d", "cpu", cwd=folder)
    assert done.returncode == 2, done.stderr
    assert answer in done.stderr
    assert sorted(folder.iterdir()) == before
