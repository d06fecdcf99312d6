"""Deep Zoom tiles: pixels, sizes, formats, room on the disk, and odd requests."""

from __future__ import annotations

import shutil
import threading
import time
from io import BytesIO
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np
import page_server
import pytest
from page_server import NET, Client, Servers, picture
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import Photo

    from realesrgan_vk.page.jobs import Jobs, PageJob
    from realesrgan_vk.page.tiles import TileMaker

SIDE = 512


def _ready(client: Client, job_id: str, of: str = "result") -> bytes:
    """The descriptor, once the tiles are made."""
    until = time.monotonic() + 60
    while (answer := client.get(f"/api/jobs/{job_id}/{of}.dzi")).status == 202:
        assert 0 <= answer.data["fraction"] < 1
        assert int(answer.headers["retry-after"]) >= 1
        assert time.monotonic() < until
        time.sleep(0.02)
    assert answer.status == 200, answer.body
    return answer.body


def test_the_top_level_is_the_result_and_all_others_are_halves(
    client: Client, photo: Photo
) -> None:
    job = client.upscale(f"model={NET}", picture(photo, 300, 261, "PNG"))
    root = ElementTree.fromstring(_ready(client, job["id"]))
    assert (root.attrib["TileSize"], root.attrib["Overlap"]) == (str(SIDE), "0")
    assert [root[0].attrib[name] for name in ("Width", "Height")] == ["600", "522"]
    assert _ready(client, job["id"], "original")
    whole = np.zeros((522, 600, 3), np.uint8)
    for column, row in ((0, 0), (1, 0), (0, 1), (1, 1)):
        tile = _tile(client, job["id"], f"result_files/10/{column}_{row}.png")
        y, x = row * SIDE, column * SIDE
        whole[y : y + SIDE, x : x + SIDE] = np.asarray(tile)
    with Image.open(BytesIO(client.get(job["links"]["result"]).body)) as result:
        assert np.array_equal(whole, np.asarray(result))
        part = result.crop((0, 0, 600, 520))  # 65 rows of a level, and a quarter of one
        small = np.asarray(part.resize((75, 65), Image.Resampling.BOX), np.float64)
    for of in ("result", "original"):
        for number in range(10):
            tile = _tile(client, job["id"], f"{of}_files/{number}/0_0.jpg")
            assert tile.size == tuple(-(-side // 2 ** (10 - number)) for side in (600, 522))
    for of, most_off in (("result", 3), ("original", 12)):
        level = np.asarray(_tile(client, job["id"], f"{of}_files/7/0_0.png"), np.float64)
        off = np.abs(level[:65] - small)
        assert off.mean() < most_off, (of, off.mean(), off.max())
    # The picture before is what a part of it shows, at the same place.
    answer = client.get(f"/api/jobs/{job['id']}/preview?of=original&x=512&y=0&w=88&h=512&zoom=1")
    with Image.open(BytesIO(answer.body)) as shown:
        before = _tile(client, job["id"], "original_files/10/1_0.png")
        assert np.array_equal(np.asarray(shown), np.asarray(before))


def _tile(client: Client, job_id: str, name: str) -> Image.Image:
    answer = client.get(f"/api/jobs/{job_id}/{name}")
    assert answer.status == 200, (name, answer.body)
    kinds = {"png": "image/png", "jpg": "image/jpeg"}
    assert answer.headers["content-type"] == kinds[name[-3:]]
    return Image.open(BytesIO(answer.body))


def test_tiles_that_are_not_there_are_refused(servers: Servers, png: bytes) -> None:
    with servers.run(tile_pixels=1000) as running:
        client = running.client
        job = client.upscale(f"model={NET}", png)
        own = f"/api/jobs/{job['id']}"
        assert client.get(f"{own}/result_files/7/0_0.png").status == 409
        # A preview of a large result makes the levels, too.
        assert client.get(f"{own}/preview?zoom=0.1").status == 200
        assert client.get(f"{own}/result_files/7/0_0.png").status == 200
        for name in (
            *("7/1_0.png", "7/0_1.png", "8/0_0.png", "99/0_0.png", "999/0_0.png", "-1/0_0.png"),
            *("7/-1_0.png", "7/0_-1.jpg", "7/999999999_0.png", "7/0_0.gif", "7/0_0", "7/0.png"),
            *("7/9999999999999_0.png", "7/0_0.png%00", "7/%2e%2e%2fjob.json", "a/0_0.png"),
            *("7/0_0_0.png", "7/1e1_0.png", "7/%D9%A3_0.png", "07/0_0.PNG", "7/+0_0.png"),
        ):
            for of in ("result", "original"):
                assert client.get(f"{own}/{of}_files/{name}").status == 404, name
        for path in ("job.dzi", "..dzi", "job_files/0/0_0.png", "result.DZI", "%2e%2e/result.dzi"):
            assert client.get(f"{own}/{path}").status == 404, path
        assert client.get(f"/api/jobs/{'0' * 32}/result.dzi").status == 404
        assert client.ask("GET", f"{own}/result.dzi", headers={}).status == 401
        assert client.ask("POST", f"{own}/result.dzi", b"").status == 405
        assert client.ask("DELETE", own).status == 204
        for name in ("result.dzi", "original.dzi", "original_files/7/0_0.png"):
            assert client.get(f"{own}/{name}").status == 404


def test_a_job_without_a_result_has_no_tiles(client: Client, png: bytes) -> None:
    job = client.upscale(f"model={NET}", png[: len(png) // 2])
    assert job["status"] == "failed"
    for name in ("result.dzi", "original.dzi", "result_files/0/0_0.png"):
        assert client.get(f"/api/jobs/{job['id']}/{name}").status == 409


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    """Jobs without a server, of at most three megabytes."""
    page_server.require()
    from realesrgan_vk.page.jobs import Jobs  # noqa: PLC0415 - needs the extra

    return Jobs(tmp_path / "jobs", 4, 3600.0, 3_000_000)


@pytest.fixture
def maker(jobs: Jobs) -> Iterator[TileMaker]:
    """What makes the tiles of these jobs."""
    from realesrgan_vk.page.tiles import TileMaker  # noqa: PLC0415 - needs the extra

    made = TileMaker(jobs)
    yield made
    made.stop()


def _done(jobs: Jobs, result: Image.Image, kind: str = "PNG") -> PageJob:
    """A finished job with this result, of itself."""
    from realesrgan_vk.page.jobs import PageJob  # noqa: PLC0415 - needs the extra
    from realesrgan_vk.page.parameters import JobOptions  # noqa: PLC0415

    with jobs.upload() as folder:
        result.save(folder / "original", "PNG")
        result.save(folder / "result", kind)
        size = {"width": result.width, "height": result.height, "bytes": 1}
        options = JobOptions.of([("model", "realesr-animevideov3")])
        source = {"kind": "picture", "has_alpha": False}
        job = PageJob(folder.name, folder, options, source, "r.png", {}, time.time())
        jobs.add(job)
        jobs.change(job, status="done", result=size)
    return job


def _made(maker: TileMaker, job: PageJob) -> None:
    _until(lambda: maker.fraction(job) == 1)


def _until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not true():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize("size", [(1, 1), (1, 3001), (7000, 2), (512, 512), (513, 1)])
def test_every_size_has_its_levels(size: tuple[int, int], jobs: Jobs, maker: TileMaker) -> None:
    from realesrgan_vk.page import tiles  # noqa: PLC0415 - needs the extra

    noise = np.random.default_rng(3).integers(0, 256, (size[1], size[0], 3), np.uint8)
    job = _done(jobs, Image.fromarray(noise))
    _made(maker, job)
    most = tiles.level_of(size)
    for level in range(most + 1):
        width, height = (-(-side // 2 ** (most - level)) for side in size)
        for column, row in ((0, 0), ((width - 1) // SIDE, (height - 1) // SIDE)):
            for of in ("result", "original"):
                content = tiles.tile(job, of, level, (column, row), "png")
                with Image.open(BytesIO(content)) as tile:
                    left, top = column * SIDE, row * SIDE
                    assert tile.size == (min(SIDE, width - left), min(SIDE, height - top))
                    if level == most:
                        part = noise[top : top + SIDE, left : left + SIDE]
                        assert np.array_equal(np.asarray(tile), part)
    assert sum(path.stat().st_size for path in job.folder.rglob("*.tif")) < 10 * noise.size + 9999


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "WEBP", "JPEG"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "I;16", "CMYK"])
def test_every_format_is_shown(
    kind: str, mode: str, jobs: Jobs, maker: TileMaker, rgba: np.ndarray
) -> None:
    """As the file is read elsewhere, within what colours and losses differ by."""
    from realesrgan_vk.page import previews, tiles  # noqa: PLC0415 - needs the extra

    source = Image.fromarray(rgba)
    if mode == "I;16":
        source = Image.fromarray(np.asarray(source.convert("L")).astype(np.uint16) * 257)
    else:
        source = source.convert("RGB").convert(mode) if mode != "RGBA" else source
    try:
        job = _done(jobs, source, kind)
    except (OSError, KeyError):
        return  # the format does not hold it
    _made(maker, job)
    content = tiles.tile(job, "result", tiles.level_of(source.size), (0, 0), "png")
    with Image.open(BytesIO(content)) as tile:
        expected = previews.samples_of(job.result_file)
        assert tile.size == source.size
        difference = np.abs(np.asarray(tile).astype(int)[..., :3] - expected[..., :3])
        assert difference.mean() < (20 if mode == "CMYK" else 1)
        assert (tile.mode == "RGBA") == (expected.shape[2] == 4)
    if expected.shape[2] == 4:
        tiles.tile(job, "result", 3, (0, 0), "jpg")


def test_tiles_need_room_and_make_it(jobs: Jobs, maker: TileMaker) -> None:
    from realesrgan_vk.page.problems import Problem  # noqa: PLC0415 - needs the extra

    plain = Image.new("RGB", (1000, 300))  # 1.26 MB by its plan
    first, second = _done(jobs, plain), _done(jobs, plain)
    _made(maker, first)
    levels = first.folder / "result.tiles"
    assert levels.is_dir()
    (first.folder / "original.v").write_bytes(bytes(2_000_000))
    _made(maker, second)
    assert not levels.exists(), "what was not used for the longest time made room"
    assert (second.folder / "result.tiles").is_dir()
    large = _done(jobs, Image.new("RGB", (1000, 800)))
    with pytest.raises(Problem, match="MiB") as raised:
        _made(maker, large)
    assert raised.value.status == 507
    assert {job.id for job in jobs.all()} == {first.id, second.id, large.id}


def test_what_is_shown_is_removed_after_an_hour(
    jobs: Jobs, maker: TileMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = _done(jobs, Image.new("RGB", (60, 30)))
    _made(maker, job)
    jobs.expire()
    assert (job.folder / "result.tiles").is_dir()
    monkeypatch.setattr("realesrgan_vk.page.jobs._SHOWN_SECONDS", -1.0)
    jobs.expire()
    assert sorted(path.name for path in job.folder.iterdir()) == ["job.json", "original", "result"]
    _made(maker, job)  # anew


def test_a_job_that_is_removed_while_its_tiles_are_made_leaves_nothing(
    jobs: Jobs, maker: TileMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    from realesrgan_vk.page import tiles  # noqa: PLC0415 - needs the extra

    job = _done(jobs, Image.new("RGB", (700, 700)))
    reached, go = threading.Event(), threading.Event()
    opened = tiles._opened

    def wait(*given: object) -> object:
        reached.set()
        go.wait(60)
        return opened(*given)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(tiles, "_opened", wait)
    assert maker.fraction(job) < 1
    assert maker.fraction(job) < 1, "it is begun once"
    assert reached.wait(60)
    jobs.remove(job)
    go.set()
    maker.stop()
    assert not job.folder.exists()


def test_tiles_that_nobody_waits_for_are_given_up(
    jobs: Jobs, maker: TileMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    from realesrgan_vk.page import tiles  # noqa: PLC0415 - needs the extra

    monkeypatch.setattr(tiles, "_ASKED_SECONDS", -1.0)
    job = _done(jobs, Image.new("RGB", (700, 700)))
    assert maker.fraction(job) < 1
    maker.stop()
    assert not (job.folder / "result.tiles").exists()
    assert not (job.folder / "result.part").exists()


def test_a_result_that_is_damaged_or_gone_is_named(jobs: Jobs, maker: TileMaker) -> None:
    from realesrgan_vk.page.problems import Problem  # noqa: PLC0415 - needs the extra

    noise = np.random.default_rng(3).integers(0, 256, (200, 300, 3), np.uint8)
    job = _done(jobs, Image.fromarray(noise))
    content = job.result_file.read_bytes()
    job.result_file.write_bytes(content[: len(content) // 2])
    for _ in range(2):  # and once more after a new try
        with pytest.raises(Problem, match=r"r\.png") as raised:
            _made(maker, job)
        assert raised.value.status == 422
    job.result_file.write_bytes(content)
    _made(maker, job)


def test_a_picture_that_is_too_long_is_not_shown(
    client: Client, monkeypatch: pytest.MonkeyPatch, png: bytes
) -> None:
    """libvips takes a while for each row, of which a small file may have millions."""
    monkeypatch.setattr("realesrgan_vk.page.previews._LONGEST", 47)
    job = client.upscale(f"model={NET}", png)
    assert job["status"] == "done"
    for path in ("preview?of=original", "preview", "result.dzi", "original_files/1/0_0.png"):
        answer = client.get(f"/api/jobs/{job['id']}/{path}")
        assert answer.status == 422, path
        assert "too long to be shown" in answer.data["detail"]
    assert client.post("/api/preview", png).status == 422


def test_a_server_that_was_killed_leaves_no_half_made_tiles(jobs: Jobs, tmp_path: Path) -> None:
    from realesrgan_vk.page.jobs import Jobs as Again  # noqa: PLC0415 - needs the extra

    job = _done(jobs, Image.new("RGB", (60, 30)))
    (job.folder / "result.part").mkdir()
    (job.folder / "result.part" / "0.tif").write_bytes(bytes(1000))
    (job.folder / "original.part.v").write_bytes(bytes(1000))
    again = Again(tmp_path / "jobs", 4, 3600.0, 3_000_000)
    assert again.get(job.id).status == "done"
    assert sorted(path.name for path in job.folder.iterdir()) == ["job.json", "original", "result"]
    shutil.rmtree(tmp_path / "jobs")
