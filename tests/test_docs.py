"""The documents: their Python code runs, and their table of networks is the manifest's."""

import re
from pathlib import Path

import pytest
import tifffile
from compact_network import write_compact
from conftest import Photo
from PIL import Image

from realesrgan_vk import list_models
from realesrgan_vk.models.add import add_models
from realesrgan_vk.models.published import PUBLISHED

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCKS = [
    pytest.param(block, id=f"{page.relative_to(ROOT)}:{number}")
    for page in PAGES
    for number, block in enumerate(
        re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.S)
    )
]


@pytest.mark.parametrize("block", BLOCKS)
def test_python_blocks_run_as_they_stand(
    block: str, photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the files that the pages name: photo.jpg, scan.tif and the network `mine`."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(photo(12, 10)).save("photo.jpg")
    tifffile.imwrite("scan.tif", photo(12, 10), photometric="rgb")
    add_models(write_compact(tmp_path, "mine"), tmp_path / "installed")
    exec(compile(block, "block", "exec"), {"__name__": "block"})


def test_there_are_blocks_and_they_import_what_they_use() -> None:
    assert len(BLOCKS) >= 3


@pytest.mark.parametrize("page", ["README.md", "models/README.md"])
def test_tables_say_what_each_network_is_for(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    known = {model.name: (model.made_for, model.scale) for model in list_models()}
    if page == "README.md":
        known |= {item.name: (item.made_for, item.scale) for item in PUBLISHED}
    rows = re.findall(r"^\| `(real[^|]*?)\| ([^|]*?) \| ([0-9, ]+) \|", text, re.M)
    assert len(rows) >= 3
    for names, made_for, scales in rows:
        first, *others = re.findall(r"`?([a-z0-9-]+)`", names)
        listed = [first, *(first + other for other in others)]
        assert len(listed) == len(scales.split(","))
        for name, scale in zip(listed, scales.split(","), strict=True):
            assert known[name] == (made_for, int(scale)), name
