"""Armings of a fault injection beside a plain model: blocks in contexts, tasks that copy them, and arming for all."""

from __future__ import annotations

from contextvars import Context
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from recoup.strategies.fault_injection.arming import Armed, Armings


class Room:
    """A context, and the blocks that the model says it is in."""

    def __init__(self, context: Context, blocks: list[Armed]) -> None:
        self.context = context
        self.blocks = blocks


class ArmingsBesideModel(RuleBasedStateMachine):
    """Calls are numbered by the innermost open block of their context, else by the arming of everybody."""

    rooms = Bundle("rooms")
    entered = Bundle("entered")

    def __init__(self) -> None:
        super().__init__()
        self.armings = Armings()
        self.numbers: dict[object, int] = {}  # of what is open, how many calls it has numbered

    @rule(target=rooms)
    def begin(self) -> Room:
        """A thread begins, with a context of its own."""
        return Room(Context(), [])

    @rule(target=rooms, parent=rooms)
    def spawn(self, parent: Room) -> Room:
        """A task begins, with a copy of its parent's context."""
        return Room(parent.context.copy(), list(parent.blocks))

    @rule()
    def arm(self) -> None:
        self.armings.arm()
        self.numbers.setdefault("everywhere", 0)

    @rule()
    def disarm(self) -> None:
        self.armings.disarm()
        self.numbers.pop("everywhere", None)

    @rule()
    def reset(self) -> None:
        """Number from 1 again, whatever is armed."""
        self.armings.renumber()
        self.numbers = dict.fromkeys(self.numbers, 0)

    @rule(target=entered, room=rooms)
    def enter(self, room: Room) -> Any:
        block = Armed(self.armings)
        room.context.run(block.__enter__)
        room.blocks.append(block)
        self.numbers[block] = 0
        return block

    @rule(block=consumes(entered), room=rooms)
    def leave(self, block: Armed, room: Room) -> None:
        """End a block, in whatever context and order."""
        room.context.run(block.__exit__, None, None, None)
        self.numbers.pop(block, None)

    @rule(block=entered, room=rooms)
    def enter_again(self, block: Armed, room: Room) -> None:
        with pytest.raises(RuntimeError, match="entered before"):
            room.context.run(block.__enter__)

    @rule(room=rooms, calls=st.integers(1, 3))
    def call(self, room: Room, calls: int) -> None:
        arming = room.context.run(self.armings.here)
        where: list[object] = [block for block in room.blocks if block in self.numbers]
        counting = where[-1] if where else "everywhere"
        if counting not in self.numbers:
            assert arming is None
            return
        assert arming is not None
        for _ in range(calls):
            self.numbers[counting] += 1
            assert arming.number() == self.numbers[counting]

    @invariant()
    def nothing_is_paid_for_unarmed(self) -> None:
        """What a call looks at first is empty exactly when nothing is armed anywhere."""
        assert set(self.armings.open) == set(self.numbers)


TestArmings = ArmingsBesideModel.TestCase
TestArmings.settings = settings(max_examples=200, stateful_step_count=30)
