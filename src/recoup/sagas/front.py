"""`saga`: a block whose steps are undone when it fails, in memory or in a journal."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, overload

from recoup._core import checks, mode
from recoup.errors import RecoveryError
from recoup.sagas import settings
from recoup.strategies.compensation import steps
from recoup.strategies.compensation.scope import Saga

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from recoup.typing import Callback, Seconds

    Function = TypeVar("Function", bound=Callable[..., Any])

__all__ = ["saga"]


@overload
def saga(function: Function, /) -> Function: ...
@overload
def saga(
    name: str | None = None,
    /,
    *,
    key: str | Callable[..., object] | None = None,
    version: str = "",
    journal: Any = settings.UNSET,
    saga_timeout: Seconds = 300.0,
    on_compensation_start: Callback | None = None,
    on_compensation_complete: Callback | None = None,
) -> Saga: ...
def saga(
    name: Any = None,
    /,
    *,
    key: Any = None,
    version: str = "",
    journal: Any = settings.UNSET,
    saga_timeout: Seconds = 300.0,
    on_compensation_start: Callback | None = None,
    on_compensation_complete: Callback | None = None,
) -> Any:
    """Open a block, or make a function, in which every completed `@compensate` step is undone if it fails.

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

    `@saga` above a function, or `@saga("order", key=...)`, makes each call of it a saga. A call whose process dies is
    run again by whoever finds it, and its steps that are over are remembered instead of called; it is undone if it
    fails then. So the function has to do the same each time: what depends on the world belongs into steps.

    Args:
        name: What errors, events, the journal and `repr` call it. Default: "saga", or the function's name.
        key: What you know it by, an order's number perhaps; unique for the name, as long as the saga was not undone.
            For a function: what gives that from its arguments; a call with a key that was used gives the result of the
            first one. `None` for nothing. Without a journal it means nothing.
        version: Which version of its code this is, for the journal. Default empty.
        journal: Where to keep it, as for `configure`; `None` for memory. Default: what is configured.
        saga_timeout: Seconds (or a timedelta) for all undoing together, more than 0; the steps' own limits do not count
            here. What is not undone by then goes on in the background, if there is a journal. Default 300.0.
        on_compensation_start: Called without arguments before the first action, if there is any. May be async in
            `async with`.
        on_compensation_complete: Called without arguments after the last action, also when some failed. May be async
            in `async with`.

    Returns:
        A context manager for `with` (plain actions) and `async with` (plain and async ones), to be entered once; also
        a decorator. For a function: the function, with a saga round each call.

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
    given = name if isinstance(name, str) and name else None
    options: dict[str, Any] = {
        "name": given,
        "key": key,
        "version": version,
        "journal": journal,
        "saga_timeout": saga_timeout,
        "on_compensation_start": on_compensation_start,
        "on_compensation_complete": on_compensation_complete,
    }
    _check(options)
    if callable(name):
        from recoup.sagas import functions  # noqa: PLC0415 - only for those who have functions

        return functions.made(name, options)
    kept = {each: options[each] for each in ("saga_timeout", "on_compensation_start", "on_compensation_complete")}
    made = _block("saga" if name is None else name, kept, options)
    made.decorate = partial(_decorated, options)
    return made


def _decorated(options: dict[str, Any], function: Callable[..., Any]) -> Callable[..., Any]:
    from recoup.sagas import functions  # noqa: PLC0415 - as above

    return functions.made(function, options)


def _block(name: str, kept: dict[str, Any], options: dict[str, Any]) -> Saga:
    around: Any = steps.joined()
    if options["journal"] is settings.UNSET and around is not None and around.durable:
        found = around.run.journal  # where the one around it is kept, this one has to be
    else:
        found = _journal(options["journal"])
    if getattr(around, "nested", None) is not None or callable(getattr(found, "run", None)):
        return EngineSaga(name, **kept)
    if callable(options["key"]):
        return KeyedSaga(name, **kept)
    if found is None:
        return Saga(name, **kept)
    from recoup.sagas.scope import DurableSaga  # noqa: PLC0415 - only for those who have a journal

    return DurableSaga(name, journal=found, key=options["key"], version=options["version"], **kept)


def _check(options: dict[str, Any]) -> None:
    key, version = options["key"], options["version"]
    if not isinstance(key, str) and key is not None and not callable(key):
        raise TypeError(f"key must be a string (or, for a function, what gives it), not {checks.shown(key)}")
    if not isinstance(version, str):
        raise TypeError(f"version must be a string, not {checks.shown(version)}")


class EngineSaga(Saga):
    """A block where an engine keeps sagas, which knows functions alone."""

    __slots__ = ()

    def _enter(self, *, waits: bool) -> None:  # noqa: ARG002 - as in memory
        raise RecoveryError(
            f"saga {self.name!r} is a block, and on an engine only functions are sagas: write @saga above a function"
        )


class KeyedSaga(Saga):
    """What becomes a decorator: its key is got from arguments, which a block does not have."""

    __slots__ = ()

    def _enter(self, *, waits: bool) -> None:  # noqa: ARG002 - as in memory
        raise TypeError(f"key of saga {self.name!r} is a function, which is for @saga above a function: give a string")


def _journal(given: Any) -> Any:
    if mode.active and mode.off():
        return None
    if given is settings.UNSET:
        return settings.journal()
    from recoup.sagas import opening  # noqa: PLC0415 - as above

    return opening.journal_of(given)
