"""Compile the core, the extension and, with --tests, the tests for a system that is not at hand.

Nothing is linked or run: Zig's clang (the package `ziglang`) has the headers of macOS's and MinGW's
C and C++ libraries, but no libraries of a system. ncnn's headers are those that were built for this
machine, with the same options (the cache's newest, or --ncnn PREFIX). The extension is compiled for
the headers of the running Python, whose pyconfig.h is Linux's, or for those in --headers.

Usage: compile_check.py [--target aarch64-macos] [--ncnn PREFIX] [--headers FOLDER] [--tests]
"""

from __future__ import annotations

import argparse
import re
import sys
import sysconfig
from pathlib import Path

from wheels import ROOT, WheelError, cache_root, output_of, run, toolchain

SYSTEMS = {
    "aarch64-macos": "Darwin",
    "x86_64-macos": "Darwin",
    "x86_64-windows-gnu": "Windows",
}
# An ncnn of which there are only headers, as find_package finds it.
CONFIGURATION = """set(NCNN_VERSION {version})
set(NCNN_VULKAN ON)
set(NCNN_SIMPLEVK ON)
add_library(ncnn INTERFACE IMPORTED)
target_include_directories(ncnn SYSTEM INTERFACE "{include}")
"""


def ncnn_version() -> str:
    """The pinned one."""
    text = (ROOT / "cmake" / "ncnn.cmake").read_text(encoding="utf-8")
    found = re.search(r"^set\(NCNN_VERSION (\S+)\)", text, re.MULTILINE)
    assert found is not None
    return found[1]


def ncnn_headers(prefix: Path | None) -> Path:
    """The folder of ncnn's headers in a prefix, or in the newest one of the cache.

    Raises:
        WheelError: There is none.
    """
    version = ncnn_version()
    prefixes = [prefix] if prefix else list(cache_root().glob(f"ncnn-{version}-*[0-9a-f]"))
    folders = [place / "include" / "ncnn" for place in prefixes]
    folders = [folder for folder in folders if (folder / "platform.h").exists()]
    if not folders:
        raise WheelError(
            f"there are no headers of ncnn {version}: build the project first, or name --ncnn"
        )
    return max(folders, key=lambda folder: folder.stat().st_mtime)


def headers_only_prefix(folder: Path, include: Path) -> Path:
    """A prefix for REALESRGAN_VK_NCNN that has ncnn's headers and no library."""
    place = folder / "lib" / "cmake" / "ncnn"
    place.mkdir(parents=True, exist_ok=True)
    date = ncnn_version().rpartition(".")[2]
    text = CONFIGURATION.format(version=date, include=include.as_posix())
    (place / "ncnnConfig.cmake").write_text(text, encoding="utf-8")
    return folder


def configure(build: Path, target: str, zig: Path, settings: dict[str, object]) -> None:
    """Configure for the target, by compiling alone: CMake's trials do not link."""
    file = toolchain(cache_root() / f"zig-{target}", zig, target, SYSTEMS[target])
    settings = settings | {
        "CMAKE_TOOLCHAIN_FILE": file,
        "CMAKE_TRY_COMPILE_TARGET_TYPE": "STATIC_LIBRARY",
        "CMAKE_HAVE_LIBC_PTHREAD": "ON",
        "CMAKE_RC_COMPILER": "true",  # asked for on Windows; there is nothing for it
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_CXX_FLAGS_RELEASE": "-O0",  # what is compiled is not used
        "Python_EXECUTABLE": sys.executable,
        "REALESRGAN_VK_LIBRARY": "ON",
        "REALESRGAN_VK_WERROR": "ON",
    }
    options = [f"-D{name}={value}" for name, value in settings.items()]
    run(["cmake", "-G", "Ninja", "-S", str(ROOT), "-B", str(build), *options])


def object_files(build: Path) -> list[str]:
    """Those of all targets, by the names that Ninja knows."""
    listed = output_of(["ninja", "-C", str(build), "-t", "targets", "all"])
    return [
        name
        for name, _, rule in (line.rpartition(": ") for line in listed.splitlines())
        if rule.startswith(("C_COMPILER", "CXX_COMPILER"))
    ]


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--target", action="append", choices=SYSTEMS, help="both of macOS without")
    parser.add_argument("--ncnn", type=Path, help="prefix with ncnn's headers")
    parser.add_argument("--headers", type=Path, help="folder of Python.h")
    parser.add_argument("--tests", action="store_true", help="the C++ tests, too")
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "compile", help="folder")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Run from the command line."""
    options = parse(arguments)
    headers = options.headers or Path(sysconfig.get_path("include"))
    try:
        import ziglang  # noqa: PLC0415  (only to build)

        zig = Path(ziglang.__file__).parent / "zig"
        ncnn = ncnn_headers(options.ncnn)
        for target in options.target or [
            name for name, system in SYSTEMS.items() if system == "Darwin"
        ]:
            build = options.build.resolve() / target
            settings = {
                "REALESRGAN_VK_NCNN": headers_only_prefix(build / "ncnn", ncnn),
                "REALESRGAN_VK_PYTHON_HEADERS": headers.resolve(),
                "REALESRGAN_VK_TESTS": "ON" if options.tests else "OFF",
            }
            configure(build, target, zig, settings)
            names = object_files(build)
            if not names:
                raise WheelError(f"{build} compiles nothing")
            run(["cmake", "--build", str(build), "--target", *names, "--", "-k", "0"])
            print(f"{target}: {len(names)} files compiled, none linked or run")
    except (WheelError, ImportError) as error:
        sys.stderr.write(f"compile_check: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
