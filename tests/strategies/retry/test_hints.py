"""What retry promises when a service says how long to wait (R5)."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta
from email.message import Message
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recoup import RetryConfig, deadline, retry, subscribe
from recoup.events import RetryStopped
from recoup.strategies.retry.backoff import Backoff
from recoup.strategies.retry.hints import asked, seconds
from recoup.testing import VirtualClock
from tests.conftest import Both
from tests.strategies.retry.test_retry import Script, protect

NOW = datetime(2026, 11, 23, 20, 0, 0, 500_000, tzinfo=UTC).timestamp()


def wall() -> float:
    return NOW


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("1.2", 2.0),
        (b"30", 30.0),
        (bytearray(b"30"), 30.0),
        (7, 7.0),
        (0.35, 0.35),
        (timedelta(minutes=1), 60.0),
        ("9" * 400, math.inf),
        ("Mon, 23 Nov 2026 20:01:00 GMT", 60.0),
        ("Monday, 23-Nov-26 20:01:00 GMT", 60.0),
        ("Mon Nov 23 20:01:00 2026", 60.0),
        ("Mon, 23 Nov 2026 20:01:00 -0000", 60.0),
        ("Mon, 23 Nov 2026 21:01:00 +0100", 60.0),
        ("Mon, 23 Nov 2026 19:00:00 GMT", 0.0),
        ("Mon, 23 Nov 99999 19:00:00 GMT", None),
        ("Mon, 99 Nov 2026 19:00:00 GMT", None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("+5", None),
        ("nan", None),
        ("1e3", None),
        ("٣", None),
        (-1, None),
        (math.nan, None),
        (True, None),
        (None, None),
        ([5], None),
    ],
)
def test_what_a_hint_says(value: object, hint: float | None) -> None:
    """Seconds or a date of any of the three forms, rounded up; a past date is 0; nonsense is no hint (R5)."""
    assert seconds(value, wall) == hint


@given(st.one_of(st.text(max_size=40), st.binary(max_size=40), st.floats(), st.integers()))
def test_no_header_breaks_it(value: Any) -> None:
    """A service may send anything (R5)."""
    hint = seconds(value, wall)
    assert hint is None or hint >= 0


class Response:
    """As that of httpx, requests, aiohttp or urllib3, as far as a hint is concerned."""

    def __init__(self, headers: Any) -> None:
        self.headers = headers


class StatusError(Exception):
    """As httpx.HTTPStatusError and requests.HTTPError."""

    def __init__(self, response: object) -> None:
        super().__init__()
        self.response = response


class HeadersError(Exception):
    """As aiohttp.ClientResponseError and urllib.error.HTTPError."""

    def __init__(self, headers: Any) -> None:
        super().__init__()
        self.headers = headers


class LimitedError(Exception):
    """As those of many clients of one service."""

    def __init__(self, retry_after: object) -> None:
        super().__init__()
        self.retry_after = retry_after


class Touchy(Exception):
    """Its properties raise."""

    @property
    def response(self) -> object:
        raise RuntimeError("no response has been set")


def message(value: str) -> Message:
    headers = Message()
    headers["retry-AFTER"] = value
    return headers


BOTOCORE = {"Error": {}, "ResponseMetadata": {"HTTPHeaders": {"retry-after": "7"}}}


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (StatusError(Response({"Retry-After": "7"})), 7.0),
        (StatusError(Response({"retry-after": "7"})), 7.0),
        (StatusError(Response({"Retry-After": "7"}).headers), None),
        (StatusError(BOTOCORE), 7.0),
        (StatusError({}), None),
        (StatusError({"ResponseMetadata": None}), None),
        (StatusError(None), None),
        (StatusError(Response(None)), None),
        (StatusError(Response([("Retry-After", "7")])), None),
        (HeadersError({"Retry-After": "7"}), 7.0),
        (HeadersError(message("7")), 7.0),
        (HeadersError(None), None),
        (LimitedError(7), 7.0),
        (LimitedError("7"), 7.0),
        (LimitedError("soon"), None),
        (Touchy(), None),
        (OSError(), None),
        (ExceptionGroup("g", [LimitedError(3), OSError(), ExceptionGroup("h", [LimitedError(9)])]), 9.0),
        (ExceptionGroup("g", [OSError()]), None),
    ],
)
def test_where_a_hint_is_found(error: Exception, hint: float | None) -> None:
    """On the error, its headers or its response, in the shapes of the known clients; of several the longest (R5)."""
    assert asked(error, wall) == hint


def test_the_shapes_are_those_of_the_real_clients() -> None:
    """None of them is imported by us, but their own errors are understood (R5)."""
    requests, aiohttp, urllib3 = (pytest.importorskip(name) for name in ("requests", "aiohttp", "urllib3"))
    multidict = pytest.importorskip("multidict")
    response = requests.Response()
    response.headers["retry-after"] = "7"
    info = aiohttp.RequestInfo("http://h", "GET", multidict.CIMultiDictProxy(multidict.CIMultiDict()))
    headers = multidict.CIMultiDictProxy(multidict.CIMultiDict({"RETRY-AFTER": "7"}))
    assert asked(requests.HTTPError(response=response), wall) == 7
    assert asked(requests.ConnectionError(), wall) is None
    assert asked(aiohttp.ClientResponseError(info, (), status=429, headers=headers), wall) == 7
    answer = urllib3.HTTPResponse(headers={"retry-after": "7"}, status=429)
    assert turned_down(answer) == [7.0]


def turned_down(answer: object) -> list[float]:
    """Give the waits before a second call whose result is turned down once."""
    with VirtualClock() as clock:
        answers = iter([answer, None])
        work = retry(retry_on_result=lambda result: result is not None, backoff_strategy="fixed")(answers.__next__)
        assert work() is None
        return list(clock.sleeps)


def test_a_hint_replaces_the_delay_and_is_no_step(both: Both, clock: VirtualClock) -> None:
    """The exponent goes on where it was (R5)."""
    script = Script(OSError(), LimitedError(7), LimitedError(30), OSError(), "ok")
    assert both.call(protect(both, script, max_attempts=9, backoff_strategy="exponential")) == "ok"
    assert clock.sleeps == [1, 7, 30, 2]


def test_a_result_that_is_turned_down_may_carry_a_hint(both: Both, clock: VirtualClock) -> None:
    """As urllib3 and all who do not raise for a status (R5)."""
    busy = Response({"Retry-After": "9"})
    function = protect(
        both, Script(busy, "ok"), retry_on_result=lambda result: result is busy, backoff_strategy="fixed"
    )
    assert both.call(function) == "ok"
    assert clock.sleeps == [9]


def test_a_date_is_counted_from_the_wall_clock(both: Both, clock: VirtualClock) -> None:
    """Here the wall clock is right, and the rest of a second is waited for as well (R5)."""
    moment = datetime.fromtimestamp(clock.wall() + 20, UTC)
    clock.jump_wall(0.5)
    error = HeadersError({"Retry-After": moment.strftime("%a, %d %b %Y %H:%M:%S GMT")})
    assert both.call(protect(both, Script(error, "ok"), backoff_strategy="fixed")) == "ok"
    assert clock.sleeps == [20]


def test_a_hint_above_max_delay_gives_up_at_once(both: Both, clock: VirtualClock) -> None:
    """With the hint in the note and the event; on_failure is told (R5, R10)."""
    seen: list[Any] = []
    error = LimitedError(3600)
    function = protect(both, Script(error), on_failure=seen.append, name="api")
    with subscribe(seen.append), pytest.raises(LimitedError) as caught:
        both.call(function)
    reason = "the service asks for a wait of 3600 s, and max_delay is 60 s"
    assert clock.sleeps == []
    assert caught.value.__notes__ == [f"recoup: 1 attempt, given up 0 s after the first failure: {reason}"]
    assert seen == [error, RetryStopped("api", 1, 0.0, reason)]


def test_a_hint_above_the_deadline_gives_up_at_once(both: Both, clock: VirtualClock) -> None:
    """Waiting would only make the same failure later (R5, D1)."""
    inner = protect(both, Script(LimitedError(7)), attempt_timeout=1, backoff_strategy="fixed")
    with pytest.raises(LimitedError) as caught:
        both.call(deadline(5, mode="cooperative")(inner))
    assert clock.sleeps == []
    assert "the next wait of 7 s does not fit" in caught.value.__notes__[0]


def test_a_hint_may_be_clamped_or_ignored(both: Both, clock: VirtualClock) -> None:
    """By choice (R5)."""
    for choice, wait in (("clamp", 60), ("ignore", 1)):
        error = LimitedError(3600)
        assert both.call(protect(both, Script(error, "ok"), backoff_strategy="fixed", retry_after=choice)) == "ok"
        assert clock.sleeps[-1] == wait


@pytest.mark.parametrize("strategy", ["jitter", "decorrelated", "full_jitter", "equal_jitter", "smooth_jitter"])
@given(hint=st.floats(0, 200), left=st.none() | st.floats(0.1, 300), dice=st.randoms())
def test_a_hint_is_spread_upwards_only(strategy: str, hint: float, left: float | None, dice: random.Random) -> None:
    """All who were told the same come back one after the other, and nobody too early or too late (R5)."""
    wait = Backoff(RetryConfig(backoff_strategy=strategy)).hinted(hint, left, dice.uniform)
    assert wait <= 60
    assert wait >= (hint if hint <= 60 else 30)
    assert wait <= hint * 1.5
    if left is not None and hint < left and hint <= 60:
        assert wait <= left


def test_a_fleet_that_was_told_the_same_spreads() -> None:
    """Also when it was told more than the cap, and clamps (R5, R2)."""
    for hint, lowest in ((20, 20), (500, 30)):
        dice = random.Random(1)
        waits = [Backoff(RetryConfig()).hinted(hint, None, dice.uniform) for _ in range(1000)]
        assert min(waits) >= lowest
        assert len({round(wait, 1) for wait in waits}) > 90
    exact = Backoff(RetryConfig(backoff_strategy="exponential"))
    assert exact.hinted(20, None, random.Random(1).uniform) == 20
    slightly = Backoff(RetryConfig(backoff_strategy="exponential", jitter_range=0.1))
    assert slightly.hinted(20, None, lambda _, high: high) == 22
    assert slightly.hinted(20, 21, lambda _, high: high) == 21
    assert slightly.hinted(20, 19, lambda _, high: high) == 22
    assert slightly.hinted(500, None, lambda low, _: low) == 54


class Guarded(Exception):
    """Some clients raise from a property when there is no response."""

    @property
    def response(self) -> object:
        raise RuntimeError("there is no response yet")


def test_a_property_that_raises_says_nothing(both: Both, clock: VirtualClock) -> None:
    """Looking for a hint never changes what comes of an error (R5, G3)."""
    assert both.call(protect(both, Script(Guarded(), "ok"), initial_delay=1, jitter_range=0)) == "ok"
    assert clock.sleeps == [1]
