"""Calls and outcomes on their way, both ends in one process."""

from __future__ import annotations

import pickle
import sys
import threading
from functools import partial
from types import FunctionType, ModuleType
from typing import Any

import pytest

from recoup import UnpicklableError, retry
from recoup._core import clock
from recoup._core.deadlines import Deadline, Limit
from recoup.strategies.isolation.errands import Reference, call, dumped, outcome, packed, referred, set_up
from recoup.strategies.isolation.frames import BEGUN, LOST, RAISED, READY, RETURNED
from tests.strategies.isolation import work

WORK: Any = work


def there(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Call a function as a worker does, and bring back what becomes of it."""
    *begun, (tag, payload) = call(dumped((packed(function, args, kwargs), None)))
    assert begun in ([], [(BEGUN, b"")])
    return outcome(tag, payload, 4242)


def test_functions_are_found_by_name() -> None:
    """A function goes by module and name, a decorated one as what stands inside its isolation; the rest as it is."""
    assert referred(work.add) == Reference(work.__name__, "add", whole=True)
    inner = WORK.decorated.__wrapped__
    assert referred(inner) == Reference(work.__name__, "decorated", whole=False)
    assert referred(inner).found() is inner
    assert referred(WORK.Thing.of_class.__func__.__wrapped__).found() is WORK.Thing.of_class.__func__.__wrapped__
    assert referred(len) is len


def test_layers_inside_come_along(tmp_path: Any) -> None:
    """What the worker calls has the layers that stand inside the isolation, and none of those outside."""
    found = referred(WORK.stacked.__wrapped__).found()
    with pytest.raises(ConnectionError):
        found(str(tmp_path / "calls"))
    assert len((tmp_path / "calls").read_text().split()) == 2


def test_what_is_not_found_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that its name does not lead to is refused here, with what to do."""

    def local() -> None: ...

    with pytest.raises(UnpicklableError, match="do not lead to it; bind it to its name at module level"):
        referred(local)
    impostor = FunctionType(work.add.__code__, {}, "add")
    impostor.__module__ = work.__name__
    with pytest.raises(UnpicklableError, match="do not lead to it"):
        referred(impostor)
    covered = retry(work.pid)
    covered.__qualname__ = "pid"
    with pytest.raises(UnpicklableError, match="do not lead to it"):
        referred(covered)
    main = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    impostor.__module__ = "__main__"
    with pytest.raises(UnpicklableError, match="a program that was typed in"):
        referred(impostor)


class Unshowable(Exception):
    def __str__(self) -> str:
        raise ValueError


class Shy:
    def __reduce__(self) -> Any:
        raise Unshowable


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "what"),
    [
        (work.add, (1, threading.Lock()), {}, "argument 'right' of 'add'"),
        (work.add, (1, 2, threading.Lock()), {}, "argument '2' of 'add'"),
        (work.add, (Shy(),), {}, "argument 'left' of 'add' cannot go .*: Unshowable$"),
        (partial(work.add, threading.Lock()), (1,), {}, "the function 'add'"),
        (work.echo, (), {"more": threading.Lock()}, "argument 'more' of 'echo'"),
    ],
)
def test_the_argument_is_named(function: Any, args: Any, kwargs: Any, what: str) -> None:
    """An argument that cannot be pickled is named, as the function calls it."""
    with pytest.raises(UnpicklableError, match=what):
        packed(function, args, kwargs)


def test_a_call_that_is_bad_as_a_whole_is_named() -> None:
    """If each argument pickles and all together do not, the call is named."""

    class Fickle:
        tries = 0

        def __reduce__(self) -> Any:
            Fickle.tries += 1
            if Fickle.tries == 1:
                raise ValueError("first time")
            return int, ()

    with pytest.raises(UnpicklableError, match="the call of 'add'"):
        packed(work.add, (Fickle(),), {})


def test_outcomes_come_back() -> None:
    """Results and exceptions come back, the latter with their traceback as a note if they take one (G3)."""
    assert there(work.add, 1, right=2) == 3
    assert there(partial(work.add, 1), 2) == 3
    with pytest.raises(ConnectionError, match="down") as caught:
        there(work.fail, "down")
    (note,) = caught.value.__notes__
    assert note.startswith("In worker process 4242:\nTraceback")
    assert note.count("File ") == 1, "frames of ours are left out"
    with pytest.raises(work.Rude, match="no"):
        there(work.fail_rudely)


@pytest.mark.parametrize(
    ("function", "args", "message"),
    [
        (work.lock, (), "the result of 'lock' cannot go"),
        (partial(work.lock), (), "the result of 'lock' cannot go"),
        (work.coroutine, (), "the result of 'coroutine' .*it is a coroutine"),
        (work.trap, (), "what came back from the worker"),
        (work.fail_awkwardly, (), "the exception of 'fail_awkwardly' .*Awkward: ab .TypeError"),
        (work.fail_oddly, (), "the exception of 'fail_oddly' .*Odd: no .it unpickles as something else"),
        (work.echo, (work.Trap(),), "the call, which the worker could not read, .*ConnectionError: trap"),
    ],
)
def test_what_cannot_come_back_is_named(function: Any, args: Any, message: str) -> None:
    """What cannot be pickled or unpickled is said to be so, on whichever side it is noticed."""
    with pytest.raises(UnpicklableError, match=message):
        there(function, *args)


def test_the_deadline_is_open_there() -> None:
    """The function sees the deadline that it has to meet (D4)."""
    deadline = Deadline(Limit(None, 1000.0, "outside"), clock.monotonic() + 1000)
    answers = list(call(dumped((packed(work.remaining, (), {}), deadline))))
    name, left = pickle.loads(answers[-1][1])  # noqa: S301 - our own
    assert name == "outside"
    assert 0 < left <= 1000


def test_an_initializer_is_called() -> None:
    """A worker is ready when its initializer has been called; what that raises comes back."""
    assert list(set_up(dumped(None))) == [(READY, b"")]
    work.HERE.clear()
    assert list(set_up(dumped(partial(work.remember, "here")))) == [(READY, b"")]
    assert work.HERE == ["here"]
    ((tag, payload),) = set_up(dumped(work.refuse_to_start))
    assert tag == RAISED
    with pytest.raises(ValueError, match="not today"):
        outcome(tag, payload, 1)


def test_tags_differ() -> None:
    """No message can be taken for another."""
    assert len({BEGUN, LOST, RAISED, READY, RETURNED}) == 5


def test_what_stands_in_the_middle_is_seen_through() -> None:
    """A foreign decorator that keeps to the customs hides no function."""
    assert referred(WORK.covered.__wrapped__.__wrapped__).found() is WORK.covered.__wrapped__.__wrapped__
