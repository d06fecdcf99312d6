"""OpenModelDB's catalogue: searched, and networks pulled from a local server of the same files."""

import contextlib
import functools
import hashlib
import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from copy import deepcopy
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import checkpoint_files
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from realesrgan_vk import ModelError, Upscaler
from realesrgan_vk.cli import app
from realesrgan_vk.models import download, openmodeldb
from realesrgan_vk.models.openmodeldb import load_catalogue, parse_catalogue
from realesrgan_vk.models.pull import pull_model

ENTRY: dict[str, Any] = {
    "name": "Tiny Compact",
    "author": "somebody",
    "license": "CC-BY-NC-SA-4.0",
    "tags": ["anime", "restoration"],
    "description": "A network.",
    "date": "2026-01-02",
    "architecture": "compact",
    "size": ["16nf", "2nc"],
    "scale": 2,
    "inputChannels": 3,
    "outputChannels": 3,
    "resources": [
        {
            "platform": "pytorch",
            "type": "pth",
            "size": 20000,
            "sha256": "ab" * 32,
            "urls": ["https://github.com/a/b/releases/download/1/2x-Tiny.pth"],
        }
    ],
    "trainingIterations": 1000,
    "images": [],
}
Changed = Callable[[dict[str, Any]], object]


def entry(change: Changed = lambda _: None) -> dict[str, Any]:
    copy = deepcopy(ENTRY)
    change(copy)
    return copy


class _Server:
    """Serves a folder; what is in `cut` breaks off after so many bytes, once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        self.cut: dict[str, int] = {}
        server = self

        class Handler(SimpleHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                name = self.path[1:]
                server.asked.append(f"{name} {self.headers.get('Range', '')}".strip())
                path = server.folder / name
                if not path.is_file():
                    self.send_error(404)
                    return
                content, start = path.read_bytes(), 0
                if given := self.headers.get("Range"):
                    start = int(given.removeprefix("bytes=").removesuffix("-"))
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(content) - start))
                self.end_headers()
                self.wfile.write(content[start : server.cut.pop(name, len(content))])

        self.httpd = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler))
        self.url = f"http://127.0.0.1:{self.httpd.server_port}/"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Server]:
    """The catalogue, and the checkpoint of its `2x-Tiny`."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    proxies = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
    for variable in ("REALESRGAN_VK_CACHE", *proxies):
        monkeypatch.delenv(variable, raising=False)
    for module in ("models.add", "cli.models"):
        monkeypatch.setattr(
            f"realesrgan_vk.{module}.own_models_folder", lambda: tmp_path / "installed"
        )
    folder = tmp_path / "site"
    folder.mkdir()
    content = checkpoint_files.checkpoint(checkpoint_files.compact_arrays(seed=1))
    (folder / "2x-Tiny.pth").write_bytes(content)
    serving = _Server(folder)
    monkeypatch.setenv(openmodeldb.VARIABLE, f"{serving.url}models.json")

    def of(*urls: str, **more: object) -> Changed:
        def change(one: dict[str, Any]) -> None:
            sha256 = hashlib.sha256(content).hexdigest()
            one["resources"][0] |= {"size": len(content), "sha256": sha256, "urls": list(urls)}
            one |= more

        return change

    catalogue = {
        "2x-Tiny": entry(of(f"{serving.url}gone.pth", f"{serving.url}2x-Tiny.pth")),
        "4x-Behind": entry(of("https://mega.nz/file/x#y", name="Behind a page", license=None)),
        "1x-Wrong": entry(of(f"{serving.url}wrong.pth", license="MIT")),
        "2x-Windows": entry(of(f"{serving.url}2x-Tiny.pth", architecture="swinir")),
        "4x-Four": entry(of(f"{serving.url}2x-Tiny.pth", inputChannels=4, outputChannels=4)),
        "../../escape": entry(of(f"{serving.url}2x-Tiny.pth")),
        "realesrgan-x4plus": entry(of(f"{serving.url}2x-Tiny.pth")),
    }
    (folder / "models.json").write_text(json.dumps(catalogue, indent=2))
    (folder / "wrong.pth").write_bytes(content[::-1])
    thread = threading.Thread(target=serving.httpd.serve_forever)
    thread.start()
    yield serving
    serving.httpd.shutdown()
    serving.httpd.server_close()
    thread.join()


def command(*words: str) -> str:
    done = CliRunner().invoke(app, ["models", *words])
    if done.exception is not None:
        raise done.exception
    return done.output


def test_search(server: _Server) -> None:
    told = command("search", "COMPACT", "anime")
    lines = [line.split() for line in told.splitlines()]
    assert [line[0] for line in lines[1:7]] == [
        "1x-Wrong", "2x-Tiny", "2x-Windows", "4x-Behind", "4x-Four", "realesrgan-x4plus",
    ]  # fmt: skip
    assert lines[2][:6] == ["2x-Tiny", "x2", "compact", "CC-BY-NC-SA-4.0", "0.0", "127.0.0.1"]
    assert "cannot run" in command("search", "windows")
    assert "none stated" in told
    assert "a page" in told
    assert "escape" not in told
    (row,) = json.loads(command("search", "behind", "--json"))
    assert (row["name"], row["licence"], row["host"], row["channels"]) == (
        "4x-Behind", "", "", [3, 3],
    )  # fmt: skip
    with pytest.raises(ModelError, match="no network of OpenModelDB matches x9"):
        command("search", "x9")
    assert server.asked == ["models.json"], "it is fetched once a day"


