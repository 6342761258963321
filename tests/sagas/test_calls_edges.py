"""Calls of durable sagas at their edges: keys taken inside, steps in steps, odd callables, what undos are told."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
from contextvars import Context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from recoup import CompensationError, SagaExists, compensate, saga
from recoup.sagas import people, settings
from recoup.sagas.journal import Kind, State
from tests.laws.source import ROOT
from tests.sagas import shop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from recoup.sagas.keeper import Journal
    from tests.conftest import Both

STATES: list[dict[str, Any]] = []
RUNS: list[object] = []


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    for each in (shop.LOG, STATES, RUNS):
        each.clear()
    shop.FAULTS.clear()
    yield
    shop.FAULTS.clear()


def die(where: str) -> None:
    """End the process as a power cut would, if a test wants it here."""
    if os.environ.get("EDGES_DIE") == where:
        os.kill(os.getpid(), signal.SIGKILL)


LIFE = """
import sys
from pathlib import Path
from recoup import configure, saga
from recoup.sagas.keeper import Journal
from recoup.sagas.sqlite import SqliteBackend
from tests.sagas import test_calls_edges as edges
configure(journal=Journal(SqliteBackend(Path(sys.argv[1])), recover=False))
"""


def killed(path: Path, code: str, at: str) -> None:
    """Run code in a process that is killed somewhere."""
    environment = {**os.environ, "EDGES_DIE": at, "PYTHONPATH": os.pathsep.join(("src", "."))}
    command = [sys.executable, "-c", LIFE + code, str(path / "sagas.db")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, env=environment)
    assert done.returncode == -signal.SIGKILL, done.stderr


# A key that is taken inside a function.


def claim(name: str, key: str) -> None:
    """Begin a saga that is no part of the one around it."""
    place = settings.journal()

    def apart() -> None:
        with saga(name, key=key, journal=place):
            shop.do("never")

    Context().run(apart)


@saga("asks", key=lambda key, taken="": key)
def asks(key: str, taken: str = "") -> str:
    shop.do(key)
    if taken:
        claim("asks", taken)
    return f"answer of {key}"


@saga("asks async", key=lambda key, taken="": key)
async def asks_async(key: str, taken: str = "") -> str:
    await shop.do_async(key)
    if taken:
        claim("asks async", taken)
    return f"answer of {key}"


def test_key_taken_inside(both: Both, journal: Journal) -> None:
    """A key that is taken for another saga inside the function is the function's error, never its answer."""
    function: Any = asks_async if both.is_async else asks
    assert both.call(function, "a") == "answer of a"
    with pytest.raises(SagaExists, match="exists and is done"):
        both.call(function, "b", "a")
    assert shop.LOG == [("do", "a"), ("do", "b"), ("undo", "b1 B")]
    assert [each.key for each in people.listed(("compensated",))] == ["b"]


# Steps inside steps.


@compensate(shop.undo)
def pack(name: str) -> str:
    return f"{shop.do('label')} on {name}"


@compensate(shop.undo)
def send(name: str) -> str:
    die("send")
    shop.LOG.append(("do", name))
    return name


@saga
def packing() -> str:
    return send(pack("box"))


def test_step_in_step(journal: Journal, tmp_path: Path) -> None:
    """What ran inside a step that was over is not asked for again when the function is run again."""
    assert packing() == "LABEL on box"
    (whole,) = people.listed(("done",))
    intents = [json.loads(each.body) for each in people.show(whole.id).records if each.kind is Kind.INTENT]
    assert [each.get("parent") for each in intents] == [None, 1, None]
    shop.LOG.clear()
    killed(tmp_path, "edges.packing()", at="send")
    ((id_, fate),) = people.recover().items()
    assert fate is State.DONE
    assert shop.LOG == [("do", "LABEL on box")]
    assert people.show(id_).records[-1].body == '{"result":"LABEL on box"}'


# Functions and steps that Python has not made.


