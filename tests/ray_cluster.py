"""A Ray cluster of this machine for tests, which are skipped without Ray."""

import importlib.util
import os
from collections.abc import Iterator
from types import ModuleType

import pytest


def require() -> None:
    """Skip the test where Ray is not installed; in CI, where `CI` is set, fail it."""
    if importlib.util.find_spec("ray") is not None:
        return
    if os.environ.get("CI"):
        pytest.fail("Ray is not installed")
    pytest.skip("Ray is not installed: the package ray")


def environment() -> Iterator[None]:
    """Ray reports to nobody, and its workers are not put behind all other programs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")
        yield


def of_two_cores() -> Iterator[ModuleType]:
    """A cluster of this machine that counts two processors, and which the calls join."""
    require()
    import ray  # noqa: PLC0415 - an optional dependency

    ray.init(
        address="local",
        num_cpus=2,
        num_gpus=0,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        object_store_memory=80 << 20,
    )
    yield ray
    ray.shutdown()
