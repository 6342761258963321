"""A member of an enumeration passed for a schedule of faults, because its metaclass has `__contains__`; by fuzzing."""

from __future__ import annotations

from enum import Enum
from typing import Any

import pytest

from recoup import BackoffStrategy, FaultInjectionConfig


class Mixed(Enum):
    ONE = 1


@pytest.mark.parametrize("schedule", [BackoffStrategy.FIXED, Mixed.ONE])
def test_a_member_is_no_schedule(schedule: Any) -> None:
    """What cannot hold numbers is refused when the config is made, not with an AttributeError later (G1)."""
    with pytest.raises(TypeError, match=r"schedule must hold the numbers of calls .* not <"):
        FaultInjectionConfig(error=OSError, schedule=schedule)
