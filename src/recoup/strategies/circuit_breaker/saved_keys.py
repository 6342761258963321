"""The keys of circuits as plain data that JSON can hold, and back again; in the form that `table.plain` makes."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

from recoup._core import checks
from recoup.strategies.circuit_breaker.saved import entries, member, read

if TYPE_CHECKING:
    from collections.abc import Hashable

    from recoup.strategies.circuit_breaker.saved import Saved

__all__ = ["circuits", "key_read", "key_written"]


def key_written(key: Any) -> Any:
    """Write a key: str, int, bool and None as they are, others as an object whose only name says what they are."""
    if isinstance(key, bytes):
        return {"bytes": key.hex()}
    if not isinstance(key, tuple):
        return key
    kind, *parts = key
    if kind is Enum:
        return {"enum": parts}
    (value,) = parts
    if kind is bool:
        return value
    if kind is float:
        return {"float": value.hex()}
    return {kind.__name__: [key_written(each) for each in value]}


def key_read(value: object) -> Hashable:
    """Read a key; raises TypeError or ValueError for anything else."""
    if type(value) is bool:
        return bool, value
    if value is None or type(value) in (str, int):
        return value
    if type(value) is dict and len(value) == 1:
        ((kind, content),) = value.items()
        if kind in ("bytes", "float") and type(content) is str:
            return bytes.fromhex(content) if kind == "bytes" else (float, float.fromhex(content))
        if type(content) in (list, tuple):
            if kind == "enum" and len(content) == 3 and all(type(each) is str for each in content):
                return (Enum, *content)
            if kind in ("tuple", "frozenset"):
                made = tuple if kind == "tuple" else frozenset
                return made, made(map(key_read, content))
    raise TypeError(f"a key must be what snapshot() wrote, not {checks.shown(value)}")


def circuits(given: dict[str, Any], passed: float) -> list[tuple[Hashable, Saved]]:
    """Read the circuits of a snapshot."""
    pairs = [entries("a circuit with its key", each, 2) for each in entries("circuits", member(given, "circuits"))]
    states = {key_read(key): read(circuit).later(passed) for key, circuit in pairs}
    if len(states) < len(pairs):
        raise ValueError("a key is there more than once")
    return list(states.items())
