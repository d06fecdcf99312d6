"""Fetch one source distribution through the package index that pip is configured for.

`pip download` cannot do it for ncnn (it builds metadata, and ncnn's version is computed from the
date), so the `unearth` package finds and downloads the file; this script tells it pip's settings.

Usage: fetch_sdist.py NAME VERSION DESTINATION
"""

from __future__ import annotations

import configparser
import os
import sys
import tempfile
from pathlib import Path


def config_files() -> list[Path]:
    """The files pip reads, lowest precedence first."""
    home = Path.home()
    xdg = os.environ.get("XDG_CONFIG_HOME", str(home / ".config"))
    files = [
        Path("/etc/pip.conf"),
        home / ".pip" / "pip.conf",
        home / "pip" / "pip.ini",
        Path(xdg) / "pip" / "pip.conf",
        Path(sys.prefix) / "pip.conf",
    ]
    if named := os.environ.get("PIP_CONFIG_FILE"):
        files.append(Path(named))
    return files


def setting(name: str) -> list[str]:
    """Values of one pip option: the environment beats the files, later files beat earlier ones."""
    from_environment = os.environ.get("PIP_" + name.upper().replace("-", "_"))
    if from_environment is not None:
        return from_environment.split()
    values: list[str] = []
    for path in config_files():
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (OSError, configparser.Error):
            continue
        for section in ("global", "download"):
            if parser.has_option(section, name):
                values = parser.get(section, name).split()
    return values


def fetch(name: str, version: str, destination: Path) -> None:
    """Download NAME==VERSION's source archive and put it at `destination`, whole, by rename."""
    from unearth import PackageFinder  # noqa: PLC0415  (its absence is reported by main)

    # With no index configured unearth asks the public one, as pip does; extra places come after.
    finder = PackageFinder(
        index_urls=setting("index-url"),
        trusted_hosts=setting("trusted-host"),
        no_binary=[name],
    )
    for url in setting("extra-index-url"):
        finder.add_index_url(url)
    for place in setting("find-links"):
        if "://" in place or Path(place).exists():  # pip only warns of a missing folder
            finder.add_find_links(place)
    best = finder.find_best_match(f"{name}=={version}").best
    if best is None:
        raise LookupError("the package index has no source archive of it")
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=destination.parent) as folder:
        archive = finder.download(best.link, folder)
        Path(archive).replace(destination)


def main() -> int:
    """Run from the command line; one line on stderr when it fails."""
    name, version, destination = sys.argv[1:]
    try:
        fetch(name, version, Path(destination))
    except ImportError:
        sys.stderr.write("the Python package 'unearth' is missing: pip install unearth. ")
        return 1
    except Exception as error:
        sys.stderr.write(f"cannot fetch {name} {version}: {error}. ")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
