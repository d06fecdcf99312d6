"""`models add`: installed whole or not at all, and found by name afterwards."""

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import checkpoint_files
import drop_in
import numpy as np
import pytest
from click.testing import CliRunner
from compact_network import write_compact

import realesrgan_vk
from realesrgan_vk.cli import app
from realesrgan_vk.models import find_model, list_models
from realesrgan_vk.models.add import add_models
from realesrgan_vk.models.remove import remove_model
from realesrgan_vk.models.user_store import locked


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


def test_the_command_replaces_only_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "installed"
    monkeypatch.setattr("realesrgan_vk.models.add.own_models_folder", lambda: installed)
    monkeypatch.setattr("realesrgan_vk.cli.models.own_models_folder", lambda: installed)
    monkeypatch.setattr("realesrgan_vk.models.remove.own_models_folder", lambda: installed)
    first = str(write_compact(tmp_path / "a", "net", seed=1))
    second = str(write_compact(tmp_path / "b", "Net", seed=2))
    for source in (first, first):  # the same again changes nothing
        done = CliRunner().invoke(app, ["models", "add", source])
        assert done.exit_code == 0, done.output
    before = _contents(installed)
    refused = CliRunner().invoke(app, ["models", "add", second])
    assert isinstance(refused.exception, realesrgan_vk.ModelError)
    assert "a network named net exists; replace it with --replace" in str(refused.exception)
    assert _contents(installed) == before
    done = CliRunner().invoke(app, ["models", "add", second, "--replace"])
    assert done.output == f"added Net to {installed}\n"
    assert {path.name for path in installed.iterdir()} == {"Net.bin", "Net.param", "manifest.json"}
    done = CliRunner().invoke(app, ["models", "add", first, "--name", "other"])
    assert done.output == f"added other to {installed}\n"
    assert find_model("other").bin.read_bytes() == Path(first).with_suffix(".bin").read_bytes()
    done = CliRunner().invoke(app, ["models", "remove", "Net"])
    assert done.output == f"removed Net from {installed}\n"
    table = CliRunner().invoke(app, ["models", "list"]).output
    assert re.search(r"^other +x\d +a network of your own$", table, re.M)
    assert max(map(len, table.splitlines())) <= 80
    assert {path.name for path in installed.glob("*.*")} == {
        "other.bin",
        "other.param",
        "manifest.json",
    }


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("net", r"no network 'net' was added to .*; those are: mine"),
        ("../a/net", "no network"),
        ("RealESRGAN_x4plus", "realesrgan-x4plus comes with a package"),
    ],
)
def test_what_was_not_added_is_not_removed(name: str, reason: str, tmp_path: Path) -> None:
    installed = tmp_path / "installed"
    add_models(write_compact(tmp_path / "a", "mine"), installed)
    write_compact(tmp_path / "a", "net")
    with pytest.raises(realesrgan_vk.ModelError, match=reason):
        remove_model(name, installed)
    assert (tmp_path / "a" / "net.param").is_file()
    assert len(list(installed.iterdir())) == 3


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = tmp_path / "installed"
    monkeypatch.setattr("realesrgan_vk.models.add.own_models_folder", lambda: installed)
    monkeypatch.setattr("realesrgan_vk.cli.models.own_models_folder", lambda: installed)
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
        "text": "is not a network",
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


