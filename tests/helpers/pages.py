"""Find and run the Python code of Markdown pages, in virtual time."""

from __future__ import annotations

import ast
import asyncio
import doctest
import inspect
import re
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from recoup.testing import VirtualClock, VirtualEventLoop, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FENCE = re.compile(
    r"^(?:<!-- not run: (?P<why>[^\n]*?) -->\n)?(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<code>.*?)^(?P=indent)```[ ]*$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """One fenced Python block.

    Attributes:
        line: The line of the page that its first line of code stands on.
        code: The code.
        why_not: The page's reason not to run it; "" if it runs.
    """

    line: int
    code: str
    why_not: str


def blocks(text: str) -> Iterator[Block]:
    """Find the ```python blocks of a page."""
    for found in _FENCE.finditer(text):
        if found["info"].strip() == "python":
            line = text.count("\n", 0, found.start("code")) + 1
            yield Block(line, inspect.cleandoc(found["code"]) + "\n", found["why"] or "")


def run_page(path: Path) -> int:
    """Run the blocks of a page in order, in one namespace and in virtual time.

    Returns:
        How many blocks ran.
    """
    names: dict[str, Any] = {"__name__": f"page_{path.stem}"}
    ran = 0
    with virtual_time() as loop:
        for block in blocks(path.read_text(encoding="utf-8")):
            if not block.why_not:
                _run_block(block, path, names, loop)
                ran += 1
    return ran


def _run_block(block: Block, path: Path, names: dict[str, Any], loop: asyncio.Runner) -> None:
    if block.code.startswith(">>>"):
        examples = doctest.DocTestParser().get_doctest(block.code, names, path.name, str(path), block.line - 1)
        run_examples(examples)
        names.update(examples.globs)
        return
    # Empty lines in front: a traceback names the line of the page.
    code = compile("\n" * (block.line - 1) + block.code, str(path), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if not code.co_flags & inspect.CO_COROUTINE:
        exec(code, names)  # noqa: S102 - our own pages
        return

    async def main() -> None:
        await eval(code, names)  # noqa: S307 - our own pages

    loop.run(main())


def run_examples(test: doctest.DocTest) -> None:
    """Run doctest examples and keep their names; raise an AssertionError with doctest's report if one fails."""
    report: list[str] = []
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    runner.run(test, out=report.append, clear_globs=False)
    assert not report, "".join(report)


class virtual_time(ExitStack):  # noqa: N801 - used like a function
    """Make `asyncio.run`, `time.sleep` and recoup's pauses cost nothing; gives a runner for coroutines."""

    def __enter__(self) -> Any:
        super().__enter__()
        clock = self.enter_context(VirtualClock())
        patch = self.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(asyncio, "run", run)
        patch.setattr(time, "sleep", clock.sleep)
        return self.enter_context(asyncio.Runner(loop_factory=VirtualEventLoop))
