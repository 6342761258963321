"""Where faults can be put, how that is undone, and what is refused."""

from __future__ import annotations

import functools
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from recoup import circuit_breaker, fallback, layers_of, retry
from recoup.testing import Fault, answer, fail, faulty, hang, inject, instead, slow

if TYPE_CHECKING:
    from collections.abc import Callable


class Client:
    """Methods of every kind, bare and protected."""

    def __init__(self) -> None:
        self.function: Callable[[int], str] = lambda page: f"function {page}"
        self.partial = functools.partial(str.format, "partial {}")

    def plain(self, page: int) -> str:
        return f"plain {page}"

    @classmethod
    def for_class(cls, page: int) -> str:
        return f"for_class {page}"

    @staticmethod
    def static(page: int) -> str:
        return f"static {page}"

    @retry(max_attempts=2, initial_delay=0)
    def protected(self, page: int) -> str:
        return f"protected {page}"

    @retry(max_attempts=2, initial_delay=0)
    @classmethod
    def class_outside(cls, page: int) -> str:
        return f"class_outside {page}"

    @classmethod
    @retry(max_attempts=2, initial_delay=0)
    def class_inside(cls, page: int) -> str:
        return f"class_inside {page}"

    @retry(max_attempts=2, initial_delay=0)
    @staticmethod
    def static_outside(page: int) -> str:
        return f"static_outside {page}"


class Callable_:  # noqa: N801 - an object to call
    """An object to call."""

    def __call__(self, page: int) -> str:
        return f"object {page}"


BARE = ["plain", "for_class", "static"]
PROTECTED = ["protected", "class_outside", "class_inside", "static_outside"]


@pytest.mark.parametrize("of_class", [False, True], ids=["object", "class"])
@pytest.mark.parametrize("name", [*BARE, *PROTECTED])
def test_methods(name: str, of_class: bool) -> None:
    """Methods of every kind can be given by their object or their class; what a retry protects recovers (G5)."""
    client = Client()
    owner: Any = Client if of_class else client
    before, mine = vars(Client)[name], dict(vars(client))
    with inject(owner, name, fail(ConnectionError, on=1)) as calls:
        fetch = getattr(client, name)
        if name in BARE:
            with pytest.raises(ConnectionError):
                fetch(1)
        assert fetch(page=2) == f"{name} 2"
    assert vars(Client)[name] is before
    assert vars(client) == mine
    assert [call.args for call in calls] == ([(1,), (2,)] if name in BARE else [(2,), (2,)])
    assert calls[0].name.endswith(name)


@pytest.mark.parametrize("name", ["function", "partial"])
def test_attributes_of_an_object(name: str) -> None:
    """What an object carries itself is put back as it was."""
    client = Client()
    before = vars(client)[name]
    with inject(client, name, answer("other", on=1)) as calls:
        assert [getattr(client, name)(7), getattr(client, name)(7)] == ["other", f"{name} 7"]
    assert vars(client)[name] is before
    assert calls[1].args == (7,)


def test_other_objects_are_not_affected() -> None:
    """Faults of one object are not those of others of its class."""
    with inject(Client(), "plain", fail(ConnectionError)):
        assert Client().plain(1) == "plain 1"


def test_functions_of_modules() -> None:
    """A function of a module fails for everybody who looks it up there."""
    module = types.ModuleType("sample")
    before: Any = retry(max_attempts=2, initial_delay=0)(lambda: "loaded")
    module.__dict__["load"] = before
    with inject(module, "load", fail(OSError, on=1)) as calls:
        assert module.load() == "loaded"
    assert len(calls) == 2
    assert module.load is before


def test_inherited_methods_are_uncovered_again() -> None:
    """An attribute that the owner only inherits is taken away again, not copied into it."""

    class Special(Client):
        pass

    with inject(Special, "plain", answer("special")):
        assert (Special().plain(1), Client().plain(1)) == ("special", "plain 1")
    assert "plain" not in vars(Special)


def test_slots_are_put_back() -> None:
    """An attribute in a slot is put back."""

    class Slotted:
        __slots__ = ("call",)

        def __init__(self) -> None:
            self.call: Any = len

    slotted = Slotted()
    with inject(slotted, "call", answer(0, on=1)):
        assert [slotted.call("abc"), slotted.call("abc")] == [0, 3]
    assert slotted.call is len


def test_it_is_put_back_on_every_way_out() -> None:
    """An error or control flow that leaves the block leaves no faults behind."""
    client = Client()
    for error in (KeyError("out"), KeyboardInterrupt(), GeneratorExit()):
        with pytest.raises(type(error)), inject(client, "plain", fail(OSError)):
            raise error
        assert client.plain(1) == "plain 1"


def test_blocks_nest() -> None:
    """Faults of an inner block come first, and each block puts back what it found."""
    client = Client()
    with inject(client, "plain", answer("outer")) as outer:
        with inject(client, "plain", answer("inner", on=1)) as inner:
            assert [client.plain(1), client.plain(2)] == ["inner", "outer"]
        assert client.plain(3) == "outer"
    assert (len(inner), [call.args for call in outer]) == (2, [(2,), (3,)])
    assert "plain" not in vars(client)


