"""Nested sagas beside a model in plain Python: a completed step is undone once or never, and in the right order."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule

from recoup.strategies.compensation.steps import State, Steps


def plan(number: int) -> Any:
    return lambda error: [number]


class Model:
    """A saga as a plain list and a word."""

    def __init__(self, outer: Model | None) -> None:
        self.outer = outer
        self.state = "open"
        self.steps: list[int] = []

    def take(self, numbers: list[int]) -> bool:
        where: Model | None = self
        while where is not None and where.state == "completed":
            where = where.outer
        if where is None:
            return True
        if where.state == "failed":
            return False
        where.steps += numbers
        return True


class StepsMachine(RuleBasedStateMachine):
    """Opens, closes and fills sagas in any order, as tasks that outlive each other would."""

    sagas = Bundle("sagas")

    @initialize()
    def begin(self) -> None:
        self.count = 0

    @rule(target=sagas)
    def open_one(self) -> Any:
        return Steps("saga", waits=False), Model(None)

    @rule(target=sagas, around=sagas)
    def open_inside(self, around: Any) -> Any:
        steps, model = around
        while model is not None and model.state != "open":  # as `joined` finds it
            model = model.outer
        while steps is not None and steps.state is not State.OPEN:
            steps = steps.outer
        return Steps("saga", waits=False, outer=steps), Model(model)

    @rule(saga=sagas)
    def complete_step(self, saga: Any) -> None:
        steps, model = saga
        self.count += 1
        assert steps.completed(plan(self.count)) is model.take([self.count])

    @rule(saga=sagas)
    def complete_saga(self, saga: Any) -> None:
        steps, model = saga
        if model.state != "open":
            return
        taken = model.outer is None or model.outer.take(model.steps)
        model.state = "completed" if taken else "failed"
        if taken:
            model.steps = []
        assert steps.commit() is taken
        if not taken:
            self.undo(saga)

    @rule(saga=sagas)
    def fail_saga(self, saga: Any) -> None:
        _, model = saga
        if model.state == "open":
            model.state = "failed"
            self.undo(saga)

    def undo(self, saga: Any) -> None:
        steps, model = saga
        undone = [number for each in steps.fail() for number in each(ValueError())]
        assert undone == model.steps[::-1]
        model.steps = []
        assert len(steps) == 0
        assert steps.fail() == []

    @rule(saga=sagas)
    def look(self, saga: Any) -> None:
        steps, model = saga
        assert (steps.state.value, len(steps)) == (model.state, len(model.steps))


TestSteps = StepsMachine.TestCase
TestSteps.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
