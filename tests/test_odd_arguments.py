"""Arguments of wrong types and sizes: a `ValueError`, a `TypeError` or an error of the family.

Every argument of the public functions is given every value of `ODD`, and numbers that hypothesis
finds. A call may succeed; an exception must be of the promised types and name the argument.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compact_network import write_compact
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import realesrgan_vk
from realesrgan_vk import Cancelled, RealesrganError, Upscaler
from realesrgan_vk.image_io.rows import ArrayRows, RawRows, TiffRows, TiffRowWriter
from realesrgan_vk.imaging.picture import Frame, Metadata, Picture
from realesrgan_vk.options import Request, TargetSize

IMAGE = np.full((4, 5, 3), 90, np.uint8)


class Text(str):
    __slots__ = ()


class Whole(int):
    pass


class Unhelpful:
    """Every question about it is answered with an exception."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __index__(self) -> int:
        raise RuntimeError("no index")

    def __float__(self) -> float:
        raise RuntimeError("no float")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not comparable")

    def __hash__(self) -> int:
        raise RuntimeError("no hash")


class BytesPath:
    def __fspath__(self) -> bytes:
        return b"/nowhere/\xff.png"


NUMBERS: list[Any] = [
    *(-1, 0, 1, 3, 2**24 + 1, 2**26 + 1, 2**30, 2**31 - 1, 2**31, 2**32, 2**63, 2**64, 10**9),
    *(10**400, -(10**400), 10**5000, -(10**5000), 0.5, -0.0, 2.5, 1e9, 1e308, 5e-324, 1j),
    *(float("nan"), float("inf"), float("-inf"), Decimal("1.5"), Decimal("NaN"), Decimal(10**400)),
    *(Fraction(1, 3), Fraction(10**400), Fraction(1, 10**400), Whole(3), Whole(2**70)),
    *(np.int64(3), np.int8(-1), np.uint64(2**64 - 1), np.float32("nan"), np.float64(2.5)),
    *(np.float16(1), np.longdouble(3), np.complex64(1), np.bool_(True), np.array(3)),
]
OTHERS: list[Any] = [
    *(None, True, False, "", " ", "1", "auto", "nan", "x" * 5000, "a\0b", "\udcff", "a\nb", "/"),
    *(
        "9" * 5000,
        "9" * 5000 + "GB",
        "1e400",
        "-1GB",
        "0.0000001B",
        "\u0661GB",
        Text("auto"),
        Text("3"),
    ),
    *(b"", b"auto", b"\xff" * 9, bytearray(b"3"), memoryview(b"3"), [], [1], [None], (), (1, 2)),
    *((0, 5), (2**64, 2**64), ("1", "2"), (None, None), (np.int64(4), np.uint8(3)), (1, 2, 3)),
    *((10**5000, 1), {}, {"a": 1}, set(), frozenset(), range(3), object(), Unhelpful(), int, len),
    *(lambda: None, Ellipsis, NotImplemented, StringIO("text"), BytesIO(b"text"), Path("/nowhere")),
    *(BytesPath(), np.array([1, 2]), np.array(["a"]), np.zeros((2, 2, 2, 2)), np.str_("auto")),
    *(
        np.zeros((3, 3), object),
        np.zeros((2, 2), "M8[s]"),
        np.array([]),
        np.full((2, 2), 300, np.float32),
    ),
]
ODD = NUMBERS + OTHERS


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest network of scale 2."""
    return write_compact(tmp_path_factory.mktemp("net"), "net")


@pytest.fixture(scope="module")
def small(net: Path) -> Upscaler:
    return Upscaler(net, device="cpu", threads=1)


def keeps_the_promise(
    names: tuple[str, ...], function: Callable[..., object], *arguments: object, **options: object
) -> bool:
    """Whether the call succeeds; fails on an exception of another type, or one without a name."""
    try:
        function(*arguments, **options)
    except (ValueError, TypeError, RealesrganError) as error:
        message = str(error)
        assert any(name in message for name in names), message
        assert len(message) < 12_000
        assert "incompatible" not in message, "a signature of the extension is no message"
        return False
    return True


@pytest.mark.parametrize(
    "name",
    ["device", "precision", "tile", "tta", "denoise", "threads", "memory_limit", "runs_at_once"],
)
def test_options_of_an_upscaler(net: Path, name: str) -> None:
    device = {} if name == "device" else {"device": "cpu"}
    worked = [keeps_the_promise((name,), Upscaler, net, **device, **{name: odd}) for odd in ODD]
    assert not all(worked)


@pytest.mark.parametrize(
    "name",
    [
        *("scale", "width", "height", "long_edge", "alpha", "light", "strength"),
        *("max_pixels", "as_array"),
    ],
)
def test_options_of_a_picture(small: Upscaler, name: str) -> None:
    # A size within its range may still be more than this machine's memory holds.
    names = (name, "machine has")
    odd = [value for value in ODD if not (isinstance(value, int) and 1000 < value <= 2**24)]
    worked = [keeps_the_promise(names, small.upscale, IMAGE, **{name: value}) for value in odd]
    assert not all(worked)


def test_callbacks(small: Upscaler) -> None:
    for odd in ODD:
        if not callable(odd):  # what a callback raises comes out as it is
            worked = keeps_the_promise(("progress",), small.upscale, IMAGE, progress=odd)
            assert worked == (odd is None)


def test_pictures(small: Upscaler) -> None:
    for odd in ODD:
        for call in (small.upscale, small.plan, small.prepare):
            keeps_the_promise(("image", "picture"), call, odd)
        keeps_the_promise(("max_pixels",), small.plan, IMAGE, max_pixels=odd)


def test_arrays_whose_samples_would_be_misread(small: Upscaler) -> None:
    array = np.full((4, 4, 3), 40, np.uint8)
    masked = np.ma.masked_array(array, mask=array == 40)
    for call in (small.upscale, small.plan):
        with pytest.raises(TypeError, match=r"masked pixels.*filled"):
            call(masked)
        for view in (array.data, np.zeros(48, np.float32).data):
            with pytest.raises(TypeError, match=r"memoryview of shape .*numpy\.asarray"):
                call(view)
    nothing_masked = small.upscale(np.ma.masked_array(array))
    assert np.array_equal(nothing_masked, small.upscale(array))


def test_models() -> None:
    for odd in ODD:
        keeps_the_promise(("model", ".param"), Upscaler, odd, device="cpu")


def test_the_module_level_call(net: Path) -> None:
    names = ("model", "device", "tile", "memory_limit", "denoise", "scale", "max_pixels")
    for name in names:
        for odd in ODD:
            options = {"model": net, "device": "cpu"} | {name: odd}
            keeps_the_promise(
                (name, ".param", "memory limit"), realesrgan_vk.upscale, IMAGE, **options
            )


EIGHT_BIT = np.dtype(np.uint8)
NOTHING_CARRIED = Metadata()


@dataclass
class Rows:
    """A source whose every member can be odd."""

    width: Any = 5
    height: Any = 4
    channels: Any = 3
    dtype: Any = EIGHT_BIT
    metadata: Any = NOTHING_CARRIED

    def read(self, first: int, count: int) -> NDArray[np.uint8]:
        return IMAGE[first : first + count]


def test_rows(small: Upscaler) -> None:
    source, sink = ArrayRows(IMAGE), ArrayRows(np.zeros((8, 10, 3), np.uint8))
    for odd in ODD:
        keeps_the_promise(("source",), small.upscale_rows, odd, sink)
        if not hasattr(odd, "write"):
            keeps_the_promise(("sink",), small.upscale_rows, source, odd)
        for member in ("width", "height", "channels", "dtype", "metadata"):
            # A size that differs from the rows that are read is told when they are read.
            names = ("source", "read()")
            keeps_the_promise(names, small.upscale_rows, Rows(**{member: odd}), sink)


def write_no_rows(*arguments: Any) -> None:  # noqa: ANN401 - odd ones
    """Make a writer and give it up, so that its temporary file is closed."""
    TiffRowWriter(*arguments).__exit__(Cancelled, None, None)


def test_row_readers_and_writers(tmp_path: Path) -> None:
    file = BytesIO(b"frame")
    for odd in ODD:
        keeps_the_promise(("pixels",), ArrayRows, odd)
        if not (hasattr(odd, "read") or hasattr(odd, "write")):
            assert not keeps_the_promise(("file",), RawRows, odd, 5, 4, "gray")
        keeps_the_promise(("width",), RawRows, file, odd, 4, "gray")
        keeps_the_promise(("height",), RawRows, file, 5, odd, "gray")
        assert not keeps_the_promise(("pixels",), RawRows, file, 5, 4, odd)
        assert not keeps_the_promise(("path", "TIFF file"), TiffRows, odd)
        target = tmp_path / "out.tif"
        keeps_the_promise(("width",), write_no_rows, target, odd, 4)
        keeps_the_promise(("height",), write_no_rows, target, 5, odd)
        keeps_the_promise(("carried",), write_no_rows, target, 5, 4, odd)
        if not isinstance(odd, (str, os.PathLike)):
            assert not keeps_the_promise(("path",), write_no_rows, odd, 5, 4)


def test_requests_and_decoded_pictures(small: Upscaler) -> None:
    picture = Picture((Frame(IMAGE),), "colour", 8)
    for odd in ODD:
        for name in ("alpha", "light", "kernel", "strength"):
            keeps_the_promise((name,), Request, **{name: odd})
        keeps_the_promise(("picture",), small.upscale_picture, odd, Request())
        keeps_the_promise(("request",), small.upscale_picture, picture, odd)


ANY_NUMBER = st.one_of(
    st.integers(), st.integers(-(2**70), 2**70), st.floats(), st.fractions(), st.decimals(),
    st.complex_numbers(), st.booleans(),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(ANY_NUMBER)
def test_numbers_that_hypothesis_finds(number: object) -> None:
    for name in ("scale", "width", "height", "long_edge"):
        keeps_the_promise((name,), TargetSize, **{name: number})
    for name in ("device", "tile", "tta", "denoise", "threads", "memory_limit", "runs_at_once"):
        nowhere = "/nowhere/x.param"
        assert not keeps_the_promise((name, nowhere), Upscaler, nowhere, **{name: number})


def test_values_of_numpy_mean_what_python_s_do(net: Path) -> None:
    upscaler = Upscaler(
        net,
        device=np.int8(-1),
        tile=np.int16(40),
        threads=np.uint8(1),
        memory_limit=np.int64(2**30),
        tta=np.bool_(False),  # type: ignore[arg-type]  # NumPy's is no bool to mypy
    )
    plain = Upscaler(net, device=-1, tile=40, threads=1, memory_limit=2**30)
    assert upscaler.plan((90, 80)) == plain.plan((90, 80))
    assert np.array_equal(upscaler.upscale(IMAGE, scale=np.float32(2.5)),
                          plain.upscale(IMAGE, scale=2.5))  # fmt: skip
    assert np.array_equal(upscaler.upscale(IMAGE, scale=Fraction(5, 2)),
                          plain.upscale(IMAGE, scale=2.5))  # fmt: skip
    assert upscaler.upscale(IMAGE, width=np.int32(7), height=np.uint8(9)).shape == (9, 7, 3)


def test_sides_are_limited_at_once(small: Upscaler) -> None:
    assert small.plan((2**26, 2**26)).width == 2**26
    for size in ((2**26 + 1, 1), (10**9, 10**9), (1, 10**12)):
        with pytest.raises(ValueError, match="each side must be from 1 to 67108864"):
            small.plan(size)
    endless = np.broadcast_to(np.uint8(90), (1, 2**26 + 1, 3))
    with pytest.raises(ValueError, match="each side must be from 1 to 67108864"):
        small.upscale(endless)
