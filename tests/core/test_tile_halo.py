"""The halo of tiles: all that a result depends on where it is affordable, else said in the plan."""

from pathlib import Path

import numpy as np
import pytest

from realesrgan_vk import Upscaler

SPREAD = 40  # pixels between the taps of each convolution
FIELD = 2 * SPREAD


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two convolutions whose taps are far apart: a field of 80 pixels, more than a short halo."""
    folder = tmp_path_factory.mktemp("wide")
    convolution = f"1 1 {{}} {{}} 0=3 1=3 2={SPREAD} 4={SPREAD} 5=1 6=81"
    lines = [
        "7767517",
        "3 3",
        "Input data 0 1 data",
        f"Convolution a {convolution.format('data', 'middle')}",
        f"Convolution b {convolution.format('middle', 'out')}",
    ]
    (folder / "wide.param").write_text("\n".join(lines) + "\n")
    random = np.random.default_rng(5)
    parts: list[bytes] = []
    for _ in range(2):
        weights = random.random(81, dtype=np.float32) / 27
        parts += [bytes(4), weights.tobytes(), bytes(12)]
    (folder / "wide.bin").write_bytes(b"".join(parts))
    return folder / "wide.param"


def test_tiles_read_all_that_a_result_depends_on(network: Path) -> None:
    image = np.random.default_rng(6).random((200, 300, 3), dtype=np.float32)
    whole = Upscaler(network, device="cpu", threads=1, tile="whole").upscale(image)
    cut = Upscaler(network, device="cpu", threads=1, tile=160)
    plan = cut.plan((300, 200))
    assert (plan.halo, plan.tile, plan.path) == (FIELD, 160, "tiles")
    assert "not quite" not in plan.reason
    assert np.abs(cut.upscale(image) - whole).max() < 1e-5


def test_the_plan_says_where_a_halo_is_cut_off(network: Path) -> None:
    image = np.random.default_rng(6).random((200, 300, 3), dtype=np.float32)
    whole = Upscaler(network, device="cpu", threads=1, tile="whole")
    for tile, limit in ((32, None), ("auto", whole.plan((300, 200)).memory_bytes["total"] // 2)):
        cut = Upscaler(network, device="cpu", threads=1, tile=tile, memory_limit=limit)  # type: ignore[arg-type]
        plan = cut.plan((300, 200))
        assert plan.halo == 64
        assert f"tiles read 64 pixels around, of the {FIELD} that a result" in plan.reason
        assert np.abs(cut.upscale(image) - whole.upscale(image)).max() > 1e-3


def test_a_reach_that_is_not_known_is_said(network: Path, tmp_path: Path) -> None:
    """A layer that mixes rows in an unknown way: a softmax over columns."""
    lines = network.read_text().replace("3 3\n", "4 4\n", 1).replace("middle out", "middle last")
    (tmp_path / "odd.param").write_text(f"{lines}Softmax odd 1 1 last out 0=1 1=1\n")
    (tmp_path / "odd.bin").write_bytes(network.with_suffix(".bin").read_bytes())
    plan = Upscaler(tmp_path / "odd.param", device="cpu", threads=1, tile=64).plan((300, 200))
    assert "how much of the picture a result depends on is not known" in plan.reason
    assert "(--tile whole)" in plan.reason
