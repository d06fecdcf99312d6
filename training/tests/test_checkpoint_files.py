"""What a checkpoint file may hold and how it is wrapped; what no checkpoint is, in one line."""

from __future__ import annotations

import json
import pickle
import random
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from realesrgan_train.checkpoint_file import read_tensors
from realesrgan_train.errors import CheckpointError
from realesrgan_train.losses.vgg19 import VGG19Features, load_vgg19
from realesrgan_train.networks import UNetDiscriminatorSN
from realesrgan_train.weights import check_activation, load_network

from .test_weights import assert_same, old_numbered, small_compact, small_rrdbnet

State = dict[str, Tensor]


def write_safetensors(path: Path, header: object, content: bytes = b"") -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content)


def save_onnx(path: Path) -> None:
    """The first fields of a ModelProto: ir_version 8, producer_name, then a graph."""
    path.write_bytes(b"\x08\x08\x12\x07pytorch\x1a\x052.0.0:\x10" + bytes(16))


def save_torchscript(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/data.pkl", b"\x80\x02}q\x00.")
        archive.writestr("net/constants.pkl", b"\x80\x02).")


def save_compressed(path: Path) -> None:
    """A checkpoint of 64 MiB in a file a thousandth as large."""
    stored = path.with_name("stored")
    torch.save({"a": torch.zeros(1 << 24)}, stored)
    with zipfile.ZipFile(stored) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))


def save_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "no network")


def save_picture(path: Path) -> None:
    Image.new("RGB", (9, 9)).save(path, "PNG")


