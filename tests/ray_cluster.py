"""Skips tests without Ray."""

import importlib.util
import os

import pytest


def require() -> None:
    """Skip the test where Ray is not installed; in CI, where `CI` is set, fail it."""
    if importlib.util.find_spec("ray") is not None:
        return
    if os.environ.get("CI"):
        pytest.fail("Ray is not installed")
    pytest.skip("Ray is not installed: the package ray")
