"""What becomes of worker processes when the program ends, forks, or is killed (G18)."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from recoup.strategies.isolation import process
from tests.strategies.isolation.conftest import patient, until

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}


def started(*command: str) -> subprocess.Popen[str]:
    path = os.pathsep.join(filter(None, sys.path))
    return subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT | {"PYTHONPATH": path},
    )


def gone(pid: int) -> bool:
    """Tell whether a process is gone, or a zombie that waits for whoever adopts orphans here."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    listed = subprocess.run(["/bin/ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return listed.stdout.strip().startswith("Z")


@pytest.mark.parametrize("program", ["ends_without_closing", "is_killed"])
def test_no_worker_outlives_its_program(program: str, tmp_path: Path) -> None:
    """Workers end with the program, also if nobody closes anything, or it is killed by SIGKILL; those that hang too."""
    with started("-m", "tests.strategies.isolation.programs", program, str(tmp_path / "began")) as running:
        assert running.stdout is not None
        pids = {int(pid) for pid in running.stdout.readline().split()}
        assert len(pids) == 2
        if program == "is_killed":
            running.kill()
        _, errors = running.communicate(timeout=600)
        assert errors == ""
        assert running.returncode == (-signal.SIGKILL if program == "is_killed" else 0)
    until(lambda: all(gone(pid) for pid in pids))


def test_a_fork_has_workers_of_its_own() -> None:
    """A forked child begins with no workers, and neither it nor its end harms those of its parent (G18)."""
    # From 3.12 on, Python warns of forks of processes with threads, as well it may.
    with started("-W", "ignore", "-m", "tests.strategies.isolation.programs", "forks") as running:
        assert running.communicate(timeout=600) == ("well\n", "")


def test_a_program_without_main_guard_is_told(tmp_path: Path) -> None:
    """A program that calls at import starts no endless row of processes: both sides say what to do."""
    program = tmp_path / "unguarded.py"
    program.write_text(
        "from recoup import Isolation, IsolationConfig\n"
        "from tests.strategies.isolation import work\n"
        "isolation = Isolation(IsolationConfig(start_timeout=600, queue_timeout=600))\n"
        "isolation.execute_sync(work.add, 1)\n"
    )
    with started(str(program)) as running:
        _, errors = running.communicate(timeout=600)
    assert "RuntimeError: a worker process imports the program's main module" in errors
    assert "recoup.errors.WorkerCrashed: a worker process of isolation 'isolation' ended with exit code 1" in errors


def test_nothing_is_left_of_processes_that_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """If nobody can tell how a process ended, that is all that is lost."""
    bell, rope = socket.socketpair()
    with bell, rope:
        bell.setblocking(False)
        worker = process.Worker(process.Plan("forgotten", patient(), 0), bell)
        worker.greet(lambda: False)
        with monkeypatch.context() as patch:
            patch.setattr(type(worker._process), "exitcode", property(lambda _: None))
            assert worker.end(kindly=True) is None
        again = process.Worker(process.Plan("disowned", patient(), 0), bell)
        child = again._process
        again.disown()  # as a forked child does: the line is closed, which ends an idle worker
        child.join()
        assert child.exitcode == 0
        child.close()


def test_a_start_that_fails_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a process cannot be started, the sockets made for it are closed."""
    bell, rope = socket.socketpair()
    with bell, rope:
        context: Any = multiprocessing.get_context("spawn")

        def refuse(self: object) -> None:
            raise BlockingIOError(11, "Resource temporarily unavailable")

        monkeypatch.setattr(context.Process, "start", refuse)
        before = list(Path("/dev/fd").iterdir())
        with pytest.raises(BlockingIOError):
            process.Worker(process.Plan("refused", patient(), 0), bell)
        assert len(list(Path("/dev/fd").iterdir())) == len(before)
