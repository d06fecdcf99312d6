"""The recipe's configuration accepts what can be drawn and nothing else."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from realesrgan_train.config.degradation import DegradationConfig


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"blur": 1}, "Extra inputs are not permitted"),
        ({"first": {"noise": {"gaussian_sigma": [5, 1]}}}, "lower bound 5.0 is above"),
        ({"first": {"noise": {"gaussian_sigma": [-1, 1]}}}, "greater than or equal to 0"),
        ({"first": {"kernel": {"size": [6, 21]}}}, "must be odd numbers from 1 to 21"),
        ({"first": {"kernel": {"size": [7, 23]}}}, "must be odd numbers from 1 to 21"),
        ({"first": {"kernel": {"families": {"iso": 0.5}}}}, "add up to 1.05, not to 1"),
        ({"first": {"kernel": {"beta_plateau": [1.5, 2]}}}, "must contain 1"),
        ({"first": {"resize": {"up": 0.5}}}, "add up to 1.3, not to 1"),
        ({"first": {"resize": {"factor": [1.1, 1.5]}}}, "must contain 1"),
        ({"first": {"resize": {"modes": ["nearest"]}}}, "'area', 'bilinear' or 'bicubic'"),
        ({"first": {"resize": {"modes": []}}}, "name at least one of"),
        ({"first": {"jpeg_quality": [0, 95]}}, "greater than or equal to 1"),
        ({"second": {"blur_probability": 1.5}}, "less than or equal to 1"),
        ({"final_sinc": {"size": [3, 4]}}, "must be odd numbers"),
        ({"patch_size": 512}, "patch_size 512 is larger than input_size 400"),
        ({"granularity": "pixel"}, "'batch' or 'sample'"),
        ({"pool_size": "180"}, "valid integer"),
        ({"jpeg": "pillow"}, "'libjpeg' or 'diffjpeg'"),
        ({"usm": {"target": "none"}}, "'picture' or 'patch'"),
        ({"usm": {"weight": "0.5"}}, "valid number"),
        ({"final_sinc": {"probability": True}}, "valid number"),
    ],
)
def test_impossible_recipes_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DegradationConfig.model_validate_json(json.dumps(change))


def test_partly_given_second_order_keeps_its_own_figures() -> None:
    config = DegradationConfig.model_validate(
        {"second": {"kernel": {"sinc_probability": 0.0}, "noise": {"gray_probability": 1.0}}}
    )
    assert config.second.kernel.sigma == (0.2, 1.5)
    assert config.second.noise.gaussian_sigma == (1.0, 25.0)
    assert config.second.resize.factor == (0.3, 1.2)
    assert config.second.blur_probability == 0.8


def test_presets() -> None:
    assert DegradationConfig.preset("paper") == DegradationConfig()
    assert DegradationConfig.preset("per-sample").granularity == "sample"
    with pytest.raises(ValueError, match="there are: paper, per-sample"):
        DegradationConfig.preset("papper")  # type: ignore[arg-type]


def test_config_survives_json() -> None:
    config = DegradationConfig.preset("per-sample")
    assert DegradationConfig.model_validate_json(config.model_dump_json()) == config
