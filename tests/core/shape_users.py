"""Functions with parameters of every kind, and ways to call them."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from recoup._core import shape

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from typing import Any

# Most of these mean something to the pumps in shape_pumps.py.
NAMES = "a b args kwargs error result told fn again self retrying items item x_1".split()  # noqa: SIM905 - easier to read


class Again(Exception):
    """What the pumps retry."""

    again = True


def is_shaped(pump: Callable[..., Any], factory: Callable[..., Any]) -> bool:
    """Tell whether a pump is another one than its factory makes."""
    return pump.__code__ not in getattr(factory, "__code__", is_shaped.__code__).co_consts


def user(a: int, told: int = 2, *, error: int = 3) -> float:
    return a / told / error


@st.composite
def signatures(draw: st.DrawFn) -> str:
    """Make parameter lists."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=7))
    first, second = sorted((draw(st.integers(0, len(names))), draw(st.integers(0, len(names)))))
    defaults = draw(st.integers(0, second))
    shown = [f"{name}={10 + i}" if i >= second - defaults else name for i, name in enumerate(names[:second])]
    if first:
        shown.insert(first, "/")
    keywords = names[second:]
    flags = draw(st.tuples(st.booleans(), st.booleans()))
    star, double_star = (keywords.pop() if keywords and flag else "" for flag in flags)
    if star or keywords:
        shown.append(f"*{star}")
    shown += [f"{name}={20 + i}" if draw(st.booleans()) else name for i, name in enumerate(keywords)]
    if double_star:
        shown.append(f"**{double_star}")
    return ", ".join(shown)


calls = st.tuples(
    st.lists(st.integers(), max_size=6), st.dictionaries(st.sampled_from([*NAMES, "other"]), st.integers(), max_size=4)
)

USERS = """
def probe({0}): ...

def user({0}):
    calls.append(1)
    if len(calls) <= failures:
        raise Again
    return [{2}]

async def user_async({0}):
    return user({1})

def stream({0}):
    yield user({1})

async def stream_async({0}):
    yield user({1})
"""


def users(signature: str, failures: int = 0) -> dict[str, Any]:
    """Make a function of each colour with these parameters; it gives back all it got, after some failures."""
    made: dict[str, Any] = {"calls": [], "failures": failures, "Again": Again}
    exec(USERS.format(signature, "", ""), made)  # noqa: S102 - nothing else makes functions of any signature
    passed: dict[object, str] = {
        inspect.Parameter.VAR_POSITIONAL: "*{0}",
        inspect.Parameter.VAR_KEYWORD: "**{0}",
        inspect.Parameter.KEYWORD_ONLY: "{0}={0}",
    }
    parameters = inspect.signature(made["probe"]).parameters.values()
    on = ", ".join(passed.get(parameter.kind, "{0}").format(parameter.name) for parameter in parameters)
    exec(USERS.format(signature, on, ", ".join(parameter.name for parameter in parameters)), made)  # noqa: S102
    return made


def outcome(function: Callable[..., Any], args: list[int], kwargs: dict[str, int]) -> object:
    """Call a function of any colour; give the result, or the error's type and text."""
    try:
        made = function(*args, **kwargs)
        if inspect.isgenerator(made):
            return list(made)
        if inspect.isasyncgen(made):
            return driven(collected(made))
        return driven(made) if inspect.iscoroutine(made) else made
    except (TypeError, Again) as error:
        return type(error), str(error)


async def collected(stream: AsyncIterator[object]) -> list[object]:
    return [item async for item in stream]


def driven(awaitable: Any) -> object:
    """Run what never really waits, without an event loop."""
    try:
        awaitable.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waits")


def shapely(factory: Callable[..., Any], like: Callable[..., Any], *cells: object) -> Callable[..., Any]:
    """Build a pump that must come out shaped."""
    pump: Callable[..., Any] = shape.build(factory, like, like, *cells)
    assert is_shaped(pump, factory)
    pump.__annotations__ = like.__annotations__
    assert inspect.signature(pump) == inspect.signature(like)
    return pump
