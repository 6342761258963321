"""Programs that tests start in a process of their own: `python -m tests.strategies.isolation.programs NAME`."""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from recoup import Isolation, IsolationConfig, WorkerCrashed
from tests.strategies.isolation import work


def made(workers: int) -> Isolation:
    return Isolation(IsolationConfig(workers=workers, start_timeout=600, queue_timeout=600), name="program")


def ends_without_closing() -> None:
    """Say who the workers are, and end; one of them hangs."""
    isolation = made(workers=2)
    began = Path(sys.argv[2])

    def hang() -> None:
        with suppress(WorkerCrashed):  # when the program ends
            isolation.execute_sync(work.hang, str(began))

    threading.Thread(target=hang, daemon=True).start()
    _until_there(began)
    isolation.execute_sync(work.pid)
    told(*isolation.pids)


def is_killed() -> None:
    """Say who the workers are, and wait for the end; one worker hangs, one has nothing to do."""
    ends_without_closing()
    time.sleep(600)


def forks() -> None:
    """Fork while workers live: neither process ends those of the other, and both can use the isolation."""
    isolation = made(workers=1)
    before = isolation.execute_sync(work.pid)
    child = os.fork()
    if child == 0:
        assert isolation.pids == ()
        assert isolation.metrics["executed"] == 0
        assert isolation.execute_sync(work.pid) != before
        sys.exit(0)  # with all that is done at exit
    assert os.waitpid(child, 0)[1] == 0
    assert isolation.execute_sync(work.pid) == before
    isolation.close()
    told("well")


def told(*words: object) -> None:
    """Tell the test something."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def _until_there(path: Path) -> None:
    while not path.exists():
        time.sleep(0.005)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
