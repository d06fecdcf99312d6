"""What `tools/wheels.py` puts into a wheel, and which Pythons it finds; nothing is compiled."""

from __future__ import annotations

import base64
import hashlib
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import script_modules

ROOT = Path(__file__).parents[2]
CMAKE = shutil.which("cmake") or shutil.which("cmake", path=sysconfig.get_path("scripts"))


COMPILER = shutil.which("cc")


@pytest.fixture(scope="module")
def wheels() -> Iterator[ModuleType]:
    yield from script_modules.load_tool("wheels")


def headers(folder: Path, version: str) -> Path:
    """A folder that looks like that version's headers."""
    major, minor = version.split(".")
    folder.mkdir()
    (folder / "Python.h").touch()
    (folder / "pyconfig.h").touch()
    (folder / "patchlevel.h").write_text(
        f"/* the version */\n#define PY_MAJOR_VERSION\t{major}\n#define PY_MINOR_VERSION {minor}\n"
    )
    return folder


def test_the_pythons_are_those_that_the_package_supports(wheels: ModuleType) -> None:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    assert f'requires-python = ">={wheels.PYTHONS[0]}"' in text
    assert list(wheels.PYTHONS) == [f"3.{minor}" for minor in range(10, 10 + len(wheels.PYTHONS))]


def test_given_headers_are_taken_and_their_version_is_checked(
    wheels: ModuleType, tmp_path: Path
) -> None:
    given = headers(tmp_path / "include", "3.14")
    found, missing = wheels.find_pythons(["3.14"], {"3.14": given})
    assert missing == []
    (python,) = found
    assert python.headers == given.resolve()
    assert python.tag == "cp314"
    assert python.suffix("aarch64") == ".cpython-314-aarch64-linux-gnu.so"
    with pytest.raises(wheels.WheelError, match=r"has no headers of Python 3\.13"):
        wheels.find_pythons(["3.13"], {"3.13": given})


def test_a_version_without_headers_is_missing(
    wheels: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheels, "known_headers", lambda version: [tmp_path / version])
    headers(tmp_path / "3.12", "3.12")
    headers(tmp_path / "3.13", "3.11")  # another version's, at that place
    found, missing = wheels.find_pythons(["3.11", "3.12", "3.13"], {})
    assert [python.version for python in found] == ["3.12"]
    assert missing == ["3.11", "3.13"]


def test_debians_headers_are_joined_with_the_processors_part(
    wheels: ModuleType, tmp_path: Path
) -> None:
    """Debian's pyconfig.h names one for each processor, in the folder above."""
    given = headers(tmp_path / "python3.13", "3.13")
    (given / "pyconfig.h").write_text(
        "#if defined(__x86_64__)\n# include <x86_64-linux-gnu/python3.13/pyconfig.h>\n"
        "#else\n# include <aarch64-linux-gnu/python3.13/pyconfig.h>\n#endif\n"
    )
    with pytest.raises(wheels.WheelError, match=r"has no headers of Python 3\.13"):
        wheels.find_pythons(["3.13"], {"3.13": given})
    part = tmp_path / "x86_64-linux-gnu" / "python3.13" / "pyconfig.h"
    part.parent.mkdir(parents=True)
    part.write_text("#define SIZEOF_LONG 8\n")
    ((python,), _) = wheels.find_pythons(["3.13"], {"3.13": given})
    for processor in wheels.PROCESSORS:  # the one part serves both
        first, second = wheels.include_folders(python, processor, tmp_path / "build")
        assert first == given
        copied = second / f"{processor}-linux-gnu" / "python3.13" / "pyconfig.h"
        assert copied.read_text() == "#define SIZEOF_LONG 8\n"
        assert not (second / "Python.h").exists()


