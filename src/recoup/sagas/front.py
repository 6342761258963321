"""`saga`: a block whose steps are undone when it fails, in memory or in a journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recoup._core import checks, mode
from recoup.sagas import settings
from recoup.strategies.compensation.scope import Saga

if TYPE_CHECKING:
    from recoup.typing import Callback, Seconds

__all__ = ["saga"]


def saga(
    name: str = "saga",
    /,
    *,
    key: str | None = None,
    version: str = "",
    journal: Any = settings.UNSET,
    saga_timeout: Seconds = 300.0,
    on_compensation_start: Callback | None = None,
    on_compensation_complete: Callback | None = None,
) -> Saga:
    """Open a block in which every completed `@compensate` step is undone if the block fails.

    The steps are undone in reverse order of completion, whatever ends the block: an error, a cancellation, Ctrl-C. Then
    the block's own error goes on; if an action failed, a `CompensationError` with everything in it does. A step that
    fails undoes itself first, before the others (nobody knows how far it came). A saga that completes inside another
    one becomes a step of that one.

    With a journal (`configure(journal=...)`, or given here) that holds also when the process dies: every step is
    written down before it begins, and whoever finds the saga left undoes it. Then arguments of steps must be plain
    values, and what undoes them must be functions at the top of modules. Effects happen at least once; give
    `step().key` to the service to make that once. Without a journal it lives in memory, and a process that dies undoes
    nothing.

    Steps count from anywhere in the block's context: in tasks started in it and in `asyncio.to_thread`. One that
    completes after the block has failed undoes itself and raises `RecoveryError`. Steps that begin after the block are
    plain calls.

    Args:
        name: What errors, events, the journal and `repr` call it.
        key: What you know it by, an order's number perhaps; unique for the name, as long as the saga was not undone.
            `None` for nothing. Without a journal it means nothing.
        version: Which version of its code this is, for the journal. Default empty.
        journal: Where to keep it, as for `configure`; `None` for memory. Default: what is configured.
        saga_timeout: Seconds (or a timedelta) for all undoing together, more than 0; the steps' own limits do not count
            here. What is not undone by then goes on in the background, if there is a journal. Default 300.0.
        on_compensation_start: Called without arguments before the first action, if there is any. May be async in
            `async with`.
        on_compensation_complete: Called without arguments after the last action, also when some failed. May be async
            in `async with`.

    Returns:
        A context manager for `with` (plain actions) and `async with` (plain and async ones), to be entered once.

    Raises:
        TypeError: If a value has the wrong type.
        ValueError: If `saga_timeout` is out of range, or an address of a journal cannot be read.
        SagaExists: On entering: if there is a saga of this name with the same key.
        JournalError: On entering, and by every step: if it cannot be written down. Then the step was not called.

    Thread and loop safety: one block belongs to one thread or task; steps may complete in any.

    >>> from recoup import compensate, saga
    >>> books = []
    >>> @compensate(lambda state: books.remove(state["item"]))
    ... def reserve(item):
    ...     books.append(item)
    >>> try:
    ...     with saga("order"):
    ...         reserve("chair")
    ...         raise ConnectionError("no answer from the shipping service")
    ... except ConnectionError:
    ...     books
    []
    """
    for argument, value in (("key", key or ""), ("version", version)):
        if not isinstance(value, str):
            raise TypeError(f"{argument} must be a string, not {checks.shown(value)}")
    kept: dict[str, Any] = {
        "saga_timeout": saga_timeout,
        "on_compensation_start": on_compensation_start,
        "on_compensation_complete": on_compensation_complete,
    }
    found = _journal(journal)
    if found is None:
        return Saga(name, **kept)
    from recoup.sagas.scope import DurableSaga  # noqa: PLC0415 - only for those who have a journal

    return DurableSaga(name, journal=found, key=key, version=version, **kept)


def _journal(given: Any) -> Any:
    if mode.active and mode.off():
        return None
    if given is settings.UNSET:
        return settings.journal()
    from recoup.sagas import opening  # noqa: PLC0415 - as above

    return opening.journal_of(given)
