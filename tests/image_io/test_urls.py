"""Pictures named by URLs: in fsspec's memory, on a web server, in an S3 store of the test's own."""

import json
import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import pytest
import remote_stores
from command import COMMAND, run, run_here
from compact_network import write_compact
from conftest import Photo
from PIL import Image

from realesrgan_vk.batch.jobs import Naming, find_sources, plan_jobs
from realesrgan_vk.image_io.urls import UrlPath, is_url, path_of, url_path

SECONDS = 120  # of one command


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    return ["-m", str(write_compact(tmp_path / "net", "net")), "-d", "cpu"]


@pytest.fixture
def folder(photo: Photo, tmp_path: Path) -> Path:
    """Three pictures, one of them in a subfolder, a broken one, and a file that is none."""
    inside = tmp_path / "in"
    (inside / "deep").mkdir(parents=True)
    for index, name in enumerate(("a b.png", "c.jpg", "deep/d.png")):
        Image.fromarray(photo(16 + index, 12)).save(inside / name)
    (inside / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    (inside / "notes.txt").write_text("no picture")
    return inside


@pytest.fixture
def plain(folder: Path, tmp_path: Path, options: list[str]) -> dict[str, bytes]:
    """The results of the folder from and to files."""
    out = tmp_path / "plain"
    assert run_here("upscale", folder, "-o", out, "--recursive", *options).returncode == 1
    files = [path for path in out.rglob("*") if path.is_file()]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def memory(folder: Path) -> Iterator[Any]:
    """fsspec's file system in memory, with the folder as memory://store/in."""
    remote_stores.require("fsspec")
    import fsspec  # noqa: PLC0415 - an optional dependency

    store = fsspec.filesystem("memory")
    store.put(str(folder), "/store/in", recursive=True)
    yield store
    store.rm("/store", recursive=True)


def kept(store: Any, below: str) -> dict[str, bytes]:  # noqa: ANN401 - fsspec has no types
    return {path.removeprefix(below): store.cat_file(path) for path in store.find(below)}


def test_a_folder_in_a_store_is_read_and_written(
    memory: Any,  # noqa: ANN401
    plain: dict[str, bytes],
    options: list[str],
) -> None:
    words = ["upscale", "memory://store/in", "-o", "memory://store/out/", "--recursive", *options]
    done = run_here(*words)
    assert done.returncode == 1
    (failed,) = [line for line in done.stderr.splitlines() if line.startswith("failed")]
    assert "memory://store/in/broken.png is damaged" in failed
    assert "1 file is no picture: notes.txt" in done.stderr
    assert kept(memory, "/store/out/") == plain
    again = run_here(*words, "--skip-existing", "--json")
    events = [json.loads(line)["event"] for line in again.stdout.splitlines()]
    assert (events.count("skipped"), events.count("done"), events.count("failed")) == (3, 0, 1)


def test_subfolders_are_read_only_when_asked_for(
    memory: Any,  # noqa: ANN401
    options: list[str],
) -> None:
    run_here("upscale", "memory://store/in", "-o", "memory://store/out", *options)
    assert set(kept(memory, "/store/out/")) == {"a b.png", "c.jpg"}


def test_results_in_the_folder_itself_are_left_out(
    memory: Any,  # noqa: ANN401
    options: list[str],
) -> None:
    words = ["upscale", "memory://store/in", "-o", "memory://store/in/deep", "-r", *options]
    for _ in range(2):
        run_here(*words)
    assert set(kept(memory, "/store/in/deep/")) == {"a b.png", "c.jpg", "d.png"}


def test_one_picture_between_a_store_and_files(
    memory: Any,  # noqa: ANN401
    plain: dict[str, bytes],
    tmp_path: Path,
    options: list[str],
) -> None:
    local, far = tmp_path / "c.jpg", "memory://store/other/x.jpg"
    assert run_here("upscale", "memory://store/in/c.jpg", "-o", local, *options).returncode == 0
    assert local.read_bytes() == plain["c.jpg"]
    assert run_here("upscale", tmp_path / "in" / "c.jpg", "-o", far, *options).returncode == 0
    assert memory.cat_file("/store/other/x.jpg") == plain["c.jpg"]


def test_an_upload_that_fails_leaves_nothing(
    memory: Any,  # noqa: ANN401
    options: list[str],
) -> None:
    with mock.patch.object(type(memory), "pipe_file", side_effect=PermissionError(13, "no")):
        done = run_here(
            "upscale", "memory://store/in/c.jpg", "-o", "memory://store/out/c.jpg", *options
        )
    assert done.returncode == 1
    assert "memory://store/out/c.jpg cannot be written: no" in done.stderr
    assert not memory.exists("/store/out/c.jpg")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["memory://store/in/c.jpg"], "name the output"),
        (["memory://store/none/"], "name the output"),
        (["memory://store/in/c.jpg", "-o", "memory://store/in/c.jpg"], "would replace its source"),
        (["memory://store/in/c.jpg", "-o", "memory://store/x.doc"], "no suffix of a picture"),
        (["memory://store/in/deep", "-o", "http://127.0.0.1:9/x/"], "takes no results"),
        (["memory://store/in/c.jpg", "-o", "https://127.0.0.1:9/x.png"], "takes no results"),
    ],
)
def test_the_command_refuses(
    memory: Any,  # noqa: ANN401
    words: list[str],
    told: str,
    options: list[str],
) -> None:
    done = run_here("upscale", *words, *options)
    assert done.returncode == 2
    assert told in " ".join(done.stderr.split())
    assert set(memory.find("/store/in")) >= {"/store/in/c.jpg"}


