"""When two calls are the same call (F6)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from recoup._core.arguments import Parameters
from recoup._core.keys import Compound, Keys


@dataclass(frozen=True)
class User:
    name: str


def make(url: object) -> Callable[..., Any]:
    def request() -> object:
        return url

    return request


class Client:
    def __init__(self, base: str) -> None:
        self.base = base

    def get(self, path: str, /, retries: int = 1) -> str:
        return self.base + path * retries

    def __call__(self, path: str) -> str:
        return self.base + path


def unkeyed(problem: str) -> None:
    raise AssertionError(problem)


def of(target: Any) -> Callable[..., Any]:
    return Keys(target, None, unkeyed).of


def test_it_does_not_matter_how_an_argument_is_given() -> None:
    """By position, by name or by default: one call (F6)."""

    def fetch(path: str, base: str = "a", *, timeout: int = 1, **more: int) -> None: ...

    key = of(fetch)
    expected = key("/x", "a", timeout=1)
    assert key("/x") == key("/x", base="a") == key(base="a", path="/x") == key(path="/x", timeout=1) == expected
    assert key("/x", timeout=2) != expected
    assert key("/x", "b") != expected
    assert key("/x", q=1, r=2) == key("/x", r=2, q=1) != key("/x", q=1)

    def first(path: str, /, **more: str) -> None: ...

    assert of(first)("/x", path="/y") != of(first)("/x")

    def rest(*paths: str) -> None: ...

    assert of(rest)("a", "b") != of(rest)("a")


def test_atoms_make_a_plain_key() -> None:
    """A call of strings, numbers and None is a plain tuple, which to compare runs nothing of the user's."""

    def fetch(*args: object, **kwargs: object) -> None: ...

    key = of(fetch)
    assert type(key("a", 1, b"", None)) is tuple
    for args, kwargs in (((True,), {}), ((1.0,), {}), (([],), {}), ((), {"a": 1})):
        assert type(key(*args, **kwargs)) is Compound


def test_a_call_that_the_function_would_refuse() -> None:
    """Arguments that do not fit still make a key; the function itself will complain."""

    def fetch(path: str) -> None: ...

    assert of(fetch)() != of(fetch)("a")
    assert of(fetch)("a", "b") != of(fetch)("a")
    assert of(fetch)("a", path="a") != of(fetch)("a")


def test_callables_without_parameters_of_their_own() -> None:
    """What is no plain function is keyed by the arguments as they come."""
    assert of(len)([1]) == of(len)([1]) != of(len)([2])
    assert of(Client("a"))("x") != of(Client("a"))("x")
    client = Client("a")
    assert of(client.get)("x") == of(client.get)("x", 1) == of(client.get)("x", retries=1)
    assert of(len)([1]) != of(sum)([1])


def test_the_user_may_choose_the_key() -> None:
    """`key=` gets the arguments, in their places, and decides alone."""
    seen = []

    def by(user: Any, *, verbose: bool = False) -> Any:
        seen.append((user, verbose))
        return [user.name]

    def load(user: Any, *, verbose: bool = False) -> None: ...

    key = Keys(load, by, unkeyed).of
    assert key(User("a"), verbose=True) == key(user=User("a")) != key(User("b"))
    assert seen == [(User("a"), True), (User("a"), False), (User("b"), False)]
    assert Keys(load, lambda *_, **__: 1, unkeyed).of(1) != Keys(load, lambda *_, **__: True, unkeyed).of(1)

    def raising(user: Any) -> Any:
        raise LookupError(user)

    with pytest.raises(LookupError, match="a"):
        Keys(make, raising, unkeyed).of("a")


def test_an_awaitable_is_no_key() -> None:
    """A `key` that turns out to be asynchronous is an error, not a key that never fits (G5)."""

    async def later() -> int:
        return 1

    with pytest.raises(TypeError, match="key returned an awaitable"):
        Keys(make, lambda url: later(), unkeyed).of("a")


