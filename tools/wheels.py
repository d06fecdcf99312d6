"""Build Linux wheels for glibc 2.28 or newer, one for each Python.

Zig's clang (the package `ziglang`) compiles for x86_64 and aarch64 on either; libc++ is linked in,
so that a wheel needs glibc alone. ncnn is built once for each processor into the cache, the core
once, and the extension once for each Python. Nothing of the other Python is run: its headers are
enough. They are looked for beside the interpreters of that version on this machine; `--headers`
names others. The same commit gives the same wheel, byte for byte: times in it are those of the
commit, or of SOURCE_DATE_EPOCH.

Usage: wheels.py [--target x86_64] [--python 3.13] [--headers 3.14=FOLDER] [--output dist]
"""

from __future__ import annotations

import argparse
import base64
import dataclasses
import hashlib
import os
import platform
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from elf_symbols import unanswered_symbols

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "realesrgan_vk"
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
PROCESSORS = ("x86_64", "aarch64")
GLIBC = (2, 28)
LARGEST = 8_000_000  # bytes of a wheel: something has gone in that should not when it is larger


class WheelError(Exception):
    """What stops the build, in one sentence."""


@dataclasses.dataclass(frozen=True)
class Python:
    """One version of Python that a wheel is built for, and the folder that holds its Python.h."""

    version: str
    headers: Path

    @property
    def tag(self) -> str:
        """As in a wheel's name: cp313."""
        return "cp" + self.version.replace(".", "")

    def suffix(self, processor: str) -> str:
        """Of an extension module's file."""
        return f".cpython-{self.version.replace('.', '')}-{processor}-linux-gnu.so"


def platform_tag(processor: str) -> str:
    """The last part of a wheel's name: manylinux_2_28_x86_64."""
    return f"manylinux_{GLIBC[0]}_{GLIBC[1]}_{processor}"


def zig_target(processor: str) -> str:
    """What Zig calls a Linux of that processor with the oldest glibc that the wheels support."""
    return f"{processor}-linux-gnu.{GLIBC[0]}.{GLIBC[1]}"


def header_version(folder: Path) -> str:
    """The version that a folder's patchlevel.h tells, as 3.13; empty without one."""
    try:
        text = (folder / "patchlevel.h").read_text(encoding="utf-8")
    except OSError:
        return ""
    numbers = {
        words[1]: words[2]
        for line in text.splitlines()
        if len(words := line.split()) >= 3 and words[0] == "#define"
    }
    return f"{numbers.get('PY_MAJOR_VERSION')}.{numbers.get('PY_MINOR_VERSION')}"


def known_headers(version: str) -> list[Path]:
    """Folders that may have the headers of a version: of its interpreter, the system's, pyenv's."""
    folders = []
    if interpreter := shutil.which(f"python{version}"):
        code = "import sysconfig; print(sysconfig.get_path('include'))"
        done = subprocess.run(
            [interpreter, "-c", code], check=False, capture_output=True, text=True
        )
        folders.append(Path(done.stdout.strip()))
    folders.append(Path(f"/usr/include/python{version}"))
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    folders += sorted(pyenv.glob(f"versions/{version}.*/include/python{version}"))
    return folders


def split_headers(folder: Path) -> bool:
    """Whether pyconfig.h only names another for each processor, as Debian's does."""
    return "-linux-gnu/python" in (folder / "pyconfig.h").read_text(encoding="utf-8")


def configuration_of(headers: Path, processor: str) -> Path | None:
    """The pyconfig.h of split headers for a processor, or the other processor's.

    Debian's for AArch64 and x86-64 differ in nothing that an extension sees: in assembly for
    floating-point modes, whether wchar_t is signed, and the tier of support.
    """
    for name in (processor, *PROCESSORS):
        file = headers.parent / f"{name}-linux-gnu" / headers.name / "pyconfig.h"
        if file.exists():
            return file
    return None


def complete_headers(folder: Path, version: str) -> bool:
    """Whether a folder has all headers of that version that an extension needs."""
    if header_version(folder) != version or not (folder / "Python.h").exists():
        return False
    return not split_headers(folder) or configuration_of(folder, PROCESSORS[0]) is not None


