"""C++ tests and pictures by the core for 64-bit Windows, run by Wine, which needs no Windows.

Zig's clang (the package `ziglang`) compiles the core, its tests and examples/cpp against MinGW's
headers, with few optimisations but for the convolution's kernels. ncnn is built once into the cache
with the kernels of its layers for any x86-64 processor only: they are the tests' oracle. The tests
are run one after the other by ctest, and a table says what each gave, which were not built or
found nothing to run on, and why. The example upscales pictures on the CPU with networks of the
installed package, and samples are compared with what the package gives on this machine's CPU.

Needs wine (Debian: wine64), the installed package and `ziglang`, `cmake`, `ninja`, `unearth`.
Usage: wine_tests.py [--build build/wine]
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

from wheels import ROOT, WheelError, cache_root, environment, run, toolchain

TARGET = "x86_64-windows-gnu"
# Variants of ncnn's layers that are not built: they take most of its build.
INSTRUCTION_SETS = ("AVX", "AVX2", "AVX512", "F16C", "FMA", "RUNTIME_CPU")
# The tests that cpp/tests/CMakeLists.txt does not build for Windows.
NOT_BUILT = {
    "fuzz_network": "it maps memory as POSIX has it",
    "openmp": "it tests this project's threads for OpenMP, and on Windows ncnn uses the compiler's",
}
NETWORKS = (
    "realesr-animevideov3-x2",
    "realesrgan-x4plus-anime",
)  # Winograd tiles of 6x6 and of 4x4
SIZES = ((101, 67), (24, 18))  # of the picture for each of them, width by height
MOST = 1  # steps of 255 that a sample may differ by: the contract of two devices
# Without Wine's own messages, and without its offer to install packages.
ENVIRONMENT = {"WINEDEBUG": "-all", "WINEDLLOVERRIDES": "mscoree=;mshtml="}


def windows_toolchain(folder: Path, zig: Path) -> Path:
    """CMake's toolchain file for Windows, with ncnn's options that it overrides."""
    file = toolchain(folder, zig, TARGET, "Windows")
    resources = folder / "rc"  # CMake asks for one; nothing here has resources
    resources.write_text(f'#!/bin/sh\nexec "{zig}" rc "$@"\n', encoding="utf-8")
    resources.chmod(0o755)
    lines = [f'set(CMAKE_RC_COMPILER "{resources.as_posix()}")\n']
    lines += [f'set(NCNN_{name} OFF CACHE BOOL "" FORCE)\n' for name in INSTRUCTION_SETS]
    lines += [
        f'set(CMAKE_{language}_FLAGS_RELEASE "-O1 -DNDEBUG" CACHE STRING "" FORCE)\n'
        for language in ("C", "CXX")
    ]
    file.write_text(file.read_text(encoding="utf-8") + "".join(lines), encoding="utf-8")
    return file


def wine() -> str:
    """The program.

    Raises:
        WheelError: It is not there.
    """
    for name in ("wine64", "wine"):
        if program := shutil.which(name) or shutil.which(name, path="/usr/lib/wine"):
            return program
    raise WheelError("this needs Wine (Debian: apt install wine64)")


def build(folder: Path, file: Path) -> None:
    """Build the core, the tests and the example, with warnings as errors."""
    run(
        [
            "cmake",
            *("-G", "Ninja", "-S", str(ROOT), "-B", str(folder)),
            f"-DCMAKE_TOOLCHAIN_FILE={file}",
            f"-DCMAKE_CROSSCOMPILING_EMULATOR={wine()}",
            "-DCMAKE_BUILD_TYPE=Release",
            f"-DPython_EXECUTABLE={sys.executable}",
            "-DREALESRGAN_VK_PYTHON=OFF",
            "-DREALESRGAN_VK_TESTS=ON",
            "-DREALESRGAN_VK_WERROR=ON",
        ]
    )
    run(["cmake", "--build", str(folder)])


@dataclasses.dataclass(frozen=True)
class Result:
    """What one program of the C++ tests gave, or why there is none."""

    name: str
    outcome: str
    """passed, skipped, FAILED or not built"""
    notes: tuple[str, ...] = ()
    """For people: a line for each case that failed and each reason for skipping, or the reason."""


def case_notes(lines: list[str]) -> tuple[str, ...]:
    """Failed cases, and how many were skipped for which reason, from what a test prints."""
    failed = [line for line in lines if line.startswith("FAILED ")]
    reasons = Counter(
        line.partition(": ")[2] for line in lines if line.startswith("skipped ") and ": " in line
    )
    return (*failed, *(f"{count} skipped: {reason}" for reason, count in reasons.items()))


def read_results(report: Path) -> list[Result]:
    """The results in a report of ctest in JUnit's format, with those of NOT_BUILT, by name."""
    results = [Result(name, "not built", (reason,)) for name, reason in NOT_BUILT.items()]
    for test in ET.parse(report).getroot().iter("testcase"):
        skipped = test.find("skipped") is not None
        passed = test.get("status") == "run" and test.find("failure") is None
        lines = (test.findtext("system-out") or "").splitlines()
        notes = case_notes(lines)
        outcome = "skipped" if skipped else "passed" if passed else "FAILED"
        if outcome == "FAILED" and not notes:
            notes = tuple(lines[-5:])  # it did not end by itself
        results.append(Result(test.get("name", ""), outcome, notes))
    return sorted(results, key=lambda result: result.name)


