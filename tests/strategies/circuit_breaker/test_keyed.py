"""A circuit for each key (C9, C10, G1, G5, G7, G10, G18)."""

from __future__ import annotations

import asyncio
import enum
import gc
import threading
from typing import TYPE_CHECKING, Any

import pytest

from recoup import events, explain, subscribe
from recoup._core import waiting
from recoup.errors import CircuitBreakerError
from recoup.strategies.circuit_breaker.config import CircuitBreakerConfig
from recoup.strategies.circuit_breaker.keyed import KeyedCircuitBreaker
from recoup.strategies.circuit_breaker.table import plain
from recoup.testing import VirtualClock
from tests.conftest import Both

if TYPE_CHECKING:
    from collections.abc import Callable


def keyed(max_keys: int = 100, **fields: Any) -> KeyedCircuitBreaker:
    config = CircuitBreakerConfig(**{"failure_threshold": 1, "success_threshold": 1, "timeout": 60, **fields})
    return KeyedCircuitBreaker(config, key="host", max_keys=max_keys, name="hosts")


class Hosts:
    """Hosts behind a keyed breaker; some are down."""

    def __init__(self, both: Both, breaker: KeyedCircuitBreaker | None = None) -> None:
        self.both = both
        self.breaker = keyed() if breaker is None else breaker
        self.down: set[str] = set()
        self.asked: list[str] = []

        def fetch(host: str, path: str = "/") -> str:
            self.asked.append(host)
            if host in self.down:
                raise OSError(host)
            return path

        self.fn: Callable[..., Any] = self.breaker(both.wrap(fetch))

    def ask(self, host: str) -> str:
        """Ask a host; tell how that went."""
        try:
            return str(self.both.call(self.fn, host))
        except CircuitBreakerError:
            return "refused"
        except OSError:
            return "failed"

    def state(self, host: str) -> str:
        return self.breaker.state(host).value


def test_each_key_has_its_own_circuit(both: Both, clock: VirtualClock) -> None:
    """The host that is down does not shut out the others, and comes back by itself (C9)."""
    made = Hosts(both)
    made.down = {"a"}
    assert [made.ask(host) for host in "abab"] == ["failed", "/", "refused", "/"]
    assert (made.state("a"), made.state("b"), made.state("never asked")) == ("open", "closed", "closed")
    made.down = set()
    clock.advance(60)
    assert made.state("a") == "half_open"
    assert made.ask("a") == "/"
    assert made.state("a") == "closed"
    assert made.breaker.metrics == {"opened": 1, "refused": 1, "late": 0, "would_open": 0, "keys": 2}
    assert repr(made.breaker) == "<KeyedCircuitBreaker 'hosts' 2 keys>"


@pytest.mark.parametrize("shape", ["auto", "off"])
def test_a_key_is_the_same_however_the_call_is_written(both: Both, monkeypatch: pytest.MonkeyPatch, shape: str) -> None:
    """By position, by name or by default; methods count their self (C9)."""
    monkeypatch.setenv("RECOUP_SHAPE", shape)
    seen: list[tuple[Any, ...]] = []

    def by(*args: Any, **kwargs: Any) -> str:
        seen.append((args, kwargs))
        return str(args[0])

    def fetch(host: str = "a", *, path: str = "/") -> None:
        return None

    async def fetch_async(host: str = "a", *, path: str = "/") -> None:
        return None

    fn: Any = KeyedCircuitBreaker(key=by)(fetch_async if both.is_async else fetch)
    for arguments, names in (((), {}), (("a",), {}), ((), {"host": "a"}), (("a",), {"path": "/"})):
        both.call(fn, *arguments, **names)
    assert seen == [(("a",), {"path": "/"})] * 4

    for named in (KeyedCircuitBreaker(key="path"), named_by_host := KeyedCircuitBreaker(key="host")):
        fn = named(fetch)
        fn()
        fn("a", path="/")
        fn(host="a")
        assert named.metrics["keys"] == 1
    named_by_host.reset()

    class Client:
        @named_by_host
        def fetch(self, host: str) -> str:
            return host

    client = Client()
    assert [client.fetch("x"), client.fetch(host="x"), client.fetch("y")] == ["x", "x", "y"]
    assert named_by_host.metrics["keys"] == 2


def test_the_executor_takes_a_key_from_the_arguments(both: Both) -> None:
    """As the decorator does (C9)."""
    breaker = KeyedCircuitBreaker(key=lambda number, *_: number)
    assert both.execute(breaker, divmod, 7, 2) == (3, 1)
    assert breaker.call_sync(divmod, 8, 2) == (4, 0)
    assert asyncio.run(breaker.call(divmod, 8, 3)) == (2, 2)
    assert breaker.metrics["keys"] == 2