def include_folders(python: Python, processor: str, build: Path) -> list[Path]:
    """What the compiler is to search for Python's headers.

    Zig does not search the system's folders, where a split pyconfig.h expects its parts; the
    part for the processor gets a folder of its own.
    """
    if not split_headers(python.headers):
        return [python.headers]
    part = configuration_of(python.headers, processor)
    assert part is not None  # complete_headers() has seen one
    folder = build / f"pyconfig-{python.version}"
    place = folder / f"{processor}-linux-gnu" / f"python{python.version}"
    place.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(part, place / "pyconfig.h")
    return [python.headers, folder]


def find_pythons(versions: list[str], given: dict[str, Path]) -> tuple[list[Python], list[str]]:
    """Those versions whose headers are here, and those whose headers are not.

    Raises:
        WheelError: A given folder has no headers, or those of another version.
    """
    found, missing = [], []
    for version in versions:
        if version in given and not complete_headers(given[version], version):
            raise WheelError(f"{given[version]} has no headers of Python {version}")
        folders = [given[version]] if version in given else known_headers(version)
        for folder in folders:
            if complete_headers(folder, version):
                found.append(Python(version, folder.resolve()))
                break
        else:
            missing.append(version)
    return found, missing


def cache_root() -> Path:
    """Where cmake/ncnn.cmake keeps what is built once."""
    if root := os.environ.get("REALESRGAN_VK_CACHE"):
        return Path(root)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "realesrgan-vk"


def toolchain(folder: Path, zig: Path, target: str, system: str = "Linux") -> Path:
    """Write the compiler's commands and CMake's toolchain file, and return the latter's path.

    All commands have the same optimisation and no debug information: Zig compiles libc++ once for
    each combination of them that a program or library is linked with, CMake's trials included.

    Args:
        folder: For these files; made where it is not there.
        zig: The program.
        target: As Zig calls it, beginning with the processor.
        system: As CMake calls it.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, words in {
        "cc": f'cc -target {target} -O2 "$@" -s',
        "c++": f'c++ -target {target} -O2 "$@" -s',
        "ar": 'ar "$@"',
        "ranlib": 'ranlib "$@"',
    }.items():
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec "{zig}" {words}\n', encoding="utf-8")
        script.chmod(0o755)
    file = folder / "toolchain.cmake"
    file.write_text(
        f"# {target}\n"
        f"set(CMAKE_SYSTEM_NAME {system})\n"
        f"set(CMAKE_SYSTEM_PROCESSOR {target.partition('-')[0]})\n"
        + "".join(
            f'set({variable} "{(folder / name).as_posix()}")\n'
            for variable, name in {
                "CMAKE_C_COMPILER": "cc",
                "CMAKE_CXX_COMPILER": "c++",
                "CMAKE_AR": "ar",
                "CMAKE_RANLIB": "ranlib",
            }.items()
        )
        + "set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY NEVER)\n",
        encoding="utf-8",
    )
    return file


def configure_command(
    build: Path, toolchain_file: Path, python: Python, processor: str
) -> list[str]:
    """CMake's command for one Python. The core's own files do not depend on it."""
    headers = ";".join(str(folder) for folder in include_folders(python, processor, build))
    return [
        "cmake",
        *("-G", "Ninja", "-S", str(ROOT), "-B", str(build)),
        f"-DCMAKE_TOOLCHAIN_FILE={toolchain_file}",
        "-DCMAKE_BUILD_TYPE=Release",
        f'-DCMAKE_CXX_FLAGS="-ffile-prefix-map={ROOT}=."',  # the shell's quotes: for spaces
        f"-DPython_EXECUTABLE={sys.executable}",
        f"-DREALESRGAN_VK_PYTHON_HEADERS={headers}",
        f"-DREALESRGAN_VK_PYTHON_SUFFIX={python.suffix(processor)}",
    ]


def environment() -> dict[str, str]:
    """This process's, with the programs that are installed beside the interpreter found first."""
    search = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    return os.environ | {"PATH": os.pathsep.join(search)}


def run(command: list[str]) -> None:
    """Run a command whose failure ends the build.

    Raises:
        WheelError: The command is not there, or failed.
    """
    try:
        subprocess.run(command, check=True, cwd=ROOT, env=environment())
    except OSError as error:
        raise WheelError(f"cannot run {command[0]}: {error}") from error
    except subprocess.CalledProcessError as error:
        raise WheelError(f"{command[0]} failed with exit code {error.returncode}") from error


