"""The documents: their commands and Python blocks run, and their tables are true.

Blocks of a page run in their order in one folder. A block that cannot run here is preceded by a
comment with the reason, `<!-- skip: next "the reason" -->`, which pytest lists (`-rs`).
"""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from unittest import SkipTest

import numpy as np
import pytest
import tifffile
from compact_network import write_compact
from conftest import Photo
from numpy.typing import NDArray
from PIL import Image
from sybil import Document, Example
from sybil.example import NotEvaluated
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser
from sybil.typing import Parser

from realesrgan_vk import list_models
from realesrgan_vk.models.published import PUBLISHED

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "examples" / "README.md",
    ROOT / "models" / "README.md",
    ROOT / "training" / "README.md",
    ROOT / "tools" / "export" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
_SECONDS = 120  # of one block


def _run_shell(example: Example) -> None:
    """Run a block as a script that stops at the first command that fails."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", example.parsed],
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        raise AssertionError(
            f"exit code {done.returncode}:\n{example.parsed}\n{done.stdout}\n{done.stderr}"
        )


def _examples(page: Path) -> list[Example]:
    parsers: list[Parser] = [
        SkipParser(),
        PythonCodeBlockParser(),
        CodeBlockParser("sh", _run_shell),
    ]
    return list(Document.parse(str(page), *parsers).examples())


WITH_BLOCKS = [page for page in PAGES if _examples(page)]


@pytest.fixture
def folder(photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder of a page's blocks, with the files that the pages name.

    Commands find this Python's programs first, and keep caches and networks in the folder's own
    home. The pictures are small: photo.jpg, drawing.png, scan.tif, holiday/ and frames/. `mine` is
    installed, a network with random weights.
    """
    folder, home = tmp_path / "page", tmp_path / "home"
    for made in (folder / "holiday", folder / "frames", home / ".cache"):
        made.mkdir(parents=True)
    Image.fromarray(photo(16, 12)).save(folder / "photo.jpg")
    Image.fromarray(photo(12, 10)).save(folder / "drawing.png")
    for name in ("beach.jpg", "harbour.png"):
        Image.fromarray(photo(12, 10)).save(folder / "holiday" / name)
    for number in (1, 2):
        Image.fromarray(photo(12, 10)).save(folder / "frames" / f"{number:06}.png")
    tifffile.imwrite(folder / "scan.tif", photo(12, 10), photometric="rgb")
    for name in ("film.mkv", "clip.mp4"):
        _write_video(folder / name, [photo(16, 12), photo(16, 12, "chelsea")] * 3)
    installed = home / ".local" / "share" / "realesrgan-vk" / "models"
    write_compact(installed, "mine")
    monkeypatch.setattr("realesrgan_vk.models.registry.own_models_folder", lambda: installed)
    monkeypatch.chdir(folder)
    for name in list(os.environ):
        if name.startswith(("XDG_", "REALESRGAN_VK_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    scripts = sysconfig.get_path("scripts")
    monkeypatch.setenv("PATH", os.pathsep.join([scripts, os.environ["PATH"]]))
    return folder


def _write_video(path: Path, frames: list[NDArray[np.uint8]]) -> None:
    """Ten frames a second; without PyAV no file, and the pages leave out their blocks."""
    try:
        import av  # noqa: PLC0415 - an optional dependency
    except ImportError:
        return
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width = frames[0].shape[:2]
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode(None))


@pytest.mark.parametrize(
    "page", [pytest.param(page, id=str(page.relative_to(ROOT))) for page in WITH_BLOCKS]
)
def test_blocks_run_as_they_stand(page: Path, folder: Path, subtests: pytest.Subtests) -> None:
    for example in _examples(page):
        with subtests.test(f"line {example.line}"):
            try:
                example.evaluate()
            except SkipTest as skipped:
                pytest.skip(f"{page.relative_to(ROOT)}:{example.line}: {skipped}")
            except NotEvaluated:
                pytest.fail("a block is left out without a reason")


def test_blocks_are_found() -> None:
    """Those of all kinds; blocks in another language are data."""
    assert sum(len(_examples(page)) for page in PAGES) > 40
    languages = {
        language
        for page in PAGES
        for language in re.findall(r"^ *```([a-z]+)$", page.read_text("utf-8"), re.M)
    }
    assert languages <= {"sh", "python", "yaml", "json", "cmake", "cpp", "c", "text", "xml"}


def test_links_lead_somewhere() -> None:
    """Those between files of the repository; Sphinx checks the headings, too (`make docs`)."""
    texts = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
    for page in texts:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.relative_to(ROOT)}: {target}"


def test_events_have_the_fields_of_the_table(folder: Path) -> None:
    """All but `retired` and `interrupted`, which need a device that fails and a signal."""
    page = (ROOT / "docs" / "reference" / "commands.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\| (`.*) \|$", page, re.M)
    table = {event: set(re.findall(r"`(\w+)`", fields)) for event, fields in rows}
    Path("larger").mkdir()
    shutil.copy("photo.jpg", "larger")
    Path("holiday", "broken.png").touch()
    told: dict[str, set[str]] = {}
    for words in (["photo.jpg", "holiday", "-m", "mine"], ["--no-such-option"]):
        command = ["realesrgan-vk", "upscale", *words, "-o", "larger", "--skip-existing", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        for line in done.stdout.splitlines():
            event = json.loads(line)
            told[event["event"]] = set(event) - {"event"}
    told.setdefault("note", {"note"})  # on a machine with a GPU there is nothing to note
    assert told == {event: table[event] for event in table if event in told}
    assert set(table) - set(told) == {"retired", "interrupted"}


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_paths_are_there(page: str) -> None:
    """Those in code spans, but for the rooms that do not exist yet."""
    text = (ROOT / page).read_text("utf-8").partition("## Rooms for what may come")[0]
    top = "cpp|python|training|tools|tests|models|benchmarks|cmake|docs|examples"
    paths = re.findall(rf"`((?:{top})/[\w./-]*)`", text)
    assert len(paths) > 10
    missing = [path for path in paths if not (ROOT / path).exists()]
    assert missing == []


def test_make_names_tests_that_are_there() -> None:
    text = (ROOT / "Makefile").read_text("utf-8").replace("\\\n", "")
    named = re.findall(r"tests/(?:\w+/)?test_\w+\.py", text)
    for folder, names in re.findall(r"addprefix (tests/[\w/]*)test_,([^)]*)\)", text):
        named += [f"{folder}test_{name}" for name in names.split()]
    assert len(named) > 20
    places = (ROOT, ROOT / "tools" / "export")
    missing = [name for name in named if not any((top / name).exists() for top in places)]
    assert missing == []


def test_tables_are_those_of_the_results() -> None:
    """`tools/figures.py` writes them."""
    script = [sys.executable, str(ROOT / "tools" / "figures.py"), "--check"]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_diagrams_are_drawn_by_their_script(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(ROOT / "tools" / "diagrams.py"), str(tmp_path)], check=True)
    for drawn in tmp_path.iterdir():
        committed = ROOT / "docs" / "images" / drawn.name
        assert committed.read_bytes() == drawn.read_bytes(), f"run tools/diagrams.py: {drawn.name}"


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
