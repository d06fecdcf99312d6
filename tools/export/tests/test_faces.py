"""GFPGANv1Clean: PyTorch, ncnn and realesrgan-vk agree; `realesrgan-export faces`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from realesrgan_export.cli import app
from realesrgan_export.faces import load_face_network
from realesrgan_train.networks import GFPGANv1Clean, RRDBNet
from realesrgan_vk.models.checkpoint_network import convert_checkpoint


def random_network(size: int = 64, **arguments: float) -> GFPGANv1Clean:
    """With random values where a new network has zeros, too."""
    torch.manual_seed(7)
    network = GFPGANv1Clean(size, **arguments).eval()  # type: ignore[arg-type]  # numbers
    with torch.no_grad():
        for name, value in network.named_parameters():
            if value.shape == (1,):  # the noise's strength
                value.uniform_(-0.1, 0.1)
            elif name.endswith(".bias"):
                value.add_(torch.empty_like(value).uniform_(-0.1, 0.1))
        network.final_linear.weight.mul_(3)
    return network


def narrow() -> GFPGANv1Clean:
    return random_network(64, num_style_feat=24, num_mlp=2, narrow=1 / 16)


def exported(network: GFPGANv1Clean, folder: Path) -> dict[str, object]:
    path = folder / "faces.pth"
    torch.save({"params_ema": network.state_dict()}, path)
    words = ["faces", str(path), "-o", str(folder / "out"), "--name", "net", "--licence", "MIT"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    (entry,) = json.loads((folder / "out" / "manifest.json").read_text())["models"]
    assert isinstance(entry, dict)
    return entry


def check_rows(entry: dict[str, object]) -> None:
    rows = entry["parity"]
    assert isinstance(rows, list)
    engines = {row["engine"] for row in rows}
    assert {"ncnn, CPU fp32", "realesrgan-vk, CPU fp32"} <= engines
    for row in rows:
        if row["engine"].endswith("fp32"):
            assert row["max_error"] < 1e-4
            assert row["max_steps"] <= 1


def test_the_engines_agree(tmp_path: Path) -> None:
    entry = exported(narrow(), tmp_path)
    check_rows(entry)
    assert entry["architecture"] == "GFPGANv1Clean, 64 pixels"
    assert (entry["scale"], entry["licence"]) == (1, "MIT")


@pytest.mark.slow
def test_the_engines_agree_at_the_official_size(tmp_path: Path) -> None:
    check_rows(exported(random_network(512), tmp_path))


def test_the_conversion_without_pytorch_is_the_exporters(tmp_path: Path) -> None:
    exported(narrow(), tmp_path)
    convert_checkpoint(tmp_path / "faces.pth", tmp_path, "net")
    for name in ("net.param", "net.bin"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_the_sizes_are_deduced() -> None:
    for arguments in (
        {"num_style_feat": 24, "num_mlp": 2, "narrow": 1 / 16},
        {"num_style_feat": 16, "num_mlp": 0, "narrow": 1 / 32, "channel_multiplier": 1},
    ):
        for size in (8, 32, 128):
            network = random_network(size, **arguments)
            found = load_face_network(network.state_dict())
            picture = torch.rand(1, 3, size, size)
            with torch.inference_mode():
                assert torch.equal(found(picture), network(picture))


def test_another_network_is_refused(tmp_path: Path) -> None:
    torch.save(RRDBNet(num_block=1, num_feat=8).state_dict(), tmp_path / "other.pth")
    done = CliRunner().invoke(
        app, ["faces", str(tmp_path / "other.pth"), "-o", str(tmp_path / "x")]
    )
    assert done.exit_code != 0
    assert not list(tmp_path.glob("x/*.param"))
    assert "no GFPGANv1Clean" in str(done.exception)


def test_a_missing_and_a_left_tensor_are_named(tmp_path: Path) -> None:
    state = narrow().state_dict()
    for change, words in (("missing", "toRGB.0.bias"), ("left", "extra")):
        changed = dict(state)
        if change == "missing":
            del changed["toRGB.0.bias"]
        else:
            changed["extra"] = torch.zeros(2)
        torch.save({"params_ema": changed}, tmp_path / "faces.pth")
        with pytest.raises(Exception, match=words):
            convert_checkpoint(tmp_path / "faces.pth", tmp_path, "net")
        done = CliRunner().invoke(
            app, ["faces", str(tmp_path / "faces.pth"), "-o", str(tmp_path / "out")]
        )
        assert words in str(done.exception)


def test_a_network_with_weights_too_large_for_16_bits(tmp_path: Path) -> None:
    network = narrow()
    with torch.no_grad():
        network.final_linear.weight[0, 0] = 7e4
    entry = exported(network, tmp_path)
    check_rows(entry)
    assert np.isfinite([row["psnr"] or 0 for row in entry["parity"]]).all()  # type: ignore[attr-defined]
