"""The HTTP API: what becomes of a picture, and what is told about it."""

import http.client
import io
import json
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import run_here
from conftest import FAST_MODEL, Photo
from faces_extra import detector_weights, photograph, write_sharpener
from page_server import NET, Client, Servers, picture
from PIL import Image


def test_the_result_is_the_commands(client: Client, photo: Photo, tmp_path: Path) -> None:
    """Byte for byte, for formats, sizes and options."""
    jpeg = picture(photo, 40, 30, "JPEG")
    for name, query, words in (
        ("a.jpg", "", []),
        ("b.png", "scale=3&format=webp&quality=80", ["-s", "3", "-f", "webp", "-q", "80"]),
        ("c.jpg", "width=50&light=linear&tta=1", ["--width", "50", "--light", "linear", "--tta"]),
        ("f.jpg", "strength=0.4", ["--strength", "0.4"]),
        ("d.jpg", "format=tif&tile=32&strip=true", ["-f", "tif", "--tile", "32", "--strip"]),
        ("e.jpg", "subsampling=4:2:0&alpha=lanczos", ["--subsampling", "4:2:0"]),
    ):  # fmt: skip
        source = tmp_path / name
        source.write_bytes(jpeg)
        job = client.upscale(f"model={NET}&name={name}&{query}", jpeg)
        assert job["status"] == "done", job
        result = client.get(job["links"]["result"])
        command: list[str | Path] = [
            "upscale",
            source,
            "-m",
            NET,
            "-d",
            "cpu",
            "--threads",
            "1",
            *words,
        ]
        done = run_here(*command, "-o", tmp_path / name.partition(".")[0] / "x" / "..")
        assert done.returncode == 0, done.stderr
        (written,) = (tmp_path / name.partition(".")[0]).glob("*.*")
        assert result.body == written.read_bytes()
        with Image.open(written) as image:
            assert (job["result"]["width"], job["result"]["height"]) == image.size
        assert Path(job["result_name"]).suffix == written.suffix
        assert client.get(job["links"]["original"]).body == jpeg


def test_faces_are_the_commands(client: Client, tmp_path: Path) -> None:
    """Byte for byte; the network for faces is one 3x3 convolution."""
    detector_weights()
    write_sharpener(tmp_path / "installed", "gfpgan-1.4")
    head = photograph("astronaut.png").crop((120, 0, 340, 240)).resize((110, 120))
    source = tmp_path / "head.png"
    head.save(source)
    query = f"model={NET}&name=head.png&faces=true&face_strength=0.5&face_only=largest"
    job = client.upscale(f"{query}&max_faces=2&face_min_size=20", source.read_bytes())
    assert job["status"] == "done", job
    for words in ([], ["--faces", "--face-strength", "0.5", "--face-only", "largest"]):
        command: list[str | Path] = ["upscale", source, "-m", NET, "-d", "cpu", "--threads", "1"]
        made = tmp_path / "made.png"
        assert run_here(*command, *words, "-o", made).returncode == 0
        same = client.get(job["links"]["result"]).body == made.read_bytes()
        assert same == bool(words)
    assert client.get("/api/models").data["faces"] == {"model": "gfpgan-1.4", "missing": {}}


def test_what_is_missing_for_faces_is_said(client: Client, png: bytes) -> None:
    detector_weights()
    faces = client.get("/api/models").data["faces"]
    assert list(faces["missing"]) == ["network"]
    assert "realesrgan-vk models pull gfpgan-1.4" in faces["missing"]["network"]
    refused = client.post(f"/api/jobs?model={NET}&faces=true", png)
    assert refused.status == 422
    assert refused.data["detail"] == faces["missing"]["network"]
    assert client.upscale(f"model={NET}&faces=false&face_strength=0.2", png)["status"] == "done"


def test_a_form_is_a_request_like_any_other(client: Client, png: bytes) -> None:
    parts = [
        b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nnet\r\n',
        b'--x\r\nContent-Disposition: form-data; name="scale"\r\n\r\n1.5\r\n',
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="my photo.webp"\r\n'
        b"Content-Type: image/png\r\n\r\n" + png + b"\r\n--x--\r\n",
    ]
    headers = client.headers | {"Content-Type": "multipart/form-data; boundary=x"}
    made = client.ask("POST", "/api/jobs", b"".join(parts), headers)
    assert made.status == 202, made.body
    assert made.headers["location"] == f"/api/jobs/{made.data['id']}"
    job = client.ended(made.data["id"])
    assert (job["name"], job["result_name"]) == ("my photo.webp", "my photo-upscaled.webp")
    assert (job["result"]["width"], job["result"]["height"]) == (72, 48)
    result = client.get(job["links"]["result"])
    assert result.body[8:12] == b"WEBP"
    assert result.headers["content-type"] == "image/webp"
    assert "my%20photo-upscaled.webp" in result.headers["content-disposition"]


