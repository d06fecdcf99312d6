"""Tensors of a PyTorch checkpoint (`.pth`), without PyTorch and without running code from the file.

PyTorch writes a ZIP archive of uncompressed members: `NAME/data.pkl` describes the tensors, and
`NAME/data/KEY` holds the values of a storage (torch/serialization.py). Before version 1.6 it wrote
five pickles one after another (a magic number, a version, the sizes of C types, the description,
the keys of the storages), then for each key the number of values and the values.

The pickle is read by `_Machine`, which knows only the instructions and the functions that a
dictionary of tensors needs. Everything else in a file is refused.
"""

import math
import re
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from realesrgan_vk.errors import ModelError
from realesrgan_vk.models.names import escaped, shortened

Array = NDArray[np.float32]
Bytes = bytes | memoryview

MAX_FILE = 1 << 30
MAX_PICKLE = 1 << 20
MAX_MEMBERS = 20_000
MAX_DIMENSIONS = 5
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_VERSION = 1001
_TYPES = {"FloatStorage": "<f4", "HalfStorage": "<f2", "DoubleStorage": "<f8"}
_WRAPPERS = ("params_ema", "params", "state_dict")
"""Keys under which checkpoints keep their weights, in order of preference."""


@dataclass(frozen=True, slots=True)
class _Global:
    """A function or a type that a description of tensors names."""

    name: str


@dataclass(frozen=True, slots=True)
class _Storage:
    key: str
    dtype: str


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A view of a storage; all numbers count values."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class OtherFileError(ModelError):
    """A file of PyTorch that holds more than is read here, such as integers."""


class _RefusedError(Exception):
    """The file is damaged, or holds something other than tensors."""


class _OtherError(_RefusedError):
    """It holds what other readers of such files know."""


def read_tensors(path: Path) -> dict[str, Array]:
    """Read the weights of a checkpoint, as float32.

    Of several sets of weights the average (`params_ema`) is preferred to `params`. Names lose the
    prefix `module.` of a network that was trained on several devices.

    Raises:
        OtherFileError: The file holds something beside tensors of floating numbers.
        ModelError: It is missing, longer than 1 GiB or damaged, or is none of PyTorch's.
    """
    try:
        if path.stat().st_size > MAX_FILE:
            raise _RefusedError(f"it is longer than {MAX_FILE} bytes")
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                content, storage = _open_archive(archive)
                return _arrays(_weights(content), storage, path.stat().st_size)
        data = path.read_bytes()
        content, storage = _open_legacy(data)
        return _arrays(_weights(content), storage, len(data))
    except _OtherError as error:
        raise OtherFileError(f"{path} is no checkpoint of a network: {error}") from None
    except _RefusedError as error:
        raise ModelError(f"{path} is no checkpoint of a network: {error}") from None
    except (zipfile.BadZipFile, ValueError, LookupError, RuntimeError) as error:
        raise ModelError(f"{path} is damaged ({escaped(error)})") from error
    except (OSError, EOFError) as error:
        raise ModelError(f"{path} cannot be read ({escaped(error)})") from error


def _open_archive(archive: zipfile.ZipFile) -> tuple[object, Callable[[str], Bytes]]:
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise _RefusedError(f"it has {len(members)} members")
    if len({member.header_offset for member in members}) < len(members):
        raise _RefusedError("two of its members begin at one place")
    described = [name for name in archive.namelist() if name.endswith("/data.pkl")]
    if len(described) != 1:
        raise _RefusedError("it has no data.pkl")
    folder = described[0].removesuffix("data.pkl")

    def member(name: str, limit: int) -> bytes:
        info = archive.getinfo(folder + name)
        if info.compress_type != zipfile.ZIP_STORED or info.file_size > limit:
            raise _RefusedError(f"its member {shortened(name)} is compressed or too long")
        return archive.read(info)

    if f"{folder}byteorder" in archive.namelist() and member("byteorder", 16) != b"little":
        raise _RefusedError("its numbers are not in little-endian order")
    content = _Machine(member("data.pkl", MAX_PICKLE)).run()
    return content, lambda key: member(f"data/{key}", MAX_FILE)


