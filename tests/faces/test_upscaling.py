"""`upscale(..., faces=True)` and `upscale --faces`: the whole way, with a network that is known.

The restorer is a network of one convolution, whose files are written here. It keeps the size and
has 3 channels, as networks for faces do.
"""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from command import COMMAND, run_here
from compact_network import write_compact
from faces_extra import detector_weights, photograph, write_sharpener
from numpy.typing import NDArray
from PIL import Image

import realesrgan_vk
from realesrgan_vk import FaceOptions, ModelError, Upscaler
from realesrgan_vk.faces.align import to_crop
from realesrgan_vk.faces.detect import detect
from realesrgan_vk.faces.enhance import FaceEnhancer, crop_of
from realesrgan_vk.faces.paste import mask_at, paste
from realesrgan_vk.faces.restore import Restorer

pytestmark = pytest.mark.usefixtures("weights")
weights = pytest.fixture(detector_weights)


@pytest.fixture(scope="module")
def portrait() -> NDArray[np.uint8]:
    """The astronaut's head, 110 x 120 pixels."""
    small = photograph("astronaut.png").crop((120, 0, 340, 240)).resize((110, 120))
    return np.asarray(small)


@pytest.fixture
def restorer(tmp_path: Path) -> Path:
    return write_sharpener(tmp_path)


@pytest.fixture
def upscaler(tmp_path: Path) -> Upscaler:
    return Upscaler(write_compact(tmp_path, "net"), device="cpu", threads=1)


def options(restorer: Path, strength: float = 1) -> FaceOptions:
    return FaceOptions(model=str(restorer), strength=strength)


def test_the_result_is_that_of_the_parts(
    portrait: NDArray[np.uint8], upscaler: Upscaler, restorer: Path
) -> None:
    """Detection, alignment, the network and pasting, done here by hand."""
    plain = np.asarray(upscaler.upscale(portrait))
    made = np.asarray(upscaler.upscale(portrait, faces=options(restorer)))
    (face,) = detect(portrait)
    there = to_crop(face.landmarks)
    crop = crop_of(portrait, there)
    padded = np.pad(crop, ((1, 1), (1, 1), (0, 0)))
    mean = sum(padded[y : y + 512, x : x + 512] for y in range(3) for x in range(3)) / 9
    restored = np.clip(2 * crop - mean, 0, 1).astype(np.float32)
    expected = plain.copy()
    scale = plain.shape[0] / portrait.shape[0]
    paste(expected, restored, there.of_scaled(scale, scale), 1)
    assert np.abs(made.astype(int) - expected).max() <= 1
    assert np.abs(made.astype(int) - plain).max() > 2


def test_outside_of_the_face_nothing_changes(
    portrait: NDArray[np.uint8], upscaler: Upscaler, restorer: Path
) -> None:
    plain = np.asarray(upscaler.upscale(portrait))
    made = np.asarray(upscaler.upscale(portrait, faces=options(restorer)))
    (face,) = detect(portrait)
    scale = plain.shape[0] / portrait.shape[0]
    there = to_crop(face.landmarks).of_scaled(scale, scale)
    x, y = np.meshgrid(np.arange(plain.shape[1]) + 0.5, np.arange(plain.shape[0]) + 0.5)
    mask = mask_at(there(np.stack([x, y], -1).reshape(-1, 2))).reshape(plain.shape[:2])
    assert np.array_equal(made[mask == 0], plain[mask == 0])
    assert np.array_equal(np.asarray(upscaler.upscale(portrait, faces=options(restorer, 0))), plain)


