"""How long things may be. Each checker gives complaints, one text each."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.laws.source import Module

FILE_LINES, FUNCTION_LINES = 300, 40


def long_file(module: Module) -> Iterator[str]:
    """A file has at most 300 lines: whoever opens it can know it whole."""
    lines = len(module.text.splitlines())
    if lines > FILE_LINES:
        yield f"{module.name} has {lines} lines, more than {FILE_LINES}: give a part that has a name a file of its own"


def long_functions(module: Module) -> Iterator[str]:
    """A function has at most 40 lines, its docstring not counted."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = _lines(node) - (_lines(node.body[0]) if ast.get_docstring(node) is not None else 0)
            if lines > FUNCTION_LINES:
                yield f"{module.name}, {node.name}: {lines} lines, more than {FUNCTION_LINES}: give its steps names"


def _lines(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1
