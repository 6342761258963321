"""Fallbacks that change while calls are made (B5, G1)."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from recoup import Fallback, FallbackConfig, fallback, when
from recoup.testing import disabled, instant

if TYPE_CHECKING:
    from recoup.testing import VirtualClock
    from tests.conftest import Both


class Service:
    """Fails with what it is told."""

    def __init__(self) -> None:
        self.error: BaseException | None = ConnectionError("down")

    def call(self, number: int = 0, url: str = "main") -> Any:
        if self.error is not None:
            raise self.error
        return f"{number} from {url}"


@pytest.fixture
def service() -> Service:
    return Service()


def test_another_answer(both: Both, service: Service) -> None:
    """Functions that are decorated already get the new answer, however the old one came (B5)."""
    lenient = fallback(fallback_value=0)
    fetch = lenient(both.wrap(service.call))
    assert both.call(fetch) == both.call(fetch) == 0
    lenient.reconfigure(fallback_value=1)
    assert both.call(fetch) == both.call(fetch) == 1
    lenient.reconfigure(fallback_function=lambda: 2)
    assert both.call(fetch) == 2
    lenient.reconfigure(FallbackConfig(fallback_value=3))
    assert both.call(fetch) == 3
    assert lenient.config == FallbackConfig(fallback_value=3)


def test_other_errors(both: Both, service: Service) -> None:
    """What is answered from now on is decided by the new rules, also for types that have been seen (B5, F4)."""
    lenient = fallback(fallback_value=0)
    fetch = lenient(both.wrap(service.call))
    assert both.call(fetch) == both.call(fetch) == 0
    lenient.reconfigure(on=[ValueError])
    for _ in range(2):
        with pytest.raises(ConnectionError, match="down"):
            both.call(fetch)
    lenient.reconfigure(on=[ConnectionError], skip_on=[ConnectionResetError])
    assert both.call(fetch) == 0
    service.error = ConnectionResetError("reset")
    with pytest.raises(ConnectionResetError, match="reset"):
        both.call(fetch)


def test_a_url_for_a_function_that_is_decorated(both: Both, service: Service) -> None:
    """A service may be named later; it is asked with the arguments of the call (F5, B5)."""
    lenient = fallback(fallback_value=0)

    def fetch(number: int, url: str = "main") -> Any:
        return f"{number} from {url}" if url != "main" else service.call()

    there = lenient(both.wrap(fetch))
    assert both.call(there, 7) == 0
    lenient.reconfigure(fallback_service="other", service_argument="url")
    assert both.call(there, 7) == "7 from other"
    lenient.reconfigure(fallback_service=None, service_argument=None)
    assert both.call(there, 7) == 0


def test_successes_that_are_remembered(both: Both, service: Service, clock: VirtualClock) -> None:
    """They are judged by the new time, and the new bound holds at once (B5, F6)."""
    lenient = fallback(use_cache=True, cache_ttl=10)
    fetch = lenient(both.wrap(service.call))
    service.error = None
    for number in range(3):
        both.call(fetch, number)
    service.error = ConnectionError("down")
    clock.advance(5)
    lenient.reconfigure(cache_ttl=4)
    with pytest.raises(ConnectionError, match="down"):
        both.call(fetch, 2)
    lenient.reconfigure(cache_ttl=60, cache_size=1)
    assert both.call(fetch, 2) == "2 from main"
    with pytest.raises(ConnectionError, match="down"):
        both.call(fetch, 0)


def test_a_reset_forgets(both: Both, service: Service, caplog: pytest.LogCaptureFixture) -> None:
    """Remembered successes go, and what was logged or warned of once is said again (F6, G9)."""
    lenient = fallback(use_cache=True, fallback_function=[lambda: 1 / 0, lambda: "last"])
    fetch = lenient(both.wrap(service.call))
    service.error = None
    both.call(fetch, 1)
    with pytest.warns(RuntimeWarning, match="it got something"):
        lenient._complain("something")
    lenient._complain("something")
    service.error = ConnectionError("down")
    assert both.call(fetch, 1) == "1 from main"
    for _ in range(2):
        lenient.reset()
        assert both.call(fetch, 1) == "last"
        assert both.call(fetch, 1) == "last"
    assert len([each for each in caplog.records if "failed with ZeroDivisionError" in each.message]) == 2
    lenient.reset()
    with pytest.warns(RuntimeWarning, match="it got something"):
        lenient._complain("something")


def test_what_is_settled(service: Service) -> None:
    """What is baked into decorated functions, what does not suit them and bad values are refused whole (G1)."""

    async def later() -> int:
        return 1

    def stream() -> Any:
        yield service.call()

    lenient = Fallback(FallbackConfig(fallback_value=()), name="lenient")
    held = [lenient(service.call), lenient(stream)]
    config = lenient.config
    bad: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"use_cache": True}, ValueError, "^use_cache must stay as it is in <Fallback 'lenient'"),
        ({"fallback_function": later}, ValueError, "^whether fallback_function is async must stay"),
        ({"fallback_service": later}, ValueError, "^whether fallback_service is async must stay"),
        ({"value_given": False, "fallback_value": None}, ValueError, "needs something to fall back to"),
        ({"cache_ttl": 0}, ValueError, "cache_ttl must be greater than 0"),
        ({"fallback_value": 5}, TypeError, "a fallback for a generator must be an iterable"),
        ({"fallback_service": "b", "service_argument": "base"}, TypeError, "takes no argument of that name"),
        ({"valeu": 5}, TypeError, "unexpected keyword argument .valeu."),
    ]
    for changes, kind, message in bad:
        with pytest.raises(kind, match=message):
            lenient.reconfigure(**changes)
    assert lenient.config is config
    assert held[0]() == ()


def test_functions_that_are_gone_are_not_asked(service: Service) -> None:
    """A function that nobody holds any more does not object (G11)."""
    lenient = Fallback(FallbackConfig(fallback_value=()))

    def stream() -> Any:
        yield service.call()

    class Gone(dict[Any, Any]):
        def keyrefs(self) -> list[Any]:
            return [lambda: None]

    held = lenient(stream)
    lenient._sites = Gone()  # type: ignore[assignment]
    lenient.reconfigure(fallback_value=5)
    assert lenient.config.fallback_value == 5
    assert callable(held)


def test_types_alone_decide_or_they_do_not(both: Both, service: Service) -> None:
    """Predicate, condition or type with a will of its own is asked for every error, a group by its leaves (G4)."""

    class Moody(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return "please" in str(instance)

    class Polite(Exception, metaclass=Moody):
        pass

    for on in (lambda error: "please" in str(error), when(lambda error: "please" in str(error)), Polite):
        fetch = fallback(fallback_value=0, on=on)(both.wrap(service.call))
        for _ in range(2):
            service.error = OSError("please")
            assert both.call(fetch) == 0
            service.error = OSError("now")
            with pytest.raises(OSError, match="now"):
                both.call(fetch)
    fetch = fallback(fallback_value=0, on=OSError)(both.wrap(service.call))
    for _ in range(2):
        service.error = ExceptionGroup("all", [OSError()])
        assert both.call(fetch) == 0
        service.error = ExceptionGroup("some", [OSError(), KeyError()])
        with pytest.raises(ExceptionGroup, match="some"):
            both.call(fetch)


def test_what_is_known_of_types_is_bounded(both: Both, service: Service) -> None:
    """A program that makes error types without end is answered, and does not fill the memory."""
    lenient = fallback(fallback_value=0)
    fetch = lenient(both.wrap(service.call))
    for number in range(120):
        service.error = type(f"Error{number}", (Exception,), {})()
        assert both.call(fetch) == 0
    assert len(lenient._rules.at_once) == 100


def test_switched_off_after_it_has_answered(both: Both, service: Service) -> None:
    """A quick answer is none where recovery is off (G16)."""
    fetch = fallback(fallback_value=0)(both.wrap(service.call))
    assert both.call(fetch) == both.call(fetch) == 0
    with disabled(), pytest.raises(ConnectionError, match="down"):
        both.call(fetch)
    with instant():
        assert both.call(fetch) == 0


def test_while_32_threads_call() -> None:
    """Every call gets the old answer or the new one, never none (B5, G7)."""
    lenient = fallback(fallback_value=-1)
    stop = threading.Event()
    odd: list[object] = []

    @lenient
    def fetch() -> int:
        raise ConnectionError

    def call() -> None:
        for _ in range(200):
            answer = fetch()
            if answer not in {-1, -2, -3}:
                odd.append(answer)

    def change() -> None:
        while not stop.is_set():
            lenient.reconfigure(fallback_value=-2)
            lenient.reset()
            lenient.reconfigure(fallback_function=lambda: -3)

    callers = [threading.Thread(target=call) for _ in range(32)]
    changer = threading.Thread(target=change)
    for thread in [*callers, changer]:
        thread.start()
    for caller in callers:
        caller.join()
    stop.set()
    changer.join()
    assert odd == []
