"""What the note on the user's exception promises (G3)."""

from __future__ import annotations

from typing import Any

from recoup._core.notes import blame, cause_of, note


def test_our_note_is_replaced_and_theirs_are_kept() -> None:
    """Two layers leave one note."""
    error = ValueError("x")
    error.add_note("the user's")
    note(error, "2 attempts")
    note(error, "4 attempts")
    assert error.__notes__ == ["the user's", "recoup: 4 attempts"]


def test_an_exception_that_refuses_notes_is_left_alone() -> None:
    """The error matters more than the note."""

    class Stubborn(Exception):
        def add_note(self, text: str) -> None:
            raise RuntimeError("no notes")

    class Frozen(Exception):
        def __setattr__(self, name: str, value: Any) -> None:
            raise AttributeError(name)

        __notes__ = "not a list"  # type: ignore[assignment]  # as somebody might

    note(Stubborn(), "x")
    note(Frozen(), "x")


def test_notes_that_are_no_strings_are_kept() -> None:
    """Whatever somebody put there is theirs."""
    error = ValueError()
    error.__notes__ = [5]  # type: ignore[list-item]
    note(error, "x")
    assert error.__notes__ == [5, "recoup: x"]


def test_a_cut_knows_which_failure_came_before() -> None:
    """The failure if there was one, else the cut; also on a class that forbids attributes (R3)."""

    class Frozen(BaseException):
        def __setattr__(self, name: str, value: Any) -> None:
            raise AttributeError(name)

    failure = ValueError()
    for cut in (KeyboardInterrupt(), Frozen()):
        assert cause_of(cut) is cut
        blame(cut, failure)
        assert cause_of(cut) is failure
