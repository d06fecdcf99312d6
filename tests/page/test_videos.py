"""Videos as jobs of the page: the command's bytes, cancelling, restarts, frames to look at."""

from __future__ import annotations

import time
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av", "18", reason="PyAV 18 or later is not installed (realesrgan-vk[video])")
import video_files
from command import run_here
from compact_network import write_compact
from faces_extra import detector_weights, photograph, write_sharpener
from h273 import planes_by_h273
from page_server import NET, Client, Servers
from PIL import Image


@pytest.fixture
def clip(tmp_path: Path) -> bytes:
    """Two seconds of 64x48 pixels with sound."""
    path = tmp_path / "clip.mp4"
    video_files.plain(path, sound=0.5)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("clip.mp4", []),
        (
            "clip.mkv&scale=1.5&codec=x265&crf=20&preset=fast",
            ["-s", "1.5", "--codec", "x265", "--crf", "20", "--preset", "fast"],
        ),
        ("a&format=webm&audio=none&strength=0.5", ["--audio", "none", "--strength", "0.5"]),
    ],
)
def test_the_result_is_the_commands(
    named: str, words: list[str], client: Client, clip: bytes, tmp_path: Path
) -> None:
    job = client.upscale(f"model={NET}&name={named}", clip)
    assert job["status"] == "done", job
    made = tmp_path / f"made{Path(job['result_name']).suffix}"
    command: list[str | Path] = [
        "video",
        tmp_path / "clip.mp4",
        "-o",
        made,
        "-m",
        NET,
        "-d",
        "cpu",
        "--quiet",
    ]
    done = run_here(*command, *words)
    assert done.returncode == 0, done.stderr
    result = client.get(job["links"]["result"])
    assert result.body == made.read_bytes()
    assert job["source"]["kind"] == "video"
    assert job["source"]["frames"] == job["plan"]["frames"] > 0
    assert job["source"]["frame_rate"] == 25
    assert job["result"]["bytes"] == len(result.body)
    types = {".mp4": "video/mp4", ".mkv": "video/x-matroska", ".webm": "video/webm"}
    assert result.headers["content-type"] == types[made.suffix]
    part = client.ask(
        "GET", job["links"]["result"], None, {**client.headers, "Range": "bytes=9-99"}
    )
    assert part.status == 206
    assert part.body == result.body[9:100]


def test_a_frame_is_shown_before_and_after(client: Client, clip: bytes) -> None:
    job = client.upscale(f"model={NET}&name=clip.mp4", clip)
    assert job["shown"] >= 1
    for of in ("original", "result"):
        found = client.get(f"{job['links']['preview']}?of={of}&zoom=1")
        with Image.open(BytesIO(found.body)) as image:
            assert image.size == (job["result"]["width"], job["result"]["height"])
    first = client.post("/api/preview?side=32&x=8&y=8&w=32&h=32", clip)
    with Image.open(BytesIO(first.body)) as image:
        assert image.size == (32, 32)


def test_a_plan_counts_all_frames(client: Client, clip: bytes) -> None:
    plan = client.post(f"/api/plan?model={NET}", clip).data
    assert (plan["kind"], plan["width"], plan["height"]) == ("video", 64, 48)
    assert plan["frames"] > 10
    assert plan["seconds"] > 0
    assert (plan["result_width"], plan["result_height"]) == (128, 96)


def test_what_is_offered_can_be_written_and_nothing_else(client: Client, clip: bytes) -> None:
    found = client.get("/api/codecs").data
    assert found["missing"] is None
    assert [codec["name"] for codec in found["codecs"]][:2] == ["x264", "x265"]
    for codec in found["codecs"]:
        plan = f"/api/plan?model={NET}&audio=none&codec={codec['name']}"
        for container in ("mp4", "mov", "mkv", "webm"):
            answer = client.post(f"{plan}&format={container}", clip)
            held = container in codec["containers"]
            assert answer.status == (200 if held else 422), (codec, container, answer.body)
        presets = codec["presets"] or [""]
        for preset in {presets[0], presets[-1]}:
            most = f"&crf={codec['crf']['most']}" if codec["crf"] else ""
            asked = f"{plan}&format=mkv{most}" + (f"&preset={preset}" if preset else "")
            answer = client.post(asked, clip)
            assert answer.status == 200, (asked, answer.body)
    for preset in ("nonsense", "-1", "a%20b", "../x", ""):
        assert client.post(f"/api/plan?model={NET}&preset={preset}", clip).status == 422, preset


