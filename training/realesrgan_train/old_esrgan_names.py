"""Names of the weights in the first ESRGAN releases, and what they are called today."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from realesrgan_train.errors import CheckpointError
from realesrgan_train.wording import shown

_TRUNK = {
    "trunk_conv": "conv_body",
    "upconv1": "conv_up1",
    "upconv2": "conv_up2",
    "HRconv": "conv_hr",
}
_NUMBERED = {"0": "conv_first", "3": "conv_up1", "6": "conv_up2", "8": "conv_hr", "10": "conv_last"}
_NUMBERED_BLOCK = re.compile(r"model\.1\.sub\.(\d+)\.RDB([123])\.conv([1-5])\.0\.(weight|bias)$")
_NUMBERED_TRUNK = re.compile(r"model\.1\.sub\.(\d+)\.(weight|bias)$")
_NUMBERED_OTHER = re.compile(r"model\.(\d+)\.(weight|bias)$")
_NAMED_BLOCK = re.compile(r"RRDB_trunk\.(\d+)\.RDB([123])\.(conv[1-5])\.(weight|bias)$")


def _from_numbered(name: str) -> str:
    if match := _NUMBERED_BLOCK.match(name):
        block, dense, conv, kind = match.groups()
        return f"body.{block}.rdb{dense}.conv{conv}.{kind}"
    if match := _NUMBERED_TRUNK.match(name):
        return f"conv_body.{match.group(2)}"
    match = _NUMBERED_OTHER.match(name)
    if match and match.group(1) in _NUMBERED:
        return f"{_NUMBERED[match.group(1)]}.{match.group(2)}"
    raise CheckpointError(
        f"weights: an old ESRGAN model with {shown(name)}, which no x4 RRDBNet has; only the plain "
        "x4 form can be read"
    )


def _from_named(name: str) -> str:
    if match := _NAMED_BLOCK.match(name):
        block, dense, conv, kind = match.groups()
        return f"body.{block}.rdb{dense}.{conv}.{kind}"
    stem, _, kind = name.rpartition(".")
    return f"{_TRUNK.get(stem, stem)}.{kind}"


def modern_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename both old ESRGAN forms (`model.1.sub.0...`, `RRDB_trunk.0...`); others pass through.

    Raises:
        CheckpointError: for an old model with layers today's RRDBNet lacks.
    """
    if "model.0.weight" in tensors and any(name.startswith("model.1.sub.") for name in tensors):
        return {_from_numbered(name): tensor for name, tensor in tensors.items()}
    if any(name.startswith("RRDB_trunk.") for name in tensors):
        return {_from_named(name): tensor for name, tensor in tensors.items()}
    return dict(tensors)
