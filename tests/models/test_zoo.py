"""docs/models.md and `models list --json`: current, complete, and small."""

import json
import runpy
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from realesrgan_vk.cli import app
from realesrgan_vk.models.figures import MEASURED, figures_of
from realesrgan_vk.models.packaged import PACKAGED

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def zoo() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "tools" / "zoo.py"))


def test_the_page_is_what_the_tool_writes(zoo: dict[str, Any]) -> None:
    assert zoo["PAGE"].read_text("utf-8") == zoo["page"](), "run: python tools/zoo.py"


def test_each_network_that_a_package_has_was_measured_and_is_shown(zoo: dict[str, Any]) -> None:
    rows = list(zoo["rows"]())
    listed = {name for row in rows for name in row.names}
    assert {item.name for item in PACKAGED} < listed
    for row in rows:
        assert row.licence
        assert row.made_for
        if row.key in MEASURED and row.key != "realesrnet-x4plus":
            assert row.detail.is_file(), row.key
    assert {figures_of(item.name) is not None for item in PACKAGED} == {True}
    files = list(zoo["DETAILS"].iterdir())
    assert sum(path.stat().st_size for path in files) < zoo["MOST_BYTES"]
    assert {path.stem for path in files} <= {row.key for row in rows}


def test_the_list_has_the_same_fields() -> None:
    done = CliRunner().invoke(app, ["models", "list", "--all", "--json"])
    rows = {row["name"]: row for row in json.loads(done.output)}
    reference = rows["realesrgan-x4plus"]
    assert (reference["relative_time"], reference["installed"]) == (1, True)
    assert 10**8 < reference["memory"] < 10**10
    fast = rows["realesr-animevideov3"]
    assert 0 < fast["relative_time"] < 0.2
    packaged = rows["waifu2x-cunet-x2-noise1"]
    assert packaged.keys() == reference.keys()
    assert (packaged["licence"], packaged["installed"]) == ("MIT", False)
    assert packaged["relative_time"] > 0
    plain = json.loads(CliRunner().invoke(app, ["models", "list", "--json"]).output)
    assert len(plain) < len(rows)