@pytest.mark.skipif(CMAKE is None, reason="there is no cmake on the PATH")
@pytest.mark.parametrize("processor", ["x86_64", "aarch64"])
def test_the_compiler_is_told_the_processor_and_the_oldest_glibc(
    wheels: ModuleType, tmp_path: Path, processor: str
) -> None:
    """Read by CMake: what ncnn's build and the core's build get."""
    target = wheels.zig_target(processor)
    file = wheels.toolchain(tmp_path / "tools", Path("/opt/zig"), target)
    script = tmp_path / "print.cmake"
    script.write_text(
        f"include({file})\nmessage(STATUS ${{CMAKE_SYSTEM_NAME}}-${{CMAKE_SYSTEM_PROCESSOR}})\n"
        "message(STATUS ${CMAKE_CXX_COMPILER})\n"
    )
    assert CMAKE is not None
    done = subprocess.run(
        [CMAKE, "-P", str(script)], check=True, capture_output=True, text=True, timeout=60
    )
    system, compiler = (line.removeprefix("-- ") for line in done.stdout.splitlines())
    assert system == f"Linux-{processor}"
    assert Path(compiler).stat().st_mode & 0o111
    command = Path(compiler).read_text("utf-8").splitlines()[1]
    assert command == f'exec "/opt/zig" c++ -target {processor}-linux-gnu.2.28 -O2 "$@" -s'
    assert wheels.platform_tag(processor) == f"manylinux_2_28_{processor}"


