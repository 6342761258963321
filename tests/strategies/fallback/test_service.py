"""The same call against another base (F5)."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import pytest

import recoup
from recoup import Fallback, FallbackConfig, circuit_breaker, deadline, explain, layers_of, retry

if TYPE_CHECKING:
    from recoup.testing import VirtualClock
    from tests.conftest import Both

fallback: Any = recoup.fallback  # called in every way, wrong ones included


BACKUP = "https://backup"


class Down(Exception):
    pass


def asked(base: str, *args: object, **more: object) -> Any:
    """Answer at the backup, fail anywhere else."""
    if not base.startswith(BACKUP):
        raise Down(base)
    return (base, *args, *sorted(more.items()))


def fetch(path: str, base: str = "https://main", *, lang: str = "en") -> Any:
    return asked(base, path, lang)


async def fetch_later(path: str, base: str = "https://main", *, lang: str = "en") -> Any:
    return asked(base, path, lang)


def first(base: str, path: str, /, **more: object) -> Any:
    return asked(base, path, **more)


def keyword(path: str, *, base: str) -> Any:
    return asked(base, path)


def anything(**options: Any) -> Any:
    return asked(**options)


def test_a_url_takes_the_place_of_an_argument(both: Both) -> None:
    """The function is called once more with the URL as the argument that was named, however that was given (F5)."""
    decorate = fallback(fallback_service=BACKUP, service_argument="base")
    load = decorate(fetch_later if both.is_async else fetch)
    calls: list[tuple[tuple[str, ...], dict[str, str]]] = [
        (("/x",), {}),
        (("/x", "https://main"), {}),
        (("/x",), {"base": "https://main"}),
        ((), {"path": "/x"}),
        (("/x",), {"lang": "en"}),
    ]
    for args, kwargs in calls:
        assert both.call(load, *args, **kwargs) == (BACKUP, "/x", "en")
    assert both.call(load, "/x", lang="de") == (BACKUP, "/x", "de")
    assert both.call(load, "/x", "https://backup-2") == ("https://backup-2", "/x", "en")


def test_every_kind_of_parameter(both: Both) -> None:
    """Keyword-only, `**` and foreign wrappers take the URL by name (F5)."""

    @functools.wraps(keyword)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return keyword(*args, **kwargs)

    decorate = fallback(fallback_service=BACKUP, service_argument="base")
    assert decorate(keyword)("/x", base="https://main") == (BACKUP, "/x")
    assert decorate(wrapped)("/x", base="https://main") == (BACKUP, "/x")
    assert decorate(anything)(base="https://main", q=1) == (BACKUP, ("q", 1))
    assert both.execute(decorate, both.wrap(fetch), "/x") == (BACKUP, "/x", "en")
    assert decorate.execute_sync(functools.partial(fetch, lang="de"), "/x") == (BACKUP, "/x", "de")


class Client:
    @fallback(fallback_service=BACKUP, service_argument="base")
    def get(self, path: str, base: str = "https://main") -> Any:
        return asked(base, path)

    @fallback(fallback_service=BACKUP, service_argument="base")
    @classmethod
    def make(cls, path: str, base: str = "https://main") -> Any:
        return asked(base, cls.__name__, path)

    def __call__(self, path: str, base: str = "https://main") -> Any:
        return asked(base, path)


def test_methods_and_objects() -> None:
    """A method keeps its instance, a class method its class, an object itself (F5, G5)."""
    client = Client()
    assert client.get("/x") == client.get("/x", "https://main") == (BACKUP, "/x")
    assert Client.make("/x") == (BACKUP, "Client", "/x")
    decorate = fallback(fallback_service=BACKUP, service_argument="base")
    assert decorate(client)("/x") == (BACKUP, "/x")
    assert decorate(client.__call__)("/x", "https://main") == (BACKUP, "/x")


def test_several_urls(both: Both) -> None:
    """They are asked in order (F1: a chain of fallbacks is a list)."""
    seen: list[str] = []

    def load(base: str = "main") -> str:
        seen.append(base)
        if base != "third":
            raise Down
        return base

    async def load_later(base: str = "main") -> str:
        return load(base)

    decorate = fallback(fallback_service=["first", lambda: load("second"), "third"], service_argument="base")
    assert both.call(decorate(load_later if both.is_async else load)) == "third"
    assert seen == ["main", "first", "second", "third"]


def test_the_backup_may_fail_as_well(both: Both) -> None:
    """Then its error comes out, caused by the first (F1)."""
    decorate = fallback(fallback_service="https://other", service_argument="base")
    with pytest.raises(Down, match="https://other") as caught:
        both.call(decorate(fetch_later if both.is_async else fetch), "/x")
    assert isinstance(caught.value.__cause__, Down)
    assert caught.value.__cause__.args == ("https://main",)


def test_a_url_without_a_name_answers_nothing(both: Both) -> None:
    """Where it alone would have to answer, the error comes out with a note that says how to name the argument (F5)."""
    error = Down("x")

    @fallback(fallback_service=["https://backup", "https://other"])
    @both.wrap
    def load() -> None:
        raise error

    for _ in range(2):
        with pytest.raises(Down) as caught:
            both.call(load)
        assert caught.value is error
        assert error.__context__ is None
        assert error.__notes__ == [
            (
                "recoup: fallback_service 'https://backup' was not asked: name the parameter of the function that "
                "takes the URL with service_argument=..., or give a callable"
            )
        ]


def test_a_url_without_a_name_is_passed_over(both: Both) -> None:
    """Any other source answers, and nothing is noted on an error that is not ours to answer (F1, F5)."""
    for options in (
        {"fallback_value": 1},
        {"fallback_function": lambda: 1},
        {"fallback_service": [BACKUP, lambda *_: 1]},
    ):
        error = Down()

        @both.wrap
        def load(error: Exception = error) -> None:
            raise error

        assert both.call(fallback(**{"fallback_service": BACKUP, **options})(load)) == 1
        assert not hasattr(error, "__notes__")
    other = LookupError()

    @fallback(fallback_service=BACKUP, on=Down)
    @both.wrap
    def fail() -> None:
        raise other

    with pytest.raises(LookupError):
        both.call(fail)
    assert not hasattr(other, "__notes__")


@pytest.mark.parametrize("target", [first, lambda: None, lambda path: path, lambda *base: base])
def test_a_function_that_takes_no_such_argument(target: Any) -> None:
    """It is refused at decoration, with the name (F5, G1)."""
    if target is first:
        target = lambda base, path, /: None  # noqa: E731 - positional-only: it cannot be given by name
    with pytest.raises(TypeError, match=r"service_argument is 'base', but .* takes no argument of that name"):
        fallback(fallback_service=BACKUP, service_argument="base")(target)
    with pytest.raises(TypeError, match="takes no argument of that name"):
        fallback(fallback_service=BACKUP, service_argument="base").execute_sync(target)


def test_a_function_that_does_not_tell() -> None:
    """Without a signature the URL is given by name, and the function says what it thinks of that (F5)."""
    load = fallback(fallback_service=BACKUP, service_argument="base")(max)
    with pytest.raises(TypeError, match="'base'") as caught:
        load(5)
    assert "iterable" in str(caught.value.__cause__)


def test_the_backup_is_no_business_of_inner_layers(both: Both, clock: VirtualClock) -> None:
    """The function itself is called for the backup: an open circuit of the main service does not refuse it (F5)."""
    calls: list[str] = []

    def load(base: str = "main") -> str:
        calls.append(base)
        if base == "main":
            raise Down
        return base

    async def load_later(base: str = "main") -> str:
        return load(base)

    decorated = fallback(fallback_service="backup", service_argument="base")(
        retry(max_attempts=2, initial_delay=0)(
            circuit_breaker(failure_threshold=2)(load_later if both.is_async else load)
        )
    )
    assert [layer.kind for layer in layers_of(decorated)] == ["fallback", "retry", "circuit_breaker"]
    assert both.call(decorated) == "backup"
    assert both.call(decorated) == "backup"
    assert calls == ["main", "main", "backup", "backup"]


def test_a_service_gets_the_arguments(both: Both) -> None:
    """A callable service is called as the function was (F5)."""

    def archive(*args: object, **kwargs: object) -> object:
        return args, kwargs

    @both.wrap
    def load(*args: object, **kwargs: object) -> None:
        raise Down

    assert both.call(fallback(fallback_service=archive)(load), 1, 2, q=3) == ((1, 2), {"q": 3})
    layer = Fallback(FallbackConfig(fallback_service=archive))
    assert both.execute(layer, load, 1, q=3) == ((1,), {"q": 3})


def test_a_service_may_take_less(both: Both) -> None:
    """Defaults of the function are not forced upon a service that does without, or has its own (F5)."""

    def archive(path: str, retries: int = 9) -> object:
        return path, retries

    def load(path: str, retries: int = 3, *, lang: str = "en") -> Any:
        raise Down

    async def load_later(path: str, retries: int = 3, *, lang: str = "en") -> Any:
        raise Down

    load = load_later if both.is_async else load
    for options in ({"fallback_service": archive}, {"fallback_function": archive, "with_arguments": True}):
        layer = Fallback(FallbackConfig(**options))
        for call in (layer(load), functools.partial(layer.execute if both.is_async else layer.execute_sync, load)):
            assert both.call(call, "/x") == ("/x", 9)
            assert both.call(call, path="/x", retries=5) == ("/x", 5)
    partial = functools.partial(raise_down, 1)
    assert Fallback(FallbackConfig(fallback_service=archive)).execute_sync(partial, "/x", retries=3) == ("/x", 3)


def raise_down(*args: object, **kwargs: object) -> Any:
    raise Down


def test_services_count_in_the_worst_case() -> None:
    """G14: a URL has the function called once more, and nothing limits how long a service takes."""

    @deadline(5)
    async def load(base: str = "main") -> str:
        return base

    def worst(**options: Any) -> tuple[float, float]:
        explained = explain(fallback(**options)(load))
        return explained.worst_calls, explained.worst_seconds

    async def other(base: str = "main") -> str:
        return base

    assert worst(fallback_function=lambda: "") == worst(fallback_value="", use_cache=True) == (1, 5)
    assert worst(fallback_service=["a", "b"], service_argument="base") == (3, math.inf)
    assert worst(fallback_service=[other, other]) == (1, math.inf)
    assert worst(fallback_service="a", fallback_value="") == (1, 5)
