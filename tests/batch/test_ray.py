"""Pictures on a Ray cluster: two worker processes on this machine, which Ray starts."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import ray_cluster
import remote_stores
from command import COMMAND, run_here
from compact_network import write_compact
from conftest import Photo
from PIL import Image

import realesrgan_vk
from realesrgan_vk import DeviceError, ModelError
from realesrgan_vk.batch import cluster
from realesrgan_vk.batch import ray as pictures
from realesrgan_vk.batch.ray import Row

SECONDS = 300  # of one command
SKIPPING = 30  # seconds for all pictures of a call; 0.1 on an idle machine

Message = tuple[int, list[str]]


@pytest.fixture(scope="module", autouse=True)
def _environment() -> Iterator[None]:
    yield from ray_cluster.environment()


@pytest.fixture(scope="module")
def two_cores(_environment: None) -> Iterator[ModuleType]:
    yield from ray_cluster.of_two_cores()


@pytest.fixture
def net(tmp_path: Path) -> Path:
    return write_compact(tmp_path / "net", "net")


def write_pictures(folder: Path, photo: Photo, count: int) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"{index:03}.png" for index in range(count)]
    for index, path in enumerate(paths):
        Image.fromarray(photo(16 + index % 7, 12 + index % 5)).save(path)
    return paths


def with_three_broken(paths: list[Path]) -> set[str]:
    """Break three files, each in another way."""
    truncated, empty, text = paths[3], paths[len(paths) // 2], paths[-2]
    truncated.write_bytes(truncated.read_bytes()[:90])
    empty.write_bytes(b"")
    text.write_text("no picture")
    return {truncated.name, empty.name, text.name}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("count", [24, pytest.param(200, marks=pytest.mark.slow)])
def test_results_are_those_of_the_command_although_a_worker_is_killed(
    two_cores: ModuleType, net: Path, photo: Photo, tmp_path: Path, count: int
) -> None:
    sources, out, plain = (tmp_path / name for name in ("in", "out", "plain"))
    broken = with_three_broken(write_pictures(sources, photo, count))
    killed: list[int] = []
    stored: list[float] = []
    told: list[Row] = []

    def kill_one(row: Row) -> None:
        told.append(row)
        stored.append(used_store(two_cores))
        if len(told) == count // 3:
            killed.append(int(row["worker"].rpartition(":")[2]))
            os.kill(killed[0], signal.SIGKILL)

    rows = realesrgan_vk.ray.upscale_dataset(
        sources, out, model=net, workers=2, gpus_per_worker=0, report=kill_one
    )
    assert len(killed) == 1
    assert [Path(row["source"]).name for row in rows] == [
        f"{index:03}.png" for index in range(count)
    ]
    assert sorted(map(repr, told)) == sorted(map(repr, rows))
    assert {Path(row["source"]).name for row in rows if row["status"] == "failed"} == broken
    for row in rows:
        if row["status"] == "failed":
            assert (row["stage"], row["sha256"]) == ("decode", "")
            assert Path(row["source"]).name in row["error"]
        else:
            content = Path(row["target"]).read_bytes()
            assert row["status"] == "done"
            assert row["sha256"] == hashlib.sha256(content).hexdigest()
            assert row["seconds"] > 0
    done = run_here("upscale", sources, "-o", plain, "-m", net, "-d", "cpu")
    assert done.returncode == 1
    assert contents(out) == contents(plain)
    assert len(contents(out)) == count - 3
    assert max(stored) == 0  # bytes: nothing goes through the object store

    started = time.perf_counter()
    whole = sorted(set(sources.iterdir()) - {sources / name for name in broken})
    skipped = realesrgan_vk.ray.upscale_dataset(whole, out, model=net)
    assert [row["status"] for row in skipped] == ["skipped"] * (count - 3)
    assert time.perf_counter() - started < SKIPPING

    again = realesrgan_vk.ray.upscale_dataset(sources, out, model=net, workers=2, gpus_per_worker=0)
    assert [row["status"] for row in again].count("skipped") == count - 3
    assert {Path(row["source"]).name for row in again if row["status"] == "failed"} == broken
    assert contents(out) == contents(plain)


def used_store(ray: ModuleType) -> float:
    """Bytes of the object store that are in use."""
    name = "object_store_memory"
    return float(ray.cluster_resources()[name] - ray.available_resources().get(name, 0))


def test_the_use_of_the_object_store_is_seen(two_cores: ModuleType) -> None:
    """What the test above measures is not always zero."""
    kept = two_cores.put(b"x" * (8 << 20))
    deadline = time.monotonic() + SECONDS
    while used_store(two_cores) < 8 << 20:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    del kept
    while used_store(two_cores) > 0:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_only_worker_is_replaced(
    two_cores: ModuleType, net: Path, photo: Photo, tmp_path: Path
) -> None:
    sources = write_pictures(tmp_path / "in", photo, 9)
    workers: list[str] = []

    def kill(row: Row) -> None:
        workers.append(row["worker"])
        if len(workers) == 1:
            os.kill(int(row["worker"].rpartition(":")[2]), signal.SIGKILL)

    rows = realesrgan_vk.ray.upscale_dataset(
        [str(path) for path in sources], tmp_path / "out", model=net, workers=1, report=kill
    )
    assert [row["status"] for row in rows] == ["done"] * 9
    assert len(set(workers)) == 2


def test_a_dataset_gives_paths_and_a_second_run_starts_nothing(
    two_cores: ModuleType, net: Path, photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dataset:
        def iter_rows(self) -> Iterator[dict[str, Any]]:
            return iter([{"file": str(path)} for path in sources])

    sources = write_pictures(tmp_path / "in", photo, 3)
    options: dict[str, Any] = {"model": net, "column": "file", "format": "webp", "scale": 3}
    options["name"] = "{stem}-{model}-{scale}"
    rows = realesrgan_vk.ray.upscale_dataset(Dataset(), tmp_path / "out", **options)
    assert [Path(row["target"]).name for row in rows] == [f"00{i}-net-3.webp" for i in range(3)]
    assert [(row["width"], row["height"]) for row in rows] == [(48, 36), (51, 39), (54, 42)]

    def refuse(address: str | None) -> None:
        raise AssertionError("a cluster is joined")

    monkeypatch.setattr(cluster, "connected", refuse)
    again = realesrgan_vk.ray.upscale_dataset(Dataset(), tmp_path / "out", **options)
    assert [row["status"] for row in again] == ["skipped"] * 3
    with pytest.raises(ValueError, match="no column 'path', but 'file'"):
        realesrgan_vk.ray.upscale_dataset(Dataset(), tmp_path / "out", model=net)


def test_rows_are_urls(two_cores: ModuleType, net: Path, photo: Photo, tmp_path: Path) -> None:
    remote_stores.require("fsspec", "aiohttp")
    sources = write_pictures(tmp_path / "in", photo, 3)
    with remote_stores.web_server(tmp_path / "in") as address:
        urls = [f"{address}/{path.name}" for path in sources]
        rows = realesrgan_vk.ray.upscale_dataset(
            [*urls, f"{address}/none.png"], tmp_path / "out", model=net, workers=1
        )
    assert [row["source"] for row in rows[:3]] == urls
    assert [row["status"] for row in rows] == ["done"] * 3 + ["failed"]
    assert "none.png cannot be read" in rows[3]["error"]
    run_here("upscale", *sources, "-o", f"{tmp_path / 'plain'}/", "-m", net, "-d", "cpu")
    assert contents(tmp_path / "out") == contents(tmp_path / "plain")


def other_process(monkeypatch: pytest.MonkeyPatch, make: Callable[[type], type]) -> None:
    """Workers of a class of the test's own, which Ray sends to them whole."""
    made = make(pictures._Process)
    monkeypatch.setattr(pictures.RayBatch, "_process", lambda _: made)


