"""The page's files: words in both languages, and nothing that its policy forbids."""

import json
import re
from pathlib import Path

import realesrgan_vk

STATIC = Path(realesrgan_vk.__file__).parent / "page" / "static"
LATER = ("compare", "gestures", "layers", "lens", "trial")
HTML = ("index.html", "login.html")


def _words(language: str) -> dict[str, str]:
    words: dict[str, str] = json.loads((STATIC / f"{language}.json").read_text("utf-8"))
    return words


def test_both_languages_have_the_same_words() -> None:
    english, chinese = _words("en"), _words("zh")
    assert list(english) == list(chinese)
    for key, text in english.items():
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", chinese[key])), key


def test_every_word_is_there_and_used() -> None:
    scripts = "".join(path.read_text("utf-8") for path in STATIC.glob("*.js"))
    page = (STATIC / "index.html").read_text("utf-8")
    used = set(re.findall(r'data-(?:text|label)="([^"]+)"', page))
    used |= set(re.findall(r'\btext\(\s*"([^"]+)"', scripts))
    used |= set(re.findall(r'(?:text\([^)"`]*\? |: )"((?:run|state)\.\w+)"', scripts))
    words = set(_words("en"))
    assert used <= words
    prefixes = ("status.", "live.", "model.", "state.", "theme.", "codec.")
    made = {"after", "before", "seconds", "minutes", "hours", "compare", "cancel", "remove"}
    made |= {"compare.name", "cancel.name", "remove.name", "trial.running", "trial.done"}
    unused = {key for key in words - used - made if not key.startswith(prefixes)}
    assert unused == set()


def test_nothing_is_inline_and_nothing_comes_from_elsewhere() -> None:
    for name in HTML:
        page = (STATIC / name).read_text("utf-8")
        assert re.search(r"\son\w+=|<style|\sstyle=|javascript:", page) is None
        assert all(re.search(r"src=", tag) for tag in re.findall(r"<script[^>]*>", page))
    for path in STATIC.iterdir():
        if path.suffix == ".webp":
            continue
        text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text, path
        assert "https://" not in text, path


def test_all_of_it_is_small() -> None:
    """What the first paint needs, in both languages at once; dialogs are loaded when wanted."""
    wanted = {path for path in STATIC.iterdir() if path.stem not in LATER}
    assert sum(path.stat().st_size for path in wanted) < 90_000
    scripts = [path for path in wanted if path.suffix == ".js"]
    for path in scripts:
        assert not re.search(rf'from "\./(?:{"|".join(LATER)})\.js"', path.read_text("utf-8")), path
