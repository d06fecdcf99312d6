"""The API against requests that are made from its document, and against many at a time."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import page_server
import pytest
from command import COMMAND
from compact_network import write_compact
from page_server import NET, TOKEN, Client, Servers, picture

if TYPE_CHECKING:
    from conftest import Photo

_UPLOADS, _QUEUE = 50, 4
_MORE_BYTES = 64 << 20  # that many uploads may take than one does


def test_requests_made_from_the_document_are_answered_as_it_says(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Schemathesis; that some options exclude each other is nothing that a document can say."""
    if importlib.util.find_spec("schemathesis") is None:
        missing = "schemathesis is not installed"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    # A small network in place of the default one, which is loaded for every set of options.
    from realesrgan_vk.page import parameters  # noqa: PLC0415 - needs the extra

    (model,) = (each for each in parameters.JOB_PARAMETERS if each.name == "model")
    monkeypatch.setattr(parameters, "DEFAULT_MODEL", NET)
    monkeypatch.setitem(model.schema, "default", NET)
    with servers.run(queue=1000, max_result_pixels=400) as running:
        done = subprocess.run(
            [
                *(Path(sys.executable).with_name("st"), "run", "--seed", "1", "--no-color"),
                *("--header", f"Authorization: Bearer {TOKEN}", "--max-examples", "10"),
                *("--phases", "coverage", "--request-timeout", "60"),
                *("--exclude-path", "/api/events"),  # it has no end
                *("--exclude-checks", "positive_data_acceptance"),
                f"http://127.0.0.1:{running.client.port}/api/openapi.json",
            ],
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
            cwd=servers.folder.parent,
        )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr
    assert "Tested: 20" in done.stdout


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read in /proc")
def test_many_uploads_at_a_time_take_the_memory_of_one(tmp_path: Path, photo: Photo) -> None:
    """Fifty with four places in the queue: each is refused until there is room, none is lost."""
    page_server.require()
    write_compact(tmp_path / "networks", "net")
    content = picture(photo, 300, 400, "BMP") + bytes(2 << 20)  # a file of more than 2 MB
    command = [*COMMAND, "page", "--no-open", "--port", "0", "--folder", str(tmp_path / "jobs")]
    environment = {
        "REALESRGAN_VK_MODELS": str(tmp_path / "networks"),
        "REALESRGAN_VK_PAGE_TOKEN": TOKEN,
    }
    with subprocess.Popen(
        [*command, "-d", "cpu", "--queue", str(_QUEUE)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | environment,
    ) as process:
        assert process.stdout is not None
        found = re.search(r":(\d+)/", process.stdout.readline())
        assert found
        client = Client(int(found[1]))
        for _ in range(2):
            assert client.upscale("model=net", content)["status"] == "done"
        before = _peak(process.pid)
        taken: list[str] = []
        refused: list[str] = []

        def send() -> None:
            while (answer := client.post("/api/jobs?model=net", content)).status != 202:
                assert answer.status == 503, answer.body
                refused.append(answer.headers["retry-after"])
                time.sleep(0.5)
            taken.append(answer.data["id"])

        threads = [threading.Thread(target=send) for _ in range(_UPLOADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        states = [client.ended(job_id)["status"] for job_id in taken]
        grown = _peak(process.pid) - before
        process.terminate()
        process.wait(30)
    assert states == ["done"] * _UPLOADS
    assert refused
    assert grown < _MORE_BYTES, (before, grown)


def _peak(process: int) -> int:
    """The most bytes that a process had in memory."""
    status = Path(f"/proc/{process}/status").read_text("ascii")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024