def test_a_picture_that_ends_its_workers_fails_alone(
    two_cores: ModuleType, net: Path, photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(base: type[pictures._Process]) -> type:
        class Deadly(base):  # type: ignore[misc, valid-type]  # a class that is an argument
            def exchange(self, jobs: list[Message]) -> list[tuple[int, pictures._Result]]:
                if any(source.endswith("002.png") for _, (source, _) in jobs):
                    os._exit(1)
                return base.exchange(self, jobs)

        return Deadly

    other_process(monkeypatch, make)
    sources = write_pictures(tmp_path / "in", photo, 8)
    rows = realesrgan_vk.ray.upscale_dataset(sources, tmp_path / "out", model=net, workers=2)
    assert [row["status"] for row in rows] == ["done"] * 2 + ["failed"] + ["done"] * 5
    assert "its worker ended 3 times" in rows[2]["error"]


def test_a_device_that_fails_gets_a_new_worker(
    two_cores: ModuleType, net: Path, photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = str(tmp_path / "failed once")

    def make(base: type[pictures._Process]) -> type:
        class Lost(base):  # type: ignore[misc, valid-type]  # a class that is an argument
            def exchange(self, jobs: list[Message]) -> list[tuple[int, pictures._Result]]:
                lost = [number for number, (source, _) in jobs if source.endswith("001.png")]
                if not lost or os.path.exists(marker):  # noqa: PTH110
                    return base.exchange(self, jobs)
                with open(marker, "w") as file:  # noqa: PTH123
                    file.write(str(os.getpid()))
                from realesrgan_vk.batch.ray import _Result  # noqa: PLC0415

                failed = _Result("failed", "upscale", "the device was lost", by_device=True)
                others = base.exchange(self, [job for job in jobs if job[0] not in lost])
                return [*others, (lost[0], failed)]

        return Lost

    other_process(monkeypatch, make)
    sources = write_pictures(tmp_path / "in", photo, 4)
    rows = realesrgan_vk.ray.upscale_dataset(sources, tmp_path / "out", model=net, workers=1)
    assert [row["status"] for row in rows] == ["done"] * 4
    assert rows[1]["worker"].rpartition(":")[2] != Path(marker).read_text()


@pytest.mark.parametrize("how", ["raises", "ends"])
def test_workers_that_cannot_load_end_the_run(  # noqa: PLR0917 - fixtures
    two_cores: ModuleType,
    net: Path,
    photo: Photo,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    def make(base: type[pictures._Process]) -> type:
        class Unable(base):  # type: ignore[misc, valid-type]  # a class that is an argument
            def load(self) -> None:
                if how == "raises":
                    raise DeviceError("the device has no memory")
                os._exit(1)

        return Unable

    other_process(monkeypatch, make)
    sources = write_pictures(tmp_path / "in", photo, 2)
    words = "has no memory" if how == "raises" else "workers end while they load"
    with pytest.raises(DeviceError, match=words):
        realesrgan_vk.ray.upscale_dataset(sources, tmp_path / "out", model=net)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"model": "no-such-network"}, ModelError, "no-such-network"),
        ({"format": "doc"}, ValueError, "'doc' is not one of"),
        ({"workers": 0}, ValueError, "workers is .*; it must be"),
        ({"gpus_per_worker": 1.5}, ValueError, "gpus_per_worker is .*; it must be"),
        ({"cpus_per_worker": 0}, ValueError, "cpus_per_worker is .*; it must be"),
        ({"scale": 2, "width": 9}, ValueError, "only one of"),
    ],
)
def test_arguments_are_checked_before_anything_starts(
    options: dict[str, Any],
    error: type[Exception],
    words: str,
    photo: Photo,
    tmp_path: Path,
) -> None:
    ray_cluster.require()
    sources = write_pictures(tmp_path / "in", photo, 1)
    with pytest.raises(error, match=words):
        realesrgan_vk.ray.upscale_dataset(sources, tmp_path / "out", **options)