def test_pulled_by_the_address_that_works_with_its_licence(server: _Server, tmp_path: Path) -> None:
    told = command("pull", "openmodeldb:2X_tiny")
    assert f"added 2x-Tiny to {tmp_path / 'installed'}" in told
    assert "note: 2x-Tiny by somebody: CC-BY-NC-SA-4.0 (https://openmodeldb.info/models" in told
    assert server.asked == ["models.json", "gone.pth", "2x-Tiny.pth"]
    (found,) = json.loads((tmp_path / "installed" / "manifest.json").read_text())["models"]
    assert (found["name"], found["licence"], found["for"]) == (
        "2x-Tiny", "CC-BY-NC-SA-4.0", "anime, restoration",
    )  # fmt: skip
    assert found["origin"] == "https://openmodeldb.info/models/2x-Tiny"
    upscaler = Upscaler("2x-tiny", device="cpu", threads=1)
    assert upscaler.upscale(np.zeros((5, 6, 3), np.uint8)).shape == (10, 12, 3)
    listed = {row["name"]: row for row in json.loads(command("list", "--json"))}
    assert listed["2x-Tiny"]["licence"] == "CC-BY-NC-SA-4.0"


def test_an_interrupted_pull_leaves_nothing_half_and_goes_on(
    server: _Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    server.cut["2x-Tiny.pth"] = 1000
    with pytest.raises(ModelError, match="1000 bytes are kept and continued next time"):
        pull_model("openmodeldb:2x-Tiny")
    assert not (tmp_path / "installed").exists()
    (kept,) = (tmp_path / "cache" / "realesrgan-vk" / "checkpoints").iterdir()
    assert (kept.suffix, kept.stat().st_size) == (".part", 1000)
    server.asked.clear()
    assert pull_model("openmodeldb:2x-Tiny") == ["2x-Tiny"]
    assert server.asked[-1] == "2x-Tiny.pth bytes=1000-"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("1x-Wrong", "wrong.pth has the SHA-256 .* instead of .*it was deleted"),
        ("4x-Behind", r"with a browser: https://mega.nz/file/x#y.*models add FILE.pth --name 4x-B"),
        ("4x-Four", "maps 4 channels to 4"),
        ("2x-Windows", "architecture swinir, which cannot be converted.*compact or span"),
        ("2x-Tine", r"lists no network '2x-Tine' \(did you mean 2x-Tiny\?\)"),
        ("../../escape", "lists no network"),
        ("realesrgan-x4plus", "means the official network realesrgan-x4plus"),
        ("", "lists no network ''"),
    ],
)
def test_what_is_not_installed(server: _Server, tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        pull_model(f"openmodeldb:{name}")
    assert not (tmp_path / "installed").exists()
    assert {path.name for path in tmp_path.iterdir()} <= {"site", "cache"}
    assert not list(tmp_path.rglob("*.part"))


def test_offline_the_last_list_is_used(
    server: _Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_catalogue()
    (cached,) = (tmp_path / "cache" / "realesrgan-vk").glob("openmodeldb-*.json")
    os.utime(cached, (0, 0))
    (server.folder / "models.json").unlink()
    found = load_catalogue()
    assert [network.id for network in found.search(["tiny", "x2"])] == [
        "1x-Wrong", "2x-Tiny", "2x-Windows", "4x-Four", "realesrgan-x4plus",
    ]  # fmt: skip
    assert "a list of" in found.note
    assert "HTTP 404" in found.note
    (server.folder / "models.json").write_text("<html>")
    assert "is no catalogue" in load_catalogue().note
    assert len(json.loads(cached.read_text())) == 7, "what is no list does not replace it"
    cached.write_text("{")
    with pytest.raises(ModelError, match="is no catalogue"):
        load_catalogue()
    monkeypatch.setenv(openmodeldb.VARIABLE, f"{server.url}none.json")
    with pytest.raises(ModelError, match=r"cannot be had.*HTTP 404.*copy of it can be named in"):
        load_catalogue()
    for scheme in ("http", "HTTPS", "ftp"):
        monkeypatch.setenv(openmodeldb.VARIABLE, f"{scheme}://me:secret@127.0.0.1:1/a.json")
        with pytest.raises(ModelError, match=r"//127\.0\.0\.1:1/a\.json") as refused:
            load_catalogue()
        assert "secret" not in str(refused.value)
        assert "me:" not in str(refused.value)
    with pytest.raises(ModelError, match=r"cannot be had.*Invalid IPv6"):
        load_catalogue("https://[::1/models.json")
    monkeypatch.setenv(openmodeldb.VARIABLE, str(tmp_path / "list.json"))
    with pytest.raises(ModelError, match=r"cannot be read \(No such file"):
        load_catalogue()
    (tmp_path / "list.json").write_text(json.dumps({"a": entry(), "b": {}}))
    assert load_catalogue().left_out == 1


def test_what_is_said_to_run_is_what_was_tried() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "architectures.md").read_text()
    paths: dict[str, set[str]] = {}
    for name, path in re.findall(r"^\| `([^`]+)` \| (\w+)", page, re.MULTILINE):
        paths.setdefault(re.sub(r" x\d+|[^a-z+]", "", name.lower()), set()).add(path)
    words = {"compact": "srvggnetcompact"}
    for known, refused in ((openmodeldb.CONVERTED, False), (openmodeldb.REFUSED, True)):
        for each in known:
            wanted = words.get(each, each.replace("-", ""))
            found = set().union(*(path for key, path in paths.items() if key.startswith(wanted)))
            assert found, each
            assert ("refused" in found) == refused, (each, found)


@pytest.mark.parametrize(
    ("url", "direct"),
    [
        ("https://github.com/a/b/raw/main/x.pth", True),
        ("https://huggingface.co/a/b/resolve/main/x.pth?download=true", True),
        ("http://example.org/x.PTH", True),
        ("https://github.com/a/b/blob/main/x.pth", False),
        ("https://www.mediafire.com/file/abc/x.pth", False),
        ("https://www.dropbox.com/s/abc/x.pth", False),
        ("https://drive.google.com/file/d/abc/view", False),
        ("https://example.org/x.pth.zip", False),
        ("https://example.org/x.safetensors", False),
        ("https://example.org/#x.pth", False),
    ],
)
def test_direct_addresses(url: str, direct: bool) -> None:
    content = {"1x-a": entry(lambda one: one["resources"][0].update(urls=[url]))}
    (network,) = parse_catalogue(content).networks
    assert bool(network.files[0].direct) == direct


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "ftp://a/x.pth", "https://user:word@host/x.pth", "https:///x.pth",
        "https://host:port/x.pth", "https://[::1/x.pth", "https://a/\nx.pth", "https://a/ x.pth",
        "https://a/\u202ex.pth", "", 5, None, ["https://a/x.pth"], "https://a/" + "x" * 3000,
    ],
)  # fmt: skip
def test_addresses_that_are_none(url: object) -> None:
    content = {"1x-a": entry(lambda one: one["resources"][0].update(urls=[url]))}
    (network,) = parse_catalogue(content).networks
    assert network.files[0].urls == ()
    with pytest.raises(ModelError, match=r"with a browser: https://openmodeldb\.info/models/1x-a"):
        openmodeldb.file_to_pull(network)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = (*ENTRY, *(f"resources.{key}" for key in ENTRY["resources"][0]))
