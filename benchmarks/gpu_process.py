"""The process of one engine, as `gpu.py` sees it."""

import json
import queue
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PATIENCE = 1800.0
"""Seconds for one answer; compiling a network takes minutes."""


class EngineProcess:
    """Starts `gpu_engines.py` and talks with it in lines of JSON.

    Attributes:
        ready: What the engine said when it was ready: version, loading, facts, or missing.
    """

    def __init__(self, **task: str | int) -> None:
        """Wait until the engine is ready.

        Raises:
            RuntimeError: with the end of what the process wrote, if it failed.
        """
        self._name = task["engine"]
        self._result = Path(str(task["result"]))
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by end()
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("gpu_engines.py")), json.dumps(task)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.ready = self._answer()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def _answer(self) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=PATIENCE)
        except queue.Empty:
            self.end()
            raise RuntimeError(f"{self._name} gave no answer in {PATIENCE:.0f} s") from None
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        code = self._process.wait()
        self._errors.seek(0)
        said = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        raise RuntimeError(f"{self._name} ended with code {code}: {' '.join(said[-2:])[-300:]}")

    def run(self) -> dict[str, Any]:
        """Run once; seconds and peak_bytes.

        Raises:
            RuntimeError: with the end of what the process wrote, if it failed.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write("run\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # its end is reported by the answer that does not come
        return self._answer()

    def result(self) -> NDArray[np.uint8]:
        """The last run's picture."""
        picture: NDArray[np.uint8] = np.load(self._result)
        return picture

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        self._errors.close()