KINDS: dict[str, tuple[bytes | Callable[[Path], None], str]] = {
    "HTML": (b"\n<!DOCTYPE html><html><body>Not found</body></html>", "an HTML or XML page"),
    "HTML with a byte order mark": (b"\xef\xbb\xbf<html><p>no</p></html>", "an HTML or XML page"),
    "HTML in UTF-16": ("<html><p>no</p></html>".encode("utf-16"), "an HTML or XML page"),
    "git-lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "a git-lfs pointer"),
    "PNG": (save_picture, r"a picture \(PNG\)"),
    "ONNX": (save_onnx, "an ONNX model"),
    "empty": (b"", "an empty file; copy or download it again"),
    "two bytes": (b"ab", "a file of 2 bytes"),
    "text": ("training notes, and größer pictures\n".encode() * 200, "a text file"),
    "text in Latin-1": ("Größe und Maße\n".encode("latin-1") * 9, "a text file"),
    "zip": (save_zip, "a zip archive without PyTorch's data.pkl"),
    "TorchScript": (save_torchscript, "a TorchScript program"),
    "compressed": (save_compressed, "a compressed archive, where PyTorch compresses nothing"),
    "ncnn": (b"7767517\n2 2\nInput data 0 1 data\n", r"an ncnn graph \(\.param\)"),
    "gzip": (b"\x1f\x8b\x08" + bytes(20), "a gzip archive; unpack it"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_files_that_are_no_checkpoint_are_called_what_they_are(
    tmp_path: Path, kind: str, suffix: str
) -> None:
    content, words = KINDS[kind]
    path = tmp_path / f"net{suffix}"
    if callable(content):
        content(path)
    else:
        path.write_bytes(content)
    for read in (load_network, lambda path: load_vgg19(VGG19Features(), path)):
        with pytest.raises(CheckpointError, match=rf"not a checkpoint but {words}") as caught:
            read(path)
        assert "\n" not in str(caught.value)


def test_random_bytes_are_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    path.write_bytes(bytes([0]) + random.Random(0).randbytes(999))
    with pytest.raises(CheckpointError, match="neither a zip archive nor a pickle"):
        load_network(path)


def test_the_content_tells_the_format(tmp_path: Path) -> None:
    network = small_rrdbnet()
    save_file(network.state_dict(), tmp_path / "net.pth")
    torch.save(network.state_dict(), tmp_path / "net.safetensors")
    torch.save(network.state_dict(), tmp_path / "pytorch_model.bin")
    for path in tmp_path.iterdir():
        assert_same(load_network(path).network, network)


def renamed(start: str) -> Callable[[State], State]:
    return lambda state: {f"{start}{name}": tensor for name, tensor in state.items()}


def under(*keys: str) -> Callable[[State], dict[str, Any]]:
    def wrap(state: State) -> dict[str, Any]:
        content: dict[str, Any] = dict(state)
        for key in reversed(keys):
            content = {key: content, "epoch": 3, "optimizer": {"lr": 0.1}}
        return content

    return wrap


def with_a_discriminator(start: str, other: str) -> Callable[[State], State]:
    beside = UNetDiscriminatorSN(num_feat=4).state_dict()
    return lambda state: renamed(other)(beside) | renamed(start)(state)


def zeros_under(other: str) -> Callable[[State], State]:
    def add(state: State) -> State:
        zeros = {name: torch.zeros_like(tensor) for name, tensor in state.items()}
        return renamed(other)(zeros) | renamed("params_ema.")(state)

    return add


NAMES = {
    "bare": renamed(""),
    **{
        start: renamed(start)
        for start in (
            "module.",
            "net_g.",
            "generator.",
            "model.",
            "params_ema.",
            "state_dict.",
            "module.net_g.",
            "net_g.module.",
            "params.module.generator.",
            "model.module.",
            "_orig_mod.",
        )
    },
    "Lightning": with_a_discriminator("generator.", "discriminator."),
    "net_g and net_d": with_a_discriminator("net_g.module.", "net_d.module."),
    "average first": zeros_under("params."),
}
WRAPPED = {
    "/".join(keys): under(*keys)
    for keys in (
        ("params_ema",),
        ("params",),
        ("state_dict",),
        ("model",),
        ("net_g",),
        ("generator",),
        ("model", "params_ema"),
        ("state_dict", "module", "generator"),
    )
}


@pytest.mark.parametrize("make", [small_rrdbnet, small_compact])
@pytest.mark.parametrize("names", NAMES)
def test_every_prefix_in_every_format(
    tmp_path: Path, names: str, make: Callable[[], nn.Module]
) -> None:
    network = make()
    state = {name: tensor.clone() for name, tensor in NAMES[names](network.state_dict()).items()}
    torch.save(state, tmp_path / "net.pth")
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    torch.save({"params": state}, tmp_path / "wrapped.pth")
    save_file(state, tmp_path / "net.safetensors")
    for path in tmp_path.iterdir():
        assert_same(load_network(path).network, network)


@pytest.mark.parametrize("wrapping", WRAPPED)
def test_every_public_wrapping(tmp_path: Path, wrapping: str) -> None:
    network, path = small_rrdbnet(), tmp_path / "net.pth"
    torch.save(WRAPPED[wrapping](network.state_dict()), path)
    assert_same(load_network(path).network, network)


def test_averaged_weights_are_preferred(tmp_path: Path) -> None:
    network, path = small_rrdbnet(), tmp_path / "net.pth"
    zeros = {name: torch.zeros_like(tensor) for name, tensor in network.state_dict().items()}
    torch.save({"params": zeros, "params_ema": network.state_dict()}, path)
    assert_same(load_network(path).network, network)


def test_old_names_under_a_group_keep_their_own_model(tmp_path: Path) -> None:
    network, path = small_rrdbnet(), tmp_path / "old.pth"
    old = [f"params.model.{s}.{kind}" for s in old_numbered(2) for kind in ("weight", "bias")]
    torch.save(dict(zip(old, network.state_dict().values(), strict=True)), path)
    assert_same(load_network(path).network, network)


def test_a_dictionary_inside_itself_ends(tmp_path: Path) -> None:
    content: dict[str, Any] = {}
    content["params"] = content
    torch.save(content, tmp_path / "net.pth")
    with pytest.raises(CheckpointError, match="holds no network weights"):
        load_network(tmp_path / "net.pth")


def changed(**tensors: Tensor) -> State:
    """A small network with `conv_hr.bias` or others replaced; `_` in a keyword is a dot."""
    return small_rrdbnet().state_dict() | {
        name.replace("__", "."): tensor for name, tensor in tensors.items()
    }


ODD: dict[str, tuple[State, str]] = {
    "complex": (changed(conv_hr__bias=torch.ones(8, dtype=torch.complex64)), "of type complex64"),
    "integers": (changed(conv_hr__bias=torch.ones(8, dtype=torch.int64)), "int64 numbers"),
    "bool": (changed(conv_hr__bias=torch.ones(8, dtype=torch.bool)), "bool numbers"),
    "sparse": (changed(conv_hr__weight=torch.ones(8, 72).to_sparse()), "a sparse tensor"),
    "meta": (changed(conv_hr__bias=torch.ones(8, device="meta")), "a tensor without content"),
    "float8": (changed(conv_hr__bias=torch.ones(8).to(torch.float8_e4m3fn)), "float8_e4m3fn"),
    "empty": (changed(conv_first__weight=torch.ones(0, 3, 3, 3)), r"shape \(0, 3, 3, 3\)"),
    "repeated": (
        changed(conv_hr__weight=torch.ones(1).expand(8, 1 << 40, 3, 3)),
        "less content than that",
    ),
    "beyond float32": (
        changed(conv_hr__bias=torch.full((8,), 1e300, dtype=torch.float64)),
        "NaN or infinity",
    ),
}


@pytest.mark.parametrize("odd", ODD)
def test_tensors_that_are_no_weights_are_refused(tmp_path: Path, odd: str) -> None:
    state, words = ODD[odd]
    path = tmp_path / "net.pth"
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=rf"net\.pth: .*conv_.* {words}"):
        load_network(path)


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning", "ignore:.*:UserWarning")
def test_quantized_tensors_are_refused(tmp_path: Path) -> None:
    quantized = torch.quantize_per_tensor(torch.ones(8), 0.1, 0, torch.qint8)
    torch.save(changed(conv_hr__bias=quantized), tmp_path / "net.pth")
    with pytest.raises(CheckpointError, match="a quantized tensor") as caught:
        load_network(tmp_path / "net.pth")
    assert "\n" not in str(caught.value)


def test_safetensors_of_other_types_are_refused(tmp_path: Path) -> None:
    for name, kind in (("float8", torch.float8_e4m3fn), ("complex", torch.complex64)):
        path = tmp_path / f"{name}.safetensors"
        save_file(changed(conv_hr__bias=torch.ones(8).to(kind)), path)
        with pytest.raises(
            CheckpointError, match=rf"{name}\.safetensors: .*conv_hr\.bias is of type"
        ):
            load_network(path)
    path = tmp_path / "unknown.safetensors"
    write_safetensors(path, {"a": {"dtype": "F3", "shape": [1], "data_offsets": [0, 1]}}, b"a")
    with pytest.raises(CheckpointError, match=r"not a whole \.safetensors file"):
        load_network(path)


@pytest.mark.parametrize(
    "name",
    [
        "body.99999999.rdb1.conv1.weight",
        "body.999999.rdb1.conv1.weight",
        "body.3.rdb1.conv1.weight",
        f"body.{'9' * 5000}.rdb1.conv1.weight",
        "body.0\u0663.rdb1.conv1.weight",
    ],
)
def test_layers_are_counted_before_they_are_built(tmp_path: Path, name: str) -> None:
    path = tmp_path / "net.safetensors"
    save_file(small_rrdbnet().state_dict() | {name: torch.zeros(4, 8, 3, 3)}, path)
    begin = time.monotonic()
    with pytest.raises(CheckpointError, match=r"layers up to it|has unknown body") as caught:
        load_network(path)
    assert time.monotonic() - begin < 1
    assert len(str(caught.value)) < 400


def test_a_compact_network_of_too_many_layers(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    save_file(small_compact().state_dict() | {"body.900000.weight": torch.zeros(12, 8, 3, 3)}, path)
    with pytest.raises(CheckpointError, match=r"a layer body\.900000, but only 10 layers up to it"):
        load_network(path)


def test_many_blocks_in_few_bytes_are_not_built(tmp_path: Path) -> None:
    """Names of the first convolutions of 5,000 blocks: 75,000 convolutions would be made."""
    names = {f"body.{i}.rdb1.conv1.weight": torch.zeros(1) for i in range(1, 5000)}
    save_file(small_rrdbnet().state_dict() | names, tmp_path / "net.safetensors")
    begin = time.monotonic()
    with pytest.raises(CheckpointError, match="an RRDBNet of 150012 tensors, but has"):
        load_network(tmp_path / "net.safetensors")
    assert time.monotonic() - begin < 1


@pytest.mark.parametrize(
    "kwargs", ["[" * 100_000, "{" + '"a":{' * 50_000, "9" * 5000, '{"act_type": ["relu"]}', "null"]
)
def test_metadata_that_are_no_ordinary_json(tmp_path: Path, kwargs: str) -> None:
    path = tmp_path / "net.safetensors"
    save_file(small_rrdbnet().state_dict(), path, metadata={"kwargs": kwargs})
    assert_same(load_network(path).network, small_rrdbnet())


def test_a_header_nested_deep_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    write_safetensors(path, b'{"a":' + b"[" * 100_000)
    with pytest.raises(CheckpointError, match=r"not a whole \.safetensors file"):
        load_network(path)


def test_an_activation_that_the_file_contradicts(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save(small_compact().state_dict(), path)
    with pytest.raises(CheckpointError, match="--act-type relu was given, but the file says prelu"):
        check_activation(load_network(path, "relu"), "relu")
    check_activation(load_network(path, "prelu"), "prelu")
    torch.save(small_rrdbnet().state_dict(), path)
    with pytest.raises(CheckpointError, match="activation of an RRDBNet is fixed"):
        check_activation(load_network(path, "relu"), "relu")


def test_names_in_messages_are_printable_and_short(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save(
        small_rrdbnet().state_dict() | {"a\nfailed: \x1b[2J" + "b" * 999: torch.ones(1)}, path
    )
    with pytest.raises(CheckpointError, match=r"has unknown a\\nfailed: \\x1b") as caught:
        load_network(path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def _mutated(content: bytes, rng: random.Random) -> bytes:
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = rng.randrange(len(data)) if rng.random() < 0.5 else rng.randrange(min(len(data), 400))
        action = rng.randrange(5)
        if action == 0:
            data[at] = rng.randrange(256)
        elif action == 1:
            data[at] ^= 1 << rng.randrange(8)
        elif action == 2:
            data[at : at + 8] = rng.randbytes(rng.randrange(16))
        elif action == 3:
            del data[at + 1 : at + 1 + rng.randrange(64)]
        else:
            data[at:at] = data[at : at + rng.randrange(200)]
    return bytes(data)


def _seeds(folder: Path) -> dict[str, bytes]:
    """A network in each format, and pickles of every opcode that Python's pickler writes."""
    state = nn.Module.state_dict(small_compact())
    torch.save({"params_ema": state, "epoch": 3}, folder / "zip")
    torch.save(state, folder / "legacy", _use_new_zipfile_serialization=False)
    save_file(state, folder / "safe", metadata={"kwargs": json.dumps({"act_type": "prelu"})})
    values = {"params": [1, 2**70, 1.5, "a", b"b", (1, 2), {3}, None, True, 1j], "b": Path("x")}
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return files | {f"pickle {n}": pickle.dumps(values, n) for n in range(6)}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.filterwarnings("error")
def test_mutated_files_give_weights_or_the_documented_error(
    tmp_path: Path, suffix: str, seed: int
) -> None:
    (tmp_path / "seeds").mkdir()
    contents, rng = _seeds(tmp_path / "seeds"), random.Random(seed)
    path = tmp_path / f"net{suffix}"
    slowest, refused = 0.0, 0
    for number in range(300):
        kind = rng.choice(("zip", "legacy", "safe", "zip", "legacy", "safe", *contents))
        path.write_bytes(_mutated(contents[kind], rng))
        begin, message = time.perf_counter(), ""
        try:
            load_network(path)
        except CheckpointError as error:
            message = str(error)
        slowest = max(slowest, time.perf_counter() - begin)
        refused += bool(message)
        assert message.isprintable(), (number, kind)
        assert len(message) < 1000, (number, kind)
    assert refused > 100
    assert slowest < 2


def test_tensors_beside_a_network_may_be_integers(tmp_path: Path) -> None:
    """Other architectures keep indices; that they are no weights is checked where they are used."""
    torch.save({"relative_position_index": torch.arange(4)}, tmp_path / "net.pth")
    tensors, _ = read_tensors(tmp_path / "net.pth")
    assert tensors["relative_position_index"].dtype == torch.int64
