"""Zombies: `python -m tests.sagas.postgres.zombies [FIRST [STEP]]`.

A process stops in the middle of a saga (SIGSTOP): its session lives, so it still owns the saga. A person has another
process take it over and undo it. Then the first one goes on (SIGCONT), as if nothing had been. It does so at every
point: before and after each exchange of its journal, before and after each effect, and inside an effect's transaction.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import psycopg

from recoup import AlreadyUndone, Fenced, configure, saga
from recoup.sagas.journal import Append, State
from recoup.sagas.people import recover
from tests.sagas.postgres import shop
from tests.servers.postgres import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Callable

OPEN = (State.RUNNING, State.COMPENSATING)
ENDS = {0: "done", 10: "fenced", 11: "late", 12: "thrown out", 13: "other"}


def zombie(address: str, deadly: int) -> int:
    """Run one saga, which stops at a point; give how it ended."""
    shop.enter(address, deadly)
    try:
        # Who stops in a transaction of its journal is thrown out after twice the time limit.
        with shop.journal(shop.Pointed, timeout=1) as place, configure(journal=place), saga("order"):
            for name in ("a", "b", "c"):
                shop.do(name)
    except Fenced:
        return 10
    except AlreadyUndone:
        return 11
    except psycopg.OperationalError:  # its transaction stood still for too long
        return 12
    except BaseException as error:  # noqa: BLE001 - told by the code
        print(repr(error), flush=True)  # noqa: T201 - a command
        return 13
    return 0


def taker(address: str) -> int:
    """Take every open saga over, by force, and undo it."""
    shop.enter(address)
    with shop.journal() as place:
        for head in place.wait(place.listed(OPEN, 100)):
            taken = place.wait(place.take(head.id, OPEN, force=True))
            if taken is not None:
                place.wait(place.append(Append(taken.id, taken.fence, [], 0.0, taken.state, release=True)))
        recover(journal=place)
    return 0


def begun(work: Callable[..., int], *arguments: Any) -> int:
    """Run something in a new process; give its number."""
    child = os.fork()
    if child == 0:
        code = 13
        try:
            code = work(*arguments)
        finally:
            os._exit(code)
    return child


def meet(address: str, point: int) -> str:
    """Have a zombie stop at one point; give how it ended after all."""
    child = begun(zombie, address, point)
    _, status = os.waitpid(child, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        assert os.waitstatus_to_exitcode(os.waitpid(begun(taker, address), 0)[1]) == 0
        os.kill(child, signal.SIGCONT)
        _, status = os.waitpid(child, 0)
    return ENDS[os.waitstatus_to_exitcode(status)]


def wrong(bank: psycopg.Connection[Any]) -> list[str]:
    """Say which sagas ended otherwise than their effects stand."""
    found = bank.execute("""
        SELECT s.id, s.state, count(e.key) FROM recoup_saga AS s LEFT JOIN effect AS e ON e.key LIKE s.id || ':%'
        GROUP BY s.id, s.state
    """).fetchall()
    expected = {"compensated": 0, "done": 3}
    return [f"saga {id_} is {state}, and {count} effects stand" for id_, state, count in found
            if expected.get(state) != count]  # fmt: skip


def run(first: int, step: int) -> tuple[Counter[str], list[str]]:
    """Try points until a zombie has none left to stop at; give how they ended, and what is wrong."""
    seen: Counter[str] = Counter()
    found: list[str] = []
    with PostgresServer() as server:
        address = f"{server.plain}?options=-csearch_path%3Dpublic"
        with psycopg.connect(server.plain, autocommit=True) as bank:
            bank.execute(shop.TABLES)
        point = first
        while not seen["done"]:
            end = meet(address, point)
            seen[end] += 1
            with psycopg.connect(server.plain, autocommit=True) as bank:
                if end == "other" or wrong(bank):
                    found += [f"point {point}, {end}: {each}" for each in wrong(bank) or ["ended with another error"]]
                bank.execute("TRUNCATE recoup_saga, recoup_rec, effect, deed")
            point += step
    return seen, found


def main() -> int:
    first, step = (*map(int, sys.argv[1:]), *(1, 1)[len(sys.argv) - 1 :])
    seen, found = run(first, step)
    print("\n".join(found))  # noqa: T201 - a command
    print(f"{sum(seen.values())} zombies: {dict(seen)}, {len(found)} broken promises")  # noqa: T201 - as above
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
