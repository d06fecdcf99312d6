"""`realesrgan-vk models pull`, from a local release server to a network with a name."""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from conftest import small_compact, small_rrdbnet
from PIL import Image

import realesrgan_vk
from realesrgan_export.export import export_checkpoint
from realesrgan_vk.cli import app
from realesrgan_vk.models import find_model, pull
from realesrgan_vk.models.checkpoint_network import convert_network
from realesrgan_vk.models.ncnn.param import format_graph
from realesrgan_vk.models.ncnn.weights import format_weights
from realesrgan_vk.models.published import Published
from realesrgan_vk.models.torch_file import read_tensors


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
    own = ("REALESRGAN_VK_CACHE", "REALESRGAN_VK_MODELS")
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", *own):
        monkeypatch.delenv(variable, raising=False)
    handler = functools.partial(_Quiet, directory=str(folder))
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    listed = []
    for seed, name, twin in ((2, "general-wdn", ""), (1, "general", "general-wdn")):
        torch.save({"params": small_compact(2, seed=seed).state_dict()}, folder / f"{name}.pth")
        digest = hashlib.sha256((folder / f"{name}.pth").read_bytes()).hexdigest()
        url = f"http://127.0.0.1:{httpd.server_port}/{name}.pth"
        listed.append(Published(name, url, digest, twin))
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


@pytest.mark.usefixtures("release")
def test_the_commands_pull_and_use_it(tmp_path: Path) -> None:
    pulled = CliRunner().invoke(app, ["models", "pull", "General"])
    assert pulled.exit_code == 0, pulled.output
    installed = tmp_path / "data" / "realesrgan-vk" / "models"
    assert sorted(pulled.stdout.splitlines()) == [
        f"added general to {installed}",
        f"added general-wdn to {installed}",
    ]
    pixels = (torch.rand(9, 11, 3).numpy() * 255).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "small.png")
    command = ["upscale", str(tmp_path / "small.png"), "-n", "general", "-d", "cpu", "--quiet"]
    strengths = ("0", "0.5", "1")
    for strength in strengths:
        target = str(tmp_path / f"{strength}.png")
        done = CliRunner().invoke(app, [*command, "-o", target, "--denoise", strength])
        assert done.exit_code == 0, done.output
    weak, mixed, strong = (np.asarray(Image.open(tmp_path / f"{s}.png"), int) for s in strengths)
    upscale = realesrgan_vk.Upscaler
    assert np.array_equal(weak, upscale("general-wdn", device="cpu").upscale(pixels))
    assert np.array_equal(strong, upscale("general", device="cpu").upscale(pixels))
    assert not np.array_equal(mixed, strong)
    assert not np.array_equal(mixed, weak)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("kind", ["x4", "x2", "x1", "compact"])
def test_the_conversion_without_pytorch_gives_its_pictures(
    kind: str, legacy: bool, tmp_path: Path
) -> None:
    network = small_compact(3) if kind == "compact" else small_rrdbnet(int(kind[1:]), blocks=2)
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):  # what 16 bits hold
            module.weight.data = module.weight.data.half().float()
    path = tmp_path / "net.pth"
    content = {"params": {"bad": 1}, "params_ema": network.state_dict()}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    converted = convert_network(read_tensors(path))
    param = tmp_path / "net.param"
    param.write_text(format_graph(converted.graph))
    param.with_suffix(".bin").write_bytes(format_weights(converted.graph, converted.weights))
    picture = torch.rand(8, 12, 3)
    with torch.no_grad():
        expected = network(picture.permute(2, 0, 1)[None])[0].permute(1, 2, 0).clamp(0, 1)
    made = realesrgan_vk.Upscaler(param, device="cpu", threads=1).upscale(picture.numpy())
    assert np.abs(made - expected.numpy()).max() < 1e-4


def test_every_kind_of_floating_tensor_is_read_as_pytorch_reads_it(tmp_path: Path) -> None:
    values = torch.rand(4, 3, 5, 2)
    state = {
        "half": values.half(),
        "double": values.double(),
        "channels_last": values.contiguous(memory_format=torch.channels_last),
        "part": values[1:3, :, 1:4],
        "turned": values.transpose(0, 3),
        "parameter": torch.nn.Parameter(values),
        "scalar": torch.tensor(0.25),
    }
    for legacy in (False, True):
        torch.save(state, tmp_path / "net.pth", _use_new_zipfile_serialization=not legacy)
        read = read_tensors(tmp_path / "net.pth")
        assert list(read) == list(state)
        for name, tensor in state.items():
            assert np.array_equal(read[name], tensor.detach().float().numpy()), name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.int64, torch.complex64])
def test_other_kinds_of_tensors_are_refused(dtype: torch.dtype, tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2, dtype=dtype)}, tmp_path / "net.pth")
    with pytest.raises(realesrgan_vk.ModelError, match="Storage'; needed are FloatStorage"):
        read_tensors(tmp_path / "net.pth")


@pytest.mark.parametrize("kind", ["x2", "compact"])
def test_the_conversion_without_pytorch_gives_the_exporters_files(
    kind: str, tmp_path: Path
) -> None:
    network = small_compact(4) if kind == "compact" else small_rrdbnet(2)
    torch.save({"params_ema": network.state_dict()}, tmp_path / "net.pth")
    exported = export_checkpoint(tmp_path / "net.pth", tmp_path / "out")
    converted = convert_network(read_tensors(tmp_path / "net.pth"))
    assert format_graph(converted.graph) == exported.param.read_text()
    assert format_weights(converted.graph, converted.weights) == exported.bin.read_bytes()


def test_the_command_offline_is_one_line(tmp_path: Path) -> None:
    nobody = {"HTTPS_PROXY": "http://127.0.0.1:1", "https_proxy": "http://127.0.0.1:1"}
    folders = {f"XDG_{kind}_HOME": str(tmp_path / kind) for kind in ("CACHE", "DATA")}
    done = subprocess.run(
        [sys.executable, "-m", "realesrgan_vk", "models", "pull", "realesrgan-x2plus"],
        env=os.environ | nobody | folders,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: https://")
    assert "cannot be fetched" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_what_cannot_be_converted_is_not_installed(release: Path, tmp_path: Path) -> None:
    torch.save({"params": {"conv0.weight": torch.zeros(1)}}, release / "general-wdn.pth")
    digest = hashlib.sha256((release / "general-wdn.pth").read_bytes()).hexdigest()
    with pytest.raises(
        realesrgan_vk.ModelError, match=r"general-wdn\.pth cannot be converted: .*neither"
    ):
        pull.pull_model("general-wdn", digest)
    assert not (tmp_path / "data").exists()