def test_a_checkpoint_is_converted(tmp_path: Path) -> None:
    installed = tmp_path / "installed"
    source = checkpoint_files.write(
        tmp_path / "My_net.pth", checkpoint_files.checkpoint(checkpoint_files.compact_arrays())
    )
    assert add_models(source, installed) == ["My_net"]
    assert add_models(source, installed, name="other") == ["other"]
    assert realesrgan_vk.Upscaler("my-net", device="cpu").scale == 2
    entry = json.loads((installed / "manifest.json").read_text())["models"][0]
    assert entry["architecture"] == "SRVGGNetCompact, 1 convolutions, 4 features"
    assert entry["source"]["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert len(list(installed.iterdir())) == 5


def _without_exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realesrgan_vk.models.add.find_spec", lambda _: None)


def _with_exporter(monkeypatch: pytest.MonkeyPatch, *, fails: bool = False) -> list[list[str]]:
    """A stand-in for the exporter's process; returns the commands that were run."""
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        if fails:
            words = f"rows\nrealesrgan-export: {'long, ' * 40}no\x1b such network\n"
            return subprocess.CompletedProcess(command, 1, "", words)
        folder = Path(command[command.index("--output") + 1])
        name = command[command.index("--name") + 1]
        param = write_compact(folder, name)
        hashes = {
            kind: hashlib.sha256(param.with_suffix(f".{kind}").read_bytes()).hexdigest()
            for kind in ("param", "bin")
        }
        files = {
            kind: {"file": f"{name}.{kind}", "sha256": digest} for kind, digest in hashes.items()
        }
        manifest = {"models": [{"name": name, "files": files, "licence": "MIT"}]}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr("realesrgan_vk.models.add.find_spec", lambda _: object())
    monkeypatch.setattr(subprocess, "run", run)
    return commands


FOREIGN = checkpoint_files.checkpoint({"model.0.weight": np.ones(3, "f4")})


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_the_exporter_converts_what_is_not_converted_here(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = _with_exporter(monkeypatch)
    source = tmp_path / f"net{suffix}"
    source.write_bytes(FOREIGN)
    installed = tmp_path / "installed"
    assert add_models(source, installed, name="mine") == ["mine"]
    assert commands[0][:5] == [sys.executable, "-m", "realesrgan_export", "checkpoint", str(source)]
    entry = json.loads((installed / "manifest.json").read_text())["models"][0]
    assert (entry["name"], entry["licence"]) == ("mine", "MIT")
    _with_exporter(monkeypatch, fails=True)
    with pytest.raises(
        realesrgan_vk.ModelError, match=r"; realesrgan-export: (long, ){40}no\\x1b such network$"
    ):
        add_models(source, installed, name="other")


def test_checkpoints_with_integers_are_for_the_exporter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of networks with windows, which keep the indices of their positions."""
    commands = _with_exporter(monkeypatch)
    source = tmp_path / "net.pth"
    integers = checkpoint_files.tensor("0", np.ones(2, "f4"), kind="LongStorage")
    pickle = b"\x80\x02}" + checkpoint_files.text("index") + integers + b"s."
    source.write_bytes(checkpoint_files.archive(pickle, {"0": bytes(16)}))
    assert add_models(source, tmp_path / "installed", name="mine") == ["mine"]
    assert len(commands) == 1
    _without_exporter(monkeypatch)
    with pytest.raises(realesrgan_vk.ModelError, match=r"LongStorage.*pip install ./training"):
        add_models(source, tmp_path / "installed")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_without_the_exporter_the_command_that_installs_it_is_named(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _without_exporter(monkeypatch)
    source = tmp_path / f"net{suffix}"
    source.write_bytes(FOREIGN)
    with pytest.raises(realesrgan_vk.ModelError, match=r"pip install ./training ./tools/export"):
        add_models(source, tmp_path / "installed")
    with pytest.raises(realesrgan_vk.ModelError, match=r"cannot be read|does not exist"):
        add_models(tmp_path / f"none{suffix}", tmp_path / "installed")
    assert not (tmp_path / "installed").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (checkpoint_files.checkpoint({"model.0.weight": np.ones(3, "f4")}), "neither an RRDBNet"),
        (b"<html>", "cannot be converted: .* no file that PyTorch wrote"),
        (None, "cannot be read"),
    ],
)
def test_other_checkpoints_are_refused(
    content: bytes | None, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _without_exporter(monkeypatch)
    source = tmp_path / "net.pth"
    if content is not None:
        source.write_bytes(content)
    with pytest.raises(realesrgan_vk.ModelError, match=reason):
        add_models(source, tmp_path / "installed")
    with pytest.raises(realesrgan_vk.ModelError, match=r"my net.*cannot name .*--name"):
        add_models(tmp_path / "my net.pth", tmp_path / "installed")
    assert not (tmp_path / "installed").exists()


def _point_at(folder: Path, kind: str, file: str, sha256: str | None = None) -> None:
    """Make the manifest list another file."""
    manifest = json.loads((folder / "manifest.json").read_text())
    listed = manifest["models"][0]["files"][kind]
    listed["file"] = file
    if sha256 is not None:
        listed["sha256"] = sha256
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    "file",
    [
        "../outside/mine.KIND",
        "/outside/mine.KIND",
        "./mine.KIND",
        "..\\outside\\mine.KIND",
        "C:mine.KIND",
        "mine.KIND\0",
        "nul.KIND",
        "COM1.KIND",
        "mine.KIND.",
        "mine.KIND ",
        "..",
        "",
        "mine.txt",
        "m" * 300 + ".KIND",
    ],
)
@pytest.mark.parametrize("kind", ["param", "bin"])
def test_a_manifest_lists_plain_file_names_only(kind: str, file: str, tmp_path: Path) -> None:
    write_compact(tmp_path / "outside", "mine")
    source = _exported(tmp_path / "out")
    _point_at(source, kind, file.replace("/outside", f"{tmp_path}/outside").replace("KIND", kind))
    for given in (source, source / "mine.param"):
        if given == source or kind == "bin":
            with pytest.raises(realesrgan_vk.ModelError, match="is not the name of a"):
                add_models(given, tmp_path / "installed")
    assert not (tmp_path / "installed").exists()


@pytest.mark.parametrize("kind", ["param", "bin"])
def test_a_link_out_of_the_folder_is_refused(kind: str, tmp_path: Path) -> None:
    outside = write_compact(tmp_path / "outside", "mine").with_suffix(f".{kind}")
    for source in (_exported(tmp_path / "listed"), write_compact(tmp_path / "bare", "mine").parent):
        (source / f"mine.{kind}").unlink()
        (source / f"mine.{kind}").symlink_to(outside)
        with pytest.raises(realesrgan_vk.ModelError, match="link to a file outside"):
            add_models(source, tmp_path / "installed")
        inside = source / f"kept.{kind}s"
        inside.write_bytes(outside.read_bytes())
        (source / f"mine.{kind}").unlink()
        (source / f"mine.{kind}").symlink_to(inside)
        assert add_models(source, tmp_path / "installed") == ["mine"]
        remove_model("mine", tmp_path / "installed")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_is_no_network(tmp_path: Path) -> None:
    source = _exported(tmp_path / "out")
    (source / "mine.bin").unlink()
    os.mkfifo(source / "mine.bin")
    with pytest.raises(realesrgan_vk.ModelError, match="does not exist or is no file"):
        add_models(source, tmp_path / "installed")
    (source / "manifest.json").unlink()
    with pytest.raises(realesrgan_vk.ModelError, match=r"no \.param file with its \.bin"):
        add_models(source, tmp_path / "installed")


def test_a_manifest_without_hashes_is_refused(tmp_path: Path) -> None:
    source = _exported(tmp_path / "out")
    _point_at(source, "bin", "mine.bin", "")
    with pytest.raises(realesrgan_vk.ModelError, match=r"has no SHA-256 of mine\.bin"):
        add_models(source, tmp_path / "installed")


def test_one_file_under_two_names(tmp_path: Path) -> None:
    source = _exported(tmp_path / "out")
    manifest = json.loads((source / "manifest.json").read_text())
    manifest["models"].append({**manifest["models"][0], "name": "mine-too"})
    (source / "manifest.json").write_text(json.dumps(manifest))
    assert add_models(source, tmp_path / "installed") == ["mine", "mine-too"]
    manifest["models"][1]["name"] = "MINE"
    (source / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(realesrgan_vk.ModelError, match="have the same name, MINE"):
        add_models(source, tmp_path / "installed")


@pytest.mark.parametrize("name", ["RealESRGAN_x4plus", "REALESR-animevideov3_x2"])
def test_spellings_of_an_official_name_are_refused(name: str, tmp_path: Path) -> None:
    param = write_compact(tmp_path / "a", name)
    with pytest.raises(realesrgan_vk.ModelError, match=r"means the official network .*--name"):
        add_models(param, tmp_path / "installed")
    assert add_models(param, tmp_path / "installed", name="mine") == ["mine"]


def test_what_a_folder_keeps_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = tmp_path / "installed"
    monkeypatch.setattr("realesrgan_vk.models.add.own_models_folder", lambda: installed)
    listed = _exported(tmp_path / "listed")
    write_compact(listed, "unlisted")
    bare = write_compact(tmp_path / "bare", "whole").parent
    write_compact(bare, "lone").with_suffix(".bin").unlink()
    done = CliRunner().invoke(app, ["models", "add", str(listed)])
    assert done.exit_code == 0
    for kind in ("param", "bin"):
        file = listed / f"unlisted.{kind}"
        assert f"note: skipped {file}: manifest.json does not list it" in done.output
    done = CliRunner().invoke(app, ["models", "add", str(bare)])
    assert done.exit_code == 0
    assert f"note: skipped {bare / 'lone.param'}: its other file is missing" in done.output
    assert sorted(param.stem for param in installed.glob("*.param")) == ["mine", "whole"]


@pytest.mark.parametrize("changed", ["mine.bin", "mine.param"])
def test_files_damaged_after_they_were_added_are_not_used(changed: str, tmp_path: Path) -> None:
    installed = tmp_path / "installed"
    add_models(_exported(tmp_path / "out"), installed)
    assert find_model("mine").name == "mine"
    content = bytearray((installed / changed).read_bytes())
    content[-10] ^= 1
    (installed / changed).write_bytes(content)
    for given in ("mine", installed / "mine.param", installed):
        with pytest.raises(realesrgan_vk.ModelError, match=f"{changed} is damaged.*--replace"):
            realesrgan_vk.Upscaler(given, device="cpu")
    assert "mine" in [model.name for model in list_models()]
    add_models(tmp_path / "out", installed)
    assert realesrgan_vk.Upscaler("mine", device="cpu").scale == 2


def test_an_unreadable_manifest_of_added_networks_is_told(tmp_path: Path) -> None:
    installed = tmp_path / "installed"
    add_models(write_compact(tmp_path / "a", "mine"), installed)
    (installed / "manifest.json").write_text('{"models": ' + "[" * 50_000)
    with pytest.raises(realesrgan_vk.ModelError, match=r"nested more than 32 deep.*move it away"):
        find_model("mine")
    with pytest.raises(realesrgan_vk.ModelError, match="nested more than 32 deep"):
        add_models(write_compact(tmp_path / "b", "other"), installed)
    assert not (installed / "other.param").exists()


def test_networks_added_at_once_are_all_there(tmp_path: Path) -> None:
    installed = tmp_path / "installed"
    names = [f"net{index}" for index in range(6)]
    sources = [write_compact(tmp_path / name, name, seed) for seed, name in enumerate(names)]
    for _ in range(3):
        ready = threading.Barrier(len(names))

        def add(source: Path, ready: threading.Barrier = ready) -> None:
            ready.wait()
            add_models(source, installed)

        with ThreadPoolExecutor(len(names)) as pool:
            list(pool.map(add, sources))
        entries = json.loads((installed / "manifest.json").read_text())["models"]
        assert [entry["name"] for entry in entries] == names
        assert len(list(installed.iterdir())) == 2 * len(names) + 1
        for name in names:
            remove_model(name, installed)


def test_an_installation_waits_for_another_process(tmp_path: Path) -> None:
    installed = tmp_path / "installed"
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, pathlib, realesrgan_vk.models.user_store as lock\n"
            "with lock.locked(pathlib.Path(sys.argv[1])):\n"
            "    print('held', flush=True)\n"
            "    sys.stdin.read()\n",
            str(installed),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with ThreadPoolExecutor(1) as pool:
        adding = pool.submit(add_models, write_compact(tmp_path / "a", "mine"), installed)
        with pytest.raises(TimeoutError):
            adding.result(timeout=0.3)
        holder.kill()  # the lock ends with its process, the file it leaves locks nothing
        holder.communicate()
        assert adding.result(timeout=30) == ["mine"]
    assert len(list(installed.iterdir())) == 3


def test_a_folder_that_stays_locked_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realesrgan_vk.models.user_store.WAIT", 0.2)
    param = write_compact(tmp_path / "a", "mine")
    with (
        locked(tmp_path / "installed"),
        pytest.raises(realesrgan_vk.ModelError, match="another process has been changing it"),
    ):
        add_models(param, tmp_path / "installed")


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
