"""What the state of a call holds (contract: save_state), and which name means what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from recoup.strategies.compensation.memory import saved


def test_arguments_are_found_by_name() -> None:
    """Arguments stand under the names of their parameters, defaults included, beside the call as it was written."""

    def pay(order: int, card: str = "visa", *rest: int, fast: bool = False) -> None: ...

    error = ValueError()
    state = saved(pay, (1, "amex", 2, 3), {"fast": True}, error=error)
    assert state == {
        "order": 1,
        "card": "amex",
        "rest": (2, 3),
        "fast": True,
        "args": (1, "amex", 2, 3),
        "kwargs": {"fast": True},
        "error": error,
    }
    assert saved(pay, (), {"order": 5}, error=error) == {
        "order": 5,
        "card": "visa",
        "rest": (),
        "fast": False,
        "args": (),
        "kwargs": {"order": 5},
        "error": error,
    }


def test_a_mapping_is_merged() -> None:
    """The Compensation Pattern: `state["payment_id"]` works with one dictionary and with keywords."""

    def process(order: Mapping[str, Any]) -> None: ...

    def process_named(payment_id: int, reserved_items: list[str]) -> None: ...

    for state in (
        saved(process, ({"payment_id": 7, "reserved_items": ["chair"]},), {}),
        saved(process, (), {"order": MappingProxyType({"payment_id": 7, "reserved_items": ["chair"]})}),
        saved(process_named, (7, ["chair"]), {}),
        saved(process_named, (), {"payment_id": 7, "reserved_items": ["chair"]}),
    ):
        assert (state["payment_id"], state["reserved_items"]) == (7, ["chair"])


def test_a_mapping_is_read_as_it_is_now() -> None:
    """What the operation wrote into a mapping before it failed is in the state."""

    def process(context: dict[str, Any]) -> None: ...

    context: dict[str, Any] = {}
    context["payment_id"] = 7
    assert saved(process, (context,), {})["payment_id"] == 7


def test_options_of_double_star_are_merged() -> None:
    """Keywords that `**options` collects are found by name as well as together."""

    def process(**options: int) -> None: ...

    state = saved(process, (), {"payment_id": 7})
    assert state == {"payment_id": 7, "options": {"payment_id": 7}, "args": (), "kwargs": {"payment_id": 7}}


def test_precedence() -> None:
    """Facts go before parameters, parameters before what mappings hold, a later mapping before an earlier one."""

    def process(first: dict[str, Any], second: dict[str, Any], card: str, error: str) -> None: ...

    first = {"card": "of first", "order": 1, "only": 1, "args": "of first", "result": "of first"}
    second = {"card": "of second", "order": 2, "first": "of second"}
    state = saved(process, (first, second, "of call", "of call"), {}, error="fact", result="fact")
    assert (state["card"], state["order"], state["only"], state["first"]) == ("of call", 2, 1, first)
    assert (state["error"], state["result"], state["args"]) == ("fact", "fact", (first, second, "of call", "of call"))


def test_only_names_are_merged() -> None:
    """Keys that are no strings stay inside their mapping."""

    def process(rows: dict[Any, Any]) -> None: ...

    rows = {1: "a", "b": 2}
    assert saved(process, (rows,), {}) == {"rows": rows, "b": 2, "args": (rows,), "kwargs": {}}


def test_a_broken_mapping_breaks_nothing() -> None:
    """A mapping that cannot be read is there under its name, and the operation's error is not replaced."""

    class Broken(Mapping[str, int]):
        def __getitem__(self, key: str) -> int:
            raise OSError("the database is gone")

        def __iter__(self) -> Iterator[str]:
            return iter(["a"])

        def __len__(self) -> int:
            return 1

    def process(rows: Mapping[str, int], card: str) -> None: ...

    rows = Broken()
    state = saved(process, (rows, "visa"), {})
    assert state["rows"] is rows
    assert state["card"] == "visa"


def test_arguments_that_do_not_fit_are_kept_as_written() -> None:
    """A call that failed because of its arguments still has a state."""

    def pay(order: int) -> None: ...

    assert saved(pay, (1, 2), {"card": "visa"}) == {"card": "visa", "args": (1, 2), "kwargs": {"card": "visa"}}


def test_methods_partials_and_objects_without_signature() -> None:
    """A method's `self` is an argument like others; what tells no signature has keywords and positions."""

    class Shop:
        def pay(self, order: int) -> None: ...

    shop = Shop()
    assert saved(Shop.pay, (shop, 3), {})["self"] is shop
    assert saved(shop.pay, (3,), {})["order"] == 3
    assert saved(partial(shop.pay, order=4), (), {})["order"] == 4
    assert saved(partial(partial(Shop.pay, shop), 4), (), {}) == {"self": shop, "order": 4, "args": (), "kwargs": {}}
    assert saved(type, (3,), {}) == {"args": (3,), "kwargs": {}}
