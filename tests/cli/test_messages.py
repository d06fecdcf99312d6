"""What the commands print: names cannot pose as anything else, and results do not depend on it."""

import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import Photo
from PIL import Image

from realesrgan_vk.batch import Done, Failed, Retired, Skipped
from realesrgan_vk.batch.jobs import Job
from realesrgan_vk.cli.messages import say, say_notices, unalarming
from realesrgan_vk.cli.reports import Report
from realesrgan_vk.errors import printable
from realesrgan_vk.image_io.formats import PNG

START = (
    "import sys; sys.argv[0] = 'realesrgan-ncnn-vulkan'\n"
    "from realesrgan_vk.cli.start import drop_in"
)
UPSCALE = [sys.executable, "-m", "realesrgan_vk", "upscale"]
COMMANDS = {
    "realesrgan-vk": [*UPSCALE, "-m", "realesr-animevideov3", "-d", "cpu"],
    "realesrgan-ncnn-vulkan": [sys.executable, "-c", f"{START}; drop_in()", "-g", "-1", "-v", "-i"],
}
ALARMS = re.compile("failed|error|invalid gpu", re.IGNORECASE)
programs = pytest.mark.parametrize("program", COMMANDS)


def shell(redirections: str, *command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command with a shell's redirections; what it leaves of the streams is captured."""
    return subprocess.run(
        ["bash", "-c", f'"$@" {redirections}', "bash", *map(str, command)],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )


@programs
@pytest.mark.parametrize("redirections", ["2>&-", "2>/dev/full", ">&- 2>&- <&-", "2> >(true)"])
def test_a_picture_is_written_though_no_message_can_be(
    source: Path, tmp_path: Path, program: str, redirections: str
) -> None:
    target = tmp_path / "out.png"
    done = shell(redirections, *COMMANDS[program], source, "-o", target)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with Image.open(target) as image:
        image.load()
        assert image.size == (80, 64)


@programs
def test_a_failure_is_told_though_no_message_can_be(tmp_path: Path, program: str) -> None:
    missing = tmp_path / "none.png"
    done = shell("2>&-", *COMMANDS[program], missing, "-o", tmp_path / "out.png")
    assert done.returncode == 1


@pytest.mark.parametrize("redirections", [">&-", ">/dev/full", "| head -1; exit ${PIPESTATUS[0]}"])
def test_a_picture_is_written_though_no_event_can_be(
    source: Path, tmp_path: Path, redirections: str
) -> None:
    target = tmp_path / "out.png"
    done = shell(redirections, *COMMANDS["realesrgan-vk"], source, "-o", target, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert [json.loads(line)["event"] for line in done.stdout.splitlines()] in ([], ["start"])
    assert target.exists()


@pytest.mark.parametrize("command", [["models"], ["devices", "--json"], ["--help"]])
def test_a_list_that_cannot_be_written_is_an_error(command: list[str]) -> None:
    start = [sys.executable, "-m", "realesrgan_vk"]
    full = shell(">/dev/full", *start, *command)
    assert full.returncode == 2
    assert full.stderr == "error: [Errno 28] No space left on device\n"
    closed = shell("| true", *start, *command)
    assert (closed.returncode, closed.stderr) == (0, "")


def test_characters_that_are_not_printed() -> None:
    for text, expected in (
        ("a name 名前 é \u00a0 \U0001f600.png", None),
        ("a\nfailed: b", r"a\nfailed: b"),
        ("\x1b[2J\x07\r\t\x85\x7f", r"\x1b[2J\x07\r\t\x85\x7f"),
        ("\u202egnp.exe\u2066\u200b\ufeff", r"\u202egnp.exe\u2066\u200b\ufeff"),
        ("\u2028\u2029", r"\u2028\u2029"),
        (os.fsdecode(b"\xff.png"), r"\udcff.png"),
    ):
        assert printable(text) == (expected or text)


def test_words_that_callers_stop_at() -> None:
    text = "/failed/Error.png, INVALID GPU"
    assert unalarming(text) == r"/\x66ailed/\x45rror.png, \x49NVALID GPU"
    assert unalarming(Path("plain.png")) == "plain.png"


@programs
def test_a_name_cannot_forge_a_line(tmp_path: Path, program: str) -> None:
    forged = tmp_path / "a\nfailed: b\u202e\x1b[31m.png"
    forged.write_bytes(b"\x89PNG\r\n\x1a\n broken")
    done = subprocess.run([*COMMANDS[program], str(forged), "-o", str(tmp_path / "out.png")],
                          check=False, capture_output=True, timeout=120)  # fmt: skip
    assert done.returncode == 1
    lines = done.stderr.decode().splitlines()
    assert len([line for line in lines if "failed: " in line]) == 1
    assert r"a\nfailed: b\u202e\x1b[31m.png" in lines[0]
    assert lines[0].isprintable()


def test_a_usage_error_cannot_be_forged(tmp_path: Path) -> None:
    forged = str(tmp_path / "a\nError: b\u202e")
    for arguments in ([forged, "-o", f"{forged}/\x1b.png"], ["x.png", f"--no\n{forged}"]):
        done = subprocess.run([*COMMANDS["realesrgan-vk"], *arguments], check=False,
                              capture_output=True, timeout=120)  # fmt: skip
        assert done.returncode == 2
        lines = done.stderr.decode().splitlines()
        assert len([line for line in lines if line.startswith("Error: ")]) == 1
        assert all(line.isprintable() for line in lines)


@programs
def test_no_alarming_word_in_a_run_that_succeeds(
    photo: Photo, tmp_path: Path, program: str
) -> None:
    """Whatever folders and files are called, and with notes on what a format cannot keep."""
    inside, out = tmp_path / "failed in" / "Error", tmp_path / "invalid gpu" / "error.d"
    inside.mkdir(parents=True)
    rgb = photo(12, 10)
    Image.fromarray(rgb).save(inside / "Error.png")
    Image.fromarray(np.dstack([rgb, rgb[..., 0]])).save(inside / "failed.png")
    (inside / "FAILED.txt").touch()
    for extra in ([], ["--skip-existing"]):
        command = [*COMMANDS[program], str(inside), "-o", str(out), "-f", "jpg", *extra]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
        assert not ALARMS.search(done.stderr), done.stderr
    assert len(list(out.iterdir())) == 2


def test_reports_name_files_and_not_folders(capsys: pytest.CaptureFixture[str]) -> None:
    job = Job(Path("/somewhere/in/a.png"), Path("/somewhere/out/a.png"), PNG)
    Report().event(Done(job, width=4, height=3, seconds=0.5, notes=("a note",)))
    Report().event(Skipped(job))
    said = capsys.readouterr().err
    assert "somewhere" not in said
    assert said == "a.png (4 x 3, 0.5 s)\n  note: a note\nskipped: a.png exists\n"
    Report().event(Failed(job, "upscale", "the device is lost"))
    assert capsys.readouterr().err == "failed: /somewhere/in/a.png: the device is lost\n"


def test_a_retired_device_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    job = Job(Path("a.png"), Path("b.png"), PNG)
    Report().event(Retired(job, "vkQueueSubmit failed -4"))
    said = capsys.readouterr().err
    assert not ALARMS.search(said)
    assert said.endswith("vkQueueSubmit \\x66ailed -4\n")


def test_what_the_package_logs_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = logging.getLogger("realesrgan_vk")
    monkeypatch.setattr(logger, "handlers", [])
    say_notices()
    say_notices()
    logger.warning("the kernel is not used on GPU\nfailed: x: %s", "its results differ")
    assert capsys.readouterr().err == (
        "the kernel is not used on GPU\\n\\x66ailed: x: its results differ\n"
    )


def test_names_without_a_place_in_the_locale(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    with open(2, "w", encoding="ascii", closefd=False) as ascii_only:
        monkeypatch.setattr(sys, "stderr", ascii_only)
        say("名.png")
    assert capfdbinary.readouterr().err == b"\\u540d.png\n"
