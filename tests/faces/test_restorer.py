"""The networks that restore crops: their licences."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path

import numpy as np
import pytest
from faces_extra import write_sharpener

from realesrgan_vk.faces.restore import Restorer
from realesrgan_vk.models.published import PUBLISHED
from realesrgan_vk.models.registry import Model
from realesrgan_vk.options import DEFAULT_FACE_MODEL


def listed(folder: Path, name: str, licence: str) -> Path:
    """A network for faces with a manifest beside it, as `models pull` and the exporter write it."""
    param = write_sharpener(folder, name)
    files = {
        path.suffix[1:]: {
            "file": path.name,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in (param, param.with_suffix(".bin"))
    }
    entry = {"name": name, "architecture": "of another kind", "licence": licence, "files": files}
    (folder / "manifest.json").write_text(json.dumps({"models": [entry]}), "utf-8")
    return param


@pytest.mark.parametrize(
    ("licence", "told"),
    [
        ("LicenseRef-S-Lab-1.0", True),
        ("S-Lab License 1.0", True),
        ("CC-BY-NC-SA-4.0", True),
        ("PolyForm-Noncommercial-1.0.0", True),
        ("Apache-2.0", False),
        ("BSD-3-Clause", False),
        ("", False),
    ],
)
def test_licences_that_allow_no_commercial_use(licence: str, told: bool) -> None:
    assert Model("net", Path(), Path(), licence=licence).non_commercial == told


def test_a_licence_against_commercial_use_is_told_once_when_the_network_is_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = str(listed(tmp_path, "other-restorer", "LicenseRef-S-Lab-1.0"))
    crop = np.zeros((512, 512, 3), np.float32)
    with caplog.at_level(logging.WARNING, "realesrgan_vk"):
        restorers = [Restorer(path, device=-1, fp16=False, threads=1) for _ in range(2)]
        assert not caplog.messages
        for restorer in restorers:
            restorer(crop)
    (message,) = caplog.messages
    assert message == (
        "other-restorer has the licence LicenseRef-S-Lab-1.0, which allows non-commercial use only"
    )


def test_the_default_network_is_none_of_those() -> None:
    (default,) = (item for item in PUBLISHED if item.name == DEFAULT_FACE_MODEL)
    assert default.restores_faces
    assert not Model("net", Path(), Path(), licence=default.licence).non_commercial