def test_the_command_starts_a_cluster_of_its_own(net: Path, photo: Photo, tmp_path: Path) -> None:
    ray_cluster.require()
    sources, out, plain = (tmp_path / name for name in ("in", "out", "plain"))
    broken = with_three_broken(write_pictures(sources, photo, 12))
    command = [*COMMAND, "upscale", str(sources), "-m", str(net)]
    options = ["-o", str(out), "--json", "--skip-existing", "--ray-workers", "2", "--ray=local"]
    done = subprocess.run(
        [*command, *options], capture_output=True, text=True, check=False, timeout=SECONDS
    )
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1, done.stderr
    assert events[0] == {
        "event": "start", "pictures": 12, "model": "net", "scale": 2, "device": "ray",
    }  # fmt: skip
    hashes = {
        Path(event["target"]).name: event["sha256"] for event in events if event["event"] == "done"
    }
    failed = {Path(event["source"]).name for event in events if event["event"] == "failed"}
    assert failed == broken
    assert run_here("upscale", sources, "-o", plain, "-m", net, "-d", "cpu").returncode == 1
    assert contents(out) == contents(plain)
    assert {
        name: hashlib.sha256(data).hexdigest() for name, data in contents(out).items()
    } == hashes
    assert {key: events[-1][key] for key in ("event", "done", "failed", "skipped")} == {
        "event": "end", "done": 9, "failed": 3, "skipped": 0,
    }  # fmt: skip


