"""Run Vulkan tests under Khronos' validation layers, and fail on anything the layers say.

    python tools/validation.py [--runner PROGRAM] BUILD_FOLDER [PYTEST_ARGUMENT ...]

BUILD_FOLDER holds the C++ tests; the pytest arguments choose Python tests. Core and synchronization
validation are on. First a program that does wrong on purpose has to be caught, and every program
has to report that the layers were active in it, so silence means something.

Needs `vulkan-validationlayers` (Debian's name); without it, or without a Vulkan device, the lane is
skipped with the reason. PROGRAM runs another program on another driver with layers of its own, as
`tools/newer-lavapipe` does: layers that know cooperative matrices check the kernels that use them.
"""

import argparse
import contextlib
import itertools
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

LAYER = "VK_LAYER_KHRONOS_validation"
CPP_TESTS = (
    "devices",
    "vulkan_caches",
    "vulkan_downloads",
    "vulkan_kept",
    "vulkan_kernels",
    "vulkan_limits",
    "vulkan_operations",
    "vulkan_pairs",
    "vulkan_planes",
    "vulkan_profile",
    "vulkan_rings",
    "vulkan_session",
    "vulkan_store",
    "vulkan_tiles",
    "vulkan_turns",
)
"""Those that open a device."""
MESSAGE = re.compile(r"^.*\bValidation (?P<kind>[A-Z][A-Za-z ]+): \[ (?P<id>\S+) \]", re.MULTILINE)
ACTIVE = re.compile(r"validation.*synchronization", re.IGNORECASE | re.DOTALL)
"""In the message, of old and new layers, that lists what is enabled."""
ABOUT_SETTINGS = "VALIDATION-SETTINGS"
"""New layers call old settings old; not a word about the program."""
SKIPPED = 77
DRIVER_VARIABLES = ("VK_DRIVER_FILES", "VK_ICD_FILENAMES")
"""Where one is set, ncnn opens the driver itself, past the loader and so past the layers."""


@dataclass
class Report:
    """What the layers said while one program ran."""

    active: bool = False
    complaints: list[str] = field(default_factory=list)


def layer_folder() -> Path | None:
    """The folder with the layer's manifest, as Vulkan's loader finds it."""
    shared = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    folders = [Path("/etc/vulkan/explicit_layer.d")]
    folders += [Path(base) / "vulkan" / "explicit_layer.d" for base in shared.split(":")]
    folders += [Path(part) for part in os.environ.get("VK_LAYER_PATH", "").split(":") if part]
    wanted = "VkLayer_khronos_validation.json"
    return next((folder for folder in folders if (folder / wanted).is_file()), None)


def read_report(text: str) -> Report:
    """Sort the layers' log into the sign of life and the complaints."""
    report = Report()
    starts = [found.start() for found in MESSAGE.finditer(text)]
    for start, end in itertools.pairwise([*starts, len(text)]):
        message = text[start:end].strip()
        found = MESSAGE.match(message)
        if not found or found["id"] == ABOUT_SETTINGS:
            continue
        if found["kind"] != "Information":
            report.complaints.append(message)
        elif ACTIVE.search(message):
            report.active = True
    return report


@contextlib.contextmanager
def layers(folder: Path, log: list[bytes]) -> Iterator[dict[str, str]]:
    """The environment that puts the layers under a program, and collects what they write.

    They write into a pipe with a name: a file would be emptied by each process that a test starts.
    """
    pipe = folder / "messages"
    os.mkfifo(pipe)
    settings = folder / "vk_layer_settings.txt"
    values = {
        "debug_action": "VK_DBG_LAYER_ACTION_LOG_MSG",
        "report_flags": "error,warn,perf,info",
        "log_filename": str(pipe),
        "duplicate_message_limit": "0",
        "validate_sync": "true",  # and for layers before 1.3.270:
        "enables": "VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT",
    }
    settings.write_text("".join(f"khronos_validation.{k} = {v}\n" for k, v in values.items()))
    environment = {k: v for k, v in os.environ.items() if k not in DRIVER_VARIABLES}
    environment |= {"VK_INSTANCE_LAYERS": LAYER, "VK_LAYER_SETTINGS_PATH": str(settings)}
    # Open for writing, too: so the end comes only when this end is closed.
    keep = os.open(pipe, os.O_RDWR)
    reader = os.open(pipe, os.O_RDONLY)

    def collect() -> None:
        while block := os.read(reader, 1 << 16):
            log.append(block)

    thread = threading.Thread(target=collect)
    thread.start()
    try:
        yield environment
    finally:
        os.close(keep)
        thread.join()
        os.close(reader)


def run(command: list[str], extra: dict[str, str] | None = None) -> tuple[int, Report]:
    """Run a program under the layers; its exit code and what they said."""
    log: list[bytes] = []
    with tempfile.TemporaryDirectory() as name, layers(Path(name), log) as environment:
        done = subprocess.run(command, check=False, env=environment | (extra or {}))
    return done.returncode, read_report(b"".join(log).decode("utf-8", "replace"))


def judge(name: str, code: int, report: Report) -> bool:
    """Print what is wrong with one program's run; whether nothing is."""
    for complaint in report.complaints:
        print(f"{name}: {complaint}")
    if code != 0:
        print(f"{name}: failed with exit code {code}")
    if not report.active:
        print(f"{name}: the layers were not active in it")
    sound = code == 0 and report.active and not report.complaints
    print(f"{name}: {'the layers were active and silent' if sound else 'FAILED'}", flush=True)
    return sound


def main() -> int:
    """Run the lane; 0 when everything was silent, or skipped with the reason."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("build", type=Path, help="folder of a build with the C++ tests")
    parser.add_argument(
        "--runner",
        type=lambda name: [str(Path(name).resolve())],
        default=[],
        help="program that runs another one on another driver, with layers of its own",
    )
    parser.add_argument("pytest", nargs="*", help="arguments for pytest: Python tests to run")
    arguments = parser.parse_args()
    programs = (arguments.build / "cpp" / "tests").resolve()
    if not arguments.runner and layer_folder() is None:
        print("skipped: no validation layers here (Debian: vulkan-validationlayers)")
        return 0
    runner = arguments.runner
    code, report = run([*runner, str(programs / "provoke_validation")])
    if code == SKIPPED:
        print("skipped: no Vulkan device on this machine")
        return 0
    if runner and code == 0 and not report.active:
        print(f"skipped: {runner[0]} runs programs without validation layers")
        return 0
    if code or not report.active or not any("SYNC-HAZARD" in said for said in report.complaints):
        print(f"a hazard made on purpose was not reported (exit code {code}): {report}")
        return 1
    sound = [judge(name, *run([*runner, str(programs / f"test_{name}")])) for name in CPP_TESTS]
    if arguments.pytest:
        # A runner needs a real executable: the interpreter behind a virtual environment's.
        python = os.path.realpath(sys.executable) if runner else sys.executable
        command = [*runner, python, "-m", "pytest", *arguments.pytest]
        # What tests would run on a second driver by themselves is what --runner is for.
        extra = {"REALESRGAN_VK_SOFTGPU": ""}
        if runner:
            extra["PYTHONPATH"] = os.pathsep.join(sys.path[1:])
        sound.append(judge("pytest", *run(command, extra)))
    return 0 if all(sound) else 1


if __name__ == "__main__":
    sys.exit(main())
