"""The drop-in executable's contract, row by row, against the real executables."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from drop_in import NO_GPU, SIZE, assert_progress, run, size_of
from numpy.typing import NDArray
from PIL import Image

Photo = Callable[..., NDArray[np.uint8]]


def test_one_picture(source: Path, tmp_path: Path) -> None:
    done = run("-i", source, "-o", tmp_path / "out.png")
    assert (done.returncode, done.stdout) == (0, "")
    assert_progress(done.stderr)
    assert size_of(tmp_path / "out.png") == (80, 64)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("model", ["realesr-animevideov3", "realesrgan-x4plus-anime"])
def test_the_scale_asked_for_whatever_the_models_own(
    source: Path, tmp_path: Path, scale: int, model: str
) -> None:
    target = tmp_path / "out.png"
    done = run("-i", source, "-o", target, f"-s{scale}", "-n", model)
    assert done.returncode == 0, done.stderr
    assert size_of(target) == (SIZE[0] * scale, SIZE[1] * scale)
    with Image.open(target) as out, Image.open(source) as before:
        small = np.asarray(out.resize(SIZE)).astype(int)
        off = np.abs(small - np.asarray(before)).mean()
    assert off < 10, "not scrambled"


def test_the_outputs_extension_beats_the_format(source: Path, tmp_path: Path) -> None:
    for name, flag, expected in (
        ("a.jpg", "png", "JPEG"),
        ("a.webp", "jpg", "WEBP"),
        ("plain", "webp", "WEBP"),
        ("plain2", None, "PNG"),
    ):
        extra = ["-f", flag] if flag else []
        assert run("-i", source, "-o", tmp_path / name, *extra).returncode == 0
        with Image.open(tmp_path / name) as image:
            assert image.format == expected


def test_a_folder_with_one_broken_picture_in_twenty(photo: Photo, tmp_path: Path) -> None:
    inside, out = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    out.mkdir()
    for index in range(20):
        Image.fromarray(photo(12, 12)).save(inside / f"{index:02}.jpg")
    (inside / "07.jpg").write_bytes(b"\xff\xd8\xff broken")
    done = run("-i", inside, "-o", out, "-f", "webp", "-v", "-j", "2:2:2")
    assert done.returncode == 1
    assert sorted(path.name for path in out.iterdir()) == [
        f"{index:02}.webp" for index in range(20) if index != 7
    ]
    words = [line for line in done.stderr.splitlines() if "failed" in line]
    assert len(words) == 1
    assert words[0].startswith(f"decode image {inside / '07.jpg'} failed: ")
    assert done.stderr.count("100.00%\n") == 19
    assert f"{inside / '00.jpg'} -> {out / '00.webp'} done\n" in done.stderr


def test_folders_are_read_deeply_and_resumed_when_asked(photo: Photo, tmp_path: Path) -> None:
    inside, out = tmp_path / "in", tmp_path / "out"
    (inside / "sub").mkdir(parents=True)
    for path in (inside / "a.png", inside / "sub" / "b.png"):
        Image.fromarray(photo(12, 12)).save(path)
    assert run("-i", inside, "-o", out).returncode == 0
    assert [path.name for path in out.rglob("*")] == ["a.png"]
    stamp = (out / "a.png").stat().st_mtime_ns
    done = run("-i", inside, "-o", out, "--recursive", "--skip-existing")
    assert done.returncode == 0
    assert_progress(done.stderr)
    assert (out / "a.png").stat().st_mtime_ns == stamp
    assert size_of(out / "sub" / "b.png") == (48, 48)


def test_alpha_asked_for_as_jpeg_becomes_png(photo: Photo, tmp_path: Path) -> None:
    source, target = tmp_path / "a.png", tmp_path / "out.jpg"
    Image.fromarray(np.dstack([photo(*SIZE), photo(*SIZE)[..., 0]])).save(source)
    done = run("-i", source, "-o", target)
    assert done.returncode == 0
    first, _, rest = done.stderr.partition("\n")
    renamed = tmp_path / "out.jpg.png"
    assert first == f"image {source} has alpha channel ! {source} will output {renamed}"
    assert_progress(rest)
    assert not target.exists()
    with Image.open(renamed) as image:
        assert (image.mode, image.format) == ("RGBA", "PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-s", "5"], "invalid scale argument '5': from 2 to 4\n"),
        (["-s", "x"], "invalid scale argument 'x': from 2 to 4\n"),
        (["-t", "16"], "invalid tilesize argument '16': 0, or at least 32\n"),
        (["-t", "32,32,32"], "invalid tilesize argument: as many values as gpus are needed\n"),
        (["-j", "1:2"], "invalid thread count argument '1:2': load:proc:save\n"),
        (["-j", "0:1:1"], "invalid thread count argument '0': from 1 to 256\n"),
        (["-f", "gif"], "invalid format argument 'gif': jpg, png, webp\n"),
        (["-q"], "invalid argument: option -q not recognized\n"),
        (["-n"], "invalid argument: option -n requires argument\n"),
        (["stray"], "invalid argument 'stray' (a path with spaces needs quotes)\n"),
        (["-n", "nope"], "Error: model file models/nope.param does not exist\n"),
        (["-n", "realesrnet-x4plus"],
         "Error: model file models/realesrnet-x4plus.param does not exist\n"),
        (["-m", "/none", "-n", "x"], "Error: model file /none/x.param does not exist\n"),
    ],
)  # fmt: skip
def test_bad_arguments_and_models_exit_255(
    source: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    target = tmp_path / "out.png"
    gpu = None if arguments[-1] == "-n" else "-1"
    done = run("-i", source, "-o", target, *arguments, cwd=tmp_path, gpu=gpu)
    assert (done.returncode, done.stdout, done.stderr) == (255, "", message)
    assert not target.exists()


def test_without_a_gpu_auto_is_the_cpu_and_says_so_once(source: Path, tmp_path: Path) -> None:
    done = run("-i", source, "-o", tmp_path / "out.png", gpu=None, environment=NO_GPU)
    assert done.returncode == 0
    first, _, rest = done.stderr.partition("\n")
    assert first == "no GPU with Vulkan was found, the CPU is used"
    assert_progress(rest)


def test_file_and_folder_do_not_mix(source: Path, tmp_path: Path) -> None:
    words = "inputpath and outputpath must be either file or directory at the same time\n"
    (tmp_path / "folder").mkdir()
    shutil.copy(source, tmp_path / "folder" / "a.png")
    for given, output in (("in.png", "folder"), ("folder", "in.png"), ("folder", "new.png")):
        done = run("-i", tmp_path / given, "-o", tmp_path / output)
        assert (done.returncode, done.stderr) == (255, words)


def test_a_missing_picture_fails_and_leaves_nothing(tmp_path: Path) -> None:
    done = run("-i", tmp_path / "none.png", "-o", tmp_path / "out.png")
    path = tmp_path / "none.png"
    assert done.returncode == 1
    assert done.stderr == f"decode image {path} failed: picture {path} does not exist\n"
    assert list(tmp_path.iterdir()) == []


def test_a_result_that_cannot_be_written_fails(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.jpg"
    done = run("-i", source, "-o", target, "-w", "70000")
    message = (
        f"decode image {source} failed: a JPEG file holds at most 65500 pixels a side, the result "
        "would be 70000 x 56000; ask for a smaller size or write PNG or TIFF\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", message)
    assert not target.exists()


@pytest.mark.parametrize("place", ["other folder", "Ünïcödé 名前 ' and spaces", "x" * 200])
def test_odd_paths_and_another_working_directory(source: Path, tmp_path: Path, place: str) -> None:
    folder = tmp_path / place
    folder.mkdir()
    shutil.copy(source, folder / f"{place[:50]}.png")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = run("-i", f"../{place}/{place[:50]}.png", "-o", f"../{place}/out.png", cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    assert size_of(folder / "out.png") == (80, 64)
    again = run(
        "-i", folder, "-o", folder / "results", "-v", cwd=elsewhere, environment={"LC_ALL": "C"}
    )
    assert again.returncode == 0, again.stderr
    assert size_of(folder / "results" / f"{place[:50]}.png") == (80, 64)