def test_a_call_without_a_key_is_told() -> None:
    """What cannot be keyed gives None, and words that name the type (F6)."""
    problems: list[str] = []
    key = Keys(make, None, problems.append).of
    assert key(SimpleNamespace()) is None
    assert key(url=SimpleNamespace()) is None
    assert Keys(make, lambda url: SimpleNamespace(), problems.append).of(1) is None
    assert Keys(functools.partial(make, SimpleNamespace()), None, problems.append).of() is None
    assert len(problems) == 4
    assert all("SimpleNamespace" in problem for problem in problems)


def test_parameters_of_a_method_leave_out_the_instance() -> None:
    """A bound method has its own first parameter already."""
    parameters = Parameters.of(Client("a").get)
    assert parameters is not None
    assert parameters.count == 2
    assert parameters.normal(("x",), {}) == (("x", 1), {})
    assert Parameters.of(len) is None
    assert Parameters.of([].append) is None


def test_a_call_is_written_short() -> None:
    """What is the default is left out, at the end and by name; how the call was written makes no difference (F5)."""

    def fetch(
        path: str, base: str = "a", tries: int = 300, *more: int, lang: str = "en", raw: bool = False
    ) -> None: ...

    parameters = Parameters.of(fetch)
    assert parameters is not None
    for args, kwargs, short in (
        (("x",), {}, (("x",), {})),
        (("x", "a", 300), {"lang": "en"}, (("x",), {})),
        ((), {"path": "x", "tries": 300}, (("x",), {})),
        (("x", "a", 2), {}, (("x", "a", 2), {})),
        (("x", "b"), {"lang": "de"}, (("x", "b"), {"lang": "de"})),
        (("x", "a", 300, 4), {"raw": False}, (("x", "a", 300, 4), {})),
        ((), {}, ((), {})),
        ((), {"base": "a"}, ((), {"base": "a"})),
    ):
        assert parameters.short(args, kwargs) == short

    def all_defaults(a: int = 1, *, b: int = 2) -> None: ...

    parameters = Parameters.of(all_defaults)
    assert parameters is not None
    assert parameters.short((1,), {"b": 2}) == ((), {})


def test_an_argument_is_replaced_where_it_stands() -> None:
    """Another value takes the place of an argument that was given by position, and is added by name otherwise (F5)."""

    def fetch(path: str, base: str = "a", **more: object) -> None: ...

    parameters = Parameters.of(fetch)
    assert parameters is not None
    assert parameters.replaced(("x", "a"), {}, "base", "b") == (("x", "b"), {})
    assert parameters.replaced(("x",), {}, "base", "b") == (("x",), {"base": "b"})
    assert parameters.replaced(("x", "a"), {}, "host", "b") == (("x", "a"), {"host": "b"})


def test_a_function_is_looked_at_again_after_its_first_call() -> None:
    """Later closures have the keys of the first, once a call has shown what is no input (contract, Example 1)."""
    seen: list[str] = []

    def closure(url: str) -> Callable[..., Any]:
        def request(page: object) -> str:
            seen.append(url)
            return url

        return request

    request = closure("/a")
    first = Keys(request, None, unkeyed)
    first.learn()  # nothing is known yet
    key = first.of(1)
    request(1)
    first.learn()
    assert first.of(1) == key
    assert Keys(closure("/a"), None, unkeyed).of(1) == key
    assert Keys(closure("/b"), None, unkeyed).of(1) != key
    again = Keys(request, None, unkeyed)
    assert again.of(1) == key
    seen.append("by somebody else")
    again.learn()
    assert again.of(1) == key


def test_only_the_first_call_teaches() -> None:
    """What the program changes between later calls is input, also of a function that is decorated once (contract)."""
    params = {"page": 1}

    def closure() -> Callable[..., Any]:
        def request() -> int:
            return params["page"]

        return request

    keys = Keys(closure(), None, unkeyed)
    key = keys.of()
    keys.learn()
    params["page"] = 2
    keys.learn()
    assert keys.of() == key
    assert Keys(closure(), None, unkeyed).of() != key
    params["page"] = 1
    assert Keys(closure(), None, unkeyed).of() == key
