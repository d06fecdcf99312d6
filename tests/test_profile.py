"""`Upscaler.profile` and `realesrgan-vk profile`: where the time of a run goes."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import second_driver
from command import COMMAND, run_here
from compact_network import compact_graph, write_compact

from realesrgan_vk import RunProfile, Upscaler, list_devices

if TYPE_CHECKING:
    from collections.abc import Iterable

NUMBERS = {
    "format": int, "width": int, "height": int, "band_rows": int, "bands": int, "rounds": int,
    "gaps": int, "seconds": float, "timed_seconds": float, "device_seconds": float,
    "gap_seconds": float, "longest_gap": float,
}  # fmt: skip
TEXTS = ("version", "model", "device", "driver", "precision")
LAYER = {
    "names": list, "kind": str, "kernel": str, "inputs": int, "outputs": int, "zoom": float,
    "dispatches": int, "bands": int, "seconds": float, "share": float, "flops": float,
    "bytes_moved": float,
}  # fmt: skip
RATES = {"matrix_flops", "fma_flops", "copy_bytes_per_second"}


@pytest.fixture
def network(tmp_path: Path) -> Path:
    write_compact(tmp_path, "net")
    return tmp_path / "net.param"


def devices() -> list[str]:
    return ["cpu", *("0" for _ in list_devices()[:1])]


def computing_layers() -> set[str]:
    """All that compute something: concatenations and copies do not."""
    return {one.name for one in compact_graph() if one.type not in ("Input", "Split", "Concat")}


def check(found: dict[str, Any], *, on_cpu: bool) -> None:
    """The form of the JSON object, and that its times fit together."""
    layers = found["layers"]
    assert {*found} == {*NUMBERS, *TEXTS, "host", "roofline", "layers", "download_seconds"}
    assert found["download_seconds"] == 0  # a software driver's shaders write the result
    assert all(isinstance(found[name], kind) for name, kind in NUMBERS.items())
    assert all(isinstance(found[name], str) for name in TEXTS)
    assert {*found["host"]} == {"fill", "submit", "wait", "take"}
    assert all(seconds >= 0 for seconds in found["host"].values())
    assert (found["roofline"] is None) == on_cpu
    if not on_cpu:
        assert {*found["roofline"]} == RATES
    for one in layers:
        assert {*one} == {*LAYER, "roofline"}
        assert all(isinstance(one[name], kind) for name, kind in LAYER.items())
        assert one["seconds"] >= 0
        assert one["bytes_moved"] > 0
        assert (one["flops"] > 0) == (one["kind"] == "convolution")
        assert (one["roofline"] is None) == on_cpu
    assert sum(one["share"] for one in layers) == pytest.approx(1)
    assert sum(one["seconds"] for one in layers) == pytest.approx(found["device_seconds"])
    assert found["device_seconds"] + found["gap_seconds"] <= found["timed_seconds"] * 1.01
    assert found["longest_gap"] <= found["gap_seconds"]
    names = [name for one in layers for name in one["names"]]
    assert len(names) == len({*names})
    assert {*names} == computing_layers()


@pytest.mark.parametrize("device", devices())
@pytest.mark.parametrize(("size", "band_rows"), [("1x1", None), ("23x37", 5), ("64x1", 7)])
def test_layers_are_named_once_and_add_up(
    network: Path, device: str, size: str, band_rows: int | None
) -> None:
    words: list[str | Path] = [
        "profile",
        size,
        "-m",
        network,
        "-d",
        device,
        "--rounds",
        "1",
        "--json",
    ]
    done = run_here(*words, *([] if band_rows is None else ["--band-rows", str(band_rows)]))
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    check(found, on_cpu=device == "cpu")
    width, height = (found["width"], found["height"])
    assert f"{width}x{height}" == size
    if band_rows is not None:
        assert found["band_rows"] == min(band_rows, height)
    if found["bands"] == 1:
        with Upscaler(network, device=device) as upscaler:
            plan = upscaler.plan((width, height), band_rows=band_rows)
        moved = sum(one["bytes_moved"] for one in found["layers"]) / (width * height)
        assert moved == pytest.approx(plan.bytes_moved_per_input_pixel), "as planned"
    if size == "23x37":
        assert found["bands"] == 8
        for one in found["layers"]:
            assert one["bands"] == 8
            assert device == "cpu" or one["dispatches"] == 8, "once a band"


@pytest.mark.parametrize("device", devices())
def test_the_table_has_every_kind_and_the_slowest_layers(network: Path, device: str) -> None:
    done = run_here("profile", "9x7", "-m", network, "-d", device, "--rounds", "2", "--layers", "2")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert "9 x 7\nrow bands     1, of 7 rows at most" in done.stdout
    assert ("at most " in done.stdout) == (device != "cpu")
    kinds = lines.index("") + 1
    slowest = lines.index("", kinds) + 1
    assert lines[kinds].split() == [
        "ms",
        "share",
        "TFLOP/s",
        "GB/s",
        "of",
        "most",
        "dispatches",
        "what",
    ]
    rows = 5 if device == "cpu" else 4  # on Vulkan the shuffle stores the result
    assert slowest - kinds == 1 + rows + 1, "two convolutions, a shuffle, loading and storing"
    assert lines[slowest].endswith("the 2 slowest layers")
    assert len(lines) == slowest + 3
    none = run_here("profile", "9x7", "-m", network, "-d", device, "--rounds", "1", "--layers", "0")
    assert "slowest" not in none.stdout


def events_of(path: Path) -> list[dict[str, Any]]:
    trace = json.loads(path.read_bytes())
    assert trace["displayTimeUnit"] == "ms"
    return [one for one in trace["traceEvents"] if one["ph"] == "X"]


def threads_of(path: Path) -> dict[int, str]:
    named = [one for one in json.loads(path.read_bytes())["traceEvents"] if one["ph"] == "M"]
    return {one["tid"]: one["args"]["name"] for one in named}


def in_order(events: Iterable[dict[str, Any]]) -> bool:
    """Whether none begins before the one before it has ended, to a nanosecond."""
    end = 0.0
    for one in sorted(events, key=lambda one: one["ts"]):
        if one["ts"] < end - 1e-3:
            return False
        end = one["ts"] + one["dur"]
    return True


@pytest.mark.parametrize("device", devices())
def test_the_trace_is_written_whole_and_has_both_threads(
    network: Path, tmp_path: Path, device: str
) -> None:
    path = tmp_path / "run.json"
    path.write_text("what was there before")
    words: list[str | Path] = [
        "profile",
        "11x13",
        "-m",
        network,
        "-d",
        device,
        "--band-rows",
        "4",
        "--rounds",
        "1",
    ]
    done = run_here(*words, "--trace", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(threads_of(path)) == [1, 2]  # no downloads beside the dispatches
    events = events_of(path)
    device_events = [one for one in events if one["tid"] == 1]
    store = {"store"} if device == "cpu" else set()  # on Vulkan the last layer stores the result
    assert {one["cat"] for one in device_events} == {"load", "operation"} | store
    assert in_order(device_events)
    assert in_order(one for one in events if one["tid"] == 2)
    assert {one["args"]["band"] for one in events} == set(range(4))
    named = {name for one in device_events for name in one["name"].split(" + ")}
    assert computing_layers() <= named
    submitted = {one["args"]["band"]: one["ts"] for one in events if one["cat"] == "submit"}
    assert all(one["ts"] >= submitted[one["args"]["band"]] for one in device_events)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["net.bin", "net.param", "run.json"]


def test_downloads_by_a_queue_of_their_own_are_beside_the_dispatches(
    network: Path, tmp_path: Path
) -> None:
    if not list_devices():
        pytest.skip("no Vulkan device")
    path = tmp_path / "run.json"
    words = ["profile", "23x37", "-m", str(network), "-d", "0", "--rounds", "1", "--band-rows", "5"]
    limits = {"REALESRGAN_VK_LIMITS": "own_memory=1 transfer_queue=1"}
    done = subprocess.run([*COMMAND, *words, "--trace", path], check=True, text=True,
                          capture_output=True, timeout=300, env=os.environ | limits)  # fmt: skip
    assert re.search(r"^download      \S+ ms, by a queue of its own", done.stdout, re.MULTILINE)
    assert threads_of(path)[3].endswith("downloads")
    events = events_of(path)
    downloads = [one for one in events if one["tid"] == 3]
    assert {one["cat"] for one in downloads} == {"download"}
    assert [one["args"]["band"] for one in downloads] == list(range(8))
    assert in_order(downloads)
    computed = [one for one in events if one["tid"] == 1]
    for one in downloads:
        band = one["args"]["band"]
        ends = [each["ts"] + each["dur"] for each in computed if each["args"]["band"] == band]
        assert one["ts"] >= max(ends) - 1e-3


def test_a_trace_that_cannot_be_written_leaves_nothing(network: Path, tmp_path: Path) -> None:
    words: list[str | Path] = ["profile", "4x4", "-m", network, "-d", "cpu", "--rounds", "1"]
    missing = run_here(*words, "--trace", tmp_path / "none" / "run.json")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "the folder of the trace" in missing.stderr
    folder = run_here(*words, "--trace", tmp_path)
    assert (folder.returncode, folder.stdout) == (2, "")
    assert str(tmp_path) in folder.stderr
    assert sorted(file.name for file in tmp_path.iterdir()) == ["net.bin", "net.param"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["64"], "'64' is no size; a size is written as 1280x720"),
        (["0x4"], "each side must be from 1 to 67108864"),
        (["4x4", "--rounds", "0"], "0 is not in the range"),
        (["4x4", "--band-rows", "0"], "0 is not in the range"),
        (["4x4", "--layers", "-1"], "-1 is not in the range"),
        (["4x4", "--trace", ""], "the name is empty"),
        (["4x4", "--tile", "32"], "in tiles by ncnn"),
        (["4x4", "-d", "cuda"], "no device 'cuda'"),
        (["4x4", "-m", "nothing"], "nothing"),
    ],
)
def test_wrong_words_are_answered(network: Path, words: list[str], message: str) -> None:
    network_words = [] if "-m" in words else ["-m", str(network)]
    device_words = [] if "-d" in words else ["-d", "cpu"]
    done = run_here("profile", *words, *network_words, *device_words)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())


def test_wrong_arguments_are_refused_by_name(network: Path) -> None:
    with Upscaler(network, device="cpu") as upscaler:
        with pytest.raises(ValueError, match="rounds is 0"):
            upscaler.profile((4, 4), rounds=0)
        with pytest.raises(TypeError, match="size must be"):
            upscaler.profile("4x4")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="band_rows is 0"):
            upscaler.profile((4, 4), band_rows=0)
        with pytest.raises(TypeError, match="band_rows must be"):
            upscaler.plan((4, 4), band_rows="4")  # type: ignore[arg-type]
        assert upscaler.plan((4, 400), band_rows=9).band_rows == 9
        assert upscaler.plan((4, 400), band_rows=4000).band_rows == 400
        found = upscaler.profile((4, 4))
    assert isinstance(found, RunProfile)
    assert found.rounds == 3
    with pytest.raises(ValueError, match="closed"):
        upscaler.profile((4, 4))


def test_groups_have_all_layers(network: Path) -> None:
    with Upscaler(network, device="cpu") as upscaler:
        found = upscaler.profile((20, 30), rounds=1)
    groups = found.grouped()
    assert sum(found.members(one) for one in groups) == len(found.layers)
    assert sum(one.seconds for one in groups) == pytest.approx(found.device_seconds)
    assert [one.seconds for one in groups] == sorted((one.seconds for one in groups), reverse=True)


def test_a_driver_with_cooperative_matrices(network: Path) -> None:
    second_driver.require()
    words = ["profile", "19x21", "-m", str(network), "-d", "0", "--rounds", "1", "--json"]
    found = json.loads(second_driver.run_python("-m", "realesrgan_vk", *words))
    check(found, on_cpu=False)
    assert found["roofline"]["matrix_flops"] > 0
