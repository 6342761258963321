"""One circuit for each key: a host, a tenant, an argument (C9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from recoup._core import checks, clock
from recoup._core.strategy import Pump, Strategy
from recoup._core.waiting import at_fork
from recoup.strategies.circuit_breaker import by_hand, control, keyed_pumps, picking, rules, stream_pumps
from recoup.strategies.circuit_breaker.blocks import Guard
from recoup.strategies.circuit_breaker.calls import Calls
from recoup.strategies.circuit_breaker.changes import settled
from recoup.strategies.circuit_breaker.config import CircuitBreakerConfig
from recoup.strategies.circuit_breaker.judge import Judge
from recoup.strategies.circuit_breaker.phases import CircuitBreakerState
from recoup.strategies.circuit_breaker.saved import envelope, opened, written
from recoup.strategies.circuit_breaker.saved_keys import circuits, key_written
from recoup.strategies.circuit_breaker.table import Table, plain
from recoup.strategies.circuit_breaker.telling import asynchronous

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from recoup._core.colour import Colour
    from recoup._core.strategy import Place
    from recoup.strategies.circuit_breaker.state import Circuit
    from recoup.typing import Seconds

__all__ = ["KeyedCircuitBreaker"]

_MAX_KEYS = 10_000  # ten megabytes at most


class KeyedCircuitBreaker(Strategy):
    """Stop calling what keeps failing, key by key: the host that is down does not shut out the others.

    A decorator (`@breaker`) and an executor (`await breaker.call(func, ...)`, `breaker.call_sync(func, ...)`).

    Args:
        config: What counts and how much of it, for each key; default `CircuitBreakerConfig()`. Its callbacks are run
            for every key.
        key: Gives the key of a call: a plain function that gets its arguments, or the name of one of them. A key is a
            str, int, bytes, bool, float, None, an enumeration's member, or a tuple of such. An error in the function
            propagates, and the call is not made.
        max_keys: How many circuits are kept, at least 1; those in which calls run come on top. When there are more,
            closed ones go that were not used lately, and open ones, the oldest first, only if there are no others.
            What went begins anew. Default 10,000.
        name: What errors, events and `repr` call it, whatever the key: keys are never shown. Default: the name of the
            first function it decorates.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If `max_keys` is below 1.

    Thread and loop safety: as `CircuitBreaker`. A healthy call of a known key takes no lock.

    >>> per_host = KeyedCircuitBreaker(CircuitBreakerConfig(failure_threshold=1, failure_on=OSError), key="host")
    >>> @per_host
    ... def fetch(host: str, path: str = "/") -> str:
    ...     if host == "down.example":
    ...         raise ConnectionError(host)
    ...     return path
    >>> for host in ("down.example", "down.example", "up.example"):
    ...     try:
    ...         print(fetch(host))
    ...     except Exception as error:
    ...         print(type(error).__name__)
    ConnectionError
    CircuitBreakerError
    /
    >>> per_host.state("down.example").value, per_host.state("up.example").value
    ('open', 'closed')
    """

    kind: ClassVar[str] = "circuit_breaker"

    def __init__(
        self,
        config: CircuitBreakerConfig | None = None,
        *,
        key: str | Callable[..., object],
        max_keys: int = _MAX_KEYS,
        name: str | None = None,
    ) -> None:
        checks.count("max_keys", max_keys)
        picking.check(key)
        config = CircuitBreakerConfig() if config is None else config
        checks.instance("config", config, CircuitBreakerConfig)
        super().__init__(name=name, async_callbacks=asynchronous(config))
        self._first = Calls(self, config)
        self._key = key
        self._table = Table(self._first, max_keys)
        at_fork(self._table)

    call = Strategy.execute
    call_sync = Strategy.execute_sync

    def __repr__(self) -> str:
        state = self._first.circuit.view(clock.monotonic())[0]  # which only a hold changes
        held = "" if state is CircuitBreakerState.CLOSED else f" {state.value}"
        return f"<KeyedCircuitBreaker {self.name!r} {len(self._table)} keys{held}>"

    @property
    def config(self) -> CircuitBreakerConfig:
        """What counts now for each key, and how much of it."""
        return self._first.bench.judge.config

    def state(self, key: object) -> CircuitBreakerState:
        """Tell what the circuit of a key does with calls at this moment; reading changes nothing."""
        calls = self._table.known(plain(key))
        return (self._first if calls is None else calls).circuit.view(clock.monotonic())[0]

    def guard(self, key: object) -> Guard:
        """Make a block object for `with` or `async with`, protected by the circuit of a key.

        Args:
            key: As the function `key` would give it; nobody asks that here.

        Raises:
            TypeError: For a key that is not plain.

        >>> per_host = KeyedCircuitBreaker(key="host")
        >>> with per_host.guard("up.example"):
        ...     pass
        """
        known = plain(key)
        return Guard(self, lambda: self._table.of(known))

    force_open = by_hand.force_open
    disable = by_hand.disable
    metrics_only = by_hand.metrics_only

    def trip(self, *keys: object, seconds: Seconds | None = None) -> None:
        """Open the circuits of some keys, as `CircuitBreaker.trip` does.

        Args:
            keys: At least one; as the function `key` would give it.
            seconds: How long (or a timedelta) until probes are let through; more than 0. Default `None`: as the
                configuration says for the next opening.

        Raises:
            TypeError: Without a key, for a key that is not plain, and if `seconds` is no duration.
            ValueError: If `seconds` is out of range.

        >>> per_host = KeyedCircuitBreaker(key="host")
        >>> per_host.trip("down.example", seconds=30)
        >>> per_host.state("down.example").value, per_host.state("up.example").value
        ('open', 'closed')
        """
        wait = control.wait(seconds)
        self._each(keys, lambda circuit: circuit.trip(clock.monotonic(), wait))

    def half_open(self, *keys: object) -> None:
        """Let probes through from now on in the circuits of some keys, as `CircuitBreaker.half_open` does.

        Args:
            keys: As for `trip`.

        Raises:
            TypeError: Without a key, and for a key that is not plain.
        """
        self._each(keys, lambda circuit: circuit.half_open(clock.monotonic()))

    def reconfigure(self, config: CircuitBreakerConfig | None = None, /, **changes: Any) -> None:
        """Change the configuration of the circuits of all keys, while calls are made; their states stay.

        Each circuit changes as `CircuitBreaker.reconfigure` says, and takes the lock that they share for a few
        microseconds; `key` and `max_keys` stay.

        Args:
            config: What holds from now on; `None` for what holds now, with changes.
            changes: Fields of `CircuitBreakerConfig`; `on` is short for `failure_on`.

        Raises:
            TypeError: As `CircuitBreaker.reconfigure`.
            ValueError: As `CircuitBreaker.reconfigure`.

        Any thread or task may call this at any time. Of two that do so at once, one wins.

        >>> per_host = KeyedCircuitBreaker(key="host")
        >>> per_host.reconfigure(failure_threshold=2)
        >>> per_host.config.failure_threshold
        2
        """
        super().reconfigure(config, **changes)

    def snapshot(self) -> dict[str, Any]:
        """Save the states of all keys as plain data that JSON can hold, for `restore` in the next process.

        As `CircuitBreaker.snapshot`; circuits that know nothing are left out. The keys are in it, bytes, floats and
        such in a form that JSON can hold: take care where it goes if they are secrets.

        Any thread or task may call this at any time; it changes nothing.
        """
        now = clock.monotonic()
        saved = ((key, calls.circuit.save(now)) for key, calls in self._table.items())
        circuits = [[key_written(key), written(each)] for key, each in saved if each.says_something]
        return envelope("keyed_circuit_breaker", {"circuits": circuits})

    def restore(self, snapshot: object) -> None:
        """Take over the states that `snapshot` saved, in place of all there are.

        As `CircuitBreaker.restore`. If they are more than `max_keys`, open circuits are kept before closed ones, and
        newer ones before older ones. Callbacks and events tell every circuit that is open.

        Args:
            snapshot: What `snapshot` returned, or the same after a trip through JSON.

        Raises:
            ValueError: For anything else, and for versions that this recoup does not know. Then nothing was changed.
            Exception: What the user's own code for open times raises. Then nothing was changed either.

        Any thread or task may call this at any time.

        >>> per_host = KeyedCircuitBreaker(key="host")
        >>> per_host.restore(per_host.snapshot())
        """
        states = opened("keyed_circuit_breaker", snapshot, circuits)[-self._table.max_keys :]
        first, now = self._first, clock.monotonic()
        made = [(key, first.beside(first.circuit.sibling()), saved) for key, saved in states]
        for _, calls, saved in made:
            calls.circuit.restore(saved, now)
        self._table.fill([(key, calls) for key, calls, _ in made])
        self._tell_by_hand()

    def reset(self, *keys: object) -> None:
        """Begin anew with some keys, or with all if none is given, and then end all holds.

        Outcomes of calls that are running are dropped. No callback is run for that, but for the end of a hold.
        """
        if not keys:
            self._first.circuit.reset()
            self._table.clear()
            self._tell_by_hand()
        for key in keys:
            self._table.forget(plain(key))

    @property
    def metrics(self) -> dict[str, int]:
        """What happened since this object was made, over all keys; a copy.

        Besides the counts of `CircuitBreaker.metrics`: `keys`, how many circuits are kept.
        """
        return {**self._first.metrics(), "keys": len(self._table)}

    def _settled(self, config: CircuitBreakerConfig) -> None:
        settled(self, self.config, config)

    def _adopt(self, config: CircuitBreakerConfig) -> None:
        self._async_callbacks = tuple(asynchronous(config)) or self._async_callbacks
        self._first.bench.judge = Judge(config)
        self._first.catch_up()
        for calls in self._table.all():
            calls.catch_up()

    def _hold(self, key: object, state: CircuitBreakerState) -> None:
        self._first.circuit.hold(key, state, clock.monotonic())
        self._table.follow(clock.monotonic())

    def _release(self, key: object) -> None:
        self._first.circuit.release(key)
        self._table.follow(clock.monotonic())

    def _each(self, keys: tuple[object, ...], move: Callable[[Circuit], None]) -> None:
        if not keys:
            raise TypeError("give at least one key; for all at once there is force_open()")
        for key in [plain(each) for each in keys]:
            move(self._table.of(key).circuit)
        self._tell_by_hand()

    def _tell_by_hand(self) -> None:
        """Tell what was done by hand; async callbacks cannot run here, so the next call runs them."""
        if not self._async_callbacks:
            self._first.tell()

    def _says(self) -> Sequence[str]:
        by = self._key if isinstance(self._key, str) else getattr(self._key, "__qualname__", "a function")
        return (*rules.said(self.config, str(self._first.circuit.open_times)), f"keeps a circuit for each key ({by})")

    def _pumps(self, place: Place) -> Sequence[Pump]:
        colour = place.colour
        self._accept(colour, place.target)
        keyed = self._table.finder(picking.picker(self._key, place.target), place.target)
        tell: Callable[[], Any] = self._first.tell_async if colour.is_async else self._first.tell
        factory: Callable[..., Any]
        if colour.is_stream:
            factory = stream_pumps.guarding_stream_async if colour.is_async else stream_pumps.guarding_stream
        else:
            factory = keyed_pumps.guarding_keyed_async if colour.is_async else keyed_pumps.guarding_keyed
        return [Pump(factory, (keyed, place.outer, tell))]

    def _accept(self, colour: Colour, target: object) -> None:
        super()._accept(colour, target)
        self._first.accept(colour, target)
        if isinstance(self._key, str):
            picking.argument(self._key, target)
