"""Circuit breaker as a strategy object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from recoup._core import checks, clock
from recoup._core.strategy import Pump, Strategy
from recoup._core.waiting import at_fork
from recoup.strategies.circuit_breaker import blocks, by_hand, control, pumps, rules, stream_pumps
from recoup.strategies.circuit_breaker.calls import Calls
from recoup.strategies.circuit_breaker.changes import settled
from recoup.strategies.circuit_breaker.config import CircuitBreakerConfig
from recoup.strategies.circuit_breaker.judge import Judge
from recoup.strategies.circuit_breaker.saved import envelope, member, opened, read, written
from recoup.strategies.circuit_breaker.telling import asynchronous

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from recoup._core.colour import Colour
    from recoup._core.strategy import Place
    from recoup.strategies.circuit_breaker.blocks import Guard
    from recoup.strategies.circuit_breaker.phases import CircuitBreakerState
    from recoup.typing import Seconds

__all__ = ["CircuitBreaker"]


class CircuitBreaker(Strategy):
    """Stop calling what keeps failing; find out with a few probes when it works again.

    A decorator (`@breaker`), an executor (`await breaker.call(func)`, `breaker.call_sync(func)`) and a block
    (`with breaker:`, `async with breaker:`). All that go through one object share its state.

    Args:
        config: What counts and how much of it; default `CircuitBreakerConfig()`.
        name: What errors, events and `repr` call it. Default: the name of the first function it decorates.

    Thread and loop safety: one object serves any number of threads, tasks and event loops. No lock is held while a
    function or a callback runs, and a healthy call takes none at all.

    >>> breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=1), name="payments")
    >>> breaker.call_sync(int, "12")
    12
    >>> breaker.call_sync(int, "twelve")
    Traceback (most recent call last):
        ...
    ValueError: invalid literal for int() with base 10: 'twelve'
    >>> breaker
    <CircuitBreaker 'payments' open>
    """

    kind: ClassVar[str] = "circuit_breaker"

    def __init__(self, config: CircuitBreakerConfig | None = None, *, name: str | None = None) -> None:
        if config is None:
            config = CircuitBreakerConfig()
        checks.instance("config", config, CircuitBreakerConfig)
        super().__init__(name=name, async_callbacks=asynchronous(config))
        self._calls = Calls(self, config)
        at_fork(self._calls)

    call = Strategy.execute
    call_sync = Strategy.execute_sync
    __enter__ = blocks.enter
    __exit__ = blocks.leave
    __aenter__ = blocks.enter_async
    __aexit__ = blocks.leave_async

    def __repr__(self) -> str:
        return f"<CircuitBreaker {self.name!r} {self.state.value}>"

    @property
    def config(self) -> CircuitBreakerConfig:
        """What counts now, and how much of it."""
        return self._calls.bench.judge.config

    @property
    def state(self) -> CircuitBreakerState:
        """What the circuit does with calls at this moment.

        An open circuit whose time is over is half-open, though `on_half_open` runs only with the first call. Reading
        changes nothing.
        """
        return self._calls.circuit.view(clock.monotonic())[0]

    @property
    def metrics(self) -> dict[str, int]:
        """What happened since this object was made; a copy.

        * `opened`: how many times the circuit opened by itself
        * `refused`: how many calls were refused
        * `late`: how many outcomes belonged to an earlier state and were dropped
        * `would_open`: how many times it would have opened, had it not been held in `metrics_only`
        """
        return self._calls.metrics()

    @property
    def failure_rate(self) -> float | None:
        """The share of failures in the window, 0 to 1; `None` while it is not known.

        That is: while there are fewer than `minimum_calls`, while the circuit is not closed, and always if the breaker
        has neither `failure_rate` nor `slow_call_rate` as a rule, since it then keeps no shares.
        """
        return self._calls.circuit.shares(clock.monotonic())[0]

    @property
    def slow_call_rate(self) -> float | None:
        """The share of slow calls in the window, 0 to 1; `None` while it is not known, as `failure_rate` is."""
        return self._calls.circuit.shares(clock.monotonic())[1]

    def guard(self) -> Guard:
        """Make a block object for `with` or `async with` whose entry and exit may happen in different contexts.

        `with breaker:` does for all but generators and fixtures, which may be ended elsewhere than they began.
        """
        return blocks.Guard(self, lambda: self._calls)

    force_open = by_hand.force_open
    disable = by_hand.disable
    metrics_only = by_hand.metrics_only

    def trip(self, seconds: Seconds | None = None) -> None:
        """Open the circuit, as if its rules had; unlike `force_open`, it goes on by itself when the time is over.

        For what you know before the failures tell: an alarm, an announced maintenance, a `Retry-After`. An open circuit
        begins its time anew. Under a hold it takes effect when that is released. Outcomes of calls that are running are
        dropped.

        Args:
            seconds: How long (or a timedelta) until probes are let through; more than 0. Default `None`: as the
                configuration says for the next opening.

        Raises:
            TypeError: If `seconds` is no duration.
            ValueError: If it is out of range.

        Any thread or task may call this at any time.

        >>> breaker = CircuitBreaker(name="payments")
        >>> breaker.trip(30)
        >>> breaker
        <CircuitBreaker 'payments' open>
        """
        self._calls.circuit.trip(clock.monotonic(), control.wait(seconds))
        self._tell_by_hand()

    def half_open(self) -> None:
        """Let probes through from now on, whatever the state, and have them decide; nothing if they decide already.

        For a service that is known to be back before the time of an open circuit is over, or that is to be tried out.
        Under a hold it takes effect when that is released. Outcomes of calls that are running are dropped.

        Any thread or task may call this at any time.

        >>> breaker = CircuitBreaker(name="payments")
        >>> breaker.trip(30)
        >>> breaker.half_open()
        >>> breaker
        <CircuitBreaker 'payments' half_open>
        """
        self._calls.circuit.half_open(clock.monotonic())
        self._tell_by_hand()

    def reconfigure(self, config: CircuitBreakerConfig | None = None, /, **changes: Any) -> None:
        """Change the configuration while calls are made; the state stays.

        Write `breaker.reconfigure(timeout=30)`, which keeps all other options, or give a whole config.

        * A closed circuit keeps its recent outcomes, as far as they are known to be recent under the new rules too. It
          opens by its next outcome, not by being reconfigured.
        * What is timed lasts as long as the new options say, from when it began: the open time of a circuit that is
          open (a new `timeout`), the leases of probes that run (`half_open_timeout`), a ramp (`ramp_up`).
        * Probes that run count for the new `success_threshold`; one success at least is always left to be had.

        Args:
            config: What holds from now on; `None` for what holds now, with changes.
            changes: Fields of `CircuitBreakerConfig`; `on` is short for `failure_on`.

        Raises:
            TypeError: For an unknown option, a value of the wrong type, or changes beside a config.
            ValueError: For a value out of range; if results were not judged and would be, or the other way round; if
                a callback would be asynchronous where none was. Then nothing was changed.

        Any thread or task may call this at any time. Of two that do so at once, one wins.

        >>> breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=5), name="payments")
        >>> breaker.reconfigure(failure_threshold=2, timeout=[5, 30])
        >>> breaker.config.failure_threshold, breaker.config.success_threshold
        (2, 2)
        """
        super().reconfigure(config, **changes)

    def snapshot(self) -> dict[str, Any]:
        """Save the state as plain data that JSON can hold, for `restore` in the next process.

        Windows, an open circuit with what is left of its time and what opened it, how many times it opened in a row,
        and a ramp. A half-open circuit is saved as open with its time over. Probes, holds and `metrics` are not saved.

        Returns:
            A dict of strings, numbers, lists and dicts, stamped with the time of the wall clock. It holds the type and
            the shortened text of the error that opened the circuit, and nothing else of calls. At most about 1 KiB, and
            for shares one byte for each of `window_size` calls.

        Any thread or task may call this at any time; it changes nothing.

        >>> breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=1), name="payments")
        >>> breaker.snapshot()["circuit"]["state"]
        'closed'
        """
        return envelope("circuit_breaker", {"circuit": written(self._calls.circuit.save(clock.monotonic()))})

    def restore(self, snapshot: object) -> None:
        """Take over a state that `snapshot` saved, perhaps in another process and under another configuration.

        The time since then has passed, by the wall clock, for open circuits as for windows; if that clock was set back,
        none has. The rules are those of now: windows keep what fits. Outcomes of calls that are running are dropped,
        and holds stay. Callbacks and events tell if calls begin or cease to flow.

        Args:
            snapshot: What `snapshot` returned, or the same after a trip through JSON.

        Raises:
            ValueError: For anything else, and for versions that this recoup does not know. Then nothing was changed.

        Any thread or task may call this at any time.

        >>> breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=1), name="payments")
        >>> breaker.call_sync(int, "twelve")
        Traceback (most recent call last):
            ...
        ValueError: invalid literal for int() with base 10: 'twelve'
        >>> saved = breaker.snapshot()
        >>> breaker.reset()
        >>> breaker.restore(saved)
        >>> breaker
        <CircuitBreaker 'payments' open>
        """
        saved = opened("circuit_breaker", snapshot, lambda given, passed: read(member(given, "circuit")).later(passed))
        self._calls.circuit.restore(saved, clock.monotonic())
        self._tell_by_hand()

    def reset(self) -> None:
        """Close the circuit, forget its failures and end all holds. Outcomes of calls that are running are dropped.

        `metrics` go on: they count what happened since this object was made.
        """
        self._calls.circuit.reset()
        self._tell_by_hand()

    def _settled(self, config: CircuitBreakerConfig) -> None:
        settled(self, self.config, config)

    def _adopt(self, config: CircuitBreakerConfig) -> None:
        self._async_callbacks = tuple(asynchronous(config)) or self._async_callbacks
        self._calls.bench.judge = Judge(config)
        self._calls.catch_up()

    def _says(self) -> Sequence[str]:
        return rules.said(self.config, str(self._calls.circuit.open_times))

    def _pumps(self, place: Place) -> Sequence[Pump]:
        colour, calls = place.colour, self._calls
        self._accept(colour, place.target)  # a layer outside may have taken an awaited call to a thread, where none is
        tell: Callable[[], Any] = calls.tell_async if colour.is_async else calls.tell
        if colour.is_stream:
            stream = stream_pumps.guarding_stream_async if colour.is_async else stream_pumps.guarding_stream
            return [Pump(stream, (lambda *_, **__: calls, place.outer, tell))]
        factory = pumps.guarding_async if colour.is_async else pumps.guarding
        return [Pump(factory, (calls.circuit, calls, place.outer, tell))]

    def _accept(self, colour: Colour, target: object) -> None:
        super()._accept(colour, target)
        self._calls.accept(colour, target)

    def _hold(self, key: object, state: CircuitBreakerState) -> None:
        self._calls.circuit.hold(key, state, clock.monotonic())

    def _release(self, key: object) -> None:
        self._calls.circuit.release(key)

    def _tell_by_hand(self) -> None:
        """Tell what was done by hand; async callbacks cannot run here, so the next call runs them."""
        if not self._async_callbacks:
            self._calls.tell()
