"""What happens to calls in real worker processes."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import subprocess
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from recoup import DeadlineExceeded, Isolation, TimeLimiter, UnpicklableError, WorkerCrashed
from recoup.strategies.deadline.config import DeadlineConfig
from recoup.testing import disabled
from tests.strategies.isolation import work
from tests.strategies.isolation.conftest import patient, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Both


@pytest.fixture(scope="module", autouse=True)
def _decorated() -> Iterator[None]:
    yield
    work.isolation.close(kill=True)


def test_calls_run_in_another_process(isolation: Isolation, both: Both) -> None:
    """A call gives what the function returns, and that ran elsewhere; other callables that pickle do as well."""
    assert both.execute(isolation, work.add, 1, right=2) == 3
    assert both.execute(isolation, work.pid) not in {os.getpid(), None}
    assert both.execute(isolation, math.factorial, 5) == 120
    assert both.execute(isolation, partial(work.add, 1), 5) == 6
    assert both.execute(isolation, work.Thing(3).plain, 4) == 7
    assert both.execute(isolation, work.Thing, 3).value == 3
    large = os.urandom(3_000_000)
    assert both.execute(isolation, work.echo, large) == large


def test_decorated_functions_run_elsewhere() -> None:
    """Functions, methods, class and static methods run in a worker (G5), and what they call runs there with them."""
    number, pid = work.decorated(7)
    assert number == 7
    assert pid in work.isolation.pids
    assert work.Thing(1).method(2) == (3, pid)
    assert work.Thing.of_class(5) == ("Thing5", pid)
    assert work.Thing.static(4) == (4, pid)
    assert work.nested(5) == ((5, pid), pid)


def test_layers_run_on_their_own_side(tmp_path: Path) -> None:
    """What stands outside @isolate works here, what stands inside works in the worker (G14)."""
    path = tmp_path / "calls"
    assert work.stacked(str(path)) == 3
    assert set(path.read_text().split()) <= {str(pid) for pid in work.isolation.pids}
    assert work.isolation.metrics["executed"] >= 2


def test_exceptions_come_out(isolation: Isolation, both: Both) -> None:
    """The function's exception comes out with its own type and a note of where it was raised (G3)."""
    with pytest.raises(ConnectionError, match=r"^down\n") as caught:
        both.execute(isolation, work.fail, "down")
    (note,) = caught.value.__notes__
    assert note.startswith("In worker process ")
    assert "work.py" in note
    assert "errands.py" not in note
    with pytest.raises(SystemExit):
        both.execute(isolation, work.give_up)


@pytest.mark.parametrize(
    ("function", "args", "message"),
    [
        (work.add, (threading.Lock(),), "argument 'left' of 'add' cannot go .* cannot pickle '_thread.lock' object"),
        (work.lock, (), "the result of 'lock' cannot go .* cannot pickle '_thread.lock' object"),
        (work.coroutine, (), "the result of 'coroutine' .*: it is a coroutine"),
        (work.trap, (), "what came back from the worker cannot go .*: ConnectionError: trap"),
        (work.echo, (work.Trap(),), "the call, which the worker could not read, cannot go .*: ConnectionError: trap"),
        (work.fail_awkwardly, (), "the exception of 'fail_awkwardly' cannot go .*: Awkward: ab .TypeError"),
    ],
)
def test_what_cannot_cross_is_named(isolation: Isolation, function: Any, args: tuple[object], message: str) -> None:
    """What cannot be pickled is an error that names it, and harms no worker."""
    assert isolation.execute_sync(work.pid)
    before = isolation.metrics["started"]
    with pytest.raises(UnpicklableError, match=message):
        isolation.execute_sync(function, *args)
    assert isolation.execute_sync(work.pid) in isolation.pids
    assert isolation.metrics["started"] == before


