"""The shared library as other programs find and call it: CMake, pkg-config, C, and ctypes."""

import ctypes
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from compact_network import write_compact
from conftest import Photo
from PIL import Image

import realesrgan_vk

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "default"
HEADER = ROOT / "cpp" / "include" / "realesrgan" / "realesrgan.h"
SEARCH = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
CMAKE = shutil.which("cmake", path=SEARCH) or ""
OK, INVALID, MODEL_ERROR, CANCELLED = 0, 1, 2, 6

# The layout of the structures, which must not change within a minor version.
LAYOUT = """
#include <stdio.h>
#include "realesrgan/realesrgan.h"
#define AT(type, field) printf(#field " %zu\\n", offsetof(realesrgan_##type, field))
int main(void) {
    printf("%s\\n%zu %zu\\n", realesrgan_version(), sizeof(realesrgan_options),
           sizeof(realesrgan_image));
    AT(options, size); AT(options, device); AT(options, fp16); AT(options, tile);
    AT(options, tta); AT(options, threads); AT(options, runs_at_once); AT(options, memory_limit);
    AT(image, data); AT(image, type); AT(image, width); AT(image, height); AT(image, channels);
    AT(image, row_stride); AT(image, pixel_stride); AT(image, channel_stride);
    return 0;
}
"""
OFFSETS = {
    "size": 0,
    "device": 8,
    "fp16": 12,
    "tile": 16,
    "tta": 20,
    "threads": 24,
    "runs_at_once": 28,
    "memory_limit": 32,
    "data": 0,
    "type": 8,
    "width": 12,
    "height": 16,
    "channels": 20,
    "row_stride": 24,
    "pixel_stride": 32,
    "channel_stride": 40,
}


