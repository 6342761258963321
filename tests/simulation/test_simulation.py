"""Five hundred seeds in every run of the suite; `make long` runs twenty thousand."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.simulation.parts import Violation
from tests.simulation.planted import PLANTED
from tests.simulation.running import failures, simulate
from tests.simulation.world import OPERATIONS, World

if TYPE_CHECKING:
    from collections.abc import Iterator

SEEDS, BATCH = 500, 50


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Keep what the library logs about faults out of the report."""
    logger = logging.getLogger("recoup")
    before, logger.disabled = logger.disabled, True
    yield
    logger.disabled = before


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_no_seed_breaks_a_rule(first: int) -> None:
    """Whatever the schedule, the faults and the cancellations: limits hold, all is given back, nobody sleeps on."""
    assert not failures(range(first, first + BATCH))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # what a bug leaves behind, such as coroutines that nobody awaits
@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_found(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the simulation is for: within as many seeds as every run of the suite tries."""
    said, plant = PLANTED[bug]
    plant(monkeypatch)
    with pytest.raises(Violation, match=r"(?s)" + said + r".*python -m tests\.simulation \d+"):
        search(said)


def search(said: str) -> None:
    """Run seeds until one finds something; what counts is only what was looked for."""
    for seed in range(SEEDS):
        try:
            simulate(seed)
        except Violation as violation:
            if said in str(violation):
                raise


@pytest.mark.parametrize("seed", range(5))
def test_a_seed_is_long_enough(seed: int) -> None:
    """At least 50 operations by 4 tasks, with a fault and a cancellation among them."""
    world = simulate(seed)
    assert world.ended == world.begun >= OPERATIONS
    assert world.faults
    assert world.cancellations


def story(seed: int) -> tuple[object, ...]:
    """Run a seed; tell what happened, down to the last steps."""
    world: World = simulate(seed)
    return world.steps, world.begun, world.faults, world.cancellations, tuple(world._trace)


@pytest.mark.parametrize("seed", range(6))
def test_a_seed_decides_everything(seed: int) -> None:
    """A seed that failed fails again: nothing comes from the machine, the clock or the order of sets."""
    assert story(seed) == story(seed)


@pytest.mark.slow
def test_seeds_run_from_the_command_line() -> None:
    """As the message of a failure says; and in another process everything is as it was in this one."""
    code = "from tests.simulation.test_simulation import story; print(hash(repr(story(3))))"
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    told = [
        subprocess.run([sys.executable, *args], env=environment, capture_output=True, text=True, check=True).stdout
        for args in (("-c", code), ("-c", code), ("-m", "tests.simulation", "0-3"), ("-m", "tests.simulation", "4"))
    ]
    assert told[0] == told[1]
    assert told[2].startswith("3 seeds in ")
    assert told[3].startswith("1 seeds in ")
