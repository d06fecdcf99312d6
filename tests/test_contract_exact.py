"""The drop-in executable's words, compared exactly, and that nothing is written on an error."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drop_in import NO_GPU, SIZE, assert_progress, run, size_of
from numpy.typing import NDArray
from PIL import Image

from realesrgan_vk import Upscaler, devices
from realesrgan_vk.cli import ncnn_compat as ncnn_cli
from realesrgan_vk.errors import DeviceError
from realesrgan_vk.models import find_model

Photo = Callable[..., NDArray[np.uint8]]
STOP_WORDS = re.compile("failed|Error|invalid gpu", re.IGNORECASE)
USAGE = """\
Usage: realesrgan-ncnn-vulkan -i infile -o outfile [options]...

  -h                   show this help
  -i input-path        input image path, or folder
  -o output-path       output image path, or folder
  -s scale             upscale ratio (can be 2, 3, 4. default=4)
  -t tile-size         tile size (>=32/0=auto, default=0) can be 0,0,0 for multi-gpu
  -m model-path        folder path to the models. default=models
  -n model-name        model name (default=realesr-animevideov3, can be realesr-animevideov3 |
                       realesrgan-x4plus | realesrgan-x4plus-anime | realesrnet-x4plus)
  -g gpu-id            gpu device to use (-1=cpu, default=auto) can be 0,1,2 for multi-gpu
  -j load:proc:save    thread count for load/proc/save (default=1:2:2) can be 1:2,2,2:2
  -x                   enable tta mode
  -f format            output image format (jpg/png/webp, default=ext/png)
  -v                   verbose output
  -z model-scale       scale of the model (it is read from the model)
  -r WxH[:filter]      output size
  -w width[:filter]    output width
  -c compression       0..100, default 0
  --recursive          read subfolders of the input folder
  --skip-existing      leave out pictures whose result is already there
  --strip              drop EXIF, XMP, DPI and colour profile
  --max-pixels N       refuse larger pictures (0: no limit)