def test_the_format_follows_the_content_where_the_name_has_none(client: Client) -> None:
    content = io.BytesIO()
    Image.new("RGB", (8, 8), (20, 90, 200)).save(content, "BMP")
    assert (
        client.upscale(f"model={NET}", content.getvalue())["result_name"] == "picture-upscaled.bmp"
    )


def test_a_plan_says_size_memory_and_time(client: Client, png: bytes) -> None:
    of_size = client.get(f"/api/plan?of_width=48&of_height=32&model={NET}&scale=3")
    of_picture = client.post(f"/api/plan?model={NET}&scale=3", png)
    for answer in (of_size, of_picture):
        assert answer.status == 200, answer.body
        plan = answer.data
        assert (plan["result_width"], plan["result_height"]) == (144, 96)
        assert plan["memory_bytes"] > 0
        assert plan["seconds"] > 0
        assert (plan["model"], plan["device"]) == (NET, "cpu")
    assert client.get("/api/jobs").data["jobs"] == []


def test_states_follow_each_other_in_the_events(client: Client, photo: Photo) -> None:
    made = client.post(f"/api/jobs?model={FAST_MODEL}", picture(photo, 400, 300, "PNG"))
    events = _events(client, f"/api/jobs/{made.data['id']}/events")
    states = [json.loads(event["data"])["status"] for event in events]
    assert states[-1] == "done"
    assert states == sorted(states, key=["queued", "running", "done"].index)
    fractions = [json.loads(event["data"])["fraction"] for event in events]
    assert fractions == sorted(fractions)
    assert len(set(fractions)) >= 2  # of a quick job there are few


def test_events_go_on_where_they_were_interrupted(servers: Servers, png: bytes) -> None:
    with servers.run() as running:
        client = running.client
        first = client.upscale(f"model={NET}", png)
        seen = _events(client, f"/api/jobs/{first['id']}/events")[-1]["id"]
        second = client.upscale(f"model={NET}", png)
        third = client.upscale(f"model={NET}", png)
        client.ask("DELETE", f"/api/jobs/{third['id']}")
        later = _events(client, "/api/events", seen, stop="removed")
        assert [json.loads(event["data"])["id"] for event in later] == [second["id"], third["id"]]
    with servers.run() as running:  # which counts anew
        every = _events(running.client, "/api/events", seen, most=2)
        ids = {json.loads(event["data"])["id"] for event in every}
        assert ids == {first["id"], second["id"]}


def test_a_job_in_work_is_cancelled(client: Client, photo: Photo, tmp_path: Path) -> None:
    content = picture(photo, 300, 300, "PNG")
    made = [client.post(f"/api/jobs?model={FAST_MODEL}", content).data["id"] for _ in range(2)]
    client.when(made[0], "running")
    for job_id in made:
        assert client.ask("DELETE", f"/api/jobs/{job_id}").status == 202
    for job_id in made:
        job = client.ended(job_id)
        assert job["status"] == "cancelled"
        assert client.get(f"/api/jobs/{job_id}/result").status == 409
        assert client.ask("DELETE", f"/api/jobs/{job_id}").status == 204
        assert client.get(f"/api/jobs/{job_id}").status == 404
    assert [path.name for path in (tmp_path / "jobs").iterdir() if path.is_dir()] == []


def test_broken_pictures_are_refused_or_fail_with_their_name(client: Client, png: bytes) -> None:
    assert client.post(f"/api/jobs?model={NET}&name=a.png", b"no picture").status == 415
    empty = client.post(f"/api/jobs?model={NET}", b"")
    assert (empty.status, empty.headers["content-type"]) == (422, "application/problem+json")
    headless = client.post(f"/api/jobs?model={NET}&name=a.png", png[:20])
    assert headless.status == 422
    assert "a.png" in headless.data["detail"]
    job = client.upscale(f"model={NET}&name=my.png", png[: len(png) // 2])
    assert job["status"] == "failed"
    assert "my.png" in job["error"]
    assert "jobs" not in job["error"]
    refused = client.post(f"/api/jobs?model={NET}&width=20000&format=webp", png)
    assert (refused.status, "WebP" in refused.data["detail"]) == (422, True)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("scale=0", "scale is 0"),
        ("scale=two", "scale is 'two'; it must be a number"),
        ("scale=2&width=10", "give only one of"),
        ("format=exe", "format is 'exe'"),
        ("tta=maybe", "it must be true or false"),
        ("device=0", "device is '0'; it must be auto or one of cpu"),
        ("model=no-such", "model is 'no-such'; it must be one of"),
        ("quality=101", "quality is 101"),
        ("precision=fp16", "precision is fp16"),
        ("denoise=0", "has no weakly denoising twin"),
        ("nonsense=1", "there is no parameter 'nonsense'"),
        ("scale=2&scale=3", "scale is given twice"),
    ],
)
def test_options_are_checked(client: Client, png: bytes, query: str, words: str) -> None:
    answer = client.post(f"/api/jobs?{query}", png)
    assert answer.status == 422
    assert words in answer.data["detail"]


