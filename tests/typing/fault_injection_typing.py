"""What a type checker knows of fault injection: the decorated function stays what it was."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import assert_type

from recoup import FaultInjection, FaultInjectionConfig, inject_faults

assert_type(inject_faults(error=ConnectionError, rate=0.5, seed=1), FaultInjection)
assert_type(inject_faults(FaultInjectionConfig(delay=lambda: 0.5)), FaultInjection)
faults = FaultInjection(FaultInjectionConfig(error=lambda: OSError(5), schedule=range(3)), name="outage")


@faults
def fetch(key: str) -> bytes:
    return key.encode()


@inject_faults(change_result=bytes.upper, predicate=lambda key: key == "a")
async def fetch_later(key: str) -> bytes:
    return key.encode()


async def awaited() -> None:
    assert_type(await fetch_later("a"), bytes)


def called() -> None:
    assert_type(fetch("a"), bytes)
    assert_type(faults.armed(), AbstractContextManager[None])
    assert_type(faults.is_armed, bool)
    assert_type(faults.execute_sync(fetch, "a"), bytes)
    faults.arm()
    faults.disarm()
    fetch(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # the parameters are kept
    inject_faults(error=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # no way to make an error
