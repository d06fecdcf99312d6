"""Statistics of 10,000 drawn parameter sets against the recipe, seeds fixed.

Shares must be within four deviations of the binomial, distributions must pass Kolmogorov-Smirnov or
chi-square at 0.1 %. The figures are written out here, not taken from the configuration.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy import stats
from torch import Tensor

from realesrgan_train.config.degradation import KERNEL_FAMILIES, DegradationConfig
from realesrgan_train.degradations.draw import DrawnKernel, DrawnOrder, DrawnParameters, draw
from realesrgan_train.degradations.resize import RESIZE_MODES

COUNT = 10_000
BATCH = 5
PI = math.pi


@lru_cache(maxsize=1)
def per_sample() -> DrawnParameters:
    """10,000 samples, each with a graph of its own."""
    config = DegradationConfig.preset("per-sample")
    return draw(config, COUNT, torch.Generator().manual_seed(1))


@lru_cache(maxsize=1)
def paper() -> list[DrawnParameters]:
    """10,000 parameter sets in batches, as published."""
    config, generator = DegradationConfig(), torch.Generator().manual_seed(2)
    return [draw(config, BATCH, generator) for _ in range(COUNT // BATCH)]


def assert_share(flags: Tensor, probability: float) -> None:
    deviation = math.sqrt(probability * (1 - probability) / flags.numel())
    assert abs(float(flags.double().mean()) - probability) <= 4 * deviation


def assert_uniform(values: Tensor, low: float, high: float) -> None:
    assert low <= float(values.min()) <= float(values.max()) <= high
    law = stats.uniform(low, high - low)
    assert stats.kstest(values.numpy(), law.cdf).pvalue > 1e-3


def assert_shares(indices: Tensor, shares: dict[int, float]) -> None:
    assert set(indices.unique(sorted=True).tolist()) == set(shares)  # type: ignore[no-untyped-call]
    observed: list[int] = [int((indices == index).sum()) for index in shares]
    expected: npt.NDArray[np.float64] = np.array(list(shares.values())) * len(indices)
    assert stats.chisquare(observed, expected).pvalue > 1e-3


def assert_kernel(kernel: DrawnKernel, largest_sigma: float) -> None:
    assert_shares(kernel.size, dict.fromkeys(range(7, 22, 2), 1 / 8))
    assert_share(kernel.is_sinc, 0.1)
    shares = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)
    assert_shares(kernel.family, dict(enumerate(shares)))
    iso = torch.tensor([not name.endswith("aniso") for name in KERNEL_FAMILIES])[kernel.family]
    assert_uniform(kernel.sigma_x, 0.2, largest_sigma)
    assert_uniform(kernel.sigma_y[~iso], 0.2, largest_sigma)
    assert torch.equal(kernel.sigma_x[iso], kernel.sigma_y[iso])
    assert_uniform(kernel.rotation[~iso], -PI, PI)
    assert not kernel.rotation[iso].any()
    small = kernel.size < 13
    assert_uniform(kernel.cutoff[small], PI / 3, PI)
    assert_uniform(kernel.cutoff[~small], PI / 5, PI)
    for x, y in ((kernel.sigma_x[~iso], kernel.sigma_y[~iso]), (kernel.cutoff, kernel.sigma_x)):
        assert abs(np.corrcoef(x.numpy(), y.numpy())[0, 1]) < 4 / math.sqrt(len(x))
    assert_beta(kernel)


def assert_beta(kernel: DrawnKernel) -> None:
    names = np.array(KERNEL_FAMILIES)[kernel.family.numpy()]
    generalized = torch.tensor(np.char.startswith(names, "generalized"))
    plateau = torch.tensor(np.char.startswith(names, "plateau"))
    assert (kernel.beta[~generalized & ~plateau] == 1).all()
    beta = kernel.beta[generalized]
    assert_share(beta < 1, 0.5)
    assert_uniform(beta[beta < 1], 0.5, 1)
    assert_uniform(beta[beta > 1], 1, 4)
    beta = kernel.beta[plateau]  # of 1..2 the half below 1 is 1 itself
    assert_share(beta == 1, 0.5)
    assert_uniform(beta[beta > 1], 1, 2)


RESIZES = {"first": ((0.2, 0.7, 0.1), 0.15, 1.5), "second": ((0.3, 0.4, 0.3), 0.3, 1.2)}
NOISES = {"first": (30.0, 3.0), "second": (25.0, 2.5)}
SIGMAS = {"first": 3.0, "second": 1.5}


def assert_order(order: DrawnOrder, name: str) -> None:
    assert_kernel(order.kernel, SIGMAS[name])
    sigma, scale = NOISES[name]
    assert_uniform(order.noise.sigma, 1, sigma)
    assert_uniform(order.noise.poisson_scale, 0.05, scale)
    assert_share(order.noise.is_gray, 0.4)
    assert order.noise.applied.all()
    assert order.jpeg.applied.all()
    assert_uniform(order.jpeg.quality, 30, 95)


def assert_common(order: DrawnOrder, name: str) -> None:
    """What the paper preset draws once a batch."""
    shares, low, high = RESIZES[name]
    direction, factor = order.resize.direction, order.resize.factor
    assert_shares(direction, dict(enumerate(shares)))
    assert_uniform(factor[direction == 0], 1, high)
    assert_uniform(factor[direction == 1], low, 1)
    assert (factor[direction == 2] == 1).all()
    assert_shares(order.resize.mode, dict.fromkeys(range(3), 1 / 3))
    assert_share(order.noise.is_gaussian, 0.5)
    assert_share(order.kernel.applied, 1.0 if name == "first" else 0.8)


def assert_tail(drawn: DrawnParameters) -> None:
    final = drawn.final_sinc
    assert_share(final.applied, 0.8)
    assert final.is_sinc.all()
    assert_shares(final.size, dict.fromkeys(range(7, 22, 2), 1 / 8))
    assert_uniform(final.cutoff, PI / 3, PI)
    assert_uniform(drawn.crop_y, 0, 1)
    assert_uniform(drawn.crop_x, 0, 1)


@pytest.mark.parametrize("name", ["first", "second"])
def test_orders_of_the_per_sample_preset(name: str) -> None:
    order: DrawnOrder = getattr(per_sample(), name)
    assert_order(order, name)
    assert_common(order, name)


def test_tail_of_the_per_sample_preset() -> None:
    drawn = per_sample()
    assert_tail(drawn)
    assert_share(drawn.resize_before_jpeg, 0.5)
    assert_shares(drawn.final_mode, dict.fromkeys(range(3), 1 / 3))


def gather(name: str, part: str, field: str) -> Tensor:
    return torch.stack([getattr(getattr(getattr(d, name), part), field) for d in paper()])


COMMON = [
    ("resize", "direction"),
    ("resize", "factor"),
    ("resize", "mode"),
    ("noise", "is_gaussian"),
    ("kernel", "applied"),
]


@pytest.mark.parametrize("name", ["first", "second"])
def test_paper_preset_draws_once_a_batch_what_the_recipe_says(name: str) -> None:
    for part, field in COMMON:
        values = gather(name, part, field)
        assert torch.equal(values, values[:, :1].expand_as(values)), field
    shares, low, high = RESIZES[name]
    direction, factor = (gather(name, "resize", f)[:, 0] for f in ("direction", "factor"))
    assert_shares(direction, dict(enumerate(shares)))
    assert_uniform(factor[direction == 0], 1, high)
    assert_uniform(factor[direction == 1], low, 1)
    assert_shares(gather(name, "resize", "mode")[:, 0], dict.fromkeys(range(3), 1 / 3))
    assert_share(gather(name, "noise", "is_gaussian")[:, 0], 0.5)
    assert_share(gather(name, "kernel", "applied")[:, 0], 1.0 if name == "first" else 0.8)


@pytest.mark.parametrize("name", ["first", "second"])
def test_paper_preset_draws_the_rest_for_each_sample(name: str) -> None:
    fields = {
        part: {f: gather(name, part, f).flatten() for f in names}
        for part, names in (
            ("kernel", list(DrawnKernel.__dataclass_fields__)),
            ("noise", ["sigma", "poisson_scale", "is_gray"]),
            ("jpeg", ["quality"]),
        )
    }
    assert_kernel(DrawnKernel(**fields["kernel"]), SIGMAS[name])
    sigma, scale = NOISES[name]
    assert_uniform(fields["noise"]["sigma"], 1, sigma)
    assert_uniform(fields["noise"]["poisson_scale"], 0.05, scale)
    assert_share(fields["noise"]["is_gray"], 0.4)
    assert_uniform(fields["jpeg"]["quality"], 30, 95)


def test_paper_preset_draws_one_last_order_a_batch() -> None:
    for field in ("resize_before_jpeg", "final_mode"):
        values = torch.stack([getattr(d, field) for d in paper()])
        assert torch.equal(values, values[:, :1].expand_as(values))
    assert_share(torch.stack([d.resize_before_jpeg[0] for d in paper()]), 0.5)
    modes = torch.stack([d.final_mode[0] for d in paper()])
    assert_shares(modes, dict.fromkeys(range(len(RESIZE_MODES)), 1 / 3))


def test_same_generator_state_same_draws() -> None:
    config = DegradationConfig()
    generator = torch.Generator().manual_seed(7)
    state = generator.get_state()
    first, other = draw(config, 4, generator), draw(config, 4, generator)
    generator.set_state(state)
    again = draw(config, 4, generator)
    assert torch.equal(first.first.kernel.sigma_x, again.first.kernel.sigma_x)
    assert torch.equal(first.second.noise.seed, again.second.noise.seed)
    assert not torch.equal(first.crop_x, other.crop_x)


def test_draw_refuses_nonsense() -> None:
    with pytest.raises(ValueError, match="at least one sample, not 0"):
        draw(DegradationConfig(), 0, torch.Generator())
