"""`@saga`: a function whose steps are remembered, so that after a crash it is run again and goes on where it was.

    call --> START and the function's name and arguments --> the body; a step that is over is not run again
         returned --> END with the result
         raised   --> undone, as a block is; after a pivot it is run again instead, by whoever looks after sagas

The body has to do the same each time it is run: what depends on the world belongs into steps.
"""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

from recoup._core import checks
from recoup._core.arguments import Parameters
from recoup._core.colour import Colour, colour_of, described
from recoup.errors import SagaExists, UnserializableError
from recoup.sagas import describing, names, settings, values
from recoup.sagas.journal import State
from recoup.sagas.run import Run

if TYPE_CHECKING:
    from collections.abc import Callable

    from recoup.sagas.keeper import Journal

__all__ = ["SagaFunction", "find"]

_versions: dict[tuple[str, str], SagaFunction] = {}


class SagaFunction:
    """What is known of a function under `@saga`.

    Attributes:
        body: The user's function.
        ref: The name that leads to it: `module:qualname`.
        name: What its sagas are called.
        version: Which version of its code this is.
        key: Gives the key of a saga from the call's arguments; `None` for none.
        saga_timeout: Seconds for all undoing together.
        is_async: Whether it is a coroutine function.
        given: The journal it was given; `UNSET` for the one that is configured.
    """

    def __init__(self, body: Callable[..., Any], *, options: dict[str, Any]) -> None:
        colour = colour_of(body)
        if colour.is_stream or not hasattr(body, "__qualname__"):
            raise TypeError(f"{described(body)} cannot be a saga: give a function or a coroutine function")
        self.body = body
        self.is_async = colour is Colour.ASYNC
        self.ref = describing.title(body)
        self.name: str = options["name"] or body.__qualname__
        self.version: str = options["version"]
        self.key: Callable[..., str] | None = options["key"]
        self.saga_timeout: float = checks.duration("saga_timeout", options["saga_timeout"], zero=False)
        self.given: Any = options["journal"]
        self.kept: dict[str, Any] = {
            each: options[each] for each in ("on_compensation_start", "on_compensation_complete")
        }
        self._parameters = Parameters.of(body)
        _versions[self.ref, self.version] = self

    def journal(self) -> Any:
        """Give the journal or engine that holds for a call; `None` for none."""
        if self.given is settings.UNSET:
            return settings.journal()
        from recoup.sagas import opening  # noqa: PLC0415 - it knows every kind of journal

        return opening.journal_of(self.given)

    def key_of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
        """Give the key of a call."""
        if self.key is None:
            return None
        key = self.key(*args, **kwargs)
        return key if isinstance(key, str) else str(key)

    def packed(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """Write the arguments of a call.

        Raises:
            UnserializableError: If one cannot be written, or nothing leads to the function; nothing has happened then.
        """
        try:
            found = names.find(self.ref)
        except LookupError as error:
            reason = f"{error}: define it at the top of a module"
            raise UnserializableError(what=f"saga {self.ref}", reason=reason) from None
        if getattr(found, "__recoup_saga__", None) is not self:
            raise UnserializableError(what=f"saga {self.ref}", reason="its name leads to something else")
        if self._parameters is not None:
            args, kwargs = self._parameters.normal(args, kwargs)
        return json.dumps(describing.arguments(self.body, (args, kwargs), self.ref), separators=(",", ":"))

    def begun(self, journal: Journal, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Run:
        """Make the saga of a call."""
        packed = self.packed(args, kwargs)
        key = self.key_of(args, kwargs)
        return Run.begun(journal, self.name, key=key, version=self.version, fn=self.ref, args=packed)

    def earlier(self, journal: Journal, exists: SagaExists) -> Any:
        """Give what an earlier saga with the same key returned.

        Raises:
            SagaExists: If that is not over.
        """
        return self._earlier(exists, journal.wait(journal.load(exists.id)))

    async def earlier_async(self, journal: Journal, exists: SagaExists) -> Any:
        """Do what `earlier` does, awaiting the journal."""
        return self._earlier(exists, await journal.wait_async(journal.load(exists.id)))

    def _earlier(self, exists: SagaExists, story: Any) -> Any:
        if story is None or story.head.state is not State.DONE or story.head.fn != self.ref:
            raise exists
        return values.back(json.loads(story.records[-1].body).get("result"))


def find(ref: str, version: str = "") -> SagaFunction:
    """Find the function of a saga, importing its module if need be.

    Raises:
        LookupError: If it is not there, or not in this version.
    """
    found = _versions.get((ref, version))
    if found is None:
        names.find(ref)  # which registers it, if its module was not imported yet
        found = _versions.get((ref, version))
    if found is None:
        raise LookupError(f"{ref} is there, but not in version {version!r}")
    return found


def made(body: Callable[..., Any], options: dict[str, Any]) -> Callable[..., Any]:
    """Put a saga round a function."""
    function = SagaFunction(body, options=options)
    from recoup.sagas import calls  # noqa: PLC0415 - it stands on this file

    wrapper = calls.Wrappers.asynchronous(function) if function.is_async else calls.Wrappers.plain(function)
    functools.update_wrapper(wrapper, body)
    wrapper.__dict__["__recoup_saga__"] = function  # found by `packed`
    return wrapper
