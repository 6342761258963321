"""`@idempotent`: an effect in a database happens once for a key, and not at all once it was undone (rule 3)."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from recoup._core import checks
from recoup._core.colour import colour_of, described
from recoup.sagas import steps
from recoup.sagas.idempotent_keys import Entry
from recoup.sagas.idempotent_places import NoTableError, alone, asked, asked_async, async_place_of, known, place_of
from recoup.sagas.steps import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ParamSpec, TypeVar

    P = ParamSpec("P")
    R = TypeVar("R")

__all__ = ["idempotent"]


class Call(NamedTuple):
    """One call.

    Attributes:
        function: The user's function.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
        place: Where its key is; in a coroutine function one that is awaited.
        entry: The key.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    place: Any
    entry: Entry


class Plan:
    """What is known of one decorated function.

    Args:
        function: The function.
        store: Where its connection comes from.
        key: Where its key comes from; `None` for the step that runs.
        scope: Whose keys they are.
    """

    def __init__(self, function: Callable[..., Any], store: Any, key: Any, scope: str) -> None:
        self.function = function
        self.name = f"{function.__module__}:{getattr(function, '__qualname__', type(function).__qualname__)}"
        self._store = store
        self._key = key
        self._scope = scope
        self._signature = inspect.signature(function)
        for what, given in (("store", store), ("key", key)):
            if isinstance(given, str) and given not in self._signature.parameters:
                raise TypeError(f"{what}={given!r} is to name a parameter, and {described(function)} has none such")

    def begin(self, /, *args: Any, **kwargs: Any) -> Call:
        """Find connection and key of a call."""
        place = place_of(self._connection(args, kwargs))
        return Call(self.function, args, kwargs, place, self._entry(args, kwargs))

    def begin_async(self, /, *args: Any, **kwargs: Any) -> Call:
        """Find connection and key of a call of a coroutine function."""
        place = async_place_of(self._connection(args, kwargs))
        return Call(self.function, args, kwargs, place, self._entry(args, kwargs))

    def _connection(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if isinstance(self._store, str):
            return self._argument(self._store, args, kwargs)
        return self._store() if callable(self._store) and not known(self._store) else self._store

    def _entry(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Entry:
        """Give the key of a call.

        Raises:
            RuntimeError: If there is none.
            TypeError: If it is no text, number or UUID.
            ValueError: If it is empty.
        """
        if self._key is None:
            step = steps.current()
            if step is None:
                raise RuntimeError(
                    f"{described(self.function)} was called outside the steps of a saga, and has no key: write "
                    "@idempotent(store, key='name of a parameter')"
                )
            return Entry(self._scope, step.key, self.name)
        key = self._argument(self._key, args, kwargs) if isinstance(self._key, str) else self._key(*args, **kwargs)
        if isinstance(key, bool) or not isinstance(key, (str, int, UUID)):
            raise TypeError(f"a key must be a text, a whole number or a UUID, not {checks.shown(key)}")
        if not str(key):
            raise ValueError("a key must not be empty: all calls without one would be the same call")
        return Entry(self._scope, str(key), self.name)

    def _argument(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return bound.arguments[name]


def once(begin: Callable[..., Call], act: Callable[[Call], Any]) -> Callable[..., Any]:
    """Make what acts in a transaction; the table is made by the first call of all."""

    def acting_once(*args: Any, **kwargs: Any) -> Any:
        call = begin(*args, **kwargs)
        with alone(call.place.connection):
            while True:
                try:
                    return act(call)
                except NoTableError:
                    call.place.make()

    return acting_once


def once_async(begin: Callable[..., Call], act: Callable[[Call], Any]) -> Callable[..., Any]:
    """Make what acts in a transaction; the table is made by the first call of all."""

    async def acting_once(*args: Any, **kwargs: Any) -> Any:
        call = begin(*args, **kwargs)
        with alone(call.place.connection):
            while True:
                try:
                    return await act(call)
                except NoTableError:
                    await call.place.make_async()

    return acting_once


def do(call: Call) -> Any:
    """Have the effect, or give what it gave."""
    place, entry = call.place, call.entry
    with place.transaction():
        found = asked(place, entry.doing(place.locks))
        if not found.runs:
            return found.result
        result = call.function(*call.args, **call.kwargs)
        place.held()
        place.said(*entry.done(result))
        return result


async def do_async(call: Call) -> Any:
    """Have the effect, or give what it gave."""
    place, entry = call.place, call.entry
    async with place.transaction_async():
        found = await asked_async(place, entry.doing(place.locks))
        if not found.runs:
            return found.result
        result = await call.function(*call.args, **call.kwargs)
        place.held()
        await place.said_async(*entry.done(result))
        return result


def undo_it(call: Call) -> Any:
    """Undo the effect, or see that it does not happen any more."""
    place, entry = call.place, call.entry
    with place.transaction():
        found = asked(place, entry.undoing(place.locks))
        if not found.runs:
            return None
        result = call.function(*_informed(call.args, found.result), **call.kwargs)
        place.held()
        place.said(*entry.undone())
        return result


async def undo_it_async(call: Call) -> Any:
    """Undo the effect, or see that it does not happen any more."""
    place, entry = call.place, call.entry
    async with place.transaction_async():
        found = await asked_async(place, entry.undoing(place.locks))
        if not found.runs:
            return None
        result = await call.function(*_informed(call.args, found.result), **call.kwargs)
        place.held()
        await place.said_async(*entry.undone())
        return result


_ACTS = {False: (do, do_async), True: (undo_it, undo_it_async)}


def _informed(args: tuple[Any, ...], result: object) -> tuple[Any, ...]:
    """Tell an undo the result that its saga does not know: the database has kept it."""
    if args and isinstance(args[0], dict) and args[0].get("result") is UNKNOWN:
        return ({**args[0], "result": result}, *args[1:])
    return args


def idempotent(
    store: Any, /, *, undo: bool = False, key: str | Callable[..., Any] | None = None, scope: str = ""
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Have an effect in a database once for each key, and not at all once it was undone.

    The key and the result stand in a table `recoup_key`, made when it is first needed, in the very transaction of the
    effect. Called again with the same key, the function is not: the kept result comes back. An undo of what has not
    happened leaves a tombstone instead; what was late then happens never (rule 3).

    Args:
        store: The connection that the function itself uses, of `sqlite3` or `psycopg`: the name of the parameter that
            it comes in, a function without parameters that gives it, or the connection. A plain function needs one
            that blocks, an `async def` one takes both. While a call is in its transaction no other thread or task may
            call on the same connection.
        undo: Whether the function undoes what another one with the same key has done. Default False.
        key: The name of the parameter that is the key, or a function that makes it out of the call's arguments: a
            text, a whole number or a UUID. Default: the key of the running step, `step().key`, which is the same for
            doing and undoing.
        scope: Whose keys they are. A step that has several effects gives each of them a scope, and its undo the same.
            Default: none.

    Returns:
        A decorator for functions and coroutine functions. An undo that finds nothing to undo gives `None`.

    The decorated function raises:
        AlreadyUndone: If it was undone before.
        RecoveryError: If the key belongs to another function, or the function ends the transaction itself.
        RuntimeError: If there is no key, or another thread or task is in a transaction on the connection.
        UnserializableError: If the result would not come back the same; the effect is rolled back then.

    Raises:
        TypeError: If an argument has the wrong type, names no parameter, or the function is a generator.

    If a transaction is open, it is joined, and its end is the caller's; else one is begun and committed round the call.
    What the function raises rolls back the effect and the key: the next call tries again. Effects elsewhere, as a
    request to a service, are not covered: hand the key to the service.

    >>> import sqlite3
    >>> from recoup import idempotent
    >>> bank = sqlite3.connect(":memory:")
    >>> _ = bank.execute("CREATE TABLE entry (amount INTEGER)")
    >>> @idempotent(bank, key="payment")
    ... def book(payment, amount):
    ...     return bank.execute("INSERT INTO entry VALUES (?)", (amount,)).lastrowid
    >>> @idempotent(bank, key="payment", undo=True)
    ... def unbook(payment):
    ...     bank.execute("DELETE FROM entry")
    >>> book("p1", 100), book("p1", 100)
    (1, 1)
    >>> unbook("p2")                     # nothing to undo yet, and nothing will be
    >>> book("p2", 50)                   # doctest: +ELLIPSIS
    Traceback (most recent call last):
    recoup.errors.AlreadyUndone: ...book with key 'p2' was undone before: it was not called
    """
    if store is None:
        raise TypeError("store must be a connection, a function that gives one, or the name of a parameter, not None")
    checks.boolean("undo", undo)
    checks.instance("scope", scope, str)
    if key is not None and not isinstance(key, str) and not callable(key):
        raise TypeError(f"key must be the name of a parameter, a function or None, not {checks.shown(key)}")

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        if isinstance(function, (classmethod, staticmethod)):
            raise TypeError(f"put @idempotent below @{type(function).__name__}")
        colour = colour_of(function)
        if colour.is_stream:
            raise TypeError(f"{described(function)} is a generator: a key stands for an effect that has one end")
        plan = Plan(function, store, key, scope)
        act, act_async = _ACTS[undo]
        made = once_async(plan.begin_async, act_async) if colour.is_async else once(plan.begin, act)
        return functools.update_wrapper(made, function)

    return decorate
