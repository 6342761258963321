"""aiobreaker."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import aiobreaker

from benchmarks.libraries.base import Library

if TYPE_CHECKING:
    from benchmarks.libraries.base import Colour, Function


class Aiobreaker(Library):
    name = package = "aiobreaker"
    module = "aiobreaker"

    def breaker(self, fn: Function, colour: Colour, failures: int) -> Function:
        return aiobreaker.CircuitBreaker(fail_max=failures, timeout_duration=timedelta(hours=1))(fn)


library = Aiobreaker()