def output_of(command: list[str]) -> str:
    """What a command prints in the checkout.

    Raises:
        WheelError: It failed.
    """
    try:
        return subprocess.run(
            command, check=True, cwd=ROOT, env=environment(), capture_output=True, text=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise WheelError(f"{' '.join(command)}: {error}") from error


def build_time() -> int:
    """Seconds since 1970 that every file of a wheel carries: the commit's, or SOURCE_DATE_EPOCH."""
    return int(
        os.environ.get("SOURCE_DATE_EPOCH") or output_of(["git", "log", "-1", "--format=%ct"])
    )


def record_line(name: str, data: bytes) -> str:
    """A line of RECORD: https://packaging.python.org/specifications/recording-installed-packages."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(data)}"


def write_wheel(path: Path, files: dict[str, bytes], info: str, seconds: int) -> None:
    """Write files, by name, and their RECORD in `info`; the same files give the same bytes."""
    record = f"{info}/RECORD"
    lines = [record_line(name, files[name]) for name in sorted(files)]
    text = "\n".join([*lines, f"{record},,"]) + "\n"
    date = time.gmtime(max(seconds, 315532800))[:6]  # a zip's years begin with 1980
    # The packaging specification asks for the .dist-info folder at the archive's end.
    names = sorted(files, key=lambda name: (name.startswith(info), name))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in [*names, record]:
            entry = zipfile.ZipInfo(name, date)
            entry.compress_type = zipfile.ZIP_DEFLATED
            mode = 0o755 if name.endswith(".so") else 0o644
            entry.external_attr = (stat.S_IFREG | mode) << 16
            entry.create_system = 3  # Unix, on whatever system this runs
            archive.writestr(entry, files[name] if name in files else text.encode())


def package_files() -> dict[str, bytes]:
    """The package's own files, as they are in the commit's list, by their names in a wheel."""
    listed = output_of(["git", "ls-files", "-z", f"python/{PACKAGE}"])
    paths = [ROOT / name for name in listed.split("\0") if name]
    return {path.relative_to(ROOT / "python").as_posix(): path.read_bytes() for path in paths}


def files_below(folder: Path) -> dict[str, bytes]:
    """All files of a folder by their names relative to it."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def metadata_files(folder: Path) -> tuple[str, dict[str, bytes]]:
    """The name of the .dist-info folder, and its files as the build backend writes them."""
    from scikit_build_core import build as backend  # noqa: PLC0415  (needs the checkout as its folder)

    name = backend.prepare_metadata_for_build_wheel(str(folder))
    return name, {f"{name}/{key}": data for key, data in files_below(folder / name).items()}


def wheel_file(tag: str) -> bytes:
    """The text of WHEEL."""
    lines = (
        "Wheel-Version: 1.0",
        "Generator: realesrgan-vk",
        "Root-Is-Purelib: false",
        f"Tag: {tag}",
    )
    return ("\n".join(lines) + "\n").encode()


def build_wheel(
    python: Python, processor: str, build: Path, toolchain_file: Path, output: Path
) -> Path:
    """Build the extension for one Python and one processor, and return its wheel's path."""
    run(configure_command(build, toolchain_file, python, processor))
    run(["cmake", "--build", str(build), "--target", "_core"])
    tag = f"{python.tag}-{python.tag}-{platform_tag(processor)}"
    with tempfile.TemporaryDirectory() as folder:
        run(["cmake", "--install", str(build), "--prefix", f"{folder}/tree"])
        info, metadata = metadata_files(Path(folder) / "metadata")
        files = package_files() | files_below(Path(folder) / "tree") | metadata
    files[f"{info}/WHEEL"] = wheel_file(tag)
    output.mkdir(parents=True, exist_ok=True)
    wheel = output / f"{info.removesuffix('.dist-info')}-{tag}.whl"
    write_wheel(wheel, files, info, build_time())
    return wheel


def unknown_symbols(extension: bytes, headers: Path) -> list[str]:
    """Names that an extension needs and that neither its libraries nor Python's headers have."""
    names = unanswered_symbols(extension)
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in headers.rglob("*.h")]
    declared = set(re.findall(r"\b_?Py\w+", "\n".join(texts)))
    return sorted(set(names) - declared)


