"""Files and functions are short enough to be known whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.laws.sizes import long_file, long_functions
from tests.laws.source import Module, modules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Law = Callable[[Module], Iterator[str]]


@pytest.mark.parametrize("law", [long_file, long_functions], ids=lambda law: law.__name__)
def test_law(law: Law) -> None:
    """A file has at most 300 lines, a function at most 40 besides its docstring."""
    found = list(modules())
    assert len(found) > 20
    assert not [complaint for module in found for complaint in law(module)]


@pytest.mark.parametrize(("lines", "allowed"), [(300, True), (301, False)])
def test_files_can_be_too_long(lines: int, allowed: bool) -> None:
    """The line after the last allowed one is noticed."""
    assert (not list(long_file(Module("recoup.sample", "pass\n" * lines)))) is allowed


@pytest.mark.parametrize("head", ["def f():\n", "async def f():\n", "def f(\n):\n", "class A:\n def f():\n"])
@pytest.mark.parametrize("docstring", ["", '  """One.\n\n  Two.\n  """\n'])
@pytest.mark.parametrize(("lines", "allowed"), [(40, True), (41, False)])
def test_functions_can_be_too_long(head: str, docstring: str, lines: int, allowed: bool) -> None:
    """The signature counts, the docstring does not; methods and async functions count like others."""
    body = "  pass\n" * (lines - len(head.removeprefix("class A:\n").splitlines()))
    assert (not list(long_functions(Module("recoup.sample", head + docstring + body)))) is allowed
