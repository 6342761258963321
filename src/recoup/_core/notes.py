"""One note on the user's exception (PEP 678) that says what was tried."""

from __future__ import annotations

__all__ = ["note"]

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
