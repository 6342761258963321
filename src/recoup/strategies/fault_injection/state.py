"""Which calls are hit, and what one hit call has behind it.

A `FaultPlan` never changes after it is made, so it needs no lock: whether a call is hit depends on its number alone
(and on chance, if there is no seed), not on what happened to others.
"""

from __future__ import annotations

from recoup._core.conditions import plainly

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from recoup.strategies.fault_injection.config import FaultInjectionConfig

__all__ = ["Fault", "FaultPlan"]

_WORD = 2**64 - 1
_GAMMA = 0x9E3779B97F4A7C15
_UNIT = 2.0**-53


class FaultPlan:
    """Decides which calls are hit.

    Attributes:
        config: What it was made of.
    """

    __slots__ = ("_rate", "_schedule", "_seed", "config")

    def __init__(self, config: FaultInjectionConfig) -> None:
        self.config = config
        self._rate = config.rate
        self._seed = None if config.seed is None else _mixed(config.seed & _WORD)
        schedule: Any = config.schedule
        self._schedule = schedule if schedule is None or callable(schedule) else schedule.__contains__

    def hits(self, number: int, random: Callable[[], float]) -> bool:
        """Tell whether a call is hit.

        Args:
            number: Which one it is, from 1.
            random: Draws from [0, 1); asked only without a seed.
        """
        if self._schedule is not None and not plainly("schedule", self._schedule(number)):
            return False
        draw = random() if self._seed is None else uniform(self._seed, number)
        return draw < self._rate


class Fault:
    """What is done to one call that is hit.

    Attributes:
        config: What is done; that of the moment when the call was hit, whatever becomes of it meanwhile.
        number: Which call it is, from 1.
        begun: Whether what comes before the call has happened, in the synchronous pass.
    """

    __slots__ = ("_left", "begun", "config", "number")

    def __init__(self, config: FaultInjectionConfig, number: int, *, begun: bool = False) -> None:
        self.config = config
        self.number = number
        self.begun = begun
        self._left = config.after_items

    def item(self) -> bool:
        """Take note that an item has come; tell whether the error comes in its place."""
        if self._left is None:
            return False
        self._left -= 1
        return self._left < 0


def uniform(seed: int, number: int) -> float:
    """Give the number-th draw from [0, 1) of a sequence, without the draws before it.

    Source: SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014). Its state
    is a counter, so calls in any number of threads agree on the sequence without a lock, and it is the same everywhere.
    """
    return (_mixed((seed + number * _GAMMA) & _WORD) >> 11) * _UNIT


def _mixed(word: int) -> int:
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _WORD
    return word ^ (word >> 31)
