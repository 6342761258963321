"""Sagas are killed at every point of their lives; no promise is broken (issue 5, the fault table).

The long way: `python -m tests.sagas.crash pairs`, `python -m tests.sagas.crash random 10000`.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.laws.source import ROOT
from tests.sagas.crash.mutants import MUTANTS


def crash(*arguments: str) -> tuple[int, str]:
    """Run trials in a process of their own: they fork, which a process with threads must not."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.sagas.crash", *arguments], capture_output=True, text=True, cwd=ROOT, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_every_point() -> None:
    """Killed before and after each commit and effect, sync and async, every saga keeps its promises."""
    code, said = crash("points")
    assert code == 0, said
    assert int(said.split(" trials")[0].split()[-1]) > 100


@pytest.mark.slow
def test_at_random() -> None:
    """Killed a hundred times at random, with recoverers that are killed too, sagas keep their promises."""
    code, said = crash("random", "100")
    assert code == 0, said


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS)
def test_teeth(mutant: str) -> None:
    """A saga with one rule removed is caught by the same trials."""
    story = "good" if mutant in {"end_not_awaited", "intent_not_awaited"} else "bad"
    code, said = crash("points", "--story", story, "--mutant", mutant)
    assert code == 1, said
    assert "broken promises" in said
