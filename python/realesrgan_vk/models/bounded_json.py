"""JSON files of unknown origin, read within limits of size and nesting."""

import json
import re
from pathlib import Path
from typing import Any, BinaryIO

MAX_BYTES = 2 << 20
MAX_DEPTH = 32
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)
"""A string (the last one may lack its end, so that no part is scanned twice), or a bracket."""


def read_json(path: Path, max_bytes: int = MAX_BYTES) -> Any:  # noqa: ANN401 - whatever it holds
    """Parse a JSON file.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is longer than that, nested more than 32 deep, or no JSON in UTF-8.
    """
    with path.open("rb") as file:
        return load_json(file, max_bytes)


def load_json(file: BinaryIO, max_bytes: int = MAX_BYTES) -> Any:  # noqa: ANN401 - as above
    """Parse an open JSON file.

    Raises:
        OSError, ValueError: As `read_json`.
    """
    content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise ValueError(f"it is longer than {max_bytes} bytes")
    text = content.decode("utf-8-sig")
    if _is_too_deep(text):
        raise ValueError(f"it is nested more than {MAX_DEPTH} deep")
    return json.loads(text)


def _is_too_deep(text: str) -> bool:
    """Whether lists and objects are nested beyond the limit, checked before the parser recurses."""
    depth = 0
    for token in _TOKEN.finditer(text):
        if token[0] in ("[", "{"):
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif token[0] in ("]", "}"):
            depth -= 1
    return False
