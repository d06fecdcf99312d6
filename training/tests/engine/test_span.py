"""SPAN is trained through both stages; its file holds what runs, and starts another run."""

from __future__ import annotations

import pytest
import torch

from realesrgan_train.config import load_config
from realesrgan_train.engine import Trainer
from realesrgan_train.engine.building import build_generator
from realesrgan_train.errors import CheckpointError
from realesrgan_train.networks import SPAN
from realesrgan_train.weights import load_network

from ..conftest import Overrides
from .test_resume import ALONE

NETWORK = "network={architecture: span, feature_channels: 8, norm: true}"


@pytest.fixture
def span(micro: Overrides) -> list[str]:
    return [option for option in micro() if not option.startswith("network=")]


def test_from_a_preset_to_a_file_and_on(span: list[str]) -> None:
    config = load_config("tiny", [*span, NETWORK])
    before = build_generator(config)[0].state_dict()
    trainer = Trainer(config, ALONE)
    trainer.run()
    loaded = load_network(config.run_dir / "weights" / "gan.safetensors")
    assert (loaded.architecture.name, loaded.architecture.scale) == ("SPAN", 2)
    assert str(loaded.architecture) == "a SPAN x2 with 8 features"
    assert isinstance(loaded.network, SPAN)
    learned = [
        name
        for name, tensor in loaded.network.state_dict().items()
        if not torch.equal(tensor, before[name])
    ]
    assert len(learned) == len(before)

    # One kernel computes what the four of the training form do.
    picture = torch.rand(1, 3, 9, 14)
    with torch.inference_mode():
        evaluated = loaded.network(picture)
        trained = loaded.network.train()(picture)
    torch.testing.assert_close(evaluated, trained, rtol=1e-4, atol=1e-5)

    start = f"start.generator={config.run_dir / 'weights' / 'gan.safetensors'}"
    again, left = build_generator(load_config("tiny", [*span, NETWORK, start]))
    assert left == []
    state = again.state_dict()
    for name, tensor in loaded.network.state_dict().items():
        torch.testing.assert_close(state[name], tensor, rtol=1e-5, atol=1e-6)
    other = NETWORK.replace("true", "false")
    with pytest.raises(CheckpointError, match="asks for a SPAN x2 with 8 features, without a mean"):
        build_generator(load_config("tiny", [*span, other, start]))
