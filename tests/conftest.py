"""Real photographs and the fast official network, shared by the tests of the Python side."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import drop_in
import numpy as np
import page_server
import pytest
import skimage
from compact_network import write_compact
from numpy.typing import NDArray
from PIL import Image

import realesrgan_vk

FAST_MODEL = "realesr-animevideov3"
FORMAT_SIZE = (24, 20)  # width, height
Photo = Callable[..., NDArray[np.uint8]]

# A shell's background jobs ignore Ctrl-C, and so would the tests of it, and all they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Ray reads the token of a home folder once a process, and the tests of the documents have another
# home than those of clusters in the same process.
os.environ["RAY_AUTH_MODE"] = "disabled"


@pytest.fixture(autouse=True)
def _own_model_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What the developer keeps or installed of networks must not decide a test."""
    monkeypatch.delenv("REALESRGAN_VK_MODELS", raising=False)
    monkeypatch.setattr(
        "realesrgan_vk.models.registry.own_models_folder", lambda: tmp_path / "installed"
    )


@pytest.fixture(scope="session")
def photo() -> Photo:
    """A crop of one of scikit-image's CC0 photographs: photo(width, height, name="astronaut")."""

    def crop(width: int, height: int, name: str = "astronaut") -> NDArray[np.uint8]:
        path = Path(skimage.__file__).parent / "data" / f"{name}.png"
        left, top = 190, 60
        with Image.open(path) as image:
            rgb = image.convert("RGB").crop((left, top, left + width, top + height))
        return np.asarray(rgb)

    return crop


@pytest.fixture(scope="session")
def fast() -> realesrgan_vk.Upscaler:
    """The fastest official network, on the CPU; one thread is best for such small pictures."""
    return realesrgan_vk.Upscaler(FAST_MODEL, device="cpu", threads=1)


@pytest.fixture
def source(photo: Photo, tmp_path: Path) -> Path:
    """A small picture for the drop-in executables."""
    path = tmp_path / "in.png"
    Image.fromarray(photo(*drop_in.SIZE)).save(path)
    return path


@pytest.fixture
def rgb(photo: Photo) -> NDArray[np.uint8]:
    """A crop of the size that the tests of picture formats use."""
    return photo(*FORMAT_SIZE)


@pytest.fixture
def rgba(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same with alpha rising from left to right."""
    width, height = FORMAT_SIZE
    ramp = np.linspace(40, 255, width).astype(np.uint8)
    return np.dstack([rgb, np.broadcast_to(ramp, (height, width))])


@pytest.fixture
def servers(tmp_path: Path) -> page_server.Servers:
    """Servers of the page, with jobs in one folder; the network `page_server.NET` is installed."""
    page_server.require()
    write_compact(tmp_path / "installed", page_server.NET)
    return page_server.Servers(tmp_path / "jobs")


@pytest.fixture
def client(servers: page_server.Servers) -> Iterator[page_server.Client]:
    """A client of a server that runs."""
    with servers.run() as running:
        yield running.client


@pytest.fixture
def png(photo: Photo) -> bytes:
    """A photograph of 48 x 32 pixels as a file."""
    return page_server.picture(photo, 48, 32, "PNG")
