"""`realesrgan-vk models pull`, from a local release server to a network with a name."""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from conftest import small_compact

import realesrgan_vk
from realesrgan_vk import pull
from realesrgan_vk.models import find_model


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder served as the release, listed as `general` and its twin `general-wdn`."""
    folder = tmp_path / "release"
    folder.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "REALESRGAN_VK_MODELS"):
        monkeypatch.delenv(variable, raising=False)
    handler = functools.partial(_Quiet, directory=str(folder))
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    listed = []
    for seed, name, twin in ((2, "general-wdn", ""), (1, "general", "general-wdn")):
        torch.save({"params": small_compact(2, seed=seed).state_dict()}, folder / f"{name}.pth")
        digest = hashlib.sha256((folder / f"{name}.pth").read_bytes()).hexdigest()
        url = f"http://127.0.0.1:{httpd.server_port}/{name}.pth"
        listed.append(pull.Published(name, url, digest, twin))
    monkeypatch.setattr(pull, "PUBLISHED", tuple(listed))
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    yield folder
    httpd.shutdown()
    httpd.server_close()
    thread.join()


@pytest.mark.usefixtures("release")
def test_pulled_with_its_twin_and_used(tmp_path: Path) -> None:
    assert sorted(pull.pull_model("general")) == ["general", "general-wdn"]
    assert find_model("general").param.parent == tmp_path / "data" / "realesrgan-vk" / "models"
    strong = realesrgan_vk.Upscaler("general", device="cpu")
    mixed = realesrgan_vk.Upscaler("general", device="cpu", denoise=0.5)
    picture = torch.rand(9, 11, 3).numpy()
    assert strong.upscale(picture).shape == (18, 22, 3)
    assert abs(strong.upscale(picture) - mixed.upscale(picture)).max() > 1e-3


def test_what_cannot_be_exported_is_not_installed(release: Path, tmp_path: Path) -> None:
    torch.save({"params": {"conv0.weight": torch.zeros(1)}}, release / "general-wdn.pth")
    digest = hashlib.sha256((release / "general-wdn.pth").read_bytes()).hexdigest()
    with pytest.raises(
        realesrgan_vk.ModelError, match=r"general-wdn\.pth cannot be exported: .*neither"
    ):
        pull.pull_model("general-wdn", digest)
    assert not (tmp_path / "data").exists()
