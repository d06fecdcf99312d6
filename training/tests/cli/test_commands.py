"""The command line: results, messages and exit codes."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner, Result
from PIL import Image, ImageCms

import realesrgan_train
from realesrgan_train.cli import app
from realesrgan_train.config import load_config, preset_names
from realesrgan_train.networks import SRVGGNetCompact
from realesrgan_train.weights import load_network, save_network

from ..conftest import Overrides, draw_picture


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "a.safetensors"
    save_network(path, SRVGGNetCompact(num_feat=8, num_conv=2, upscale=2), {"licence": "MIT"})
    return path


def test_run_trains_both_stages_and_says_where_the_weights_are(
    micro: Overrides, pictures: Path, tmp_path: Path
) -> None:
    more = (f"validation.pictures={pictures}", "validation.every=8", "validation.crop=64")
    result = call("run", "tiny", *micro(*more))
    assert result.exit_code == 0, result.output
    run_dir = tmp_path / "runs" / "micro"
    assert f"weights: {run_dir / 'weights'}" in result.stdout
    log = [json.loads(line) for line in (run_dir / "log.jsonl").read_text().splitlines()]
    names = [line["event"] for line in log]
    assert names[:2] == ["start", "checkpoint"]
    assert names[-1] == "finished"
    assert names.count("step") == 14
    measured = [line for line in log if line["event"] == "validation"]
    assert [line["step"] for line in measured] == [8, 14]
    assert all(line["psnr_y"] > 10 for line in measured)
    losses = [line["loss"] for line in log if line["event"] == "step"]
    assert all(isinstance(loss, float) and loss < 1 for loss in losses)  # NaN would be text
    assert len(list((run_dir / "samples" / "step-000000008").glob("*.png"))) == 2
    resolved = yaml.safe_load((run_dir / "config.yaml").read_text())
    assert resolved["degradation"]["patch_size"] == 32
    again = call("run", run_dir / "config.yaml")  # a finished run has nothing left to do
    assert again.exit_code == 0, again.output


def test_dry_run_prints_the_resolved_configuration_and_writes_nothing(
    micro: Overrides, tmp_path: Path
) -> None:
    result = call("run", "tiny", *micro(), "--dry-run")
    assert result.exit_code == 0
    assert yaml.safe_load(result.stdout)["network"]["num_feat"] == 8
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("override", "code", "message"),
    [
        ("data.batchsize=1", 2, "did you mean 'data.batch_size'?"),
        ("data.pictures=[]", 2, "data.pictures is empty: name a folder"),
        ("stages.net=null", 2, "set start.generator"),
        ("data.pictures=nowhere", 3, "nowhere does not exist"),
        ("start.generator=nothing.pth", 4, "no such checkpoint"),
    ],
)
def test_bad_runs_end_with_a_message_a_code_and_no_folder(
    micro: Overrides, tmp_path: Path, override: str, code: int, message: str
) -> None:
    result = call("run", "tiny", *micro(override))
    assert result.exit_code == code
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert not (tmp_path / "runs").exists()


def test_a_guard_gives_exit_code_five(micro: Overrides) -> None:
    result = call("run", "tiny", *micro("stages.net.optimizer={lr: 1.0e+30, warmup: 0}"))
    assert result.exit_code == 5, result.output
    assert "infinite or not a number" in result.stderr


def test_a_corrupt_picture_in_the_middle_is_reported_once_and_survived(
    micro: Overrides, tmp_path: Path
) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    for number in range(3):
        draw_picture(number).save(folder / f"{number}.png")
    data = (folder / "1.png").read_bytes()
    (folder / "1.png").write_bytes(data[: len(data) // 2])
    result = call("run", "tiny", *micro(f"data.pictures={folder}"))
    assert result.exit_code == 0, result.output
    assert result.stderr.count("damaged picture replaced by another") == 1
    log = (tmp_path / "runs" / "micro" / "log.jsonl").read_text()
    assert log.count("damaged_picture") == 1


def test_validate_measures_pictures_and_pairs(
    weights: Path, pictures: Path, pairs: Path, tmp_path: Path
) -> None:
    samples = tmp_path / "samples"
    result = call(
        *("validate", weights, "--pictures", pictures, "--gt", pairs / "gt", "--lq", pairs / "lq"),
        *("--json", "--samples", samples, "--sample-count", "2", "--device", "cpu"),
    )
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert len(report["pictures"]) == 9
    for name in ("psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb", "bicubic_psnr_y"):
        values = [figures[name] for figures in report["pictures"].values()]
        assert report["mean"][name] == pytest.approx(sum(values) / 9)
    with Image.open(samples / "000.png") as sample:
        assert sample.size == (96 * 3, 80)
    table = call("validate", weights, "--pictures", pictures, "--tile", "16", "--device", "cpu")
    assert table.exit_code == 0
    assert "mean of 6" in table.stdout


def test_validate_says_what_is_missing(weights: Path, pictures: Path, tmp_path: Path) -> None:
    assert "give --pictures, or --gt and --lq" in call("validate", weights).stderr
    assert "belong together" in call("validate", weights, "--gt", pictures).stderr
    assert call("validate", tmp_path / "no.pth", "--pictures", pictures).exit_code == 4
    assert call("validate", weights, "--pictures", tmp_path / "no").exit_code == 3


def test_interpolate(weights: Path, tmp_path: Path) -> None:
    other, out = tmp_path / "b.safetensors", tmp_path / "mix.safetensors"
    save_network(other, SRVGGNetCompact(num_feat=8, num_conv=2, upscale=2), {"licence": "MIT"})
    result = call("interpolate", weights, other, "--alpha", "0.25", "--out", out)
    assert result.exit_code == 0, result.output
    a, b, mix = (load_network(p) for p in (weights, other, out))
    for key, value in mix.network.state_dict().items():
        expected = 0.75 * a.network.state_dict()[key] + 0.25 * b.network.state_dict()[key]
        assert torch.allclose(value, expected, atol=1e-7)
    assert mix.metadata["licence"] == "MIT"
    assert json.loads(mix.metadata["interpolated"])["alpha"] == 0.25


def test_interpolate_refuses(weights: Path, tmp_path: Path) -> None:
    other = tmp_path / "b.safetensors"
    save_network(other, SRVGGNetCompact(num_feat=8, num_conv=3, upscale=2))
    result = call("interpolate", weights, other)
    assert result.exit_code == 4
    assert "only networks of one architecture" in result.stderr
    assert call("interpolate", weights, weights, "--alpha", "1.5").exit_code == 2
    assert call("interpolate", weights, weights, "--out", tmp_path / "x.pth").exit_code == 2


def test_an_activation_the_file_does_not_state_is_an_option(
    weights: Path, pictures: Path, tmp_path: Path
) -> None:
    relu = tmp_path / "relu.pth"
    torch.save(
        SRVGGNetCompact(num_feat=8, num_conv=2, upscale=2, act_type="relu").state_dict(), relu
    )
    for command in (
        ("validate", relu, "--pictures", pictures, "--device", "cpu"),
        ("interpolate", relu, relu, "--out", tmp_path / "mix.safetensors"),
    ):
        asked = call(*command)
        assert asked.exit_code == 4
        assert "give --act-type relu or --act-type leakyrelu" in asked.stderr
        assert call(*command, "--act-type", "relu").exit_code == 0
    refused = call("validate", weights, "--pictures", pictures, "--act-type", "relu")
    assert "--act-type relu was given, but the file says prelu" in refused.stderr


def test_preview(micro: Overrides, tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    result = call("preview", "tiny", *micro(), "--count", "2", "--out", out)
    assert result.exit_code == 0, result.output
    with Image.open(out) as sheet:
        assert sheet.format == "PNG"
    result = call("preview", "tiny", *micro(), "--out", tmp_path / "no" / "sheet.png")
    assert result.exit_code == 2
    assert "does not exist" in result.stderr


def test_preview_shows_what_training_sees(micro: Overrides, tmp_path: Path) -> None:
    """Names that are one when flattened stay two; deep gray is scaled, not clipped."""
    folder = tmp_path / "names"
    (folder / "a").mkdir(parents=True)
    gray = np.full((48, 48), 0x4000, dtype=np.uint16)
    Image.fromarray(gray).save(folder / "a" / "b.png")
    Image.new("RGB", (48, 48), (200, 10, 10)).save(folder / "a_b.png")
    out = tmp_path / "sheet.png"
    result = call("preview", "tiny", *micro(f"data.pictures={folder}"), "--out", out)
    assert result.exit_code == 0, result.output
    with Image.open(out) as sheet:
        rows = [sheet.getpixel((5, y)) for y in (5, sheet.height // 2 + 5)]
    assert sorted(rows, key=str) == [(200, 10, 10), (64, 64, 64)]


def test_preview_replaces_a_damaged_picture_as_a_run_does(micro: Overrides, tmp_path: Path) -> None:
    folder, out = tmp_path / "mixed", tmp_path / "sheet.png"
    folder.mkdir()
    for number in range(3):
        draw_picture(number).save(folder / f"{number}.png")
    (folder / "1.png").write_bytes(b"damaged")
    result = call("preview", "tiny", *micro(f"data.pictures={folder}"), "--out", out)
    assert result.exit_code == 0, result.output
    assert result.stderr.count("warning: damaged picture replaced by another: ") == 1
    assert f"{folder / '1.png'}: not a picture" in result.stderr
    with Image.open(out) as sheet:
        assert sheet.format == "PNG"
    for number in range(3):
        (folder / f"{number}.png").write_bytes(b"damaged")
    result = call("preview", "tiny", *micro(f"data.pictures={folder}"), "--out", out)
    assert result.exit_code == 3
    assert "16 pictures in a row could not be read" in result.stderr


def test_what_follows_a_question_is_a_sentence_of_its_own(micro: Overrides) -> None:
    layers = "stages.gan.perceptual={layers: {conv9_9: 1}}"
    for result in (call("run", "tini"), call("run", "none"), call("run", "tiny", *micro(layers))):
        assert result.exit_code == 2
        assert re.search(r"[?.] (Presets|There are): \w", result.stderr), result.stderr


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["run", "--help"], ["schema"]])
def test_help_does_without_pytorch(words: list[str]) -> None:
    script = (
        "import sys; from realesrgan_train.cli import app\n"
        f"app({words}, standalone_mode=False); sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == 0


@pytest.mark.parametrize("given", [None, "ACTIVE"])
def test_waiting_threads_sleep_unless_the_user_says_otherwise(given: str | None) -> None:
    """OpenMP itself says what it was told: it reads the variable before any of our code of it."""
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    environment |= {"OMP_DISPLAY_ENV": "TRUE"} | ({"OMP_WAIT_POLICY": given} if given else {})
    done = subprocess.run(
        [sys.executable, "-m", "realesrgan_train", "presets"],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    if "OPENMP DISPLAY ENVIRONMENT BEGIN" not in done.stderr:
        pytest.skip("this PyTorch's OpenMP does not say what it was told")
    assert f"OMP_WAIT_POLICY = '{given or 'PASSIVE'}'" in done.stderr


def test_the_help_names_every_command_and_what_it_does() -> None:
    told = " ".join(call("--help").stdout.split())
    for command in app.commands.values():
        assert f"{command.name} {(command.help or '').partition(chr(10))[0]}" in told
    assert call("--version").stdout == f"realesrgan-train, version {realesrgan_train.__version__}\n"


def test_presets_and_schema() -> None:
    listed = call("presets").stdout
    assert [line.split()[0] for line in listed.splitlines()] == preset_names()
    assert json.loads(call("schema").stdout)["title"] == "RunConfig"


def test_doctor_finds_everything_at_once(
    micro: Overrides, pairs: Path, weights: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "sick"
    folder.mkdir()
    draw_picture(0).save(folder / "good.png")
    draw_picture(0).save(folder / "copy.bmp")
    (folder / "broken.png").write_bytes((folder / "good.png").read_bytes()[:200])
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    draw_picture(1).save(folder / "lab.png", icc_profile=profile.tobytes())
    draw_picture(2, 20, 20).save(folder / "small.png")
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    for number in range(3):
        draw_picture(number, 40, 40).save(wrong / f"q{number}.png")
    result = call(
        *("doctor", "tiny"),
        *micro(
            f"data.pictures={folder}",
            f"data.pairs=[{{gt: {pairs / 'gt'}, lq: {wrong}}}]",
            f"start.generator={weights}",
            "network.num_conv=3",
        ),
    )
    assert result.exit_code == 4  # the gravest: the start weights
    for message in (
        "broken.png: cannot be decoded",
        "good.png has the same content as",
        "lab.png: its colour profile is",
        "small.png: 20x20 is smaller than the crop of 40",
        "q0.png: is 96x80, but its small version is 40x40",
        "a.safetensors holds an SRVGGNetCompact x2 with 8 features and 2 convolutions",
        "memory: about",
    ):
        assert message in result.stdout, message


def test_doctor_exit_codes(micro: Overrides, pictures: Path, tmp_path: Path) -> None:
    well = call("doctor", "tiny", *micro())
    assert (well.exit_code, well.stdout.splitlines()[-1]) == (0, "no problems found"), well.output
    leak = call("doctor", "tiny", *micro(f"validation.pictures={pictures}"))
    assert leak.exit_code == 10
    assert "the validation picture is trained on" in leak.stdout
    assert call("doctor", "tiny", *micro(f"data.pictures={tmp_path / 'no'}")).exit_code == 3
    assert call("doctor", "tiny", "nonsense=1").exit_code == 2
    assert call("doctor", "tiny").exit_code == 2  # no data named


def test_doctor_warns_when_memory_will_not_do(micro: Overrides) -> None:
    result = call("doctor", "tiny", *micro("data.batch_size=1000000"))
    assert result.exit_code == 10
    assert "lower data.batch_size" in result.stdout


def test_a_damaged_validation_picture_is_left_out(weights: Path, tmp_path: Path) -> None:
    folder = tmp_path / "held_out"
    folder.mkdir()
    draw_picture(0).save(folder / "a.png")
    (folder / "b.png").write_bytes(b"nothing")
    result = call("validate", weights, "--pictures", folder, "--json", "--device", "cpu")
    assert result.exit_code == 0
    assert "left out of the validation" in result.stderr
    assert len(json.loads(result.stdout)["pictures"]) == 1
    (folder / "a.png").unlink()
    result = call("validate", weights, "--pictures", folder, "--device", "cpu")
    assert result.exit_code == 3
    assert "none of the 1 validation pictures" in result.stderr


def test_missing_vgg_weights_are_noticed_before_step_one(micro: Overrides, tmp_path: Path) -> None:
    perceptual = f"stages.gan.perceptual={{weight: 1.0, weights: {tmp_path / 'vgg.pth'}}}"
    for command in ("run", "doctor"):
        result = call(command, "tiny", *micro(perceptual))
        assert result.exit_code == 4
        assert "vgg.pth: no VGG19 weights there" in result.output
    assert not (tmp_path / "runs").exists()


def test_a_finished_generator_without_its_discriminator_is_told_of(
    micro: Overrides, tmp_path: Path
) -> None:
    made = call("run", "tiny", *micro("stages.gan.steps=1", "name=made"))
    assert made.exit_code == 0, made.output
    generator = tmp_path / "runs" / "made" / "weights" / "gan.safetensors"
    more = micro("stages.net=null", f"start.generator={generator}", "stages.gan.steps=3")
    words = "was trained against a discriminator, but a random one"
    doctor = call("doctor", "tiny", *more)
    assert doctor.exit_code == 10
    assert doctor.stdout.count(words) == 1
    warmed = call("run", "tiny", *more, "stages.gan.warmup_discriminator=2", "name=warmed")
    assert warmed.exit_code == 0, warmed.output
    assert words not in warmed.output
    assert "only the discriminator learns until step 2" in warmed.output
    run = call("run", "tiny", *more)
    assert run.exit_code == 0, run.output
    assert run.output.count(words) == 1
    assert "set" not in call("run", "tiny", *more).output  # it is said at the start alone


def test_all_missing_files_are_named_at_once(micro: Overrides, tmp_path: Path) -> None:
    more = micro(
        "start.generator=absent.pth",
        "start.discriminator=gone.pth",
        "stages.gan.perceptual={weight: 1.0, weights: vgg.pth}",
        "data.pictures=no_photos",
        "validation.pictures=none_held_out",
    )
    for command in ("run", "doctor"):
        result = call(command, "tiny", *more)
        assert result.exit_code == 4
        for message in (
            "absent.pth: no such checkpoint",
            "gone.pth: no such checkpoint",
            "vgg.pth: no VGG19 weights there",
            "picture folder no_photos does not exist",
            "picture folder none_held_out does not exist",
        ):
            assert result.output.count(message) == 1, (command, message, result.output)
    assert not (tmp_path / "runs").exists()


def test_a_text_file_is_no_checkpoint(micro: Overrides, tmp_path: Path) -> None:
    path = tmp_path / "RealESRGAN_x4plus.pth"
    path.write_text("the weights are at the address below\n")
    for command in ("run", "doctor"):
        result = call(command, "tiny", *micro(f"start.generator={path}"))
        assert result.exit_code == 4
        assert "x4plus.pth: not a checkpoint but a text file" in result.output


def test_control_characters_of_names_are_escaped(pictures: Path) -> None:
    result = call("validate", "a\x1b[2Jb.pth", "--pictures", pictures)
    assert "a\\x1b[2Jb.pth: no such checkpoint" in result.stderr
    assert "\x1b" not in result.stderr


def test_the_perceptual_loss_can_be_left_out(micro: Overrides, tmp_path: Path) -> None:
    asked = call("run", "tiny", *micro("stages.gan.perceptual={weight: 1.0}"))
    assert asked.exit_code == 2
    assert "set stages.gan.perceptual=null to train without" in asked.stderr
    left_out = micro("stages.gan.perceptual=null")
    doctor = call("doctor", "tiny", *left_out)
    assert doctor.exit_code == 0, doctor.output
    assert "VGG19" not in doctor.output
    assert call("run", "tiny", *left_out).exit_code == 0
    log = (tmp_path / "runs" / "micro" / "log.jsonl").read_text()
    assert "loss_gan" in log
    assert "loss_perceptual" not in log
    assert load_config("tiny", left_out).stages.gan.perceptual is None  # type: ignore[union-attr]


def test_a_file_that_cannot_be_written_is_one_line(
    micro: Overrides, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "main.pt")

    monkeypatch.setattr("realesrgan_train.engine.checkpoints._write", full)
    result = call("run", "tiny", *micro())
    assert result.exit_code == 1
    assert re.search(
        r"^error: \S+/step-000000000-0: No space left on device while the checkpoint was written; "
        r".*the same command again\n$",
        result.stderr,
    )
    assert "Traceback" not in result.output


def test_an_output_that_cannot_be_a_file_is_refused(
    micro: Overrides, weights: Path, pictures: Path, tmp_path: Path
) -> None:
    folder, file = tmp_path / "folder.png", tmp_path / "notes"
    (tmp_path / "folder.safetensors").mkdir()
    folder.mkdir()
    file.write_text("a file")
    for result in (
        call("preview", "tiny", *micro(), "--out", folder),
        call("interpolate", weights, weights, "--out", tmp_path / "folder.safetensors"),
    ):
        assert result.exit_code == 2
        assert "this is a folder; name a file in it" in result.stderr
    for result in (
        call("preview", "tiny", *micro(), "--out", file / "sheet.png"),
        call("interpolate", weights, weights, "--out", file / "mix.safetensors"),
    ):
        assert result.exit_code == 2
        assert f"the folder {file} is a file" in result.stderr
    result = call("validate", weights, "--pictures", pictures, "--samples", file)
    assert result.exit_code == 2
    assert f"--samples {file}: this is a file; name a folder" in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.safetensors",
        "folder.png",
        "folder.safetensors",
        "notes",
    ]


@pytest.mark.parametrize(
    ("output", "name", "other"),
    [("notes", "r", "output"), ("notes/deep", "r", "output"), ("", "notes", "name")],
)
def test_a_file_in_the_place_of_the_run_folder_is_refused(
    micro: Overrides, tmp_path: Path, output: str, name: str, other: str
) -> None:
    file = tmp_path / "notes"
    file.write_text("a file")
    more = micro(f"output={tmp_path / output}", f"name={name}")
    for command in ("run", "doctor"):
        result = call(command, "tiny", *more)
        assert result.exit_code == 2, result.output
        assert f"{file} is a file: choose another {other}" in result.output
    assert file.read_text() == "a file"


def test_a_full_disk_names_the_file_that_was_asked_for(
    micro: Overrides, weights: Path, small_disk: Path
) -> None:
    (small_disk / "rest").write_bytes(bytes(2 << 20))
    sheet, mixed = small_disk / "sheet.png", small_disk / "mix.safetensors"
    for out, result in (
        (sheet, call("preview", "tiny", *micro(), "--count", "1", "--out", sheet)),
        (mixed, call("interpolate", weights, weights, "--out", mixed)),
    ):
        assert result.exit_code == 1
        assert result.stderr.startswith(f"error: {out}: ")
        assert "No space left on device" in result.stderr
    assert [path.name for path in small_disk.iterdir()] == ["rest"]


def test_given_pairs_alone_are_enough(micro: Overrides, tmp_path: Path) -> None:
    result = call("run", "tiny", *micro("data.pictures=[]", "data.pair_ratio=1"))
    assert result.exit_code == 0, result.output
    assert (tmp_path / "runs" / "micro" / "weights" / "gan.safetensors").is_file()


def test_messages_name_packages_of_others_only() -> None:
    """A name of ours is not on the package index: whoever registered it would be installed."""
    for path in Path(realesrgan_train.__file__).parent.rglob("*.py"):
        assert not re.search(r"pip install[^#]{0,9}realesrgan", path.read_text("utf-8")), path
