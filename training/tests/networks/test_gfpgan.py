"""GFPGANv1Clean has the tensors of the official release, and does what its parts say."""

from pathlib import Path

import pytest
import torch

from realesrgan_train.networks import GFPGANv1Clean
from realesrgan_train.networks.gfpgan import ModulatedConv2d

OFFICIAL = Path(__file__).with_name("gfpgan-1.4.txt")


def test_the_tensors_are_those_of_the_official_release() -> None:
    """The list is of names and shapes as GFPGAN's own code has them for 1.3 and 1.4."""
    with torch.device("meta"):
        state = GFPGANv1Clean().state_dict()
    found = {f"{name} {'x'.join(map(str, value.shape))}" for name, value in state.items()}
    assert found == set(OFFICIAL.read_text("utf-8").splitlines())


def test_scaling_in_and_out_is_modulating_the_weights() -> None:
    """As StyleGAN2's section 2.2 has it: the weights are scaled, then brought to a norm of 1."""
    torch.manual_seed(1)
    layer = ModulatedConv2d(5, 4, 3, 6, demodulate=True)
    picture, latent = torch.rand(2, 5, 7, 9), torch.randn(2, 6)
    made = layer(picture, latent)
    for number in range(2):
        scales = layer.modulation(latent[number])
        weights = layer.weight[0] * scales[:, None, None]
        weights = weights / torch.sqrt((weights**2).sum(dim=(1, 2, 3), keepdim=True) + 1e-8)
        expected = torch.nn.functional.conv2d(picture[number : number + 1], weights, padding=1)
        assert torch.allclose(made[number : number + 1], expected, atol=1e-5)


@pytest.mark.parametrize("size", [0, 4, 12, 100])
def test_other_sizes_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"power of 2, not {size}"):
        GFPGANv1Clean(size)


def test_the_result_is_the_same_in_every_run() -> None:
    torch.manual_seed(2)
    network = GFPGANv1Clean(16, 8, num_mlp=1, narrow=1 / 64).eval()
    picture = torch.rand(2, 3, 16, 16) * 2 - 1
    with torch.inference_mode():
        first = network(picture)
        assert first.shape == (2, 3, 16, 16)
        assert torch.equal(first, network(picture))
        assert torch.allclose(first[1:], network(picture[1:]), atol=1e-6)
