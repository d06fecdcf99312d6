"""The simulation of a cluster where the result can be computed by hand."""

from pathlib import Path
from typing import Any

import pytest
import script_modules

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "cluster_sim.py"


@pytest.fixture(scope="module")
def sim() -> Any:  # noqa: ANN401 - a script
    return script_modules.load(SCRIPT)


def model(sim: Any, **options: float) -> Any:  # noqa: ANN401 - a script's class
    """100 pictures of a second each; nothing else takes time, and nothing is lost."""
    ideal = {
        "pictures": 100,
        "picture": 1.0,
        "spread": 0.0,
        "slow_share": 0.0,
        "driver": 0.0,
        "start": 0.0,
        "lost_an_hour": 0.0,
        "storage": 1e12,
    }
    return sim.Model(**ideal | options)


@pytest.mark.parametrize(("workers", "seconds"), [(1, 100), (10, 10), (100, 1), (1000, 1)])
def test_ideal_workers_divide_the_work(sim: Any, workers: int, seconds: float) -> None:  # noqa: ANN401
    one = sim.simulate(model(sim, in_work=1), workers)
    assert one.hours * 3600 == pytest.approx(seconds, rel=1e-6)
    assert one.cost == pytest.approx(workers * seconds / 3600, rel=1e-6)


def test_a_start_comes_before_all(sim: Any) -> None:  # noqa: ANN401
    assert sim.simulate(model(sim, start=7.0), 1).hours * 3600 == pytest.approx(107, rel=1e-6)


def test_the_driver_is_the_limit_of_many_workers(sim: Any) -> None:  # noqa: ANN401
    one = sim.simulate(model(sim, driver=0.5, in_work=1), 50)
    assert one.hours * 3600 == pytest.approx(51, rel=1e-6)
    assert one.limit == "driver"


def test_the_storage_is_the_limit_of_large_results(sim: Any) -> None:  # noqa: ANN401
    one = sim.simulate(model(sim, megabytes=100.0, storage=50.0, in_work=1), 100)
    assert one.hours * 3600 == pytest.approx(201, rel=1e-6)
    assert one.limit == "storage"


def test_slow_workers_make_the_tail(sim: Any) -> None:  # noqa: ANN401
    one = sim.simulate(model(sim, slow_share=1.0, slow_factor=3.0), 10)
    assert one.hours * 3600 == pytest.approx(30, rel=1e-6)
    assert one.efficiency == pytest.approx(1 / 3)


@pytest.mark.parametrize("workers", [1, 7])
def test_lost_pictures_are_done_again(sim: Any, workers: int) -> None:  # noqa: ANN401
    one = sim.simulate(model(sim, lost_an_hour=200.0, replace=5.0), workers, seed=3)
    assert one.lost_workers > 0
    assert one.done_again > 0
    assert one.hours * 3600 > 100 / workers
    assert one == sim.simulate(model(sim, lost_an_hour=200.0, replace=5.0), workers, seed=3)
