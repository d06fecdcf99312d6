"""What `doctor` says of given pairs, of validation pictures and of weights to be fetched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from realesrgan_train.losses import vgg19

from ..cli.test_commands import call
from ..conftest import Overrides, draw_picture
from ..data.test_data import tiff


def _pair(folder: Path, name: str, seed: int, size: int = 80, profile: bytes = b"") -> None:
    for side, edge in (("gt", size), ("lq", size // 2)):
        (folder / side).mkdir(parents=True, exist_ok=True)
        picture = draw_picture(seed, size, size).resize((edge, edge), Image.Resampling.BOX)
        picture.save(folder / side / f"{name}.png", icc_profile=profile if side == "lq" else b"")


def _as_pairs(section: str, folder: Path) -> str:
    return f"{section}.pairs=[{{gt: {folder / 'gt'}, lq: {folder / 'lq'}}}]"


def test_pairs_are_looked_at_as_closely_as_pictures(micro: Overrides, tmp_path: Path) -> None:
    given, held_out = tmp_path / "given", tmp_path / "held_out"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    _pair(given, "one", 1)
    _pair(given, "same", 1)
    _pair(given, "lab", 2, profile=profile)
    _pair(given, "cut", 3)
    (given / "lq" / "cut.png").write_bytes(b"nothing")
    _pair(held_out, "leak", 2)
    result = call(
        "doctor", "tiny", *micro(_as_pairs("data", given), _as_pairs("validation", held_out))
    )
    assert result.exit_code == 3
    for message in (
        f"{given}/gt/same.png has the same content as {given}/gt/one.png",
        f"{given}/lq/same.png has the same content as {given}/lq/one.png",
        f"{given}/lq/lab.png: its colour profile is",
        f"{given}/lq/cut.png: not a picture",
        f"{held_out}/gt/leak.png has the same content as {given}/gt/lab.png: the validation",
    ):
        assert message in result.stdout, message
    assert "cut.png: is" not in result.stdout  # no second complaint about its size


def test_floating_point_pictures_are_told_of(micro: Overrides, tmp_path: Path) -> None:
    folder = tmp_path / "deep"
    folder.mkdir()
    ramp = np.linspace(0, 1, 80 * 80, dtype=np.float32).reshape(80, 80)
    Image.fromarray(ramp).save(folder / "unit.tif")
    Image.fromarray(ramp * 255).save(folder / "bytes.tif")
    (folder / "rgb.tif").write_bytes(tiff(np.stack([ramp] * 3, 2)))
    result = call("doctor", "tiny", *micro(f"data.pictures={folder}"))
    assert result.exit_code == 3
    for message in (
        "unit.tif: is floating point; its 0..1 is read as sRGB",
        "bytes.tif: is a floating-point picture with values from 0 to 255; 0 to 1 can be read",
        "rgb.tif: is a TIFF of 32-bit floating-point numbers in 3 channels",
    ):
        assert message in result.stdout, message


def test_pairs_that_are_not_used_are_told_of(micro: Overrides) -> None:
    result = call("doctor", "tiny", *micro("data.pair_ratio=0"))
    assert result.exit_code == 10
    assert "data.pair_ratio is 0: none of the pairs will be used" in result.stdout
    assert "start: random weights (start.generator is not set)" in result.stdout


@pytest.mark.parametrize("command", ["run", "doctor"])
def test_pairs_too_small_to_measure_on_are_noticed_before_step_one(
    micro: Overrides, tmp_path: Path, command: str
) -> None:
    held_out = tmp_path / "held_out"
    _pair(held_out, "tiny", 1, size=24)
    result = call(command, "tiny", *micro(_as_pairs("validation", held_out)))
    assert result.exit_code == 3, result.output
    assert "24x24 is too small to measure on: at scale 2 32 pixels is the least" in result.output
    assert "none of the" in result.output
    assert not (tmp_path / "runs").exists()
    _pair(held_out, "good", 2)  # one is enough; the other will be left out
    result = call(command, "tiny", *micro(_as_pairs("validation", held_out)))
    assert result.exit_code == (10 if command == "doctor" else 0), result.output


@pytest.mark.parametrize("command", ["run", "doctor"])
def test_a_validation_crop_too_small_is_noticed_before_step_one(
    micro: Overrides, pictures: Path, tmp_path: Path, command: str
) -> None:
    more = (f"validation.pictures={pictures}", "validation.crop=24")
    result = call(command, "tiny", *micro(*more))
    assert result.exit_code == 2
    assert "validation.crop is 24, too small to measure on: at scale 2 32" in result.output
    assert not (tmp_path / "runs").exists()


def test_doctor_never_downloads(
    micro: Overrides, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(vgg19.urllib.request, "urlopen", pytest.fail)  # type: ignore[attr-defined]
    perceptual = "stages.gan.perceptual={weight: 1.0, weights: fetch}"
    result = call("doctor", "tiny", *micro(perceptual))
    assert result.exit_code == 0, result.output
    assert "VGG19's weights (548 MB) will be downloaded when the run starts" in result.stdout


@pytest.mark.parametrize("command", ["run", "doctor"])
def test_vgg_weights_must_be_named(micro: Overrides, command: str) -> None:
    result = call(command, "tiny", *micro("stages.gan.perceptual.weight=1.0"))
    assert result.exit_code == 2
    assert "set stages.gan.perceptual.weights to torchvision's vgg19 file" in result.output
