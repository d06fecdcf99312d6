"""An architecture of spandrel's, read by spandrel itself."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from conftest import small_span
from test_foreign import OneUp

from realesrgan_export import export_checkpoint

BSRGAN_NAMES = {
    "body.0.rdb": "RRDB_trunk.0.RDB",
    "conv_body": "trunk_conv",
    "conv_up1": "upconv1",
    "conv_hr": "HRconv",
}


@pytest.fixture
def _torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins for the three names spandrel imports from torchvision, for inpainting and faces.

    torchvision works only beside the PyTorch build it was made for, so tests do not install it.
    """
    for name in ("torchvision", "torchvision.transforms", "torchvision.transforms.functional"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    functional = sys.modules["torchvision.transforms.functional"]
    for name in ("InterpolationMode", "rotate", "normalize"):
        monkeypatch.setattr(functional, name, object, raising=False)


@pytest.mark.usefixtures("_torchvision")
def test_bsrgan_x2(tmp_path: Path) -> None:
    pytest.importorskip("spandrel", reason="pip install --no-deps spandrel, as the Makefile does")
    torch.manual_seed(0)
    state = OneUp(growth=32).state_dict()
    for ours, theirs in BSRGAN_NAMES.items():
        state = {name.replace(ours, theirs): tensor for name, tensor in state.items()}
    torch.save(state, tmp_path / "BSRGANx2.pth")
    out = export_checkpoint(tmp_path / "BSRGANx2.pth", tmp_path / "out")
    entry = json.loads(out.manifest.read_text())["models"][0]
    assert (entry["architecture"], entry["scale"], entry["channels"]) == ("ESRGAN", 2, 3)


@pytest.mark.usefixtures("_torchvision")
@pytest.mark.parametrize("norm", [True, False])
def test_our_span_is_spandrels(norm: bool) -> None:
    spandrel = pytest.importorskip("spandrel", reason="pip install --no-deps spandrel")
    ours = small_span(2, 16, norm=norm)
    theirs = spandrel.ModelLoader(device="cpu").load_from_state_dict(ours.state_dict())
    assert (theirs.architecture.name, theirs.scale) == ("SPAN", 2)
    assert theirs.model.state_dict().keys() == ours.state_dict().keys()
    picture = torch.rand(1, 3, 21, 17, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        difference = ours(picture) - theirs.model.eval()(picture)
    assert difference.abs().max() < 1e-5