def test_an_interrupted_command_leaves_whole_files(net: Path, photo: Photo, tmp_path: Path) -> None:
    ray_cluster.require()
    sources, out = tmp_path / "in", tmp_path / "out"
    write_pictures(sources, photo, 60)
    command = [*COMMAND, "upscale", str(sources), "-m", str(net), "-o", str(out), "--json"]
    with subprocess.Popen(
        [*command, "--scale", "40", "--ray-workers", "1", "--ray=local"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if json.loads(line)["event"] == "done":
                process.send_signal(signal.SIGINT)
                break
        events = [json.loads(line) for line in process.stdout]
        assert process.wait(SECONDS) == 130
    assert events[-1]["event"] == "interrupted"
    written = sorted(out.iterdir())
    assert 1 <= len(written) < 60
    for path in written:
        with Image.open(path) as image:
            image.load()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--ray", "in.png"], "'in.png' is no address"),
        (["in.png", "--ray-workers", "2"], "--ray-workers is for --ray"),
        (["-", "-o", "x.png", "--ray"], "--ray cannot use streams"),
        (["in.png", "-d", "cpu", "-d", "0", "--ray"], "give one --device"),
    ],
)
def test_the_command_refuses(
    words: list[str], told: str, photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray_cluster.require()
    monkeypatch.chdir(tmp_path)
    Image.fromarray(photo(12, 10)).save("in.png")
    done = run_here("upscale", *words)
    assert done.returncode == 2
    assert told in " ".join(done.stderr.split())


def test_without_ray_the_package_is_named(photo: Photo, tmp_path: Path) -> None:
    Image.fromarray(photo(12, 10)).save(tmp_path / "in.png")
    script = (
        "import sys; sys.modules['ray'] = None; from realesrgan_vk.cli.commands import main; main()"
    )
    words = ["upscale", str(tmp_path / "in.png"), "--ray"]
    done = subprocess.run(
        [sys.executable, "-c", script, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 2
    assert "install the package ray" in " ".join(done.stderr.split())


@dataclass
class Gpu:
    index: int
    uuid: str
    pci_address: str
    type: str = "discrete"
    name: str = "GPU"


A, B, C = (f"{digit * 8}-0000-4000-8000-{digit * 12}" for digit in "abc")
# Vulkan's order is not that of the PCI addresses, and there is a software driver.
GPUS = [
    Gpu(0, B, "0000:81:00.0"),
    Gpu(1, "1" * 32, "", "cpu"),
    Gpu(2, A, "0000:01:00.0"),
    Gpu(3, C, "0001:01:00.0"),
]


@pytest.mark.parametrize(
    ("accelerator", "uuids", "found"),
    [
        (f"GPU-{C}", [], C),
        ("GPU-cccc", [], C),
        ("0", [], A),
        ("2", [], C),
        ("0", [f"GPU-{C}", f"GPU-{B}"], C),
        ("1", [f"GPU-{C}", f"GPU-{B}"], B),
    ],
)
def test_rays_gpus_are_found_by_uuid(accelerator: str, uuids: list[str], found: str) -> None:
    assert cluster.vulkan_identity(accelerator, GPUS, uuids) == found


@pytest.mark.parametrize(
    ("accelerator", "uuids"),
    [("3", []), ("2", [f"GPU-{A}"]), ("MIG-1234", []), ("GPU-", []), ("0", ["GPU-9999"])],
)
def test_gpus_that_vulkan_does_not_have(accelerator: str, uuids: list[str]) -> None:
    with pytest.raises(DeviceError, match=f"GPU {accelerator} of Ray is no Vulkan device"):
        cluster.vulkan_identity(accelerator, GPUS, uuids)


@pytest.mark.parametrize(
    ("script", "uuids"),
    [
        ("echo '1, GPU-b'; echo '0, GPU-a'", ["GPU-a", "GPU-b"]),
        ("echo 'No devices were found'", []),
        ("exit 9", []),
    ],
)
def test_nvidias_program_tells_uuids(
    script: str, uuids: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert cluster._nvidia_uuids() == uuids


def test_no_program_of_nvidia(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cluster._nvidia_uuids() == []