def test_faces_of_a_video_are_the_commands(client: Client, tmp_path: Path) -> None:
    detector_weights()
    write_sharpener(tmp_path / "installed", "gfpgan-1.4")
    head = photograph("astronaut.png").crop((60, 0, 400, 280)).resize((170, 140))
    pictures = [np.asarray(head.crop((n, 0, n + 112, 96))) / 255 for n in range(20, 26)]
    form = video_files.pixel_format("yuv420p")
    path = tmp_path / "head.mkv"
    with video_files.ClipFile(path) as file:
        frames = [planes_by_h273(picture, form) for picture in pictures]
        file.video(frames, video_files.seconds(6), "ffv1", "yuv420p", tags="bt601")
    query = f"model={NET}&name=head.mkv&codec=ffv1"
    with_faces = f"{query}&faces=true&face_strength=1"
    made = [client.upscale(each, path.read_bytes()) for each in (with_faces, query)]
    results = [client.get(job["links"]["result"]).body for job in made]
    assert results[0] != results[1]
    target = tmp_path / "made.mkv"
    command: list[str | Path] = ["video", path, "-o", target, "-m", NET, "-d", "cpu", "--quiet"]
    done = run_here(*command, "--codec", "ffv1", "--faces", "--face-strength", "1")
    assert done.returncode == 0, done.stderr
    assert results[0] == target.read_bytes()


def slow(folder: Path) -> None:
    """A network that takes a while for each frame."""
    write_compact(folder, "slow", features=96)


def test_one_that_runs_is_cancelled(client: Client, clip: bytes, tmp_path: Path) -> None:
    slow(tmp_path / "installed")
    job = client.post("/api/jobs?model=slow&name=clip.mp4&tta=true", clip).data
    client.when(job["id"], "running", "done")
    asked = client.ask("DELETE", f"/api/jobs/{job['id']}")
    ended = client.ended(job["id"])
    if asked.status == 202 and ended["status"] != "done":
        assert ended["status"] == "cancelled"
        assert not list((tmp_path / "jobs" / job["id"]).glob("*.realesrgan"))
        assert "result" not in ended["links"]


def test_a_server_that_starts_again_goes_on(servers: Servers, clip: bytes, tmp_path: Path) -> None:
    slow(tmp_path / "installed")
    with servers.run() as running:
        job = running.client.post("/api/jobs?model=slow&name=clip.mp4", clip).data
        running.client.when(job["id"], "running", "done")
        time.sleep(0.3)
    with servers.run() as running:
        ended = running.client.ended(job["id"])
        assert ended["status"] == "done", ended
        body = running.client.get(ended["links"]["result"]).body
    made = tmp_path / "made.mp4"
    done = run_here(
        "video", tmp_path / "clip.mp4", "-o", made, "-m", "slow", "-d", "cpu", "--quiet"
    )
    assert done.returncode == 0, done.stderr
    assert body == made.read_bytes()


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", 415),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", 415),
        (b"v=0\r\nc=IN IP4 127.0.0.1\r\nm=video 5004 RTP/AVP 96\r\n", 415),
        (b"\x1aE\xdf\xa3" + b"matroska" * 20, 422),
        (b"\0\0\0\x20ftypisom" + bytes(500), 422),
    ],
)
def test_lists_of_other_files_and_broken_videos_are_refused(
    content: bytes, status: int, client: Client
) -> None:
    for path in ("/api/jobs?name=a.mp4", "/api/plan?name=a.mp4", "/api/preview?"):
        answer = client.post(f"{path}&" if path.endswith("?") else path, content)
        assert answer.status in (status, 422), path
        assert "/original" not in answer.data["detail"]
    assert client.get("/api/jobs").data["jobs"] == []


def test_what_does_not_fit_is_refused(client: Client, clip: bytes, png: bytes) -> None:
    for query, content, words in (
        ("name=a.mp4&format=png", clip, "the file is a video"),
        ("name=a.png&format=mkv", png, "the file is a picture"),
        ("name=a.mp4&codec=libx264", clip, "codec"),
        ("name=a.mp4&crf=20&lossless=true", clip, "only one of crf and lossless"),
        ("name=a.webm&codec=x264", clip, "cannot hold"),
        ("name=a.mp4&width=999999", clip, "more than the"),
    ):
        answer = client.post(f"/api/jobs?model={NET}&{query}", content)
        assert answer.status == 422, query
        assert words in answer.data["detail"]


def test_frames_and_results_that_are_too_large_are_refused(servers: Servers, clip: bytes) -> None:
    for changes, words in (({"max_pixels": 3000}, "over 3000"), ({"keep_bytes": 4000}, "disk")):
        with servers.run(**changes) as running:
            for path in ("jobs", "plan"):
                answer = running.client.post(f"/api/{path}?model={NET}&name=a.mp4", clip)
                assert answer.status == 422
                assert words in answer.data["detail"]


def test_an_interlaced_video_is_refused_with_the_way_out(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "interlaced.mp4"
    video_files.interlaced(path)
    answer = client.post(f"/api/jobs?model={NET}&name=i.mp4", path.read_bytes())
    assert answer.status == 422
    assert "deinterlace" in answer.data["detail"]
    made = client.upscale(f"model={NET}&name=i.mp4&deinterlace=true", path.read_bytes())
    assert made["status"] == "done", made
