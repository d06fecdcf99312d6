"""Checkpoints are read without PyTorch; what is no description of tensors is refused."""

import io
import pickle
import struct
import tracemalloc
import zipfile
from collections import OrderedDict
from pathlib import Path

import checkpoint_files as files
import numpy as np
import pytest
from numpy.typing import NDArray

from realesrgan_vk import ModelError
from realesrgan_vk.models.torch_file import read_tensors

ARRAYS: dict[str, NDArray[np.floating]] = {
    "a.weight": np.arange(24, dtype="f4").reshape(2, 3, 2, 2),
    "a.bias": np.array([0.5, -0.25], "f2"),
    "b": np.asfortranarray(np.arange(6, dtype="f8").reshape(2, 3)),
}
MUTATIONS = 2000


@pytest.mark.parametrize("content", [files.checkpoint(ARRAYS), files.legacy_checkpoint(ARRAYS)])
def test_tensors_of_both_formats(content: bytes, tmp_path: Path) -> None:
    read = read_tensors(files.write(tmp_path / "net.pth", content))
    assert list(read) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert read[name].dtype == np.float32
        assert np.array_equal(read[name], array.astype(np.float32))


def test_the_average_is_preferred_and_prefixes_go(tmp_path: Path) -> None:
    kept = {"module.a": np.ones(3, "f4")}
    pickled = (
        b"\x80\x02}("
        + files.text("params")
        + files.EMPTY
        + files.text("params_ema")
        + files.EMPTY
        + b"("
        + files.text("module.a")
        + files.tensor("0", kept["module.a"])
        + b"u"
        + files.text("iter")
        + files.integer(5)
        + b"u."
    )
    path = files.write(tmp_path / "net.pth", files.archive(pickled, {"0": bytes(12)}))
    assert list(read_tensors(path)) == ["a"]
    bare = files.write(tmp_path / "bare.pth", files.checkpoint(ARRAYS, None))
    assert list(read_tensors(bare)) == list(ARRAYS)


def test_a_parameter_is_its_tensor(tmp_path: Path) -> None:
    parameter = (
        b"ctorch._utils\n_rebuild_parameter\n("
        + files.tensor("0", np.ones(3, "f4"))
        + b"\x88"
        + files.EMPTY
        + b"tR"
    )
    pickled = b"\x80\x02}" + files.text("a") + parameter + b"s."
    path = files.write(tmp_path / "net.pth", files.archive(pickled, {"0": bytes(12)}))
    assert np.array_equal(read_tensors(path)["a"], np.zeros(3))


def test_a_storage_of_many_tensors_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [
        files.text(f"t{index}") + files.tensor("0", np.ones(1, "f4"), offset=index)
        for index in range(50)
    ]
    values = np.arange(1000, dtype="f4")
    pickled = b"\x80\x02}(" + b"".join(items) + b"u."
    path = files.write(tmp_path / "net.pth", files.archive(pickled, {"0": values.tobytes()}))
    taken = 0
    whole_read = zipfile.ZipFile.read

    def read(archive: zipfile.ZipFile, name: zipfile.ZipInfo) -> bytes:
        nonlocal taken
        taken += name.file_size
        return whole_read(archive, name)

    monkeypatch.setattr(zipfile.ZipFile, "read", read)
    assert [float(each[0]) for each in read_tensors(path).values()] == list(range(50))
    assert taken < path.stat().st_size


def _one(description: bytes, content: bytes = bytes(16)) -> bytes:
    return files.archive(b"\x80\x02}" + files.text("a") + description + b"s.", {"0": content})


def _compressed() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as members:
        members.writestr("net/data.pkl", files.described(ARRAYS) + bytes(100_000))
    return file.getvalue()


def _overlapping() -> bytes:
    """An archive whose directory lists one member twice, under two names of equal length."""
    whole = files.archive(files.described(ARRAYS), {"0": bytes(16), "1": bytes(16)})
    directory = whole.index(b"PK\1\2")
    entries = whole[directory:]
    first, second = (entries.index(name) for name in (b"net/data/0", b"net/data/1"))
    offset = entries[first - 4 : first]  # of the member, before its name
    entries = entries[: second - 4] + offset + entries[second:]
    return whole[:directory] + entries


def _strided(shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0) -> bytes:
    place = files.integer(offset) + files.counts(shape) + files.counts(strides)
    return files.REBUILD + b"(" + files.storage("0", "FloatStorage", 4) + place + b"tR"


def _nested_type() -> bytes:
    """A storage whose type is a tuple of tuples: of 2**40 texts, were it printed."""
    nested = b")" + b"q\x00h\x00\x86" * 40
    names = files.text("0") + files.text("cpu") + files.integer(1)
    return b"(" + files.text("storage") + nested + names + b"tQ"