def _open_legacy(data: bytes) -> tuple[object, Callable[[str], Bytes]]:
    machine = _Machine(data[:MAX_PICKLE])
    if data[:1] != _PROTO or machine.run() != _LEGACY_MAGIC or machine.run() != _LEGACY_VERSION:
        raise _RefusedError("it is no file that PyTorch wrote")
    sizes = machine.run()
    if not isinstance(sizes, dict) or sizes.get("little_endian") is not True:
        raise _RefusedError("its numbers are not in little-endian order")
    content, keys = machine.run(), machine.run()
    if not isinstance(keys, list):
        raise _RefusedError("it has no list of storages")
    places: dict[str, memoryview] = {}
    at = machine.at
    for key in keys:
        dtype = machine.storages.get(key) if isinstance(key, str) else None
        if dtype is None or at + 8 > len(data):
            raise _RefusedError("it is cut short")
        (count,) = struct.unpack_from("<q", data, at)
        end = at + 8 + count * np.dtype(dtype).itemsize
        if count < 0 or end > len(data):
            raise _RefusedError("it is cut short")
        places[key] = memoryview(data)[at + 8 : end]
        at = end
    return content, places.__getitem__


def _weights(content: object) -> dict[str, _Tensor]:
    for wrapper in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
            break
    if not isinstance(content, dict) or not content:
        raise _RefusedError("it holds no named tensors")
    tensors = {}
    for name, value in content.items():
        if not isinstance(value, _Tensor):
            raise _OtherError(f"{shortened(name)} in it is no tensor")
        tensors[name.removeprefix("module.")] = value
    if len(tensors) != len(content):
        raise _RefusedError("it has two tensors of one name")
    return tensors


def _arrays(
    tensors: dict[str, _Tensor], storage: Callable[[str], Bytes], file_size: int
) -> dict[str, Array]:
    """The values; together they must not be larger than the file, even if they share storages."""
    sizes = (
        math.prod(each.shape) * np.dtype(each.storage.dtype).itemsize for each in tensors.values()
    )
    if sum(sizes) > file_size:
        raise _RefusedError("its tensors are larger than the file")
    sharing: dict[str, list[str]] = {}
    for name, tensor in tensors.items():
        sharing.setdefault(tensor.storage.key, []).append(name)
    arrays: dict[str, Array] = {}
    read = 0
    for key, names in sharing.items():  # a storage is read once, however many tensors share it
        data = storage(key)
        read += len(data)
        if read > file_size:
            raise _RefusedError("its storages are larger than the file")
        arrays |= {name: _array(name, tensors[name], data) for name in names}
    return {name: arrays[name] for name in tensors}


