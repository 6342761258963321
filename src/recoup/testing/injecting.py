"""Put faults into a function, method or callable object for the time of a block or test, or for good into a copy."""

from __future__ import annotations

import inspect
from contextlib import ExitStack, contextmanager
from functools import partial
from types import FunctionType
from typing import TYPE_CHECKING

from recoup._core import checks
from recoup.testing.injection import Injection, below

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

    from recoup.testing.calls import Calls
    from recoup.testing.faults import Fault
    from recoup.typing import Decorated

__all__ = ["Faults", "faulty", "inject"]

_MISSING = object()


@contextmanager
def inject(owner: object, name: str, *faults: Fault, key: Callable[..., object] | None = None) -> Generator[Calls]:
    """Have faults happen to the calls of a function while a block runs, and file the calls.

    `with inject(client, "fetch", fail(ConnectionError, on=(2, 3))) as calls:` replaces the attribute `fetch` of
    `client`, which may be a module, a class or any object. If recoup protects the function, the faults happen below its
    layers, right round the function itself, so that these have something to recover from. Of several faults for the
    same call, `slow` ones add up and the first other one decides. Without faults calls are only filed.

    Everything that can be decorated can be given: sync and async functions, generators, methods, classmethods,
    staticmethods, callable objects. Only what is looked up by this attribute while the block runs is affected, by any
    thread or task, whether recovery is switched off or not; what was imported under another name before is not.

    Args:
        owner: The module, class or object that has the function.
        name: The name of the attribute.
        faults: What `fail`, `hang`, `slow`, `answer` and `instead` give.
        key: Gets the arguments of a call, without the object or class of a method, and gives something hashable: calls
            are counted for each key apart. Default: `None`, they are counted together.

    Returns:
        A context manager that gives the `Calls`; also a decorator of tests. On every way out of the block the attribute
        is again what it was.

    Raises:
        AttributeError: If there is no such attribute.
        TypeError: If it cannot be protected or replaced, or a fault does not fit it.

    Example:
        >>> from recoup import retry
        >>> from recoup.testing import VirtualClock, fail, inject
        >>> class Client:
        ...     @retry(max_attempts=3)
        ...     def fetch(self, page: int) -> str:
        ...         return f"page {page}"
        >>> client = Client()
        >>> with VirtualClock(), inject(client, "fetch", fail(ConnectionError, on=(1, 2))) as calls:
        ...     client.fetch(7)
        'page 7'
        >>> print(calls)
        3 calls of Client.fetch:
          1: Client.fetch(7) raised ConnectionError, injected: fail(ConnectionError)
          2: Client.fetch(7) raised ConnectionError, injected: fail(ConnectionError)
          3: Client.fetch(7) returned 'page 7'
    """
    raw = inspect.getattr_static(owner, name)
    of_class = inspect.isclass(owner)
    found = raw if of_class else getattr(owner, name)
    injection = Injection(_called(found, name), faults, key=key, method=of_class and type(raw) is FunctionType)
    put_back = _put(owner, name, raw, below(found, injection))
    try:
        yield injection.calls
    finally:
        injection.release()
        put_back()


def faulty(target: Decorated, *faults: Fault, key: Callable[..., object] | None = None) -> tuple[Decorated, Calls]:
    """Make a function of the same kind that faults happen to; the given one stays as it is.

    For functions that are no attribute of anything: local ones, lambdas, callbacks. Layers of recoup stay outside the
    faults, as with `inject`, and are the same objects.

    Args:
        target: A function, method or callable object.
        faults: What `fail`, `hang`, `slow`, `answer` and `instead` give.
        key: As for `inject`.

    Returns:
        The function with the faults, and its calls.

    Raises:
        TypeError: If it cannot be protected, or a fault does not fit it.

    Example:
        >>> from recoup import retry
        >>> from recoup.testing import fail, faulty, instant
        >>> @retry
        ... def load() -> int:
        ...     return 42
        >>> shaky, calls = faulty(load, fail(TimeoutError, on=1))
        >>> with instant():
        ...     shaky(), len(calls)
        (42, 2)
    """
    injection = Injection(_called(target, "function"), faults, key=key)
    return below(target, injection), injection.calls


class Faults:
    """Injects faults until the test ends: what the fixture `faults` gives.

    `calls = faults(client, "fetch", fail(ConnectionError, on=1))` is `inject` without a block.

    Attributes:
        all: The calls of every function that faults were injected into, in that order.
    """

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.all: list[Calls] = []

    def __call__(self, owner: object, name: str, *faults: Fault, key: Callable[..., object] | None = None) -> Calls:
        """Have faults happen to the calls of a function until the test ends; see `inject`.

        Returns:
            The calls, filed.

        Raises:
            AttributeError: If there is no such attribute.
            TypeError: If it cannot be protected or replaced, or a fault does not fit it.
        """
        calls = self._stack.enter_context(inject(owner, name, *faults, key=key))
        self.all.append(calls)
        return calls


def _called(target: Any, default: str) -> str:
    inner = getattr(target, "__func__", target)
    name = getattr(inner, "__qualname__", None)
    return name.rpartition("<locals>.")[2] if isinstance(name, str) and name else default


def _put(owner: Any, name: str, raw: Any, value: Any) -> Callable[[], None]:
    """Set the attribute; give what sets it back."""
    before = getattr(owner, "__dict__", {}).get(name, _MISSING)
    if before is _MISSING and hasattr(type(raw), "__set__"):  # a slot, or another descriptor that keeps the value
        before = getattr(owner, name)
    try:
        setattr(owner, name, value)
    except (AttributeError, TypeError) as problem:
        raise TypeError(
            f"cannot replace {name!r} of {checks.shown(owner)} ({problem}): inject into its class "
            f"{type(owner).__qualname__!r}, or use faulty()"
        ) from problem
    return partial(delattr, owner, name) if before is _MISSING else partial(setattr, owner, name, before)
