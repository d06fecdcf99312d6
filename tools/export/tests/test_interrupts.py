"""Signals, full disks and targets that cannot be written: nothing is left, nothing runs on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pnnx
import pytest
import torch
from conftest import Save, small_compact
from torch import nn

from realesrgan_export import ExportOptions, convert, export, export_checkpoint
from realesrgan_export.cli import main
from realesrgan_export.errors import ExportError

NUMBERS = (signal.SIGINT, signal.SIGTERM)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_during_the_imports_ends_quietly(number: signal.Signals, tmp_path: Path) -> None:
    """`-X importtime` writes a line a module, which tells where the program is."""
    command = [sys.executable, "-X", "importtime", "-m", "realesrgan_export", "absent.pth"]
    with subprocess.Popen(
        [*command, "-o", str(tmp_path / "out")], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.endswith(("torch.torch_version\n", "torch._utils\n")):
                process.send_signal(number)
                break
        _, rest = process.communicate(timeout=120)
    assert process.returncode == 128 + number
    assert all(line.startswith("import time:") for line in rest.splitlines()), rest


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["checkpoint", "--help"]])
def test_help_does_without_pytorch(words: list[str]) -> None:
    script = (
        "import sys; from realesrgan_export.cli import app\n"
        f"app({words}, standalone_mode=False); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def _stand_in(folder: Path) -> Path:
    """A pnnx that tells its process and then takes long."""
    program = folder / "pnnx"
    program.write_text(
        f"#!/bin/sh\necho $$ > {folder}/started.tmp\n"
        f"mv {folder}/started.tmp {folder}/started\nexec sleep 600\n"
    )
    program.chmod(0o755)
    return program


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_ends_the_converter_and_removes_its_folder(
    number: signal.Signals, save: Save, tmp_path: Path
) -> None:
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    script = (
        f"import pnnx; pnnx.EXEC_PATH = {str(_stand_in(tmp_path))!r}\n"
        "from realesrgan_export.__main__ import main; main()"
    )
    command = [sys.executable, "-c", script, str(save(small_compact(2), "net"))]
    with subprocess.Popen(
        [*command, "-o", str(tmp_path / "out")],
        env={**os.environ, "TMPDIR": str(scratch)},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        started = tmp_path / "started"
        while not started.exists() and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(number)
        _, said = process.communicate(timeout=120)
    assert (process.returncode, said) == (128 + number, "")
    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text()), 0)
    assert not list(scratch.iterdir())
    assert not (tmp_path / "out").exists()


def _runs(process: int) -> bool:
    """Whether a process is there and has not ended; one that nobody has waited for has."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text("utf-8")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


@pytest.mark.skipif(sys.platform != "linux", reason="a program can ask for it on Linux only")
def test_the_converter_ends_with_an_exporter_that_is_killed(save: Save, tmp_path: Path) -> None:
    script = (
        f"import pnnx; pnnx.EXEC_PATH = {str(_stand_in(tmp_path))!r}\n"
        "from realesrgan_export.__main__ import main; main()"
    )
    command = [sys.executable, "-c", script, str(save(small_compact(2), "net"))]
    started = tmp_path / "started"
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    with subprocess.Popen(
        [*command, "-o", str(tmp_path / "out")], env={**os.environ, "TMPDIR": str(scratch)}
    ) as process:
        while not started.exists() and process.poll() is None:
            time.sleep(0.02)
        converter = int(started.read_text())
        assert _runs(converter)
        process.kill()
    end = time.monotonic() + 60
    while _runs(converter) and time.monotonic() < end:
        time.sleep(0.02)
    assert not _runs(converter)


