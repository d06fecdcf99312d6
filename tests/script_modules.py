"""Programs that belong to no package, loaded as modules."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

TOOLS = Path(__file__).parents[1] / "tools"


def load(path: Path, name: str | None = None) -> ModuleType:
    """Load a file as a module of this name, by default that of the file without its extension."""
    name = name or path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # data classes look their module up
    spec.loader.exec_module(module)
    return module


def load_tool(name: str) -> Iterator[ModuleType]:
    """A file of the folder `tools`, for a fixture: it can import the others until it ends."""
    sys.path.insert(0, str(TOOLS))
    yield load(TOOLS / f"{name}.py")
    sys.path.remove(str(TOOLS))
