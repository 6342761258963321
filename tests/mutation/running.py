"""Run the tests of a room against the mutants of one of its files.

The tests are collected once. Each mutant then gets a process of its own, forked from there, in which the code of the
functions is exchanged where it stands: nothing is imported anew, no file is written, and whatever a mutant does ends
with its process. Only the tests that run the line of the mutant are run, quick ones first, up to the first that fails.

What stands outside of functions (constants, defaults) takes effect on import only. Such a mutant is forked before
anything of recoup is imported, and pays for the whole collection.
"""

from __future__ import annotations

import gc
import importlib.abc
import importlib.util
import math
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import Phase, settings

from tests.mutation.mutants import Mutant, codes, mutants

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import FrameType, ModuleType
    from typing import Self

__all__ = ["Outcome", "run"]

SLOWEST = (
    60.0  # seconds for the tests of one mutant, more if the unchanged file needs more: then it hangs, and is found
)
# Whoever hangs is ended from outside; a test that is traced on a busy machine is only slow.
# recoup is a plugin of pytest's, which would import all of it by itself to rewrite the assertions, past any mutant.
PLAIN = ["-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-o", "faulthandler_timeout=0", "--assert=plain"]
WATCHING = 4  # our number among the tools that may watch a program
NEVER = 3  # the exit code of a process that has never imported its mutant

ALL = re.compile("")

Outcome = Callable[[Mutant, bool], None]


def functions_of(path: str) -> list[FunctionType]:
    """List all functions of a file that live."""
    return [each for each in gc.get_objects() if type(each) is FunctionType and each.__code__.co_filename == path]


def swap(path: Path, code: CodeType) -> None:
    """Give every function of a file that lives the code of its namesake."""
    new = {(each.co_qualname, each.co_firstlineno): each for each in codes(code)}
    for function in functions_of(str(path)):
        fresh = new.get((function.__code__.co_qualname, function.__code__.co_firstlineno))
        if fresh is not None:
            function.__code__ = fresh


class Tracer:
    """Notes which lines of a file each test runs.

    From Python 3.12 on, only the first run of each line in a test costs anything; before, each call of anything does.
    """

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self.lines: set[int] = set()

    def __call__(self, frame: FrameType, event: str, arg: object) -> Any:
        if frame.f_code.co_filename != self._path:
            return None
        self.lines.add(frame.f_lineno)
        return self

    def __enter__(self) -> Self:
        self.lines = set()
        if sys.version_info >= (3, 12):
            watch = sys.monitoring
            if watch.get_tool(WATCHING) is None:
                watch.use_tool_id(WATCHING, "mutants")
                watch.register_callback(WATCHING, watch.events.LINE, self._line)
                for function in functions_of(self._path):
                    for code in codes(function.__code__):
                        watch.set_local_events(WATCHING, code, watch.events.LINE)
            watch.restart_events()
        else:
            threading.settrace(self)
            sys.settrace(self)
        return self

    def __exit__(self, *error: object) -> None:
        if sys.version_info < (3, 12):
            sys.settrace(None)
            threading.settrace(None)

    def _line(self, _: CodeType, line: int) -> Any:
        self.lines.add(line)
        if sys.version_info >= (3, 12):
            return sys.monitoring.DISABLE
        return None

    def done(self) -> None:
        """Note nothing more."""
        if sys.version_info >= (3, 12) and sys.monitoring.get_tool(WATCHING) is not None:
            sys.monitoring.register_callback(WATCHING, sys.monitoring.events.LINE, None)
            sys.monitoring.free_tool_id(WATCHING)