NAMES = st.sampled_from(
    ["2x-Ok", "../up", "/etc/passwd", "a/b", "a\\b", "C:x", "con", "nul.txt", "a\0b", "..", ".", "",
     "\u202ea", "x" * 300, "a.param", "a\nb", "-rf", "é"]
) | st.text(max_size=6)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(NAMES, st.dictionaries(st.sampled_from(KEYS), JSON, max_size=4), JSON)
def test_hostile_entries_are_left_out_or_safe(
    name: str, changes: dict[str, Any], other: object
) -> None:
    hostile = entry()
    for key, value in changes.items():
        place, _, inner = key.partition(".")
        if not inner:
            hostile[place] = value
        elif hostile["resources"] == ENTRY["resources"]:
            hostile["resources"][0][inner] = value
    text = json.dumps({name: hostile, "other": other, "3x-good": ENTRY})
    found = parse_catalogue(json.loads(text))
    assert "3x-good" in {network.id for network in found.networks}
    assert len(found.networks) + found.left_out == len(json.loads(text))
    for network in found.networks:
        assert Path(network.id).name == network.id
        assert network.id.isascii()
        assert network.id.isprintable()
        assert " " not in network.id
        told = openmodeldb.licence_note(network)
        assert told.isprintable()
        assert len(told) < 30_000
        assert 1 <= network.scale <= 64
        json.dumps(openmodeldb.entry_of(network))
        network.matches(["a"])
        with contextlib.suppress(ModelError):
            file = openmodeldb.file_to_pull(network)
            assert file.direct[0].startswith(("http://", "https://"))
            assert 1 <= file.size <= 4 << 30


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "3", "null", '"a"', "{", "[" * 100_000, '{"a":' * 40 + "1" + "}" * 40,
        '{"a": ' + "9" * 100_000 + "}", '{"a": NaN}', '{"a": {}}', "\xff\xfe", '{"\\ud800": {}}',
    ],
)  # fmt: skip
def test_files_that_are_no_catalogue(text: str, tmp_path: Path) -> None:
    path = tmp_path / "models.json"
    path.write_text(text, "latin-1")
    with pytest.raises(ModelError, match="is no catalogue of networks"):
        load_catalogue(str(path))