"""


def everything(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def no_such_device(gpu: str, environment: dict[str, str] | None) -> str:
    known = [] if environment else devices.list_devices()
    with pytest.raises(DeviceError) as told:
        devices.find_device(int(gpu), known)
    return f"invalid gpu device: {told.value}\n"


@pytest.mark.parametrize("environment", [None, NO_GPU])
@pytest.mark.parametrize("gpu", ["99", "0,99", "-1,99"])
def test_a_gpu_that_is_not_there(
    source: Path, tmp_path: Path, gpu: str, environment: dict[str, str] | None
) -> None:
    if environment is None and gpu == "0,99" and not devices.list_devices():
        pytest.skip("no Vulkan device: the first of '0,99' is missing, too")
    before = everything(tmp_path)
    missing = "0" if environment and gpu == "0,99" else "99"
    inside, out = tmp_path / "folder", tmp_path / "out"
    inside.mkdir()
    shutil.copy(source, inside)
    for given, output in ((source, tmp_path / "out.png"), (inside, out)):
        done = run("-i", given, "-o", output, gpu=gpu, environment=environment)
        expected = (255, "", no_such_device(missing, environment))
        assert (done.returncode, done.stdout, done.stderr) == expected
    assert everything(tmp_path) == sorted([*before, inside, inside / source.name])


@pytest.mark.parametrize(
    ("gpu", "message"),
    [
        ("-2", "invalid gpu device argument '-2': from -1 to 1000\n"),
        ("x", "invalid gpu device argument 'x': from -1 to 1000\n"),
        ("0,", "invalid gpu device argument '': from -1 to 1000\n"),
    ],
)
def test_a_gpu_that_is_no_number(source: Path, tmp_path: Path, gpu: str, message: str) -> None:
    done = run("-i", source, "-o", tmp_path / "out.png", gpu=gpu)
    assert (done.returncode, done.stdout, done.stderr) == (255, "", message)
    assert not (tmp_path / "out.png").exists()


def test_usage(tmp_path: Path) -> None:
    for arguments, code in ([], 255), (["-h"], 0), (["-i", "a.png"], 255), (["-o", "b.png"], 255):
        done = run(*arguments, gpu=None, cwd=tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (code, "", USAGE)
    done = run("-h", gpu=None, program="upscayl-bin")
    expected = (
        USAGE.replace("Usage: realesrgan-ncnn-vulkan", "Usage: upscayl-bin")
        .replace("can be 2, 3, 4. default=4", "can be 2, 3, 4. default=the model's")
        .replace("default=realesr-animevideov3,", "default=realesrgan-x4plus,")
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", expected)


def test_one_broken_picture_in_twenty(photo: Photo, tmp_path: Path) -> None:
    """All that is printed, apart from the order in which threads come to print it."""
    inside, out, single = tmp_path / "in", tmp_path / "out", tmp_path / "single.png"
    inside.mkdir()
    for index in range(20):
        Image.fromarray(photo(12, 12)).save(inside / f"{index:02}.png")
    alone = run("-i", inside / "00.png", "-o", single)
    broken = inside / "07.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n broken")
    done = run("-i", inside, "-o", out)
    expected = alone.stderr.splitlines() * 19
    reason = f"picture {broken} is damaged, or no whole PNG file".removeprefix("picture ")
    (failure,) = [line for line in done.stderr.splitlines() if not line.endswith("%")]
    assert failure.startswith(f"decode image {broken} failed: {reason}")
    assert sorted(done.stderr.splitlines()) == sorted([*expected, failure])
    assert (done.returncode, done.stdout) == (1, "")
    assert {path.name for path in out.iterdir()} == {f"{i:02}.png" for i in range(20) if i != 7}
    assert all(size_of(path) == (48, 48) for path in out.iterdir())


def test_a_broken_or_missing_bin(source: Path, tmp_path: Path) -> None:
    official = find_model("realesr-animevideov3-x2")
    folder = tmp_path / "models"
    folder.mkdir()
    shutil.copy(official.param, folder / "mine.param")
    before = everything(tmp_path)
    arguments = ("-i", source, "-o", tmp_path / "out.png", "-m", folder, "-n", "mine")
    missing = run(*arguments)
    expected = (
        f"Error: model file {folder / 'mine.bin'} does not exist; needed are NAME.param and "
        "NAME.bin\n"
    )
    assert (missing.returncode, missing.stdout, missing.stderr) == (255, "", expected)
    assert everything(tmp_path) == before
    for content in (b"short", official.bin.read_bytes()[:-4], official.bin.read_bytes() + b"more"):
        (folder / "mine.bin").write_bytes(content)
        with pytest.raises(Exception, match=re.escape(str(folder / "mine.bin"))) as told:
            Upscaler(folder / "mine.param", device="cpu")
        broken = run(*arguments)
        assert (broken.returncode, broken.stdout, broken.stderr) == (
            255,
            "",
            f"Error: {told.value}\n",
        )
        assert broken.stderr.count("\n") == 1
        assert not (tmp_path / "out.png").exists()


def test_folders_and_names_that_cannot_be_used(source: Path, tmp_path: Path) -> None:
    inside, long = tmp_path / "in", "x" * 300
    inside.mkdir()
    shutil.copy(source, inside)
    before = everything(tmp_path)
    for given, output, message in (
        (inside, source / "out", f"invalid outputpath: {source} is a file, so folder "
                                 f"{source / 'out'} cannot be made\n"),
        (source, source / "out", f"invalid outputpath: {source} is no folder\n"),
        (tmp_path / long, tmp_path / "out.png", f"Error: {tmp_path / long}: File name too long\n"),
        (source, tmp_path / f"{long}.png", f"Error: {tmp_path / long}.png: File name too long\n"),
    ):  # fmt: skip
        done = run("-i", given, "-o", output)
        assert (done.returncode, done.stdout, done.stderr) == (255, "", message)
    assert everything(tmp_path) == before


def test_nothing_is_written_where_device_or_model_is_missing(source: Path, tmp_path: Path) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    shutil.copy(source, inside)
    before = everything(tmp_path)
    for extra, gpu in ((["-n", "nope"], "-1"), ([], "99")):
        assert run("-i", inside, "-o", tmp_path / "out", *extra, gpu=gpu).returncode == 255
    assert everything(tmp_path) == before


def test_a_plain_name_with_alpha_asked_for_as_jpeg(photo: Photo, tmp_path: Path) -> None:
    source = tmp_path / "a.png"
    Image.fromarray(np.dstack([photo(*SIZE), photo(*SIZE)[..., 0]])).save(source)
    done = run("-i", source, "-o", tmp_path / "plain", "-f", "jpg")
    renamed = tmp_path / "plain.jpg.png"
    first, _, rest = done.stderr.partition("\n")
    assert first == f"image {source} has alpha channel ! {source} will output {renamed}"
    assert_progress(rest)
    assert everything(tmp_path) == [source, renamed]
    assert size_of(renamed) == (80, 64)


def test_no_word_that_callers_stop_at_while_recovering(
    photo: Photo, fast: Upscaler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """One of two devices fails; the other makes its picture, and callers hear nothing of it."""

    class Lost(Upscaler):
        def __init__(self) -> None:
            self._core, self.model = fast._core, fast.model

        def upscale_picture(self, *_: object) -> Any:  # noqa: ANN401
            raise DeviceError("vkQueueSubmit failed -4")

    inside, out = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    for index in range(6):
        Image.fromarray(photo(12, 12)).save(inside / f"{index}.png")
    monkeypatch.setattr(ncnn_cli, "_upscalers", lambda *_: [Lost(), fast])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        ncnn_cli.main(["-i", str(inside), "-o", str(out), "-g", "-1,-1", "-v"])
    said = capsys.readouterr().err
    assert ended.value.code == 0
    assert not STOP_WORDS.search(said)
    assert said.count("100.00%\n") == 6
    assert len(list(out.iterdir())) == 6


@pytest.mark.parametrize("gpu", ["0,0", "0,-1", "auto,0"])
def test_comma_lists_of_devices(photo: Photo, tmp_path: Path, gpu: str) -> None:
    if not devices.list_devices():
        pytest.skip("no Vulkan device")
    inside, out = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    for index in range(6):
        Image.fromarray(photo(12, 12)).save(inside / f"{index}.png")
    done = run("-i", inside, "-o", out, "-t", "0,64", "-j", "1:1,2:2", gpu=gpu)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("no GPU with")]
    assert (done.returncode, done.stdout) == (0, "")
    assert lines.count("100.00%") == 6
    assert all(re.fullmatch(r"\d+\.\d\d%", line) for line in lines)
    assert all(size_of(path) == (48, 48) for path in out.iterdir())
    one = run("-i", inside / "0.png", "-o", tmp_path / "one.png")
    assert one.returncode == 0
    with Image.open(tmp_path / "one.png") as alone, Image.open(out / "0.png") as shared:
        off = np.abs(np.asarray(alone).astype(int) - np.asarray(shared))
    assert off.max() <= 1


@pytest.fixture(scope="session")
def german(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment whose numbers have a comma; its locale is compiled here."""
    compiler = shutil.which("localedef")
    if compiler is None:
        pytest.skip("no localedef to make a locale with a decimal comma")
    folder = tmp_path_factory.mktemp("locales")
    made = subprocess.run(
        [compiler, "-i", "de_DE", "-f", "UTF-8", "-c", str(folder / "de_DE.UTF-8")],
        check=False,
        capture_output=True,
        text=True,
    )
    if not (folder / "de_DE.UTF-8" / "LC_NUMERIC").exists():
        pytest.skip(f"localedef made no locale with a decimal comma: {made.stderr[:200]}")
    return {"LOCPATH": str(folder), "LC_ALL": "de_DE.UTF-8"}


