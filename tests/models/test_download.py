"""`models pull`'s client against a local server: whole, resumed, checked, or nothing."""

import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from click.testing import CliRunner

from realesrgan_vk import ModelError
from realesrgan_vk.cli import app
from realesrgan_vk.models.download import TIMEOUT, download
from realesrgan_vk.models.published import PUBLISHED
from realesrgan_vk.models.pull import find_published, pull_model

CONTENT = bytes(range(256)) * 4096
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    ranges: ClassVar[list[str | None]] = []
    paths: ClassVar[list[str]] = []
    break_after: ClassVar[list[int]] = []
    ignore_ranges: ClassVar[bool] = False
    tell_length: ClassVar[bool] = True
    odd_length: ClassVar[str] = ""
    stall_with: ClassVar[bytes | None] = None

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.ranges.append(wanted)
        self.paths.append(self.path)
        if "missing" in self.path:
            self.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        start = 0 if self.ignore_ranges else start
        self.send_response(206 if start else 200)
        if self.odd_length:
            self.send_header("Content-Length", self.odd_length)
        elif self.tell_length:
            self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        if self.stall_with is not None:
            self._stall(self.stall_with)
            return
        end = start + self.break_after.pop(0) if self.break_after else len(CONTENT)
        self.wfile.write(CONTENT[start:end])

    def _stall(self, block: bytes) -> None:
        with suppress(OSError):
            for _ in range(500):  # ten seconds
                self.wfile.write(block)
                time.sleep(0.02)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    _Handler.ranges, _Handler.paths, _Handler.break_after = [], [], []
    _Handler.ignore_ranges, _Handler.tell_length = False, True
    _Handler.odd_length, _Handler.stall_with = "", None
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def test_a_whole_file_is_fetched_once(server: str, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    target = tmp_path / "cache" / "net.pth"
    download(f"{server}/net.pth", target, DIGEST.upper(), lambda *now: seen.append(now))
    download(f"{server}/net.pth", target, DIGEST)
    assert target.read_bytes() == CONTENT
    assert _Handler.ranges == [None]
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [path.name for path in target.parent.iterdir()] == ["net.pth"]


def test_a_broken_connection_is_continued(server: str, tmp_path: Path) -> None:
    _Handler.break_after = [300_000, 400_000]
    download(f"{server}/net.pth", tmp_path / "net.pth", DIGEST)
    assert (tmp_path / "net.pth").read_bytes() == CONTENT
    assert _Handler.ranges == [None, "bytes=300000-", "bytes=700000-"]


def test_a_later_call_continues(server: str, tmp_path: Path) -> None:
    _Handler.break_after = [100_000, 50, 50]
    target = tmp_path / "net.pth"
    with pytest.raises(ModelError, match="100100 bytes are kept and continued next time"):
        download(f"{server}/net.pth", target, DIGEST)
    assert not target.exists()
    download(f"{server}/net.pth", target, DIGEST)
    assert target.read_bytes() == CONTENT
    assert _Handler.ranges[-1] == "bytes=100100-"
    assert list(tmp_path.iterdir()) == [target]


def test_a_server_without_ranges_starts_over(server: str, tmp_path: Path) -> None:
    _Handler.break_after, _Handler.ignore_ranges = [1000], True
    download(f"{server}/net.pth", tmp_path / "net.pth", DIGEST)
    assert (tmp_path / "net.pth").read_bytes() == CONTENT


def test_another_hash_is_not_kept(server: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"has the SHA-256 {DIGEST} instead of 0{{64}}"):
        download(f"{server}/net.pth", tmp_path / "net.pth", "0" * 64)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("told", [True, False])
def test_a_file_that_is_too_long_is_not_kept(told: bool, server: str, tmp_path: Path) -> None:
    _Handler.tell_length = told
    seen: list[tuple[int, int | None]] = []
    with pytest.raises(ModelError, match=r"longer than the 300000 bytes .* nothing of it was kept"):
        download(
            f"{server}/net.pth",
            tmp_path / "net.pth",
            DIGEST,
            lambda *now: seen.append(now),
            300_000,
        )
    assert not list(tmp_path.iterdir())
    assert max((done for done, _ in seen), default=0) <= 300_000
    assert bool(seen) is not told


def test_a_part_that_is_too_long_is_not_continued(server: str, tmp_path: Path) -> None:
    (tmp_path / f"net.pth.{DIGEST[:16]}.part").write_bytes(CONTENT + b"more")
    download(f"{server}/net.pth", tmp_path / "net.pth", DIGEST, None, len(CONTENT))
    assert (tmp_path / "net.pth").read_bytes() == CONTENT
    assert _Handler.ranges == [None]


@pytest.mark.parametrize("length", ["9" * 5000, "²", "-1", "1e3"])
def test_an_odd_length_is_ignored(length: str, server: str, tmp_path: Path) -> None:
    _Handler.odd_length = length
    with suppress(ModelError):  # http.client itself may refuse the header
        download(f"{server}/net.pth", tmp_path / "net.pth", DIGEST)


@pytest.mark.parametrize("block", [1, 0])
def test_a_server_that_stalls_is_given_up(
    block: int, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realesrgan_vk.models.download.TIMEOUT", 0.5)
    _Handler.stall_with = bytes(block)
    started = time.monotonic()
    with pytest.raises(ModelError, match=r"1000 bytes a second|timed out"):
        download(f"{server}/net.pth", tmp_path / "net.pth", DIGEST)
    assert time.monotonic() - started < 5
    assert len(_Handler.paths) == 1
    assert not (tmp_path / "net.pth").exists()


def test_a_download_ends_in_time(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realesrgan_vk.models.download.TOTAL_TIMEOUT", 0.3)
    _Handler.stall_with = bytes(1000)
    with pytest.raises(ModelError, match="not complete after"):
        download(f"{server}/net.pth", tmp_path / "net.pth", DIGEST)
    assert len(_Handler.paths) == 1
    assert TIMEOUT * 2 <= 30


def test_a_missing_file(server: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="HTTP 404"):
        download(f"{server}/missing.pth", tmp_path / "net.pth", DIGEST)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("server")
def test_offline_is_one_line_and_no_file(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        free = closed.getsockname()[1]
    with pytest.raises(ModelError, match="cannot be fetched") as caught:
        download(f"http://127.0.0.1:{free}/net.pth", tmp_path / "net.pth", DIGEST)
    assert "\n" not in str(caught.value)
    assert "proxy" in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"])
def test_the_proxy_of_the_environment_is_used(
    variable: str, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, server)
    download("http://elsewhere.invalid/net.pth", tmp_path / "net.pth", DIGEST)
    assert _Handler.paths == ["http://elsewhere.invalid/net.pth"]


def test_the_proxy_of_a_scheme_beats_the_one_for_all(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", server)
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    download("http://elsewhere.invalid/net.pth", tmp_path / "net.pth", DIGEST)
    assert _Handler.paths == ["http://elsewhere.invalid/net.pth"]


def test_a_proxy_that_does_not_speak_http_is_named_without_its_password(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://me:secret@127.0.0.1:1")
    with pytest.raises(ModelError, match=r"socks5, only HTTP proxies.*set HTTP_PROXY") as caught:
        download(f"{server}/net.pth", tmp_path / "net.pth", DIGEST)
    assert "secret" not in str(caught.value)
    monkeypatch.setenv("HTTP_PROXY", server)
    download(f"{server}/net.pth", tmp_path / "net.pth", DIGEST)


def test_a_full_disk_is_not_taken_for_a_broken_connection(server: str, tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full to play a full disk")
    (tmp_path / f"net.pth.{DIGEST[:16]}.part").symlink_to(full)
    with pytest.raises(ModelError, match=r"cannot be written .*make room") as caught:
        download(f"{server}/net.pth", tmp_path / "net.pth", DIGEST)
    assert "proxy" not in str(caught.value)
    assert len(_Handler.paths) == 1
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made(server: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match=r"cannot be written .*XDG_CACHE_HOME"):
        download(f"{server}/net.pth", tmp_path / "file" / "net.pth", DIGEST)
    assert not _Handler.paths


def test_the_help_tells_what_needs_a_hash() -> None:
    told = " ".join(CliRunner().invoke(app, ["models", "pull", "--help"]).output.split())
    assert "No hash is known for certain of realesrnet-x4plus: it is pulled only with" in told


def test_names_and_hashes_of_published_networks() -> None:
    assert find_published("RealESRGAN_x2plus.pth").name == "realesrgan-x2plus"
    assert find_published("realesr-general-x4v3").twin == "realesr-general-wdn-x4v3"
    assert all(len(item.sha256) in (0, 64) for item in PUBLISHED)
    with pytest.raises(ModelError, match="x9 cannot be pulled; choose one of realesrgan-x2plus"):
        pull_model("x9")
    with pytest.raises(ModelError, match="RealESRGAN_x4plus is installed already; to pull, choose"):
        pull_model("RealESRGAN_x4plus")
    with pytest.raises(
        ModelError,
        match=r"no SHA-256 of .* pull realesrnet-x4plus --sha256 HASH",
    ):
        pull_model("RealESRNet_x4plus")
    with pytest.raises(ModelError, match="64 hexadecimal digits"):
        pull_model("RealESRNet_x4plus", "abc")
