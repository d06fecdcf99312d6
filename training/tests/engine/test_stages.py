"""One step of each stage: what it computes, with accumulation, precision and clipping."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.utils.spectral_norm import SpectralNorm

from realesrgan_train.config import RunConfig, load_config
from realesrgan_train.config.schema import ExecutionConfig, OptimizerConfig, Target
from realesrgan_train.degradations.recipe import DegradedBatch
from realesrgan_train.engine import ProcessGroup
from realesrgan_train.engine.averages import RunningMeans, WeightAverage
from realesrgan_train.engine.building import build_generator
from realesrgan_train.engine.stages import GanStage, NetStage
from realesrgan_train.engine.updater import Updater, rate_at

from ..conftest import Overrides

ALONE = ProcessGroup(0, 1, torch.device("cpu"))


def _batch(count: int, seed: int = 0) -> DegradedBatch:
    generator = torch.Generator().manual_seed(seed)
    gt = torch.rand(count, 3, 32, 32, generator=generator)
    lq = torch.rand(count, 3, 16, 16, generator=generator)
    return DegradedBatch(lq, gt, (gt * 1.1).clamp(0, 1))


def _net_stage(config: RunConfig) -> NetStage:
    generator, _ = build_generator(config)
    assert config.stages.net is not None
    return NetStage(config, config.stages.net, generator, ALONE)


def _gan_stage(config: RunConfig) -> GanStage:
    generator, _ = build_generator(config)
    assert config.stages.gan is not None
    return GanStage(config, config.stages.gan, generator, generator, ALONE)


def _weights(stage: NetStage | GanStage) -> Tensor:
    return torch.cat([p.detach().flatten() for p in stage.generator.parameters()])


def test_accumulated_micro_batches_equal_one_large_batch(micro: Overrides) -> None:
    # Without the adversarial part for the generator: spectral norm takes a power iteration at each
    # forward pass, so there two micro-batches really are something else than one batch.
    config = load_config("tiny", micro("stages.gan.gan.weight=0"))
    batch = _batch(4)
    halves = [
        DegradedBatch(*(tensor[part] for tensor in batch)) for part in (slice(0, 2), slice(2, 4))
    ]
    for make in (_net_stage, _gan_stage):
        whole, split = make(config), make(config)
        figures = whole.train_step([batch], 0, 1.0)
        same = split.train_step(halves, 0, 1.0)
        for name in ("loss", "colour_r", "colour_g", "colour_b"):
            assert torch.allclose(figures[name], same[name], atol=1e-6), name
        assert torch.allclose(_weights(whole), _weights(split), atol=1e-5)


def test_targets_are_the_configured_ones(micro: Overrides) -> None:
    batch = _batch(2)
    seen = {}
    targets: tuple[Target, Target] = ("plain", "sharpened")
    for target in targets:
        config = load_config("tiny", micro(f"stages.net.pixel={{kind: l1, target: {target}}}"))
        stage = _net_stage(config)
        output = stage.generator(batch.lq)
        expected = (output - batch.target(target)).abs().mean()
        seen[target] = stage.train_step([batch], 0, 1.0)["loss"]
        assert torch.allclose(seen[target], expected)
    assert seen["plain"] != seen["sharpened"]


class _Spy(torch.nn.Module):
    """Passes on, and remembers what the network or loss was given."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner, self.given = inner, list[tuple[Tensor, ...]]()

    def forward(self, *arguments: Tensor) -> Tensor:
        self.given.append(arguments)
        result: Tensor = self.inner(*arguments)
        return result


@pytest.mark.parametrize("kind", ["vanilla", "relativistic"])
@pytest.mark.parametrize("swapped", [False, True])
def test_every_loss_of_the_gan_stage_gets_its_own_target(
    micro: Overrides, kind: str, swapped: bool
) -> None:
    sharpened, plain = ("plain", "sharpened") if swapped else ("sharpened", "plain")
    config = load_config(
        "tiny",
        micro(
            f"stages.gan.pixel.target={sharpened}",
            f"stages.gan.perceptual={{weight: 1.0, weights: random, target: {sharpened}}}",
            f"stages.gan.gan={{kind: {kind}, target: {plain}}}",
        ),
    )
    stage, batch = _gan_stage(config), _batch(2)
    assert stage.perceptual is not None
    pixel, perceptual = _Spy(stage.pixel), _Spy(stage.perceptual)
    judge = _Spy(stage.discriminator)
    stage.pixel = pixel  # type: ignore[assignment]
    stage.perceptual = perceptual  # type: ignore[assignment]
    stage.discriminator = judge  # the generator's turn
    stage.wrapped_discriminator = judge  # and its own
    before = stage.generator(batch.lq).detach()
    figures = stage.train_step([batch], 0, 1.0)
    wanted = {"plain": batch.gt, "sharpened": batch.gt_usm}
    assert torch.equal(pixel.given[0][1], wanted[sharpened])
    assert torch.equal(perceptual.given[0][1], wanted[sharpened])
    seen = [given[0] for given in judge.given]
    if kind == "relativistic":  # the generator's loss looks at real pictures, too
        assert torch.equal(seen.pop(0), wanted[plain])
    assert torch.equal(seen[0], before)
    assert torch.equal(seen[1], torch.cat((wanted[plain], before)))
    assert len(seen) == 2
    drift = (before - wanted[sharpened]).mean(dim=(0, 2, 3))
    assert torch.allclose(figures["colour_r"], drift[0])


