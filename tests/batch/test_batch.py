"""The batch and the `realesrgan-vk` command: started as a user starts them."""

import json
import re
import time
from pathlib import Path

import pytest
from command import on_a_terminal, run
from conftest import Photo
from drop_in import size_of
from PIL import Image

from realesrgan_vk.batch.jobs import Naming, find_sources, plan_jobs

FAST = ["-m", "realesr-animevideov3", "-d", "cpu"]


@pytest.fixture
def folder(photo: Photo, tmp_path: Path) -> Path:
    """Twenty pictures, one of them broken, and a file that is none."""
    inside = tmp_path / "in"
    (inside / "deeper").mkdir(parents=True)
    for index in range(20):
        place = inside / "deeper" if index % 5 == 4 else inside
        path = place / f"picture {index:02}.png"
        Image.fromarray(photo(16 + index, 16)).save(path)
    (inside / "picture 03.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    (inside / "notes.txt").write_text("no picture")
    return inside


def test_a_broken_picture_is_reported_and_the_rest_is_done(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run("upscale", folder, "-o", out, "--recursive", *FAST)
    assert done.returncode == 1
    assert done.stdout == ""
    failed = [line for line in done.stderr.splitlines() if line.startswith("failed")]
    assert len(failed) == 1
    assert "picture 03.png is damaged, or no whole PNG file" in failed[0]
    assert "19 written, 1 failed in " in done.stderr.splitlines()[-1]
    written = sorted(path.relative_to(out) for path in out.rglob("*") if path.is_file())
    assert len(written) == 19
    assert Path("deeper/picture 04.png") in written
    assert size_of(out / "picture 00.png") == (64, 64)


def test_json_events(folder: Path, tmp_path: Path) -> None:
    done = run("upscale", folder, "-o", tmp_path / "out", "--json", *FAST)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.stderr == ""
    assert events[0] == {
        "event": "start",
        "pictures": 16,
        "model": "realesr-animevideov3",
        "scale": 4,
        "device": -1,
    }
    assert events[-1]["event"] == "end"
    assert (events[-1]["done"], events[-1]["failed"], events[-1]["skipped"]) == (15, 1, 0)
    kinds = [event["event"] for event in events]
    assert kinds.count("done") == 15
    failed = next(event for event in events if event["event"] == "failed")
    assert failed["stage"] == "decode"
    assert failed["source"] == str(folder / "picture 03.png")
    finished = next(event for event in events if event["event"] == "done")
    assert Path(finished["target"]).exists()
    assert finished["height"] == 64


def test_names_formats_sizes_and_skipping(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["-o", str(out), "-f", "webp", "--long-edge", "30", "--skip-existing", *FAST]
    arguments += ["--name", "{index}-{stem}-{model}", "--quiet"]
    pattern = str(folder / "picture 0[01].png")
    first = run("upscale", pattern, *arguments)
    assert (first.returncode, first.stdout, first.stderr) == (0, "", "")
    target = out / "2-picture 01-realesr-animevideov3.webp"
    assert size_of(target) == (30, 28)
    stamp = target.stat().st_mtime_ns
    target.with_name("1-picture 00-realesr-animevideov3.webp").unlink()
    again = run("upscale", pattern, *arguments)
    assert again.returncode == 0
    assert target.stat().st_mtime_ns == stamp
    assert len(list(out.iterdir())) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["in", "-o", "out", "--scale", "0"], "scale is 0.0; it must be above 0"),
        (["in", "-o", "out", "--scale", "2", "--width", "5"], "give only one of"),
        (["in", "-o", "out", "-m", "nope"], "unknown model 'nope'"),
        (["in", "-o", "out", "-d", "nope"], "no device 'nope'"),
        (["in", "-o", "out", "--tile", "8"], "tile is 8; it must be from 32 to"),
        (["in", "-o", "out.png"], "output out.png is one file, but there are 16 pictures"),
        (["in", "-o", "in"], "would replace its source"),
        (["in", "-o", "out", "--name", "{nope}"], r"may only use {stem}"),
        (["in", "-o", "out", "--name", "../x"], "must be a file's name"),
        (["*.jpeg", "-o", "out"], "no file matches '*.jpeg'"),
        (["out2", "-o", "out"], "folder out2 has no pictures"),
        (["in/picture 00.png", "-o", "a.xyz"], "no suffix of a picture"),
        (["in/picture 00.png", "-o", "a.png", "-f", "jpg"], "--format jpg differ"),
        (["in", "-o", "out", "--quality", "200"], "200 is not in the range"),
        (["in", "-o"], "requires an argument"),
        (["x" * 300, "-o", "out"], "File name too long"),
        (["in", "-o", "in/notes.txt/deeper"], "in/notes.txt is a file, so folder"),
    ],
)
def test_wrong_usage_ends_with_2_and_writes_nothing(
    folder: Path, arguments: list[str], message: str
) -> None:
    base = folder.parent
    (base / "out2").mkdir()
    before = sorted(base.rglob("*"))
    devices = [] if "-d" in arguments else ["-d", "cpu"]
    models = [] if "-m" in arguments else ["-m", "realesr-animevideov3"]
    done = run("upscale", *arguments[:1], *devices, *models, *arguments[1:], cwd=base)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr
    assert sorted(base.rglob("*")) == before


def test_a_result_too_large_for_its_format_is_refused_before_any_work(
    folder: Path, tmp_path: Path
) -> None:
    target = tmp_path / "wide.jpg"
    source = folder / "picture 00.png"
    started = time.perf_counter()
    done = run("upscale", source, "-o", target, "--width", "70000", *FAST)
    assert done.returncode == 1
    assert "a JPEG file holds at most 65500 pixels a side, the result would be 70000" in done.stderr
    assert not target.exists()
    assert time.perf_counter() - started < 20
    limited = run("upscale", source, "-o", target, "--max-pixels", "100", *FAST)
    assert limited.returncode == 1
    assert "claims 16 x 16 pixels, more than the limit of 100" in limited.stderr
    assert "--max-pixels" in limited.stderr


def test_devices_and_models_are_listed() -> None:
    models = json.loads(run("models", "--json").stdout)
    assert models[0]["name"] == "realesrgan-x4plus"
    assert models[0]["installed"] is True
    assert models[0]["for"] == "photos"
    table = run("models").stdout
    assert re.search(r"^realesr-animevideov3 +x4 +anime video; fast$", table, re.M)
    assert re.search(r"^realesr-general-x4v3 +x4 +photos; fast.* not installed$", table, re.M)
    assert max(map(len, table.splitlines())) <= 80
    assert isinstance(json.loads(run("devices", "--json").stdout), list)
    assert run("devices").stdout.splitlines()[-1].startswith("cpu")


def test_results_never_share_a_name(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png", "b.tif"):
        (tmp_path / name).touch()
    sources = find_sources([str(tmp_path)], recursive=False).pictures
    jobs = plan_jobs(sources, Path("out"), Naming(suffix=".png"))
    assert [str(job.target) for job in jobs] == ["out/a.jpg.png", "out/a.png", "out/b.png"]
    kept = plan_jobs(sources, Path("out"), Naming())
    assert [job.target.name for job in kept] == ["a.jpg", "a.png", "b.tif"]


def test_on_a_terminal_there_is_a_bar(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    text = on_a_terminal("upscale", folder, "-o", output, *FAST, columns=100, exit_code=1)
    assert "16/16" in text
    assert "MP/s" in text
    assert f"failed: {folder / 'picture 03.png'} is damaged" in text
    assert "15 written, 1 failed in" in text