def test_videos_are_not_read_from_urls() -> None:
    with pytest.raises(ValueError, match="a video is read from a file"):
        find_sources(["https://host/film.mkv"], recursive=False, kind="video", suffixes=[".mkv"])


def test_pictures_and_folders_of_a_web_server(
    folder: Path, plain: dict[str, bytes], tmp_path: Path, options: list[str]
) -> None:
    remote_stores.require("fsspec", "aiohttp")
    one, several = tmp_path / "one", tmp_path / "several"
    with remote_stores.web_server(folder) as address:
        words = [f"{address}/a%20b.png?size=large", f"{address}/none.png", f"{address}/broken.png"]
        done = run("upscale", *words, "-o", f"{one}/", *options)
        assert done.returncode == 1
        assert f"{address}/none.png cannot be read" in done.stderr
        assert "broken.png is damaged" in done.stderr
        assert {path.name: path.read_bytes() for path in one.iterdir()} == {
            "a b.png": plain["a b.png"]
        }
        done = run("upscale", f"{address}/", "-o", f"{several}/", *options)
        assert done.returncode == 1
    names = {path.name: path.read_bytes() for path in several.iterdir()}
    assert names == {name: plain[name] for name in ("a b.png", "c.jpg")}


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an S3 store with the bucket `pictures`, which the commands use."""
    remote_stores.require("fsspec", "s3fs", "moto", "flask")
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - an optional dependency

    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    reset = urllib.request.Request(f"{address}/moto-api/reset", method="POST")
    with urllib.request.urlopen(reset):  # all servers of a process have the same buckets
        _client(address).create_bucket(Bucket="pictures")
    yield address
    server.stop()


def _client(address: str) -> Any:  # noqa: ANN401 - its types are made at run time
    import boto3  # noqa: PLC0415 - moto needs it

    return boto3.client("s3", endpoint_url=address, region_name="us-east-1")


def _objects(address: str) -> dict[str, bytes]:
    client = _client(address)
    listed = client.list_objects_v2(Bucket="pictures").get("Contents", [])
    keys = [entry["Key"] for entry in listed]
    return {key: client.get_object(Bucket="pictures", Key=key)["Body"].read() for key in keys}


def test_an_s3_store_is_read_and_written(
    s3: str, folder: Path, plain: dict[str, bytes], options: list[str]
) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            key = f"in/{path.relative_to(folder).as_posix()}"
            _client(s3).put_object(Bucket="pictures", Key=key, Body=path.read_bytes())
    done = run("upscale", "s3://pictures/in/", "-o", "s3://pictures/out/", "-r", *options)
    assert done.returncode == 1, done.stderr
    assert "s3://pictures/in/broken.png is damaged" in done.stderr
    made = {key: data for key, data in _objects(s3).items() if key.startswith("out/")}
    assert made == {f"out/{name}": data for name, data in plain.items()}
    missing = run("upscale", "s3://pictures/none.png", "-o", "s3://pictures/x.png", *options)
    assert missing.returncode == 1
    assert "s3://pictures/none.png cannot be read: there is no such file" in missing.stderr
    assert "x.png" not in _objects(s3)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_upload_leaves_nothing(
    s3: str, folder: Path, options: list[str], number: signal.Signals
) -> None:
    port = urlsplit(s3).port
    assert port is not None
    with remote_stores.stalling_proxy(port, most=40_000) as (stalling, stalled):
        command = [*COMMAND, "upscale", str(folder / "c.jpg"), "-o", "s3://pictures/large.bmp"]
        environment = os.environ | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{stalling}"}
        with subprocess.Popen(
            [*command, "--width", "400", *options], env=environment, stderr=subprocess.DEVNULL
        ) as process:
            assert stalled.wait(SECONDS)
            process.send_signal(number)
            assert process.wait(SECONDS) == (130 if number == signal.SIGINT else -number)
    assert _objects(s3) == {}


def test_googles_store_by_a_stand_in(
    memory: Any,  # noqa: ANN401
    plain: dict[str, bytes],
    options: list[str],
) -> None:
    """gs:// URLs are given to fsspec as they are; Google's own library is not run."""

    class Store(type(memory)):  # type: ignore[misc]  # a class that is known at run time
        protocol = "gs"
        store = memory.store
        pseudo_dirs = memory.pseudo_dirs

        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            return str(type(memory)._strip_protocol(path.removeprefix("gs://")))

        def unstrip_protocol(self, name: str) -> str:
            return f"gs://{name.lstrip('/')}"

    with mock.patch.dict("fsspec.registry._registry", {"gs": Store}):
        done = run_here("upscale", "gs://store/in", "-o", "gs://store/out/", "-r", *options)
        assert done.returncode == 1
        assert "gs://store/in/broken.png is damaged" in done.stderr
        one = run_here("upscale", "gs://store/in/c.jpg", "-o", "gs://store/one.jpg", *options)
        assert one.returncode == 0
    assert kept(memory, "/store/out/") == plain
    assert memory.cat_file("/store/one.jpg") == plain["c.jpg"]