def test_the_sheet_of_the_docs(
    portrait: NDArray[np.uint8], upscaler: Upscaler, restorer: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Three strengths side by side, with this test's networks in place of the default ones."""
    page = Path(__file__).parents[2] / "docs/how-to/faces.md"
    blocks = page.read_text("utf-8").split("```python\n")
    (block,) = (part.partition("```")[0] for part in blocks if "sheet.png" in part)
    Image.fromarray(portrait).save(tmp_path / "family.jpg", quality=95)

    def with_strength(strength: float) -> FaceOptions:
        return options(restorer, strength)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(realesrgan_vk, "upscale", upscaler.upscale)
    monkeypatch.setattr(realesrgan_vk, "FaceOptions", with_strength)
    exec(compile(block, page, "exec"), {})
    cells = np.split(np.asarray(Image.open("sheet.png")).astype(int), 3, axis=1)
    assert np.array_equal(cells[0], np.asarray(upscaler.upscale("family.jpg")))
    unclipped = (cells[2] > 0) & (cells[2] < 255)
    assert np.abs(cells[1] - (cells[0] + cells[2]) / 2)[unclipped].max() <= 1
    assert np.abs(cells[2] - cells[0]).max() > 2


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "CMYK", "I;16"])
def test_all_kinds_of_pictures(
    portrait: NDArray[np.uint8], upscaler: Upscaler, restorer: Path, mode: str
) -> None:
    image = Image.fromarray(portrait)
    if mode == "I;16":
        given = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    else:
        given = image.convert(mode)
    plain = upscaler.upscale(given)
    made = upscaler.upscale(given, faces=options(restorer))
    assert (made.mode, made.size) == (plain.mode, plain.size)
    assert not np.array_equal(np.asarray(made), np.asarray(plain))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_arrays(
    portrait: NDArray[np.uint8],
    upscaler: Upscaler,
    restorer: Path,
    dtype: type[np.uint8 | np.uint16 | np.float32],
) -> None:
    factor = {np.uint8: 1, np.uint16: 257, np.float32: 1 / 255}[dtype]
    given = (portrait * np.float64(factor)).astype(dtype)
    made = np.asarray(upscaler.upscale(given, faces=options(restorer), scale=1.5))
    assert made.dtype == dtype
    assert made.shape == (180, 165, 3)
    assert not np.array_equal(made, np.asarray(upscaler.upscale(given, scale=1.5)))


def test_without_the_network_one_message_says_how_to_get_it(
    portrait: NDArray[np.uint8], upscaler: Upscaler, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"realesrgan-vk models pull gfpgan-1.4"):
        upscaler.upscale(portrait, faces=True)
    path = tmp_path / "portrait.png"
    Image.fromarray(portrait).save(path)
    net = tmp_path / "net.param"
    done = run_here("upscale", path, "--faces", "-m", net, "-d", "cpu", "-o", tmp_path / "out.png")
    assert done.returncode == 2
    assert "realesrgan-vk models pull gfpgan-1.4" in done.stderr
    assert not (tmp_path / "out.png").exists()


def test_a_network_that_is_none_for_faces(
    portrait: NDArray[np.uint8], upscaler: Upscaler, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"enlarges by 2 .*a network for faces keeps the size"):
        upscaler.upscale(portrait, faces=options(tmp_path / "net.param"))


def test_a_damaged_network_is_noticed_before_the_picture_is_enlarged(
    portrait: NDArray[np.uint8], upscaler: Upscaler, restorer: Path, tmp_path: Path
) -> None:
    """No manifest with its hash is beside it; the weights are cut short."""
    stored = restorer.with_suffix(".bin").read_bytes()
    restorer.with_suffix(".bin").write_bytes(stored[:100])
    told: list[float] = []
    with pytest.raises(ModelError, match=r"sharpen\.bin"):
        upscaler.upscale(portrait, faces=options(restorer), progress=told.append)
    assert told == []
    path = tmp_path / "portrait.png"
    Image.fromarray(portrait).save(path)
    net: list[str | Path] = ["-m", tmp_path / "net.param", "-d", "cpu", "-o", tmp_path / "out.png"]
    done = run_here("upscale", path, "--faces", "--face-model", restorer, *net)
    assert done.returncode != 0
    assert "sharpen.bin" in done.stderr
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("command", ["upscale", "video"])
@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--face-strength", "0.8"),
        ("--face-min-size", "16"),
        ("--max-faces", "3"),
        ("--face-only", "all"),
        ("--face-model", "gfpgan-1.4"),
    ],
)
def test_options_for_faces_need_faces(
    command: str, option: str, value: str, tmp_path: Path
) -> None:
    """Defaults, too, when they are given."""
    done = run_here(command, tmp_path / "none.png", "-o", tmp_path / "out.mkv", option, value)
    assert done.returncode == 2
    assert f"{option} is for --faces, which is not given\n" in done.stderr


@pytest.mark.parametrize("faces", [1, "yes", None])
def test_faces_is_a_boolean_or_options(
    portrait: NDArray[np.uint8], upscaler: Upscaler, faces: object
) -> None:
    with pytest.raises(TypeError, match="faces must be True or False"):
        upscaler.upscale(portrait, faces=faces)  # type: ignore[call-overload]  # what is tested


