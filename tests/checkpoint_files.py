"""Checkpoints as PyTorch writes them, made without PyTorch; for tests of what reads them."""

import io
import itertools
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[np.floating]]

STORAGES = {"f4": "FloatStorage", "f2": "HalfStorage", "f8": "DoubleStorage"}
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"
EMPTY = b"ccollections\nOrderedDict\n)R"


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def integer(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def counts(values: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(map(integer, values)) + b"t"


def storage(key: str, kind: str, count: int, more: bytes = b"") -> bytes:
    type_name = f"ctorch\n{kind}\n".encode()
    return (
        b"(" + text("storage") + type_name + text(key) + text("cpu") + integer(count) + more + b"tQ"
    )


def tensor(
    key: str, array: NDArray[np.floating], more: bytes = b"", offset: int = 0, kind: str = ""
) -> bytes:
    kind = kind or STORAGES[array.dtype.str[1:]]
    strides = tuple(step // array.itemsize for step in array.strides)
    return (
        REBUILD
        + b"("
        + storage(key, kind, array.size, more)
        + integer(offset)
        + counts(array.shape)
        + counts(strides)
        + b"\x89"
        + EMPTY
        + b"tR"
    )


def described(arrays: Arrays, wrapper: str | None = "params", more: bytes = b"") -> bytes:
    """The pickle of a state dict, its storages numbered in the order of the tensors."""
    items = [
        text(name) + tensor(str(key), value, more)
        for key, (name, value) in enumerate(arrays.items())
    ]
    state = EMPTY + b"(" + b"".join(items) + b"u}" + text("_metadata") + EMPTY + b"sb"
    return (
        b"\x80\x02"
        + (state if wrapper is None else b"}q\x00" + text(wrapper) + state + b"s")
        + b"."
    )


def in_memory(array: NDArray[np.floating]) -> bytes:
    """The values in the order in which they lie, whatever the strides are."""
    return array.ravel(order="K").tobytes()


def archive(pickle: bytes, storages: Mapping[str, bytes], folder: str = "net") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as members:
        members.writestr(f"{folder}/data.pkl", pickle)
        members.writestr(f"{folder}/byteorder", b"little")
        for key, content in storages.items():
            members.writestr(f"{folder}/data/{key}", content)
    return file.getvalue()


def checkpoint(arrays: Arrays, wrapper: str | None = "params") -> bytes:
    """A `.pth` of PyTorch 1.6 and later."""
    storages = {str(key): in_memory(value) for key, value in enumerate(arrays.values())}
    return archive(described(arrays, wrapper), storages)


def legacy_checkpoint(arrays: Arrays) -> bytes:
    """A `.pth` of PyTorch before 1.6."""
    magic = b"\x80\x02\x8a\x0a" + (0x1950A86A20F9469CFC6C).to_bytes(10, "little") + b"."
    version = b"\x80\x02" + integer(1001) + b"."
    sizes = b"\x80\x02}" + text("little_endian") + b"\x88s."
    keys = b"\x80\x02](" + b"".join(text(str(key)) for key in range(len(arrays))) + b"e."
    values = [struct.pack("<q", value.size) + in_memory(value) for value in arrays.values()]
    return magic + version + sizes + described(arrays, more=b"N") + keys + b"".join(values)


def compact_arrays(
    features: int = 4, convolutions: int = 1, scale: int = 2, seed: int = 0
) -> dict[str, NDArray[np.floating]]:
    """An SRVGGNetCompact's tensors, with values that 16 bits hold."""
    rng = np.random.default_rng(seed)
    arrays: dict[str, NDArray[np.floating]] = {}
    sides = [3, *[features] * (convolutions + 1), 3 * scale**2]
    for index, (inputs, outputs) in enumerate(itertools.pairwise(sides)):
        if index:
            arrays[f"body.{2 * index - 1}.weight"] = rng.uniform(0.1, 0.5, inputs).astype("f4")
        kernel = rng.normal(0, 0.1, (outputs, inputs, 3, 3)).astype("f2").astype("f4")
        arrays[f"body.{2 * index}.weight"] = kernel
        arrays[f"body.{2 * index}.bias"] = rng.normal(0, 0.02, outputs).astype("f4")
    return arrays


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
