"""Pictures by the core for 64-bit Windows, run by Wine, which needs no Windows.

Zig's clang (the package `ziglang`) compiles the core and examples/cpp against MinGW's headers, with
few optimisations but for the convolution's kernels. The example upscales pictures on the CPU with
networks of the installed package, and samples are compared with what the package gives on this
machine's CPU. Such networks run in a row stream, which uses none of ncnn's layers: they are left
out, since they take most of ncnn's build. So neither tiles nor the C++ tests are tried here.

Needs wine (Debian: wine64), the installed package and `ziglang`, `cmake`, `ninja`, `unearth`.
Usage: wine_pictures.py [--build build/wine]
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tarfile
from pathlib import Path

from compile_check import ncnn_version
from wheels import ROOT, WheelError, cache_root, run, toolchain

TARGET = "x86_64-windows-gnu"
NETWORKS = (
    "realesr-animevideov3-x2",
    "realesrgan-x4plus-anime",
)  # Winograd tiles of 6x6 and of 4x4
SIZES = ((101, 67), (24, 18))  # of the picture for each of them, width by height
MOST = 1  # steps of 255 that a sample may differ by: the contract of two devices
# Without Wine's own messages, and without its offer to install packages.
ENVIRONMENT = {"WINEDEBUG": "-all", "WINEDLLOVERRIDES": "mscoree=;mshtml="}


def ncnn_layers() -> list[str]:
    """The names of ncnn's layers, as its build knows them, from the source in the cache."""
    archive = cache_root() / f"ncnn-{ncnn_version()}.tar.gz"
    if not archive.exists():
        run([sys.executable, "cmake/fetch_sdist.py", "ncnn", ncnn_version(), str(archive)])
    with tarfile.open(archive) as files:
        paths = [Path(name) for name in files.getnames()]
    return sorted(
        path.stem
        for path in paths
        if path.parts[1:-1] == ("src", "layer") and path.suffix == ".cpp"
    )


def windows_toolchain(folder: Path, zig: Path) -> Path:
    """CMake's toolchain file for Windows, with ncnn's options that it overrides."""
    file = toolchain(folder, zig, TARGET, "Windows")
    resources = folder / "rc"  # CMake asks for one; nothing here has resources
    resources.write_text(f'#!/bin/sh\nexec "{zig}" rc "$@"\n', encoding="utf-8")
    resources.chmod(0o755)
    lines = [f'set(CMAKE_RC_COMPILER "{resources.as_posix()}")\n']
    lines += [f'set(WITH_LAYER_{name} OFF CACHE BOOL "" FORCE)\n' for name in ncnn_layers()]
    lines += [
        f'set(CMAKE_{language}_FLAGS_RELEASE "-O1 -DNDEBUG" CACHE STRING "" FORCE)\n'
        for language in ("C", "CXX")
    ]
    file.write_text(file.read_text(encoding="utf-8") + "".join(lines), encoding="utf-8")
    return file


def build(folder: Path, file: Path) -> Path:
    """Build the core and the example, with warnings as errors; the program's path."""
    run(
        [
            "cmake",
            *("-G", "Ninja", "-S", str(ROOT), "-B", str(folder)),
            f"-DCMAKE_TOOLCHAIN_FILE={file}",
            "-DCMAKE_BUILD_TYPE=Release",
            f"-DPython_EXECUTABLE={sys.executable}",
            "-DREALESRGAN_VK_PYTHON=OFF",
            "-DREALESRGAN_VK_TESTS=ON",
            "-DREALESRGAN_VK_WERROR=ON",
        ]
    )
    run(["cmake", "--build", str(folder), "--target", "upscale"])
    return folder / "examples" / "cpp" / "upscale.exe"


def wine() -> str:
    """The program.

    Raises:
        WheelError: It is not there.
    """
    for name in ("wine64", "wine"):
        if program := shutil.which(name) or shutil.which(name, path="/usr/lib/wine"):
            return program
    raise WheelError("this needs Wine (Debian: apt install wine64)")


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
    """Run from the command line; 1 when a picture differs by more than a step."""
    options = parse(arguments)
    folder = options.build.resolve()
    os.environ.update(ENVIRONMENT | {"WINEPREFIX": str(folder / "prefix")})
    try:
        import ziglang  # noqa: PLC0415  (only to build)

        wine()
        zig = Path(ziglang.__file__).parent / "zig"
        program = build(folder, windows_toolchain(cache_root() / f"zig-{TARGET}", zig))
        pairs = zip(NETWORKS, SIZES, strict=True)
        equal = [compare_picture(program, folder, name, size) for name, size in pairs]
    except (WheelError, ImportError) as error:
        sys.stderr.write(f"wine_pictures: {error}\n")
        return 1
    return 0 if all(equal) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
