"""Figures in words: short, aligned, and a dash for what is not known."""

from __future__ import annotations

import math

__all__ = ["UNKNOWN", "milliseconds", "percent"]

UNKNOWN = "-"


def percent(part: float) -> str:
    """Write a share as a percentage.

    Rounded down, so that "100 %" means all of them.

    >>> percent(0.9999), percent(1.0), percent(0.304), percent(float("nan"))
    ('99.9 %', '100 %', '30.4 %', '-')
    """
    if math.isnan(part):
        return UNKNOWN
    return "100 %" if part == 1.0 else f"{math.floor(part * 1000 + 1e-9) / 10:.1f} %"


def milliseconds(seconds: float) -> str:
    """Write a duration in milliseconds.

    >>> milliseconds(0.0154), milliseconds(2.0), milliseconds(float("nan"))
    ('15 ms', '2000 ms', '-')
    """
    return UNKNOWN if math.isnan(seconds) else f"{seconds * 1000:.0f} ms"
