"""What a store keeps: results, the places that they have, and short cuts to them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable
    from typing import Any, ClassVar, Protocol

    class Busy(Protocol):
        """What may be under way in a slot."""

        @property
        def idle(self) -> bool:
            """Tell whether nobody is at it any more."""
            ...


__all__ = ["Eased", "Entry", "Slot", "shareable"]


class Entry:
    """A result that was stored, and when.

    Attributes:
        value: The result.
        stored: When it came, in seconds on a monotonic clock.
        used: Whether it has answered since somebody looked for what to evict; whoever answers with it says so.
    """

    __slots__ = ("stored", "used", "value")

    negative: ClassVar[bool] = False
    """Whether the value is an error, to be raised."""

    def __init__(self, value: Any, stored: float) -> None:
        self.value = value
        self.stored = stored
        self.used = False

    def age(self, now: float) -> float:
        """Tell how old it is, in seconds; a clock that went backwards starts it anew (G12)."""
        age = now - self.stored
        if age < 0:
            self.stored = now
            return 0.0
        return age


class Slot:
    """The place of one key.

    Attributes:
        key: The key.
        place: Under what the store has it: the key, or its hash if it is compound.
        entry: The result, if there is one; replaced as a whole.
        busy: What the strategy has under way for the key; `None` if nothing. Its `idle` is true if nobody is at it.
        eased: The short cut to its entry, and what leads there; `None` if there is none.
        gone: Whether the store has forgotten it.
    """

    __slots__ = ("busy", "eased", "entry", "gone", "key", "place")

    def __init__(self, key: Hashable, place: Hashable) -> None:
        self.key = key
        self.place = place
        self.entry: Entry | None = None
        self.busy: Busy | None = None
        self.eased: tuple[Eased, Hashable] | None = None
        self.gone = False

    def ease(self) -> None:
        """Put the entry into its short cut. Needs the lock of the store."""
        if self.eased is not None and self.entry is not None:
            if self.entry.negative:
                self.harden()
            else:
                eased, by = self.eased
                eased[by] = self.entry

    def harden(self) -> None:
        """Take the slot out of its short cut. Needs the lock of the store."""
        if self.eased is not None:
            eased, by = self.eased
            self.eased = None
            eased.pop(by, None)


class Eased(dict["Hashable", Entry]):
    """A short cut to the results of one function, by what its calls have at hand."""

    __slots__ = ()


def shareable(result: object) -> bool:
    """Tell whether a result can be given twice: an iterator or an awaitable is used up by the first who gets it."""
    kind = type(result)
    return not (hasattr(kind, "__next__") or hasattr(kind, "__anext__") or hasattr(kind, "__await__"))
