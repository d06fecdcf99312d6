"""The doctor's count of a step's work against what the convolutions' shapes say."""

from __future__ import annotations

import pytest

from realesrgan_train.config import RunConfig, load_config
from realesrgan_train.doctor.work import step_work

from ..cli.test_commands import call
from ..conftest import Overrides


def _compact(config: RunConfig) -> tuple[int, int]:
    """Multiplications and additions of a forward pass: all, and those of the first convolution."""
    sizes = config.network.model_dump()
    feat, conv, edge = sizes["num_feat"], sizes["num_conv"], config.gt_size // config.scale
    first = 3 * feat
    weights = 9 * (first + conv * feat**2 + feat * 3 * config.scale**2)
    pixels = config.data.batch_size * edge**2
    return 2 * weights * pixels, 2 * 9 * first * pixels


def _discriminator(config: RunConfig, pictures: int) -> tuple[int, int]:
    """The same of the U-Net: kernel, channels, and the part of the picture's pixels."""
    f = config.discriminator.num_feat
    layers = [
        *((9, 3 * f, 1), (16, f * 2 * f, 4), (16, 2 * f * 4 * f, 16), (16, 4 * f * 8 * f, 64)),
        *((9, 8 * f * 4 * f, 16), (9, 4 * f * 2 * f, 4), (9, 2 * f * f, 1)),
        *((9, f * f, 1), (9, f * f, 1), (9, f, 1)),
    ]
    pixels = pictures * config.gt_size**2
    work = [2 * kernel * channels * pixels // part for kernel, channels, part in layers]
    return sum(work), work[0]


def test_work_is_that_of_the_convolutions(micro: Overrides) -> None:
    """A pass backwards is two forwards, less what nobody asks for."""
    config = load_config("tiny", micro("data.batch_size=3"))
    forward, first = _compact(config)
    net = 3 * forward - first  # the picture needs no gradient
    one, _ = _discriminator(config, 3)
    two, of_first = _discriminator(config, 6)
    # For the generator its weights need none; then it learns from real and generated pictures.
    expected = {"net": net, "gan": net + 2 * one + 3 * two - of_first}
    found = step_work(config)
    assert list(found) == ["net", "gan"]
    assert found["net"] == expected["net"]
    assert found["gan"] == pytest.approx(expected["gan"], rel=0.01)  # and the spectral norms


def test_no_file_is_read_and_all_that_costs_counts(micro: Overrides) -> None:
    """Also not in the discriminator's warm-up, whose steps are cheaper."""
    plain = step_work(load_config("tiny", micro()))["gan"]
    more = (
        "stages.gan.perceptual={weight: 1.0, weights: absent.pth}",
        "stages.gan.dists={backbone: absent.pth, weight: 1.0}",
        "stages.gan.artefacts={weight: 1.0}",
        "execution.accumulate=2",
    )
    found = []
    for number in range(1, len(more) + 1):
        found.append(step_work(load_config("tiny", micro(*more[:number])))["gan"])
    assert sorted({plain, *found}) == [plain, *found]
    assert found[3] == pytest.approx(2 * found[2], rel=0.01)
    idle = micro("stages.gan.warmup_discriminator=2", "start.discriminator=absent.pth")
    idle.append("stages.gan.optimizer={kind: schedulefree, lr: 1.0e-3}")
    idle.append("execution={precision: bf16, compile: true, channels_last: true}")
    assert step_work(load_config("tiny", idle))["gan"] == plain


def test_grey_networks_and_other_losses_are_counted(micro: Overrides) -> None:
    """Losses without a convolution add nothing; fewer channels are less work."""
    wide = micro("degradation={input_size: 192, patch_size: 192}")
    plain = step_work(load_config("tiny", wide))
    beside = [f"stages.{name}.frequency={{weight: 1.0}}" for name in ("net", "gan")]
    assert step_work(load_config("tiny", [*wide, *beside])) == plain
    similar = [*wide, "stages.net.ms_ssim={weight: 0.84}"]
    assert step_work(load_config("tiny", similar))["net"] >= plain["net"]
    grey = step_work(load_config("tiny", [*wide, "network.channels=1"]))
    assert grey["net"] < plain["net"]


def test_the_doctor_tells_it(micro: Overrides) -> None:
    result = call("doctor", "tiny", *micro())
    net = step_work(load_config("tiny", micro()))["net"]
    assert f"work: a step of net {net / 1e12:.3g} TFLOP, 8 steps" in result.stdout