def test_one_configuration_builds_for_one_python(
    wheels: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = wheels.Python("3.13", headers(tmp_path / "include", "3.13"))
    command = wheels.configure_command(tmp_path / "b", tmp_path / "t.cmake", python, "x86_64")
    assert f"-DCMAKE_TOOLCHAIN_FILE={tmp_path / 't.cmake'}" in command
    assert f"-DREALESRGAN_VK_PYTHON_HEADERS={tmp_path / 'include'}" in command
    assert "-DREALESRGAN_VK_PYTHON_SUFFIX=.cpython-313-x86_64-linux-gnu.so" in command
    monkeypatch.setattr(
        wheels, "ROOT", Path("/a folder")
    )  # one option of the compiler, for a shell
    (flags,) = (
        option.partition("=")[2]
        for option in wheels.configure_command(tmp_path, tmp_path, python, "x86_64")
        if option.startswith("-DCMAKE_CXX_FLAGS=")
    )
    assert shlex.split(flags) == ["-ffile-prefix-map=/a folder=."]


def test_the_same_files_give_the_same_wheel_and_a_true_record(
    wheels: ModuleType, tmp_path: Path
) -> None:
    files = {
        "p-1.dist-info/METADATA": b"Name: p\n",
        "p/_core.so": b"\x7fELF",
        "p/__init__.py": b"",
    }
    first, second = tmp_path / "first.whl", tmp_path / "second.whl"
    wheels.write_wheel(first, files, "p-1.dist-info", 1_700_000_000)
    wheels.write_wheel(second, dict(reversed(list(files.items()))), "p-1.dist-info", 1_700_000_000)
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as archive:
        entries = archive.infolist()
        record = archive.read("p-1.dist-info/RECORD").decode().splitlines()
    assert [entry.filename for entry in entries] == [
        "p/__init__.py",
        "p/_core.so",
        "p-1.dist-info/METADATA",
        "p-1.dist-info/RECORD",
    ]
    assert {entry.date_time for entry in entries} == {(2023, 11, 14, 22, 13, 20)}
    modes = [entry.external_attr >> 16 & 0o777 for entry in entries]
    assert modes == [0o644, 0o755, 0o644, 0o644]
    assert record[-1] == "p-1.dist-info/RECORD,,"
    for line in record[:-1]:
        name, digest, size = line.split(",")
        expected = base64.urlsafe_b64encode(hashlib.sha256(files[name]).digest()).rstrip(b"=")
        assert digest == f"sha256={expected.decode()}"
        assert int(size) == len(files[name])


def test_times_are_those_of_the_commit_or_of_source_date_epoch(
    wheels: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert wheels.build_time() == 1_700_000_000
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    monkeypatch.setattr(wheels, "output_of", lambda command: "1600000000")
    assert wheels.build_time() == 1_600_000_000


def test_a_wheel_that_needs_a_newer_glibc_is_refused(
    wheels: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = tmp_path / "p.whl"
    wheel.write_bytes(b"")
    monkeypatch.setattr(wheels, "run", lambda command: None)
    text = 'p.whl is consistent with the following platform\ntag: "{}".\n'
    told = {"tag": "manylinux_2_28_x86_64"}
    monkeypatch.setattr(wheels, "output_of", lambda command: text.format(told["tag"]))
    wheels.check_wheel(wheel, "x86_64")
    told["tag"] = "manylinux_2_27_x86_64"  # an older glibc will do, too
    wheels.check_wheel(wheel, "x86_64")
    for wrong in ("manylinux_2_34_x86_64", "linux_x86_64", "manylinux_2_28_aarch64"):
        told["tag"] = wrong
        with pytest.raises(wheels.WheelError, match=r"does not fit its name"):
            wheels.check_wheel(wheel, "x86_64")
    told["tag"] = "manylinux_2_28_x86_64"
    with wheel.open("wb") as file:
        file.truncate(wheels.LARGEST + 1)
    with pytest.raises(wheels.WheelError, match="more than"):
        wheels.check_wheel(wheel, "x86_64")


def wheel_of(folder: Path, python: object, body: str) -> Path:
    """A wheel of nothing but an extension module, whose initialisation runs `body`."""
    source = folder / "core.c"
    source.write_text(
        "#include <Python.h>\n#include <math.h>\nextern int nowhere(void);\n"
        'static struct PyModuleDef core = {PyModuleDef_HEAD_INIT, .m_name = "_core"};\n'
        f"PyMODINIT_FUNC PyInit__core(void) {{ {body} return PyModule_Create(&core); }}\n"
    )
    module = folder / "core.so"
    assert COMPILER is not None
    include = f"-I{sysconfig.get_path('include')}"
    command = [COMPILER, "-shared", "-fPIC", include, str(source), "-o", str(module), "-lm"]
    subprocess.run(command, check=True, timeout=60)
    wheel = folder / "p.whl"
    suffix = python.suffix(platform.machine())  # type: ignore[attr-defined]
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(module, f"realesrgan_vk/_core{suffix}")
    return wheel


HEADERS = Path(sysconfig.get_path("include"))


@pytest.mark.skipif(COMPILER is None, reason="there is no C compiler on the PATH")
@pytest.mark.skipif(not (HEADERS / "Python.h").exists(), reason="Python's headers are missing")
@pytest.mark.skipif(sys.platform != "linux", reason="the wheels are for Linux")
def test_a_wheel_whose_extension_lacks_a_symbol_is_refused(
    wheels: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor = platform.machine()
    python = wheels.Python(".".join(map(str, sys.version_info[:2])), HEADERS)
    monkeypatch.setattr(wheels, "interpreter_of", lambda *_: sys.executable)
    good = wheel_of(tmp_path, python, "if (sin(Py_REFCNT(Py_None)) > 2) PyErr_Clear();")
    assert wheels.check_extension(good, python, processor).endswith(f"imported by {sys.executable}")
    lacking = wheel_of(tmp_path, python, "if (nowhere()) return NULL;")
    with pytest.raises(wheels.WheelError, match=r"nothing defines nowhere, which .*_core"):
        wheels.check_extension(lacking, python, processor)
    # A name that looks like Python's, but that this version's headers do not have.
    invented = wheel_of(
        tmp_path, python, "extern int PyNowhere_(void); if (PyNowhere_()) return NULL;"
    )
    with pytest.raises(wheels.WheelError, match="nothing defines PyNowhere_,"):
        wheels.check_extension(invented, python, processor)
    monkeypatch.setattr(wheels, "unknown_symbols", lambda *_: [])
    with pytest.raises(
        wheels.WheelError, match=r"cannot be imported[^$]*undefined symbol: nowhere"
    ):
        wheels.check_extension(
            wheel_of(tmp_path, python, "if (nowhere()) return NULL;"), python, processor
        )
    refusing = wheel_of(
        tmp_path, python, 'PyErr_SetString(PyExc_ImportError, "not today"); return NULL;'
    )
    with pytest.raises(wheels.WheelError, match=r"cannot be imported[^$]*not today"):
        wheels.check_extension(refusing, python, processor)
    monkeypatch.setattr(wheels, "interpreter_of", lambda *_: None)
    assert wheels.check_extension(good, python, processor) == "symbols defined; not imported"


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is no checkout")
def test_the_package_has_its_types_and_data_but_nothing_built(wheels: ModuleType) -> None:
    files = wheels.package_files()
    assert {"realesrgan_vk/__init__.py", "realesrgan_vk/_core.pyi"} <= set(files)
    assert "realesrgan_vk/py.typed" in files
    assert not [name for name in files if name.endswith((".pyc", ".so"))]
