"""The command `realesrgan-vk page`: its address, what it refuses, and its end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import page_server
import pytest
from command import COMMAND, run, run_here
from compact_network import write_compact
from page_server import Client

if TYPE_CHECKING:
    from pathlib import Path


def test_it_prints_its_address_and_goes_on_with_its_jobs(tmp_path: Path, png: bytes) -> None:
    page_server.require()
    write_compact(tmp_path / "networks", "net")
    command = [*COMMAND, "page", "--no-open", "--port", "0", "--folder", str(tmp_path / "jobs")]
    environment = os.environ | {"REALESRGAN_VK_MODELS": str(tmp_path / "networks")}
    for number in (signal.SIGINT, signal.SIGTERM):
        with subprocess.Popen(
            [*command, "-d", "cpu"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        ) as process:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/\?token=([\w-]{32})", address)
            assert found, address
            client = Client(int(found[1]), {"Authorization": f"Bearer {found[2]}"})
            if number == signal.SIGINT:
                job = client.upscale("model=net", png)
                second = subprocess.run(
                    command, check=False, capture_output=True, text=True, timeout=60
                )
                assert second.returncode == 2
                assert "another server keeps its jobs in" in second.stderr
            assert client.job(job["id"])["status"] == "done"
            assert (tmp_path / "jobs").stat().st_mode & 0o077 == 0
            process.send_signal(number)
            _, errors = process.communicate(timeout=60)
            assert process.returncode == 128 + number
            assert "stopped" in errors
            assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--listen 0.0.0.0", "lets other machines in; choose a --token or --password"),
        ("--listen ::", "lets other machines in"),
        ("--listen example.org", "is no IP address"),
        ("--token short", "a token has 16 to 256 letters"),
        ("--password short", "a password has 8 to 256 characters"),
        ("--host a/b", "is no host's name"),
        ("--max-upload much", "the size is 'much'"),
        ("-d no-such --port 0", "no device 'no-such'"),
    ],
)
def test_it_refuses(words: str, message: str, tmp_path: Path) -> None:
    page_server.require()
    done = run_here("page", *words.split(), "--no-open", "--folder", tmp_path / "jobs")
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())


def test_without_its_packages_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['uvicorn'] = None; sys.argv = ['realesrgan-vk', 'page']\n"
        "from realesrgan_vk.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "pip install starlette uvicorn python-multipart" in " ".join(done.stderr.split())


def test_help_names_its_options() -> None:
    done = run("page", "--help")
    assert done.returncode == 0
    assert "--listen" in done.stdout
