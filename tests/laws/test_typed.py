"""Every public name stands in `tests/typing`, where the type checkers hold what they know of it."""

from __future__ import annotations

import ast
from importlib import import_module

import pytest

from tests.laws.source import ROOT


def used() -> set[str]:
    """Give the names that the files of `tests/typing` use, imports apart."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "tests" / "typing").glob("*_typing.py")]
    return {node.id for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Name)}


@pytest.mark.parametrize("module", ["recoup", "recoup.typing"])
def test_every_public_name_is_typed(module: str) -> None:
    """G6: no public name is without an `assert_type` or an annotation that a checker must agree with."""
    assert sorted(set(import_module(module).__all__) - used()) == []


def test_an_import_is_no_use() -> None:
    """A name that is only imported does not count: nothing would be asserted of it."""
    assert "assert_type" in used()
    assert "AsyncGenerator" in used()
    assert "annotations" not in used()
