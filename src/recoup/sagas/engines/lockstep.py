"""A plain function that waits as a coroutine waits: it runs in a thread of its own, in lockstep with a coroutine.

    coroutine  --answer-->  thread runs until it asks again, or ends
               <--request-- thread stands still

Exactly one of the two runs at any time, so the function sees nothing that a coroutine would not see, and what it does
is repeated in the same order when it is run again. Temporal asks for that: its workflows are coroutines.

A cancellation reaches the function where it stands, as it would reach a coroutine. A coroutine that is dropped (its
worker forgets it) ends the thread: what waits there gets `Abandoned`, and so does everything it asks from then on.
"""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from queue import SimpleQueue
from threading import Thread, get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

__all__ = ["Abandoned", "Lockstep"]


class Abandoned(BaseException):
    """Nobody drives this function any more: it will be run again elsewhere."""


class Lockstep:
    """One run of one function.

    Args:
        function: What to run, without arguments.

    `drive` belongs to the coroutine, `ask` to the function, in the thread that runs it and in no other.
    """

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self._questions: SimpleQueue[tuple[str, Any]] = SimpleQueue()
        self._answers: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        self._thread: int | None = None
        self._abandoned = False

    async def drive(self, answer: Callable[[Any], Awaitable[Any]]) -> Any:
        """Run the function to its end; answer what it asks.

        Args:
            answer: Called with each request; what it returns or raises is what `ask` returns or raises.

        Returns:
            What the function returned.

        Raises:
            BaseException: What the function raised.
        """
        context = copy_context()
        thread = Thread(target=context.run, args=(self._run,), name="recoup saga", daemon=True)
        thread.start()
        what, value = self._questions.get()
        try:
            while what == "ask":
                reply: tuple[Any, BaseException | None]
                try:
                    reply = (await answer(value), None)
                except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the function's to handle
                    reply = (None, error)
                what, value = self._resume(reply)
        except BaseException as error:
            # Dropped: the function hears of it where it stands, and may clean up but not go on.
            self._abandoned = True
            while what == "ask":
                what, value = self._resume((None, Abandoned(f"abandoned: {type(error).__qualname__}")))
            raise
        finally:
            thread.join()
        if what == "raised":
            raise value
        return value

    def ask(self, request: Any) -> Any:
        """Have the coroutine do something for the function; wait for the answer.

        Raises:
            RuntimeError: If another thread than the function's own asks.
            Abandoned: If nobody drives the function any more.
        """
        if get_ident() != self._thread:
            raise RuntimeError(
                "a step of a synchronous saga was called from another thread, and this engine runs one step at a time "
                "there: make the saga an async function to run steps side by side"
            )
        if self._abandoned:
            raise Abandoned("abandoned")
        self._questions.put(("ask", request))
        value, error = self._answers.get()
        if error is not None:
            raise error
        return value

    def _resume(self, reply: tuple[Any, BaseException | None]) -> tuple[str, Any]:
        """Let the function go on; wait until it stands still again."""
        self._answers.put(reply)
        return self._questions.get()

    def _run(self) -> None:
        self._thread = get_ident()
        try:
            result = self._function()
        except BaseException as error:  # noqa: BLE001 - raised again in the coroutine
            self._questions.put(("raised", error))
        else:
            self._questions.put(("returned", result))
