"""Faces are found where they are, of all sizes and turns, and nowhere else.

The independent run is OpenCV's `FaceDetectorYN` on the picture at several sizes, mirrored and not,
without anything of this package. Its single looks scatter least, and lie closest to the eyes of
another detector, where the face has 250 to 400 pixels (docs/how-to/faces.md has the figures), so
those sizes are taken.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command import run_here
from faces_extra import PHOTOGRAPHS, detector_weights, photograph, turned
from numpy.typing import NDArray
from PIL import Image

from realesrgan_vk.errors import ModelError
from realesrgan_vk.faces import detect as module
from realesrgan_vk.faces.detect import _distinct, detect
from realesrgan_vk.faces.face import Face
from realesrgan_vk.options import FaceOptions

# They have no face of a human; chelsea is a cat.
WITHOUT_FACES = [
    *("brick.png", "cell.png", "chelsea.png", "coffee.png", "coins.png", "grass.png"),
    *("gravel.png", "hubble_deep_field.jpg", "ihc.png", "moon.png", "motorcycle_left.png"),
    *("motorcycle_right.png", "page.png", "retina.jpg", "rocket.jpg", "text.png"),
]
CLOSE = 0.08  # of the distance between the eyes
FACE = 114  # pixels of the astronaut's

weights = pytest.fixture(detector_weights)
pytestmark = pytest.mark.usefixtures("weights")


@pytest.fixture(scope="module")
def expected(portrait: Image.Image) -> NDArray[np.float64]:
    """The landmarks' means over several sizes, in pixels of the portrait."""
    weights = detector_weights()
    cv2 = pytest.importorskip("cv2")
    net = cv2.FaceDetectorYN.create(str(weights), "", (32, 32), 0.6)
    seen = []
    for face_size in (250, 280, 310, 340, 370, 400):
        factor = face_size / FACE
        size = (round(portrait.width * factor), round(portrait.height * factor))
        small = np.asarray(portrait.resize(size, Image.Resampling.LANCZOS))[..., ::-1]
        net.setInputSize(size)
        for mirrored in (False, True):
            rows = net.detect(np.ascontiguousarray(small[:, ::-1] if mirrored else small))[1]
            if rows is None:
                continue
            points = rows[rows[:, 14].argmax(), 4:14].reshape(5, 2).astype(np.float64)
            if mirrored:
                points = points[[1, 0, 2, 4, 3]] * (-1, 1) + (size[0], 0)
            seen.append(points * (portrait.width / size[0], portrait.height / size[1]))
    assert len(seen) > 6
    mean: NDArray[np.float64] = np.mean(seen, axis=0)
    return mean


def only_face(pixels: NDArray[np.uint8], min_size: int = 16) -> Face:
    found = detect(pixels, FaceOptions(min_size=min_size))
    assert len(found) == 1
    return found[0]


