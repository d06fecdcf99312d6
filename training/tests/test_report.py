"""The page about a run, and what validations leave for it."""

from __future__ import annotations

import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from realesrgan_train.config import load_config
from realesrgan_train.engine import ProcessGroup, Trainer
from realesrgan_train.engine.measures import is_better, note_best, read_best, read_measures
from realesrgan_train.report import _events, write_report
from realesrgan_train.sheet import CELL

from .cli.test_commands import call
from .conftest import Overrides, draw_picture

ALONE = ProcessGroup(0, 1, torch.device("cpu"))


class _Checker(HTMLParser):
    """Collects text, addresses, and tags that do not match."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for key, value in attrs if key in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_run_s_page_has_curves_measures_sheets_and_settings(
    micro: Overrides, tmp_path: Path
) -> None:
    folder = tmp_path / "held <out>"
    folder.mkdir()
    for number in range(3):
        draw_picture(40 + number, 128, 80).save(folder / f"{number} & more.png")
    options = micro(
        f"validation.pictures={folder}",
        "validation={every: 4, samples: 2}",
        "validation.best=psnr_y",
    )
    Trainer(load_config("tiny", options), ALONE).run()
    run_dir = tmp_path / "runs" / "micro"
    steps = [4, 8, 12, 14]
    sheets = sorted(path.name for path in (run_dir / "sheets").iterdir())
    assert sheets == [f"step-{step:09d}.png" for step in steps]
    measures = read_measures(run_dir)
    assert [one["step"] for one in measures] == steps
    assert len(measures[0]["pictures"]) == 3
    best = max(measures, key=lambda one: one["mean"]["psnr_y"])
    assert read_best(run_dir)["value"] == best["mean"]["psnr_y"]

    result = call("report", run_dir)
    assert result.exit_code == 0, result.output
    page = (run_dir / "report.html").read_text(encoding="utf-8")
    checker = _Checker()
    checker.feed(page)
    checker.close()
    assert checker.open == []
    for text in ("finished", "PSNR of luma, dB", "loss pixel", "2 & more.png", "mean of 3"):
        assert text in checker.text, text
    assert "seed: 0" in checker.text
    assert "<out>" not in page
    # Nothing is loaded from elsewhere: pictures are in the page, and there is no script.
    assert len(checker.addresses) == 3
    assert all(address.startswith("data:image/webp;base64,") for address in checker.addresses)
    assert not re.search(r"<script|https?://|url\(|@import", page)
    assert "prefers-color-scheme: dark" in page
    assert call("report", run_dir, "--out", tmp_path / "page.html").exit_code == 0


def test_the_sheet_shows_input_output_and_target(micro: Overrides, tmp_path: Path) -> None:
    folder = tmp_path / "held_out"
    folder.mkdir()
    draw_picture(1, 100, 80).save(folder / "a.png")
    options = micro(f"validation.pictures={folder}", "validation={every: 8, degradation: bicubic}")
    Trainer(
        load_config(
            "tiny",
            options,
        ),
        ALONE,
    ).run()
    sheet = np.asarray(Image.open(tmp_path / "runs/micro/sheets/step-000000008.png"))
    assert sheet.shape[1] == 3 * (CELL + 6)
    cells = [
        sheet[20 : 20 + 240, n * (CELL + 6) : n * (CELL + 6) + 300] for n in range(3)
    ]  # 100x80, three times as large
    target = np.asarray(Image.open(folder / "a.png"))
    assert np.array_equal(cells[2], target.repeat(3, 0).repeat(3, 1))
    blocks = cells[0].reshape(40, 6, 50, 6, 3)
    assert (blocks == blocks[:, :1, :, :1]).all()  # each pixel of the input as 6x6
    assert not np.array_equal(cells[1], cells[2])
    assert (sheet[262:] < 128).any()


def test_the_sheets_are_in_tensorboard(micro: Overrides, pictures: Path, tmp_path: Path) -> None:
    if not os.environ.get("CI"):
        pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import (  # noqa: PLC0415
        EventAccumulator,
    )

    options = micro(
        f"validation.pictures={pictures}",
        "validation={every: 4, limit: 1}",
        "logging.tensorboard=true",
        "stages.gan=null",
    )
    Trainer(load_config("tiny", options), ALONE).run()
    board = EventAccumulator(str(tmp_path / "runs" / "micro" / "tensorboard")).Reload()
    assert [image.step for image in board.Images("validation/sheet")] == [4, 8]


def test_the_best_step_follows_the_measure(tmp_path: Path) -> None:
    assert is_better(tmp_path, "lpips", 4, 0.3)
    note_best(tmp_path, "lpips", 4, 0.3)
    assert not is_better(tmp_path, "lpips", 8, 0.4)
    assert not is_better(tmp_path, "lpips", 8, 0.3)
    assert is_better(tmp_path, "lpips", 8, 0.2)
    assert is_better(tmp_path, "psnr_y", 8, 1.0)  # another measure begins anew
    note_best(tmp_path, "psnr_y", 8, 30.0)
    assert not is_better(tmp_path, "psnr_y", 12, 29.0)
    assert is_better(tmp_path, "psnr_y", 8, 20.0)  # a run that went on from before measures again


def test_steps_that_were_done_again_are_told_once() -> None:
    lines = [
        {"event": "step", "step": 1, "loss": 1.0},
        {"event": "step", "step": 2, "loss": 2.0},
        {"event": "step", "step": 3, "loss": 3.0},
        {"event": "resume", "step": 1},
        {"event": "step", "step": 2, "loss": 5.0},
    ]
    text = "\n".join([*map(json.dumps, lines), '{"event": "st'])
    kept = [(e["step"], e["loss"]) for e in _events(text) if e["event"] == "step"]
    assert kept == [(1, 1.0), (2, 5.0)]


def test_a_folder_without_a_run_is_told(tmp_path: Path) -> None:
    result = call("report", tmp_path)
    assert result.exit_code == 2
    assert "holds no run: log.jsonl is not there" in result.stderr
    (tmp_path / "log.jsonl").touch()
    write_report(tmp_path, tmp_path / "page.html")  # a run that was killed at its first line
    assert "under way or killed" in (tmp_path / "page.html").read_text()
    with pytest.raises(FileNotFoundError):
        write_report(tmp_path, tmp_path / "no" / "page.html")