def missing_tests(results: list[Result], sources: list[Path]) -> list[str]:
    """Tests of which there is a source and no result."""
    names = {re.sub("^test_", "", source.stem) for source in sources}
    return sorted(names - {result.name for result in results})


def print_table(results: list[Result]) -> None:
    """A line for each test; below those that did not pass whole, what they say."""
    width = max(len(result.name) for result in results)
    for result in results:
        print(f"{result.name:{width}}  {result.outcome}")
        for note in result.notes:
            print(f"{'':{width}}  {note}")


def run_tests(folder: Path) -> bool:
    """Run the C++ tests and print the table; whether none failed.

    Raises:
        WheelError: ctest gave no report, or a test has neither a result nor a reason.
    """
    run([wine(), "wineboot", "--init"])  # tests that run at once would each make the prefix
    report = folder / "tests.xml"
    report.unlink(missing_ok=True)
    command = ["ctest", "--test-dir", str(folder), "--output-junit", str(report)]
    subprocess.run(command, check=False, cwd=ROOT, env=environment())
    if not report.exists():
        raise WheelError("ctest gave no report")
    results = read_results(report)
    sources = [path for path in (ROOT / "cpp" / "tests").glob("**/*.cpp") if is_test(path)]
    if missing := missing_tests(results, sources):
        raise WheelError(f"tests without a result: {', '.join(missing)}")
    print_table(results)
    return all(result.outcome != "FAILED" for result in results)


def is_test(source: Path) -> bool:
    """Whether a C++ file is a test's program, by the names that its CMakeLists.txt expects."""
    return source.stem.startswith(("test_", "fuzz_"))


def compare_picture(program: Path, folder: Path, name: str, size: tuple[int, int]) -> bool:
    """Upscale a picture by the example and by the installed package, and say how they differ."""
    import numpy as np  # noqa: PLC0415  (after the build, which does not need them)
    from PIL import Image  # noqa: PLC0415
    from skimage import data  # noqa: PLC0415

    from realesrgan_vk import Upscaler  # noqa: PLC0415
    from realesrgan_vk.models import find_model  # noqa: PLC0415

    network = find_model(name)
    picture = Image.fromarray(data.astronaut()).crop((150, 0, 300, 100)).resize(size)
    source, result = folder / "picture.ppm", folder / f"{name}.ppm"
    picture.save(source)
    run([wine(), str(program), str(network.param), str(network.bin), str(source), str(result)])
    there = np.asarray(Image.open(result)).astype(int)
    with Upscaler(name, device="cpu") as upscaler:
        here = np.asarray(upscaler.upscale(np.asarray(picture))).astype(int)
    if there.shape != here.shape or here.std() < 10:
        raise WheelError(f"{name}: the pictures have the shapes {there.shape} and {here.shape}")
    differences = abs(there - here)
    print(
        f"{name}: {(differences > 0).sum()} of {here.size} samples differ, "
        f"by {differences.max()} of 255 at most"
    )
    return bool(differences.max() <= MOST)


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "wine", help="build folder")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Run from the command line; 1 when a test fails or a picture differs by more than a step."""
    options = parse(arguments)
    folder = options.build.resolve()
    os.environ.update(ENVIRONMENT | {"WINEPREFIX": str(folder / "prefix")})
    try:
        import ziglang  # noqa: PLC0415  (only to build)

        zig = Path(ziglang.__file__).parent / "zig"
        build(folder, windows_toolchain(cache_root() / f"zig-{TARGET}", zig))
        program = folder / "examples" / "cpp" / "upscale.exe"
        pairs = zip(NETWORKS, SIZES, strict=True)
        equal = [compare_picture(program, folder, name, size) for name, size in pairs]
        passed = run_tests(folder)
    except (WheelError, ImportError) as error:
        sys.stderr.write(f"wine_tests: {error}\n")
        return 1
    return 0 if passed and all(equal) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
