"""Durations as text that travels with a request (D4)."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recoup._core.headers import known, read, written

FORMS: list[Any] = ["seconds", "milliseconds", "grpc"]
GRPC = re.compile(r"[0-9]{1,8}[HMSmun]")  # PROTOCOL-HTTP2.md of gRPC: a positive integer of at most 8 digits, a unit


@pytest.mark.parametrize(
    ("seconds", "form", "text"),
    [
        (1.25, "seconds", "1.25"),
        (1.2509, "seconds", "1.25"),
        (10.0, "seconds", "10"),
        (100.0, "seconds", "100"),
        (0.001, "seconds", "0.001"),
        (0.0009, "seconds", None),
        (0.0, "seconds", None),
        (1.2509, "milliseconds", "1250"),
        (0.0009, "milliseconds", None),
        (0.0, "milliseconds", None),
        (0.0, "grpc", None),
        (1e-9, "grpc", "1n"),
        (0.0999, "grpc", "99900000n"),
        (0.1, "grpc", "100000u"),
        (1.2509, "grpc", "1250900u"),
        (99.5, "grpc", "99500000u"),
        (100.0, "grpc", "100000m"),
        (100_000.5, "grpc", "100000S"),
        (100_000_000.0, "grpc", "1666666M"),
        (6_000_000_000.0, "grpc", "1666666H"),
        (1e15, "grpc", "99999999H"),
    ],
)
def test_writing(seconds: float, form: Any, text: str | None) -> None:
    """A duration is rounded down to what the form can say; what is too short for it is not written (D4)."""
    assert written(seconds, form) == text


@pytest.mark.parametrize(
    ("text", "form", "seconds"),
    [
        ("1.25", "seconds", 1.25),
        (" 2\t", "seconds", 2.0),
        ("0", "seconds", 0.0),
        ("1250", "milliseconds", 1.25),
        ("1H", "grpc", 3600.0),
        ("2M", "grpc", 120.0),
        ("3S", "grpc", 3.0),
        ("4m", "grpc", 0.004),
        ("5u", "grpc", 0.000005),
        ("6n", "grpc", 0.000000006),
        ("0m", "grpc", 0.0),
    ],
)
def test_reading(text: str, form: Any, seconds: float) -> None:
    """What gRPC and HTTP peers send is read, white space round it included (D4)."""
    assert read(text, form) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "-1", "+1", "nan", "inf", "1e9", "1_0", ".5", "5.", "0x10", "\u0663", "1\n", "1 2", "9" * 13, "1, 2", "1.5s"],
)
def test_what_comes_from_outside_is_not_trusted(text: str) -> None:
    """Only plain ASCII digits are a number of seconds: no NaN, no sign, no exponent, no other script (G1, D4)."""
    with pytest.raises(ValueError, match=r"value must be seconds as in '1\.25', not "):
        read(text, "seconds")


@pytest.mark.parametrize("text", ["", "1", "m", "123456789m", "1.5S", "1s", "1 m", "-1m", "\u0663m", "1mm"])
def test_what_is_no_grpc_timeout_is_refused(text: str) -> None:
    """A value of more than eight digits, without a unit or with an unknown one is refused (G1, D4)."""
    with pytest.raises(ValueError, match="value must be grpc as in '1250m', not "):
        read(text, "grpc")


@pytest.mark.parametrize("text", ["", "1.5", "-1", "1e3", "9" * 16])
def test_what_is_no_number_of_milliseconds_is_refused(text: str) -> None:
    """Milliseconds are whole (G1, D4)."""
    with pytest.raises(ValueError, match="value must be milliseconds as in '1250', not "):
        read(text, "milliseconds")


@pytest.mark.parametrize("value", [1.5, b"1.5", ["1.5"]])
def test_a_header_is_text(value: Any) -> None:
    """A value that is no string is refused (G1)."""
    with pytest.raises(TypeError, match="value must be the text of a header or None, not "):
        read(value, "seconds")


def test_an_unknown_form_is_refused() -> None:
    """The message lists the forms (G1)."""
    with pytest.raises(ValueError, match='form must be one of "seconds", "milliseconds", "grpc", not \'minutes\''):
        known("minutes")
    with pytest.raises(TypeError, match='form must be one of "seconds", "milliseconds", "grpc", not 3'):
        known(3)


@given(st.floats(0, 1e9), st.sampled_from(FORMS))
def test_nobody_is_told_of_more_time_than_there_is(seconds: float, form: Any) -> None:
    """What is read is at most what was written, and less by no more than the form's resolution (D4)."""
    text = written(seconds, form)
    if text is None:
        assert seconds < 0.001
        return
    assert form != "grpc" or GRPC.fullmatch(text)
    again = read(text, form)
    assert again <= seconds + 1e-9
    assert seconds - again < (0.001 if form != "grpc" else max(1e-9, seconds * 1e-5)) + 1e-9


@given(st.text(max_size=20), st.sampled_from(FORMS))
def test_any_text_is_read_or_refused(text: str, form: Any) -> None:
    """Whatever comes in, it is a finite duration of 0 or more, or a ValueError (G1)."""
    try:
        seconds = read(text, form)
    except ValueError:
        return
    assert 0 <= seconds < 1e12
