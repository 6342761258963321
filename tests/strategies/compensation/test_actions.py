"""How an action is called is decided by its signature (contract: CompensationConfig)."""

from __future__ import annotations

from functools import partial, wraps
from typing import Any

import pytest

from recoup.strategies.compensation import actions


def nothing() -> str:
    return "called"


def state_only(state: object) -> object:
    return state


def default(order: int = 7) -> int:
    return order


def with_default(state: object, order: int = 7) -> object:
    return state, order


def positional_only(state: object, /) -> object:
    return state


def anything(*args: object, **kwargs: object) -> object:
    return args, kwargs


def keyword(*, order: int = 7) -> int:
    return order


class Release:
    def method(self, state: object) -> object:
        return state

    def without(self) -> str:
        return "called"

    @classmethod
    def of_class(cls, state: object) -> object:
        return state

    @staticmethod
    def of_nothing(state: object) -> object:
        return state

    def __call__(self, state: object) -> object:
        return state


@wraps(state_only)
def foreign(*args: Any, **kwargs: Any) -> object:
    return state_only(*args, **kwargs)


STATE = {"order": 1}


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (nothing, "called"),
        (state_only, STATE),
        (default, 7),
        (with_default, (STATE, 7)),
        (positional_only, STATE),
        (anything, ((), {})),
        (keyword, 7),
        (lambda order=7: order, 7),
        (lambda state: state, STATE),
        (partial(with_default, order=3), (STATE, 3)),
        (partial(state_only, 5), 5),
        (Release().method, STATE),
        (Release().without, "called"),
        (Release.of_class, STATE),
        (Release.of_nothing, STATE),
        (Release(), STATE),
        (foreign, STATE),
        (dict, {}),
    ],
)
def test_the_state_goes_to_those_who_ask(action: Any, expected: object) -> None:
    """A required positional parameter gets the state; a default, `*args` or a keyword does not."""
    actions.check_action("action", action)
    assert actions.begin(action, STATE) == expected


def test_a_type_error_inside_is_not_mistaken() -> None:
    """An action that raises TypeError has run once, not once more in another way."""
    calls = []

    def broken(state: object) -> None:
        calls.append(state)
        raise TypeError("broken() missing 1 required positional argument: 'state'")

    with pytest.raises(TypeError, match="missing 1 required"):
        actions.begin(broken, STATE)
    assert calls == [STATE]


def test_no_signature_means_no_state() -> None:
    """What does not tell its signature is called without the state."""

    class Builtin:
        @property
        def __signature__(self) -> object:
            raise ValueError("no signature found for builtin")

        def __call__(self, *args: object) -> object:
            return args

    assert not actions.takes_state(Builtin())
    assert actions.begin(Builtin(), STATE) == ()
    assert not actions.takes_state(type)


@pytest.mark.parametrize("value", [3, ("release", 1), None])
def test_an_entry_that_came_later_is_checked_when_called(value: Any) -> None:
    """S3: what was appended after the list was checked fails clearly, and only then."""
    with pytest.raises(TypeError, match=r"a compensation action must be callable, not .*: give a function that takes"):
        actions.begin(value, STATE)


def test_asynchronous_actions_are_named() -> None:
    """What is known to be asynchronous is found, behind partials and `__call__` too."""

    async def release(state: object) -> None:
        pass

    class Async:
        async def __call__(self) -> None:
            pass

    listed: list[Any] = [nothing, release, partial(release), Async(), lambda: release(1), 3]
    assert actions.known_async(listed) == [
        "'test_asynchronous_actions_are_named.<locals>.release'",
        "'test_asynchronous_actions_are_named.<locals>.release'",
        "an object of type 'test_asynchronous_actions_are_named.<locals>.Async'",
    ]


def test_awaitables_are_closed_if_they_can_be() -> None:
    """An awaitable without `close` is left alone."""

    class Closing:
        closed = 0

        def close(self) -> None:
            self.closed += 1

    closing = Closing()
    actions.close(closing)
    actions.close(object())
    assert closing.closed == 1
