"""The manifest of a folder that several exports write at the same time."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from realesrgan_export.export import install_network
from realesrgan_export.verify import Files


def test_exports_at_once_are_all_listed(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    names = [f"net{index}" for index in range(6)]
    ready = threading.Barrier(len(names))

    def install(name: str) -> None:
        files = Files(tmp_path / f"{name}.param", tmp_path / f"{name}.bin")
        for path in (files.param, files.bin):
            path.write_text(path.name)
        ready.wait()
        install_network(folder, {"name": name}, files, [])

    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(install, names))
    entries = json.loads((folder / "manifest.json").read_text())["models"]
    assert [entry["name"] for entry in entries] == names
    for name in names:
        assert (folder / f"{name}.bin").read_text() == f"{name}.bin"
    assert len(list(folder.iterdir())) == 2 * len(names) + 1
