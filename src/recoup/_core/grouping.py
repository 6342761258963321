"""What a joined condition asks of the leaves of an exception group (rule G4): `Condition.within` of `&`, `|` and `~`.

Where a class of groups is named, the group itself answers that part, also with no (`~when(ExceptionGroup)`). What is
left is asked of each leaf.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from recoup._core.conditions import Condition

__all__ = ["both", "either", "neither"]


def both(one: Condition, other: Condition, group: BaseException) -> Condition | bool:
    """Give what `one & other` asks."""
    first, second = one.within(group), other.within(group)
    if first is False or second is False:
        return False
    if first is True or second is True:  # whoever names the group's class means the group in what stands beside it
        rest = other if first is True else one
        return rest if rest.settle is not None else rest.within(group) is True or rest.plain(group)
    return first & second


def either(one: Condition, other: Condition, group: BaseException) -> Condition | bool:
    """Give what `one | other` asks."""
    first, second = one.within(group), other.within(group)
    if isinstance(first, bool):
        return first or second
    if isinstance(second, bool):
        return second or first
    return first | second


def neither(one: Condition, group: BaseException) -> Condition | bool:
    """Give what `~one` asks."""
    inside = one.within(group)
    return not inside if isinstance(inside, bool) else ~inside
