"""The manifest against its files, a user's own networks, and what is said when files are wrong."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import realesrgan_vk
from realesrgan_vk import _core
from realesrgan_vk.cli import app
from realesrgan_vk.models import Model, find_model, list_models
from realesrgan_vk.models.checksums import VerifiedFiles

OFFICIAL = [
    "realesrgan-x4plus",
    "realesrgan-x4plus-anime",
    "realesr-animevideov3",
    "realesr-animevideov3-x2",
    "realesr-animevideov3-x3",
    "realesr-animevideov3-x4",
]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder with a user's own network, `mine`."""
    official = find_model("realesr-animevideov3-x2")
    folder = tmp_path / "own models"
    folder.mkdir()
    shutil.copy(official.param, folder / "mine.param")
    shutil.copy(official.bin, folder / "mine.bin")
    return folder


def test_the_official_networks_are_listed_and_match_their_graphs() -> None:
    models = list_models()
    assert [model.name for model in models] == OFFICIAL
    for model in models:
        network = _core.inspect_network(str(find_model(model.name).param))
        assert (network.scale, network.output_channels) == (model.scale, model.channels)
        assert model.licence == "BSD-3-Clause"
        assert model.origin.startswith("https://")


def test_a_network_of_ones_own_is_found_by_path_folder_and_name(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_model(own / "mine.param").bin == own / "mine.bin"
    assert find_model(str(own / "mine.bin")).param == own / "mine.param"
    assert find_model(own).name == "mine"
    monkeypatch.setenv("REALESRGAN_VK_MODELS", f"/nowhere{os.pathsep}{own}")
    assert find_model("mine").param == own / "mine.param"
    assert list_models()[-1] == Model(
        "mine", own / "mine.param", own / "mine.bin", scale=2, channels=3
    )


def test_a_checkpoint_is_called_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("RealESRGAN_x4plus.pth", "net.safetensors"):
        Path(name).touch()
        for given in (name, f"./{name}", Path(name), tmp_path / name):
            with pytest.raises(realesrgan_vk.ModelError, match="is a checkpoint, not an ncnn net"):
                find_model(given)


def test_wrong_names_and_missing_files_are_named(own: Path, tmp_path: Path) -> None:
    with pytest.raises(realesrgan_vk.ModelError, match=r"unknown model 'x5'.*realesrgan-x4plus,"):
        find_model("x5")
    (own / "mine.bin").unlink()
    with pytest.raises(realesrgan_vk.ModelError, match=r"mine\.bin does not exist"):
        find_model(own / "mine.param")
    with pytest.raises(realesrgan_vk.ModelError, match=r"has no \.param file"):
        find_model(tmp_path)
    (own / "other.param").touch()
    with pytest.raises(realesrgan_vk.ModelError, match=r"several networks \(mine"):
        find_model(own)
    with pytest.raises(TypeError, match="model must be a name or a path, not int"):
        find_model(4)  # type: ignore[arg-type]


def test_names_are_found_in_any_case_and_official_ones_first(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REALESRGAN_VK_MODELS", str(own))
    for kind in ("param", "bin"):
        shutil.copy(own / f"mine.{kind}", own / f"RealESRGAN_x4plus.{kind}")
        shutil.copy(own / f"mine.{kind}", own / f"realesr-animevideov3.{kind}")
    official = find_model("realesrgan-x4plus")
    assert find_model("RealESRGAN_x4plus") == official
    assert find_model("RealESRGAN_x4plus_anime_6B").name == "realesrgan-x4plus-anime"
    assert find_model("RealESRGAN_x4plus.pth") == official
    assert find_model("realesr-animevideov3").param.parent != own
    assert find_model(own / "RealESRGAN_x4plus.param").param.parent == own
    assert [model.name for model in list_models()] == [*OFFICIAL, "mine"]
    assert find_model("MINE").param == own / "mine.param"


def test_half_a_network_hides_none(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = tmp_path / "half"
    half.mkdir()
    (half / "mine.param").touch()
    (half / "other.param").touch()
    monkeypatch.setenv("REALESRGAN_VK_MODELS", f"{half}{os.pathsep}{own}")
    assert find_model("mine").param == own / "mine.param"
    assert [model.name for model in list_models()] == [*OFFICIAL, "mine"]
    with pytest.raises(realesrgan_vk.ModelError, match=r"other\.bin does not exist"):
        find_model("other")


@pytest.mark.parametrize("name", ["", " ", "\n"])
def test_an_empty_name_is_refused(name: str, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(own)  # where "." is a network
    with pytest.raises(realesrgan_vk.ModelError, match="give a name"):
        find_model(name)
    done = CliRunner().invoke(app, ["plan", "64x48", "-m", name, "-d", "cpu"])
    assert done.exit_code != 0
    assert "stream" not in done.output


@pytest.mark.parametrize(
    "name", ["x" * 5000, "x" * 5000 + ".param", "a\0b", "\udcff", "../../etc/passwd", "/dev/zero"]
)
def test_no_name_gives_another_exception(name: str) -> None:
    with pytest.raises(realesrgan_vk.ModelError) as caught:
        find_model(name)
    assert len(str(caught.value)) < 1000


def test_a_published_network_that_is_not_installed_says_how_to_get_it() -> None:
    for name in ("realesr-general-x4v3", "RealESRGAN_x2plus", "RealESRGAN_x2plus.pth"):
        with pytest.raises(
            realesrgan_vk.ModelError, match=r"not installed; .* models pull real"
        ) as caught:
            find_model(name)
        assert "unknown" not in str(caught.value)
    with pytest.raises(realesrgan_vk.ModelError, match=r"did you mean realesrgan-x4plus\?"):
        find_model("realesrgan-x4pluss")


@pytest.mark.parametrize(
    "content",
    [
        '{"models": ' + "[" * 50_000 + "]" * 50_000 + "}",
        '{"models": 3}',
        "{}",
        '{"models": [{"files": {"param": {"file": "mine.param"}}}]}',
        " " * (5 << 20),
        "[" + "9" * 100_000 + "]",
        '{"name": "a web page", "icons": []}',
    ],
)
def test_a_bad_manifest_hides_no_network(
    content: str, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (own / "manifest.json").write_text(content)
    monkeypatch.setenv("REALESRGAN_VK_MODELS", str(own))
    assert [model.name for model in list_models()] == [*OFFICIAL, "mine"]
    assert CliRunner().invoke(app, ["models"]).exit_code == 0
    assert find_model("mine").param == own / "mine.param"


def test_a_damaged_official_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "damaged_package"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").touch()
    entry = json.loads((Path(__file__).parents[2] / "models" / "manifest.json").read_text())
    entry = next(each for each in entry["models"] if each["name"] == "realesr-animevideov3")
    official = find_model("realesr-animevideov3")
    shutil.copy(official.param, package / entry["files"]["param"]["file"])
    weights = package / entry["files"]["bin"]["file"]
    content = bytearray(official.bin.read_bytes())
    content[1000] ^= 1
    weights.write_bytes(content)
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "inner"
    folder.mkdir()
    entry |= {"package": "damaged_package"}
    (folder / "manifest.json").write_text(json.dumps({"models": [entry]}))
    monkeypatch.setattr("realesrgan_vk.models.registry._manifest_folder", lambda: folder)
    with pytest.raises(realesrgan_vk.ModelError, match=rf"{weights.name} is damaged.*pip install"):
        find_model("realesr-animevideov3")
    weights.unlink()
    with pytest.raises(realesrgan_vk.ModelError, match=rf"{weights.name} is missing.*pip install"):
        find_model("realesr-animevideov3")


@pytest.mark.parametrize("content", [None, "{", '{"models": []}', '{"models": [{"name": 1}]}'])
def test_a_damaged_installation_says_what_to_do(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    monkeypatch.setattr("realesrgan_vk.models.registry._manifest_folder", lambda: tmp_path)
    with pytest.raises(
        realesrgan_vk.ModelError, match=r"manifest\.json .*; reinstall realesrgan-vk$"
    ):
        list_models()


def test_an_official_network_without_a_package_lies_beside_the_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = json.loads((Path(__file__).parents[2] / "models" / "manifest.json").read_text())
    entry = next(each for each in entries["models"] if each["name"] == "realesr-animevideov3-x2")
    official = find_model(entry["name"])
    del entry["package"], entry["requirement"]
    for kind, path in (("param", official.param), ("bin", official.bin)):
        entry["files"][kind]["file"] = f"../../models/video.{kind}"
        (tmp_path / "models").mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / "models" / f"video.{kind}")
    folder = tmp_path / "lib" / "inner"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"models": [entry]}))
    monkeypatch.setattr("realesrgan_vk.models.registry._manifest_folder", lambda: folder)
    assert find_model("realesr-animevideov3-x2").param == tmp_path / "models" / "video.param"
    assert [model.bin for model in list_models()] == [tmp_path / "models" / "video.bin"]
    (tmp_path / "models" / "video.bin").unlink()
    with pytest.raises(
        realesrgan_vk.ModelError, match=r"video\.bin is missing; unpack the program"
    ):
        find_model("realesr-animevideov3-x2")


def test_a_hash_is_computed_once_and_again_when_the_file_changes(tmp_path: Path) -> None:
    file, store = tmp_path / "file", tmp_path / "cache" / "verified.json"
    file.write_bytes(b"abc")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert VerifiedFiles(store).matches(file, digest)
    file.chmod(0)
    remembered = VerifiedFiles(store).matches(file, digest)  # root could read it all the same
    file.chmod(0o600)
    assert remembered
    times = (file.stat().st_atime_ns, file.stat().st_mtime_ns)
    file.write_bytes(b"abd")
    os.utime(file, ns=times)
    assert VerifiedFiles(store).matches(file, digest), "remembered by size and time: not read again"
    os.utime(file, ns=(times[0], times[1] + 1))
    assert not VerifiedFiles(store).matches(file, digest)
    store.write_text("[" * 100_000)
    assert VerifiedFiles(store).matches(file, digest) is False
    store.write_text("no json")
    file.write_bytes(b"abc")
    assert VerifiedFiles(store).matches(file, digest)


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_cache_that_others_can_write_is_not_believed(mode: int, tmp_path: Path) -> None:
    file, store = tmp_path / "file", tmp_path / "verified.json"
    file.write_bytes(b"abc")
    state = file.stat()
    forged = {str(file): [state.st_size, state.st_mtime_ns, "0" * 64]}
    store.write_text(json.dumps(forged))
    store.chmod(0o600)
    assert VerifiedFiles(store).matches(file, "0" * 64), "the form of a forged entry is right"
    store.chmod(mode)
    assert not VerifiedFiles(store).matches(file, "0" * 64)
    if os.geteuid() == 0:
        store.chmod(0o600)
        os.chown(store, 12345, 12345)
        assert not VerifiedFiles(store).matches(file, "0" * 64)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_in_place_of_the_cache_is_not_waited_for(tmp_path: Path) -> None:
    file, store = tmp_path / "file", tmp_path / "verified.json"
    file.write_bytes(b"abc")
    os.mkfifo(store, 0o600)
    code = "import sys; from pathlib import Path\n"
    code += "from realesrgan_vk.models.checksums import VerifiedFiles\n"
    code += "print(VerifiedFiles(Path(sys.argv[1])).matches(Path(sys.argv[2]), '0' * 64))"
    done = subprocess.run(
        [sys.executable, "-c", code, store, file], check=True, capture_output=True, timeout=60
    )
    assert done.stdout.split() == [b"False"]


def test_hashes_are_remembered_in_the_cache_folder_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, cache = tmp_path / "file", tmp_path / "cache"
    file.write_bytes(b"abc")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    monkeypatch.setenv("REALESRGAN_VK_CACHE", str(cache))
    assert VerifiedFiles().matches(file, digest)
    assert str(file) in json.loads((cache / "verified.json").read_text("utf-8"))
    monkeypatch.setenv("REALESRGAN_VK_CACHE", os.fsdecode(bytes(tmp_path) + b"/caf\xe9"))
    assert VerifiedFiles().matches(file, digest)
    for name in ("REALESRGAN_VK_CACHE", "XDG_CACHE_HOME", "HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    assert _core.cache_folder() is None
    assert VerifiedFiles().matches(file, digest)
    assert not VerifiedFiles().matches(file, "0" * 64)