def test_a_file_that_cannot_be_finished_is_one_line(save: Save, tmp_path: Path) -> None:
    """A limit on the size of files stands in for a full disk, which needs a disk of its own."""
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    script = (
        "import resource, signal; resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\n"
        "from realesrgan_export.__main__ import main; main()"
    )
    command = [sys.executable, "-c", script, str(save(small_compact(2), "net"))]
    done = subprocess.run(
        [*command, "-o", str(tmp_path / "out")],
        env={**os.environ, "TMPDIR": str(scratch)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("realesrgan-export: ")
    assert done.stderr.count("\n") == 1
    assert not list(scratch.iterdir())
    assert not (tmp_path / "out").exists()


def test_too_little_temporary_space_is_told_before_the_conversion(
    save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = SimpleNamespace(free=1 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    monkeypatch.setattr(export, "convert", _must_not_run)
    with pytest.raises(ExportError, match=r"1 MB free; the conversion takes.*set TMPDIR"):
        export_checkpoint(save(nn_of_a_megabyte(), "net"), tmp_path / "out")


def nn_of_a_megabyte() -> nn.Module:
    torch.manual_seed(0)
    network = small_compact(2)
    return type(network)(num_feat=64, num_conv=8, upscale=2)


def test_why_pnnx_ended_is_named(
    save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "pnnx"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr(pnnx, "EXEC_PATH", str(program))
    checkpoint = save(small_compact(2), "net")
    with pytest.raises(ExportError, match="pnnx failed with exit code 3"):
        export_checkpoint(checkpoint, tmp_path / "out")
    program.write_text("#!/bin/sh\nkill -9 $$\n")
    with pytest.raises(ExportError, match=r"pnnx was killed.*the memory was full"):
        export_checkpoint(checkpoint, tmp_path / "out")
    program.write_text("#!/bin/sh\nexit 3\n")
    free = iter([1 << 40, 0])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=next(free)))
    with pytest.raises(ExportError, match="0 MB free"):
        export_checkpoint(checkpoint, tmp_path / "out")


def _must_not_run(*_: object, **__: object) -> None:
    raise AssertionError("the conversion was begun")


def _file(folder: Path) -> None:
    folder.write_text("a file")


def _below_a_file(folder: Path) -> None:
    folder.parent.rmdir()
    folder.parent.write_text("a file")


def _manifest(text: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        folder.mkdir()
        (folder / "manifest.json").write_text(text)

    return make


def _manifest_folder(folder: Path) -> None:
    (folder / "manifest.json").mkdir(parents=True)


@pytest.mark.parametrize(
    ("make", "options", "reason"),
    [
        (_file, ExportOptions(), "is a file; -o takes a folder"),
        (_below_a_file, ExportOptions(), "is a file; -o takes a folder"),
        (_manifest("[1]"), ExportOptions(), "not a manifest of networks"),
        (_manifest("[" * 100_000), ExportOptions(), "not a manifest of networks"),
        (_manifest('{"models": [{"name": 5}]}'), ExportOptions(), "not a manifest of networks"),
        (
            _manifest('{"models": [{"name": "a", "n": ' + "9" * 5000 + "}]}"),
            ExportOptions(),
            "not a manifest",
        ),
        (_manifest_folder, ExportOptions(), "not a manifest of networks"),
        (Path.mkdir, ExportOptions(weak_denoise="../other"), "cannot name a network"),
        (
            Path.mkdir,
            ExportOptions(weak_denoise="net"),
            "the weakly denoising twin is another network",
        ),
        (Path.mkdir, ExportOptions(name="a/b"), "cannot name a network"),
    ],
)
def test_what_is_wrong_with_the_target_is_found_before_the_conversion(
    make: Callable[[Path], None],
    options: ExportOptions,
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "inner" / "out"
    folder.parent.mkdir()
    make(folder)
    monkeypatch.setattr(export, "load_source", _must_not_run)
    with pytest.raises(ExportError, match=reason) as caught:
        export_checkpoint("net.pth", folder, options)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder nobody can write to")
def test_a_folder_that_cannot_be_written_is_found_before_the_conversion(
    save: Save, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(export, "load_source", _must_not_run)
    monkeypatch.setattr(convert, "trace", _must_not_run)
    checkpoint = str(save(small_compact(2), "net"))
    for words in (
        [checkpoint, "-o", "/proc/self/networks"],
        ["from-ncnn", "absent.param", "-o", "/proc/self/net.safetensors"],
        ["interpolate", checkpoint, checkpoint, "--alpha", "1", "-o", "/proc/self/a.safetensors"],
    ):
        with pytest.raises(SystemExit) as left:
            main(words)
        assert left.value.code == 1
        message = capsys.readouterr().err
        assert "nothing can be written there" in message
        assert message.count("\n") == 1


def test_a_converter_that_cannot_be_started_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pnnx, "EXEC_PATH", str(tmp_path / "absent"))
    with pytest.raises(ExportError, match=r"pnnx cannot be started \(.*absent.*reinstall pnnx"):
        convert._run_pnnx(tmp_path)