def test_urls_are_paths() -> None:
    url = url_path("s3://bucket/a//b/c.png")
    assert str(url) == "s3://bucket/a//b/c.png"
    assert (url.name, url.suffix, url.scheme) == ("c.png", ".png", "s3")
    made = path_of("s3://bucket/out/") / "deep" / "x.png"
    assert isinstance(made, UrlPath)
    assert str(made) == "s3://bucket/out/deep/x.png"
    assert str(made.with_name("y.png")) == "s3://bucket/out/deep/y.png"
    assert url_path("https://host/a%20b.png?x=1").place == Path("a b.png")
    assert [is_url(each) for each in ("s3://b/x", "s3://", "c:/x", "file:///x", "x")] == [
        *(True, False, False, False, False)
    ]
    assert not isinstance(path_of("a.png"), UrlPath)


def test_two_urls_of_one_name_get_two_results() -> None:
    sources = [(url_path(f"https://{host}/a.png"), Path("a.png")) for host in ("one", "two")]
    jobs = plan_jobs(sources, path_of("s3://bucket/out"), Naming(suffix=".webp"))
    assert [str(job.target) for job in jobs] == [
        "s3://bucket/out/a.webp",
        "s3://bucket/out/a.png.webp",
    ]


def test_without_fsspec_the_packages_are_named(tmp_path: Path, options: list[str]) -> None:
    with mock.patch.dict("sys.modules", {"fsspec.core": None}):
        done = run_here("upscale", "s3://b/x.png", "-o", tmp_path / "x.png", *options)
    assert done.returncode == 2
    assert "needs the packages fsspec and s3fs" in " ".join(done.stderr.split())