def test_a_preview_has_the_results_pixels(client: Client, png: bytes) -> None:
    job = client.upscale(f"model={NET}", png)
    with Image.open(io.BytesIO(client.get(job["links"]["result"]).body)) as result:
        pixels = np.asarray(result.convert("RGB"))
    at = job["links"]["preview"]
    part = client.get(f"{at}?x=10&y=4&w=30&h=20&zoom=1")
    assert part.headers["content-type"] == "image/png"
    assert np.array_equal(_pixels(part.body), pixels[4:24, 10:40])
    assert _pixels(client.get(f"{at}?zoom=0.25").body).shape == (16, 24, 3)
    assert _pixels(client.get(f"{at}?x=90&y=60&w=6&h=4&zoom=8").body).shape == (32, 48, 3)
    before = _pixels(client.get(f"{at}?of=original&x=10&y=4&w=30&h=20&zoom=1").body)
    assert before.shape == (20, 30, 3)
    with Image.open(io.BytesIO(png)) as image:
        enlarged = image.resize((96, 64), Image.Resampling.BICUBIC)
    assert np.abs(before.astype(int) - np.asarray(enlarged)[4:24, 10:40]).mean() < 3
    for wrong in (
        "x=90&y=0&w=30&h=20",
        "x=0&y=0&w=0&h=0",
        "x=0&y=0&w=0&h=1&zoom=1",
        "zoom=0",
        "zoom=nan",
        "x=1",
        "of=x",
    ):
        assert client.get(f"{at}?{wrong}").status == 422, wrong


def test_a_preview_of_a_picture_that_is_no_job(client: Client, photo: Photo) -> None:
    content = picture(photo, 60, 40, "TIFF")
    part = client.post("/api/preview?x=3&y=5&w=20&h=10", content)
    assert np.array_equal(_pixels(part.body), photo(60, 40)[5:15, 3:23])
    assert _pixels(client.post("/api/preview?side=30", content).body).shape == (20, 30, 3)
    assert client.post("/api/preview?x=3&y=5&w=200&h=10", content).status == 422
    assert client.post("/api/preview", b"II*\x00nothing").status == 422
    assert client.post("/api/preview?side=0", content).status == 422


def test_all_results_come_as_one_file(client: Client, png: bytes) -> None:
    assert client.get("/api/results.zip").status == 404
    jobs = [client.upscale(f"model={NET}&name=same.png", png) for _ in range(2)]
    jobs.append(client.upscale(f"model={NET}&name=..%5C..%2Fevil.png&scale=1", png))
    answer = client.get("/api/results.zip")
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        assert archive.testzip() is None
        names = ["same-upscaled.png", "same-upscaled-2.png", "evil-upscaled.png"]
        assert archive.namelist() == names
        for job, name in zip(jobs, names, strict=True):
            assert archive.read(name) == client.get(job["links"]["result"]).body
    one = client.get(f"/api/results.zip?id={jobs[2]['id']}")
    with zipfile.ZipFile(io.BytesIO(one.body)) as archive:
        assert archive.namelist() == ["evil-upscaled.png"]


def test_a_trial_is_not_listed(client: Client, png: bytes) -> None:
    trial = client.upscale(f"model={NET}&trial=true", png)
    assert client.get("/api/jobs").data["jobs"] == []
    listed = client.get("/api/jobs?trial=true").data["jobs"]
    assert [job["id"] for job in listed] == [trial["id"]]


