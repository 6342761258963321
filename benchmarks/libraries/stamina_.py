"""stamina."""

from __future__ import annotations

from typing import TYPE_CHECKING

import stamina

from benchmarks.libraries.base import Library

if TYPE_CHECKING:
    from benchmarks.libraries.base import Colour, Function


class Stamina(Library):
    name = package = "stamina"
    module = "stamina"

    def retry(self, fn: Function, colour: Colour, attempts: int) -> Function:
        stamina.instrumentation.set_on_retry_hooks([])  # by default each retry is logged
        return stamina.retry(on=Exception, attempts=attempts, timeout=None, wait_initial=0, wait_max=0, wait_jitter=0)(
            fn
        )


library = Stamina()
