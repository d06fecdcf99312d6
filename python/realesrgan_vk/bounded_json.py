"""JSON files of unknown origin, read within limits of size and nesting."""

import json
import re
from pathlib import Path
from typing import Any

MAX_BYTES = 4 << 20
MAX_DEPTH = 32
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)
"""A string (the last one may lack its end, so that no part is scanned twice), or a bracket."""


def read_json(path: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    """What a JSON file holds.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is longer than 4 MiB, nested more than 32 deep, or no JSON in UTF-8.
    """
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"it is longer than {MAX_BYTES} bytes")
    text = content.decode("utf-8-sig")
    if _depth(text) > MAX_DEPTH:
        raise ValueError(f"it is nested more than {MAX_DEPTH} deep")
    return json.loads(text)


def _depth(text: str) -> int:
    """The deepest nesting of lists and objects; measured first, as the parser recurses."""
    depth = deepest = 0
    for token in _TOKEN.finditer(text):
        if token[0] in ("[", "{"):
            depth += 1
            deepest = max(deepest, depth)
        elif token[0] in ("]", "}"):
            depth -= 1
    return deepest
