"""THIRD_PARTY.md names what is installed with the package, and the licences that it states."""

import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "THIRD_PARTY.md").read_text("utf-8")


def rows(title: str) -> dict[str, list[str]]:
    """The cells of a section's table by the first one."""
    section = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")][2:]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return {first.strip(): rest for first, *rest in cells}


def required(name: str, extras: tuple[str, ...] = ()) -> set[str]:
    """Names of all packages that an installed one needs."""
    found: set[str] = set()
    for text in metadata.distribution(name).requires or []:
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": each}) for each in ("", *extras)):
            found |= {canonicalize_name(requirement.name)}
            found |= required(requirement.name, tuple(requirement.extras))
    return found


def test_every_needed_package_is_listed() -> None:
    listed = {canonicalize_name(name) for name in rows("Needed, and installed with it")}
    assert listed == required("realesrgan-vk")


@pytest.mark.parametrize("name", sorted(rows("Needed, and installed with it")))
def test_a_licence_is_the_one_that_the_package_states(name: str) -> None:
    listed = rows("Needed, and installed with it")[name][0]
    about = metadata.metadata(name)
    stated = next((about[key] for key in ("License-Expression", "License") if key in about), "")
    if not stated:
        (classifier,) = (c for c in about.get_all("Classifier") or [] if c.startswith("License"))
        stated = classifier.rsplit(" :: ", 1)[1]
    alike = re.split(r"[;(]", listed)[0].strip()
    if "\n" in stated:  # the text itself, as in NumPy's last release for Python 3.10
        assert alike.startswith("BSD")
        assert "Redistribution and use in source and binary forms" in " ".join(stated.split())
        return
    assert set(alike.split(" AND ")) <= set(stated.split(" AND "))


def test_what_is_compiled_in_is_listed_at_its_pinned_version() -> None:
    pinned = re.search(
        r"set\(NCNN_VERSION (\S+)\)", (ROOT / "cmake" / "ncnn.cmake").read_text("utf-8")
    )
    assert pinned
    versions = {name: cells[0] for name, cells in rows("In the wheel").items()}
    assert versions["ncnn (Tencent)"] == pinned[1]


def test_every_licence_text_that_is_linked_is_there_and_part_of_the_wheel() -> None:
    linked = set(re.findall(r"\]\((licences/[^)]+)\)", PAGE))
    assert linked == {
        f"licences/{path.name}" for path in (ROOT / "licences").iterdir() if path.is_file()
    }
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    assert 'license = "BSD-3-Clause"' in project
    assert 'license-files = ["LICENSE", "THIRD_PARTY.md", "licences/*.txt"]' in project
