"""`import recoup` costs next to nothing, and a program pays only for what it uses (house.md)."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.laws.decorated import EXPRESSIONS, PRESENT
from tests.laws.source import SRC

HEAVY = {"asyncio", "wrapt", "trio", "dataclasses", "inspect", "logging", "typing"}
THIRD_PARTIES = {"wrapt", "trio", "aiohttp", "rich"}


def loaded(code: str) -> set[str]:
    """Name the modules that a fresh interpreter has after running some code."""
    code = f"import sys; sys.path.insert(0, {str(SRC)!r}); {code}; print(*sys.modules)"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}  # measures nothing
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    return set(done.stdout.split())


def test_import_is_light() -> None:
    """Importing recoup loads no strategy, nothing heavy and no third party."""
    found = loaded("import recoup")
    assert {name for name in found if name.startswith("recoup")} == {"recoup"}
    assert not found & (HEAVY | THIRD_PARTIES)


@pytest.mark.parametrize("name", PRESENT)
def test_sync_use_is_light(name: str) -> None:
    """Decorating and calling a plain function loads neither asyncio nor a third party, and no other strategy."""
    found = loaded(f"import recoup; undone = []; assert {EXPRESSIONS[name]}(lambda x: x)(5) == 5")
    assert not found & ({"asyncio", "logging"} | THIRD_PARTIES)
    rooms = {".".join(module.split(".")[:3]) for module in found if module.startswith("recoup.strategies.")}
    assert len(rooms) == 1 or name == "ErrorRecoveryWorkflow"


def test_can_fail() -> None:
    """What is imported on the way is seen."""
    assert {"asyncio", "logging"} <= loaded("import asyncio")
    assert "recoup.strategies.retry.config" in loaded("import recoup; recoup.RetryConfig")
