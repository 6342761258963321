"""What the marker `recovery` and the option `--recovery-instant` do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from recoup._core import mode

if TYPE_CHECKING:
    from tests.testing.plugin.conftest import Run

pytest_plugins = ["pytester"]

LOOK = """
import threading
import pytest
from recoup._core import mode
from recoup.testing import disabled, enabled

def look():
    seen = []
    thread = threading.Thread(target=lambda: seen.append((mode.off(), mode.instant())))
    thread.start()
    thread.join()
    assert seen == [(mode.off(), mode.instant())]
    return "off" if mode.off() else "instant" if mode.instant() else "on"
"""


def test_the_marker_holds_for_its_test(run: Run) -> None:
    """`off=True` and `instant=True` hold for one test, fixtures and threads included, and for no other."""
    result = run(
        LOOK
        + """
@pytest.fixture
def seen():
    before = look()
    yield before
    assert look() == before

@pytest.mark.recovery(off=True)
def test_off(seen):
    assert seen == look() == "off"

@pytest.mark.recovery(instant=True)
def test_instant(seen):
    assert seen == look() == "instant"

def test_on(seen):
    assert seen == look() == "on"
    assert mode.active == 0
"""
    )
    result.assert_outcomes(passed=3)
    assert mode.active == 0


def test_the_closest_marker_decides(run: Run) -> None:
    """A marker of a function beats that of its class, also to turn recovery on again; blocks beat both."""
    result = run(
        LOOK
        + """
@pytest.mark.recovery(off=True)
class TestShop:
    def test_class(self):
        assert look() == "off"
        with enabled():
            assert not mode.off()

    @pytest.mark.recovery(instant=True)
    def test_function(self):
        assert look() == "instant"

    @pytest.mark.recovery(off=False)
    def test_on(self):
        assert look() == "on"

    @pytest.mark.recovery(isolate=True)
    def test_says_nothing_of_it(self):
        assert look() == "off"
"""
    )
    result.assert_outcomes(passed=4)


@pytest.mark.parametrize(
    "given",
    ["off=True, instant=True", "of=True", "True", "", "off=True, instnat=True"],
    ids=lambda given: given or "()",
)
def test_mistakes_in_the_marker_are_errors(run: Run, given: str) -> None:
    """A marker that says nothing, or what is not known, or two things at once, is an error that says what it takes."""
    result = run(f"import pytest\n@pytest.mark.recovery({given})\ndef test_it(): pass\n")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*test_it: recovery takes off=, instant= (not both true) and isolate=*"])
    assert mode.active == 0


def test_a_whole_run_can_be_instant(run: Run) -> None:
    """`--recovery-instant` holds for all tests but those in virtual time, as far as no marker or block is closer."""
    result = run(
        LOOK
        + """
def test_instant():
    assert look() == "instant"
    with disabled():
        assert mode.off()

@pytest.mark.recovery(instant=False)
def test_on():
    assert look() == "on"

@pytest.mark.recovery(off=True)
def test_off():
    assert look() == "off"

def test_instant_again():
    assert look() == "instant"

def test_waits_pass_in_virtual_time(virtual_time):
    assert look() == "on"

@pytest.mark.recovery(instant=True)
def test_both_were_asked_for(virtual_time):
    assert look() == "instant"
""",
        "--recovery-instant",
    )
    result.assert_outcomes(passed=6)
    assert mode.active == 0
    assert not mode.instant()


def test_instant_skips_waits(run: Run) -> None:
    """An instant test retries as often as ever, in no time: it is done though the waits would take a year."""
    result = run(
        """
import pytest
from recoup import retry
from recoup.testing import fail, faulty

@pytest.mark.recovery(instant=True)
def test_it():
    patient = retry(max_attempts=5, initial_delay=10**7, max_delay=10**7)(abs)
    shaky, calls = faulty(patient, fail(OSError, on=range(1, 5)))
    assert shaky(-1) == 1
    assert len(calls) == 5
"""
    )
    result.assert_outcomes(passed=1)
