"""A program that runs the shop's sagas on one engine, in a process of its own.

    python -m tests.sagas.engines.program ENGINE ADDRESS all                every scenario; a line of JSON for each
    python -m tests.sagas.engines.program ENGINE ADDRESS limits             what engines refuse, and what gets stuck
    python -m tests.sagas.engines.program ENGINE ADDRESS place ITEM         one saga
    python -m tests.sagas.engines.program ENGINE ADDRESS recover            until nothing is left to do
    python -m tests.sagas.engines.program ENGINE ADDRESS changed            until the changed code of a saga is noticed

ENGINE is `sqlite`, `postgres`, `dbos` or `temporal`; ADDRESS is where its journal or server is.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recoup import configure
from recoup.errors import JournalError, RecoveryError, SagaExists, SagaStuck
from recoup.sagas import people
from tests.sagas.engines import shop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

PATIENCE = 120.0  # a patient one: the machine may be busy


class Kept:
    """A journal of recoup's own."""

    @asynccontextmanager
    async def serving(self, address: str) -> AsyncIterator[None]:
        configure(journal=address)
        yield

    async def pending(self) -> int:
        return len(await asyncio.to_thread(people.listed, ["running", "compensating"]))


class Dbos:
    """DBOS on a database."""

    engine: Any

    @asynccontextmanager
    async def serving(self, address: str) -> AsyncIterator[None]:
        from dbos import DBOS

        from recoup.ext.dbos import DBOSEngine

        url, _, schema = address.partition("?options=-csearch_path%3D")
        DBOS(
            config={
                "name": "shop",
                "system_database_url": url,
                "dbos_system_schema": f"{schema or 'test'}_dbos",
                "log_level": "CRITICAL",
                "application_version": "1",
            }
        )
        self.engine = DBOSEngine(undo_delay=0.01)
        configure(journal=self.engine)
        await asyncio.to_thread(DBOS.launch)
        try:
            yield
        finally:
            await asyncio.to_thread(DBOS.destroy)

    async def pending(self) -> int:
        from dbos import DBOS

        return len(await DBOS.list_workflows_async(status=["PENDING", "ENQUEUED"]))

    async def more(self) -> None:
        """Have what got stuck tried again, once it can work."""
        log().with_name(log().name + ".open").touch()
        for each in await asyncio.to_thread(self.engine.stuck):
            log().write_text("", encoding="utf-8")
            await asyncio.to_thread(self.engine.retry, each.id)
            await self.quiet()
            say(f"{each.name} again", f"{len(await asyncio.to_thread(self.engine.stuck))} stuck")
        await self.lost()

    async def lost(self) -> None:
        """Run a saga whose function is gone, and try again what is not there."""
        from dbos import DBOS

        log().write_text("", encoding="utf-8")
        gone = {"fn": "tests.sagas.engines.shop:vanished", "version": "", "name": "vanished", "given": {}}
        handle = await asyncio.to_thread(DBOS.start_workflow, self.engine._workflow, json.dumps(gone))
        try:
            await asyncio.to_thread(handle.get_result)
        except RecoveryError as error:
            say("vanished", str(error))
        try:
            await asyncio.to_thread(self.engine.retry, "nobody")
        except LookupError as error:
            say("nothing to retry", str(error))

    async def changed(self) -> None:
        """Wait until the code that is another one now is noticed."""
        await self.quiet()
        say("changed", "; ".join(each.reason for each in await asyncio.to_thread(self.engine.stuck)))

    async def quiet(self) -> None:
        await until(self.pending)


class Temporal:
    """A Temporal server."""

    client: Any
    reason = ""

    @asynccontextmanager
    async def serving(self, address: str) -> AsyncIterator[None]:
        from temporalio.client import Client

        from recoup.ext.temporal import TemporalEngine

        self.client = await Client.connect(address)
        engine = TemporalEngine(self.client, heartbeat=1.0, undo_delay=0.01)
        configure(journal=engine)
        # The sticky queue of a worker that was killed is given up quickly.
        options: dict[str, Any] = {"sticky_queue_schedule_to_start_timeout": timedelta(seconds=1)}
        if "SHOP_FORGETS" in os.environ:  # each task of a workflow runs it again from the start
            options["max_cached_workflows"] = 0
        async with engine.worker(**options):
            yield

    async def pending(self) -> int:
        return len([each async for each in self.client.list_workflows("ExecutionStatus = 'Running'")])

    async def more(self) -> None:
        """Call a synchronous saga where it would block the loop that it needs."""
        log().write_text("", encoding="utf-8")
        try:
            shop.place(shop.Order("chair"))
        except RecoveryError as error:
            say("blocking", f"raised {error}")
        said = await asyncio.to_thread(asyncio.run, shop.place_async(shop.Order("chair")))
        say("another loop", f"returned {said!r}")
        log().write_text("", encoding="utf-8")
        caller = asyncio.ensure_future(call("slow_once_async", shop.Order("stone")))
        while not log().read_text(encoding="utf-8"):  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.01)
        await self.client.get_workflow_handle("slow_once_async/stone").terminate()
        try:
            await caller
        except JournalError as error:
            say("terminated", str(error))
        log().with_name(log().name + ".go").touch()

    async def changed(self) -> None:
        """Wait until the code that is another one now is noticed."""
        (found,) = [each async for each in self.client.list_workflows("ExecutionStatus = 'Running'")]
        handle = self.client.get_workflow_handle(found.id)

        async def unnoticed() -> int:
            history = await handle.fetch_history()
            failed = [
                e.workflow_task_failed_event_attributes
                for e in history.events
                if e.HasField("workflow_task_failed_event_attributes")
            ]
            self.reason = failed[-1].failure.message if failed else ""
            return not failed

        await until(unnoticed)
        say("changed", self.reason)
        await handle.terminate()


