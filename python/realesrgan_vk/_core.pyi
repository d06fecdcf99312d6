"""The C++ core: one network on one device, and the devices there are."""

from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import DTypeLike, NDArray

__version__: str
CPU_DEVICE: int
TILE_AUTO: int
TILE_WHOLE: int

class RealesrganError(RuntimeError): ...
class ModelError(RealesrganError): ...
class DeviceError(RealesrganError): ...
class OutOfMemoryError(RealesrganError): ...
class ImageError(RealesrganError): ...
class Cancelled(RealesrganError): ...  # noqa: N818  (an outcome, not a fault)

class DeviceInfo:
    @property
    def index(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def type(self) -> Literal["discrete", "integrated", "virtual", "cpu", "other"]: ...
    @property
    def driver(self) -> str: ...
    @property
    def memory_bytes(self) -> int: ...
    @property
    def fp16_storage(self) -> bool: ...
    @property
    def cooperative_matrix(self) -> bool: ...
    @property
    def uuid(self) -> str: ...
    @property
    def pci_address(self) -> str: ...

class NetworkInfo:
    @property
    def scale(self) -> int: ...
    @property
    def input_channels(self) -> int: ...
    @property
    def output_channels(self) -> int: ...
    @property
    def receptive_field(self) -> int: ...
    @property
    def row_local(self) -> bool: ...
    @property
    def border(self) -> int: ...
    @property
    def pools_all(self) -> bool: ...
    @property
    def adds_source(self) -> bool: ...

class Roofline(TypedDict):
    matrix_flops: float
    fma_flops: float
    copy_bytes_per_second: float

class StoredKernels(TypedDict):
    narrow: str
    wide: str
    pairs: bool
    band_pixels: int
    tuned: bool
    notes: list[str]

class KernelTiming(TypedDict):
    kernel: str
    narrow_seconds: float | None
    wide_seconds: float | None

class PairTiming(TypedDict):
    together_seconds: float | None
    apart_seconds: float | None

class BandTiming(TypedDict):
    pixels: int
    seconds: float
    flops: float

class TunedKernels(StoredKernels):
    kernels: list[KernelTiming]
    pair: PairTiming
    bands: list[BandTiming]

def tune(device: int, *, fp16: bool, seconds: float = ...) -> TunedKernels: ...
def stored_kernels(device: int) -> dict[Literal["fp32", "fp16"], StoredKernels]: ...
def forget_kernels(device: int) -> None: ...
def measure_roofline(device: int, *, seconds: float = ...) -> Roofline: ...
def list_devices() -> list[DeviceInfo]: ...
def usable_cores() -> int: ...
def installed_memory() -> int | None: ...
def free_memory() -> int: ...
def cpu_instruction_set() -> Literal["avx512", "avx2", "neon", "baseline"]: ...
def cache_folder() -> Path | None: ...
def inspect_network(param_path: str | PathLike[str]) -> NetworkInfo: ...

class YuvFormat:
    def __init__(
        self,
        *,
        matrix: Literal["bt601", "bt709", "bt2020", "rgb"] = ...,
        full_range: bool = ...,
        siting: Literal["left", "center", "top_left"] = ...,
        bits: int = ...,
        low_bits: int = ...,
        subsampling: tuple[int, int] = ...,
    ) -> None: ...
    @property
    def matrix(self) -> Literal["bt601", "bt709", "bt2020", "rgb"]: ...
    @property
    def full_range(self) -> bool: ...
    @property
    def siting(self) -> Literal["left", "center", "top_left"]: ...
    @property
    def bits(self) -> int: ...
    @property
    def low_bits(self) -> int: ...
    @property
    def subsampling(self) -> tuple[int, int]: ...

def yuv_to_rgb(planes: Sequence[NDArray[Any]], yuv_format: YuvFormat) -> NDArray[np.float32]: ...
def rgb_to_yuv(
    rgb: NDArray[np.float32], planes: Sequence[NDArray[Any]], yuv_format: YuvFormat
) -> None: ...

class PlanReport(TypedDict):
    path: Literal["stream", "tiles"]
    reason: str
    band_rows: int
    column_tiles: int
    halo: int
    tile: int
    memory_bytes: dict[str, int]
    dispatches_per_band: int
    bytes_moved_per_input_pixel: float

class ProfiledLayer(TypedDict):
    kind: Literal[
        "convolution",
        "depthwise_convolution",
        "layer_norm",
        "pixel_shuffle",
        "pixel_unshuffle",
        "resize",
    ]
    names: list[str]
    inputs: int
    outputs: int
    zoom: float

class ProfiledInterval(TypedDict):
    work: Literal[
        "fill", "submit", "wait", "take", "load", "operation", "halo", "store", "download"
    ]
    band: int
    layer: int
    kernel: str
    begin: float
    end: float
    flops: float
    bytes: float

class ProfileReport(TypedDict):
    seconds: float
    bands: int
    untimed_downloads: bool
    layers: list[ProfiledLayer]
    intervals: list[ProfiledInterval]

class Upscaler:
    def __init__(
        self,
        param_path: str | PathLike[str],
        bin_path: str | PathLike[str],
        *,
        device: int = ...,
        fp16: bool = ...,
        tile: int = ...,
        tta: bool = ...,
        threads: int = ...,
        memory_limit: int = ...,
        band: int = ...,
        backend: str = ...,
        runs_at_once: int = ...,
    ) -> None: ...
    @property
    def network(self) -> NetworkInfo: ...
    def notices(self) -> list[str]: ...
    def run(
        self,
        image: NDArray[Any],
        output: NDArray[Any],
        progress: Callable[[float], object] | None = ...,
    ) -> None: ...
    def prepare(self, width: int, height: int) -> int: ...
    def run_rows(
        self,
        width: int,
        height: int,
        read: Callable[[int, int], NDArray[Any]],
        write: Callable[[int, NDArray[Any]], object],
        *,
        dtype: DTypeLike = ...,
        progress: Callable[[float], object] | None = ...,
    ) -> None: ...
    def run_yuv(
        self,
        source: Sequence[NDArray[Any]],
        source_format: YuvFormat,
        target: Sequence[NDArray[Any]],
        target_format: YuvFormat,
        progress: Callable[[float], object] | None = ...,
    ) -> None: ...
    def profile(
        self,
        image: NDArray[Any],
        output: NDArray[Any],
        *,
        band_rows: int = ...,
        timed: bool = ...,
    ) -> ProfileReport: ...
    def plan(
        self, width: int, height: int, *, dtype: DTypeLike = ..., band_rows: int = ...
    ) -> PlanReport: ...
