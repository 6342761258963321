"""An order that reserves, charges and ships, and a process that is killed in the middle: the next one makes it good.

The script starts itself as a shop's program, has it killed with SIGKILL after the charge, and starts it once more: for
an order in a block a crash means undo, for one in a function it means go on.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from recoup import compensate, configure, saga, step
from recoup.sagas import people

# The other services: an effect is a file named by the key of its step. Had twice with one key, it is the same file.
WORLD = Path(os.environ.get("SHOP", "."))


def place_of(kind: str) -> Path:
    saga_id, _, number = step().key.partition(":")
    return WORLD / f"{number}-{kind}-{saga_id[:8]}"


def unreserve() -> None:
    place_of("reserved").unlink(missing_ok=True)  # it may never have happened


@compensate(unreserve)
def reserve(order: str) -> None:
    place_of("reserved").write_text(order)


def refund() -> None:
    place_of("charged").unlink(missing_ok=True)


@compensate(refund)
def charge(order: str, amount: int) -> str:
    place_of("charged").write_text(f"{order}: {amount}")
    if "CRASH" in os.environ:
        os.kill(os.getpid(), signal.SIGKILL)  # no `finally` runs, no `atexit`, nothing: the answer is lost
    return f"receipt for {amount}"


@compensate(None, pivot=True)
def ship(order: str) -> None:
    place_of("shipped").write_text(order)


def in_a_block(order: str) -> None:
    with saga("order", key=order):
        reserve(order)
        charge(order, 30)
        ship(order)


@saga
def in_a_function(order: str) -> str:
    reserve(order)
    receipt = charge(order, 30)
    ship(order)
    return receipt


def program(what: str) -> None:
    configure(journal=f"sqlite:///{WORLD}/shop.db")
    if what == "recover":
        while people.listed():  # a journal that is open looks after what was left; a real program just does its work
            time.sleep(0.01)
    else:
        {"block": in_a_block, "function": in_a_function}[what]("A-17")


def start(what: str, world: Path, **environment: str) -> int:
    """Run the program in a process of its own."""
    known = {**os.environ, "SHOP": str(world), **environment}
    return subprocess.run([sys.executable, __file__, what], env=known, check=False).returncode  # noqa: S603 - ourselves


def seen(world: Path) -> list[str]:
    """What the services know, in the order of the steps."""
    return sorted(each.name.rpartition("-")[0] for each in world.iterdir() if not each.name.startswith("shop.db"))


def main() -> None:
    for what, in_the_end in (("block", []), ("function", ["1-reserved", "2-charged", "3-shipped"])):
        with tempfile.TemporaryDirectory() as folder:
            world = Path(folder)
            print(f"an order in a {what}")
            assert start(what, world, CRASH="yes") == -signal.SIGKILL
            print("  killed; what has happened:", *seen(world))
            assert seen(world) == ["1-reserved", "2-charged"]
            assert start("recover", world) == 0
            print("  what has happened in the end:", *seen(world) or ["nothing"])
            assert seen(world) == in_the_end


if __name__ == "__main__":
    program(sys.argv[1]) if len(sys.argv) > 1 else main()
