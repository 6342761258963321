"""Processes are killed at every point of a saga that PostgreSQL keeps; no promise is broken (issue 5, the fault table).

The long way: `python -m tests.sagas.postgres.crash points`, `... pairs`, `... random 10000`.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.laws.source import ROOT
from tests.servers.postgres import PostgresServer


@pytest.fixture(scope="module", autouse=True)
def _server(postgres_shared: PostgresServer) -> None:
    """See that there is a server at all; the trials start their own."""


def crash(*arguments: str) -> tuple[int, str]:
    """Run trials in a process of their own: they fork, which a process with threads must not."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.sagas.postgres.crash", *arguments],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_every_point() -> None:
    """Killed before and after each exchange and effect, a saga keeps its promises (rules 1, 2, 4, 9)."""
    code, said = crash("points", "--story", "bad")
    assert code == 0, said
    assert int(said.split(" trials")[0].split()[-1]) > 30


@pytest.mark.slow
def test_at_random() -> None:
    """Killed a hundred times at random, with recoverers that are killed too, sagas keep their promises."""
    code, said = crash("random", "100")
    assert code == 0, said


@pytest.mark.slow
def test_teeth() -> None:
    """A saga with one rule removed is caught by the same trials."""
    code, said = crash("random", "20", "--story", "bad", "--mutant", "only_finished_steps")
    assert code == 1, said
    assert "broken promises" in said
