"""GFPGANv1Clean: PyTorch, ncnn and realesrgan-vk agree; `realesrgan-export faces`."""

from __future__ import annotations

import hashlib
import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from realesrgan_export.cli import app
from realesrgan_export.engines import torch_engine
from realesrgan_export.faces import InUnits, load_face_network, with_stored_weights
from realesrgan_export.pictures import verification_pictures
from realesrgan_train.networks import GFPGANv1Clean, RRDBNet
from realesrgan_vk import FaceOptions
from realesrgan_vk.cli import app as commands
from realesrgan_vk.faces.align import TEMPLATE, Similarity
from realesrgan_vk.faces.enhance import FaceEnhancer
from realesrgan_vk.faces.face import Face
from realesrgan_vk.faces.restore import Restorer
from realesrgan_vk.models.checkpoint_network import convert_checkpoint
from realesrgan_vk.models.published import Published


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


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


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param({"num_style_feat": 24, "num_mlp": 2, "narrow": 1 / 32}, id="narrow"),
        pytest.param({}, id="the official size", marks=pytest.mark.slow),
    ],
)
def test_pulled_and_used(
    sizes: dict[str, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a server, after an interruption; the result is PyTorch's to a step."""
    network = random_network(512, **sizes)
    release = tmp_path / "release"
    release.mkdir()
    torch.save({"params_ema": network.state_dict()}, release / "face.pth")
    content = (release / "face.pth").read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    own = ("REALESRGAN_VK_CACHE", "REALESRGAN_VK_MODELS")
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", *own):
        monkeypatch.delenv(variable, raising=False)
    cache = tmp_path / "cache" / "realesrgan-vk" / "checkpoints"
    cache.mkdir(parents=True)
    part = cache / f"face.pth.{digest[:16]}.part"
    part.write_bytes(content[:1000])  # of an interrupted download
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=release)) as server:
        url = f"http://127.0.0.1:{server.server_port}/face.pth"
        listed = Published(
            "face", url, digest, max_bytes=len(content), scale=1, licence="MIT", notice="Of a test."
        )
        for module in ("models.pull", "cli.models"):
            monkeypatch.setattr(f"realesrgan_vk.{module}.PUBLISHED", (listed,))
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        done = CliRunner().invoke(commands, ["models", "pull", "face"])
        server.shutdown()
        thread.join()
    assert done.exit_code == 0, done.output
    assert "note: face: Of a test." in done.output
    assert not part.exists()
    rng = np.random.default_rng(3)
    crop = rng.random((512, 512, 3), np.float32)
    restorer = Restorer("face", device=-1, fp16=False, threads=1)
    made = restorer(crop)
    with torch.inference_mode():
        stored = InUnits(with_stored_weights(network))
        expected = stored(torch.from_numpy(crop.transpose(2, 0, 1).copy())[None])
    reference = expected[0].numpy().transpose(1, 2, 0).clip(0, 1)
    assert np.abs(made - reference).max() < 1e-4
    photograph = next(each for each in verification_pictures(3) if each.name == "photograph").pixels
    small = np.rint(photograph * 255).astype(np.uint8)
    large = small.repeat(2, axis=0).repeat(2, axis=1)
    there = Similarity(np.eye(2) * 6, np.array([40.0, -20.0]))
    face = Face((0, 0, 50, 50), 1.0, there.inverse()(TEMPLATE))
    monkeypatch.setattr("realesrgan_vk.faces.enhance.require_detector", lambda: None)
    with torch.inference_mode():
        results = [
            FaceEnhancer(restore).enhance(small, [face], large.copy(), FaceOptions(strength=1))
            for restore in (restorer, lambda crop, _: torch_engine(stored)(crop).clip(0, 1))
        ]
    assert np.abs(results[0].astype(int) - results[1].astype(int)).max() <= 1
    assert np.abs(results[0].astype(int) - large.astype(int)).max() > 8


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
