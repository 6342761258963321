"""The code that the documentation shows works."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

from recoup import registry
from tests.helpers import pages

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
MODULES = sorted((ROOT / "src").rglob("*.py"))


def _named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture(autouse=True)
def _nobody_elses_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let examples list what they name themselves, as in a program of their own."""
    monkeypatch.setattr(registry, "_listed", {})


@pytest.mark.parametrize("path", PAGES, ids=_named)
def test_page_runs(path: Path) -> None:
    """Every Python block of a page runs, in order, and what it asserts holds."""
    pages.run_page(path)


@pytest.mark.parametrize("path", PAGES, ids=_named)
def test_no_block_escapes(path: Path) -> None:
    """Every Python fence is found: none is left out by its spelling, only by a reason on the line above."""
    text = path.read_text(encoding="utf-8")
    fences = [line for line in text.splitlines() if line.lstrip().lower().startswith(("```py", "~~~py", ":::py"))]
    assert len(fences) == len(list(pages.blocks(text)))


@pytest.mark.parametrize("path", MODULES, ids=_named)
def test_docstring_examples(path: Path) -> None:
    """Every example in a docstring gives what it says it gives."""
    source = path.read_text(encoding="utf-8")
    if ">>>" not in source:
        return
    name = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")
    module = importlib.import_module(name)
    tests = [test for test in doctest.DocTestFinder(exclude_empty=True).find(module) if test.examples]
    assert tests, "there is a >>> that doctest does not find"
    for test in tests:
        with pages.virtual_time():
            pages.run_examples(test)