def test_streams_have_keys(both: Both, clock: VirtualClock) -> None:
    """Generators of either colour (G5, C9)."""
    breaker = keyed()
    seen: list[Any] = []

    def items(host: str) -> Any:
        yield host
        if host == "a":
            raise OSError("down")

    fn = breaker(both.wrap(items))
    for host in "abab":
        try:
            seen.append(both.call(fn, host))
        except (OSError, CircuitBreakerError) as error:
            seen.append(type(error).__name__)
    assert seen == ["OSError", ["b"], "CircuitBreakerError", ["b"]]
    clock.advance(60)
    with pytest.raises(OSError, match="down"):
        both.call(fn, "a")
    assert breaker.state("a").value == "open"


def test_a_stream_that_its_consumer_leaves_is_neutral(clock: VirtualClock) -> None:
    """Its key's circuit hears nothing (C8)."""
    breaker = keyed()

    @breaker
    def items(host: str) -> Any:
        yield 1
        yield 2

    @breaker
    async def items_async(host: str) -> Any:
        yield 1
        yield 2

    stream = items("a")
    next(stream)
    stream.close()
    thrown = items("b")
    next(thrown)
    with pytest.raises(OSError, match="mine"):
        thrown.throw(OSError("mine"))

    async def main() -> None:
        stream = items_async("a")
        await anext(stream)
        await stream.aclose()

    asyncio.run(main())
    assert [breaker.state(key).value for key in "ab"] == ["closed", "closed"]


def test_judging_goes_by_key_as_well(both: Both, clock: VirtualClock) -> None:
    """Results, shares and durations (C2, C8)."""
    breaker = keyed(failure_on_result=lambda result: result == "bad")
    fn = breaker(both.wrap(lambda host, answer: answer))
    for host, answer in (("a", "bad"), ("b", "good")):
        assert both.call(fn, host, answer) == answer
    assert [breaker.state(key).value for key in "ab"] == ["open", "closed"]
    slow = keyed(failure_threshold=None, slow_call_rate=1.0, slow_call_duration=2, minimum_calls=1)

    def fetch(host: str) -> None:
        clock.advance(3 if host == "a" else 1)

    waiting = slow(fetch)
    for host in "ab":
        waiting(host)
    assert [slow.state(key).value for key in "ab"] == ["open", "closed"]


def test_keys_are_never_shown(both: Both, clock: VirtualClock) -> None:
    """Neither in events nor in errors nor in words (C9, G10)."""
    seen: list[Any] = []
    made = Hosts(both)
    made.down = {"secret.example"}
    with subscribe(seen.append):
        assert made.ask("secret.example") == "failed"
        with pytest.raises(CircuitBreakerError) as refused:
            both.call(made.fn, "secret.example")
    assert seen == [
        events.CircuitOpened("hosts", 60.0, "OSError"),
        events.CallRefused("hosts", "circuit_breaker", 60.0),
    ]
    assert refused.value.name == "hosts"
    assert "secret" not in repr(made.breaker) + str(explain(made.fn)) + repr(made.breaker.metrics)
    assert "keeps a circuit for each key (host)" in str(explain(made.fn))


def test_callbacks_run_for_every_key(both: Both, clock: VirtualClock) -> None:
    """In order, one teller at a time (G9, C9)."""
    told: list[str] = []
    names = ("on_open", "on_half_open", "on_close")

    async def told_async(name: str) -> None:
        told.append(name)

    def callback(name: str) -> Any:
        if both.is_async:

            async def tell() -> None:
                await told_async(name)

            return tell
        return lambda: told.append(name)

    made = Hosts(both, keyed(**{name: callback(name) for name in names}))
    made.down = {"a", "b"}
    assert [made.ask(host) for host in "ab"] == ["failed", "failed"]
    made.down = set()
    clock.advance(60)
    assert [made.ask(host) for host in "ab"] == ["/", "/"]
    assert told == ["on_open", "on_open", "on_half_open", "on_close", "on_half_open", "on_close"]
    if both.is_async:
        with pytest.raises(TypeError, match="on_open and on_close and on_half_open of circuit_breaker are async"):
            made.breaker(lambda host: host)


def test_open_times_grow_key_by_key(both: Both, clock: VirtualClock) -> None:
    """Each key has its own place in them (C6, C9)."""
    made = Hosts(both, keyed(timeout=[10, 20]))
    made.down = {"a", "b"}
    made.ask("a")
    clock.advance(10)
    assert [made.ask(host) for host in "ab"] == ["failed", "failed"]
    clock.advance(10)
    assert (made.state("a"), made.state("b")) == ("open", "half_open")
    clock.advance(10)
    assert made.state("a") == "half_open"


