"""The page that follows one sample through a step names what exists, and quotes it as it is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import realesrgan_train

PACKAGE = Path(realesrgan_train.__file__).parent
PAGE = Path(__file__).parents[2] / "docs" / "training" / "one-step.md"


def _defined() -> set[str]:
    """Names of all classes, functions and methods of the package; methods as `Class.method`."""
    names: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef):
                methods = [item for item in node.body if isinstance(item, ast.FunctionDef)]
                names |= {node.name, *(f"{node.name}.{method.name}" for method in methods)}
            elif isinstance(node, ast.FunctionDef):
                names.add(node.name)
    return names


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text("utf-8")


def test_every_named_class_and_function_exists(page: str) -> None:
    prose = re.sub(r"```.*?```", "", page, flags=re.DOTALL)
    names = re.findall(r"`([A-Z]\w+(?:\.\w+)?|[a-z]\w*)`", prose)
    assert len(names) > 40
    fields = {"gt", "gt_usm", "lq"}
    assert set(names) - _defined() - fields == {"realesrgan_train"}


def test_every_named_file_exists(page: str) -> None:
    files = re.findall(r"(?:`|# )(\w+/\w+\.py)\b", page)
    assert len(files) > 10
    assert [name for name in files if not (PACKAGE / name).is_file()] == []


def test_every_excerpt_is_in_its_file(page: str) -> None:
    excerpts = re.findall(r"```text\n# (\S+)\n(.*?)```", page, flags=re.DOTALL)
    assert len(excerpts) == page.count("```text")
    for name, code in excerpts:
        assert code in (PACKAGE / name).read_text("utf-8"), (name, code)
