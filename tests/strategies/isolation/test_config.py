"""What an isolation can be told, and what it refuses (G1, G5)."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any, cast

import pytest

from recoup import Isolation, IsolationConfig, isolate, layers_of
from tests.strategies.isolation import work


def test_defaults() -> None:
    """The defaults are those of the docs."""
    assert IsolationConfig() == IsolationConfig(
        workers=4,
        timeout=None,
        max_queue_size=100,
        queue_timeout=30.0,
        max_calls_per_worker=None,
        start_method="spawn",
        initializer=None,
        start_timeout=60.0,
        kill_grace=1.0,
    )
    assert IsolationConfig(timeout=timedelta(minutes=1)).timeout == 60.0
    assert IsolationConfig(initializer=partial(work.remember, "a"), start_method="forkserver").initializer


@pytest.mark.parametrize(
    ("field", "value", "error", "message"),
    [
        ("workers", 0, ValueError, "workers must be at least 1, not 0"),
        ("workers", True, TypeError, "workers must be a whole number"),
        ("timeout", 0, ValueError, "timeout must be greater than 0"),
        ("timeout", float("nan"), ValueError, "timeout must be"),
        ("max_queue_size", -1, ValueError, "max_queue_size must be at least 0"),
        ("queue_timeout", 0, ValueError, "queue_timeout must be greater than 0"),
        ("max_calls_per_worker", 0, ValueError, "max_calls_per_worker must be at least 1"),
        ("start_method", "fork", ValueError, "not 'fork': a copy of a process with threads is not safe to run"),
        ("start_method", 1, TypeError, 'start_method must be "spawn" or "forkserver", not 1'),
        ("initializer", 1, TypeError, "initializer must be callable or None"),
        ("initializer", lambda: None, ValueError, "initializer must be a function of a module, .* not '.*<lambda>'"),
        ("initializer", partial(lambda: None), ValueError, "not '.*<lambda>'"),
        ("start_timeout", 0, ValueError, "start_timeout must be greater than 0"),
        ("kill_grace", -1, ValueError, "kill_grace must be at least 0"),
    ],
)
def test_bad_values_are_refused(field: str, value: Any, error: type[Exception], message: str) -> None:
    """A bad value is refused when the config is made, by name (G1), and changes nothing later."""
    with pytest.raises(error, match=message):
        IsolationConfig(**{field: value})
    isolation = Isolation()
    with pytest.raises(error, match=message):
        isolation.reconfigure(**{field: value})
    assert isolation.config == IsolationConfig()


def test_what_cannot_go_to_another_process_is_refused() -> None:
    """Async functions, generators, lambdas and local functions are refused at decoration, with what to do (G5)."""

    def local() -> None: ...

    async def later() -> None: ...

    def stream() -> Any:
        yield 1

    class Local:
        def __call__(self) -> None: ...

    with pytest.raises(TypeError, match="local' is a lambda or was made inside a function"):
        isolate(local)
    with pytest.raises(TypeError, match="<lambda>' is a lambda"):
        isolate(workers=2)(lambda: 1)
    with pytest.raises(TypeError, match="is a lambda or was made inside a function"):
        isolate(partial(local))
    with pytest.raises(TypeError, match="__call__' is a lambda or was made inside"):
        isolate()(Local())
    with pytest.raises(TypeError, match="later' is asynchronous, and cannot run in a worker process: isolate a plain"):
        isolate(later)
    with pytest.raises(TypeError, match="stream' is a generator, whose steps belong to its consumer"):
        isolate(stream)
    with pytest.raises(TypeError, match="is a lambda"):
        Isolation().execute_sync(lambda: 1)


def test_the_decorator_takes_what_all_take() -> None:
    """@isolate, with keywords, with a config and with an object (G6)."""
    shared = Isolation(IsolationConfig(workers=3), name="shared")
    assert layers_of(isolate(shared)(work.add)) == (shared,)
    (made,) = layers_of(isolate(IsolationConfig(workers=7))(work.add))
    assert repr(made) == "<Isolation 'add' running=0/7 waiting=0/100>"
    (bare,) = layers_of(isolate(work.add))
    assert isinstance(bare, Isolation)
    with pytest.raises(TypeError, match="did you mean 'workers'"):
        isolate(worker=1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]  # that is the point
    with pytest.raises(TypeError, match="config must be a IsolationConfig"):
        Isolation(cast("Any", 3))
