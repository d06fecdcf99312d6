"""The configuration: strict keys, helpful messages, presets, overrides."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from realesrgan_train.config import (
    RunConfig,
    config_to_yaml,
    load_config,
    parse_config,
    preset_names,
)
from realesrgan_train.errors import ConfigError


def test_every_preset_of_the_issue_is_there_and_valid() -> None:
    assert preset_names() == sorted(
        [
            "realesrnet_x4plus",
            "realesrgan_x4plus",
            "x2plus",
            "x1",
            "anime_6b",
            "compact_general",
            "compact_general_wdn",
            "compact_video",
            "span_x4",
            "tiny",
        ]
    )
    for name in preset_names():
        config = load_config(name)
        assert config.preset == config.name == name


PI = 3.141592653589793
KERNEL: dict[str, Any] = {
    "size": (7, 21),
    "families": {
        "iso": 0.45,
        "aniso": 0.25,
        "generalized_iso": 0.12,
        "generalized_aniso": 0.03,
        "plateau_iso": 0.12,
        "plateau_aniso": 0.03,
    },
    "sigma": (0.2, 3.0),
    "rotation": (-PI, PI),
    "beta_generalized": (0.5, 4.0),
    "beta_plateau": (1.0, 2.0),
    "sinc_probability": 0.1,
    "sinc_cutoff_small": (PI / 3, PI),
    "sinc_cutoff_large": (PI / 5, PI),
    "sinc_small_below": 13,
}
MODES = ("area", "bilinear", "bicubic")
#: The recipe's figures as published, none of them taken from the package.
DEGRADATION: dict[str, Any] = {
    "granularity": "batch",
    "input_size": 400,
    "patch_size": 256,
    "pool_size": 180,
    "first": {
        "blur_probability": 1.0,
        "kernel": KERNEL,
        "resize": {"up": 0.2, "down": 0.7, "keep": 0.1, "factor": (0.15, 1.5), "modes": MODES},
        "noise": {
            "probability": 1.0,
            "gaussian_probability": 0.5,
            "gaussian_sigma": (1.0, 30.0),
            "poisson_scale": (0.05, 3.0),
            "gray_probability": 0.4,
        },
        "jpeg_probability": 1.0,
        "jpeg_quality": (30.0, 95.0),
    },
    "second": {
        "blur_probability": 0.8,
        "kernel": {**KERNEL, "sigma": (0.2, 1.5)},
        "resize": {"up": 0.3, "down": 0.4, "keep": 0.3, "factor": (0.3, 1.2), "modes": MODES},
        "noise": {
            "probability": 1.0,
            "gaussian_probability": 0.5,
            "gaussian_sigma": (1.0, 25.0),
            "poisson_scale": (0.05, 2.5),
            "gray_probability": 0.4,
        },
        "jpeg_probability": 1.0,
        "jpeg_quality": (30.0, 95.0),
    },
    "resize_before_jpeg": 0.5,
    "final_sinc": {"probability": 0.8, "size": (7, 21), "cutoff": (PI / 3, PI)},
    "usm": {"weight": 0.5, "radius": 50, "threshold": 10.0, "target": "patch"},
    "jpeg": "diffjpeg",
    "first_resize": "factor",
}
ADAM: dict[str, Any] = {
    "kind": "adam",
    "betas": (0.9, 0.99),
    "weight_decay": 0.0,
    "schedule": "constant",
    "final": 0.01,
    "warmup": 0,
}
PIXEL = {"kind": "l1", "weight": 1.0, "target": "sharpened"}
UNUSED = {"ms_ssim": None, "frequency": None}
NET: dict[str, Any] = {
    "steps": 1_000_000,
    "optimizer": {**ADAM, "lr": 2e-4},
    "pixel": PIXEL,
    **UNUSED,
}
GAN: dict[str, Any] = {
    "steps": 400_000,
    "optimizer": {**ADAM, "lr": 1e-4},
    "discriminator_optimizer": {**ADAM, "lr": 1e-4},
    "pixel": PIXEL,
    "perceptual": {
        "weight": 1.0,
        "layers": {"conv1_2": 0.1, "conv2_2": 0.1, "conv3_4": 1, "conv4_4": 1, "conv5_4": 1},
        "target": "sharpened",
        "weights": None,
        "sha256": None,
    },
    "gan": {"kind": "vanilla", "weight": 0.1, "target": "plain"},
    **UNUSED,
    "artefacts": None,
    "dists": None,
    "discriminator_steps": 1,
    "warmup_discriminator": 0,
}


@pytest.mark.parametrize(
    ("name", "scale", "stages"),
    [
        ("realesrnet_x4plus", 4, {"net": NET, "gan": None}),
        ("realesrgan_x4plus", 4, {"net": None, "gan": GAN}),
        ("x2plus", 2, {"net": NET, "gan": GAN}),
    ],
)
def test_the_published_presets_have_the_published_figures(
    name: str, scale: int, stages: dict[str, Any]
) -> None:
    config = load_config(name)
    assert config.scale == scale
    assert config.degradation.model_dump(exclude={"video"}) == DEGRADATION
    assert config.degradation.video.probability == 0
    assert config.stages.model_dump() == stages
    sizes = {"channels": 3, "num_feat": 64, "num_block": 23, "num_grow_ch": 32}
    assert config.network.model_dump() == {"architecture": "rrdbnet", **sizes}
    assert config.discriminator.model_dump() == {"num_feat": 64, "skip_connection": True}
    data, execution = config.data, config.execution
    assert (data.batch_size, data.horizontal_flip, data.rotate) == (12, True, False)
    assert (execution.ema_decay, execution.accumulate, execution.clip_norm) == (0.999, 1, 0.0)


@pytest.mark.parametrize("name", preset_names())
def test_presets_without_a_published_recipe_compress_as_libjpeg(name: str) -> None:
    published = name in ("realesrnet_x4plus", "realesrgan_x4plus", "x2plus")
    recipe = load_config(name).degradation
    assert recipe.jpeg == ("diffjpeg" if published else "libjpeg")
    assert recipe.first_resize == ("factor" if published else "size")
    assert recipe.usm.target == ("patch" if published else "picture")


def test_a_resolved_configuration_of_before_keeps_its_meaning(tmp_path: Path) -> None:
    """It names a preset, which today asks for what did not exist then."""
    values = load_config("realesrgan_x4plus", ["data.pictures=a"]).model_dump(mode="json")
    del values["degradation"]["jpeg"], values["degradation"]["usm"]["target"]
    del values["degradation"]["first_resize"]
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(values))
    for config in (parse_config(values), load_config(path), load_config(path, ["seed=3"])):
        assert config.preset == "realesrgan_x4plus"
        assert config.degradation.jpeg == "libjpeg"
        assert config.degradation.first_resize == "size"
        assert config.degradation.usm.target == "picture"
    assert load_config(path, ["degradation.jpeg=diffjpeg"]).degradation.jpeg == "diffjpeg"


def test_resolved_config_is_the_same_config() -> None:
    for name in preset_names():
        config = load_config(name, ["data.pictures=[a, 'b.lmdb', 'c-{00..03}.tar']", "seed=5"])
        again = parse_config(yaml.safe_load(config_to_yaml(config)))
        assert again == config


def test_overrides_and_shorthand() -> None:
    config = load_config(
        "tiny",
        [
            "stages.net.optimizer.lr=1e-4",
            "data.pictures=[a, 'b.lmdb', 'c-{00..03}.tar', 's3://bucket/d.tar']",
            "stages.gan=null",
            "data.batch_size=3",
            "data.batch_size=5",
        ],
    )
    assert config.stages.net is not None
    assert config.stages.net.optimizer.lr == 1e-4  # YAML 1.1 would read text
    assert config.stages.net.optimizer.schedule == "cosine"  # the preset's, not the default
    assert [source.kind for source in config.data.pictures] == [
        "folder",
        "lmdb",
        "shards",
        "shards",
    ]
    assert config.stages.gan is None
    assert config.data.batch_size == 5  # the last one counts


def test_a_partly_given_section_keeps_the_defaults_of_its_place() -> None:
    config = load_config("realesrgan_x4plus", ["degradation.second.jpeg_quality=[50, 90]"])
    assert config.degradation.second.jpeg_quality == (50, 90)
    assert config.degradation.second.kernel.sigma == (0.2, 1.5)
    assert config.degradation.second.noise.gaussian_sigma == (1, 25)


def test_another_architecture_replaces_the_network_section() -> None:
    config = load_config("x1", ["network={architecture: compact, num_conv: 8}"])
    assert config.network.model_dump() == {
        "architecture": "compact",
        "channels": 3,
        "num_feat": 64,
        "num_conv": 8,
        "act_type": "prelu",
    }


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.batchsize=3", "unknown key 'data.batchsize'; did you mean 'data.batch_size'?"),
        ("nmae=a", "unknown key 'nmae'; did you mean 'name'?"),
        ("network.num_fet=3", "did you mean 'network.num_feat'?"),
        (
            "degradation.second.jpeg_qualty=[1, 2]",
            "did you mean 'degradation.second.jpeg_quality'?",
        ),
        ("data.pictures=[{kind: folder, pth: x}]", "did you mean 'data.pictures[0].path'?"),
        ("stages.net.optimiser={}", "did you mean 'stages.net.optimizer'?"),
        ("data.zzzzqqq=1", "here are allowed: batch_size"),
        ("data.batch_size=big", "data.batch_size: Input should be a valid integer (given: 'big')"),
        ("data.batch_size=0", "data.batch_size: Input should be greater than 0"),
        ("data.horizontal_flip=1", "data.horizontal_flip: Input should be a valid boolean"),
        ("scale=5", "scale: Input should be 1, 2, 3, 4 or 8"),
        ("data.pair_ratio=0.5", "pair_ratio is above 0 but pairs is empty"),
        ("degradation.patch_size=126", "126 is not a multiple of scale 4"),
        ("degradation.patch_size=null", "degradation.patch_size must be a number"),
        ("degradation.patch_size=100", "must be a multiple of 8"),
        ("stages={net: null, gan: null}", "a run needs at least one"),
        ("name=../up", "name: String should match pattern"),
        ("batch_size", "is not key=value"),
        ("=3", "is not key=value"),
        ("data.pictures=[", "not valid YAML"),
        ("preset=tinny", "no preset 'tinny'; did you mean 'tiny'?"),
        (
            "stages.gan.perceptual.layers={conv5_5: 1.0}",
            "stages.gan.perceptual.layers: VGG19 has no layer 'conv5_5'; did you mean 'conv5_4'?",
        ),
        ("stages.gan.perceptual.layers={relu9: 1.0}", "There are: conv1_1, conv1_2"),
        (
            "stages.gan.perceptual={weight: 1.0, layers: "
            "{conv1_2: 0, conv2_2: 0, conv3_4: 0, conv4_4: 0, conv5_4: 0}}",
            "layers has no weight above 0",
        ),
        (
            "stages.gan={steps: 5, warmup_discriminator: 5}",
            "warmup_discriminator 5 leaves none of the 5 steps to the generator",
        ),
        ("stages.gan.warmup_discriminator=-1", "Input should be greater than or equal to 0"),
        ("stages.gan.perceptual.sha256=xyz", "String should match pattern"),
        ("degradation.pool_size='180'", "degradation.pool_size: Input should be a valid integer"),
        ("degradation.usm.weight='0.5'", "degradation.usm.weight: Input should be a valid number"),
    ],
)
def test_bad_values_get_one_clear_message(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("tiny", [override])
    assert message in str(caught.value)
    assert "pydantic" not in str(caught.value)


def test_a_file_can_build_on_a_preset_and_is_named_after_itself(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("preset: tiny\ndata: {pictures: photos}\nstages: {net: {steps: 7}}\n")
    config = load_config(path)
    assert (config.name, config.preset) == ("mine", "tiny")
    assert config.stages.net is not None
    assert (config.stages.net.steps, config.stages.net.optimizer.lr) == (7, 2e-3)


def test_neither_file_nor_preset(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean the preset 'compact_video'"):
        load_config("compact_vidoe")
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [1,")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_config(broken)
    broken.write_text("- a\n- b\n")
    with pytest.raises(ConfigError, match="mapping of keys"):
        load_config(broken)


def test_schema_knows_every_section() -> None:
    schema = json.loads(json.dumps(RunConfig.model_json_schema()))
    assert set(schema["properties"]) == set(RunConfig.model_fields)
    assert schema["additionalProperties"] is False


def test_the_readme_examples_are_valid(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    blocks = [block.split("```")[0] for block in text.split("```yaml\n")[1:]]
    assert len(blocks) >= 2
    path = tmp_path / "my_run.yaml"
    path.write_text(blocks[0], encoding="utf-8")
    config = load_config(path)
    assert config.stages.gan is not None
    assert config.stages.gan.steps == 20_000
    path.write_text("preset: tiny\n" + blocks[1], encoding="utf-8")
    assert len(load_config(path).data.pairs) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"data: " + b"[" * 5000, "is not valid YAML"),
        (b"seed: " + b"9" * 5000, "is not valid YAML"),
        (b"name: \xff\xfe", "is not a YAML file in UTF-8"),
    ],
)
def test_files_that_are_no_configuration(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        load_config(path)
