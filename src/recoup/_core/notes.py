"""What recoup adds to exceptions: one note (PEP 678) that says what was tried, and which failure came before a cut."""

from __future__ import annotations

__all__ = ["PREFIX", "blame", "cause_of", "note"]

PREFIX = "recoup: "


def note(error: BaseException, text: str) -> None:
    """Put our note on an error, in place of an older one of ours.

    An exception that refuses notes is left alone: the error matters more than the note.
    """
    try:
        notes = getattr(error, "__notes__", None)
        if isinstance(notes, list):
            notes[:] = [each for each in notes if not (isinstance(each, str) and each.startswith(PREFIX))]
        error.add_note(PREFIX + text)
    except Exception:  # noqa: BLE001, S110 - a class of the user's that forbids attributes; nobody waits for the note
        pass


def blame(end: BaseException, failure: BaseException) -> None:
    """Tell a cancellation which failure came before it (rule R3)."""
    end.__dict__["__recoup_failure__"] = failure  # not by setattr, which a class of the user's may forbid


def cause_of(end: BaseException) -> BaseException:
    """Give the failure that came before a cancellation; the cancellation itself if none did."""
    failure = getattr(end, "__recoup_failure__", None)
    return failure if isinstance(failure, BaseException) else end
