"""The workflows of `.github`: what can be known of them without running them."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
WHEELS = (ROOT / ".github" / "cibuildwheel.toml").read_text("utf-8")


def test_there_is_one_for_each_purpose() -> None:
    names = {path.stem for path in WORKFLOWS}
    assert names == {"lint", "test", "wheels", "docs", "release"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_pins_its_actions_and_says_that_it_was_not_run(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.startswith("# This workflow has not been run yet")
    assert re.search(r"^permissions: \{\}$", text, re.MULTILINE)
    used = re.findall(r"uses: (\S+)(.*)", text)
    assert used
    for action, comment in used:
        if not action.startswith("./"):
            assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", action)
            assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment)


def test_an_action_has_one_version() -> None:
    text = "".join(path.read_text("utf-8") for path in WORKFLOWS)
    pins = set(re.findall(r"uses: ([^.\s]\S+)@(\S+)", text))
    assert len({name for name, _ in pins}) == len(pins)


def test_what_the_workflows_name_exists() -> None:
    text = WHEELS + "".join(path.read_text("utf-8") for path in WORKFLOWS)
    named = set(re.findall(r"(?:\{project\}/)?((?:tests|tools)/[\w/.-]*\w)", text))
    assert "tools/bundle/bundle.py" in named
    assert [name for name in named if not (ROOT / name).exists()] == []
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    made = {word for line in re.findall(r"run: make (.*)", text) for word in line.split()}
    assert made <= targets


def test_wheels_are_built_for_every_python_from_the_first_supported_one_on() -> None:
    first = re.search(
        r'requires-python = ">=3\.(\d+)"', (ROOT / "pyproject.toml").read_text("utf-8")
    )
    assert first
    built = [int(minor) for minor in re.findall(r"cp3(\d+)-\*", WHEELS)]
    assert built == list(range(int(first[1]), max(built) + 1))
    assert min(sys.version_info.minor, 14) in built


def test_the_citation_names_the_version() -> None:
    stated = re.search(
        r"VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text("utf-8").split("project(")[1]
    )
    assert stated
    assert f"\nversion: {stated[1]}\n" in (ROOT / "CITATION.cff").read_text("utf-8")
