"""The crew of an isolation beside a model in plain Python: who works, who waits, who goes home (B1, B2, B5, G18)."""

from __future__ import annotations

from itertools import count
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from recoup.strategies.isolation.state import HOME, RENEW, Crew

_numbers = count(1)


class Job:
    """A job that is wanted until the test says otherwise."""

    def __init__(self) -> None:
        self.is_wanted = True

    def wanted(self) -> bool:
        return self.is_wanted


class Keeper:
    """A keeper whose thread is the test."""

    def __init__(self, tally: object) -> None:
        self.tally = tally
        self.given: list[Any] = []
        self.pid: int | None = None
        self.era = -1
        self.killed = self.forked = False

    def give(self, item: object) -> None:
        self.given.append(item)

    def kill(self) -> None:
        self.killed = True

    def after_fork(self) -> None:
        self.forked = True


class CrewMachine(RuleBasedStateMachine):
    """Drives a crew as callers and keepers do. The model: which keeper is busy with what, and an ordered queue."""

    @initialize(size=st.integers(1, 3), most=st.integers(0, 3))
    def begin(self, size: int, most: int) -> None:
        self.crew = Crew(size, most, Keeper)
        self.size, self.most, self.era, self.closed = size, most, 0, False
        self.busy: dict[Keeper, Job] = {}
        self.idle: list[Keeper] = []
        self.queue: list[Job] = []
        self.home: list[Keeper] = []

    def _takes(self, keeper: Keeper, job: Job) -> None:
        """Have a keeper find its job, as its thread would."""
        while keeper.given[0] is RENEW:
            keeper.given.pop(0)
            keeper.pid, keeper.era = None, -1
        assert keeper.given == [job]
        keeper.given.clear()
        keeper.pid, keeper.era = next(_numbers), self.era
        self.busy[keeper] = job

    @rule()
    def submit(self) -> None:
        job = Job()
        verdict, hired = self.crew.submit(job)
        if self.closed:
            assert (verdict, hired) == ("closed", [])
        elif self.idle:
            assert (verdict, hired) == ("taken", [])
            (keeper,) = (each for each in self.idle if job in each.given)
            warm = [each for each in self.idle if each.pid is not None]
            assert keeper is (warm or self.idle)[-1], "the one that was used last is warm in every sense"
            self.idle.remove(keeper)
            self._takes(keeper, job)
        elif len(self.busy) < self.size:
            assert verdict == "taken"
            ((keeper, its),) = hired
            assert its is job
            self._takes(keeper, job)
        else:
            if len(self.queue) >= self.most:  # only then does it matter who is gone without a word
                self.queue = [each for each in self.queue if each.is_wanted]
            if len(self.queue) < self.most:
                assert (verdict, hired) == ("queued", [])
                self.queue.append(job)
            else:
                assert (verdict, hired) == ("full", [])

    @precondition(lambda self: self.busy)
    @rule(data=st.data(), crashed=st.booleans())
    def finish(self, data: st.DataObject, crashed: bool) -> None:
        keeper = data.draw(st.sampled_from(list(self.busy)))
        if crashed:
            keeper.pid, keeper.era = None, -1
        del self.busy[keeper]
        job = self.crew.next(keeper)
        if len(self.busy) + 1 > self.size:
            self._went_home(keeper, job)
            return
        while self.queue and not self.queue[0].is_wanted:
            self.queue.pop(0)
        if self.queue:
            assert job is self.queue.pop(0), "first come, first served"
            assert keeper.given == []
            keeper.pid, keeper.era = keeper.pid or next(_numbers), self.era
            self.busy[keeper] = job
        elif self.closed:
            self._went_home(keeper, job)
        else:
            assert job is None
            assert keeper.given == ([RENEW] if keeper.era != self.era else [])
            self.idle.append(keeper)

    def _went_home(self, keeper: Keeper, job: object) -> None:
        assert job is None
        assert keeper.given[-1] is HOME
        self.home.append(keeper)

    @precondition(lambda self: self.queue)
    @rule(data=st.data(), tells=st.booleans())
    def leave_the_queue(self, data: st.DataObject, tells: bool) -> None:
        job = data.draw(st.sampled_from(self.queue))
        job.is_wanted = False
        if tells:
            self.crew.withdraw(job)
            self.queue.remove(job)

    @rule(size=st.integers(1, 4), most=st.integers(0, 3))
    def resize(self, size: int, most: int) -> None:
        hired = self.crew.resize(size, most)
        self.crew.counts()  # cleans up, so that the queue can be compared
        self.size, self.most = size, most
        while self.idle and len(self.idle) + len(self.busy) > size:
            self._went_home(self.idle.pop(0), None)
        self._hired(hired)

    def _hired(self, hired: list[tuple[Keeper, Job]]) -> None:
        for keeper, job in hired:
            assert job is self.queue.pop(0), "first come, first served"
            self._takes(keeper, job)

    @rule()
    def renew(self) -> None:
        self.crew.renew()
        self.era += 1
        assert all(keeper.given[-1] is RENEW for keeper in self.idle)

    @rule(kill=st.booleans())
    def close(self, kill: bool) -> None:
        everyone, refused = self.crew.close(kill=kill)
        self.closed = True
        assert set(self.busy) <= set(everyone)
        while self.idle:
            self._went_home(self.idle.pop(0), None)
        if kill:
            assert all(keeper.killed for keeper in everyone)
            assert [job for job in refused if job.is_wanted] == [job for job in self.queue if job.is_wanted]
            self.queue.clear()
        else:
            assert refused == []

    @precondition(lambda self: self.busy)
    @rule(data=st.data())
    def cannot_start(self, data: st.DataObject) -> None:
        keeper = data.draw(st.sampled_from(list(self.busy)))
        hired = self.crew.lost(keeper)
        del self.busy[keeper]
        self._hired(hired)

    @rule()
    def fork(self) -> None:
        living = [*self.busy, *self.idle]
        self.crew.after_fork()
        assert all(keeper.forked for keeper in living)
        self.busy.clear()
        self.idle.clear()
        self.queue.clear()

    @invariant()
    def it_adds_up(self) -> None:
        if not hasattr(self, "crew"):
            return
        counts = self.crew.counts()
        assert counts.running == len(self.busy)
        gone = [job for job in self.queue if not job.is_wanted]
        assert len(self.queue) - len(gone) <= counts.waiting <= len(self.queue)
        if counts.waiting < len(self.queue):
            self.queue = [job for job in self.queue if job.is_wanted]  # a full queue was cleaned
        assert self.crew.pids() == sorted(
            keeper.pid
            for keeper in {*self.busy, *self.idle, *self.home}
            if keeper.pid is not None and not keeper.forked
        )
        assert not self.queue or (not self.idle and len(self.busy) >= self.size), "nobody waits for nothing"


