"""No sentence of the project tells people to install what is not on a package index."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("python", "training", "tools", "docs", "benchmarks", "cmake", "models")
OURS = re.compile(r"pip install[^\n`#]*?[ '\"]realesrgan-(vk|train|export)\b")


def test_our_packages_are_installed_from_a_checkout_only() -> None:
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    files += ROOT.glob("*.md")
    texts = [path for path in files if path.suffix in (".py", ".md", ".toml", ".cmake")]
    assert len(texts) > 200
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in texts
        for match in OURS.finditer(re.sub(r'"\n\s*f?"', "", path.read_text("utf-8")))
    ]
    assert not found
