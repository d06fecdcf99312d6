"""The C++ sources keep their layout: few parts, and includes that go one way."""

import re
from pathlib import Path

SOURCES = Path(__file__).parent.parent / "cpp" / "src"
PUBLIC = SOURCES.parent / "include"
ORDER = (
    "base",
    "engine.hpp",
    "image",
    "model",
    "program",
    "plan",
    "stream",
    "cpu",
    "vulkan",
    "tiles",
    "upscaler.cpp",
    "c_api.cpp",
)
"""What lies at the top of cpp/src; each part includes only itself and those before it."""
VULKAN_ORDER = ("instance", "cache", "device", "operations", "tuning", "")
"""The same for the folders of cpp/src/vulkan; the last one stands for the files beside them."""
MOST_PARTS = 12
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)


def includes() -> list[tuple[Path, Path]]:
    """Each source file with each of our own that it includes, by their paths from cpp/src."""
    found = []
    for file in sorted([*SOURCES.rglob("*.cpp"), *SOURCES.rglob("*.hpp")]):
        for name in INCLUDE.findall(file.read_text()):
            if not (PUBLIC / name).is_file():
                found.append((file.relative_to(SOURCES), Path(name)))
    return found


def test_the_top_of_the_sources_is_the_declared_parts() -> None:
    """A new file or folder at the top needs its place in the order."""
    assert sorted(entry.name for entry in SOURCES.iterdir()) == sorted(ORDER)
    assert len(ORDER) <= MOST_PARTS


def test_every_include_is_a_path_from_the_source_root() -> None:
    """No include is relative to the including file's folder."""
    assert [f"{file}: {name}" for file, name in includes() if not (SOURCES / name).is_file()] == []


def test_includes_go_downwards() -> None:
    """No part includes one that comes after it, so there is no cycle either."""

    def wrong(order: tuple[str, ...], file: str, included: str) -> bool:
        return order.index(included) > order.index(file)

    upwards = []
    for file, name in includes():
        vulkan = file.parts[0] == name.parts[0] == "vulkan"
        folders = (
            [path.parts[1] if len(path.parts) > 2 else "" for path in (file, name)]
            if vulkan
            else []
        )
        if wrong(ORDER, file.parts[0], name.parts[0]) or (vulkan and wrong(VULKAN_ORDER, *folders)):
            upwards.append(f"{file} includes {name}")
    assert upwards == []
