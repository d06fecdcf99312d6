"""Losses against formulas written out in NumPy, and the feature network's weights."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn
from torch.nn import functional

from realesrgan_train.errors import CheckpointError
from realesrgan_train.losses import vgg19
from realesrgan_train.losses.gan import GANKind, GANLoss
from realesrgan_train.losses.perceptual import PAPER_LAYERS, PerceptualLoss
from realesrgan_train.losses.pixel import CharbonnierLoss, L1Loss
from realesrgan_train.losses.vgg19 import VGG19Features, fetch_vgg19, is_cached, load_vgg19

CONVOLUTIONS = {  # torchvision's numbering of vgg19.features
    "conv1_1": 0, "conv1_2": 2, "conv2_1": 5, "conv2_2": 7,
    "conv3_1": 10, "conv3_2": 12, "conv3_3": 14, "conv3_4": 16,
    "conv4_1": 19, "conv4_2": 21, "conv4_3": 23, "conv4_4": 25,
    "conv5_1": 28, "conv5_2": 30, "conv5_3": 32, "conv5_4": 34,
}  # fmt: skip


@pytest.fixture(scope="module")
def vgg() -> VGG19Features:
    torch.manual_seed(0)
    network = VGG19Features(tuple(CONVOLUTIONS))
    for layer in network.features:
        if isinstance(layer, nn.Conv2d):  # keep the signal alive through sixteen layers
            nn.init.kaiming_normal_(layer.weight)
    return network


def test_pixel_losses() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 2, 3, 4, 5))
    x, y = torch.from_numpy(a), torch.from_numpy(b)
    assert float(L1Loss(2.0)(x, y)) == pytest.approx(2 * np.abs(a - b).mean())
    expected = np.sqrt((a - b) ** 2 + 1e-2**2).mean()
    assert float(CharbonnierLoss(1.0, epsilon=1e-2)(x, y)) == pytest.approx(expected)
    with pytest.raises(ValueError, match="epsilon must be positive"):
        CharbonnierLoss(epsilon=0)


Array = npt.NDArray[np.float64]


def softplus(x: Array) -> Array:
    return np.asarray(np.logaddexp(0, x))


Formula = Callable[[Array, Array], float]
# (generator, discriminator) of logits r (real) and f (fake)
EXPECTED: dict[str, tuple[Formula, Formula]] = {
    "vanilla": (
        lambda r, f: softplus(-f).mean(),
        lambda r, f: softplus(-r).mean() + softplus(f).mean(),
    ),
    "lsgan": (
        lambda r, f: ((f - 1) ** 2).mean(),
        lambda r, f: ((r - 1) ** 2).mean() + (f**2).mean(),
    ),
    "hinge": (
        lambda r, f: -f.mean(),
        lambda r, f: np.maximum(0, 1 - r).mean() + np.maximum(0, 1 + f).mean(),
    ),
    "relativistic": (
        lambda r, f: (softplus(-(f - r.mean())).mean() + softplus(r - f.mean()).mean()) / 2,
        lambda r, f: (softplus(-(r - f.mean())).mean() + softplus(f - r.mean()).mean()) / 2,
    ),
}


@pytest.mark.parametrize("kind", list(EXPECTED))
def test_gan_losses(kind: GANKind) -> None:
    rng = np.random.default_rng(1)
    real, fake = 2 * rng.standard_normal((2, 3, 1, 4, 4)) + 0.3
    loss = GANLoss(kind, weight=0.1)
    generator, discriminator = EXPECTED[kind]
    r, f = torch.from_numpy(real), torch.from_numpy(fake)
    assert float(loss.generator(f, r)) == pytest.approx(0.1 * generator(real, fake))
    assert float(loss.discriminator(r, f)) == pytest.approx(discriminator(real, fake))
    f.requires_grad_()
    torch.autograd.backward(loss.generator(f, r))
    assert f.grad is not None
    assert float(f.grad.sum()) < 0  # higher logits of fakes are what the generator wants


def test_gan_loss_refuses_nonsense() -> None:
    with pytest.raises(ValueError, match="kind must be one of vanilla, lsgan, hinge"):
        GANLoss("wgan")  # type: ignore[arg-type]
    loss = GANLoss("relativistic")
    assert loss.needs_real_for_generator
    with pytest.raises(ValueError, match="needs the real logits"):
        loss.generator(torch.zeros(1))


def test_vgg_has_torchvisions_names_and_shapes(vgg: VGG19Features) -> None:
    widths = [64] * 2 + [128] * 2 + [256] * 4 + [512] * 8
    inputs = [3, *widths[:-1]]
    expected: dict[str, tuple[int, ...]] = {}
    for index, wide, narrow in zip(CONVOLUTIONS.values(), widths, inputs, strict=True):
        expected[f"features.{index}.weight"] = (wide, narrow, 3, 3)
        expected[f"features.{index}.bias"] = (wide,)
    assert {name: tuple(t.shape) for name, t in vgg.state_dict().items()} == expected
    assert not any(parameter.requires_grad for parameter in vgg.parameters())


def test_vgg_features_are_those_before_the_relu(vgg: VGG19Features) -> None:
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    found = vgg(x)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    value, weights = (x - mean) / std, vgg.state_dict()
    for name, index in CONVOLUTIONS.items():
        if name.endswith("_1") and name != "conv1_1":
            value = functional.max_pool2d(value, 2)
        weight, bias = weights[f"features.{index}.weight"], weights[f"features.{index}.bias"]
        value = functional.conv2d(value, weight, bias, padding=1)
        torch.testing.assert_close(found[name], value)
        assert bool((found[name] < 0).any())
        value = value.clamp(min=0)


def test_perceptual_loss_is_the_weighted_sum(vgg: VGG19Features) -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(2, 1, 3, 32, 32, generator=generator)
    loss = PerceptualLoss(weight=0.5, network=vgg)
    of_x, of_y = vgg(x), vgg(y)
    parts = [w * (of_x[n] - of_y[n]).abs().mean() for n, w in PAPER_LAYERS.items()]
    assert float(loss(x, y)) == pytest.approx(0.5 * float(torch.stack(parts).sum()), rel=1e-6)
    assert float(loss(y, y)) == 0
    x.requires_grad_()
    torch.autograd.backward(loss(x, y))
    assert x.grad is not None
    assert float(x.grad.abs().sum()) > 0
    assert not loss.train().network.training


def test_vgg_refuses_unknown_layers() -> None:
    with pytest.raises(ValueError, match="no layer relu9; there are: conv1_1"):
        VGG19Features(("relu9",))


def test_vgg_weights_load_from_a_file_with_a_classifier(vgg: VGG19Features, tmp_path: Path) -> None:
    path = tmp_path / "vgg19.pth"
    torch.save({**vgg.state_dict(), "classifier.0.weight": torch.zeros(2, 2)}, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    other = VGG19Features()
    load_vgg19(other, path, digest)
    assert all(torch.equal(other.state_dict()[k], v) for k, v in vgg.state_dict().items())
    with pytest.raises(CheckpointError, match=f"sha256 is {digest}, expected 00"):
        load_vgg19(other, path, "00" * 32)
    with pytest.raises(CheckpointError, match="no VGG19 weights there"):
        load_vgg19(other, tmp_path / "none.pth")
    torch.save({"features.0.weight": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="not VGG19 weights"):
        load_vgg19(other, path)


def test_vgg_weights_are_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    source = tmp_path / "vgg.pth"
    source.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    with pytest.raises(CheckpointError, match=r"sha256 is .*, expected 1234"):
        fetch_vgg19(source.as_uri(), "1234")
    assert not list((tmp_path / "cache" / "realesrgan-train").iterdir())
    fetched = fetch_vgg19(source.as_uri(), digest)
    assert fetched.read_bytes() == b"weights"
    fetched.write_bytes(b"damaged")
    assert not is_cached(digest)
    assert fetch_vgg19(source.as_uri(), digest).read_bytes() == b"weights"
    source.unlink()
    assert fetch_vgg19(source.as_uri(), digest.upper()) == fetched
    fetched.unlink()
    with pytest.raises(CheckpointError, match="cannot download VGG19's weights"):
        fetch_vgg19(source.as_uri(), digest)


def _endless(wait: float, block: bytes) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        with suppress(OSError):  # the other side has had enough
            while True:
                handler.wfile.write(block)
                time.sleep(wait)

    return answer


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (_endless(0.0, bytes(1 << 16)), "longer than 1 MB"),
        (_endless(0.05, b"a"), "fewer than 1000 bytes a second arrive"),
    ],
    ids=["endless", "slow"],
)
def test_a_download_has_limits(
    answer: Callable[[BaseHTTPRequestHandler], None],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Handler(BaseHTTPRequestHandler):
        do_GET = answer  # noqa: N815 - the name http.server looks for

        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(vgg19, "VGG19_BYTES", 1 << 20)
    monkeypatch.setattr(vgg19, "_TIMEOUT", 0.5)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with pytest.raises(CheckpointError, match=reason):
            fetch_vgg19(f"http://127.0.0.1:{server.server_port}/vgg.pth", "1234")
        server.shutdown()
        thread.join()
    assert not list((tmp_path / "realesrgan-train").iterdir())
