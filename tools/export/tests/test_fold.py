"""The fold is the same convolution, for every factor, and is undone exactly."""

from __future__ import annotations

import pytest
import torch
from conftest import small_rrdbnet
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from realesrgan_export.fold import fold_kernel, folded, unfold_kernel


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 5), st.integers(0, 2**31))
def test_a_folded_kernel_computes_the_same(
    factor: int, inputs: int, outputs: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    shape = (outputs, inputs * factor**2, 3, 3)
    kernel = torch.randn(shape, generator=generator, dtype=torch.float64)
    picture = torch.randn(
        (1, inputs, 2 * factor, 3 * factor), generator=generator, dtype=torch.float64
    )
    expected = functional.conv2d(functional.pixel_unshuffle(picture, factor), kernel, padding=1)
    big = fold_kernel(kernel, factor)
    got = functional.conv2d(picture, big, stride=factor, padding=factor)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)
    assert torch.equal(unfold_kernel(big, factor), kernel)


@pytest.mark.parametrize("scale", [1, 2])
def test_folding_leaves_the_original_alone(scale: int) -> None:
    network = small_rrdbnet(scale).double()
    before = network.conv_first.weight.clone()
    copy = folded(network)
    picture = torch.rand(1, 3, 8, 12, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(copy(picture), network(picture), rtol=0, atol=1e-12)
    assert network.unshuffle == {1: 4, 2: 2}[scale]
    assert torch.equal(network.conv_first.weight, before)