def test_a_restart_lists_what_was_done_and_does_what_was_not(
    servers: Servers, photo: Photo, png: bytes
) -> None:
    with servers.run() as running:
        client = running.client
        done = client.upscale(f"model={NET}&name=done.png", png)
        failed = client.upscale(f"model={NET}", png[: len(png) // 2])
        content = picture(photo, 400, 300, "PNG")
        left = [
            client.post(f"/api/jobs?model={FAST_MODEL}&name={name}.png", content).data["id"]
            for name in ("running", "waiting")
        ]
        client.when(left[0], "running")
    cut = servers.folder / ("0" * 32)
    cut.mkdir()
    (cut / "original").write_bytes(png)
    (servers.folder / "not-a-job").mkdir()
    with servers.run() as running:
        jobs = {job["id"]: job for job in running.client.get("/api/jobs").data["jobs"]}
        assert jobs[done["id"]] == done
        assert jobs[failed["id"]]["error"] == failed["error"]
        assert running.client.get(done["links"]["result"]).status == 200
        for job_id in left:
            assert running.client.ended(job_id)["status"] == "done"
        assert not cut.exists()
        assert (servers.folder / "not-a-job").exists()


def test_finished_jobs_expire_by_age_and_by_size(servers: Servers, png: bytes) -> None:
    with servers.run() as running:
        jobs = [running.client.upscale(f"model={NET}", png) for _ in range(3)]
        size = sum(path.stat().st_size for path in (servers.folder / jobs[0]["id"]).iterdir())
    with servers.run(keep_bytes=2 * size + size // 2) as running:
        kept = [job["id"] for job in running.client.get("/api/jobs").data["jobs"]]
        assert kept == [job["id"] for job in jobs[1:]]
    with servers.run(keep_seconds=0.01) as running:
        assert running.client.get("/api/jobs").data["jobs"] == []
    assert [path for path in servers.folder.iterdir() if path.is_dir()] == []


def test_a_full_queue_says_when_to_come_again(servers: Servers, photo: Photo) -> None:
    """Of many uploads at a time each is queued or refused with 503, and none is lost."""
    content = picture(photo, 160, 120, "PNG")
    answers: list[Any] = []
    with servers.run(queue=4) as running:

        def send() -> None:
            answers.append(running.client.post(f"/api/jobs?model={FAST_MODEL}", content))

        threads = [threading.Thread(target=send) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        taken = [answer for answer in answers if answer.status == 202]
        refused = [answer for answer in answers if answer.status == 503]
        assert len(taken) + len(refused) == 20
        assert len(taken) >= 4
        assert refused
        assert all(answer.headers["retry-after"] == "3" for answer in refused)
        for answer in taken:
            assert running.client.ended(answer.data["id"])["status"] == "done"
        assert len(running.client.get("/api/jobs").data["jobs"]) == len(taken)


def test_lists_and_health(client: Client) -> None:
    assert client.ask("GET", "/healthz", headers={}).data == {"status": "ok"}
    names = [model["name"] for model in client.get("/api/models").data["models"]]
    assert {NET, FAST_MODEL} <= set(names)
    body = client.get("/api/devices").data
    assert [device["id"] for device in body["devices"]] == ["cpu"]
    assert body["queue"] == {"waiting": 0, "running": 0, "limit": 16}


def test_the_document_describes_every_path(servers: Servers) -> None:
    with servers.run() as running:
        document = running.client.get("/api/openapi.json").data
        routes = {
            (route.path, method.lower())
            for route in running.app.api.routes()
            if route.path.startswith(("/api", "/healthz"))
            for method in (route.methods or ())
        }
    described = {
        (path, method)
        for path, operations in document["paths"].items()
        for method in operations
        if method != "parameters"
    }
    routes -= {("/api/openapi.json", "get")}
    assert {each for each in routes if each[1] != "head"} - {("/api/openapi.json", "get")} == (
        described
    )
    from realesrgan_vk.page.parameters import JOB_PARAMETERS  # noqa: PLC0415 - needs the extra

    names = [each["name"] for each in document["paths"]["/api/jobs"]["post"]["parameters"]]
    assert names == [parameter.name for parameter in JOB_PARAMETERS]


def test_two_servers_do_not_share_a_folder(servers: Servers) -> None:
    from realesrgan_vk.models.user_store import locked  # noqa: PLC0415 - beside what it is for

    started = time.monotonic()
    with locked(servers.folder), pytest.raises(TimeoutError), locked(servers.folder, wait=0):
        pass
    assert time.monotonic() - started < 10


def _pixels(content: bytes) -> Any:  # noqa: ANN401 - an array
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))


def _events(
    client: Client, path: str, last: str = "", stop: str = "", most: int = 1000
) -> list[dict[str, str]]:
    """Server-sent events until the stream's end, `most` of them, or one of the name `stop`."""
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=30)
    headers = client.headers | ({"Last-Event-ID": last} if last else {})
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    assert response.status == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    found: list[dict[str, str]] = []
    event: dict[str, str] = {}
    while len(found) < most and (line := response.readline()):
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name:
            event[name] = value
        elif "data" in event:
            found.append(event)
            if event["event"] == stop:
                break
            event = {}
    connection.close()
    return found
