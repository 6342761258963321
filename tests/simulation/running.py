"""Run seeds, and tell what they find."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

from recoup import StackWarning
from recoup._core import clock as seam
from tests.simulation.parts import Violation
from tests.simulation.schedule import SeededLoop
from tests.simulation.threads import hands
from tests.simulation.world import World

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["failures", "quiet", "simulate"]


@contextmanager
def drawing_from(seed: int) -> Generator[None]:
    """Have recoup's own dice (jitter, odds) be a matter of the seed as well."""
    before, seam.random = seam.random, random.Random(seed).random
    try:
        yield
    finally:
        seam.random = before


def simulate(seed: int, only: tuple[str, ...] | None = None) -> World:
    """Run a seed.

    Raises:
        Violation: If a rule was broken; its text says how to see it again.
    """
    world = World(seed, only)
    with world.clock, hands(), drawing_from(seed), warnings.catch_warnings():
        warnings.simplefilter("ignore", StackWarning)  # any order has to work, a bad one too
        world.build()
        order = world.dice.choice(("usual", "tasks", "lots"))

        def loop() -> SeededLoop:
            return SeededLoop(world.clock, world.dice, world.look, order)

        collects = gc.isenabled()
        gc.disable()  # finalisers run when references go, and not whenever the collector comes by
        try:
            with asyncio.Runner(loop_factory=loop) as runner:
                runner.run(world.main())
        except Exception:
            if world._broken is None:
                raise
        finally:
            world.over = True
            if collects:
                gc.enable()
    if world._broken is not None:  # raised in the loop, or where nobody heard it, as in a callback
        raise world._broken
    return world


def failures(seeds: range, only: tuple[str, ...] | None = None) -> list[str]:
    """Run some seeds; give the texts of the violations."""
    found = []
    for seed in seeds:
        try:
            simulate(seed, only)
        except Violation as violation:
            found.append(str(violation))
    return found


def quiet() -> None:
    """Keep what the library logs about faults out of what is printed."""
    logging.getLogger("recoup").addHandler(logging.NullHandler())
