"""A deadline of more than 31,000 years was written as a header that nobody could read (D4); found by fuzzing."""

from __future__ import annotations

from typing import Any

import pytest

from recoup._core import headers


@pytest.mark.parametrize("form", ["seconds", "milliseconds", "grpc"])
@pytest.mark.parametrize("seconds", [999_999_999_999.9, 1e12, 1e13, 1e100, 1e308])
def test_whatever_is_written_can_be_read(seconds: float, form: Any) -> None:
    """What is too long for a form is as long as the form allows, and not a header that the receiver refuses."""
    text = headers.written(seconds, form)
    assert text is not None
    assert 3e11 < headers.read(text, form) <= seconds
