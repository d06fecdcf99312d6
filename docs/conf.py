"""Sphinx configuration: `make docs` writes static pages into build/docs."""

import sys
from pathlib import Path

from sphinx.application import Sphinx

from realesrgan_vk import __version__

ROOT = Path(__file__).parents[1]
# The commands of these two are described from the checkout: they import PyTorch only when they run.
sys.path[:0] = [str(ROOT / "training"), str(ROOT / "tools" / "export")]

project = "realesrgan-vk"
author = "the authors of realesrgan-vk"
project_copyright = "the authors of realesrgan-vk; Real-ESRGAN: Xintao Wang and others"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click"]
default_role = "code"  # docstrings have names in single backticks
smartquotes = False  # it would make a dash of the two in --option
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
python_use_unqualified_type_names = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = "realesrgan-vk"
html_copy_source = False
html_show_sourcelink = False
html_static_path = ["static"]
html_css_files = ["site.css"]


def _escape(_: Sphinx, __: object, lines: list[str]) -> None:
    """A command's help is plain text: an asterisk in it begins no emphasis."""
    lines[:] = [line.replace("*", r"\*") for line in lines]


def setup(app: Sphinx) -> None:
    """Connect the hooks."""
    app.connect("sphinx-click-process-description", _escape)
