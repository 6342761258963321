"""tenacity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tenacity

from benchmarks.libraries.base import Library

if TYPE_CHECKING:
    from benchmarks.libraries.base import Colour, Function


class Tenacity(Library):
    name = package = "tenacity"
    module = "tenacity"

    def retry(self, fn: Function, colour: Colour, attempts: int) -> Function:
        stop, wait = tenacity.stop_after_attempt(attempts), tenacity.wait_none()
        return tenacity.retry(stop=stop, wait=wait, reraise=True)(fn)


library = Tenacity()
