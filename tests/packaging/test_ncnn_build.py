"""How CMake finds ncnn: what a user points at is checked, and a refusal says why in one line."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SEARCH = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
CMAKE = shutil.which("cmake", path=SEARCH)
pytestmark = pytest.mark.skipif(CMAKE is None, reason="there is no cmake on the PATH")

# What an installed ncnn looks like to find_package; `linked` tells which of them was taken.
CONFIG = """
set(NCNN_VERSION {version})
set(NCNN_VULKAN {vulkan})
set(NCNN_SIMPLEVK ON)
add_library(ncnn INTERFACE IMPORTED)
set_target_properties(ncnn PROPERTIES linked {prefix})
"""
PROJECT = """
cmake_minimum_required(VERSION 3.24)
project(finds LANGUAGES NONE)
include("{root}/cmake/ncnn.cmake")
get_target_property(prefix ncnn linked)
message(STATUS "linked: ${{prefix}}")
"""


def installed(prefix: Path, version: str = "20261020", vulkan: str = "ON") -> Path:
    folder = prefix / "lib" / "cmake" / "ncnn"
    folder.mkdir(parents=True)
    text = CONFIG.format(prefix=prefix.as_posix(), version=version, vulkan=vulkan)
    (folder / "ncnnConfig.cmake").write_text(text)
    return prefix


def configure(
    source: Path, build: Path, given: Path, *options: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(CMAKE), "-S", str(source), "-B", str(build), *options],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"PATH": SEARCH, "REALESRGAN_VK_NCNN": str(given)},
        timeout=300,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project without a compiler that only looks for ncnn."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "CMakeLists.txt").write_text(PROJECT.format(root=ROOT.as_posix()))
    return folder


def reason(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that says why."""
    assert done.returncode != 0
    (line,) = (line for line in done.stderr.splitlines() if line.strip().startswith("ncnn: "))
    return line.strip()


def test_a_wrong_archive_stops_the_build_whatever_the_cache_has(tmp_path: Path) -> None:
    wrong = tmp_path / "ncnn-1.0.20261020.tar.gz"
    wrong.write_bytes(b"something else")
    options = ("-DREALESRGAN_VK_PYTHON=OFF", "-DCMAKE_BUILD_TYPE=Release")
    said = reason(configure(ROOT, tmp_path / "build", wrong, *options))
    assert said.startswith(f"ncnn: {wrong} has sha256 ")
    assert said.endswith(
        "but ncnn 1.0.20261020 must have "
        "ad8cdd63e9755cfa8e23b9b6d9ce46156077d80298a89e7c3ba325ffccfca200; "
        "delete the file and fetch it again."
    )


def test_a_path_that_does_not_exist(project: Path, tmp_path: Path) -> None:
    missing = tmp_path / "nowhere"
    assert reason(configure(project, tmp_path / "build", missing)) == (
        f"ncnn: REALESRGAN_VK_NCNN names {missing}, which does not exist; give an installed prefix "
        "or ncnn-1.0.20261020.tar.gz."
    )


def test_a_folder_that_is_no_ncnn(project: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    said = reason(configure(project, tmp_path / "build", tmp_path / "empty"))
    assert "which has no lib/cmake/ncnn/ncnnConfig.cmake; give the prefix" in said


def test_another_version_and_an_ncnn_without_vulkan(project: Path, tmp_path: Path) -> None:
    old = installed(tmp_path / "old", version="20230816")
    assert "old has ncnn 20230816, but 20261020 is needed; build ncnn 1.0.20261020 with" in reason(
        configure(project, tmp_path / "build", old)
    )
    plain = installed(tmp_path / "plain", vulkan="OFF")
    assert "plain has an ncnn without Vulkan" in reason(
        configure(project, tmp_path / "build", plain)
    )


def test_an_existing_build_folder_follows_a_change_of_the_prefix(
    project: Path, tmp_path: Path
) -> None:
    for name in ("first", "second"):
        prefix = installed(tmp_path / name)
        done = configure(project, tmp_path / "build", prefix)
        assert done.returncode == 0, done.stderr
        assert f"-- linked: {prefix.as_posix()}" in done.stdout.splitlines()


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
def test_a_new_cache_folder_is_the_users_own(project: Path, tmp_path: Path) -> None:
    """Whatever the umask is: the core reads no compiled shaders where others may write."""
    cache = tmp_path / "cache"
    done = subprocess.run(
        ["sh", "-c", f"umask 0002; exec '{CMAKE}' -S '{project}' -B '{tmp_path / 'build'}'"],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ
        | {"PATH": SEARCH, "REALESRGAN_VK_NCNN": "", "REALESRGAN_VK_CACHE": str(cache)},
        timeout=300,
    )
    assert reason(done)  # there is no interpreter to fetch the archive with
    assert cache.stat().st_mode & 0o777 == 0o700


def test_missing_headers_of_python_stop_the_build_before_ncnn(tmp_path: Path) -> None:
    """The check comes first: what REALESRGAN_VK_NCNN names would be refused, too."""
    options = (f"-DPython_INCLUDE_DIR={tmp_path / 'none'}", "-DCMAKE_BUILD_TYPE=Release")
    done = configure(ROOT, tmp_path / "build", tmp_path / "nowhere", *options)
    assert done.returncode != 0
    assert "needs the headers of" in done.stderr
    assert "apt install python3-dev" in done.stderr
    assert "ncnn: " not in done.stderr


def test_a_missing_folder_of_find_links_is_passed_over(tmp_path: Path) -> None:
    """As pip does: a container may share its settings with a machine that has the folder."""
    links = tmp_path / "links"
    links.mkdir()
    (links / "ncnn-1.0.20261020.tar.gz").write_bytes(b"archive")
    destination = tmp_path / "fetched.tar.gz"
    settings = {
        "PIP_INDEX_URL": links.as_uri(),
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_FIND_LINKS": f"{tmp_path / 'missing'} {links}",
    }
    script = ROOT / "cmake" / "fetch_sdist.py"
    done = subprocess.run(
        [sys.executable, str(script), "ncnn", "1.0.20261020", str(destination)],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | settings,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert destination.read_bytes() == b"archive"


def test_the_long_build_says_how_far_it_is(tmp_path: Path) -> None:
    """Every tenth, to standard output and to the file that the environment names."""
    lines = [f"[{done}/40] Building {done}\n" for done in range(1, 41)]
    shown = tmp_path / "terminal"
    shown.touch()
    log = tmp_path / "build.log"
    done = subprocess.run(
        [sys.executable, str(ROOT / "cmake" / "build_progress.py"), "ncnn", str(log)],
        input="".join(lines),
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"REALESRGAN_VK_PROGRESS": str(shown)},
        timeout=60,
    )
    told = [line.partition(" % after")[0] for line in done.stdout.splitlines()]
    assert told == [f"-- ncnn: {percent}" for percent in range(10, 101, 10)]
    assert shown.read_text() == done.stdout
    assert log.read_text() == "".join(lines)


def test_makes_percents_and_a_terminal_that_is_gone(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / "cmake" / "build_progress.py"),
            "ncnn",
            str(tmp_path / "build.log"),
        ],
        input="Scanning\n[  9%] a\n[ 11%] b\n[ 12%] c\n[ 57%] d\n",
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"REALESRGAN_VK_PROGRESS": str(tmp_path / "no" / "terminal")},
        timeout=60,
    )
    assert [line.split()[2] for line in done.stdout.splitlines()] == ["10", "50"]
    assert not done.stderr
