"""Grey networks: data, degradation, losses and measures with one channel, from start to resume."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from realesrgan_train.colour import LUMA
from realesrgan_train.config import load_config
from realesrgan_train.config.degradation import DegradationConfig
from realesrgan_train.data.pictures import decode_picture
from realesrgan_train.degradations.jpeg import jpeg
from realesrgan_train.degradations.noise import poisson_noise
from realesrgan_train.degradations.recipe import Degrader
from realesrgan_train.engine import Trainer
from realesrgan_train.engine.building import build_discriminator, build_generator
from realesrgan_train.errors import CheckpointError, ConfigError
from realesrgan_train.networks import SPAN, RRDBNet, SRVGGNetCompact, UNetDiscriminatorSN
from realesrgan_train.weights import load_network, save_network

from .cli.test_commands import call
from .conftest import Overrides, draw_picture
from .engine.test_resume import ALONE, assert_same_bits
from .interruption import stop_at_step

SIZES = {
    "compact": "num_feat: 8, num_conv: 2",
    "rrdbnet": "num_feat: 8, num_block: 1, num_grow_ch: 4",
    "span": "feature_channels: 8, norm: false",
}


def grey(micro: Overrides, architecture: str, *more: str) -> list[str]:
    """`micro` with a grey network."""
    network = f"network={{architecture: {architecture}, channels: 1, {SIZES[architecture]}}}"
    return [*(o for o in micro() if not o.startswith("network=")), network, *more]


def encoded(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_colours_become_luma_by_the_stated_formula_and_grey_stays() -> None:
    image = draw_picture(3)
    rgb = np.asarray(image, np.int64)
    found = decode_picture(encoded(image), "x", 1)
    weighted = (rgb @ np.array([19595, 38470, 7471]) + 32768) >> 16
    assert found.shape == (*rgb.shape[:2], 1)
    assert np.array_equal(found[..., 0], weighted)
    assert np.abs(found[..., 0] - rgb @ np.array(LUMA)).max() <= 0.51
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(decode_picture(encoded(Image.fromarray(values)), "x", 1)[..., 0], values)
    deep = Image.fromarray(values.astype(np.uint16) * 257)
    assert np.array_equal(decode_picture(encoded(deep), "x", 1)[..., 0], values)


def test_a_grey_jpeg_is_libjpegs() -> None:
    picture = np.asarray(draw_picture(4, 61, 45).convert("L"))
    for quality in (30, 75, 95):
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
        expected = np.asarray(Image.open(buffer), np.int64)
        x = torch.from_numpy(picture / np.float32(255))[None, None]
        found = (jpeg(x, torch.tensor([quality]))[0, 0] * 255).round().numpy()
        assert np.abs(found - expected).mean() < 0.16  # as in colour: libjpeg's integer transform


@pytest.mark.parametrize("kind", ["libjpeg", "diffjpeg"])
@pytest.mark.parametrize("granularity", ["batch", "sample"])
def test_grey_is_degraded_as_three_equal_channels_with_gray_noise(
    kind: str, granularity: str
) -> None:
    noise = {"gray_probability": 1.0, "gaussian_probability": 1.0}
    values = {
        "input_size": 64,
        "patch_size": 48,
        "jpeg": kind,
        "granularity": granularity,
        "first": {"noise": noise},
        "second": {"noise": noise},
    }
    degrader = Degrader(DegradationConfig.model_validate(values), 4)
    pictures = [np.asarray(draw_picture(s, 64, 64).convert("L")) for s in range(4)]
    x = torch.from_numpy(np.stack(pictures)[:, None] / np.float32(255))
    results = [
        degrader(each, torch.Generator().manual_seed(seed))
        for seed in range(4)
        for each in (x, x.expand(-1, 3, -1, -1).contiguous())
    ]
    for one, three in zip(results[::2], results[1::2], strict=True):
        assert one.lq.shape == (4, 1, 12, 12)
        torch.testing.assert_close(one.gt_usm.expand(-1, 3, -1, -1), three.gt_usm)
        assert float(((one.lq - three.lq) * 255).abs().max()) <= 1.01  # rounded to 8 bits each
        assert float(one.lq.std()) > 0.02


def test_poisson_noise_of_grey_is_gray_noise() -> None:
    x = torch.randint(0, 256, (3, 1, 20, 24)) / 255
    scale, is_gray = torch.tensor([0.5, 1.0, 2.0]), torch.tensor([True, True, True])
    three = poisson_noise(x.expand(-1, 3, -1, -1), scale, is_gray, 5)
    found = poisson_noise(x, scale, ~is_gray, 5)
    torch.testing.assert_close(found.expand(-1, 3, -1, -1), three, rtol=0, atol=1e-6)
    assert float(found.std()) > 0.01


def networks() -> dict[str, nn.Module]:
    torch.manual_seed(7)
    return {
        "rrdbnet-x4": RRDBNet(scale=4, num_feat=8, num_block=1, num_grow_ch=4),
        "rrdbnet-x2": RRDBNet(scale=2, num_feat=8, num_block=1, num_grow_ch=4),
        "compact": SRVGGNetCompact(num_feat=8, num_conv=2, upscale=2),
        "span": SPAN(feature_channels=8, upscale=2, norm=False),
    }


def start_of(name: str, path: Path, micro: Overrides) -> tuple[list[str], nn.Module]:
    """Options of a grey run that starts from a colour network, which is returned, too."""
    network = networks()[name].eval()
    save_network(path, network)
    architecture, _, scale = name.partition("-x")
    return [
        *grey(micro, architecture, f"start.generator={path}"),
        f"scale={scale or 2}",
    ], network


@pytest.mark.parametrize("name", networks())
def test_a_colour_network_starts_a_grey_one_that_computes_its_luma(
    name: str, micro: Overrides, tmp_path: Path
) -> None:
    options, colour = start_of(name, tmp_path / "colour.safetensors", micro)
    network, random_start = build_generator(load_config("tiny", options))
    assert random_start == []
    x = torch.rand(1, 1, 20, 28)
    luma = torch.tensor(LUMA).view(1, 3, 1, 1)
    with torch.no_grad():
        expected = (colour(x.expand(-1, 3, -1, -1)) * luma).sum(1, keepdim=True)
        found = network.eval()(x)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_colour_discriminator_starts_a_grey_one_of_the_same_answers(
    micro: Overrides, tmp_path: Path
) -> None:
    torch.manual_seed(3)
    colour = UNetDiscriminatorSN(num_feat=4)
    with torch.no_grad():
        for _ in range(10):  # so that the spectral norms are known
            colour(torch.rand(1, 3, 8, 8))
    colour.eval()
    path = tmp_path / "d.pth"
    torch.save(colour.state_dict(), path)
    options = grey(micro, "compact", f"start.discriminator={path}")
    found = build_discriminator(load_config("tiny", options)).eval()
    x = torch.rand(2, 1, 24, 16)
    with torch.no_grad():
        torch.testing.assert_close(found(x), colour(x.expand(-1, 3, -1, -1)))


def test_what_does_not_fit_is_told(micro: Overrides, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"set network\.norm=false for a grey network"):
        load_config("tiny", [*grey(micro, "span"), "network.norm=true"])
    with pytest.raises(ConfigError, match=r"network\.channels: Input should be 1 or 3"):
        load_config("tiny", [*grey(micro, "compact"), "network.channels=2"])
    path = tmp_path / "colour.safetensors"
    save_network(path, SPAN(feature_channels=8, upscale=2))
    with pytest.raises(CheckpointError, match=r"a SPAN x2 .* cannot be made grey: it takes"):
        build_generator(load_config("tiny", grey(micro, "span", f"start.generator={path}")))
    one = SRVGGNetCompact(num_in_ch=1, num_out_ch=1, num_feat=8, num_conv=2, upscale=2)
    save_network(path, one)
    with pytest.raises(
        CheckpointError, match=r"holds a grey SRVGGNetCompact x2 .* asks for an SRV"
    ):
        build_generator(load_config("tiny", micro(f"start.generator={path}")))


def tensors(path: Path) -> dict[str, Tensor]:
    return load_network(path).network.state_dict()


@pytest.mark.parametrize("architecture", SIZES)
def test_from_grey_crops_to_weights_and_on_after_a_kill(
    architecture: str, micro: Overrides, tmp_path: Path, pictures: Path
) -> None:
    options = grey(
        micro,
        architecture,
        "stages.net.steps=3",
        "stages.gan.steps=3",
        "stages.gan.perceptual.weights=random",
        "stages.gan.perceptual.weight=1",
        f"validation={{pictures: {pictures}, every: 3, crop: 64, limit: 2, samples: 1}}",
    )
    straight, killed = (load_config("tiny", [*options, f"name={name}"]) for name in "sk")
    Trainer(straight, ALONE).run()
    for step in (2, 5):  # in both stages
        stop_at_step(killed, step)
    Trainer(killed, ALONE).run()
    last = "checkpoints/step-000000006-0"
    assert assert_same_bits(straight.run_dir / last, killed.run_dir / last) > 20
    found = load_network(straight.run_dir / "weights" / "gan.safetensors")
    assert str(found.architecture).startswith(f"a grey {found.architecture.name} x2 with ")
    with Image.open(straight.run_dir / "samples" / "step-000000006" / "000.png") as sample:
        assert (sample.mode, sample.size) == ("L", (3 * 64, 64))
    text = (straight.run_dir / "log.jsonl").read_text()
    assert '"colour_grey"' in text
    assert '"loss_perceptual"' in text


def test_commands_take_grey_networks(micro: Overrides, tmp_path: Path, pictures: Path) -> None:
    options = grey(micro, "compact", "stages.gan=null", "data.cache_mb=1")
    for command in (["run", "tiny", *options], ["doctor", "tiny", *options, "--limit", "1"]):
        result = call(*command)
        assert result.exit_code in (0, 10), result.output
    weights = tmp_path / "runs" / "micro" / "weights" / "net.safetensors"
    result = call("validate", weights, "--pictures", pictures, "--crop", "64", "--device", "cpu")
    assert result.exit_code == 0, result.output
    sheet = tmp_path / "sheet.png"
    assert call("preview", "tiny", *options, "--count", "2", "--out", sheet).exit_code == 0
    with Image.open(sheet) as image:
        pixels = np.asarray(image.convert("RGB"), np.int16)
    assert np.ptp(pixels, axis=2).max() == 0
    cut = tmp_path / "cut"
    assert call("prepare", "tiny", *options, "data.workers=0", "--out", cut).exit_code == 0
    modes = set()
    for path in cut.rglob("*.png"):
        with Image.open(path) as image:
            modes.add(image.mode)
    assert modes == {"L"}
    assert call("report", tmp_path / "runs" / "micro").exit_code == 0
