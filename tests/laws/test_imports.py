"""Who imports whom (house.md, "Who may import whom")."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import pytest

from tests.laws.imports import directions, imports, seam, third_parties
from tests.laws.source import Module, modules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.laws.imports import Import

    Law = Callable[[Iterable[Import]], Iterator[str]]

FOUND = [each for module in modules() for each in imports(module)]


@pytest.mark.parametrize("law", [directions, third_parties, seam], ids=lambda law: law.__name__)
def test_law(law: Law) -> None:
    """Imports point downwards, third parties stay in their corner, and time comes through one seam (G12)."""
    assert len(FOUND) > 50
    assert not list(law(FOUND))


def sample(name: str, text: str) -> list[Import]:
    return list(imports(Module(name, textwrap.dedent(text))))


def test_imports_are_found() -> None:
    """Imports are found wherever they stand, and it is known whether they run."""
    found = sample(
        "recoup._core.sample",
        """
        import os, time
        from . import relative
        TYPE_CHECKING = False
        if TYPE_CHECKING:
            from recoup.errors import Refusal
        class Thing:
            async def method(self):
                try:
                    from recoup._core import clock
                except ImportError:
                    pass
        """,
    )
    assert [each[1:4] for each in found] == [
        ("os", False, False),
        ("time", False, False),
        ("None", False, False),
        ("recoup.errors.Refusal", False, True),
        ("recoup._core.clock", True, False),
    ]


@pytest.mark.parametrize(
    ("law", "module", "line", "allowed"),
    [
        (directions, "recoup._core.chain", "from recoup._core import rim", True),
        (directions, "recoup._core.chain", "from recoup.errors import Refusal", True),
        (directions, "recoup._core.chain", "from recoup.strategies import retry", False),
        (directions, "recoup._core.chain", "import recoup", False),
        (directions, "recoup._core.chain", "from recoup import retry", False),
        (directions, "recoup._core.chain", "from recoup.ext import trio", False),
        (directions, "recoup._core.chain", "def f():\n from recoup.ext import trio", True),
        (directions, "recoup.errors", "from recoup.typing import Seconds", False),
        (directions, "recoup.typing", "from recoup.errors import Refusal", True),
        (directions, "recoup.typing", "from recoup.events import Event", False),
        (directions, "recoup.typing", "if TYPE_CHECKING:\n from recoup.events import Event", True),
        (directions, "recoup.errors", "if TYPE_CHECKING:\n from recoup.events import Event", False),
        (directions, "recoup.strategies.retry.state", "from recoup.strategies.retry import config", True),
        (directions, "recoup.strategies.retry.state", "from recoup.strategies.cache import config", False),
        (directions, "recoup.strategies.retry.state", "from recoup.testing import clock", False),
        (directions, "recoup.strategies.retry.state", "def f():\n from recoup.workflow import workflow", False),
        (directions, "recoup.workflow.layers", "from recoup.strategies.cache import config", True),
        (directions, "recoup.workflow.layers", "from recoup import retry", False),
        (directions, "recoup.testing.clock", "from recoup._core import clock", True),
        (directions, "recoup.demo.run", "from recoup import retry", True),
        (directions, "recoup", "from recoup.workflow import workflow", True),
        (directions, "recoup", "from recoup.demo import run", False),
        (third_parties, "recoup._core.rim", "import wrapt", False),
        (third_parties, "recoup._core.rim", "def f():\n import wrapt", True),
        (third_parties, "recoup._core.rim", "def f():\n import rich", False),
        (third_parties, "recoup._core.chain", "def f():\n import wrapt", False),
        (third_parties, "recoup.ext.trio", "import trio", True),
        (third_parties, "recoup.demo.live", "import rich.console", True),
        (third_parties, "recoup.demo.live", "import trio", False),
        (third_parties, "recoup._core.chain", "from collections import abc", True),
        (seam, "recoup._core.clock", "from time import monotonic", True),
        (seam, "recoup._core.clock", "import asyncio", False),
        (seam, "recoup._core.clock", "def f():\n import asyncio", True),
        (seam, "recoup._core.waiting", "def f():\n import time", False),
        (seam, "recoup._core.chain", "from random import random", False),
        (seam, "recoup.strategies.retry.state", "def f():\n import asyncio", False),
        (seam, "recoup.strategies.retry.state", "if TYPE_CHECKING:\n import asyncio", True),
        (seam, "recoup.demo.run", "import asyncio", True),
    ],
)  # fmt: skip
def test_law_can_fail(law: Law, module: str, line: str, allowed: bool) -> None:
    """A wrong import is noticed, a right one is let pass."""
    assert (not list(law(sample(module, line)))) is allowed