def test_a_crash_fails_one_call(isolation: Isolation, both: Both) -> None:
    """A worker that is gone fails the call that it had, with how it ended, and is replaced."""
    with pytest.raises(WorkerCrashed, match="ended with exit code 7 while the function ran") as caught:
        both.execute(isolation, work.leave, 7)
    error = caught.value
    assert (error.name, error.exitcode, error.started) == ("tested", 7, True)
    with pytest.raises(WorkerCrashed, match=r"was killed by SIGKILL .perhaps the system ran out of memory") as caught:
        both.execute(isolation, work.die)
    assert caught.value.exitcode == -signal.SIGKILL
    with pytest.raises(WorkerCrashed, match="was killed by SIGSEGV while"):
        both.execute(isolation, work.die, signal.SIGSEGV)
    assert both.execute(isolation, work.add, 1) == 2


def test_an_idle_worker_may_die(isolation: Isolation) -> None:
    """A worker that is killed while it has nothing to do is buried at once, and no call notices."""
    pid = isolation.execute_sync(work.pid)
    os.kill(pid, signal.SIGKILL)
    until(lambda: pid not in isolation.pids)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)  # not even a zombie
    assert isolation.execute_sync(work.pid) != pid


def test_a_hung_worker_is_killed(both: Both) -> None:
    """A call that takes more than its timeout fails with DeadlineExceeded, its worker is killed, another comes (D3)."""
    with Isolation(patient(workers=1, timeout=0.05), name="hanging") as isolation:
        with pytest.raises(DeadlineExceeded, match=r"hanging: not finished within 0\.05 s") as caught:
            both.execute(isolation, work.hang)
        assert caught.value.started
        assert not caught.value.abandoned
        isolation.reconfigure(timeout=600)
        assert both.execute(isolation, work.add, 1) == 2
        assert isolation.metrics["killed"] == 1
        assert isolation.metrics["started"] == 2
    assert isolation.pids == ()


def test_a_worker_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    """SIGKILL follows SIGTERM after the grace (D3)."""
    began = tmp_path / "began"
    isolation = Isolation(patient(workers=1, kill_grace=0.05))

    def killed() -> None:
        until(began.exists)
        isolation.close(kill=True)

    thread = threading.Thread(target=killed)
    thread.start()
    with pytest.raises(WorkerCrashed):
        isolation.execute_sync(work.stubborn, str(began))
    thread.join()
    assert isolation.pids == ()


def test_the_ambient_deadline_crosses(isolation: Isolation, both: Both) -> None:
    """The deadline that counts here counts in the worker, with what is left of it (D1, D4)."""
    assert both.execute(isolation, work.remaining) is None
    limiter = TimeLimiter(DeadlineConfig(1000, mode="cooperative"), name="outside")
    with limiter:
        name, left = isolation.execute_sync(work.remaining) or ("", 0)
    assert name == "outside"
    assert 0 < left <= 1000


def test_the_ambient_deadline_kills(isolation: Isolation, both: Both, tmp_path: Path) -> None:
    """A deadline outside that strikes first ends the call and its worker (D1), and comes out as what it is."""
    isolation.execute_sync(work.pid)
    killed, began = isolation.metrics["killed"], str(tmp_path / "began")
    limiter = TimeLimiter(DeadlineConfig(1, mode="cooperative"), name="outside")

    def hang() -> object:
        return isolation.execute_sync(work.hang, began)

    async def hang_async() -> object:
        return await isolation.execute(work.hang, began)

    with pytest.raises(DeadlineExceeded, match="outside: ") as caught:
        both.call(limiter(hang_async if both.is_async else hang))
    assert not caught.value.abandoned
    if caught.value.started:  # a busy machine may need longer than that to begin it
        until(lambda: isolation.metrics["killed"] == killed + 1)


def test_no_time_left_is_a_refusal(isolation: Isolation) -> None:
    """No time left is a refusal (G13): nothing is sent."""
    executed = isolation.metrics["executed"]
    with TimeLimiter(DeadlineConfig(1e-9, mode="cooperative")), pytest.raises(DeadlineExceeded) as caught:
        isolation.execute_sync(work.add, 1)
    assert not caught.value.started
    assert isolation.metrics["executed"] == executed


