"""Settings of the documentation site: `make docs` builds it without a network."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import _docstrings
import _pictures
import _tables
from _gallery import plain_figures
from _picture_directive import Picture

import fundenv

project = "fundenv"
author = "fundenv contributors"
copyright = author
version = release = fundenv.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_gallery.gen_gallery"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build", "_generated", "gallery_scripts", "gallery/*.py", "gallery/*.ipynb"]
myst_enable_extensions = ["attrs_block", "attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 4
suppress_warnings = ["config.cache"]  # sphinx-gallery's settings hold functions
nitpicky = False  # a missing page or anchor is a warning all the same

html_theme = "furo"
html_title = "fundenv"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
pygments_style = "default"
pygments_dark_style = "monokai"

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the signature shows them as they stand in the code
autodoc_default_options = {"members": True, "show-inheritance": False}
autodoc_preserve_defaults = True
autodoc_mock_imports = ["ray"]

sphinx_gallery_conf = {
    "examples_dirs": "gallery_scripts",
    "gallery_dirs": "gallery",
    "filename_pattern": r"plot_",
    "within_subsection_order": "FileNameSortKey",
    "reset_modules": (plain_figures,),
    "image_srcset": ["2x"],
    "capture_repr": (),  # what a script prints is shown, not the value of its last line
    "download_all_examples": False,
    "show_signature": False,
    "show_memory": False,
    "min_reported_time": 3600,
    "write_computation_times": False,
    "remove_config_comments": True,
    "abort_on_example_error": True,
    "plot_gallery": "True",
}


def _generate(app: Any) -> None:
    out = HERE / "_generated"
    _tables.write_all(out)
    _pictures.draw_all(out / "pictures")


def setup(app: Any) -> dict[str, Any]:
    """Connect what the pages are made of: tables from the code, pictures, plain docstrings."""
    app.connect("builder-inited", _generate)
    app.connect("autodoc-process-docstring", _docstrings.to_rst)
    app.add_directive("picture", Picture)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
