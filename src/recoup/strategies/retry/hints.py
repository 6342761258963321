"""What a service asks for: `Retry-After`, in seconds or as a date (rule R5).

The clients of HTTP are known by their shapes, and none of them is imported:

| client | where |
|---|---|
| httpx, requests | `error.response.headers` |
| aiohttp, urllib | `error.headers` |
| botocore | `error.response["ResponseMetadata"]["HTTPHeaders"]` |
| urllib3, and all others when `retry_on_result` turns a response down | `result.headers` |
| anybody's own exception | `error.retry_after`: seconds, a timedelta, or the text of the header |

Source: RFC 9110, section 10.2.3 (Retry-After) and section 5.6.7 (dates).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, timedelta

from recoup._core.conditions import leaves
from recoup.errors import Refusal, UnacceptableResult

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["asked", "may_ask", "seconds"]

_SECONDS = re.compile(r"\d+(\.\d*)?", re.ASCII)  # whole ones by the book; some services send fractions


def may_ask(error: BaseException | type[BaseException]) -> bool:
    """Tell whether to look closer: nearly no error (or class) carries a hint, and every failure pays for the search."""
    try:
        return (
            getattr(error, "response", None) is not None
            or getattr(error, "headers", None) is not None
            or getattr(error, "retry_after", None) is not None
            or isinstance(error, BaseExceptionGroup)
        )
    except Exception:  # noqa: BLE001 - a property of somebody's that raises says nothing
        return False


def asked(error: BaseException, wall: Callable[[], float]) -> float | None:
    """Give the seconds that an error asks to wait; the longest of a group's; `None` if it says nothing.

    Args:
        error: The error, or the `UnacceptableResult`.
        wall: The wall clock, for dates.
    """
    if not isinstance(error, BaseExceptionGroup):
        return _asked(error, wall)
    hints = [hint for leaf in leaves(error) if (hint := _asked(leaf, wall)) is not None]
    return max(hints, default=None)


def seconds(value: object, wall: Callable[[], float]) -> float | None:
    """Read a hint: seconds, a timedelta, or the text of a header, which is rounded up to whole seconds.

    >>> seconds("120", lambda: 0.0), seconds("Thu, 01 Jan 1970 00:01:00 GMT", lambda: 20.5)
    (120.0, 40.0)
    """
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value) if value >= 0 else None  # nothing compares to NaN
    if isinstance(value, (bytes, bytearray)):
        value = value.decode("latin-1")
    if not isinstance(value, str):
        return None
    text = value.strip()
    if _SECONDS.fullmatch(text):
        return _up(float(text))
    return _until(text, wall)


def _asked(error: BaseException, wall: Callable[[], float]) -> float | None:
    if isinstance(error, Refusal):  # ours is a lower bound, not a hint of the service
        return None
    try:
        response = error.result if isinstance(error, UnacceptableResult) else getattr(error, "response", None)
        hint = seconds(getattr(error, "retry_after", None), wall)
        for source in (error, response):
            if hint is None:
                hint = seconds(_header(source), wall)
    except Exception:  # noqa: BLE001 - a property of somebody's that raises says nothing
        return None
    return hint


def _header(source: Any) -> object:
    """Find the header in what an error or a response carries."""
    headers = getattr(source, "headers", None)
    if headers is None and isinstance(source, Mapping):
        headers = source.get("ResponseMetadata", {}).get("HTTPHeaders")
    find = getattr(headers, "get", None)
    if not callable(find):
        return None
    found = find("Retry-After")
    return find("retry-after") if found is None else found  # a plain dictionary knows one spelling


def _until(text: str, wall: Callable[[], float]) -> float | None:
    """Give the seconds until a date; 0.0 for one that is past."""
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - few services send dates

    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:  # "-0000", and the oldest form, which has no zone: all are meant as UTC
            moment = moment.replace(tzinfo=UTC)
        return max(0.0, _up(moment.timestamp() - wall()))
    except (ValueError, OverflowError):
        return None


def _up(value: float) -> float:
    return float(math.ceil(value)) if math.isfinite(value) else value