def run(*command: object) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def output(*command: object) -> str:
    done = run(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the library of `make test-cpp` is installed; moved afterwards, as a package may be."""
    if not list((BUILD / "cpp").glob("*realesrgan.*so*")):
        assert "CI" not in os.environ
        pytest.skip("`make test-cpp` builds the shared library")
    folder = tmp_path_factory.mktemp("library")
    first = folder / "first"
    output(CMAKE, "--install", BUILD, "--component", "library", "--prefix", first)
    return first.rename(folder / "prefix")


@pytest.fixture(scope="module")
def library(prefix: Path) -> Path:
    return next(prefix.rglob("librealesrgan.so"))


@pytest.fixture
def network(tmp_path: Path) -> Path:
    return write_compact(tmp_path, "net")


def pixels(path: Path) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    with Image.open(path) as picture:
        return np.asarray(picture)


def assert_upscales(command: list[object], network: Path, photo: Photo, folder: Path) -> None:
    Image.fromarray(photo(12, 10)).save(folder / "in.ppm")
    files = (network, network.with_suffix(".bin"), folder / "in.ppm", folder / "out.ppm")
    output(*command, *files)
    expected = realesrgan_vk.upscale(photo(12, 10), model=network, device="cpu")
    np.testing.assert_array_equal(pixels(folder / "out.ppm"), expected)


def test_a_cmake_project_finds_the_installed_library(
    prefix: Path, network: Path, photo: Photo, tmp_path: Path
) -> None:
    build = tmp_path / "build"
    example = ROOT / "examples" / "cpp"
    found = f"-DCMAKE_PREFIX_PATH={prefix}"
    output(CMAKE, "-S", example, "-B", build, found, "-DREALESRGAN_VK=/nothing")
    output(CMAKE, "--build", build)
    assert_upscales([build / "upscale"], network, photo, tmp_path)


def test_a_c_program_is_built_with_pkg_config(prefix: Path, library: Path, tmp_path: Path) -> None:
    if shutil.which("pkg-config") is None or shutil.which("cc") is None:
        pytest.skip("pkg-config or a C compiler is not installed")
    (tmp_path / "layout.c").write_text(LAYOUT)
    place = f"--with-path={next(prefix.rglob('pkgconfig'))}"
    flags = output("pkg-config", place, "--cflags", "--libs", "realesrgan").split()
    assert output("pkg-config", place, "--modversion", "realesrgan").strip() == "0.1.0"
    strict = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror")
    program = tmp_path / "layout"
    output(
        "cc", *strict, tmp_path / "layout.c", "-o", program, *flags, f"-Wl,-rpath,{library.parent}"
    )
    version, sizes, *offsets = output(program).splitlines()
    assert version == realesrgan_vk.__version__
    assert sizes == "40 48"
    assert {name: int(at) for name, at in map(str.split, offsets)} == OFFSETS


def test_ctypes_alone_is_enough(library: Path, network: Path, photo: Photo, tmp_path: Path) -> None:
    program = ROOT / "examples" / "c_api.py"
    assert_upscales([sys.executable, "-I", program, library], network, photo, tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/maps")
def test_a_library_that_is_closed_stays_loaded(library: Path) -> None:
    """Threads of its pool wait in its code, also when the program has no use for it any more."""
    program = (
        "import _ctypes, ctypes, sys; _ctypes.dlclose(ctypes.CDLL(sys.argv[1])._handle); "
        "print(open('/proc/self/maps').read())"
    )
    assert str(library.resolve()) in output(sys.executable, "-c", program, library)


def test_the_library_shows_its_api_and_nothing_else(library: Path) -> None:
    if shutil.which("nm") is None:
        pytest.skip("nm is not installed")
    lines = output("nm", "-DC", "--defined-only", library).splitlines()
    names = [line.split(maxsplit=2)[2] for line in lines]
    declared = set(re.findall(r"\b(realesrgan_\w+)\(", HEADER.read_text("utf-8")))
    assert {name for name in names if name.startswith("realesrgan_")} == declared
    others = re.compile(r"((typeinfo( name)?|vtable) for )?realesrgan::|realesrgan_\w+$")
    assert [name for name in names if not others.match(name)] == []


@pytest.fixture
def core(library: Path) -> ctypes.CDLL:
    core = ctypes.CDLL(str(library))
    core.realesrgan_last_error.restype = ctypes.c_char_p
    return core


class Picture(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        *((name, ctypes.c_int32) for name in ("type", "width", "height", "channels")),
        *((name, ctypes.c_ssize_t) for name in ("row", "pixel", "channel")),
    )


def test_what_is_wrong_is_a_status_with_words(
    core: ctypes.CDLL, network: Path, tmp_path: Path
) -> None:
    def words() -> str:
        return str(core.realesrgan_last_error().decode())

    loaded = ctypes.c_void_p()
    files = [str(path).encode() for path in (network, network.with_suffix(".bin"))]
    assert core.realesrgan_open(files[0], files[1], None, None) == INVALID
    assert "must not be null" in words()
    missing = str(tmp_path / "missing.param").encode()
    assert core.realesrgan_open(missing, files[1], None, ctypes.byref(loaded)) == MODEL_ERROR
    assert "missing.param" in words()
    assert loaded.value is None
    options = (ctypes.c_uint64 * 5)(4096)  # as of a later version
    assert core.realesrgan_open(*files, options, ctypes.byref(loaded)) == INVALID
    assert "later version" in words()
    assert core.realesrgan_device_name(10_000, ctypes.create_string_buffer(9), 9) == INVALID
    assert core.realesrgan_scale(None) == 0
    core.realesrgan_close(None)

    core.realesrgan_default_options(options)
    assert options[0] == 40
    assert core.realesrgan_open(*files, options, ctypes.byref(loaded)) == OK
    assert (core.realesrgan_scale(loaded), core.realesrgan_channels(loaded)) == (2, 3)
    samples = ctypes.create_string_buffer(3 * 8 * 6)
    larger = ctypes.create_string_buffer(3 * 16 * 12)
    small = Picture(ctypes.addressof(samples), 0, 8, 6, 3, 24, 3, 1)
    large = Picture(ctypes.addressof(larger), 0, 16, 12, 3, 48, 3, 1)
    wrong = Picture(ctypes.addressof(larger), 0, 15, 12, 3, 48, 3, 1)
    kind = Picture(ctypes.addressof(larger), 7, 16, 12, 3, 48, 3, 1)
    view = ctypes.byref

    def upscale(target: Picture | None, progress: object = None) -> int:
        pointer = None if target is None else view(target)
        return int(core.realesrgan_upscale(loaded, view(small), pointer, progress, None))

    for target in (wrong, kind, None):
        assert upscale(target) == INVALID
        assert words()
    fractions = []

    def progress(fraction: float, _: object) -> int:
        fractions.append(fraction)
        return int(len(fractions) > 1)

    callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_double, ctypes.c_void_p)(progress)
    assert upscale(large, callback) in (OK, CANCELLED)
    assert fractions == sorted(fractions)
    always = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_double, ctypes.c_void_p)(lambda *_: 1)
    assert upscale(large, always) == CANCELLED
    assert upscale(large) == OK
    core.realesrgan_close(loaded)
