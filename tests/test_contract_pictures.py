"""The contract's rows on modes and metadata, through each of the three real executables."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from drop_in import NO_GPU, SCRIPTS, assert_progress, run, size_of
from numpy.typing import NDArray
from picture_files import decode_png, png
from PIL import Image

from realesrgan_vk import Upscaler
from realesrgan_vk.models import find_model

Photo = Callable[..., NDArray[np.uint8]]
SIZE = (20, 16)
MODEL = "realesr-animevideov3"


def upscale_with(program: str, source: Path, target: Path, folder: Path) -> None:
    if program == "realesrgan-vk":
        command = [str(SCRIPTS / program), "upscale", str(source), "-o", str(target)]
        done = subprocess.run([*command, "-m", MODEL, "-d", "cpu", "--quiet"], check=False,
                              capture_output=True, text=True, timeout=120)  # fmt: skip
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        return
    own: list[str | Path] = []
    if program == "upscayl-bin":  # its own default model is larger: see the last test
        model = find_model(MODEL)
        for file in (model.param, model.bin):
            (folder / f"mine{file.suffix}").write_bytes(file.read_bytes())
        own = ["-m", folder, "-n", "mine"]
    done = run("-i", source, "-o", target, *own, program=program)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert_progress(done.stderr)


def p3_profile() -> bytes:
    plain = pyvips.Image.black(1, 1, bands=3).copy(interpretation="srgb")
    return bytes(plain.icc_transform("p3", input_profile="srgb").get("icc-profile-data"))


@pytest.fixture(params=["realesrgan-ncnn-vulkan", "upscayl-bin", "realesrgan-vk"])
def upscale(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Path, Path], None]:
    folder = tmp_path / "models of one's own"
    folder.mkdir()
    return lambda source, target: upscale_with(request.param, source, target, folder)


def test_exif_profile_xmp_and_resolution(
    photo: Photo, tmp_path: Path, upscale: Callable[[Path, Path], None]
) -> None:
    rgb, profile = photo(*SIZE), p3_profile()
    tags = Image.Exif()
    tags[0x010F], tags[0x0112], tags[0x0100] = "Maker", 6, SIZE[0]
    carried: dict[str, Any] = {"exif": tags, "icc_profile": profile, "dpi": (300, 240)}
    source, target = tmp_path / "in.jpg", tmp_path / "out.jpg"
    Image.fromarray(rgb).save(source, quality=97, xmp=b"<x:xmpmeta/>", **carried)
    upscale(source, target)
    with Image.open(target) as out:
        kept = out.getexif()
        assert out.size == (64, 80), "upright"
        assert (kept[0x010F], kept[0x0112], kept[0x0100]) == ("Maker", 1, 64)
        assert out.info["icc_profile"] == profile
        assert out.info["xmp"] == b"<x:xmpmeta/>"
        assert out.info["dpi"] == (240, 300)
        small = np.asarray(out.resize((16, 20))).astype(int)
    assert np.abs(small - np.rot90(rgb, -1)).mean() < 8


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "RGBA"])
def test_modes_of_png(
    photo: Photo, tmp_path: Path, mode: str, upscale: Callable[[Path, Path], None]
) -> None:
    rgb = photo(*SIZE)
    image = Image.fromarray(rgb)
    if mode in ("LA", "RGBA"):
        image.putalpha(Image.fromarray(np.ascontiguousarray(rgb[..., 0])))
    image = image.quantize(16) if mode == "P" else image.convert(mode, dither=Image.Dither.NONE)
    source, target = tmp_path / "in.png", tmp_path / "out.png"
    image.save(source)
    upscale(source, target)
    with Image.open(target) as out:
        assert (out.mode, out.size) == (mode, (80, 64))
        small = np.asarray(out.convert("RGB").resize(SIZE)).astype(int)
        off = np.abs(small - np.asarray(image.convert("RGB"))).mean()
    assert off < (40 if mode == "1" else 12)
    assert source.read_bytes()[24:26] == target.read_bytes()[24:26], "bits and colour type"


def test_16_bits(
    photo: Photo, fast: Upscaler, tmp_path: Path, upscale: Callable[[Path, Path], None]
) -> None:
    deep = photo(*SIZE).astype(np.uint16) * 200 + np.arange(3, dtype=np.uint16) * 7
    source, target = tmp_path / "in.png", tmp_path / "out.png"
    source.write_bytes(png(deep, 16, 2))
    upscale(source, target)
    out, bits, colour_type = decode_png(target.read_bytes())
    assert (bits, colour_type) == (16, 2)
    assert len(np.unique(out)) > 256
    assert np.abs(out.astype(int) - fast.upscale(deep)).max() <= 7  # 1e-4 of full scale


def test_cmyk(photo: Photo, tmp_path: Path, upscale: Callable[[Path, Path], None]) -> None:
    rgb = photo(*SIZE)
    inks = 255 - np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])
    source, target = tmp_path / "in.jpg", tmp_path / "out.jpg"
    Image.fromarray(inks, "CMYK").save(source, quality=97)
    upscale(source, target)
    with Image.open(target) as out:
        assert (out.mode, out.size) == ("CMYK", (80, 64))
        small = np.asarray(out.convert("RGB").resize(SIZE)).astype(int)
    assert np.abs(small - rgb).mean() < 12


def test_upscayls_default_model_is_run(photo: Photo, tmp_path: Path) -> None:
    """realesrgan-x4plus, found without being named; the same as asking for it."""
    source = tmp_path / "in.png"
    Image.fromarray(photo(8, 8)).save(source)
    done = run("-i", source, "-o", tmp_path / "a.png", program="upscayl-bin", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert_progress(done.stderr)
    assert size_of(tmp_path / "a.png") == (32, 32)
    named = run("-i", source, "-o", tmp_path / "b.png", "-n", "realesrgan-x4plus")
    other = run("-i", source, "-o", tmp_path / "c.png", environment=NO_GPU)
    assert named.returncode == other.returncode == 0
    files = [(tmp_path / f"{name}.png").read_bytes() for name in "abc"]
    assert files[0] == files[1] != files[2]
