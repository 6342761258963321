"""Runs the code blocks of the specification as they stand in it, imported from recoup."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from pathlib import Path
from types import CodeType
from typing import Any

DOCUMENT = Path(__file__).with_name("error-recovery.md")
MODULE = "dataknobs_fsm.patterns.error_recovery"


def blocks() -> list[str]:
    """Give the Python blocks of the document, in order."""
    return re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), flags=re.DOTALL)


def _compiled(number: int, mended: tuple[str, str] | None) -> CodeType:
    source = blocks()[number - 1].replace(f"from {MODULE} import", "from recoup import")
    if mended is not None:
        assert mended[0] in source, "the bug to mend is gone from the document"
        source = source.replace(*mended)
    tree = compile(source, f"block {number}", "exec", flags=ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    code: CodeType = compile(tree, f"block {number}", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    return code


async def run_async(number: int, mended: tuple[str, str] | None = None, **names: Any) -> dict[str, Any]:
    """Run a block inside the running loop; give the names it leaves behind."""
    import recoup

    namespace = {"asyncio": asyncio, "__name__": f"block_{number}"}
    namespace.update({name: getattr(recoup, name) for name in recoup.__all__ if name[0].isupper()})
    namespace.update(names)
    result = eval(_compiled(number, mended), namespace)  # noqa: S307 - our own copy of the specification
    if inspect.iscoroutine(result):
        await result
    return namespace


def run(number: int, mended: tuple[str, str] | None = None, **names: Any) -> dict[str, Any]:
    """Run a block that needs no particular loop."""
    return asyncio.run(run_async(number, mended, **names))
