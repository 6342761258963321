"""How much time is left, as text that travels with a request (rule D4).

What travels is a duration, never a time of day: the clocks of two machines need not agree. The time that a message is
under way is nobody's, so a receiver has that much more than its sender; `elapsed` takes off what it knows about.

Forms:
* "seconds": a decimal number, at most three places after the point ("1.25").
* "milliseconds": a whole number ("1250"), as Envoy's x-envoy-expected-rq-timeout-ms has it.
* "grpc": a whole number of at most eight digits and a unit ("1250m"), as the header grpc-timeout has it.
  Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, section "Requests".

Writing rounds down: nobody is told of more time than there is. Reading takes ASCII digits only, and not many: `float`
would take "nan", "1e999", "1_0" and the digits of every script, and a header comes from outside.
"""

from __future__ import annotations

import re

from recoup._core import checks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, TypeAlias

    Form: TypeAlias = Literal["seconds", "milliseconds", "grpc"]

__all__ = ["known", "read", "written"]

_NANO = 1_000_000_000
_MOST = 99_999_999  # eight digits
_MOST_MILLIS = 999_999_999_999_999  # what is read back as seconds has at most twelve digits before the point
_UNITS = {"n": 1, "u": 1000, "m": 1_000_000, "S": _NANO, "M": 60 * _NANO, "H": 3600 * _NANO}  # finest first
_SHAPES = {
    "seconds": re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?"),
    "milliseconds": re.compile(r"[0-9]{1,15}"),
    "grpc": re.compile(r"[0-9]{1,8}[HMSmun]"),
}
_EXAMPLES = {"seconds": "1.25", "milliseconds": "1250", "grpc": "1250m"}


def written(seconds: float, form: Form) -> str | None:
    """Write a finite duration; `None` if it is too short for the form.

    >>> written(1.2509, "seconds"), written(1.2509, "milliseconds"), written(1.2509, "grpc")
    ('1.25', '1250', '1250900u')
    """
    nanos = int(min(seconds, _MOST_MILLIS) * _NANO)  # any number that is too large, and whose product is finite
    millis = min(nanos // _UNITS["m"], _MOST_MILLIS)
    if form == "grpc":
        unit, size = next((each for each in _UNITS.items() if nanos // each[1] <= _MOST), ("H", _UNITS["H"]))
        return f"{min(nanos // size, _MOST)}{unit}" if nanos > 0 else None
    if millis <= 0:
        return None
    return str(millis) if form == "milliseconds" else f"{millis // 1000}.{millis % 1000:03}".rstrip("0").rstrip(".")


def read(value: str, form: Form) -> float:
    """Read a duration, in seconds.

    Raises:
        TypeError: If it is no string.
        ValueError: If it has not the form.
    """
    if not isinstance(value, str):
        raise TypeError(f"value must be the text of a header or None, not {checks.shown(value)}")
    text = value.strip(" \t")  # what HTTP allows round a value
    if _SHAPES[form].fullmatch(text) is None:
        raise ValueError(f"value must be {form} as in {_EXAMPLES[form]!r}, not {checks.shown(value)}")
    if form == "grpc":
        return int(text[:-1]) * _UNITS[text[-1]] / _NANO
    return float(text) if form == "seconds" else int(text) / 1000


def known(form: object) -> Form:
    """Check the name of a form.

    Raises:
        TypeError: If it is no string.
        ValueError: If there is no such form.
    """
    if form in ("seconds", "milliseconds", "grpc"):
        return form
    names = ", ".join(f'"{name}"' for name in _SHAPES)
    kind = ValueError if isinstance(form, str) else TypeError
    raise kind(f"form must be one of {names}, not {checks.shown(form)}")