REFUSED = {
    "code": (_one(b"cos\nsystem\n(" + files.text("true") + b"tR"), r"os\.system.*run code"),
    "getattr": (_one(b"cbuiltins\ngetattr\n)R"), r"builtins\.getattr"),
    "instruction": (_one(b"\x93"), "instruction"),
    "protocol 4": (pickle.dumps({"a": 1}, 4), "protocol 4"),
    "real pickle": (pickle.dumps(OrderedDict(a=1), 2), "no file that PyTorch wrote"),
    "integers": (_one(files.tensor("0", np.ones(2, "f4"), kind="LongStorage")), "LongStorage"),
    "number": (_one(files.integer(3)), "'a' in it is no tensor"),
    "beyond": (_one(_strided((5,), (1,))), "reaches beyond"),
    "offset": (_one(_strided((1,), (1,), 4)), "reaches beyond"),
    "strides": (_one(_strided((2, 2), (3, 2))), "reaches beyond"),
    "negative offset": (_one(_strided((1,), (1,), -1)), "no list of numbers"),
    "negative stride": (_one(_strided((2,), (-1,))), "no list of numbers"),
    "empty": (_one(_strided((0,), (1,))), "shape is empty"),
    "dimensions": (_one(_strided((1,) * 6, (1,) * 6)), "6 dimensions"),
    "one value often": (_one(_strided((1 << 20, 1 << 9), (0, 0))), "larger than the file"),
    "storage without a type": (_one(_nested_type()), "storage without a type"),
    "no storage": (files.archive(files.described(ARRAYS), {}), "is damaged"),
    "no tensors": (files.archive(b"\x80\x02}.", {}), "no named tensors"),
    "no dictionary": (files.archive(b"\x80\x02].", {}), "no named tensors"),
    "too long a pickle": (files.archive(b"\x80\x02" + b"(" * (1 << 21), {}), "too long"),
    "compressed": (_compressed(), "compressed"),
    "overlapping": (_overlapping(), "two of its members begin at one place"),
    "another archive": (files.archive(b"", {}, "x").replace(b"data.pkl", b"data.txt"), "data.pkl"),
    "page": (b"<!DOCTYPE html><html>not found</html>", "no file that PyTorch wrote"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\n", "no file that PyTorch wrote"),
    "nothing": (b"", "no file that PyTorch wrote"),
    "two bytes": (b"\x80\x02", "cut short"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_other_files_are_refused_in_one_line(case: str, tmp_path: Path) -> None:
    content, reason = REFUSED[case]
    with pytest.raises(ModelError, match=reason) as caught:
        read_tensors(files.write(tmp_path / "net.pth", content))
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        read_tensors(tmp_path / "net.pth")


@pytest.mark.parametrize("legacy", [False, True])
def test_a_cut_file_is_refused_wherever_it_is_cut(legacy: bool, tmp_path: Path) -> None:
    content = files.legacy_checkpoint(ARRAYS) if legacy else files.checkpoint(ARRAYS)
    for length in range(0, len(content), 7):
        with pytest.raises(ModelError):
            read_tensors(files.write(tmp_path / "net.pth", content[:length]))


def _mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """One to four changes: bytes, numbers, or parts that are taken out, doubled or moved."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        at, length = int(rng.integers(len(data))), int(rng.integers(1, 64))
        match rng.integers(5):
            case 0:
                data[at] = int(rng.integers(256))
            case 1:
                number = int(rng.choice([0, 1, -1, 2**31 - 1, -(2**31), 2**20]))
                data[at : at + 4] = struct.pack("<i", number)
            case 2:
                del data[at : at + length]
            case 3:
                data[at:at] = data[at : at + length]
            case _:
                data[at:at] = b"(}])tQRsuebqhXcJ."[int(rng.integers(16)) :][:1]
        if not data:
            return b""
    return bytes(data)


def test_damaged_files_raise_nothing_else(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    storages = {str(key): files.in_memory(value) for key, value in enumerate(ARRAYS.values())}
    described = files.described(ARRAYS)
    whole = [files.checkpoint(ARRAYS), files.legacy_checkpoint(ARRAYS)]
    refused = 0
    for index in range(MUTATIONS):
        if index == MUTATIONS - 200:  # memory is measured for some, as that is slow
            tracemalloc.start()
        if index % 3 == 2:  # most changes of an archive are found by its checksums
            content = files.archive(_mutated(described, rng), storages)
        else:
            content = _mutated(whole[index % 3], rng)
        try:
            read_tensors(files.write(tmp_path / "net.pth", content))
        except ModelError:
            refused += 1
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refused > MUTATIONS // 2
    assert peak < 8 << 20
