"""denoise=: the blend in the core is the blend of the two networks, and bad uses are told."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from compact_network import compact_graph, write_compact
from numpy.typing import NDArray

import realesrgan_vk
from realesrgan_vk.blending import blended_weights
from realesrgan_vk.models import find_model, model_at
from realesrgan_vk.ncnn_weights import read_weights

PICTURE = np.random.default_rng(3).random((13, 17, 3)).astype(np.float32)


@pytest.fixture
def general(tmp_path: Path) -> Path:
    """`general.param`, whose manifest names the twin `weak`."""
    param = write_compact(tmp_path, "general", seed=1)
    write_compact(tmp_path, "weak", seed=2)
    files = {kind: {"file": f"general.{kind}", "sha256": ""} for kind in ("param", "bin")}
    entry = {"name": "general", "weak_denoise": "weak", "files": files}
    (tmp_path / "manifest.json").write_text(json.dumps({"models": [entry]}))
    return param


def _upscale(param: Path, denoise: float | None = None) -> NDArray[np.float32]:
    upscaler = realesrgan_vk.Upscaler(param, device="cpu", denoise=denoise, threads=1)
    return np.asarray(upscaler.upscale(PICTURE), np.float32)


def test_ends_are_the_two_networks_and_the_middle_is_neither(general: Path) -> None:
    weak = general.with_name("weak.param")
    assert np.array_equal(_upscale(general, 1), _upscale(general))
    assert np.abs(_upscale(general, 0) - _upscale(weak)).max() < 1e-6
    middle = _upscale(general, 0.5)
    assert np.abs(middle - _upscale(general)).max() > 1e-3
    assert np.abs(middle - _upscale(weak)).max() > 1e-3


def test_the_blend_is_linear_in_the_weights(general: Path, tmp_path: Path) -> None:
    graph = compact_graph()
    weak = general.with_name("weak.param")
    path = tmp_path / "blend.bin"
    path.write_bytes(blended_weights(model_at(general), model_at(weak), 0.25))
    a = read_weights(graph, general.with_suffix(".bin"))
    b = read_weights(graph, weak.with_suffix(".bin"))
    for name, kept in read_weights(graph, path).items():
        assert not kept.fp16
        expected = 0.25 * a[name].weight.astype(float) + 0.75 * b[name].weight
        assert np.abs(kept.weight - expected).max() < 1e-7
        if kept.bias is not None:
            ours, theirs = a[name].bias, b[name].bias
            assert ours is not None
            assert theirs is not None
            expected = 0.25 * ours.astype(float) + 0.75 * theirs
            assert np.abs(kept.bias - expected).max() < 1e-7


@pytest.mark.parametrize(
    "twin", ["../weak", "folder/weak", "/weak", "..", "C:weak", "nul", "w" * 300, 5, ["weak"], {}]
)
def test_a_twin_that_is_no_plain_name_is_refused(twin: object, general: Path) -> None:
    manifest = json.loads((general.parent / "manifest.json").read_text())
    manifest["models"][0]["weak_denoise"] = twin
    (general.parent / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(realesrgan_vk.ModelError, match=r"manifest\.json: weak_denoise"):
        _upscale(general, 0.5)


@pytest.mark.parametrize("share", [np.float32(0.5), np.float64(0.5), Fraction(1, 2)])
def test_any_real_number_is_a_strength(share: float, general: Path) -> None:
    assert np.array_equal(_upscale(general, share), _upscale(general, 0.5))


def test_nothing_is_left_in_the_temporary_folder(
    general: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    _upscale(general, 0.3)
    assert not list(scratch.iterdir())


def test_bad_uses(general: Path) -> None:
    with pytest.raises(realesrgan_vk.ModelError, match="has no weakly denoising twin"):
        realesrgan_vk.Upscaler("realesr-animevideov3", device="cpu", denoise=0.5)
    for value in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="it must be from 0"):
            _upscale(general, value)
    with pytest.raises(TypeError, match="denoise must be a number"):
        _upscale(general, "half")  # type: ignore[arg-type]
    write_compact(general.parent, "weak", features=9)
    with pytest.raises(realesrgan_vk.ModelError, match="not the same network"):
        _upscale(general, 0.5)
    general.with_name("weak.bin").unlink()
    with pytest.raises(realesrgan_vk.ModelError, match="needs its twin for denoise="):
        _upscale(general, 0.5)
    assert find_model(general).name == "general"