@pytest.mark.parametrize("kind", ["vanilla", "lsgan", "hinge", "relativistic"])
def test_both_networks_learn_with_every_gan_loss(micro: Overrides, kind: str) -> None:
    config = load_config(
        "tiny",
        micro(
            f"stages.gan.gan.kind={kind}",
            "stages.gan.perceptual={weight: 1.0, weights: random, layers: {conv1_2: 1.0}}",
            "stages.gan.discriminator_steps=2",
        ),
    )
    stage = _gan_stage(config)
    before = _weights(stage)
    judge = {n: p.detach().clone() for n, p in stage.discriminator.named_parameters()}
    figures = stage.train_step([_batch(2)], 0, 1.0)
    assert all(bool(torch.isfinite(value)) for value in figures.values())
    parts = figures["loss_pixel"] + figures["loss_perceptual"] + figures["loss_gan"]
    assert torch.allclose(figures["loss"], parts)
    assert not torch.equal(before, _weights(stage))
    still = [n for n, p in stage.discriminator.named_parameters() if torch.equal(judge[n], p)]
    # The hinge loss cannot move the last bias while all answers lie between -1 and 1.
    assert still == (["conv9.bias"] if kind == "hinge" else [])


def test_spectral_norm_takes_two_power_iterations_a_step(
    micro: Overrides, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The README says so; the reference takes three."""
    stage = _gan_stage(load_config("tiny", micro()))
    inner, iterations = SpectralNorm.compute_weight, []

    def counted(norm: SpectralNorm, module: torch.nn.Module, do_power_iteration: bool) -> Tensor:
        if module is stage.discriminator.conv1 and do_power_iteration:
            iterations.append(module)
        return inner(norm, module, do_power_iteration)

    monkeypatch.setattr(SpectralNorm, "compute_weight", counted)
    stage.train_step([_batch(2)], 0, 1.0)
    assert len(iterations) == 2


def test_in_its_warmup_only_the_discriminator_learns(micro: Overrides) -> None:
    slow_start = "stages.gan.optimizer={lr: 1.0e-3, warmup: 4, schedule: cosine}"
    stage = _gan_stage(load_config("tiny", micro("stages.gan.warmup_discriminator=2", slow_start)))
    assert (stage.idle, stage.steps) == (2, 6)
    start, rates = _weights(stage), []
    for step in range(6):
        judge = [p.detach().clone() for p in stage.discriminator.parameters()]
        figures = stage.train_step([_batch(2, step), _batch(2, step + 9)], step, 1.0)
        learned = zip(judge, stage.discriminator.parameters(), strict=True)
        assert any(not torch.equal(before, now) for before, now in learned)
        assert {"discriminator_loss", "colour_r", "colour_g", "colour_b"} <= figures.keys()
        assert ("loss" in figures) == (step >= 2)
        assert torch.equal(start, _weights(stage)) == (step < 2)
        assert all(p.grad is None for p in stage.generator.parameters())
        rates.append(stage.updater.optimizer.param_groups[0]["lr"])
    optimizer = stage.stage.optimizer
    assert rates == [1e-3, 1e-3, *(rate_at(optimizer, step, 4) for step in range(4))]


def test_the_warmup_changes_nothing_for_the_discriminator(micro: Overrides) -> None:
    """It sees what it would see of a generator that does not move."""
    still = "stages.gan.optimizer.lr=1e-30"
    idle = _gan_stage(load_config("tiny", micro(still, "stages.gan.warmup_discriminator=5")))
    # Without the adversarial loss, whose pass would take a power iteration of its own.
    trained = _gan_stage(load_config("tiny", micro(still, "stages.gan.gan.weight=0")))
    for step in range(4):
        a, b = (stage.train_step([_batch(2, step)], step, 1.0) for stage in (idle, trained))
        for name in ("discriminator_loss", "discriminator_real", "discriminator_fake", "colour_g"):
            assert torch.equal(a[name], b[name]), name


def test_means_are_over_the_steps_that_name_a_figure() -> None:
    means = RunningMeans()
    means.add({"judge": torch.tensor(1.0)})
    means.add({"judge": torch.tensor(3.0), "loss": torch.tensor(5.0)})
    again = RunningMeans()
    again.load_state_dict(means.state_dict(), torch.device("cpu"))
    for one in (means, again):
        assert {name: float(value) for name, value in one.take().items()} == {
            "judge": 2.0,
            "loss": 5.0,
        }
        assert one.take() == {}
    older = {"sums": {"loss": torch.tensor(6.0, dtype=torch.float64)}, "count": 3}
    again.load_state_dict(older, torch.device("cpu"))
    assert float(again.take()["loss"]) == 2.0


def test_the_discriminator_learns_to_tell(micro: Overrides) -> None:
    stage = _gan_stage(
        load_config(
            "tiny",
            micro("stages.gan.discriminator_optimizer.lr=1e-3", "stages.gan.optimizer.lr=1e-6"),
        )
    )
    batch = _batch(4)
    figures = [stage.train_step([batch], step, 1.0) for step in range(25)]
    assert figures[-1]["discriminator_loss"] < 0.7 * figures[0]["discriminator_loss"]
    assert figures[-1]["discriminator_real"] > figures[-1]["discriminator_fake"] + 0.5


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision_stays_near_fp32(micro: Overrides, precision: str) -> None:
    exact = _gan_stage(load_config("tiny", micro()))
    rough = _gan_stage(load_config("tiny", micro(f"execution.precision={precision}")))
    assert rough.updater.scaler.is_enabled() == (precision == "fp16")
    for step in range(3):
        a = exact.train_step([_batch(2, step)], step, 1.0)
        b = rough.train_step([_batch(2, step)], step, 1.0)
        assert torch.allclose(a["loss"], b["loss"], rtol=0.02)
    assert all(p.dtype == torch.float32 for p in rough.generator.parameters())


def test_channels_last_computes_the_same(micro: Overrides) -> None:
    plain = _net_stage(load_config("tiny", micro()))
    other = _net_stage(load_config("tiny", micro("execution.channels_last=true")))
    other.generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for step in range(3):
        plain.train_step([_batch(2, step)], step, 1.0)
        other.train_step([_batch(2, step)], step, 1.0)
    assert torch.allclose(_weights(plain), _weights(other), atol=1e-4)


def test_rates() -> None:
    constant = OptimizerConfig(lr=0.5)
    assert [rate_at(constant, step, 10) for step in (0, 5, 9)] == [0.5] * 3
    cosine = OptimizerConfig(lr=1.0, schedule="cosine", final=0.1, warmup=4)
    rates = [rate_at(cosine, step, 101) for step in range(101)]
    assert rates[0] == pytest.approx(0.25)
    assert rates[50] == pytest.approx(0.55)
    assert rates[100] == pytest.approx(0.1)
    assert rates[4:] == sorted(rates[4:], reverse=True)


def test_gradients_are_clipped_and_the_factor_scales_the_rate() -> None:
    for clip, expected in ((0.0, 10.0), (1.0, 1.0)):
        weight = torch.nn.Parameter(torch.zeros(4))
        updater = Updater(
            [weight],
            OptimizerConfig(lr=0.5),
            ExecutionConfig(clip_norm=clip),
            torch.device("cpu"),
            steps=1,
        )
        updater.backward(5 * weight.sum())  # gradient of norm 10
        seen: list[float] = []

        def note(*_: object, weight: torch.nn.Parameter = weight, seen: list[float] = seen) -> None:
            assert weight.grad is not None
            seen.append(float(weight.grad.norm()))

        updater.optimizer.register_step_pre_hook(note)
        assert updater.update(0, 0.5) == pytest.approx(0.25)
        assert seen == [pytest.approx(expected, rel=1e-5)]
        assert weight.grad is None


def test_average_follows_and_decay_zero_is_the_network() -> None:
    network = torch.nn.Linear(1, 1, bias=False)
    slow, fast = WeightAverage(network, 0.9), WeightAverage(network, 0.0)
    with torch.no_grad():
        start = float(network.weight)
        network.weight += 1
    for _ in range(3):
        slow.update(network)
        fast.update(network)
    assert torch.equal(fast.network.weight, network.weight)  # type: ignore[arg-type]
    assert float(slow.network.weight) == pytest.approx(start + 1 - 0.9**3)  # type: ignore[arg-type]


def test_compiled_networks_are_asked_for(micro: Overrides, monkeypatch: pytest.MonkeyPatch) -> None:
    """That `torch.compile` itself works is PyTorch's affair; a C++ compiler may be missing here."""
    asked: list[torch.nn.Module] = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: asked.append(self))  # noqa: PLW0108 - a method
    stage = _gan_stage(load_config("tiny", micro("execution.compile=true")))
    assert asked == [stage.generator, stage.discriminator]
    assert math.isfinite(float(stage.train_step([_batch(2)], 0, 1.0)["loss"]))