async def until(left: Callable[[], Any]) -> None:
    """Wait until nothing is left."""
    end = time.monotonic() + PATIENCE
    while await left():
        assert time.monotonic() < end, "it takes too long"
        await asyncio.sleep(0.05)


ENGINES = {"sqlite": Kept, "postgres": Kept, "dbos": Dbos, "temporal": Temporal}


async def call(name: str, *args: Any) -> Any:
    """Call a saga in either colour."""
    function = getattr(shop, name)
    if name.endswith("_async"):
        return await function(*args)
    return await asyncio.to_thread(function, *args)


async def tell(scenario: str, name: str, *args: Any) -> None:
    """Run one saga and print what came of it: the effects with their keys, and what the caller got."""
    log().write_text("", encoding="utf-8")
    try:
        came = f"returned {await call(name, *args)!r}"
    except SagaStuck as stuck:
        came = f"stuck: {stuck.reason}"
    except SagaExists as exists:
        came = f"SagaExists: {exists.state}"
    except Exception as error:  # noqa: BLE001 - that is what is compared
        came = f"raised {type(error).__name__}{error.args!r}"
    say(scenario, came)


def log() -> Path:
    """Give the file of effects."""
    return Path(os.environ["SHOP_LOG"])


def say(scenario: str, came: str) -> None:
    """Print what came of a saga."""
    lines = log().read_text(encoding="utf-8").splitlines()
    sagas = {line.rpartition(" ")[2].rpartition(":")[0] for line in lines}
    effects = [re.sub(r" \S+:(\d+)$", r" \1", line) for line in lines]
    sys.stdout.write(json.dumps([scenario, effects, came, len(sagas)]) + "\n")
    sys.stdout.flush()


async def everything() -> None:
    """Run every scenario, in both colours."""
    for colour in ("", "_async"):
        await tell(f"good{colour}", f"place{colour}", shop.Order("chair"))
        await tell(f"retried inside{colour}", f"place{colour}", shop.Order("flaky"))
        await tell(f"declined{colour}", f"place{colour}", shop.Order("dear"))
        await tell(f"last fails{colour}", f"place{colour}", shop.Order("piano"))
        await tell(f"not serialisable{colour}", f"place{colour}", shop.Order("chair"), object())
        await tell(f"second way{colour}", f"second_way{colour}", shop.Order("dear"))
        await tell(f"nested{colour}", f"nested{colour}", shop.Order("chair"))
        await tell(f"nested declined{colour}", f"nested{colour}", shop.Order("dear"))
        await tell(f"nested, outer fails{colour}", f"nested{colour}", shop.Order("piano"))
        await tell(f"key{colour}", f"place_once{colour}", shop.Order("table"))
        await tell(f"key again{colour}", f"place_once{colour}", shop.Order("table"))
        await tell(f"key of what fails{colour}", f"place_once{colour}", shop.Order("piano"))
        await tell(f"key of what was undone{colour}", f"place_once{colour}", shop.Order("piano"))
    await tell("side by side_async", "side_by_side_async", shop.Order("chair"))
    await tell("side by side, declined_async", "side_by_side_async", shop.Order("dear"))


async def running(place: Any) -> None:
    """Call a saga that runs already."""
    go = log().with_name(log().name + ".go")
    log().write_text("", encoding="utf-8")
    first = asyncio.ensure_future(call("slow_once_async", shop.Order("snail")))
    while not log().read_text(encoding="utf-8"):  # noqa: ASYNC110 - a step writes it, perhaps in a thread
        await asyncio.sleep(0.01)
    try:
        await call("slow_once_async", shop.Order("snail"))
    except SagaExists as exists:
        say("running", f"SagaExists: {exists.state}")
    go.touch()
    say("running, over", f"returned {await first!r}")
    go.unlink()


async def limits(place: Any) -> None:
    """Run what engines refuse, and what gets stuck there."""
    for name in ("mixed_async", "step_in_step", "step_in_step_async", "streaming", "threaded", "of_both_colours_async"):
        await tell(name, name, shop.Order("chair"))
    shop.tries = 0
    await tell("outer_retry", "outer_retry", shop.Order("chair"))
    await tell("doubtful", "doubtful", shop.Order("chair"))
    for name in ("stuck_at_once", "stuck_at_once_async"):
        await tell(name, name, shop.Order("piano"))
    await tell("stuck with a key", "stuck_once", shop.Order("piano"))
    await tell("stuck with a key, again", "stuck_once", shop.Order("piano"))
    await running(place)
    for name in ("stuck", "stuck_async"):
        await tell(name, name, shop.Order("piano"))
    await place.more()


async def main(engine: str, address: str, what: str, *args: str) -> None:
    """Do what the command line says."""
    place: Any = ENGINES[engine]()
    async with place.serving(address):
        if what == "all":
            await everything()
        elif what == "limits":
            await limits(place)
        elif what == "recover":
            await until(place.pending)
        elif what == "changed":
            await place.changed()
        else:
            await call(what, *map(shop.Order, args))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
