"""backoff."""

from __future__ import annotations

from typing import TYPE_CHECKING

import backoff

from benchmarks.libraries.base import Library

if TYPE_CHECKING:
    from benchmarks.libraries.base import Colour, Function


class Backoff(Library):
    name = package = "backoff"
    module = "backoff"

    def retry(self, fn: Function, colour: Colour, attempts: int) -> Function:
        return backoff.on_exception(
            backoff.constant, Exception, max_tries=attempts, interval=0, jitter=None, logger=None
        )(fn)


library = Backoff()