TestCrew = CrewMachine.TestCase


def test_a_finaliser_in_a_decision_is_turned_away() -> None:
    """Whoever interrupts a decision of the same thread does not decide: it would wait for itself (G7)."""
    verdicts: list[object] = []

    class Interrupting(Keeper):
        def give(self, item: object) -> None:
            super().give(item)
            verdicts.append(crew.submit(Job()))

    crew = Crew(1, 10, Interrupting)
    assert crew.submit(Job())[0] == "taken"
    assert verdicts == [("full", [])]


def test_a_keeper_that_never_lived_leaves_no_gap() -> None:
    """A keeper that is dropped between two steps, by Ctrl-C say, makes room for another (G2)."""
    crew = Crew(1, 1, Keeper)
    _, hired = crew.submit(Job())
    waits = Job()
    assert crew.submit(waits)[0] == "queued"
    hired.clear()  # who was to start it has forgotten it
    verdict, hired = crew.submit(Job())
    assert verdict == "queued"
    assert [job for _, job in hired] == [waits], "and the newcomer overtakes nobody"


def test_a_crew_that_is_dropped_sends_its_keepers_home() -> None:
    """Idle keepers do not outlive their crew."""
    crew = Crew(2, 0, Keeper)
    _, [(keeper, _)] = crew.submit(Job())
    keeper.given.clear()
    assert crew.next(keeper) is None
    del crew
    assert keeper.given[-1] is HOME
