"""denoise=: the blend in the core is the blend of the two networks, and bad uses are told."""

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from compact_network import compact_graph, random_weights, write_compact
from numpy.typing import NDArray

import realesrgan_vk
from realesrgan_vk.models.interpolation import blended_weights
from realesrgan_vk.models.ncnn.param import Graph, format_graph
from realesrgan_vk.models.ncnn.weights import format_weights, read_weights
from realesrgan_vk.models.registry import find_model, model_at

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


def test_published_files_that_were_added_find_their_twin(general: Path) -> None:
    (general.parent / "manifest.json").unlink()
    for old, new in (("general", "realesr-general-x4v3"), ("weak", "realesr-general-wdn-x4v3")):
        for suffix in (".param", ".bin"):
            (general.parent / old).with_suffix(suffix).rename(general.parent / f"{new}{suffix}")
    param = general.with_name("realesr-general-x4v3.param")
    assert not np.array_equal(_upscale(param, 0.5), _upscale(param))


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


def _rewrite(param: Path, change: Callable[[Graph], None], seed: int) -> None:
    """Write the compact network again with a changed graph, and weights that fit it."""
    graph = compact_graph()
    weights = random_weights(graph, seed)
    names = [layer.name for layer in graph]
    change(graph)
    renamed = {
        layer.name: weights[name]
        for layer, name in zip(graph, names, strict=True)
        if name in weights
    }
    param.write_text(format_graph(graph))
    param.with_suffix(".bin").write_bytes(format_weights(graph, renamed))


def test_layers_of_one_name_are_refused(general: Path) -> None:
    def change(graph: Graph) -> None:
        graph.layers[4].name = "conv0"

    for seed, name in ((1, "general"), (2, "weak")):
        _rewrite(general.with_name(f"{name}.param"), change, seed)
    with pytest.raises(realesrgan_vk.ModelError, match="two layers are called conv0"):
        blended_weights(model_at(general), model_at(general.with_name("weak.param")), 0.5)


def test_a_negative_number_of_slopes_is_refused(general: Path) -> None:
    def change(graph: Graph) -> None:
        graph.layers[3].params[0] = -1

    _rewrite(general, change, 1)
    with pytest.raises(realesrgan_vk.ModelError, match="prelu0 has -1 weights"):
        blended_weights(model_at(general), model_at(general), 0.5)


def test_weights_that_are_not_finite_are_refused(general: Path) -> None:
    weights = general.with_suffix(".bin")
    content = bytearray(weights.read_bytes())
    content[4:8] = b"\x00\x7c\x00\xfc"  # both infinities in 16 bits
    weights.write_bytes(content)
    with pytest.raises(realesrgan_vk.ModelError, match=r"layer conv0 .* not finite"):
        blended_weights(model_at(general), model_at(general.with_name("weak.param")), 0.5)


def test_a_byte_order_mark_and_the_order_of_parameters_change_nothing(general: Path) -> None:
    models = model_at(general), model_at(general.with_name("weak.param"))
    expected = blended_weights(*models, 0.5)
    text = general.read_text()
    assert "0=8 1=3" in text
    general.write_text(text.replace("0=8 1=3", "1=3 0=8"), encoding="utf-8-sig")
    assert blended_weights(*models, 0.5) == expected


def test_damaged_networks_raise_nothing_else(general: Path) -> None:
    rng = np.random.default_rng(4)
    models = model_at(general), model_at(general.with_name("weak.param"))
    text, weights = general.read_text(), general.with_suffix(".bin").read_bytes()
    refused = 0
    for index in range(200):
        words = text.split(" ")
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(len(words)))
            words[at] = str(rng.choice(["-1", "9" * 30, "nan", "0=-1", "-23310=1,0.2", "", "\n"]))
        changed = " ".join(words)
        for model in models[: 1 + index % 2]:
            model.param.write_text(changed)
        models[0].bin.write_bytes(
            weights[: int(rng.integers(len(weights)))] if index % 3 else weights
        )
        try:
            blended_weights(*models, 0.5)
        except realesrgan_vk.ModelError:
            refused += 1
    assert refused > 100


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
    with pytest.raises(realesrgan_vk.ModelError, match="needs its twin for denoise: "):
        _upscale(general, 0.5)
    assert find_model(general).name == "general"
