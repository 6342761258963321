"""From what a user gives as a journal to a journal."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit
from weakref import WeakValueDictionary

from recoup._core import checks
from recoup._core.waiting import at_fork
from recoup.sagas.keeper import Journal

if TYPE_CHECKING:
    from recoup.sagas.journal import Backend

__all__ = ["backend_of", "journal_of"]

_ADVICE = "give 'sqlite:///app.db' (beside the program), 'sqlite:////var/lib/app.db' or 'postgresql://host/name'"
_lock = Lock()
_known: WeakValueDictionary[str, Journal] = WeakValueDictionary()  # one writer for one address


def journal_of(given: Any) -> Any:
    """Make a journal, or give the one there is.

    Args:
        given: An address, a `Journal`, an engine, or `None`.

    Returns:
        The journal or engine; for the same address the same one, while it is in use.

    Raises:
        TypeError: If it is none of these.
        ValueError: If the address cannot be read.
    """
    if given is None or isinstance(given, Journal) or callable(getattr(given, "run", None)):
        return given
    if not isinstance(given, str):
        raise TypeError(
            f"journal must be an address, a Journal, an engine or None, not {checks.shown(given)}: {_ADVICE}"
        )
    with _lock:
        found = _known.get(given)
        if found is None or found.closed:
            found = _known[given] = Journal(backend_of(given))
        return found


def backend_of(address: str) -> Backend:
    """Make what keeps the sagas of an address.

    Raises:
        ValueError: If the address cannot be read.
    """
    parts = urlsplit(address)
    if parts.scheme == "sqlite":
        if parts.netloc or len(parts.path) < 2:
            raise ValueError(f"journal {address!r} names no file: {_ADVICE}")
        from recoup.sagas.sqlite import SqliteBackend  # noqa: PLC0415 - sqlite3 only for those who use it

        return SqliteBackend(Path(unquote(parts.path[1:])))
    if parts.scheme in {"postgresql", "postgres"}:
        from recoup.sagas.postgres import PostgresBackend  # noqa: PLC0415 - only for those who use it

        return PostgresBackend(address)
    raise ValueError(f"journal {parts.scheme or address!r} is of no kind that recoup knows: {_ADVICE}")


def _after_fork() -> None:
    """Have a lock that nobody holds in the child (rule G18)."""
    global _lock  # noqa: PLW0603 - the one of the module
    _lock = Lock()


at_fork(_after_fork)
