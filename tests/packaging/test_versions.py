"""Packages that are versioned together say the same version."""

import re
from pathlib import Path

import pytest

import realesrgan_vk

ROOT = Path(__file__).parents[2]
INTEGRATIONS = sorted(ROOT.glob("integrations/*/pyproject.toml"))


@pytest.mark.parametrize("project", INTEGRATIONS, ids=lambda path: path.parent.name)
def test_an_integration_has_the_version_of_the_engine(project: Path) -> None:
    text = project.read_text("utf-8")
    versions = re.findall(r'^version = "(.+)"$', text, re.M)
    needed = re.findall(r'"realesrgan-vk==(.+)"', text)
    assert versions == [realesrgan_vk.__version__]
    assert set(needed) <= {realesrgan_vk.__version__}


def test_the_vapoursynth_plugin_tells_the_same() -> None:
    text = (ROOT / "integrations" / "vapoursynth" / "CMakeLists.txt").read_text("utf-8")
    assert f"VERSION {realesrgan_vk.__version__} " in text