@pytest.mark.parametrize("model", ["realesr-animevideov3", "realesrgan-x4plus-anime"])
def test_a_decimal_comma_changes_nothing(
    source: Path, tmp_path: Path, german: dict[str, str], model: str
) -> None:
    """The executable, and a program that has set the locale before it loads the core."""
    program = (
        "import locale, sys\n"
        "locale.setlocale(locale.LC_ALL, '')\n"
        "assert locale.localeconv()['decimal_point'] == ',', 'otherwise nothing is tested'\n"
        "assert locale.str(0.5) == '0,5'\n"
        "from realesrgan_vk.cli.ncnn_compat import main\n"
        "main(sys.argv[1:], 'realesrgan-ncnn-vulkan')"
    )
    plain, comma, inside = (tmp_path / name for name in ("plain.png", "comma.png", "inside.png"))
    flags = ["-n", model, "-g", "-1"]
    expected = run("-i", source, "-o", plain, "-n", model)
    done = run("-i", source, "-o", comma, "-n", model, environment=german)
    own = subprocess.run(
        [sys.executable, "-c", program, "-i", str(source), "-o", str(inside), *flags],
        check=False,
        capture_output=True,
        text=True,
        env=german,
        timeout=120,
    )
    for each in (done, own):
        assert (each.returncode, each.stdout, each.stderr) == (0, "", expected.stderr)
    assert_progress(expected.stderr)
    assert plain.read_bytes() == comma.read_bytes() == inside.read_bytes()
