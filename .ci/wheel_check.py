"""Use the installed wheel, alone: nothing but wrapt beside it, and the sources out of reach."""

from __future__ import annotations

import sys
import sysconfig
from importlib.metadata import distributions, files, metadata
from pathlib import Path

before = set(sys.modules)
import recoup  # noqa: E402 - what it brings along is looked at below

brought = {"asyncio", "wrapt", "trio", "aiohttp", "rich"} & (set(sys.modules) - before)
assert not brought, f"`import recoup` imports {brought}, which it should only when they are needed"

import asyncio  # noqa: E402 - recoup must not have found it imported

assert Path(recoup.__file__).is_relative_to(sysconfig.get_path("purelib")), recoup.__file__
beside = {found.name.lower() for found in distributions()} - {"recoup", "pip", "setuptools"}
assert beside == {"wrapt"}, f"installing recoup brings {beside}, not only wrapt"
assert any(path.name == "py.typed" for path in files("recoup") or ()), "py.typed is missing"
assert metadata("recoup")["License-Expression"] == "MIT"
for name in recoup.__all__:
    assert getattr(recoup, name) is not None, name

calls = []


@recoup.retry(max_attempts=3, initial_delay=0)
def flaky() -> int:
    """Fail twice."""
    calls.append(1)
    if len(calls) < 3:
        raise ConnectionError
    return len(calls)


@recoup.circuit_breaker
async def healthy() -> str:
    """Answer."""
    return "fine"


assert flaky() == 3
assert asyncio.run(healthy()) == "fine"
print(f"recoup {metadata('recoup')['Version']} works from its wheel on Python {sys.version.split()[0]}")
