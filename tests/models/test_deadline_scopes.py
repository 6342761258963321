"""Ambient deadlines beside a plain model: contexts are lists of scopes, and what counts is a minimum."""

from __future__ import annotations

import contextvars
from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from recoup._core import timing
from recoup._core.timing import Limit, Term
from recoup.errors import DeadlineExceeded
from recoup.testing import VirtualClock


@dataclass(eq=False)
class Scope:
    """What the model knows of a deadline: when it strikes, whether it is open, whether outer ones count inside."""

    at: float
    alone: bool
    term: Term | None = None
    open: bool = True


def counting(chain: list[Scope]) -> Scope | None:
    """The deadline that counts at the end of a chain, which begins outermost: the tightest, of equals the outermost."""
    seen: list[Scope] = []
    for scope in reversed(chain):
        if scope.open:
            seen.append(scope)
            if scope.alone:
                break
    return min(reversed(seen), key=lambda scope: scope.at, default=None)


class Deadlines(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = VirtualClock(start=100)
        self.clock.__enter__()
        self.contexts = [contextvars.Context()]
        self.chains: list[list[Scope]] = [[]]

    def teardown(self) -> None:
        self.clock.__exit__(None, None, None)

    @rule(which=st.integers(0, 5), seconds=st.integers(1, 6), inherit=st.booleans())
    def enter(self, which: int, seconds: int, inherit: bool) -> None:
        which %= len(self.contexts)
        chain = self.chains[which]
        scope = Scope(self.clock.monotonic() + seconds, alone=not inherit)
        tightest = counting(chain) if inherit else None
        refused = tightest is not None and tightest.at <= min(scope.at, self.clock.monotonic())
        try:
            scope.term = self.contexts[which].run(timing.enter, Limit(None, seconds), inherit=inherit)
        except DeadlineExceeded as error:
            assert refused
            assert not error.started  # noqa: PT017 - the other outcome is asserted below
        else:
            assert not refused
            chain.append(scope)

    @rule(which=st.integers(0, 5), place=st.integers(0, 20))
    def leave(self, which: int, place: int) -> None:
        chain = self.chains[which % len(self.chains)]
        if chain:
            scope = chain[place % len(chain)]
            if scope.alone and any(self.inside(scope)):  # undoing ends when all that it began has ended
                return
            scope.open = False
            timing.leave(scope.term)

    def inside(self, scope: Scope) -> list[Scope]:
        """The open scopes inside one, in all contexts."""
        chains = [chain[chain.index(scope) + 1 :] for chain in self.chains if scope in chain]
        return [each for chain in chains for each in chain if each.open]

    @precondition(lambda self: len(self.contexts) < 6)
    @rule(which=st.integers(0, 5))
    def copy(self, which: int) -> None:
        which %= len(self.contexts)
        self.contexts.append(self.contexts[which].copy())
        self.chains.append(list(self.chains[which]))

    @rule(seconds=st.integers(1, 4))
    def advance(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @invariant()
    def the_right_one_counts(self) -> None:
        for context, chain in zip(self.contexts, self.chains, strict=True):
            expected = counting(chain)
            found = context.run(timing.current_deadline)
            left = context.run(timing.time_left)
            if expected is None:
                assert found is None
                assert left is None
            else:
                assert found is expected.term
                assert left == max(0, expected.at - self.clock.monotonic())


Deadlines.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestDeadlines = Deadlines.TestCase
