"""What comes from outside: headers. Nothing in them may raise anything but what is documented (D4, R5)."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from recoup import Deadline, UnacceptableResult
from recoup._core import headers
from recoup.strategies.retry import hints
from tests.fuzz import values
from tests.fuzz.values import EXAMPLES

FORMS = st.sampled_from(("seconds", "milliseconds", "grpc"))
TEXTS = st.one_of(
    st.text(),
    st.from_regex(r"\A[ \t]*[0-9.eE+_-]{0,20}[HMSmunx]?[ \t]*\Z"),
    st.sampled_from(
        (
            "nan",
            "inf",
            "-1",
            "1e999",
            "1_0",
            "\N{ARABIC-INDIC DIGIT ONE}",
            "0x10",
            "1,5",
            "9" * 400,
            "0" * 400,
            "1S\n",
            "",
            "\x00",
        )
    ),
)
DATES = st.one_of(
    st.datetimes().map(lambda moment: format_datetime(moment.replace(tzinfo=UTC), usegmt=True)),
    st.datetimes().map(format_datetime),
    st.sampled_from(
        (
            "Thu, 01 Jan 1970 00:00:00 GMT",
            "Thu, 01 Jan 0001 00:00:00 +2359",
            "Fri, 31 Dec 9999 23:59:59 -2359",
            "Sun, 06 Nov 94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Mon, 99 Jan 2020 99:99:99 GMT",
            "Mon, 1 Jan 99999999999999999999 00:00:00 GMT",
            "Mon, 1 Jan 2020 00:00:00 +99999999999",
            ", ,, :::",
        )
    ),
    st.from_regex(r"\A[A-Z][a-z]{2}, [0-9]{1,3} [A-Z][a-z]{2} [0-9]{1,6} [0-9:]{0,10} [A-Z+-][0-9A-Z]{0,5}\Z"),
)


class Reply(Exception):
    """An error as HTTP clients raise it; anything may be in it."""

    def __init__(self, **attributes: object) -> None:
        super().__init__()
        self.__dict__.update(attributes)


class Trap:
    """Everything about it raises."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


@given(st.one_of(TEXTS, values.ANYTHING), FORMS, values.DURATIONS, st.one_of(st.none(), values.DURATIONS))
@EXAMPLES
def test_deadline_headers(value: Any, form: Any, elapsed: Any, longest: Any) -> None:
    """A header is a deadline, a ValueError (the caller's fault) or a TypeError (the server's) (D4)."""
    try:
        deadline = Deadline.from_header(value, form, elapsed=elapsed, longest=longest)
    except (TypeError, ValueError):
        return
    assert deadline.remaining() >= 0
    repr(deadline)


@given(values.ANYTHING)
@EXAMPLES
def test_forms(form: Any) -> None:
    """The form of a header is known, or refused."""
    try:
        Deadline.from_header("1", form)
    except (TypeError, ValueError):
        return
    assert form in ("seconds", "milliseconds")


@given(st.floats(0, 1e12), FORMS)
@EXAMPLES
@example(99_999_999.9, "grpc")
@example(5e-324, "grpc")
def test_what_is_written_is_read(seconds: float, form: Any) -> None:
    """A deadline that travels is never longer than what there was, and hardly shorter (D4)."""
    text = headers.written(seconds, form)
    if text is None:
        assert seconds < 0.001
        return
    back = headers.read(text, form)
    assert back <= seconds * (1 + 1e-12)
    # Eight digits are what gRPC has: the coarser the unit, the more is lost.
    lost = max(0.001, seconds * 1e-5) if form != "grpc" else max(1e-9, seconds / 1e5)
    assert back >= min(seconds, 99_999_999 * 3600.0) - lost


MOMENTS = st.integers(86_400, 7_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
WALL = st.sampled_from((0.0, 1_700_000_000.0, -1e11, 1e18))
CARRIED = st.one_of(TEXTS, DATES, TEXTS.map(lambda text: text.encode("utf-8", "replace")), values.ANYTHING)


@given(CARRIED, st.sampled_from(("retry_after", "headers", "response", "result", "botocore")), WALL)
@EXAMPLES
@example(10**400, "retry_after", 0.0)
@example(timedelta.max, "retry_after", 0.0)
@example(float("nan"), "retry_after", 0.0)
def test_retry_after(value: Any, where: str, wall: float) -> None:
    """Whatever a service sends and wherever it stands: seconds from 0, or nothing; never an error (R5)."""
    error: BaseException
    if where == "retry_after":
        error = Reply(retry_after=value)
    elif where == "headers":
        error = Reply(headers={"Retry-After": value})
    elif where == "response":
        error = Reply(response=Reply(headers={"retry-after": value}))
    elif where == "result":
        error = UnacceptableResult(Reply(headers={"retry-after": value}))
    else:
        error = Reply(response={"ResponseMetadata": {"HTTPHeaders": {"retry-after": value}}})
    for each in (error, ExceptionGroup("some", [error, ValueError()])):
        hints.may_ask(each)
        seconds = hints.asked(each, lambda: wall)
        assert seconds is None or (seconds >= 0 and not math.isnan(seconds))


@given(values.ANYTHING, st.sampled_from(("retry_after", "headers", "response", "result")))
@EXAMPLES
def test_what_carries_no_header(value: Any, attribute: str) -> None:
    """Anything may be where a response would be, also what raises when it is touched (R5)."""
    for carried in (value, Trap()):
        error = UnacceptableResult(carried) if attribute == "result" else Reply(**{attribute: carried})
        hints.may_ask(error)
        seconds = hints.asked(error, lambda: 0.0)
        assert seconds is None or seconds >= 0


@given(MOMENTS, st.floats(0, 5e9))
def test_dates_are_understood(moment: datetime, wall: float) -> None:
    """A date is the time until then in whole seconds, or none if it is past."""
    seconds = hints.asked(Reply(retry_after=format_datetime(moment, usegmt=True)), lambda: wall)
    assert seconds == max(0.0, math.ceil(moment.timestamp() - wall))
