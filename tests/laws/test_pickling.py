"""Every decorated kind of callable pickles, copies and goes to another process (G6)."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING, Any

import pytest

import recoup
from tests.laws.decorated import PRESENT, STREAMS_REFUSED, forget, module, unlisted

if TYPE_CHECKING:
    from collections.abc import Iterator

FUNCTIONS = ["function", "anything", "surprising", "coroutine", "stream", "async_stream", "caller"]
METHODS = ["method", "coroutine", "class_outside", "class_inside", "static_outside", "static_inside"]


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    yield
    forget()


def copies(value: Any) -> Iterator[Any]:
    """Give a value as it arrives by every way."""
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        yield pickle.loads(pickle.dumps(value, protocol))  # noqa: S301 - our own data
    yield copy.copy(value)
    yield copy.deepcopy(value)


def bound(value: Any) -> tuple[object, object]:
    """Take a bound method apart: two are equal only if they have the very same object."""
    return getattr(value, "__func__", None), getattr(value, "__self__", None)


def changed(value: Any) -> Iterator[str]:
    """A function arrives as itself, a bound method as one of an equal object."""
    try:
        for found in copies(value):
            if found is not value and not (type(found) is type(value) and bound(found) == bound(value) != (None, None)):
                yield f"{value!r} arrives as {found!r}"
    except Exception as problem:  # noqa: BLE001 - whatever it is, it is the complaint
        yield f"{value!r}: {problem!r}"


@pytest.mark.parametrize("name", PRESENT)
@pytest.mark.parametrize("kind", FUNCTIONS)
def test_functions(name: str, kind: str) -> None:
    """A decorated thing at module level arrives as the very same thing."""
    if "stream" in kind and name in STREAMS_REFUSED:
        with pytest.raises(TypeError, match="generator"):
            getattr(recoup, name)(copies)
    else:
        assert not list(changed(getattr(module(name), kind)))


@pytest.mark.parametrize("name", PRESENT)
@pytest.mark.parametrize("kind", METHODS)
def test_methods(name: str, kind: str) -> None:
    """A decorated method arrives as itself when it is looked up in the class, bound to an equal object when bound."""
    made = module(name)
    assert not list(changed(getattr(made.Thing, kind)))
    assert not list(changed(getattr(made.thing, kind)))
    assert not list(changed(made.Thing.Inner.method))
    if "coroutine" not in kind:
        assert all(found(1) == (1, 2, 3) for found in copies(getattr(made.thing, kind)))


@pytest.mark.parametrize("name", PRESENT)
def test_what_cannot(name: str) -> None:
    """What no name leads to is refused with an error that says so."""
    made = module(name)

    @made.decorator
    def local() -> None: ...

    for value in (local, made.partial):  # a partial has no name of its own
        with pytest.raises(
            (pickle.PicklingError, AttributeError), match=r"(?i)(cannot|can't) (pickle|get local object)"
        ):
            pickle.dumps(value)


def test_all_are_here() -> None:
    """No public decorator is left out."""
    assert not list(unlisted(recoup.__all__))
    assert len(PRESENT) >= 5
    assert list(unlisted(["race", "RetryConfig", "retry", "when"])) == [
        "race is public: say in tests/laws/decorated.py whether it is a decorator"
    ]


def test_can_fail() -> None:
    """A thing that arrives as another one, or not at all, is noticed."""
    assert len(list(changed([1]))) == pickle.HIGHEST_PROTOCOL + 3
    assert list(changed(lambda: None))
