"""The ways of writing `@compensate`, what it refuses, and what it can be put on (rules G1, G5, G6, G9)."""

from __future__ import annotations

import asyncio
import math
import pickle
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from recoup import explain, layers_of, retry
from recoup._core.chain import Pending
from recoup.strategies.compensation.config import CompensationConfig
from recoup.strategies.compensation.pumps import compensating, compensating_async
from recoup.strategies.compensation.strategy import Compensation, compensate

if TYPE_CHECKING:
    from tests.conftest import Both

DIARY: list[Any] = []


def undo(state: Any) -> None:
    DIARY.append(state.get("order"))


async def undo_async(state: Any) -> None:
    await asyncio.sleep(0)
    DIARY.append(state.get("order"))


def place(order: int) -> None:
    """Place an order."""
    raise ValueError(order)


@compensate(undo)
def at_module_level(order: int) -> None:
    """Place an order."""
    raise ValueError(order)


@pytest.fixture(autouse=True)
def _diary() -> None:
    DIARY.clear()


@pytest.mark.parametrize(
    "decorator",
    [
        compensate(undo),
        compensate([undo]),
        compensate((undo,)),
        compensate(CompensationConfig(compensation_actions=[undo])),
        compensate(CompensationConfig(compensation_actions=[undo]), name="order"),
        compensate(Compensation(CompensationConfig(compensation_actions=[undo]))),
        compensate(compensation_actions=[undo]),
        compensate(undo, saga_timeout=3, name="order"),
        compensate(undo, use_sagas=True, save_state=True, raise_original=True, compensation_attempts=2),
        Compensation(CompensationConfig(compensation_actions=[undo]), name="order"),
    ],
)
def test_every_way_of_writing_it(both: Both, decorator: Any) -> None:
    """An action, a list, a config, a strategy object and keywords all mean the same."""
    with pytest.raises(ValueError, match="7"):
        both.call(decorator(both.wrap(place)), 7)
    assert DIARY == [7]


def test_names() -> None:
    """The object is called as it was told, or like the first function it is put on."""
    assert compensate(undo).name == "compensation"
    assert compensate(undo, name="order").name == "order"
    unnamed = compensate(undo)
    unnamed(place)
    assert unnamed.name == "place"
    assert repr(unnamed) == "<Compensation 'place' actions=1>"


def test_one_object_is_shared() -> None:
    """A strategy object given to several functions stays one object."""
    shared = Compensation(CompensationConfig(compensation_actions=[undo]))
    assert compensate(shared) is shared
    assert layers_of(shared(place)) == layers_of(compensate(shared)(place)) == (shared,)


@pytest.mark.parametrize(
    ("args", "options", "message"),
    [
        ((), {}, "compensate() needs to know how to undo: write @compensate(undo), or give a list of actions"),
        ((None,), {"saga_timeout": 3}, "compensate() needs to know how to undo"),
        ((undo,), {"compensation_actions": [undo]}, "compensate() got actions twice"),
        ((3,), {}, "compensation_actions must be a list of callables, not 3"),
        (("undo",), {}, "compensation_actions must be a list of callables, not 'undo'"),
        ((undo,), {"timeout": 3}, "compensation() got an unexpected keyword argument 'timeout'"),
        ((undo,), {"saga_timout": 3}, "did you mean 'saga_timeout'?"),
        ((undo,), {"name": 3}, "name must be a non-empty string or None, not 3"),
        ((CompensationConfig(),), {"save_state": True}, "takes a config or keywords, not both"),
        ((Compensation(),), {"name": "order"}, "takes keywords alone or with a config"),
        ((lambda one, two: None,), {}, "if 'test_refusals.<locals>"),
    ],
)
def test_what_it_refuses(args: Any, options: Any, message: str) -> None:
    """G1: a decorator that cannot mean anything says so at once."""
    if "refusals" in message:
        message = "is what you want to protect, write @compensate(undo) above it"
    with pytest.raises(TypeError) as caught:
        compensate(*args, **options)
    assert message in str(caught.value)


@pytest.mark.parametrize("config", [3, {}, CompensationConfig])
def test_a_config_is_a_config(config: Any) -> None:
    """G1: the strategy object takes a CompensationConfig."""
    with pytest.raises(TypeError, match="config must be a CompensationConfig, not"):
        Compensation(config)


def test_a_bare_use_is_found_out() -> None:
    """`@compensate` directly above a function makes that function the action; calling the result says so."""

    @compensate
    def place_order(order: int) -> None:
        raise AssertionError("must not run")

    advice = "if you wrote @compensate above '.*place_order' to protect it, write @compensate\\(undo\\)"
    used: Any = place_order
    for args, options in (((7,), {}), ((), {}), ((), {"order": 7}), ((place, 7), {})):
        with pytest.raises(TypeError, match=advice):
            used(*args, **options)


def test_a_bare_use_on_a_function_of_two_is_found_at_once() -> None:
    """What cannot be an action is refused when it is decorated."""
    with pytest.raises(TypeError, match=r"asks for order, card.*write @compensate\(undo\) above it"):

        @compensate
        def place_order(order: int, card: str) -> None: ...


def test_other_objects_keep_their_errors() -> None:
    """Only a lone function can have been a bare use; other strategy objects answer as ever."""
    with pytest.raises(TypeError, match="is not callable: recoup decorates functions"):
        compensate(undo, name="order")(7)  # type: ignore[type-var]
    with pytest.raises(TypeError, match="positional argument"):
        compensate([undo])()  # type: ignore[call-arg]