class Plugin:
    """Runs mutants in place of the tests, once these are collected."""

    def __init__(self, path: Path, found: Sequence[Mutant], tell: Outcome, jobs: int, slowest: float) -> None:
        self._path = path
        self._found = found
        self._tell = tell
        self._jobs = jobs
        self._slowest = slowest
        self._seconds: dict[Any, float] = {}
        self._lines: dict[Any, set[int]] = {}
        self.failing: list[str] = []

    def pytest_configure(self, config: pytest.Config) -> None:
        """Have Hypothesis look for failures only, and not for the smallest one."""
        phases = (Phase.explicit, Phase.generate)
        settings.register_profile("mutation", deadline=None, derandomize=True, database=None, phases=phases)
        settings.load_profile("mutation")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run what this is about."""
        items = self._healthy(session)
        limit = max(SLOWEST, 5 * sum(each for each in self._seconds.values() if each <= self._slowest))
        waiting, running = list(reversed(self._found)), dict[int, tuple[Mutant, float]]()
        while waiting or running:
            while waiting and len(running) < self._jobs:
                mutant = waiting.pop()
                pid = os.fork()
                if pid == 0:
                    os.setpgid(0, 0)
                    _child(lambda mutant=mutant: self._face(session, items, mutant))  # type: ignore[misc]  # a default binds it
                running[pid] = mutant, time.monotonic() + limit
            for pid, status in _ended(running):
                mutant, _ = running.pop(pid)
                self._tell(mutant, status != 0)
        return True

    def _healthy(self, session: pytest.Session) -> list[pytest.Item]:
        """Run all tests once with the file as it is: how long they take, and which lines of it they run."""
        tracer = Tracer(self._path)
        healthy = []
        for item in session.items:
            began = time.monotonic()
            with tracer:
                failed = _fails(session, item)
            self._seconds[item] = time.monotonic() - began
            if not failed:
                self._lines[item] = tracer.lines
            elif _fails(session, item):  # without the tracer, which may have been in its way
                self.failing.append(item.nodeid)
                continue
            healthy.append(item)
        tracer.done()
        return sorted(healthy, key=self._seconds.__getitem__)

    def _face(self, session: pytest.Session, items: Sequence[pytest.Item], mutant: Mutant) -> bool:
        swap(self._path, mutant.code)
        facing = [item for item in items if mutant.line in self._lines.get(item, (mutant.line,))] or items
        quick = [item for item in facing if self._seconds[item] <= self._slowest]
        return any(_fails(session, item) for item in quick or facing)


def _fails(session: pytest.Session, item: pytest.Item) -> bool:
    before = session.testsfailed
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
    return session.testsfailed > before


def _imported(finder: Finder, tests: Sequence[str]) -> int:
    """Run the tests with a mutant in place of its module."""
    sys.meta_path.insert(0, finder)
    failed = pytest.main([*PLAIN, "-x", *tests]) != 0
    return int(failed) if finder.used else NEVER


def _child(work: Callable[[], int]) -> None:
    """Do something in a forked child and leave, whatever happens."""
    code: int = 1
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        code = work()
    finally:
        os._exit(code)


def _ended(running: dict[int, tuple[Mutant, float]]) -> list[tuple[int, int]]:
    """Wait for processes; end those that take too long, with what they have started."""
    ended = []
    time.sleep(0.005)
    for pid, (_, until) in running.items():
        done, status = os.waitpid(pid, os.WNOHANG)
        if not done and time.monotonic() > until:
            os.killpg(pid, signal.SIGKILL)
            done, status = os.waitpid(pid, 0)
        if done:
            ended.append((pid, status))
    return ended


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports a mutant in place of a module.

    Attributes:
        used: Whether it has done so.
    """

    def __init__(self, module: str, path: Path, code: CodeType) -> None:
        self._module, self._path, self._code = module, path, code
        self.used = False

    def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:
        """Find one module only."""
        if name != self._module:
            return None
        return importlib.util.spec_from_file_location(name, self._path, loader=self)

    def exec_module(self, module: ModuleType) -> None:
        """Run the mutant."""
        self.used = True
        exec(self._code, module.__dict__)  # noqa: S102 - this is what a loader does


def run(
    path: Path,
    module: str,
    tests: Sequence[str],
    tell: Outcome,
    jobs: int,
    step: int = 1,
    only: re.Pattern[str] = ALL,
    slowest: float = math.inf,
) -> list[str]:
    """Run all mutants of a file; nothing of recoup may be imported yet.

    Args:
        path: The file.
        module: Its name as a module.
        tests: What is to find the mutants.
        tell: Told about each: whether it was found.
        jobs: How many at once.
        step: Only every so manieth mutant, for a first look.
        only: And of those only the ones whose names match, for another look.
        slowest: Seconds: tests that took longer when nothing was wrong are left out, where a quicker one runs the line.

    Returns:
        Tests that fail without any mutant; they are left out.
    """
    found = [each for each in mutants(path.read_text(), str(path))[::step] if only.search(each.key)]
    plugin = Plugin(path, [each for each in found if each.inside], tell, jobs, slowest)

    def whole(mutant: Mutant) -> None:
        pid = os.fork()
        if pid == 0:
            os.setpgid(0, 0)
            _child(lambda: _imported(Finder(module, path, mutant.code), tests))
        running = {pid: (mutant, time.monotonic() + 4 * SLOWEST)}
        while not (ended := _ended(running)):
            pass
        status = ended[0][1]
        if os.waitstatus_to_exitcode(status) == NEVER:
            raise RuntimeError(f"nothing imports {module}, or something else did first")
        tell(mutant, status != 0)

    for mutant in found:
        if not mutant.inside:
            whole(mutant)
    pytest.main([*PLAIN, *tests], plugins=[plugin])
    return plugin.failing
