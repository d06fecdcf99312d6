"""The `realesrgan-vk` command: help, what wrong words are answered with, defaults, completion."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from command import run
from compact_network import write_compact
from conftest import Photo
from PIL import Image

from realesrgan_vk.cli import app
from realesrgan_vk.cli.help import Command, Option

GROUPED = [name for name, command in app.commands.items() if isinstance(command, Command)]


@pytest.fixture
def pictures(photo: Photo, tmp_path: Path) -> Path:
    """A folder with photo.jpg, album/a.png and album/b.png, and a network of scale 2."""
    (tmp_path / "album").mkdir()
    for name in ("photo.jpg", "album/a.png", "album/b.png"):
        Image.fromarray(photo(12, 10)).save(tmp_path / name)
    write_compact(tmp_path, "net")
    return tmp_path


NET = ["-m", "net.param", "-d", "cpu"]


def test_help_has_groups_and_fits_80_columns() -> None:
    text = run("upscale", "--help").stdout
    headings = re.findall(r"^(\w.*):$", text, re.M)
    assert headings == [
        "Examples", "Size", "Network", "Faces", "Device", "Input", "Output", "Metadata", "Messages"
    ]  # fmt: skip
    assert max(map(len, text.splitlines())) <= 80
    assert not re.search(r"[a-z]-$", text, re.M), "a name is not broken at its hyphen"
    nested = [["models", name] for name in ("list", "add", "remove", "pull", "compare")]
    for words in ([], ["plan"], ["faces"], ["models"], ["devices"], ["tune"], ["profile"], *nested):
        text = run(*words, "--help").stdout
        assert max(map(len, text.splitlines())) <= 80
        assert "..." not in text.partition("Commands:")[2], "a summary is cut off"


def test_without_a_command_the_help_is_printed() -> None:
    done = run()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == run("--help").stdout


@pytest.mark.parametrize("name", GROUPED)
def test_every_option_has_a_heading_and_words(name: str) -> None:
    for parameter in app.commands[name].params:
        if isinstance(parameter, click.Option):
            assert isinstance(parameter, Option), parameter.name
            assert parameter.help, parameter.name


@pytest.mark.parametrize("name", GROUPED)
def test_examples_are_command_lines_that_can_be_read(name: str) -> None:
    command = app.commands[name]
    assert isinstance(command, Command)
    assert len(command.examples) >= 2
    for example in command.examples:
        program, word, *rest = shlex.split(example)
        assert (program, word) == ("realesrgan-vk", name)
        command.make_context(name, rest)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("photo.jpg -o x.png", "to upscale it: realesrgan-vk upscale photo.jpg -o x.png"),
        ("'my photo.jpg'", "to upscale it: realesrgan-vk upscale 'my photo.jpg'"),
        ("album", "to upscale it: realesrgan-vk upscale album"),
        ("upscal photo.jpg", "no command 'upscal'; did you mean 'upscale'?"),
        (
            "frobnicate",
            "the commands are upscale, video, faces, page, plan, models, devices, tune, profile",
        ),
        ("models pul x", "did you mean 'pull'?"),
        ("upscale photo.jpg --scal 2", "--scale"),
        ("upscale -i photo.jpg", "without an option: realesrgan-vk upscale IN"),
        ("upscale photo.jpg x.png", "name of the result: realesrgan-vk upscale photo.jpg -o x.png"),
        ("upscale movie.mp4 -o x.png", "movie.mp4 is a video, and this command is for pictures"),
        ("upscale photo.jpg -o movie.MKV", "movie.MKV is a video"),
        ("upscale photo.jpg -m realesrgan-x4pluss", "did you mean realesrgan-x4plus?"),
        ("upscale photo.jpg -m RealESRGAN_x2plus", "models pull realesrgan-x2plus"),
        ("upscale photo.jpg -d cuda", "no device 'cuda': "),
        ("upscale photo.jpg --tile big", "'big' is not 'auto', 'whole' or a whole number"),
        ("upscale photo.jpg -s 4x", "'4x' is not a number; give one such as 2 or 1.5"),
        ("upscale photo.jpg -f psd", "'psd' is not one of apng, "),
        ("plan 1920", "picture 1920 does not exist; a size is written as 1920x1080"),
        ("plan 1000000000x1000000000", "each side must be from 1 to 67108864"),
        (f"plan {'9' * 50}x7", "each side must be from 1 to 67108864"),
        ("plan photo.jpg --memory-limit 2X", "memory_limit is '2X'; give a number of bytes"),
        ("plan photo.jpg --max-pixels 100", "more than the limit of 100"),
        ("plan photo.jpg --denoise 0.5", "has no weakly denoising twin"),
    ],
)
def test_wrong_words_are_answered_with_what_is_meant(
    pictures: Path, words: str, message: str
) -> None:
    before = sorted(pictures.rglob("*"))
    arguments = shlex.split(words)
    if arguments[0] in ("upscale", "plan"):
        arguments += [] if "-m" in arguments else NET[:2]
        arguments += [] if "-d" in arguments else NET[2:]
    done = run(*arguments, cwd=pictures)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in " ".join(done.stderr.split())
    assert "there are 0" not in done.stderr
    as_json = run(*arguments, "--json", cwd=pictures)
    if arguments[0] in ("upscale", "plan"):
        assert (as_json.returncode, as_json.stderr) == (2, "")
        event = json.loads(as_json.stdout)
        assert (event["event"], event["exit_code"]) == ("error", 2)
        assert message in event["error"]
    assert sorted(pictures.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "results"),
    [
        ("photo.jpg", {"photo-upscaled.jpg"}),
        ("album/a.png -f webp", {"album/a-upscaled.webp"}),
        ("album/a.png --name {stem}-{scale}", {"album/a-2.png"}),
        ("album", {"album-upscaled/a.png", "album-upscaled/b.png"}),
        ("album/ photo.jpg", {"upscaled/a.png", "upscaled/b.png", "upscaled/photo.jpg"}),
        ("album/*.png", {"upscaled/a.png", "upscaled/b.png"}),
    ],
)
def test_without_an_output_results_get_the_stated_names(
    pictures: Path, words: str, results: set[str]
) -> None:
    before = set(pictures.rglob("*"))
    done = run("upscale", *words.split(), *NET, cwd=pictures)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    made = {path for path in pictures.rglob("*") if path.is_file()} - before
    assert {str(path.relative_to(pictures)) for path in made} == results


def test_memory_limits_with_a_letter_are_accepted(pictures: Path) -> None:
    done = run("plan", "photo.jpg", *NET, "--memory-limit", "2G", "--threads", "2", cwd=pictures)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "completions"),
    [
        (["upscale", "-m", "realesrgan-x4"], {"realesrgan-x4plus", "realesrgan-x4plus-anime"}),
        (["upscale", "-d", "a"], {"auto"}),
        (["plan", "-d", "c"], {"cpu"}),
        (["plan", "-m", "RealESRGAN-x4plus-"], {"realesrgan-x4plus-anime"}),
        (["upscale", "--format", "we"], {"webp"}),
        (["models", "pull", "realesr-general-w"], {"realesr-general-wdn-x4v3"}),
        (["up"], {"upscale"}),
    ],
)
def test_a_shell_completes_networks_devices_and_formats(
    words: list[str], completions: set[str]
) -> None:
    done = run(
        _REALESRGAN_VK_COMPLETE="bash_complete",
        COMP_WORDS=shlex.join(["realesrgan-vk", *words]),
        COMP_CWORD=str(len(words)),
    )
    assert {line.partition(",")[2] for line in done.stdout.splitlines()} == completions


def test_a_shell_completes_files() -> None:
    for words in (["upscale", "photo"], ["upscale", "-o", "photo"], ["upscale", "-m", "./photo"]):
        done = run(
            _REALESRGAN_VK_COMPLETE="bash_complete",
            COMP_WORDS=shlex.join(["realesrgan-vk", *words]),
            COMP_CWORD=str(len(words)),
        )
        assert done.stdout.startswith("file,"), words


@pytest.mark.parametrize(
    "arguments",
    [["upscale", ""], ["upscale", "photo.jpg", "-o", ""], ["plan", ""], ["models", "add", ""]],
)
def test_an_empty_name_does_not_mean_the_current_folder(
    pictures: Path, arguments: list[str]
) -> None:
    before = sorted(pictures.rglob("*"))
    done = run(*arguments, cwd=pictures)
    assert done.returncode == 2
    assert "the name is empty; the current folder is '.'" in done.stderr
    assert sorted(pictures.rglob("*")) == before


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a folder in use cannot be removed")
def test_a_removed_current_folder_is_one_line(pictures: Path) -> None:
    code = (
        "import os, sys; from realesrgan_vk.cli.commands import main; "
        "os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone'); main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "upscale", pictures / "photo.jpg", "-o", "out.png", *NET],
        check=False,
        capture_output=True,
        text=True,
        cwd=pictures,
        timeout=120,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "None" not in done.stderr


def test_shards_write_every_picture_once(pictures: Path) -> None:
    written = []
    for number in range(3):
        words = ("upscale", "album", "-o", "out", "--skip-existing", "--shard", f"{number}/3")
        done = run(*words, *NET, cwd=pictures)
        assert done.returncode == 0, done.stderr
        written.append("no picture belongs to this shard" not in done.stderr)
    assert sorted(path.name for path in (pictures / "out").iterdir()) == ["a.png", "b.png"]
    assert 1 <= sum(written) <= 2
    done = run("upscale", "album/a.png", "-o", "x.png", "--shard", "0/3", *NET, cwd=pictures)
    assert done.returncode == 2
    assert "the output is one file" in done.stderr