@pytest.mark.parametrize("action", [undo_async, partial(undo_async)])
def test_async_actions_are_refused_round_sync_functions(action: Any) -> None:
    """G9: what is known to be async is refused where nobody can await it, and welcome elsewhere."""
    with pytest.raises(TypeError, match="compensation action 'undo_async' is async, but 'place' is synchronous"):
        compensate(action)(place)
    with pytest.raises(TypeError, match="is async, but 'place' is synchronous and cannot await"):
        compensate(action).execute_sync(place, 7)

    async def place_async(order: int) -> None:
        raise ValueError(order)

    with pytest.raises(ValueError, match="7"):
        asyncio.run(compensate(action)(place_async)(7))
    assert DIARY == [7]


@pytest.mark.parametrize("field", ["on_compensation_start", "on_compensation_complete"])
def test_async_callbacks_are_refused_round_sync_functions(field: str) -> None:
    """G9: as for actions."""
    options: Any = {field: undo_async}
    decorator = compensate(undo, **options)
    with pytest.raises(TypeError, match=f"{field} of compensation is an async function, but 'place' is synchronous"):
        decorator(place)


def test_entries_added_since_are_checked_at_decoration() -> None:
    """G1: a list that has got a wrong entry since the config was made is refused when it is used."""
    actions: list[Any] = []
    decorator = compensate(actions)
    actions.append(("release", 1))
    with pytest.raises(TypeError, match=r"compensation_actions\[0\] must be callable"):
        decorator(place)


class Orders:
    """Every kind of method."""

    @compensate(undo)
    def method(self, order: int) -> None:
        raise ValueError(order)

    @compensate(undo)
    @classmethod
    def of_class(cls, order: int) -> None:
        raise ValueError(order)

    @classmethod
    @compensate(undo)
    def of_class_inside(cls, order: int) -> None:
        raise ValueError(order)

    @compensate(undo)
    @staticmethod
    def of_nothing(order: int) -> None:
        raise ValueError(order)

    @compensate(undo)
    async def method_async(self, order: int) -> None:
        raise ValueError(order)

    def __call__(self, order: int) -> None:
        raise ValueError(order)


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (Orders().method, (7,)),
        (Orders().of_class, (7,)),
        (Orders.of_class_inside, (7,)),
        (Orders().of_nothing, (7,)),
        (compensate(undo)(Orders()), (7,)),
        (compensate(undo)(partial(place, 7)), ()),
        (compensate(undo)(partial(place, order=7)), ()),
        (compensate(undo)(partial(place)), (7,)),
        (at_module_level, (7,)),
    ],
)
def test_every_kind_of_callable(function: Any, args: Any) -> None:
    """G5: methods, class and static methods, partials and callable objects are undone with their arguments by name."""
    with pytest.raises(ValueError, match="7"):
        function(*args)
    assert DIARY == [7]


def test_async_methods() -> None:
    """G5: async methods, and plain functions that return a coroutine, are undone when the coroutine has failed."""
    with pytest.raises(ValueError, match="7"):
        asyncio.run(Orders().method_async(7))
    assert DIARY == [7]

    async def place_async(order: int) -> None:
        DIARY.append("runs")
        raise ValueError(order)

    def disguised_as_plain(order: int) -> Any:
        return place_async(order)

    disguised = compensate(undo)(disguised_as_plain)
    with pytest.raises(ValueError, match="8"):
        asyncio.run(disguised(8))
    assert DIARY == [7, "runs", 8]


def test_a_coroutine_that_is_handed_on_is_no_end(both: Both) -> None:
    """G5: the signal that a plain function has returned a coroutine passes both pumps neutrally."""

    async def later() -> None: ...

    def fail() -> None:
        raise Pending(coroutine)

    def never(*args: Any) -> Any:
        raise AssertionError("must not be called")

    coroutine = later()
    factory: Any = compensating_async if both.is_async else compensating
    with pytest.raises(Pending) as caught:
        both.call(factory(both.wrap(fail), lambda: None, never, never, never, never))
    assert not hasattr(caught.value, "__notes__")
    coroutine.close()


def test_explained() -> None:
    """G14: `explain` says what is undone and how, and counts its time."""
    listed = compensate([undo, place], use_sagas=True, saga_timeout=9, compensation_attempts=2)
    [says] = explain(listed(place)).says
    assert " ".join(says) == (
        "on any error runs 'undo', 'place' in reverse, 9 s at most, 2 tries each; "
        "then the error, or CompensationError if an action failed, goes on"
    )
    assert explain(compensate([], raise_original=True)(place)).says == (
        ("on any error runs what its list holds by then, 300 s at most; then the error goes on",),
    )

    async def place_async() -> None: ...

    limited = retry(max_attempts=2, attempt_timeout=3, backoff_strategy="fixed", initial_delay=1, jitter_range=0)
    assert explain(listed(limited(place_async))).worst_seconds == 2 * 3 + 1 + 9
    assert explain(listed(place)).worst_seconds == math.inf


def test_the_function_stays_what_it_was() -> None:
    """G6: name, docstring and colour are kept, and it pickles."""
    assert (at_module_level.__name__, at_module_level.__doc__) == ("at_module_level", "Place an order.")
    assert pickle.loads(pickle.dumps(at_module_level)) is at_module_level  # noqa: S301 - our own bytes
