"""`models add`: installed whole or not at all, and found by name afterwards."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import drop_in
import pytest
from click.testing import CliRunner
from compact_network import write_compact

import realesrgan_vk
from realesrgan_vk.add_models import add_models
from realesrgan_vk.cli import app
from realesrgan_vk.models import find_model, list_models


def _exported(folder: Path, name: str = "mine", **more: str) -> Path:
    param = write_compact(folder, name)
    files = {
        path.suffix[1:]: {
            "file": path.name,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in (param, param.with_suffix(".bin"))
    }
    entry = {"name": name, "architecture": "SRVGGNetCompact", "licence": "CC0-1.0", **more}
    manifest = {"models": [{**entry, "files": files}]}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_an_exported_folder_and_a_bare_file(tmp_path: Path) -> None:
    installed = tmp_path / "installed"  # where conftest.py puts the user's own networks
    assert add_models(_exported(tmp_path / "out", weak_denoise="w"), installed) == ["mine"]
    bare = write_compact(tmp_path / "other", "bare", seed=5)
    assert add_models(bare.with_suffix(".bin"), installed) == ["bare"]
    assert find_model("mine").param == installed / "mine.param"
    mine = next(model for model in list_models() if model.name == "mine")
    assert (mine.scale, mine.channels, mine.licence) == (2, 3, "CC0-1.0")
    entries = json.loads((installed / "manifest.json").read_text())["models"]
    assert [entry["name"] for entry in entries] == ["bare", "mine"]
    assert entries[1]["weak_denoise"] == "w"
    assert len(list(installed.iterdir())) == 5
    picture = realesrgan_vk.Upscaler("mine", device="cpu", threads=1)
    assert picture.scale == 2


def test_adding_again_replaces(tmp_path: Path) -> None:
    installed = tmp_path / "installed"
    add_models(write_compact(tmp_path / "a", "net", seed=1), installed)
    second = write_compact(tmp_path / "b", "net", seed=2)
    add_models(second, installed)
    assert find_model("net").bin.read_bytes() == second.with_suffix(".bin").read_bytes()
    assert len(json.loads((installed / "manifest.json").read_text())["models"]) == 1


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = tmp_path / "installed"
    monkeypatch.setattr("realesrgan_vk.add_models.own_models_folder", lambda: installed)
    monkeypatch.setattr("realesrgan_vk.models_cli.own_models_folder", lambda: installed)
    done = CliRunner().invoke(app, ["models", "add", str(_exported(tmp_path / "out"))])
    assert (done.exit_code, done.output) == (0, f"added mine to {installed}\n")
    listed = CliRunner().invoke(app, ["models"])
    assert "mine" in listed.output
    assert "realesrgan-x4plus" in listed.output


@pytest.mark.parametrize("case", ["cut", "hash", "official", "name", "empty", "text", "manifest"])
def test_refusals_install_nothing(case: str, tmp_path: Path) -> None:
    source = _exported(tmp_path / "out")
    reason = {
        "cut": r"mine\.bin|mine\.param",
        "hash": "damaged",
        "official": "official network",
        "name": "cannot name a network",
        "empty": r"has no \.param",
        "text": "is no network",
        "manifest": "not a manifest",
    }[case]
    weights = source / "mine.bin"
    if case == "cut":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif case == "hash":
        content = bytearray(weights.read_bytes())
        content[40] ^= 1
        weights.write_bytes(content)
    elif case == "official":
        source = write_compact(tmp_path / "x", "realesrgan-x4plus")
    elif case == "name":
        source = write_compact(tmp_path / "x", "my net")
    elif case == "empty":
        source = tmp_path / "empty"
        source.mkdir()
    elif case == "text":
        source = tmp_path / "notes.txt"
        source.touch()
    else:
        (source / "manifest.json").write_text("{}")
    with pytest.raises(realesrgan_vk.ModelError, match=reason):
        add_models(source, tmp_path / "installed")
    assert not (tmp_path / "installed").exists() or not list((tmp_path / "installed").iterdir())


@pytest.mark.parametrize("option", ["-m", "-n", "--model"])
def test_every_command_takes_an_installed_name(option: str, source: Path, tmp_path: Path) -> None:
    add_models(write_compact(tmp_path / "a", "mine"), tmp_path / "installed")
    target = tmp_path / "out.png"
    command = ["upscale", str(source), "-o", str(target), option, "mine", "-d", "cpu"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert drop_in.size_of(target) == (2 * drop_in.SIZE[0], 2 * drop_in.SIZE[1])
    planned = CliRunner().invoke(app, ["plan", "64x48", option, "mine", "-d", "cpu"])
    assert planned.exit_code == 0, planned.output
    assert "stream" in planned.output


def test_the_drop_in_takes_an_installed_name(source: Path, tmp_path: Path) -> None:
    data, target = tmp_path / "data", tmp_path / "out.png"
    add_models(write_compact(tmp_path / "a", "mine"), data / "realesrgan-vk" / "models")
    command = ("-i", source, "-o", target, "-n", "mine", "-s", "2")
    done = drop_in.run(*command, environment={"XDG_DATA_HOME": str(data)})
    assert done.returncode == 0, done.stderr
    assert drop_in.size_of(target) == (2 * drop_in.SIZE[0], 2 * drop_in.SIZE[1])


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_write_that_fails_midway_changes_nothing(tmp_path: Path) -> None:
    installed = tmp_path / "installed"
    add_models(write_compact(tmp_path / "old", "b", seed=1), installed)
    before = _contents(installed)
    both = write_compact(tmp_path / "new", "a").parent
    write_compact(both, "b", seed=2)
    write_compact(both, "c")
    (installed / "c.param").mkdir()  # the last file that is put in its place
    with pytest.raises(realesrgan_vk.ModelError, match=r"cannot be written .*nothing was added"):
        add_models(both, installed)
    assert _contents(installed) == before
    assert {path.name for path in installed.iterdir()} == {*before, "c.param"}


def test_what_a_killed_add_leaves_is_no_network(tmp_path: Path) -> None:
    write_compact(tmp_path / "installed" / ".installing-x" / "new", "half")
    assert "half" not in [model.name for model in list_models()]
    with pytest.raises(realesrgan_vk.ModelError, match="unknown model 'half'"):
        find_model("half")


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    param = write_compact(tmp_path / "a", "mine")
    done = subprocess.run(
        [sys.executable, "-m", "realesrgan_vk", "models", "add", str(param)],
        env=os.environ | {"XDG_DATA_HOME": str(tmp_path / "file")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: folder {tmp_path / 'file'}")
    assert done.stderr.count("\n") == 1
