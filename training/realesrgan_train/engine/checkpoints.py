"""Checkpoints that are whole or absent, and the newest one that can be read."""

from __future__ import annotations

import errno
import os
import re
import shutil
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from realesrgan_train.checkpoint_file import would_run_code
from realesrgan_train.engine.distributed import ProcessGroup
from realesrgan_train.errors import CheckpointError
from realesrgan_train.wording import first_line

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
    try:
        with path.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
    except (OSError, RuntimeError) as error:
        cause = _system_error(error)
        if cause is None:
            raise
        raise OSError(cause.errno, cause.strerror, str(path)) from error


def _system_error(error: BaseException) -> OSError | None:
    """Return the system's error behind one of PyTorch's writer.

    A write that fails, such as on a full disk, makes the writer fail again while it closes the
    archive ("unexpected pos 128 vs 22"), in some releases more than once.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__context__
    return cause


def _own_file(rank: int) -> str:
    return f"rank-{rank:04d}.pt"


def _read(path: Path, *, mmap: bool = False) -> State:
    try:
        state: State = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except Exception as error:  # whatever a damaged file provokes in the unpickler
        reason = (
            "it holds what no checkpoint of a run does, and reading it could run code"
            if would_run_code(error)
            else first_line(error)
        )
        raise CheckpointError(f"{path} cannot be read ({reason})") from error
    return state


def _verify(path: Path) -> None:
    """Check every checksum in the file, without keeping its content."""
    if not path.is_file():
        raise CheckpointError(f"{path} is missing")
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except (OSError, zipfile.BadZipFile, zlib.error) as error:
        raise CheckpointError(f"{path} cannot be read ({error})") from error
    if broken is not None:
        raise CheckpointError(f"{path} is damaged (wrong checksum in {broken})")


def checkpoint_names(folder: Path) -> list[str]:
    """Whole checkpoints, the newest last; a rollback's come after those it went back over."""
    if not folder.is_dir():
        return []
    found = [match for entry in folder.iterdir() if (match := _NAME.match(entry.name))]
    found.sort(key=lambda match: (int(match.group(2)), int(match.group(1))))
    return [match.group(0) for match in found]


def newest_step(folder: Path) -> int:
    """Steps done at the newest checkpoint, 0 where there is none."""
    match = _NAME.match(next(iter(checkpoint_names(folder)[::-1]), ""))
    return int(match.group(1)) if match else 0


class CheckpointStore:
    """The checkpoints of one run.

    A checkpoint is a folder: what all processes share (`main.pt`, written by the main process) and
    what is each one's own (`rank-0000.pt`: its pair pool). It is written under a temporary name,
    every file is flushed to the disk, and the folder is renamed when all processes are done. So a
    name that exists is a whole checkpoint, whatever was killed when. All nodes share the disk.
    """

    def __init__(self, folder: Path, keep: int, group: ProcessGroup) -> None:
        self.folder, self.keep, self.group = folder, keep, group

    def names(self) -> list[str]:
        """See `checkpoint_names`."""
        return checkpoint_names(self.folder)

    def save(self, step: int, rollbacks: int, main: State, own: State) -> Path:
        """Write a checkpoint; all processes call this together.

        One that is already there and whole is kept: the same step of the same run is the same
        content, and removing it first could leave none. The shared state (`main`) is the main
        process's, `own` each one's.

        Raises:
            OSError: On all processes, if one cannot write its file. Nothing of the checkpoint is
                left then, and the earlier ones are untouched.
        """
        name = f"step-{step:09d}-{rollbacks}"
        final, temporary = self.folder / name, self.folder / f".{name}.tmp"
        there = ""
        if self.group.is_main:
            self.folder.mkdir(parents=True, exist_ok=True)
            for leftover in self.folder.glob(".step-*.tmp"):
                shutil.rmtree(leftover)
            there = "yes" if final.exists() and not self._fault(name) else ""
            if not there:
                temporary.mkdir()
        if self.group.from_main(there):
            return final
        failures = self.group.gather(self._write_files(temporary, main, own))
        if failures:
            if self.group.is_main:
                shutil.rmtree(temporary, ignore_errors=True)
            raise self._unsaved(failures[0], final)
        if self.group.is_main:
            _sync_folder(temporary)
            if final.exists():  # damaged, see above
                shutil.rmtree(final)
            temporary.rename(final)
            _sync_folder(self.folder)
            # Of those up to this one: a later one was passed over as damaged, and does not count.
            until = self.names().index(name) + 1
            for old in self.names()[: max(0, until - self.keep)]:
                shutil.rmtree(self.folder / old)
        self.group.barrier()
        return final

    def _write_files(self, folder: Path, main: State, own: State) -> list[OSError]:
        """Write this process's files; returns why that failed, so that all processes learn it."""
        try:
            _write(folder / _own_file(self.group.rank), own)
            if self.group.is_main:
                _write(folder / "main.pt", main)
        except OSError as error:
            return [error]
        return []

    def _unsaved(self, error: OSError, checkpoint: Path) -> OSError:
        """The error of a checkpoint that could not be written, and what is left to go on from."""
        names = self.names()
        left = f"the run can go on from {names[-1]}" if names else "there is no earlier one"
        reason = error.strerror or str(error)
        return OSError(
            error.errno or errno.EIO,
            f"{reason} while the checkpoint was written; {left}: make room or mend the disk, and "
            "give the same command again",
            str(checkpoint),
        )

    def load_newest(self, warn: Callable[[str], None]) -> tuple[State, State] | None:
        """The shared and the own state of the newest checkpoint that can be read, None for none.

        `warn` is called with a message about each damaged one that is skipped.

        Raises:
            CheckpointError: There are checkpoints, but none can be read.
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
                "from a copy, or begin a new run under another name"
            )
        folder = self.folder / chosen
        main = _read(folder / "main.pt")
        if main["world"] != self.group.world:
            raise CheckpointError(
                f"{folder} belongs to a run of {main['world']} processes, this one has "
                f"{self.group.world}: start it with torchrun --nproc-per-node={main['world']}, or "
                "begin a new run with start.generator set to this run's weights"
            )
        return main, _read(folder / _own_file(self.group.rank))

    def _newest_readable(self, names: list[str], warn: Callable[[str], None]) -> str:
        for name in reversed(names):
            fault = self._fault(name)
            if not fault:
                return name
            warn(f"passing over a damaged checkpoint: {fault}")
        return ""

    def _fault(self, name: str) -> str:
        """What is wrong with a checkpoint's files, of which each process has one; or nothing."""
        folder = self.folder / name
        try:
            _verify(folder / "main.pt")
            world = _read(folder / "main.pt", mmap=True)["world"]
            for rank in range(world):
                _verify(folder / _own_file(rank))
        except CheckpointError as error:
            return str(error)
        return ""
