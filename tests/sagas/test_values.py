"""Values come back from a journal the same, or are refused (issue 5, "Bad input")."""

from __future__ import annotations

import collections
import datetime as dt
import fractions
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recoup import UnserializableError
from recoup.sagas import names, values


class Colour(Enum):
    RED = "red"


class Size(IntEnum):
    BIG = 3


class Point(NamedTuple):
    x: int
    y: Any


@dataclass(frozen=True)
class Card:
    number: str
    limit: Decimal = Decimal(0)


@dataclass
class Counted:
    number: int
    double: int = field(init=False, default=0)


@dataclass(eq=False)
class Plain:
    number: int


@dataclass
class Growing:
    number: int

    def __post_init__(self) -> None:
        self.number += 1


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.datetimes(timezones=st.just(dt.UTC) | st.none())
    | st.dates()
    | st.times()
    | st.timedeltas(),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | st.integers() | st.tuples(st.text()), inner)
        | st.sets(st.integers() | st.text())
        | st.frozensets(st.text())
    ),
    max_leaves=20,
)


@given(plain)
def test_comes_back(value: Any) -> None:
    """Whatever is built from the kinds that are known comes back equal, and of the same type."""
    found = values.loads(values.dumps(value, "it"))
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "value",
    [
        Colour.RED,
        Size.BIG,
        Point(1, (2, 3)),
        Card("4111", Decimal("1.50")),
        {"$": "a key of ours"},
        Path("a/b"),
        PurePosixPath("/a"),
        UUID(int=1),
        float("-inf"),
        dt.datetime(2026, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=2))),
        dt.datetime(2026, 1, 1, fold=1),  # noqa: DTZ001 - an hour that comes twice
    ],
)
def test_known_kinds(value: object) -> None:
    """Enums, named tuples and dataclasses are found again by the name of their class."""
    found = values.loads(values.dumps(value, "it"))
    assert found == value
    assert type(found) is type(value)


def test_by_identity() -> None:
    """A dataclass that compares by identity comes back with its fields."""
    assert values.loads(values.dumps(Plain(3), "it")).number == 3


def test_nan() -> None:
    """NaN, which equals nothing, comes back all the same."""
    assert str(values.loads(values.dumps(float("nan"), "it"))) == "nan"


def local() -> object:
    @dataclass
    class Inside:
        number: int

    return Inside(1)


class Sub(int):
    pass


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (object(), "object is none of None, bool"),
        (fractions.Fraction(1, 2), "Fraction is none of"),
        (Sub(1), "Sub is none of"),
        (collections.OrderedDict(), "OrderedDict is none of"),
        (Counted(1), "is not given when it is made"),
        (Growing(1), "would come back as another one"),
        (local(), "made anew by each call"),
        (dt.datetime(2026, 1, 1, tzinfo=ZoneInfo("Europe/Paris")), "has rules"),
        ([1, {"a": (object(),)}], "none of"),
    ],
)
def test_refused(value: object, message: str) -> None:
    """What would not come back the same is refused, with its name and the reason."""
    with pytest.raises(UnserializableError, match=message) as caught:
        values.dumps(value, "argument 'card'")
    assert str(caught.value).startswith("argument 'card' cannot be written to a journal: ")


def test_contains_itself() -> None:
    """A value without end is refused."""
    value: list[Any] = []
    value.append(value)
    with pytest.raises(UnserializableError, match="contains itself"):
        values.dumps(value, "it")


def test_sets_have_one_text() -> None:
    """The text of a set does not depend on the order in which Python keeps it."""
    assert values.dumps({"b", "a"}, "it") == values.dumps({"a", "b"}, "it")


def test_unknown_tag() -> None:
    """What a newer version has written is not guessed at."""
    with pytest.raises(LookupError, match="a newer recoup"):
        values.loads('{"$": "matrix", "c": "tests.sagas.test_values:Card", "v": []}')


def target(state: object) -> None:
    """Undo something."""


def test_names() -> None:
    """A function is found by its module and name, or by the name it was given."""
    assert names.of(target) == "tests.sagas.test_values:target"
    assert names.of(target) == "tests.sagas.test_values:target"
    assert names.find("tests.sagas.test_values:target") is target
    assert names.register("refund", test_names) is test_names
    assert names.of(test_names) == "refund"
    assert names.find("refund") is test_names


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (lambda: None, "made anew by each call"),
        (Card("1"), "has no name that leads to it"),
        ([].append, "has no name|leads to something else|has no 'list"),
    ],
)
def test_nameless(thing: object, message: str) -> None:
    """What nothing leads to is refused, with advice."""
    with pytest.raises(names.NamelessError, match=message):
        names.of(thing)


def test_hidden_by_another() -> None:
    """A function whose name leads to something else by now is refused."""

    def other() -> None: ...

    other.__qualname__ = "target"
    with pytest.raises(names.NamelessError, match="leads to something else"):
        names.of(other)
    other.__qualname__ = "nobody"
    with pytest.raises(names.NamelessError, match="has no 'nobody'"):
        names.of(other)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nobody", "nothing is registered as 'nobody'"),
        ("tests.sagas.nowhere:f", "cannot be imported"),
        ("tests.sagas.test_values:Card.nothing", "has no 'Card.nothing'"),
    ],
)
def test_not_found(name: str, message: str) -> None:
    """What is not found is said, never guessed."""
    with pytest.raises(LookupError, match=message):
        names.find(name)


def test_register_checks() -> None:
    """A registered name is a text without a colon, and leads to a function (rule G1)."""
    with pytest.raises(TypeError, match="needs a name and a function"):
        names.register("refund", 3)  # type: ignore[type-var]
    with pytest.raises(ValueError, match="without a colon"):
        names.register("a:b", target)


def test_main_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `python -m` runs is named as others can import it."""
    import sys
    from types import ModuleType, SimpleNamespace

    main: Any = ModuleType("__main__")
    main.target = target
    monkeypatch.setitem(sys.modules, "__main__", main)
    main.__spec__ = None
    assert names._real("__main__") == "__main__"
    main.__spec__ = SimpleNamespace(name="shop.main")
    assert names._real("__main__") == "shop.main"
    assert names.find("shop.main:target") is target
