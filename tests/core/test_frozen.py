"""Values as parts of a key (F6: types included, containers frozen, an instance held and compared, never `id()`)."""

from __future__ import annotations

import gc
import math
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from weakref import ref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recoup._core.frozen import Unkeyable, freeze

Point = namedtuple("Point", "x y")  # noqa: PYI024 - the plain kind, which compares like a tuple


class Colour(Enum):
    RED = 1


class Level(IntEnum):
    LOW = 1


class Plain:
    pass


class Slotted:
    __slots__ = ()


@dataclass(frozen=True)
class User:
    name: str


class Money:
    """Equal by amount."""

    def __init__(self, amount: int) -> None:
        self.amount = amount

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and self.amount == other.amount

    def __hash__(self) -> int:
        return hash(self.amount)


class Tags(list[str]):
    pass


class Moody(dict[str, int]):
    """Compares in its own way, and has no hash."""

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = None


ALONE = [
    *(0, 1, 2, -1, True, False, None, 0.0, -0.0, 1.0, 2.5, math.inf, math.nan),
    *(0j, 1 + 0j, complex(0, -0.0), "", "1", "a", b"", b"1", b"a", bytearray(b"a")),
    *((), (1,), (1.0,), (True,), ((1,),), ("a", 1), [], [1], [1.0], [[1]], [(1,)], {}, {"a": 1}, {"a": 1.0}),
    *({1: "a"}, {1.0: "a"}, {True: "a"}, {"a": [1]}, set(), {1}, {1.0}, frozenset({1}), frozenset({1.0})),
    *(deque([1]), Counter("a"), defaultdict(int, a=1), OrderedDict(a=1, b=2), OrderedDict(b=2, a=1)),
    *(Point(1, 2), Point(1.0, 2), Decimal(1), Level.LOW, Colour.RED, User("a"), User("b"), Money(1), Money(2)),
    *(Tags(["a"]), timedelta(1), Path("a"), int, str, Plain(), Plain(), Slotted(), len, range(3), ..., print),
    *((None, int), (int, 1), (bool, 1), ("method",), (list, (1,)), [list, [1]], lambda: 1, Plain, Ellipsis.__class__),
]


def test_different_values_have_different_keys() -> None:
    """Values of different types, or different at any depth, never share a key (F6)."""
    frozen = [freeze(value) for value in ALONE]
    for place, one in enumerate(frozen):
        for other_place, other in enumerate(frozen):
            assert (one == other) is (place == other_place), (ALONE[place], ALONE[other_place])


def test_equal_values_have_equal_keys() -> None:
    """Equal values of the same types share a key, made at any time and in any order (F6)."""
    pairs: list[tuple[Any, Any]] = [
        ([1, [2, {"a": {3}}]], [1, [2, {"a": {3}}]]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({1, 2, 3}, {3, 2, 1}),
        (Counter("ab"), Counter("ba")),
        (OrderedDict(a=1), OrderedDict(a=1)),
        (deque([1]), deque([1])),
        (bytearray(b"a"), bytearray(b"a")),
        (float("nan"), float("nan")),
        ([float("nan")], [float("nan")]),
        (Point(1, [2]), Point(1, [2])),
        (Tags(["a"]), Tags(["a"])),
        (User("a"), User("a")),
        (Money(1), Money(1)),
        (Decimal("1.0"), Decimal("1.0")),
        (Path("a"), Path("a")),
    ]
    for one, other in pairs:
        assert freeze(one) == freeze(other)
        assert hash(freeze(one)) == hash(freeze(other))


def test_a_container_is_copied() -> None:
    """What happens to a list after the call does not change the key (F6: containers frozen)."""
    inner = [1]
    value = {"a": inner}
    frozen = freeze(value)
    inner.append(2)
    assert frozen == freeze({"a": [1]})
    assert frozen != freeze(value)


json = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.0, -0.0, 1.0, 2.0]) | st.sampled_from("ab"),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=6,
)


def spelt(value: Any) -> str:
    """Write a value down with its types; the order of a dict means nothing."""
    if isinstance(value, dict):
        return "{" + ", ".join(sorted(f"{key!r}: {spelt(each)}" for key, each in value.items())) + "}"
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__}({', '.join(map(spelt, value))})"
    return repr(value)


@given(json, json)
def test_keys_are_equal_exactly_if_values_and_types_are(one: Any, other: Any) -> None:
    """Two nested values share a key exactly if they read the same with their types (F6)."""
    assert (freeze(one) == freeze(other)) is (spelt(one) == spelt(other))


def test_an_instance_without_equality_is_held_weakly() -> None:
    """A key does not keep alive what only equals itself, and no later object inherits the key (F6: never `id()`)."""
    thing = Plain()
    key = freeze(thing)
    assert key == freeze(thing)
    watch = ref(thing)
    del thing
    gc.collect()
    assert watch() is None
    others = [Plain() for _ in range(1000)]  # one of them has the id of the dead one, most likely
    assert all(freeze(other) != key for other in others)
    assert hash(key) == hash(key)


def test_an_instance_with_equality_is_held() -> None:
    """A key keeps alive what is compared by its own equality: a later equal one has to match (F6)."""
    user = User("a")
    watch = ref(user)
    key = freeze(user)
    del user
    gc.collect()
    assert watch() is not None
    assert key == freeze(User("a"))


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (Moody(), "Moody"),
        (SimpleNamespace(), "SimpleNamespace"),
        ([1, {"a": Moody()}], "Moody"),
        ((Money([]),), "Money"),  # type: ignore[arg-type]  # its __hash__ raises TypeError
    ],
)
def test_what_cannot_be_compared_is_named(value: Any, named: str) -> None:
    """What has no usable hash says so, with its type, never its content (F6, G10)."""
    with pytest.raises(Unkeyable, match=rf"an object of type {named} \(TypeError: no usable hash\)") as caught:
        freeze(value)
    assert caught.value.__cause__ is None


def test_an_error_in_a_hash_is_no_error_of_the_call() -> None:
    """Whatever a `__hash__` raises makes a value unkeyable (F6)."""

    class Broken:
        def __hash__(self) -> int:
            raise ZeroDivisionError

    with pytest.raises(Unkeyable, match="ZeroDivisionError"):
        freeze(Broken())

    class Barred:
        __slots__ = ()

        def __hash__(self) -> int:
            raise ZeroDivisionError

    with pytest.raises(Unkeyable, match="ZeroDivisionError"):
        freeze(Barred())


def test_a_list_that_contains_itself_has_no_key() -> None:
    """A container without end is no key (F6)."""
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(Unkeyable, match="a list that contains itself"):
        freeze(endless)
