"""Checkpoints that are whole or absent, and the newest one that can be read."""

from __future__ import annotations

import os
import re
import shutil
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from realesrgan_train.errors import CheckpointError
from realesrgan_train.training.distributed import ProcessGroup

_NAME = re.compile(r"^step-(\d{9})-(\d)$")

State = dict[str, Any]


def _sync_folder(folder: Path) -> None:
    """Flush a folder's own entries; Windows has no such thing."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(path: Path, state: State) -> None:
    with path.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path) -> State:
    try:
        state: State = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged file provokes in the unpickler
        first_line = str(error).strip().split("\n", 1)[0]
        raise CheckpointError(f"{path} cannot be read ({first_line})") from error
    return state


def _verify(path: Path) -> None:
    """Check every checksum in the file, without keeping its content."""
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except (OSError, zipfile.BadZipFile, zlib.error) as error:
        raise CheckpointError(f"{path} cannot be read ({error})") from error
    if broken is not None:
        raise CheckpointError(f"{path} is damaged (wrong checksum in {broken})")


class CheckpointStore:
    """The checkpoints of one run.

    A checkpoint is a folder: what all processes share (`main.pt`, written by the main process) and
    what is each one's own (`rank-0000.pt`: its pair pool). It is written under a temporary name,
    every file is flushed to the disk, and the folder is renamed when all processes are done. So a
    name that exists is a whole checkpoint, whatever was killed when.

    Args:
        folder: where they are, on a disk all nodes share.
        keep: how many to keep.
        group: this process among the others.
    """

    def __init__(self, folder: Path, keep: int, group: ProcessGroup) -> None:
        self.folder, self.keep, self.group = folder, keep, group

    def names(self) -> list[str]:
        """Whole checkpoints, the newest last; a rollback's come after what it went back over."""
        if not self.folder.is_dir():
            return []
        found = [match for entry in self.folder.iterdir() if (match := _NAME.match(entry.name))]
        found.sort(key=lambda match: (int(match.group(2)), int(match.group(1))))
        return [match.group(0) for match in found]

    def save(self, step: int, rollbacks: int, main: State, own: State) -> Path:
        """Write a checkpoint; all processes call this together.

        Args:
            step: steps done.
            rollbacks: how often the run has gone back.
            main: the shared state, used on the main process only.
            own: this process's state.
        """
        name = f"step-{step:09d}-{rollbacks}"
        final, temporary = self.folder / name, self.folder / f".{name}.tmp"
        if self.group.is_main:
            self.folder.mkdir(parents=True, exist_ok=True)
            for leftover in self.folder.glob(".step-*.tmp"):
                shutil.rmtree(leftover)
            temporary.mkdir()
        self.group.barrier()
        _write(temporary / f"rank-{self.group.rank:04d}.pt", own)
        if self.group.is_main:
            _write(temporary / "main.pt", main)
        self.group.barrier()
        if self.group.is_main:
            _sync_folder(temporary)
            if final.exists():  # the same step of the same run: the same content
                shutil.rmtree(final)
            temporary.rename(final)
            _sync_folder(self.folder)
            for old in self.names()[: -self.keep]:
                shutil.rmtree(self.folder / old)
        self.group.barrier()
        return final

    def load_newest(self, warn: Callable[[str], None]) -> tuple[State, State] | None:
        """The newest checkpoint that can be read: its shared and this process's own state.

        Args:
            warn: told of each damaged one that is passed over.

        Returns:
            None when there is no checkpoint at all.

        Raises:
            CheckpointError: there are checkpoints, but none can be read.
        """
        names = self.names()
        if not names:
            return None
        chosen = ""
        if self.group.is_main:
            chosen = self._newest_readable(names, warn)
        chosen = self.group.from_main(chosen)
        if not chosen:
            raise CheckpointError(
                f"none of the {len(names)} checkpoints in {self.folder} can be read: restore them "
                "from a copy, or start afresh under another name"
            )
        folder = self.folder / chosen
        main = _read(folder / "main.pt")
        own = folder / f"rank-{self.group.rank:04d}.pt"
        if main["world"] != self.group.world:
            raise CheckpointError(
                f"{folder} belongs to a run of {main['world']} processes, this one has "
                f"{self.group.world}: start it with torchrun --nproc-per-node={main['world']}, or "
                "begin a new run with start.generator set to this run's weights"
            )
        return main, _read(own)

    def _newest_readable(self, names: list[str], warn: Callable[[str], None]) -> str:
        for name in reversed(names):
            try:
                for path in [self.folder / name / "main.pt", *(self.folder / name).glob("rank*")]:
                    _verify(path)
            except CheckpointError as error:
                warn(f"passing over a damaged checkpoint: {error}")
                continue
            return name
        return ""
