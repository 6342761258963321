"""Which journal holds where: for the whole program, or for a `with` block."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from recoup.sagas.keeper import Journal

__all__ = ["UNSET", "Configuration", "configure", "journal"]


class Unset:
    """The type of `UNSET`."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Any = Unset()
"""Nothing was said; `None` is said: no journal."""

_scope: ContextVar[Configuration | None] = ContextVar("recoup_configuration", default=None)
_everywhere: Configuration | None = None


class Configuration:
    """What `configure` has set; a context manager that sets it for its block alone.

    Attributes:
        journal: The journal; `None` for none.
    """

    __slots__ = ("_before", "_open", "_outer", "journal")

    def __init__(self, journal: Journal | None, before: Configuration | None) -> None:
        self.journal = journal
        self._before = before
        self._open = False
        self._outer: Configuration | None = None

    def __repr__(self) -> str:
        return f"<recoup configuration journal={self.journal!r}>"

    def __enter__(self) -> Self:
        global _everywhere  # noqa: PLW0603 - the one setting of the process
        if self._open:
            raise RuntimeError("this configuration is in use already: make a new one for each with block")
        if _everywhere is self:
            _everywhere = self._before
        self._outer = _scope.get()
        self._open = True
        _scope.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = False
        _scope.set(self._outer)


def configure(*, journal: Any = UNSET) -> Configuration:
    """Say where sagas are kept, from now on and everywhere; or, as a context manager, in one block.

    Args:
        journal: An address ("sqlite:///app.db", "sqlite:////var/lib/app.db", "postgresql://host/name"), a `Journal`,
            an engine, or `None` for sagas in memory. A journal is opened when it is first used, and then looks after
            sagas that others have left.

    Returns:
        What was set. As a context manager, it holds in its block (and in tasks started there) alone; the
        block does not close the journal.

    Raises:
        TypeError: If it is none of these.
        ValueError: If the address cannot be read; the message says which ones can.

    Thread safety: to be called when the program starts; later calls hold for sagas that begin after them.

    >>> import recoup
    >>> with recoup.configure(journal=None):
    ...     pass
    """
    global _everywhere  # noqa: PLW0603 - as above
    if journal is UNSET:
        raise TypeError("configure() needs to know what to set: configure(journal='sqlite:///app.db')")
    from recoup.sagas import opening  # noqa: PLC0415 - it knows every kind of journal

    made = Configuration(opening.journal_of(journal), _everywhere)
    _everywhere = made
    return made


def journal() -> Any:
    """Give the journal that holds here; `None` for none."""
    scope = _scope.get()
    while scope is not None and not scope._open:
        scope = scope._outer
    if scope is None:
        scope = _everywhere
    return None if scope is None else scope.journal
