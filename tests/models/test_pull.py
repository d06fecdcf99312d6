"""`models pull` from a local server, without PyTorch: installed with its twin, or nothing."""

import functools
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import checkpoint_files
import numpy as np
import pytest
from click.testing import CliRunner
from compact_network import write_compact

import realesrgan_vk
from realesrgan_vk.cli import app
from realesrgan_vk.models import checkpoint_network, find_model, pull, user_store
from realesrgan_vk.models.add import add_models
from realesrgan_vk.models.download import Progress
from realesrgan_vk.models.published import Published


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where networks are installed; `general` and its twin `general-wdn` can be pulled."""
    release = tmp_path / "release"
    release.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    proxies = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
    for variable in ("REALESRGAN_VK_CACHE", *proxies):
        monkeypatch.delenv(variable, raising=False)
    for module in ("models.add", "cli.models"):
        folder = f"realesrgan_vk.{module}.own_models_folder"
        monkeypatch.setattr(folder, lambda: tmp_path / "installed")
    handler = functools.partial(_Quiet, directory=str(release))
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    listed = []
    for seed, name, twin in ((2, "general-wdn", ""), (1, "general", "general-wdn")):
        arrays = checkpoint_files.compact_arrays(seed=seed)
        content = checkpoint_files.checkpoint(arrays)
        (release / f"{name}.pth").write_bytes(content)
        url = f"http://127.0.0.1:{httpd.server_port}/{name}.pth"
        digest = hashlib.sha256(content).hexdigest()
        listed.append(Published(name, url, digest, twin, len(content), made_for="tests"))
    monkeypatch.setattr(pull, "PUBLISHED", tuple(listed))
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    yield tmp_path / "installed"
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def test_fetched_files_are_in_the_cache_folder_that_is_named(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REALESRGAN_VK_CACHE", str(tmp_path / "named"))
    assert CliRunner().invoke(app, ["models", "pull", "general"]).exit_code == 0
    kept = sorted(path.name for path in (tmp_path / "named" / "checkpoints").iterdir())
    assert kept == ["general-wdn.pth", "general.pth"]
    assert not (tmp_path / "cache" / "realesrgan-vk" / "checkpoints").exists()
    assert (installed / "general.param").is_file()


def test_pulled_with_its_twin_and_used(installed: Path) -> None:
    done = CliRunner().invoke(app, ["models", "pull", "General.pth"])
    assert done.exit_code == 0, done.output
    assert sorted(done.stdout.splitlines()) == [
        f"added general to {installed}",
        f"added general-wdn to {installed}",
    ]
    entry = json.loads((installed / "manifest.json").read_text())["models"][0]
    assert (entry["licence"], entry["for"], entry["scale"]) == ("BSD-3-Clause", "tests", 2)
    picture = np.random.default_rng(0).random((9, 11, 3)).astype(np.float32)
    strengths = [
        np.asarray(realesrgan_vk.Upscaler("general", device="cpu", denoise=share).upscale(picture))
        for share in (None, 1, 0.5, 0)
    ]
    weak = realesrgan_vk.Upscaler("general-wdn", device="cpu").upscale(picture)
    assert np.array_equal(strengths[0], strengths[1])
    assert np.abs(strengths[3] - np.asarray(weak)).max() < 1e-6
    assert np.abs(strengths[2] - strengths[0]).max() > 1e-3


def test_a_network_of_that_name_is_replaced_only_when_asked(
    installed: Path, tmp_path: Path
) -> None:
    add_models(write_compact(tmp_path / "mine", "general"), installed)
    before = find_model("general").bin.read_bytes()
    refused = CliRunner().invoke(app, ["models", "pull", "general"])
    assert "--replace" in str(refused.exception)
    assert find_model("general").bin.read_bytes() == before
    assert not (installed / "general-wdn.param").exists()
    for _ in range(2):  # the second time it is the same, which needs no leave
        options = [] if (installed / "general-wdn.param").exists() else ["--replace"]
        done = CliRunner().invoke(app, ["models", "pull", "general", *options])
        assert done.exit_code == 0, done.output
    assert find_model("general").bin.read_bytes() != before


@pytest.mark.parametrize("case", ["longer", "another", "page"])
def test_what_is_not_the_published_file_is_not_installed(
    case: str, installed: Path, tmp_path: Path
) -> None:
    path = tmp_path / "release" / "general-wdn.pth"
    content = path.read_bytes()
    if case == "page":
        content = b"<html>"
        path.write_bytes(content)
    else:
        path.write_bytes(content + b"more" if case == "longer" else content[::-1])
    digest = hashlib.sha256(content).hexdigest()
    reason = {
        "longer": "longer than the .* bytes of the published file",
        "another": "has the SHA-256",
        "page": r"general-wdn\.pth cannot be converted: .* no file that PyTorch wrote",
    }[case]
    with pytest.raises(realesrgan_vk.ModelError, match=reason):
        pull.pull_model("general-wdn", digest)
    assert not installed.exists()
    kept = [file.name for file in (tmp_path / "cache").rglob("*") if file.is_file()]
    assert kept == (["general-wdn.pth"] if case == "page" else [])


@pytest.mark.parametrize("stage", ["download", "convert", "write", "move"])
def test_a_pull_that_ends_in_any_stage_leaves_nothing_half_and_goes_on(
    stage: str, installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the two networks none is there until both are; what was fetched is not fetched again."""

    def progress(name: str) -> Progress:
        def report(done: int, total: int | None) -> None:
            if stage == "download" and name == "general-wdn":
                raise KeyboardInterrupt

        return report

    places: dict[str, tuple[object, str]] = {
        "convert": (checkpoint_network, "convert_checkpoint"),
        "write": (user_store, "_write"),
        "move": (Path, "replace"),
    }
    calls = 0
    with monkeypatch.context() as patched:
        if stage in places:
            work: Callable[..., object] = getattr(*places[stage])

            def ended(*given: object) -> object:
                nonlocal calls
                calls += stage != "move" or installed in Path(str(given[1])).parents
                if calls == 2:
                    raise KeyboardInterrupt
                return work(*given)

            patched.setattr(*places[stage], ended)
        with pytest.raises(KeyboardInterrupt):
            pull.pull_model("general", progress=progress)
    left = [path.name for path in installed.rglob("*") if path.is_file()]
    assert not [name for name in left if name.startswith(("general", "manifest"))]
    fetched = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.pth")}
    assert "general.pth" in fetched
    assert pull.pull_model("general") == ["general", "general-wdn"]
    assert find_model("general").bin.exists()
    for path in (tmp_path / "cache").rglob("*.pth"):
        assert fetched.get(path.name, path.stat().st_mtime_ns) == path.stat().st_mtime_ns