def test_what_was_not_used_goes_first(both: Both, clock: VirtualClock) -> None:
    """No more than max_keys are kept, and those in use stay (C9)."""
    made = Hosts(both, keyed(max_keys=4, failure_threshold=2))
    made.down = {"b"}
    for host in "abcd":
        made.ask(host)
    made.ask("e")  # everybody was used once since: the oldest goes
    assert [made.breaker._table.known(host) is None for host in "abcde"] == [True, False, False, False, False]
    made.ask("b")
    assert made.state("b") == "open"
    for host in "fghij":
        made.ask(host)
        made.ask("e")
    assert made.breaker.metrics["keys"] == 4
    assert made.breaker._table.known("e") is not None
    assert made.state("b") == "open"


def test_open_circuits_go_last_and_the_oldest_first(both: Both, clock: VirtualClock) -> None:
    """Who lets one go lets calls through to what is down (C9)."""
    made = Hosts(both, keyed(max_keys=3))
    made.down = {"a", "b", "c", "d"}
    for host in "ab":
        made.ask(host)
    for number in range(50):
        made.ask(f"up{number}")
    assert [made.ask(host) for host in "ab"] == ["refused", "refused"]
    for host in "cd":
        made.ask(host)
    assert made.breaker.metrics["keys"] == 3
    gc.collect()
    assert [made.state(host) for host in "abcd"] == ["closed", "open", "open", "open"]


def test_a_circuit_that_closed_again_is_one_of_the_others(both: Both, clock: VirtualClock) -> None:
    """It was put aside while it was open (C9)."""
    made = Hosts(both, keyed(max_keys=2))
    made.down = {"a"}
    for host in "abc":
        made.ask(host)
    made.down = set()
    clock.advance(60)
    assert made.ask("a") == "/"
    assert made.ask("a") == "/"
    for host in "bcdbcd":
        made.ask(host)
    gc.collect()
    assert made.breaker._table.known("a") is None
    assert made.breaker.metrics["keys"] == 2


def test_a_busy_circuit_is_never_replaced(clock: VirtualClock) -> None:
    """However many keys come meanwhile, what runs and what comes meet in one circuit (C9)."""
    breaker = keyed(max_keys=2, failure_threshold=2)

    @breaker
    def fetch(host: str, depth: int = 0) -> None:
        if host != "busy":
            return
        for number in range(100):
            fetch(f"other {depth} {number}")
        if depth == 0:
            with pytest.raises(OSError, match="down"):
                fetch("busy", 1)
        raise OSError("down")

    with pytest.raises(OSError, match="down"):
        fetch("busy")
    assert breaker.state("busy").value == "open"
    assert breaker.metrics["keys"] <= 2


def test_resetting(both: Both, clock: VirtualClock) -> None:
    """Some keys, or all of them (C1, C9)."""
    made = Hosts(both)
    made.down = {"a", "b", "c"}
    for host in "abc":
        made.ask(host)
    made.breaker.reset("a", "never asked")
    assert [made.state(host) for host in "abc"] == ["closed", "open", "open"]
    made.breaker.reset()
    assert [made.state(host) for host in "abc"] == ["closed", "closed", "closed"]
    assert made.breaker.metrics["keys"] == 0


def test_a_healthy_call_of_a_known_key_takes_no_lock(both: Both) -> None:
    """Neither the circuits' nor the table's (C10)."""
    made = Hosts(both)
    made.ask("a")
    with made.breaker._table._lock, made.breaker._first.circuit._lock:
        assert made.ask("a") == "/"


