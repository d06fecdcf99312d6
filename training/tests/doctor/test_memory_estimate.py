"""The doctor's memory estimate against what autograd really keeps."""

from __future__ import annotations

import torch
from torch import Tensor

from realesrgan_train.config import load_config
from realesrgan_train.doctor.memory import estimate
from realesrgan_train.engine.building import build_generator

from ..conftest import Overrides


def test_activations_are_counted_exactly(micro: Overrides) -> None:
    config = load_config("tiny", micro("data.batch_size=3"))
    network, _ = build_generator(config)
    own = {parameter.data_ptr() for parameter in network.parameters()}
    sizes: dict[int, int] = {}
    alive: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in own:
            storage = tensor.untyped_storage()
            sizes[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        network(torch.rand(3, 3, 16, 16))
    needs = estimate(config)
    assert needs["generator activations"] == sum(sizes.values())
    weights = sum(parameter.numel() for parameter in network.parameters()) * 4
    assert needs["generator gradients and Adam"] == 3 * weights
    half = estimate(load_config("tiny", micro("data.batch_size=3", "execution.precision=bf16")))
    assert half["generator activations"] * 2 == needs["generator activations"]