class Compiled:
    """A function as compilers of Python make them: it has a name, and no code that could be looked at."""

    def __init__(self, function: Callable[..., str]) -> None:
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> str:
        found: str = vars(self)["__wrapped__"](*args, **kwargs)
        return found


@saga
@Compiled
def compiled(name: str, times: int = 1) -> str:
    RUNS.append((name, times))
    return send(name) * times


def test_compiled_function(journal: Journal, tmp_path: Path) -> None:
    """A function that is not of Python's own making is a saga too; it is run again with the arguments as given."""
    assert compiled("b") == "b"
    killed(tmp_path, "edges.compiled('a', times=2)", at="send")
    (id_,) = people.recover()
    assert RUNS == [("b", 1), ("a", 2)]
    assert people.show(id_).records[-1].body == '{"result":"aa"}'


def noting(state: dict[str, Any]) -> None:
    STATES.append(state)
    die("undo")
    shop.happen("undo", "noted")


class Unsigned:
    """A callable that does not tell its parameters, as some of C do not."""

    __signature__ = "unknown"

    def __call__(self, *args: str, **kwargs: str) -> str:
        return "done"


def left(step: Callable[..., object], *args: object, **kwargs: object) -> str:
    """Run a saga of one step that fails, and whose undoing fails; give its identity."""
    shop.FAULTS["undo noted"] = OSError("disk")
    with pytest.raises(CompensationError), saga("order") as block:
        step(*args, **kwargs)
        raise ConnectionError("no")
    shop.FAULTS.clear()
    STATES.clear()
    return block.id  # type: ignore[attr-defined,no-any-return]


def test_step_without_signature(journal: Journal) -> None:
    """The undo of a step whose parameters nobody knows gets its arguments in `args` and `kwargs` all the same."""
    id_ = left(compensate(noting)(Unsigned()), "a", size="b")
    assert people.recover() == {id_: State.COMPENSATED}
    (state,) = STATES
    assert (state["args"], state["kwargs"], state["size"], state["result"]) == (("a",), {"size": "b"}, "b", "done")


@compensate(noting, save_state=False)
def private(card: str) -> str:
    return card


def test_private_step(journal: Journal) -> None:
    """With `save_state=False` nothing of the call is written, and the undo gets the error alone, in any process."""
    id_ = left(private, "4111")
    assert people.recover() == {id_: State.COMPENSATED}
    assert not any("4111" in each.body for each in people.show(id_).records)
    (state,) = STATES
    assert list(state) == ["error"]
    assert repr(state["error"]) == "ConnectionError('no')"


# What undoing is told, and what it cannot be told.


@compensate(noting)
def failing(name: str) -> None:
    raise ConnectionError(f"no {name}")


@saga
def fails() -> None:
    failing("a")


@pytest.mark.parametrize("code", ["edges.fails()", "with saga('block'): edges.failing('a')"])
def test_killed_in_own_undo(journal: Journal, tmp_path: Path, code: str) -> None:
    """A step that failed, and whose process was killed in its undo, is undone again with its own error."""
    killed(tmp_path, code, at="undo")
    (fate,) = people.recover().values()
    assert fate is State.COMPENSATED
    (state,) = STATES
    assert repr(state["error"]) == "ConnectionError('no a')"
    assert state["name"] == "a"


@dataclass(frozen=True)
class Card:
    number: str


@compensate(noting)
def charge(card: Card) -> None:
    """Take nothing."""


def test_class_is_gone(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A saga whose arguments cannot be made again waits for a person; with the class back it is undone."""
    id_ = left(charge, Card("7"))
    with monkeypatch.context() as patch:
        patch.delattr(sys.modules[__name__], "Card")
        assert people.recover() == {id_: State.STUCK}
    assert people.show(id_).head.reason == "saga 'order' cannot be undone: tests.sagas.test_calls_edges has no 'Card'"
    assert STATES == []
    people.retry(id_)
    assert people.recover() == {id_: State.COMPENSATED}
    assert STATES[0]["card"] == Card("7")
