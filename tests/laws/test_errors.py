"""Every public error goes wherever a program takes it: another process, a copy, a log (G3)."""

from __future__ import annotations

import builtins
import copy
import functools
import math
import pickle
from typing import TYPE_CHECKING

import pytest

import recoup
from recoup import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

CAUSE = ConnectionError("reset")
SAMPLES: list[BaseException] = [
    errors.RecoveryError("text", 1),
    errors.Refusal(name="api", retry_after=2.5),
    errors.RateLimitExceeded(name="api", retry_after=1.5, rate=10, per=1.0, patience=0.5),
    errors.WorkersBusyError(name="api", thread_workers=3),
    errors.IsolationBusyError(name="api", workers=3, waited=0.5),
    errors.WorkerCrashed(name="api", exitcode=-11, started=True, pid=4242),
    errors.UnpicklableError(what="argument 'a' of 'f'", reason="TypeError: no"),
    errors.CircuitBreakerError(
        name="api", wait_time=3.0, last_error_type="OSError", last_error_text="no", last_error_age=1
    ),
    errors.CircuitBreakerError(name="api", wait_time=math.inf),
    errors.BulkheadTimeoutError(name="api", max_concurrent=10, waited=0.5),
    errors.BulkheadFullError(name="api", max_concurrent=10, max_queue_size=100),
    recoup.ThrottledError(name="api", odds=0.25),
    errors.DeadlineExceeded(seconds=2.0, started=True, name="global_timeout", abandoned=True),
    errors.UnacceptableResult({"status": 500}),
    errors.RetryExhausted(attempts=3, elapsed=1.5, reason="max_attempts=3", last_result=None),
    errors.CompensationError(original=CAUSE, failures=[ValueError("undo"), OSError(5, "disk")], undone=2),
    errors.StackWarning("fallback inside retry"),
]


def pickled(error: BaseException, protocol: int) -> BaseException:
    # With fix_imports, protocols below 3 make an OSError of a ConnectionError, for Python 2.
    return pickle.loads(pickle.dumps(error, protocol, fix_imports=False))  # type: ignore[no-any-return]  # noqa: S301 - ours


WAYS: dict[str, Callable[[BaseException], BaseException]] = {
    **{f"pickle {n}": functools.partial(pickled, protocol=n) for n in range(pickle.HIGHEST_PROTOCOL + 1)},
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


def facts(value: object) -> object:
    """Show an error, and errors in it, so that equal ones are equal."""
    if isinstance(value, BaseException):
        return type(value), str(value), [facts(each) for each in value.args], facts(vars(value))
    if isinstance(value, dict):
        return {key: facts(each) for key, each in value.items()}
    return [facts(each) for each in value] if isinstance(value, list | tuple) else value


def changed(error: BaseException) -> Iterator[str]:
    """Every way of copying an error keeps its type, its text and its attributes."""
    for name, way in WAYS.items():
        try:
            found = way(error)
        except Exception as problem:  # noqa: BLE001 - whatever it is, it is the complaint
            yield f"{name} of {type(error).__name__} raises {problem!r}"
        else:
            if facts(found) != facts(error):
                yield f"{name} of {type(error).__name__} gives {facts(found)}, not {facts(error)}"


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
def test_copies(error: BaseException) -> None:
    """A public error pickles, copies and deep-copies with its attributes and its notes."""
    assert not list(changed(error))
    error.add_note("recoup: 3 attempts")
    try:
        raise error from CAUSE
    except type(error):
        assert not list(changed(error))


def missing(names: Iterable[str], samples: Iterable[BaseException]) -> set[str]:
    """Name the public errors that have no sample."""
    classes = {name: getattr(recoup, name, None) or getattr(builtins, name) for name in names}
    kinds = {name for name, kind in classes.items() if isinstance(kind, type) and issubclass(kind, BaseException)}
    return kinds - {type(each).__name__ for each in samples}


def test_all_are_here() -> None:
    """No public error is left out above, and all of `recoup.errors` is public."""
    assert missing([*errors.__all__, *recoup.__all__], SAMPLES) == set()
    assert set(errors.__all__) <= set(recoup.__all__)


class Positional(Exception):
    """The usual mistake: an argument that `args` does not have."""

    def __init__(self, name: str, wait: float) -> None:
        super().__init__(f"{name} waits")


class Forgetful(errors.RecoveryError):
    """Another one: an attribute that is not part of the state."""

    __slots__ = ("wait",)
    wait: float

    def __str__(self) -> str:
        return f"waits {getattr(self, 'wait', None)}"


def test_can_fail() -> None:
    """An error that does not unpickle, or forgets something, is noticed; so is a missing sample."""
    assert len(list(changed(Positional("api", 3)))) == len(WAYS)
    forgetful = Forgetful()
    forgetful.wait = 3
    assert len(list(changed(forgetful))) == len(WAYS)
    assert missing(["retry", "OSError", "Refusal"], SAMPLES) == {"OSError"}
