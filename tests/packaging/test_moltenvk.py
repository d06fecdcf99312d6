"""The library that wheels for macOS bring, as far as it can be known on another system."""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import script_modules


@pytest.fixture
def moltenvk() -> Iterator[ModuleType]:
    yield from script_modules.load_tool("moltenvk")


def test_another_library_than_the_known_one_is_refused(
    moltenvk: ModuleType, tmp_path: Path
) -> None:
    wheel = tmp_path / "ncnn.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(moltenvk.MEMBER, b"another one")
    with pytest.raises(ValueError, match=f"ncnn.whl has sha256 .*must have {moltenvk.SHA256}"):
        moltenvk.library_of(wheel)


def test_it_is_of_the_ncnn_that_the_licences_name(moltenvk: ModuleType) -> None:
    page = (script_modules.TOOLS.parent / "THIRD_PARTY.md").read_text("utf-8")
    (row,) = (line for line in page.splitlines() if line.startswith("| MoltenVK"))
    assert f"ncnn=={row.split(' | ')[1].split()[-1]}" == moltenvk.REQUIREMENT