def test_threads_that_come_first_at_once_meet_in_one_circuit() -> None:
    """Whoever is later uses what is there (G7, C9)."""
    breaker = keyed(failure_threshold=400, window_size=None, max_keys=50)
    start = threading.Barrier(4)

    def down(host: str) -> None:
        raise OSError("down")

    fn = breaker(down)

    def body() -> None:
        start.wait()
        for number in range(5000):
            try:
                fn(f"{number % 50}")
            except OSError:
                continue

    threads = [threading.Thread(target=body) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [breaker.state(str(number)).value for number in range(50)] == ["open"] * 50
    assert breaker.metrics["opened"] == 50


class Tenant(enum.Enum):
    RED = 1


class Region(enum.StrEnum):
    RED = "red"


class Text(str):
    __slots__ = ()


def test_keys_are_plain() -> None:
    """Equal only if they are the same, with their types; comparing them runs no code of the user's (G7, C9)."""
    keys = [1, True, 1.0, "1", b"1", None, Tenant.RED, Region.RED, "red", ("a", 1), ("a", True), frozenset({"a"}), ()]
    assert len({plain(key) for key in keys}) == len(keys)
    assert plain(Text("a")) == "a"
    assert type(plain(Text("a"))) is str
    for bad in (object(), ["a"], {"a": 1}, ("a", object())):
        with pytest.raises(TypeError, match="key must give a str, int, bytes, None, or a tuple of them, not an object"):
            plain(bad)


async def key_async(host: str) -> str:
    return host


def test_an_awaitable_is_no_key() -> None:
    """An async function hidden in a lambda is closed, with a word (G4)."""
    breaker = KeyedCircuitBreaker(key=lambda host: key_async(host))  # noqa: PLW0108 - hidden, that is the point
    with pytest.raises(TypeError, match="key returned an awaitable"):
        breaker.call_sync(abs, 1)
    gc.collect()


def test_an_error_of_the_key_function_comes_out_and_no_call_is_made(both: Both) -> None:
    """Nor is anything counted (G4)."""
    ran: list[int] = []

    def by(number: int) -> float:
        return 1 / number

    fn = KeyedCircuitBreaker(key=by)(both.wrap(ran.append))
    with pytest.raises(ZeroDivisionError):
        both.call(fn, 0)
    assert ran == []


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"key": 3}, TypeError, "key must be a function or the name of an argument, not 3"),
        ({"key": key_async}, TypeError, "key must be a plain function: a circuit is found without waiting"),
        ({"key": "host", "max_keys": 0}, ValueError, "max_keys must be at least 1, not 0"),
        ({"key": "host", "max_keys": 1.5}, TypeError, "max_keys must be a whole number, not 1.5"),
        ({"key": "host", "config": 3}, TypeError, "config must be a CircuitBreakerConfig, not 3"),
    ],
)
def test_what_makes_no_sense_is_refused(fields: dict[str, Any], error: type[Exception], message: str) -> None:
    """When it is made (G1)."""
    with pytest.raises(error, match=message):
        KeyedCircuitBreaker(**fields)


def test_what_cannot_be_protected_is_refused_at_decoration() -> None:
    """With what to do instead (G1, G5)."""
    with pytest.raises(TypeError, match="key='host' names no parameter of 'abs': give a function"):
        keyed()(abs)
    for function in (lambda *host: host, lambda **host: host):
        with pytest.raises(TypeError, match="key='host' names no parameter"):
            keyed()(function)

    def items(host: str) -> Any:
        yield host

    with pytest.raises(TypeError, match="failure_on_result cannot judge"):
        keyed(failure_on_result=bool)(items)


def test_a_call_that_the_function_does_not_accept_fails_as_ever(both: Both) -> None:
    """Without its argument there is no key, and the error is the function's (G3)."""
    made = Hosts(both)
    with pytest.raises(TypeError, match="host"):
        both.call(made.fn)


def test_a_forked_child_keeps_what_is_open(both: Both, clock: VirtualClock) -> None:
    """With new locks, no probes, and no windows (G18)."""
    made = Hosts(both)
    made.down = {"a", "b"}
    for host in "abc":
        made.ask(host)
    clock.advance(60)
    probe = made.breaker._table.of("b")
    lease = probe.admit()
    made.breaker._table._lock.acquire()
    made.breaker._first.circuit._lock.acquire()
    waiting._after_fork()
    assert made.breaker.metrics["keys"] == 2
    made.down = set()
    assert [made.ask(host) for host in "abc"] == ["/", "/", "/"]
    del lease


def test_streams_tell_what_happens_to_their_key(both: Both, clock: VirtualClock) -> None:
    """Before the first item, and after the last (G9, C9)."""
    told: list[str] = []
    breaker = keyed(on_half_open=lambda: told.append("half open"), on_close=lambda: told.append("closed"))
    down = [True]

    def items(host: str) -> Any:
        if down:
            raise OSError("down")
        told.append("item")
        yield host

    fn = breaker(both.wrap(items))
    with pytest.raises(OSError, match="down"):
        both.call(fn, "a")
    clock.advance(60)
    down.clear()
    assert both.call(fn, "a") == ["a"]
    assert told == ["half open", "item", "closed"]
    assert both.call(fn, "a") == ["a"]


def test_what_was_reset_while_it_was_busy_does_not_come_back(clock: VirtualClock) -> None:
    """Its outcome is dropped, though it had left before (C1, C9)."""
    breaker = keyed(max_keys=1)

    @breaker
    def fetch(host: str) -> None:
        if host == "busy":
            fetch("other")
            breaker.reset("busy")
            raise OSError("down")

    with pytest.raises(OSError, match="down"):
        fetch("busy")
    assert breaker.state("busy").value == "closed"
    assert breaker.metrics["keys"] == 1
