"""No call costs more than it did (house.md, "why it is fast"): opcodes are counted, so that no machine is too slow."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.laws.costs import baseline, dearer, opcodes, unknown
from tests.laws.source import ROOT, SRC


def counted() -> dict[str, int]:
    """Count in a fresh interpreter, where nothing measures, listens or has been switched off."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("COV", "RECOUP", "PYTHON"))
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.laws.costs", "--print"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env=environment | {"PYTHONPATH": f"{SRC}{os.pathsep}{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    found: dict[str, int] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(bool(unknown()), reason=unknown())
def test_no_call_costs_more_than_it_did() -> None:
    """Calls that work, fail or are refused, and decorating, execute no more than `costs-*.json` says, but for 5 %."""
    found = list(dearer(counted(), baseline()))
    assert not found, "\n".join(found)


def test_dearer_calls_are_found() -> None:
    """More than the margin is named with both counts and what to do; less, or within it, is not."""
    kept = {"refuses": 100, "retries": 100, "works": 100}
    assert not list(dearer({"refuses": 105, "retries": 20, "works": 100}, kept))
    [found] = dearer({"refuses": 106, "retries": 100, "works": 100}, kept)
    assert "refuses: 106 opcodes where it was 100" in found
    assert "python -m tests.laws.costs" in found


def test_baseline_is_whole() -> None:
    """A scenario that is new or gone asks for a new baseline."""
    assert ["new" in each for each in dearer({"new": 1, "old": 1}, {"old": 1})] == [True]
    assert ["not counted any more" in each for each in dearer({}, {"old": 1})] == [True]


def test_a_step_more_counts() -> None:
    """One addition more is seen, and the same call counts the same every time."""

    def short(x: int = 1) -> int:
        return x + x

    def long(x: int = 1) -> int:
        return x + x + x

    assert opcodes(short) == opcodes(short) < opcodes(long)


def test_unknown_pythons_are_skipped() -> None:
    """A Python of which no counts are kept has nothing to compare with, and says so."""
    assert "3.99" in unknown("3.99")