def test_it_decorates_tests() -> None:
    """As a decorator it is in force for each call of the function."""
    client = Client()

    @inject(client, "plain", answer("other"))
    def look() -> str:
        return client.plain(1)

    assert [look(), look(), client.plain(1)] == ["other", "other", "plain 1"]


def test_faulty_takes_anything_callable() -> None:
    """Bound methods, partials and callable objects can be made faulty, protected or not (G5)."""
    client = Client()
    targets: list[tuple[Any, str]] = [
        (client.plain, "plain 1"),
        (client.protected, "protected 1"),
        (Client.class_inside, "class_inside 1"),
        (Callable_(), "object 1"),
        (circuit_breaker(Callable_()), "object 1"),
        (retry(client.plain), "plain 1"),
        (fallback(fallback_value="none")(client.protected), "protected 1"),
        (functools.partial(client.plain, 1), "plain 1"),
    ]
    for target, expected in targets:
        shaky, calls = faulty(target, answer("other", on=2))
        given = () if isinstance(target, functools.partial) else (1,)
        assert [shaky(*given), shaky(*given)] == [expected, "other"]
        assert [call.args for call in calls] == [given, given]
    assert client.plain(1) == "plain 1"


def test_layers_that_pair_up_stay_outside() -> None:
    """A bound method with layers of its own keeps all of them outside the faults."""
    client = Client()
    target = fallback(fallback_value="none")(client.protected)
    shaky, calls = faulty(target, fail(ConnectionError, on=(1, 3, 4)))
    assert [layer.kind for layer in layers_of(shaky)] == ["fallback", "retry", "fault_injection"]
    assert layers_of(shaky)[:2] == layers_of(target)
    assert [shaky(3), shaky(4)] == ["protected 3", "none"]
    assert len(calls) == 4


UNTYPED: Any = types.SimpleNamespace(fail=fail, faulty=faulty, hang=hang, instead=instead, slow=slow)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: UNTYPED.fail(int), TypeError, "error must be an exception type, not <class 'int'>"),
        (lambda: UNTYPED.fail(UnicodeDecodeError), TypeError, "cannot make a UnicodeDecodeError without arguments"),
        (lambda: UNTYPED.fail("no"), TypeError, "error must be an exception type, an exception or a function"),
        (lambda: UNTYPED.fail(OSError, on=0), ValueError, "on must be 1 or more, not 0"),
        (lambda: UNTYPED.fail(OSError, on=True), TypeError, "on must be the number of a call"),
        (lambda: UNTYPED.fail(OSError, on="2"), TypeError, "on must be the number of a call"),
        (lambda: UNTYPED.fail(OSError, on=2.5), TypeError, "on must be the number of a call"),
        (lambda: UNTYPED.fail(OSError, where=1), TypeError, "where must be callable"),
        (lambda: UNTYPED.fail(OSError, after_items=0), ValueError, "after_items must be"),
        (lambda: UNTYPED.hang(where=_asynchronous), TypeError, "where must be a plain function"),
        (lambda: UNTYPED.slow(0), ValueError, "seconds must be"),
        (lambda: UNTYPED.slow(float("inf")), ValueError, "seconds must be"),
        (lambda: UNTYPED.instead(7), TypeError, "function must be callable, not 7"),
        (lambda: UNTYPED.faulty(len, OSError), TypeError, "fault must be a Fault"),
        (lambda: UNTYPED.faulty(len, key=1), TypeError, "key must be callable"),
        (lambda: UNTYPED.faulty(len, UNTYPED.fail(OSError, after_items=1)), TypeError, "'len' is none"),
        (lambda: UNTYPED.faulty(7, fail(OSError)), TypeError, "is not callable"),
    ],
)
def test_nonsense_is_refused(make: Callable[[], object], error: type[Exception], message: str) -> None:
    """Wrong values are refused where they are given, with the reason (G1)."""
    with pytest.raises(error, match=message):
        make()


async def _asynchronous() -> bool:
    return True


def test_what_makes_no_exception_is_reported() -> None:
    """A function given to `fail` that makes something else is an error that says so."""
    wrong, _ = UNTYPED.faulty(len, fail(lambda: UNTYPED))
    with pytest.raises(TypeError, match=r"given to fail\(\) must make an exception, not namespace"):
        wrong([])


def test_unknown_attributes_are_refused() -> None:
    """A name that the owner does not have is an error, and so is what cannot be protected or replaced."""

    @dataclass(frozen=True, slots=True)
    class Frozen:
        def fetch(self) -> int:
            return 1

        @property
        def value(self) -> int:
            return 1

    with pytest.raises(AttributeError, match="fetsh"), inject(Client, "fetsh"):
        pass
    with pytest.raises(TypeError, match="property cannot be decorated"), inject(Frozen, "value"):
        pass
    with (
        pytest.raises(TypeError, match=r"cannot replace 'fetch' of .*inject into its class"),
        inject(Frozen(), "fetch"),
    ):
        pass
    with inject(Frozen, "fetch", answer(2)):
        assert Frozen().fetch() == 2


def test_faults_read_well() -> None:
    """A fault says what it does."""
    faults: list[Fault] = [fail(OSError), hang(), slow(2), answer([1]), instead(len)]
    assert [str(each) for each in faults] == ["fail(OSError)", "hang", "slow(2.0)", "answer([1])", "instead(len)"]
    assert repr(faults[0]) == "<fail(OSError)>"
