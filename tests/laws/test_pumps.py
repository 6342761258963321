"""Both colours of a pump are one text, and a pump decides nothing (house.md, "How each strategy is written once")."""

from __future__ import annotations

import importlib
import textwrap
from typing import TYPE_CHECKING

import pytest

from recoup._core.shape import Shape, _shaped
from tests.laws.pumps import arguments, decisions, factories, stale, twins
from tests.laws.source import Module, modules

if TYPE_CHECKING:
    from tests.laws.pumps import Factory

FOUND = [factory for module in modules() for factory in factories(module)]

ENDS = dict.fromkeys(
    ["calling", "recovering", "finishing", "resuming", "invoking"],
    "an end of a chain, where the colours meet: it finds out whether a call gave a coroutine",
)
NO_TWIN = {f"_core.chain.{name}": reason for name, reason in ENDS.items()} | {
    "_core.limiting.limiting": "the deadline: only async work is cancelled, and has to look at how it ended",
    "_core.limiting.limiting_async": "the deadline, as above",
    "strategies.hedge.pumps.hedging_async": "nothing can cancel a plain function that lost, so none is hedged",
}
DECIDES = {f"_core.chain.{name}": reason for name, reason in ENDS.items() if name != "recovering"}
# What else than the function itself is given the arguments, and why it does not matter that they come bound.
BOUND = {
    "adopted": "the asynchronous chain round the same function",
    "begin": "binds them itself: before_retry sees every call the same way (R11)",
    "desk.refreshed(run, fn)": "calls the function, for a later caller",
    "glance": "binds them itself, as `keyed`",
    "job.run": "calls the function, in a thread",
    "judge": "binds them itself: a predicate of a call sees every call the same way",
    "keyed": "binds them itself: a key is the same however the call is written (F6)",
    "pack": "binds them itself: the saved state shows every call the same way (S1)",
    "weigh": "binds them itself: a weight and a key are the same however the call is written",
    "race.run": "calls the function, perhaps twice, in tasks",
    "source.again": "what it gets must not depend on the shape; test_shapes.py tries it",
}


def test_colours_are_one_text() -> None:
    """Every pump exists in both colours, which differ in `async` and `await` alone."""
    assert len(FOUND) > 20
    assert not list(twins(FOUND, NO_TWIN))


def test_pumps_decide_nothing() -> None:
    """No arithmetic, no comparison, no literal in a pump: it asks its state object."""
    assert not list(decisions(FOUND, DECIDES))


def test_pumps_pass_arguments_on() -> None:
    """A pump does nothing with its arguments but pass them on, to the function or to somebody who is listed here."""
    assert not list(arguments(FOUND, BOUND))


def test_exemptions_are_needed() -> None:
    """An exemption exists, and without it the law would be broken."""
    for law, exempt in (
        (twins, NO_TWIN),
        (decisions, DECIDES),
    ):
        assert not list(stale(FOUND, exempt))
        broken = "\n".join(law(FOUND))
        assert [name for name in exempt if f"{name.removesuffix('_async')}" not in broken] == []
    called = "\n".join(arguments(FOUND, []))
    assert [name for name in BOUND if f"`{name}`" not in called] == []


@pytest.mark.parametrize("factory", FOUND, ids=lambda each: each.name)
def test_pumps_can_be_shaped(factory: Factory) -> None:
    """Every pump can have the user's parameters: none is slow because `shape.py` silently declines it."""
    made = getattr(importlib.import_module(factory.module), factory.node.name)
    for shape in (Shape(2, (), star=False, double_star=False), Shape(1, ("a", "b"), star=True, double_star=True)):
        assert Shape.of(_shaped(made, shape)).size == shape.size


def sample(text: str) -> list[Factory]:
    return list(factories(Module("recoup.sample", textwrap.dedent(text))))


GOOD = """
    def waiting(fn: Fn, sleep: Sleep) -> Fn:
        '''Doc.'''
        def waiting(*args: Any, **kwargs: Any) -> Any:
            delay: float = None
            with gate:
                for each in steps:
                    sleep(delay)
            cursor = Cursor(fn(*args, **kwargs))
            yield cursor
            return cursor.value
        return waiting

    def waiting_async(fn: AsyncFn, sleep: AsyncSleep) -> AsyncFn:
        '''Another doc.'''
        async def waiting(*args: Any, **kwargs: Any) -> Any:
            delay: float | None = None
            async with gate:
                async for each in steps:
                    await sleep(delay)
            cursor = AsyncCursor(fn(*args, **kwargs))
            yield cursor
        return waiting
"""


def test_good_sample() -> None:
    """Async and await, counterparts, types, docstrings and a generator's value are all that may differ."""
    found = sample(GOOD)
    assert [each.name for each in found] == ["sample.waiting", "sample.waiting_async"]
    assert not [*twins(found), *decisions(found), *arguments(found, []), *stale(found, ["sample.waiting"])]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("await sleep(delay)", "await sleep()", "differ in more"),
        ("await sleep(delay)", "await sleep(delay); return", "differ in more"),
        ("async for each in steps", "async for each in others", "differ in more"),
        ("async with gate", "with other", "differ in more"),
        ("AsyncFn, sleep:", "AsyncFn, rest:", "differ in more"),
        ("return cursor.value", "return cursor.other", "differ in more"),
        ("def waiting_async", "def lingering_async", "has no twin"),
        ("def waiting_async", "def lingering", "ends in _async"),
        ("async def waiting", "def waiting", "ends in _async"),
    ],
)
def test_twins_can_fail(old: str, new: str, complaint: str) -> None:
    """Any difference between the colours is noticed."""
    assert complaint in "\n".join(twins(sample(GOOD.replace(old, new))))


@pytest.mark.parametrize(
    "decision",
    [
        *("delay * other", "-delay", "delay == other", "delay is other", "None is not delay < other"),
        *("1", "'text'", "f'{delay}'", "delay[other]", "[each for each in delay]", "lambda: delay"),
    ],
)
def test_decisions_can_fail(decision: str) -> None:
    """Whatever computes or compares is noticed, in either colour."""
    found = sample(GOOD.replace("sleep(delay)", f"sleep({decision})"))
    complaints = list(decisions(found))
    assert len(complaints) >= 2
    assert all("decides something by itself" in each for each in complaints)


@pytest.mark.parametrize(
    "allowed", ["delay is None", "delay is not None and other", "not delay", "not (a or b)", "True"]
)
def test_answers_may_be_followed(allowed: str) -> None:
    """A pump may follow and join the answers of others."""
    assert not list(decisions(sample(GOOD.replace("sleep(delay)", f"sleep({allowed})"))))


@pytest.mark.parametrize(
    ("used", "complaint"),
    [
        ("other(*args, **kwargs)", "not listed"),
        ("fn.other(*args, **kwargs)", "not listed"),
        ("fn(*args)", "otherwise"),
        ("fn(delay, *args, **kwargs)", "otherwise"),
        ("fn(args, kwargs)", "otherwise"),
        ("fn(args[0])", "otherwise"),
    ],
)
def test_arguments_can_fail(used: str, complaint: str) -> None:
    """Any other use of the arguments is noticed."""
    assert complaint in "\n".join(arguments(sample(GOOD.replace("fn(*args, **kwargs)", used)), ["listed"]))


def test_stale_can_fail() -> None:
    """An exemption for nobody is noticed."""
    assert list(stale(sample(GOOD), ["sample.gone"])) == ["sample.gone is exempt but does not exist"]
