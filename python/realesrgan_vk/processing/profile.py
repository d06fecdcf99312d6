"""Where the time of a run goes: by layer, between the layers, and on the host."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import asdict, dataclass, fields
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from realesrgan_vk._core import __version__, measure_roofline

if TYPE_CHECKING:
    from collections.abc import Iterable

    from realesrgan_vk._core import (
        DeviceInfo,
        ProfiledInterval,
        ProfiledLayer,
        ProfileReport,
        Roofline,
    )
    from realesrgan_vk._core import Upscaler as Core

MOST_ROUNDS = 1000
_HOST_WORK = ("fill", "submit", "wait", "take")
_DOWNLOAD = "download"  # by a queue of its own, beside the dispatches
_NO_DISPATCHES = (*_HOST_WORK, _DOWNLOAD)
_FORMAT = 1  # of `RunProfile.as_dict`; raised when a field changes its meaning
_MATRIX_KERNELS = ("convolution_matrix", "dense_pair")
_WARM_UP = 0.25  # seconds that a GPU runs before it is timed: it lowers its clock in a pause
_DEVICE, _HOST, _COPIES = 1, 2, 3  # the threads of the trace
_WORDS = {
    "fill": "copy the picture's rows",
    "submit": "record and submit",
    "wait": "wait for the device",
    "take": "copy the result's rows",
    "load": "samples to values",
    "halo": "copies of halo rows",
    "store": "values to samples",
    _DOWNLOAD: "copy the result to the host",
}


@dataclass(frozen=True, slots=True)
class LayerTime:
    """All dispatches of one layer in a run; or of what comes before, between and after the layers.

    Attributes:
        names: Names of the network's layers that one dispatch computes, that of the kind `kind`
            first; none of what is no layer.
        kind: "convolution", "depthwise_convolution", "layer_norm", "pixel_shuffle",
            "pixel_unshuffle", "resize"; or "load", "halo", "store". Nothing stores where the last
            layer writes the result's samples itself, as it does on Vulkan if it can.
        kernel: The shader, "copy", or "cpu".
        inputs: Channels read; 0 of what is no layer.
        outputs: Channels written; 0 of what is no layer.
        zoom: Width of the result over the picture's; 0 of what is no layer.
        dispatches: In the run.
        bands: Row bands that it ran in.
        seconds: Of all its dispatches.
        share: Of the sum of all layers, 0..1.
        flops: Multiplications and additions of a convolution, counted as direct ones.
        bytes_moved: Of ring buffers, read and written; weights are not counted.
        roofline: The least time that the device's measured rates allow for this arithmetic and
            these bytes, over the time taken; None where the rates were not measured.
    """

    names: tuple[str, ...]
    kind: str
    kernel: str
    inputs: int
    outputs: int
    zoom: float
    dispatches: int
    bands: int
    seconds: float
    share: float
    flops: float
    bytes_moved: float
    roofline: float | None

    @property
    def title(self) -> str:
        """The names, or what is done."""
        return " + ".join(self.names) if self.names else _WORDS.get(self.kind, self.kind)


@dataclass(frozen=True, slots=True)
class RunProfile:
    """Where the time of one run went. All times are seconds.

    Attributes:
        model: The network's name.
        device: The device's name, or "CPU".
        driver: The Vulkan driver's name and version; empty for the CPU.
        precision: "fp16" or "fp32".
        width: Of the picture, in pixels.
        height: Of the picture, in pixels.
        band_rows: Picture rows of a row band, no more than the picture has.
        bands: Row bands of the run.
        rounds: Runs made with times and without, in turns.
        seconds: Of a run without times, as the host saw it; the median.
        timed_seconds: Of the run described here: the one with times that took the median.
        device_seconds: Sum of all dispatches.
        gap_seconds: Sum of the times between a dispatch's end and the begin of the next one.
        gaps: How many of them there are.
        longest_gap: The longest one.
        download_seconds: Of copies of the result to the host by a queue of their own, beside the
            dispatches: 0 where dispatches write it there; None where that queue has no timestamps.
        host: What the host did: "fill" (copying the picture's rows to where the device reads
            them), "submit", "wait" (for the device) and "take" (copying the result's rows).
        roofline: The device's rates, measured after the runs; None for the CPU.
        layers: By layer, in their order; what is no layer stands before and after them.
    """

    model: str
    device: str
    driver: str
    precision: str
    width: int
    height: int
    band_rows: int
    bands: int
    rounds: int
    seconds: float
    timed_seconds: float
    device_seconds: float
    gap_seconds: float
    gaps: int
    longest_gap: float
    download_seconds: float | None
    host: dict[str, float]
    roofline: Roofline | None
    layers: tuple[LayerTime, ...]
    _report: ProfileReport

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain data, for JSON; with `format` and the package's version."""
        data = {one.name: getattr(self, one.name) for one in fields(self)[:-1]}
        data["layers"] = [asdict(one) for one in self.layers]
        return {"format": _FORMAT, "version": __version__, **data}

    def grouped(self) -> list[LayerTime]:
        """Layers of one kind, kernel, channels and size as one, without names; slowest first."""
        groups: defaultdict[tuple[object, ...], list[LayerTime]] = defaultdict(list)
        for one in self.layers:
            groups[one.kind, one.kernel, one.inputs, one.outputs, one.zoom].append(one)
        found = [
            _layer_time(
                (), members[0], members[0].kernel, sum(one.dispatches for one in members),
                max(one.bands for one in members), _Amounts.sum_of(members), self.device_seconds,
                self.roofline,
            )
            for members in groups.values()
        ]  # fmt: skip
        return sorted(found, key=lambda one: -one.seconds)

    def members(self, group: LayerTime) -> int:
        """How many layers a group of `grouped` has."""
        kind = (group.kind, group.kernel, group.inputs, group.outputs, group.zoom)
        return sum(
            (one.kind, one.kernel, one.inputs, one.outputs, one.zoom) == kind for one in self.layers
        )

    def trace(self) -> dict[str, Any]:
        """The run as Chrome's trace format (for https://ui.perfetto.dev), as plain data."""
        events: list[dict[str, Any]] = [
            {"ph": "M", "pid": 1, "tid": thread, "name": "thread_name", "args": {"name": name}}
            for thread, name in (
                (_DEVICE, self.device),
                (_HOST, "host"),
                (_COPIES, f"{self.device}, downloads"),
            )
            if thread != _COPIES or self.download_seconds
        ]
        layers = self._report["layers"]
        for one in self._report["intervals"]:
            on_host = one["work"] in _HOST_WORK
            detail: dict[str, object] = {"band": one["band"]}
            if not on_host:
                detail |= {name: one[name] for name in ("kernel", "flops", "bytes")}
            name = " + ".join(layers[one["layer"]]["names"]) if one["layer"] >= 0 else ""
            events.append(
                {
                    "ph": "X",
                    "pid": 1,
                    "tid": _HOST if on_host else _COPIES if one["work"] == _DOWNLOAD else _DEVICE,
                    "name": name or _WORDS.get(one["work"], one["work"]),
                    "cat": one["work"],
                    "ts": one["begin"] * 1e6,
                    "dur": (one["end"] - one["begin"]) * 1e6,
                    "args": detail,
                }
            )
        return {"displayTimeUnit": "ms", "traceEvents": events}


@dataclass(frozen=True, slots=True)
class _Amounts:
    seconds: float
    flops: float
    bytes_moved: float

    @classmethod
    def sum_of(cls, layers: Iterable[LayerTime]) -> _Amounts:
        members = list(layers)
        return cls(
            sum(one.seconds for one in members),
            sum(one.flops for one in members),
            sum(one.bytes_moved for one in members),
        )


@dataclass(frozen=True, slots=True)
class _NoLayer:
    """What comes before, between and after the layers."""

    kind: str
    inputs: int = 0
    outputs: int = 0
    zoom: float = 0.0


def profile(
    core: Core,
    size: tuple[int, int],
    *,
    model: str,
    device: DeviceInfo | None,
    fp16: bool,
    rounds: int,
    band_rows: int,
) -> RunProfile:
    """Run a picture of noise, with times and without in turns.

    Args:
        core: The network on its device.
        size: Width and height of the picture, in pixels.
        model: The network's name.
        device: The Vulkan device; None: the CPU.
        fp16: Whether values are stored in 16 bits.
        rounds: Runs of each.
        band_rows: Picture rows of a row band; 0: what fits best.

    Raises:
        ValueError: The network is run in tiles.
        DeviceError: The device has no timestamps, or fails.
        OutOfMemoryError: The picture does not fit.
    """
    width, height = size
    network = core.network
    noise = np.random.default_rng(0).integers(
        0, 256, (height, width, network.input_channels), dtype=np.uint8
    )
    result = np.empty(
        (height * network.scale, width * network.scale, network.output_channels), np.uint8
    )
    core.profile(noise, result, band_rows=band_rows)  # compiles; refuses what cannot be timed
    if device is not None and device.type != "cpu":
        end = time.perf_counter() + _WARM_UP
        while time.perf_counter() < end:
            core.profile(noise, result, band_rows=band_rows)
    plain, timed = [], []
    for _ in range(rounds):
        plain.append(core.profile(noise, result, band_rows=band_rows, timed=False)["seconds"])
        timed.append(core.profile(noise, result, band_rows=band_rows))
    report = sorted(timed, key=lambda one: one["seconds"])[rounds // 2]
    roofline = None if device is None else measure_roofline(device.index)
    gaps = _gaps(report["intervals"])
    layers = _layers(report, roofline)
    return RunProfile(
        model=model,
        device="CPU" if device is None else device.name,
        driver="" if device is None else device.driver,
        precision="fp16" if fp16 else "fp32",
        width=width,
        height=height,
        band_rows=min(core.plan(width, height, band_rows=band_rows)["band_rows"], height),
        bands=report["bands"],
        rounds=rounds,
        seconds=median(plain),
        timed_seconds=report["seconds"],
        device_seconds=sum(one.seconds for one in layers),
        gap_seconds=sum(gaps),
        gaps=len(gaps),
        longest_gap=max(gaps, default=0.0),
        download_seconds=None
        if report["untimed_downloads"]
        else _seconds(report["intervals"], _DOWNLOAD),
        host={work: _seconds(report["intervals"], work) for work in _HOST_WORK},
        roofline=roofline,
        layers=layers,
        _report=report,
    )


def _seconds(intervals: Iterable[ProfiledInterval], work: str) -> float:
    return sum(one["end"] - one["begin"] for one in intervals if one["work"] == work)


def _gaps(intervals: Iterable[ProfiledInterval]) -> list[float]:
    found, end = [], None
    on_device = (one for one in intervals if one["work"] not in _NO_DISPATCHES)
    for one in sorted(on_device, key=lambda one: one["begin"]):
        if end is not None and one["begin"] > end:
            found.append(one["begin"] - end)
        end = one["end"] if end is None else max(end, one["end"])
    return found


def _layers(report: ProfileReport, roofline: Roofline | None) -> tuple[LayerTime, ...]:
    parts: defaultdict[tuple[str, int, str], list[ProfiledInterval]] = defaultdict(list)
    for one in report["intervals"]:
        if one["work"] not in _NO_DISPATCHES:
            parts[one["work"], one["layer"], one["kernel"]].append(one)
    whole = sum(one["end"] - one["begin"] for members in parts.values() for one in members)
    order = {"load": 0, "operation": 1, "halo": 2, "store": 3}
    found = []
    for (work, layer, kernel), members in sorted(
        parts.items(), key=lambda item: (order[item[0][0]], item[0][1])
    ):
        amounts = _Amounts(
            sum(one["end"] - one["begin"] for one in members),
            sum(one["flops"] for one in members),
            sum(one["bytes"] for one in members),
        )
        described: ProfiledLayer | None = report["layers"][layer] if layer >= 0 else None
        what = (
            _NoLayer(work)
            if described is None
            else _NoLayer(
                described["kind"], described["inputs"], described["outputs"], described["zoom"]
            )
        )
        names = () if described is None else tuple(described["names"])
        bands = len({one["band"] for one in members})
        found.append(
            _layer_time(names, what, kernel, len(members), bands, amounts, whole, roofline)
        )
    return tuple(found)


def _layer_time(  # noqa: PLR0917
    names: tuple[str, ...],
    what: LayerTime | _NoLayer,
    kernel: str,
    dispatches: int,
    bands: int,
    amounts: _Amounts,
    whole: float,
    roofline: Roofline | None,
) -> LayerTime:
    return LayerTime(
        names=names,
        kind=what.kind,
        kernel=kernel,
        inputs=what.inputs,
        outputs=what.outputs,
        zoom=what.zoom,
        dispatches=dispatches,
        bands=bands,
        seconds=amounts.seconds,
        share=amounts.seconds / whole if whole > 0 else 0.0,
        flops=amounts.flops,
        bytes_moved=amounts.bytes_moved,
        roofline=_of_roofline(amounts, kernel, roofline),
    )


def _of_roofline(amounts: _Amounts, kernel: str, rates: Roofline | None) -> float | None:
    if rates is None or amounts.seconds <= 0:
        return None
    on_matrices = kernel in _MATRIX_KERNELS and rates["matrix_flops"] > 0
    arithmetic = rates["matrix_flops"] if on_matrices else rates["fma_flops"]
    least = max(amounts.flops / arithmetic, amounts.bytes_moved / rates["copy_bytes_per_second"])
    return least / amounts.seconds