def _array(name: str, tensor: _Tensor, data: Bytes) -> Array:
    dtype = np.dtype(tensor.storage.dtype)
    values = np.frombuffer(data, dtype, len(data) // dtype.itemsize)
    last = tensor.offset + sum(
        (side - 1) * stride for side, stride in zip(tensor.shape, tensor.strides, strict=True)
    )
    if last >= len(values):
        raise _RefusedError(f"{shortened(name)} reaches beyond its storage")
    view = np.lib.stride_tricks.as_strided(
        values[tensor.offset :],
        tensor.shape,
        [stride * dtype.itemsize for stride in tensor.strides],
        writeable=False,
    )
    with np.errstate(over="ignore"):  # a float64 may overflow; `convert_network` looks for it
        return np.array(view, np.float32)


_PROTO = b"\x80"
_MARK = object()


class _Machine:
    """Runs the instructions of pickles (protocol 2) that describe tensors.

    Attributes:
        at: Where the next instruction begins.
        storages: The type of values of each storage that was met, by key.
    """

    def __init__(self, data: bytes) -> None:
        self.at = 0
        self.storages: dict[str, str] = {}
        self._data = data
        self._stack: list[object] = []
        self._memo: dict[int, object] = {}

    def run(self) -> object:
        """The value that the next pickle describes.

        Raises:
            _RefusedError: It ends early, has an instruction that descriptions of tensors do not
                need, or one that does not fit what came before.
        """
        self._stack, self._memo = [], {}
        while (code := self._take(1)) != b".":
            instruction = _INSTRUCTIONS.get(code)
            if instruction is None:
                raise _RefusedError(
                    f"its pickle has the instruction {code!r}, which tensors do not need"
                )
            instruction(self)
        return self._pop()

    def _take(self, count: int) -> bytes:
        part = self._data[self.at : self.at + count]
        if len(part) != count:
            raise _RefusedError("its pickle is cut short")
        self.at += count
        return part

    def _number(self, form: str) -> Any:  # noqa: ANN401 - as the form says
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _line(self) -> str:
        end = self._data.find(b"\n", self.at, self.at + 256)
        if end < 0:
            raise _RefusedError("its pickle has a name that is too long")
        return self._take(end + 1 - self.at)[:-1].decode("ascii")

    def _pop(self) -> object:
        if not self._stack or self._stack[-1] is _MARK:
            raise _RefusedError("its pickle takes what is not there")
        return self._stack.pop()

    def _pop_mark(self) -> list[object]:
        """The values above the last mark."""
        values: list[object] = []
        while self._stack:
            value = self._stack.pop()
            if value is _MARK:
                return values[::-1]
            values.append(value)
        raise _RefusedError("its pickle takes what is not there")

    def _proto(self) -> None:
        if (version := self._number("<B")) != 2:
            raise _RefusedError(f"it is pickled with protocol {version}, PyTorch uses 2")

    def _global(self) -> None:
        module, name = self._line(), self._line()
        # Types of values that cannot be read are refused with the tensor that has them.
        is_storage = module == "torch" and re.fullmatch(r"[A-Za-z0-9]+Storage", name)
        if (module, name) not in _GLOBALS and not is_storage:
            raise _RefusedError(
                f"it needs {escaped(f'{module}.{name}')}; reading it would run code stored in it"
            )
        self._stack.append(_Global(name))

    def _text(self) -> None:
        self._stack.append(self._take(self._number("<I")).decode("utf-8"))

    def _long(self) -> None:
        self._stack.append(int.from_bytes(self._take(self._number("<B")), "little", signed=True))

    def _tuple(self, count: int) -> None:
        values = [self._pop() for _ in range(count)]
        self._stack.append(tuple(values[::-1]))

    def _put(self, form: str) -> None:
        value = self._pop()
        self._memo[self._number(form)] = value
        self._stack.append(value)

    def _get(self, form: str) -> None:
        self._stack.append(self._memo[self._number(form)])

    def _set_items(self, values: list[object]) -> None:
        target = self._pop()
        if not isinstance(target, dict) or len(values) % 2:
            raise _RefusedError("its pickle fills what is no dictionary")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if not isinstance(key, (str, int)):
                raise _RefusedError("its pickle has a key that is no name")
            target[key if isinstance(key, str) else str(key)] = value
        self._stack.append(target)

    def _append(self, values: list[object]) -> None:
        target = self._pop()
        if not isinstance(target, list):
            raise _RefusedError("its pickle fills what is no list")
        target.extend(values)
        self._stack.append(target)

    def _build(self) -> None:
        self._pop()  # an OrderedDict's attributes (PyTorch's `_metadata`) are not weights
        if not self._stack or not isinstance(self._stack[-1], dict):
            raise _RefusedError("its pickle gives attributes to what has none")

    def _persistent(self) -> None:
        given = self._pop()
        if not isinstance(given, tuple) or len(given) < 5 or given[0] != "storage":
            raise _RefusedError("its pickle names something else than a storage")
        kind, key = given[1], given[2]
        if len(given) > 5 and given[5] is not None:
            raise _RefusedError("it has views of storages, which only PyTorch before 0.4 wrote")
        # Other values are not printed: nested tuples can be short in a file and very long as text.
        if not isinstance(kind, _Global) or not isinstance(key, str):
            raise _RefusedError("its pickle has a storage without a type or a name")
        if kind.name not in _TYPES:
            raise _OtherError(
                f"it has values of the type {shortened(kind.name)}; needed are {', '.join(_TYPES)}"
            )
        dtype = _TYPES[kind.name]
        if self.storages.setdefault(key, dtype) != dtype:
            raise _RefusedError("it has a storage of two types")
        self._stack.append(_Storage(key, dtype))

    def _reduce(self) -> None:
        arguments, function = self._pop(), self._pop()
        if not isinstance(arguments, tuple) or not isinstance(function, _Global):
            raise _RefusedError("its pickle calls what is no function")
        if function.name == "OrderedDict" and not arguments:
            self._stack.append({})
        elif function.name == "_rebuild_tensor_v2" and len(arguments) >= 4:
            self._stack.append(_checked_tensor(*arguments[:4]))
        elif (
            function.name == "_rebuild_parameter"
            and arguments
            and isinstance(arguments[0], _Tensor)
        ):
            self._stack.append(arguments[0])
        else:
            raise _RefusedError(f"its pickle calls {function.name} in an unknown way")


def _checked_tensor(storage: object, offset: object, shape: object, strides: object) -> _Tensor:
    if not isinstance(storage, _Storage):
        raise _RefusedError("it has a tensor without a storage")
    place = (offset,)
    if not (_are_counts(place, 0) and _are_counts(shape, 0) and _are_counts(strides, 0)):
        raise _RefusedError("it has a tensor whose shape is no list of numbers")
    if 0 in shape:
        raise _OtherError("it has a tensor whose shape is empty")
    if len(shape) != len(strides) or len(shape) > MAX_DIMENSIONS:
        raise _OtherError(f"it has a tensor of {len(shape)} dimensions")
    return _Tensor(storage, place[0], shape, strides)


def _are_counts(values: object, least: int) -> TypeGuard[tuple[int, ...]]:
    return isinstance(values, tuple) and all(
        type(value) is int and least <= value < MAX_FILE for value in values
    )


_GLOBALS = {
    ("collections", "OrderedDict"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_parameter"),
}


_INSTRUCTIONS: dict[bytes, Callable[[_Machine], None]] = {
    _PROTO: _Machine._proto,
    b"(": lambda machine: machine._stack.append(_MARK),
    b"c": _Machine._global,
    b"X": _Machine._text,
    b"\x8a": _Machine._long,
    b"G": lambda machine: machine._stack.append(machine._number(">d")),
    b"J": lambda machine: machine._stack.append(machine._number("<i")),
    b"M": lambda machine: machine._stack.append(machine._number("<H")),
    b"K": lambda machine: machine._stack.append(machine._number("<B")),
    b"N": lambda machine: machine._stack.append(None),
    b"\x88": lambda machine: machine._stack.append(True),
    b"\x89": lambda machine: machine._stack.append(False),
    b"}": lambda machine: machine._stack.append({}),
    b"]": lambda machine: machine._stack.append([]),
    b")": lambda machine: machine._stack.append(()),
    b"t": lambda machine: machine._stack.append(tuple(machine._pop_mark())),
    b"\x85": lambda machine: machine._tuple(1),
    b"\x86": lambda machine: machine._tuple(2),
    b"\x87": lambda machine: machine._tuple(3),
    b"q": lambda machine: machine._put("<B"),
    b"r": lambda machine: machine._put("<I"),
    b"h": lambda machine: machine._get("<B"),
    b"j": lambda machine: machine._get("<I"),
    b"s": lambda machine: machine._set_items([machine._pop(), machine._pop()][::-1]),
    b"u": lambda machine: machine._set_items(machine._pop_mark()),
    b"a": lambda machine: machine._append([machine._pop()]),
    b"e": lambda machine: machine._append(machine._pop_mark()),
    b"b": _Machine._build,
    b"Q": _Machine._persistent,
    b"R": _Machine._reduce,
}