def test_the_command(
    portrait: NDArray[np.uint8], upscaler: Upscaler, restorer: Path, tmp_path: Path
) -> None:
    """In a batch, a picture with a face and one without."""
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    Image.fromarray(portrait).save(folder / "a.png")
    bricks = np.asarray(photograph("brick.png"))[:90, :100]
    Image.fromarray(bricks).save(folder / "b.png")
    net: list[str | Path] = ["-m", tmp_path / "net.param", "-d", "cpu", "-o", out]
    faces: list[str | Path] = ["--faces", "--face-model", restorer, "--face-strength", "1"]
    faces += ["--face-only", "largest"]
    done = run_here("upscale", folder, *net, *faces)
    assert done.returncode == 0, done.stderr
    with Image.open(out / "a.png") as made, Image.open(out / "b.png") as other:
        expected = np.asarray(upscaler.upscale(portrait, faces=options(restorer)))
        assert np.array_equal(np.asarray(made), expected)
        assert np.array_equal(np.asarray(other), np.asarray(upscaler.upscale(bricks)))


@pytest.mark.slow
def test_a_killed_batch_goes_on_to_the_same_files(
    portrait: NDArray[np.uint8], upscaler: Upscaler, restorer: Path, tmp_path: Path
) -> None:
    folder, whole, killed = (tmp_path / name for name in ("in", "whole", "killed"))
    folder.mkdir()
    for number in range(8):
        Image.fromarray(np.roll(portrait, number, axis=1)).save(folder / f"{number}.png")
    arguments: list[str | Path] = ["-m", tmp_path / "net.param", "-d", "cpu", "--faces"]
    arguments += ["--face-model", restorer, "--skip-existing"]
    assert run_here("upscale", folder, "-o", whole, *arguments).returncode == 0
    command = [*COMMAND, "upscale", str(folder), "-o", str(killed), *map(str, arguments)]
    for count in (1, 4):
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None and len(list(killed.glob("*"))) < count:
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
        assert all(path.suffix == ".png" for path in killed.iterdir())
    assert run_here("upscale", folder, "-o", killed, *arguments).returncode == 0
    made, expected = ({p.name: p.read_bytes() for p in f.iterdir()} for f in (killed, whole))
    assert made == expected
    assert len(made) == 8


def test_the_call(portrait: NDArray[np.uint8], restorer: Path, tmp_path: Path) -> None:
    net = write_compact(tmp_path, "net")
    told: list[float] = []
    made = realesrgan_vk.upscale(
        portrait, model=net, device="cpu", faces=options(restorer), progress=told.append
    )
    again = realesrgan_vk.upscale(portrait, model=net, device="cpu", faces=options(restorer))
    assert np.array_equal(made, again)
    assert told == sorted(told)
    assert told[-1] == 1


def test_a_picture_without_faces_takes_hardly_longer(restorer: Path, fast: Upscaler) -> None:
    """Beside the network: finding nothing takes under a twentieth of the fastest one's time."""
    picture = np.asarray(photograph("brick.png"))[:256, :256]
    plain = fast.upscale(picture)
    fast.upscale(picture, faces=options(restorer))  # imports OpenCV
    times = []
    for faces in (False, options(restorer)):
        begun = time.process_time()
        assert np.array_equal(fast.upscale(picture, faces=faces), plain)
        times.append(time.process_time() - begun)
    assert times[1] < 1.05 * times[0] + 0.1


def test_a_picture_without_faces_takes_under_a_twentieth_longer(restorer: Path) -> None:
    """With the default network; its time for the picture is that of a part, by the pixels."""
    picture = np.asarray(photograph("brick.png"))
    part = picture[:48, :48]
    enhancer = FaceEnhancer(Restorer(str(restorer), device=-1, fp16=False, threads=1))
    with Upscaler(device="cpu", threads=1) as default:

        def upscale() -> None:
            default.upscale(part)

        def find() -> None:
            assert enhancer.find(picture, FaceOptions()) == []

        seconds = []
        for work in (upscale, find, upscale, find):  # the first ones prepare
            begun = time.process_time()
            work()
            seconds.append(time.process_time() - begun)
    whole = seconds[2] * picture.size / part.size
    assert seconds[3] < whole / 20


def test_large_and_sharp_faces_are_left_alone(restorer: Path) -> None:
    """Faces of more pixels than the crop are, unless they are blurred."""
    portrait = photograph("astronaut.png").crop((120, 0, 340, 240))
    large = portrait.resize((portrait.width * 4, portrait.height * 4), Image.Resampling.BICUBIC)
    blurred = np.asarray(large)
    rng = np.random.default_rng(4)
    grain = rng.normal(0, 8, blurred.shape)
    sharp = np.clip(blurred + grain, 0, 255).astype(np.uint8)
    enhancer = FaceEnhancer(Restorer(str(restorer), device=-1, fp16=False, threads=1))
    assert to_crop(detect(blurred)[0].landmarks).scale < 1
    assert len(enhancer.find(blurred, FaceOptions())) == 1
    assert enhancer.find(sharp, FaceOptions()) == []
