"""A network for colour pictures made into one for grey pictures, exactly.

Given a grey picture in its three channels, a colour network makes a picture whose luma (BT.601) is
a function of one channel. It needs no training: convolutions are linear, so the first one's weights
are summed over R, G and B, and the last one's are mixed as luma mixes R, G and B.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from realesrgan_train.colour import LUMA
from realesrgan_train.errors import CheckpointError
from realesrgan_train.weights import Architecture, LoadedNetwork


def _summed(weight: Tensor) -> Tensor:
    """[out, 3 * n, h, w], whose channels are R's n, G's and B's, as [out, n, h, w]."""
    outputs, inputs, *size = weight.shape
    return weight.reshape(outputs, 3, inputs // 3, *size).sum(1)


def _mixed(tensor: Tensor) -> Tensor:
    """[3 * n, ...], which makes R's n channels, G's and B's, as [n, ...]."""
    luma = torch.tensor(LUMA, dtype=tensor.dtype)
    return torch.einsum(
        "c,cn...->n...", luma, tensor.reshape(3, len(tensor) // 3, *tensor.shape[1:])
    )


def _one_input(three: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Tensors of a `Conv3XC` of one input that does what one of three equal inputs does.

    Its two inner channels hold the picture, and 1 everywhere, which stands for the biases of the
    1x1 convolution before them.
    """
    widen, bias = three[f"{prefix}conv.0.weight"][:, :, 0, 0].sum(1), three[f"{prefix}conv.0.bias"]
    middle = three[f"{prefix}conv.1.weight"]
    inner = torch.stack([torch.einsum("omyx,m->oyx", middle, part) for part in (widen, bias)], 1)
    return {
        f"{prefix}sk.weight": _summed(three[f"{prefix}sk.weight"]),
        f"{prefix}conv.0.weight": torch.tensor([1.0, 0.0], dtype=bias.dtype).view(2, 1, 1, 1),
        f"{prefix}conv.0.bias": torch.tensor([0.0, 1.0], dtype=bias.dtype),
        f"{prefix}conv.1.weight": inner,
    }


def grey_network(loaded: LoadedNetwork) -> LoadedNetwork:
    """Make the network of 1 channel from one of 3: for grey g it gives the luma of `net(g, g, g)`.

    Raises:
        CheckpointError: It is a SPAN that takes the means of R, G and B off, at whose border the
            two differ.
    """
    kind = loaded.architecture
    if kind.kwargs.get("norm"):
        raise CheckpointError(
            f"{kind} cannot be made grey: it takes another mean off each colour. Start a grey SPAN "
            "from random weights (start.generator=null) or from a SPAN without norm"
        )
    sizes = {**kind.kwargs, "num_in_ch": 1, "num_out_ch": 1}
    architecture = Architecture(kind.name, kind.scale, sizes)
    network = architecture.build().eval()
    tensors = dict(loaded.network.state_dict())
    if kind.name == "RRDBNet":
        first, last = "conv_first", "conv_last"
    elif kind.name == "SPAN":
        first, last = "", "upsampler.0"
        tensors |= _one_input(tensors, "conv_1.")
        tensors["conv_1.eval_conv.weight"] = _summed(tensors["conv_1.eval_conv.weight"])
    else:
        first, last = "body.0", f"body.{2 * int(sizes['num_conv']) + 2}"
    if first:
        tensors[f"{first}.weight"] = _summed(tensors[f"{first}.weight"])
    for part in ("weight", "bias"):
        tensors[f"{last}.{part}"] = _mixed(tensors[f"{last}.{part}"])
    network.load_state_dict(tensors)
    return LoadedNetwork(network, architecture, loaded.metadata)


def grey_discriminator(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A discriminator's tensors that answer to grey g what those given answer to g, g, g."""
    return {**tensors, "conv0.weight": _summed(tensors["conv0.weight"])}


def is_colour_discriminator(tensors: Mapping[str, Tensor]) -> bool:
    """Whether the first convolution reads three channels."""
    first = tensors.get("conv0.weight")
    return first is not None and first.dim() == 4 and first.shape[1] == 3