def errors(face: Face, expected: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of both eyes and of the landmarks' centre, in distances of the eyes."""
    points = np.vstack([face.landmarks[:2], face.landmarks.mean(axis=0)])
    wanted = np.vstack([expected[:2], expected.mean(axis=0)])
    distance = np.linalg.norm(expected[1] - expected[0])
    away: NDArray[np.float64] = np.linalg.norm(points - wanted, axis=1) / distance
    return away


@pytest.fixture(scope="module")
def astronaut() -> Image.Image:
    return photograph("astronaut.png")


@pytest.fixture(scope="module")
def portrait(astronaut: Image.Image) -> Image.Image:
    """The astronaut's head and shoulders."""
    return astronaut.crop((120, 0, 340, 240))


def test_a_face_is_where_opencv_sees_it(
    portrait: Image.Image, expected: NDArray[np.float64]
) -> None:
    face = only_face(np.asarray(portrait))
    assert errors(face, expected).max() < CLOSE
    assert face.score > 0.9


@pytest.mark.parametrize("size", [24, 32, 48, 100, 200, 400, 900])
def test_faces_of_all_sizes(
    portrait: Image.Image, expected: NDArray[np.float64], size: int
) -> None:
    """The box's longer side is `size`; small faces lie in a larger picture."""
    factor = size / FACE
    small = portrait.resize(
        (round(portrait.width * factor), round(portrait.height * factor)), Image.Resampling.LANCZOS
    )
    canvas = Image.new("RGB", (max(700, small.width + 50), max(500, small.height)), (70, 80, 90))
    canvas.paste(small, (31, 0))
    face = only_face(np.asarray(canvas))
    moved = expected * (small.width / portrait.width, small.height / portrait.height) + (31, 0)
    assert errors(face, moved).max() < CLOSE
    assert 0.75 < face.size / size < 1.3


def test_a_face_of_16_pixels(portrait: Image.Image) -> None:
    small = portrait.resize((31, 34), Image.Resampling.LANCZOS)
    canvas = Image.new("RGB", (900, 700), (70, 80, 90))
    canvas.paste(small, (500, 300))
    face = only_face(np.asarray(canvas), min_size=12)
    assert np.linalg.norm(face.landmarks.mean(axis=0) - (515, 317)) < 4


@pytest.mark.parametrize("degrees", [17, 40, 90, 135, 180, -60])
def test_turned_faces(portrait: Image.Image, degrees: float) -> None:
    upright = only_face(np.asarray(portrait))
    pixels, matrix = turned(portrait, degrees)
    face = only_face(pixels)
    expected = upright.landmarks @ matrix[:, :2].T + matrix[:, 2]
    assert errors(face, expected).max() < CLOSE
    turn = np.degrees(face.roll - upright.roll) - degrees
    assert abs((turn + 180) % 360 - 180) < 3


@pytest.mark.parametrize("size", [(256, 256), (512, 512), (640, 360), (2048, 1536)])
def test_a_picture_without_faces_is_looked_at_briefly(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time is that of the pixels that the detector sees, of which there are few enough."""
    seen = 0
    look = module._Detector.__call__

    def counted(
        detector: module._Detector, pixels: NDArray[np.uint8], *rest: float, turned: bool = False
    ) -> list[Face]:
        nonlocal seen
        seen += pixels.shape[0] * pixels.shape[1]
        return look(detector, pixels, *rest, turned=turned)

    monkeypatch.setattr(module._Detector, "__call__", counted)
    assert detect(np.asarray(photograph("brick.png").resize(size))) == []
    assert seen <= 1.5 * size[0] * size[1]


def test_small_faces_on_their_sides(portrait: Image.Image) -> None:
    """Beside an upright one faces are found turned as small as upright; alone from 40 pixels on."""
    size = (portrait.width * 24 // 114, portrait.height * 24 // 114)
    small = portrait.resize(size, Image.Resampling.LANCZOS)
    canvas = Image.new("RGB", (500, 400), (70, 80, 90))
    canvas.paste(portrait, (20, 20))
    for number, transpose in enumerate(
        (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)
    ):
        canvas.paste(small.transpose(transpose), (300 + 60 * number, 100))
    rolls = sorted(round(np.degrees(face.roll) / 90) % 4 for face in detect(np.asarray(canvas)))
    assert rolls == [0, 1, 2, 3]
    alone = Image.new("RGB", (500, 400), (70, 80, 90))
    larger = portrait.resize((portrait.width * 40 // 114, portrait.height * 40 // 114))
    alone.paste(larger.transpose(Image.Transpose.ROTATE_90), (300, 100))
    assert round(np.degrees(only_face(np.asarray(alone)).roll) / 90) == -1


def test_landmarks_are_steady(portrait: Image.Image) -> None:
    """Where the picture is scaled a little, landmarks move by a hundredth of the face."""
    seen = []
    for width in (150, 163, 177, 190, 205, 222):
        height = round(width * portrait.height / portrait.width)
        scaled = np.asarray(portrait.resize((width, height), Image.Resampling.LANCZOS))
        seen.append(only_face(scaled).landmarks * (portrait.width / width))
    points = np.array(seen)
    eyes = float(np.linalg.norm(points.mean(axis=0)[1] - points.mean(axis=0)[0]))
    jitter = np.sqrt(((points - points.mean(axis=0)) ** 2).sum(axis=-1).mean())
    assert jitter * 126 / eyes < 3  # pixels of the 512-pixel crop, in which eyes are 126 apart


@pytest.mark.parametrize("name", WITHOUT_FACES)
def test_nothing_is_found_where_there_is_no_face(name: str) -> None:
    assert detect(np.asarray(photograph(name))) == []


def test_a_large_picture_is_seen_in_parts(
    portrait: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faces at the borders of the parts are found once."""
    canvas = Image.new("RGB", (700, 460), (70, 80, 90))
    small = portrait.resize((88, 96), Image.Resampling.LANCZOS)
    places = [(10, 10), (180, 40), (290, 180), (420, 330), (600, 350)]
    for place in places:
        canvas.paste(small, place)
    whole = detect(np.asarray(canvas))
    monkeypatch.setattr(module, "_TILE", 300)
    monkeypatch.setattr(module, "_FIRST_SIDE", 200)
    parts = detect(np.asarray(canvas))
    assert len(whole) == len(parts) == len(places)
    centres = sorted(tuple(face.landmarks.mean(axis=0).round()) for face in whole)
    others = sorted(tuple(face.landmarks.mean(axis=0).round()) for face in parts)
    assert np.abs(np.array(centres) - np.array(others)).max() < 3


def test_which_faces_are_wanted(portrait: Image.Image) -> None:
    canvas = Image.new("RGB", (500, 300), (70, 80, 90))
    canvas.paste(portrait, (0, 0))
    canvas.paste(portrait.resize((110, 120)), (260, 0))
    canvas.paste(portrait.resize((66, 72)), (400, 0))
    pixels = np.asarray(canvas)
    sizes = [face.size for face in detect(pixels)]
    assert len(sizes) == 3
    assert sizes == sorted(sizes, reverse=True)
    assert len(detect(pixels, FaceOptions(max_faces=2))) == 2
    assert len(detect(pixels, FaceOptions(only="largest"))) == 1
    assert len(detect(pixels, FaceOptions(min_size=45))) == 2
    assert len(detect(pixels, FaceOptions(min_size=60))) == 1
    assert detect(pixels, FaceOptions(min_size=501)) == []
    assert detect(pixels, FaceOptions(threshold=1)) == []


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 400, 1), (500, 2, 3)])
def test_odd_pictures_have_no_faces(shape: tuple[int, int, int]) -> None:
    assert detect(np.full(shape, 128, np.uint8)) == []


