"""Shapes, names, sizes, gradients and arithmetic of the networks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from realesrgan_train.networks import RRDBNet, SRVGGNetCompact, UNetDiscriminatorSN


def rrdbnet_names(blocks: int) -> set[str]:
    blocks_of_five = [f"body.{b}.rdb{r}.conv" for b in range(blocks) for r in (1, 2, 3)]
    convs = [f"{stem}{number}" for stem in blocks_of_five for number in range(1, 6)]
    convs += ["conv_first", "conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last"]
    return {f"{conv}.{kind}" for conv in convs for kind in ("weight", "bias")}


def compact_names(convs: int) -> set[str]:
    names = {f"body.{2 * i}.{kind}" for i in range(convs + 2) for kind in ("weight", "bias")}
    return names | {f"body.{2 * i + 1}.weight" for i in range(convs + 1)}


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("network", "names", "count"),
    [
        (RRDBNet(), rrdbnet_names(23), 16_697_987),
        (RRDBNet(num_block=6), rrdbnet_names(6), 4_467_779),
        (RRDBNet(scale=2), rrdbnet_names(23), 16_697_987 + 9 * 9 * 64),
        (SRVGGNetCompact(num_conv=32), compact_names(32), 1_213_296),
        (SRVGGNetCompact(num_conv=16), compact_names(16), 621_424),
    ],
    ids=["x4plus", "anime_6b", "x2plus", "general-x4v3", "animevideov3"],
)
def test_state_dict_is_that_of_the_public_checkpoint(
    network: nn.Module, names: set[str], count: int
) -> None:
    assert set(network.state_dict()) == names
    assert parameters(network) == count


def test_discriminator_state_dict_is_that_of_the_public_checkpoint() -> None:
    network = UNetDiscriminatorSN()
    normalised = {f"conv{i}.weight_{part}" for i in range(1, 9) for part in ("orig", "u", "v")}
    ends = {f"conv{i}.{kind}" for i in (0, 9) for kind in ("weight", "bias")}
    assert set(network.state_dict()) == normalised | ends
    assert parameters(network) == 4_376_897


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_rrdbnet_enlarges_by_its_scale_and_every_weight_learns(scale: int) -> None:
    torch.manual_seed(0)
    network = RRDBNet(scale=scale, num_feat=8, num_block=2, num_grow_ch=4)
    out = network(torch.rand(2, 3, 12, 8))
    assert out.shape == (2, 3, 12 * scale, 8 * scale)
    assert_all_learn(network, out)


@pytest.mark.parametrize("act_type", ["prelu", "relu", "leakyrelu"])
@pytest.mark.parametrize("scale", [1, 3, 4])
def test_compact_enlarges_by_its_scale_and_every_weight_learns(scale: int, act_type: str) -> None:
    torch.manual_seed(0)
    network = SRVGGNetCompact(num_feat=16, num_conv=2, upscale=scale, act_type=act_type)
    out = network(torch.rand(2, 3, 7, 5))
    assert out.shape == (2, 3, 7 * scale, 5 * scale)
    assert_all_learn(network, out)


@pytest.mark.parametrize("skip", [True, False])
def test_discriminator_judges_every_pixel_and_every_weight_learns(skip: bool) -> None:
    torch.manual_seed(0)
    network = UNetDiscriminatorSN(num_feat=8, skip_connection=skip)
    out = network(torch.rand(2, 3, 16, 24))
    assert out.shape == (2, 1, 16, 24)
    assert_all_learn(network, out)


def assert_all_learn(network: nn.Module, out: Tensor) -> None:
    weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
    torch.autograd.backward((out * weight).sum())
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name
        assert float(parameter.grad.abs().sum()) > 0, name


def test_discriminator_is_spectrally_normalised() -> None:
    torch.manual_seed(0)
    network = UNetDiscriminatorSN(num_feat=8)
    for _ in range(60):  # each pass in training mode is one step of the power iteration
        network(torch.rand(1, 3, 16, 16))
    for number in range(1, 9):
        weight = getattr(network, f"conv{number}").weight
        largest = torch.linalg.matrix_norm(weight.detach().flatten(1), ord=2)
        assert float(largest) == pytest.approx(1, rel=0.05)


def functional_rrdbnet(w: dict[str, Tensor], x: Tensor, blocks: int) -> Tensor:
    """The same arithmetic written out from the names alone."""

    def conv(name: str, value: Tensor) -> Tensor:
        return functional.conv2d(value, w[f"{name}.weight"], w[f"{name}.bias"], padding=1)

    def lrelu(value: Tensor) -> Tensor:
        return torch.where(value > 0, value, 0.2 * value)

    first = conv("conv_first", x)
    body = first
    for block in range(blocks):
        entry = body
        for dense in (1, 2, 3):
            stem = f"body.{block}.rdb{dense}.conv"
            seen = [body]
            for number in range(1, 5):
                seen.append(lrelu(conv(f"{stem}{number}", torch.cat(seen, 1))))
            body = body + conv(f"{stem}5", torch.cat(seen, 1)) * 0.2
        body = entry + body * 0.2
    out = first + conv("conv_body", body)
    for name in ("conv_up1", "conv_up2"):
        out = lrelu(conv(name, out.repeat_interleave(2, 2).repeat_interleave(2, 3)))
    return conv("conv_last", lrelu(conv("conv_hr", out)))


def test_rrdbnet_computes_what_its_names_say() -> None:
    torch.manual_seed(3)
    network = RRDBNet(num_feat=8, num_block=2, num_grow_ch=4).double()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)
    x = torch.rand(1, 3, 6, 5, dtype=torch.float64)
    expected = functional_rrdbnet(network.state_dict(), x, blocks=2)
    torch.testing.assert_close(network(x), expected, rtol=1e-12, atol=1e-12)


def test_compact_computes_what_its_names_say() -> None:
    torch.manual_seed(3)
    network = SRVGGNetCompact(num_feat=8, num_conv=2, upscale=2).double()
    w = network.state_dict()
    x = torch.rand(1, 3, 6, 5, dtype=torch.float64)
    out = x
    for i in (0, 2, 4, 6):
        out = functional.conv2d(out, w[f"body.{i}.weight"], w[f"body.{i}.bias"], padding=1)
        if i < 6:
            slope = w[f"body.{i + 1}.weight"].view(1, -1, 1, 1)
            out = torch.where(out > 0, out, slope * out)
    shuffled = out.view(1, 3, 2, 2, 6, 5).permute(0, 1, 4, 2, 5, 3).reshape(1, 3, 12, 10)
    expected = shuffled + x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(network(x), expected, rtol=1e-12, atol=1e-12)


def test_impossible_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="scale must be 1, 2 or 4, not 3"):
        RRDBNet(scale=3)
    with pytest.raises(ValueError, match="act_type must be one of relu, prelu, leakyrelu"):
        SRVGGNetCompact(act_type="gelu")
