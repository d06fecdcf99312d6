"""Whatever a `manifest.json` holds, its reader gives checked entries or a `ModelError`, at once."""

import json
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from realesrgan_vk import ModelError
from realesrgan_vk.errors import printable
from realesrgan_vk.models.add import add_models
from realesrgan_vk.models.bounded_json import MAX_BYTES, MAX_DEPTH, read_json
from realesrgan_vk.models.manifest import Entry, entry_of, manifest_entries, manifest_text

MUTATIONS = 1500
SEED: dict[str, Any] = {
    "models": [
        {
            "name": name,
            "architecture": "RRDBNet",
            "files": {
                "param": {"file": f"{name}.param", "sha256": "0" * 64},
                "bin": {"file": f"{name}.bin", "sha256": "F" * 64},
            },
            "weak_denoise": "other",
            "parity": [{"picture": "1x1", "max_error": 1e-6}],
        }
        for name in ("one", "two")
    ]
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["models", "name", "files", "param", "bin", "file", "sha256"]), inner
        )
    ),
    max_leaves=12,
)


def _write(folder: Path, content: bytes) -> None:
    (folder / "manifest.json").write_bytes(content)


def _read(folder: Path) -> list[Entry] | None:
    """The entries, which must be usable as names and paths; None where the manifest is refused."""
    entries, told = None, []
    for read in (lambda: manifest_entries(folder), lambda: [entry_of(folder / "one.param")]):
        try:
            found = [entry for entry in read() if entry is not None]
        except ModelError as error:
            told.append(str(error))
            continue
        for entry in found:
            for listed, suffix in ((entry.param, ".param"), (entry.bin, ".bin")):
                path = folder / listed.name
                assert path.parent == folder
                assert path.suffix == suffix
                assert len(listed.sha256) in (0, 64)
            assert (folder / entry.name).parent == folder
            assert "/" not in entry.weak_denoise
            assert printable(entry.text("architecture")) == entry.text("architecture")
        entries = found if entries is None else entries
    assert all(len(text) < 1000 and printable(text) == text for text in told)
    return entries


def test_the_seed_is_read(tmp_path: Path) -> None:
    _write(tmp_path, json.dumps(SEED).encode())
    entries = _read(tmp_path)
    assert entries is not None
    assert [entry.name for entry in entries] == ["one", "two"]
    assert entries[0].bin.sha256 == "f" * 64
    assert json.loads(manifest_text(entry.content for entry in entries)) == SEED
    _write(tmp_path, b"\xef\xbb\xbf" + json.dumps(SEED).encode())
    assert manifest_entries(tmp_path) == entries


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=JSON, at=st.sampled_from(["", "models", "entry", "files", "param", "file", "name"]))
def test_any_json_in_any_place(tmp_path: Path, content: object, at: str) -> None:
    manifest: Any = json.loads(json.dumps(SEED))
    places: dict[str, Callable[[], None]] = {
        "": lambda: None,
        "models": lambda: manifest.update(models=content),
        "entry": lambda: manifest["models"].append(content),
        "files": lambda: manifest["models"][0].update(files=content),
        "param": lambda: manifest["models"][0]["files"].update(param=content),
        "file": lambda: manifest["models"][0]["files"]["param"].update(file=content),
        "name": lambda: manifest["models"][0].update(name=content, architecture=content),
    }
    places[at]()
    _write(tmp_path, json.dumps(manifest if at else content).encode())
    _read(tmp_path)


def test_mutated_manifests(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    seed = json.dumps(SEED).encode()
    parts = [b"../", b"\\", b"\\u0000", b"[" * 40, b"{", b"]", b'"', b"9" * 5000, b"1e999", b"NaN"]
    read = 0
    for index in range(MUTATIONS):
        if index == MUTATIONS - 200:  # memory is measured for some, as that is slow
            tracemalloc.start()
        data = bytearray(seed)
        for _ in range(rng.integers(1, 4)):
            at, length = int(rng.integers(len(data))), int(rng.integers(1, 60))
            match rng.integers(4):
                case 0:
                    data[at] = int(rng.integers(256))
                case 1:
                    del data[at : at + length]
                case 2:
                    data[at:at] = data[at : at + length]
                case _:
                    data[at:at] = parts[int(rng.integers(len(parts)))]
        _write(tmp_path, bytes(data))
        read += _read(tmp_path) is not None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0 < read < MUTATIONS // 2
    assert peak < 8 << 20


@pytest.mark.parametrize(
    "content",
    [
        b'{"a":' * 500_000,
        b"[" * MAX_BYTES,
        b'"' * MAX_BYTES,
        b'"' + b'\\"' * (MAX_BYTES // 2 - 1),
        b"{}" * (MAX_BYTES // 2),
        b"9" * MAX_BYTES,
        b"[" + b"9" * 4000 + b",9" * 1_000_000 + b"]",
        b" " * (MAX_BYTES + 1),
        b"\xff" * MAX_BYTES,
    ],
)
def test_large_files_are_refused_at_once(content: bytes, tmp_path: Path) -> None:
    _write(tmp_path, content)
    started = time.process_time()
    assert _read(tmp_path) is None
    assert time.process_time() - started < 5  # seconds; it takes less than one
    with pytest.raises(ModelError):
        add_models(tmp_path, tmp_path / "installed")


def test_nesting_is_counted_outside_of_texts(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    text = "[" * 100 + '\\"' + "{" * 100
    path.write_text(json.dumps({text: [text]}))
    assert read_json(path) == {text: [text]}
    path.write_text("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    read_json(path)
    path.write_text("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))
    with pytest.raises(ValueError, match="nested more than 32 deep"):
        read_json(path)


def test_a_manifest_that_could_not_be_read_again_is_not_written() -> None:
    content = {**SEED["models"][0], "parity": ["x" * 1000] * (MAX_BYTES // 1000)}
    with pytest.raises(ModelError, match="longer than"):
        manifest_text([content])
