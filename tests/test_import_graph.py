"""Which parts of the package may import which, and that none import each other in a circle."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "python" / "realesrgan_vk"
MOST_AT_THE_TOP = 18
# A part may import itself and those before it; the longest name that fits is a module's part.
ORDER = [
    *("_core", "errors", "checks", "options", "devices", "imaging", "models"),
    *(f"image_io.{name}" for name in ("urls", "streams", "limits", "formats", "foreign")),
    *(f"image_io.{name}" for name in ("atomic", "containers", "metadata", "codecs")),
    *("image_io", "faces", "processing", "upscaler", "batch", "video", "page"),
    *("cli", "__main__", "__init__"),
]


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts if len(parts) == 1 or parts[-1] != "__init__" else parts[:-1])


def imports_of(path: Path, modules: set[str]) -> set[str]:
    """Every module of the package that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("realesrgan_vk"):
            base = (node.module or "").removeprefix("realesrgan_vk").removeprefix(".")
            for alias in node.names:
                inner = f"{base}.{alias.name}".removeprefix(".")
                found.add(inner if inner in modules else base or "__init__")
        assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path}: a relative import"
    return found


def graph() -> dict[str, set[str]]:
    files = {name_of(path): path for path in PACKAGE.rglob("*.py*") if path.suffix != ".pyc"}
    return {name: imports_of(path, set(files)) for name, path in files.items()}


def place(module: str) -> int:
    fitting = [part for part in ORDER if f"{module}.".startswith(f"{part}.")]
    return ORDER.index(max(fitting, key=len))


def test_the_top_of_the_package_is_small() -> None:
    top = [path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"]
    assert len(top) <= MOST_AT_THE_TOP, sorted(top)


def test_no_part_imports_one_above_it() -> None:
    upward = [
        f"{name} imports {other}"
        for name, others in graph().items()
        for other in others
        if place(other) > place(name)
    ]
    assert not upward


def test_no_modules_import_each_other() -> None:
    TopologicalSorter(graph()).prepare()  # raises CycleError, which names the modules
