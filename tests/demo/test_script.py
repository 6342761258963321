"""The script: what becomes of a request, and that playing it faster changes nothing else."""

from __future__ import annotations

import pytest

from recoup.demo.script import SCRIPT, Fate, Phase, scaled, total_seconds


def test_the_script_has_every_phase_of_the_story_and_takes_less_than_a_minute() -> None:
    """The service is healthy, fails, is slow, hangs, goes away and comes back, all within a minute."""
    assert [phase.name for phase in SCRIPT] == ["healthy", "errors", "slow", "hanging", "outage", "recovery"]
    assert total_seconds(SCRIPT) < 55


def test_phases_do_what_their_titles_say() -> None:
    """Thirty per cent errors are thirty per cent, and a full outage is full."""
    phases = {phase.name: phase for phase in SCRIPT}
    assert phases["errors"].errors == 0.3
    assert phases["outage"].errors == 1.0
    assert phases["hanging"].hangs > 0
    assert phases["slow"].stalls > 0
    assert phases["healthy"].fate(0.0) is phases["recovery"].fate(0.0) is Fate.ANSWER


@pytest.mark.parametrize(
    ("draw", "fate"),
    [
        (0.0, Fate.ERROR),
        (0.2499, Fate.ERROR),
        (0.25, Fate.STALL),
        (0.4999, Fate.STALL),
        (0.5, Fate.HANG),
        (0.7499, Fate.HANG),
        (0.75, Fate.ANSWER),
        (0.9999, Fate.ANSWER),
    ],
)
def test_each_share_of_the_draws_has_its_fate(draw: float, fate: Fate) -> None:
    """Errors, stalls and hangs take their shares one after the other; the rest is answered."""
    phase = Phase("odd", "odd", "", 1.0, errors=0.25, stalls=0.25, hangs=0.25)
    assert phase.fate(draw) is fate


def test_a_faster_script_keeps_its_shares() -> None:
    """Speed shortens phases and answers alike, and leaves what fails as it is."""
    for slow, fast in zip(SCRIPT, scaled(SCRIPT, 4.0), strict=True):
        assert fast.seconds == slow.seconds / 4
        assert fast.latency == (slow.latency[0] / 4, slow.latency[1] / 4)
        assert (fast.errors, fast.stalls, fast.hangs) == (slow.errors, slow.stalls, slow.hangs)