def interpreter_of(python: Python, processor: str) -> str | None:
    """An interpreter of that version, beside its headers or on the PATH, for that processor."""
    if platform.machine() != processor:
        return None
    name = f"python{python.version}"
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    for program in (python.headers.parents[1] / "bin" / name, shutil.which(name)):
        if program is None or not Path(program).exists():
            continue
        command = [str(program), "-c", code]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.stdout.strip() == python.version:
            return str(program)
    return None


def check_extension(wheel: Path, python: Python, processor: str) -> str:
    """Look for symbols of the extension that nothing defines, and import it where that works.

    Returns:
        What was done, for people: a module of another processor, or of a version without
        interpreter on this machine, cannot be imported.

    Raises:
        WheelError: A symbol has no definition, or the module cannot be imported.
    """
    name = f"{PACKAGE}/_core{python.suffix(processor)}"
    with zipfile.ZipFile(wheel) as archive, tempfile.TemporaryDirectory() as folder:
        unknown = unknown_symbols(archive.read(name), python.headers)
        if unknown:
            raise WheelError(
                f"{wheel.name}: nothing defines {', '.join(unknown)}, which {name} needs"
            )
        interpreter = interpreter_of(python, processor)
        if interpreter is None:
            return "symbols defined; not imported"
        # Alone: the package itself would need NumPy for that Python.
        code = "import sys; sys.path.insert(0, sys.argv[1]); import _core"
        command = [interpreter, "-c", code, str(Path(archive.extract(name, folder)).parent)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise WheelError(f"{wheel.name} cannot be imported by {interpreter}:\n{done.stderr}")
    return f"symbols defined; imported by {interpreter}"


def check_wheel(wheel: Path, processor: str) -> None:
    """Read the wheel as a package index and an installer would.

    Raises:
        WheelError: It needs a newer glibc or another library, its text is not valid, or it is
            too large.
    """
    shown = output_of([sys.executable, "-m", "auditwheel", "show", str(wheel)])
    tag = re.search(rf'platform tag: "manylinux_(\d+)_(\d+)_{processor}"', " ".join(shown.split()))
    if tag is None or (int(tag[1]), int(tag[2])) > GLIBC:
        raise WheelError(f"{wheel.name} does not fit its name:\n{shown}")
    run([sys.executable, "-m", "twine", "check", "--strict", str(wheel)])
    run([sys.executable, "-m", "check_wheel_contents", str(wheel)])
    if wheel.stat().st_size > LARGEST:
        raise WheelError(f"{wheel.name} has {wheel.stat().st_size} bytes, more than {LARGEST}")


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument(
        "--target", action="append", choices=PROCESSORS, help=f"processor; {PROCESSORS[0]} without"
    )
    parser.add_argument("--python", action="append", choices=PYTHONS, help="version; all without")
    parser.add_argument(
        "--headers", action="append", default=[], metavar="3.14=FOLDER", help="where Python.h is"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "dist", help="folder of the wheels")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Run from the command line."""
    options = parse(arguments)
    try:
        pairs = [given.partition("=") for given in options.headers]
        given = {version: Path(folder) for version, _, folder in pairs}
        pythons, missing = find_pythons(options.python or list(PYTHONS), given)
        if not pythons:
            raise WheelError(f"no headers of Python {', '.join(missing)}: name them with --headers")
        import ziglang  # noqa: PLC0415  (only to build)

        zig = Path(ziglang.__file__).parent / "zig"
        os.chdir(ROOT)
        wheels = []
        for processor in options.target or PROCESSORS[:1]:
            target = zig_target(processor)
            file = toolchain(cache_root() / f"zig-{target}", zig, target)
            for python in pythons:
                build = ROOT / "build" / "wheels" / processor
                wheel = build_wheel(python, processor, build, file, options.output.resolve())
                check_wheel(wheel, processor)
                wheels.append((wheel, check_extension(wheel, python, processor)))
    except (WheelError, ImportError) as error:
        sys.stderr.write(f"wheels: {error}\n")
        return 1
    for wheel, checked in wheels:
        print(f"{wheel.stat().st_size / 1e6:5.2f} MB  {wheel}  ({checked})")
    for version in missing:
        print(f"not built: Python {version}; name its headers with --headers {version}=FOLDER")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