@pytest.mark.asyncio_only
def test_cancellation_kills_the_worker(isolation: Isolation, tmp_path: Path) -> None:
    """A caller that is cancelled leaves no work behind: the worker is killed, the next call gets another (G2)."""
    began = tmp_path / "began"
    killed = isolation.metrics["killed"]

    async def main() -> None:
        task = asyncio.ensure_future(isolation.execute(work.hang, str(began)))
        await asyncio.to_thread(until, began.exists)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    until(lambda: isolation.metrics["killed"] == killed + 1)
    assert isolation.execute_sync(work.add, 1) == 2


def test_ctrl_c_kills_the_worker(isolation: Isolation, tmp_path: Path) -> None:
    """A caller that is interrupted leaves no work behind (G2); nothing of signals was changed in this process."""
    began, handler = tmp_path / "began", signal.getsignal(signal.SIGINT)
    killed = isolation.metrics["killed"]

    def interrupt() -> None:
        until(began.exists)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        isolation.execute_sync(work.hang, str(began))
    thread.join()
    until(lambda: isolation.metrics["killed"] == killed + 1)
    assert signal.getsignal(signal.SIGINT) is handler


def test_threads_loops_and_trio_at_once(isolation: Isolation) -> None:
    """One isolation serves threads, event loops and Trio runs at the same time (G7, G15)."""
    trio = pytest.importorskip("trio")
    answers: list[object] = []

    async def few() -> None:
        answers.extend([await isolation.execute(work.add, number) for number in range(5)])

    def plainly() -> None:
        answers.extend(isolation.execute_sync(work.add, number) for number in range(5))

    runs = [plainly, plainly, lambda: asyncio.run(few()), lambda: asyncio.run(few()), lambda: trio.run(few)]
    threads = [threading.Thread(target=run, daemon=True) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers, key=str) == sorted([1, 2, 3, 4, 5] * 5)


def test_workers_are_recycled_and_initialised() -> None:
    """A worker is replaced after so many calls, and each new one is initialised before its first."""
    config = patient(workers=1, max_calls_per_worker=2, initializer=partial(work.remember, "ready"))
    with Isolation(config) as isolation:
        pids = [isolation.execute_sync(work.pid) for _ in range(4)]
        assert pids[0] == pids[1] != pids[2] == pids[3]
        assert isolation.execute_sync(work.recall) == ["ready"]
        assert isolation.metrics["recycled"] == 2


def test_a_forkserver_will_do() -> None:
    """Workers forked from a server process work alike, and so does how their end is told."""
    script = (
        "from recoup import Isolation, IsolationConfig, WorkerCrashed\n"
        "from tests.strategies.isolation import work\n"
        "import os\n"
        "if __name__ == '__main__':\n"
        "    config = IsolationConfig(workers=1, start_method='forkserver', start_timeout=600, queue_timeout=600)\n"
        "    with Isolation(config) as isolation:\n"
        "        assert isolation.execute_sync(work.pid) != os.getpid()\n"
        "        for function, argument, code in ((work.leave, 3, 3), (work.die, 9, -9)):\n"
        "            try:\n"
        "                isolation.execute_sync(function, argument)\n"
        "            except WorkerCrashed as error:\n"
        "                assert error.exitcode == code, error\n"
        "        assert isolation.execute_sync(work.add, 1) == 2\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, env=environment, timeout=600)


def test_recovery_can_be_off(both: Both) -> None:
    """While recovery is off, functions run here (G16)."""
    isolation = Isolation()

    def pid() -> int:
        with disabled():
            return both.execute(isolation, work.pid)  # type: ignore[no-any-return]  # it gives Any

    if both.is_async:

        async def main() -> int:
            with disabled():
                return await isolation.execute(work.pid)

        assert both.run(main) == os.getpid()
    else:
        assert pid() == os.getpid()
    assert isolation.metrics["executed"] == 0
