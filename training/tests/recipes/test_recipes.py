"""The recipes as they stand: valid, the published ones as published, their costs as documented."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from benchmarks.recipe_twins import RECIPES, TWINS

from realesrgan_train.config import load_config, parse_config
from realesrgan_train.doctor.memory import estimate
from realesrgan_train.doctor.work import step_work

from ..cli.test_commands import call
from ..config.test_config import DEGRADATION, GAN, NET

NAMES = sorted(path.stem for path in RECIPES.glob("*.yaml"))
QUICK = ("compact-x1", "compact-x2")  # others take seconds to count
PAGE = RECIPES.parents[1] / "docs" / "training" / "recipes.md"


def test_every_recipe_has_a_twin() -> None:
    assert sorted(TWINS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_dry_run_resolves_the_recipe(name: str) -> None:
    path = RECIPES / f"{name}.yaml"
    result = call("run", str(path), "--dry-run")
    assert result.exit_code == 0, result.output
    config = load_config(path)
    assert parse_config(yaml.safe_load(result.stdout)) == config
    assert config.name == name
    assert config.data.pictures
    assert config.validation.pictures
    head = path.read_text(encoding="utf-8").partition("preset:")[0]
    assert all(f"\n# {part}:" in head for part in ("For", "Data"))


@pytest.mark.parametrize(("name", "scale", "strict"), [("x4plus", 4, True), ("x2plus", 2, False)])
def test_the_published_recipes_have_the_published_figures(
    name: str, scale: int, strict: bool
) -> None:
    """Both stages in one run; none of the figures is taken from the package."""
    config = load_config(RECIPES / f"{name}.yaml")
    assert config.scale == scale
    assert config.degradation.model_dump(exclude={"video"}) == DEGRADATION
    assert config.degradation.video.probability == 0
    perceptual = {**GAN["perceptual"], "weights": Path("vgg19-dcbb9e9d.pth"), "sha256": "dcbb9e9d"}
    assert config.stages.model_dump() == {"net": NET, "gan": {**GAN, "perceptual": perceptual}}
    rrdbnet = {"architecture": "rrdbnet", "num_feat": 64, "num_block": 23, "num_grow_ch": 32}
    assert config.network.model_dump() == {**rrdbnet, "channels": 3}
    assert config.discriminator.model_dump() == {"num_feat": 64, "skip_connection": True}
    data, execution = config.data, config.execution
    assert (data.batch_size, data.horizontal_flip, data.rotate) == (12, True, False)
    assert (execution.ema_decay, execution.accumulate, execution.clip_norm) == (0.999, 1, 0.0)
    assert config.start.generator is not None
    assert config.start.strict == strict


def test_the_readme_shows_the_recipe_to_fine_tune() -> None:
    text = (RECIPES.parent / "README.md").read_text(encoding="utf-8")
    shown = yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])
    del shown["licence"]  # everybody's own
    recipe = yaml.safe_load((RECIPES / "fine-tune-own-photos.yaml").read_text(encoding="utf-8"))
    assert shown == recipe


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow], id=name)
        for name in NAMES
    ],
)
def test_the_page_tells_what_a_step_costs(name: str) -> None:
    lines = PAGE.read_text("utf-8").splitlines()
    row = next(line for line in lines if f"| `{name}` |" in line and "FLOP" in line)
    told = [float(number) for number in re.findall(r"([\d.]+) TFLOP", row)]
    config = load_config(RECIPES / f"{name}.yaml")
    work = step_work(config)
    assert told == [pytest.approx(flops / 1e12, rel=0.005) for flops in work.values()]
    steps = {key: stage.steps for key, stage in config.stages if stage}
    assert all(f"{number:,} x" in row for number in steps.values())
    whole = sum(steps[key] * flops for key, flops in work.items()) / 1e18
    assert f"{whole:.3g} EFLOP" in row
    memory = sum(estimate(config).values()) / 2**30
    assert f"{memory:.2g} GB" in row


@pytest.mark.parametrize("name", NAMES)
def test_the_page_states_the_gains_of_the_twins(name: str) -> None:
    twin = TWINS[name]
    assert f"| `{name}` | {twin.quick} | {twin.slow} |\n" in PAGE.read_text("utf-8")
