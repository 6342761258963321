"""How the documentation is built: `make docs`. No network is needed, and every warning is an error."""

from __future__ import annotations

import recoup

project = "recoup"
author = "recoup contributors"
project_copyright = f"2026 {author}"
version = release = recoup.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
needs_sphinx = "8.1"

html_theme = "furo"
html_title = "recoup"
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}

# Pages are Markdown. No dollarmath: "$" is a sign like any other here.
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# Docstrings are Google style; what stands in single backticks is code.
default_role = "code"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
autodoc_member_order = "groupwise"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_preserve_defaults = True
autodoc_class_signature = "mixed"

# A glob of the index that has no page yet is no fault.
suppress_warnings = ["toc.empty_glob"]