def test_a_grey_picture(portrait: Image.Image) -> None:
    grey = np.asarray(portrait.convert("L"))[..., None]
    assert errors(only_face(grey), only_face(np.asarray(portrait)).landmarks).max() < CLOSE


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"min_size": 0}, "min_size is 0"),
        ({"max_faces": 0}, "max_faces is 0"),
        ({"only": "first"}, "only is 'first'"),
        ({"threshold": 1.5}, "threshold is 1.5"),
    ],
)
def test_wrong_options_are_refused(given: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        FaceOptions(**given)  # type: ignore[arg-type]  # what is tested


def test_the_command_lists_faces(tmp_path: Path) -> None:
    path, drawn = PHOTOGRAPHS / "astronaut.png", tmp_path / "drawn.png"
    done = run_here("faces", path, "--json", "--draw", drawn)
    assert done.returncode == 0, done.stderr
    listed = json.loads(done.stdout)
    (face,) = listed["faces"]
    assert (listed["width"], listed["height"]) == (512, 512)
    assert set(face) == {"box", "score", "landmarks"}
    assert face["landmarks"]["left_eye"][0] < face["landmarks"]["right_eye"][0]
    with Image.open(drawn) as picture:
        changed = (np.asarray(picture) != np.asarray(photograph("astronaut.png"))).any(axis=-1)
    rows, columns = np.nonzero(changed)
    left, top, width, height = face["box"]
    assert abs(columns.min() - left) < 3
    assert abs(rows.min() - top) < 3
    assert abs(columns.max() - left - width) < 3
    assert abs(rows.max() - top - height) < 3
    words = run_here("faces", path).stdout
    (found,) = detect(np.asarray(photograph("astronaut.png")))
    left, top, width, height = found.box
    assert words == (
        f"{width:.0f} x {height:.0f} at {left:.0f}, {top:.0f}  score {found.score:.2f}\n"
    )


def test_the_command_without_faces() -> None:
    done = run_here("faces", PHOTOGRAPHS / "coins.png")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "no faces found\n")


def test_the_command_needs_a_picture(tmp_path: Path) -> None:
    done = run_here("faces", tmp_path / "none.png")
    assert done.returncode == 2
    assert "does not exist" in done.stderr


@pytest.mark.parametrize("length", [0, 1000, 232_588])
def test_damaged_weights_are_refused(
    length: int, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = tmp_path / weights.name
    damaged.write_bytes(weights.read_bytes()[:length])
    monkeypatch.setattr(module, "require_detector", lambda: damaged)
    with pytest.raises(ModelError, match=r"are damaged .* pip install --force-reinstall"):
        detect(np.zeros((32, 32, 3), np.uint8))


def test_threads_may_find_their_first_faces_at_once() -> None:
    """OpenCV is imported with the first picture."""
    script = """
import numpy, threading
from concurrent.futures import ThreadPoolExecutor
from realesrgan_vk.faces.detect import detect
start = threading.Barrier(4)
def look(_):
    start.wait()
    return detect(numpy.zeros((32, 32, 3), numpy.uint8))
with ThreadPoolExecutor(4) as pool:
    print(list(pool.map(look, range(4))))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=100
    )
    assert done.stdout == "[[], [], [], []]\n", done.stderr


def test_looks_at_one_face_in_two_ways_are_both_kept_until_one_is_sure() -> None:
    """The surer look at first may be the one that has the face upside down."""
    points = np.array([[40.0, 50], [60, 50], [50, 60], [42, 70], [58, 70]])
    upright = Face((30, 30, 40, 50), 0.5, points)
    upside_down = Face((31, 31, 40, 50), 0.6, np.array([100.0, 105]) - points)
    nearly = Face((32, 30, 40, 50), 0.4, points + 1)
    faces = [upright, upside_down, nearly]
    assert _distinct(faces, turned=np.radians(60)) == [upside_down, upright]
    assert _distinct(faces) == [upside_down]
