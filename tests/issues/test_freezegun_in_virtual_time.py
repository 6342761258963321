"""A block of freezegun inside a VirtualClock replaced that, if the block was not the first of the process.

freezegun remembers where a module has its clocks. Behind the block it put the real ones there, so a test went on in
real time under a clock that should have been virtual (found by asking what `@freeze_time` does beside `virtual_time`).
"""

from __future__ import annotations

import freezegun

from recoup._core import clock as seam
from recoup.testing import VirtualClock


def test_a_virtual_clock_outlives_a_frozen_block() -> None:
    """Whatever freezegun has seen before, recoup goes by the virtual clock while there is one (G12)."""
    real = seam.monotonic
    with freezegun.freeze_time("2026-01-01"):
        assert seam.monotonic is not real
    with VirtualClock() as clock:
        with freezegun.freeze_time("2026-01-02"):
            seam.pause(60)
            assert seam.monotonic() == clock.monotonic() == 1060
        seam.pause(60)
        assert seam.monotonic() == clock.monotonic() == 1120
    assert seam.monotonic is real
