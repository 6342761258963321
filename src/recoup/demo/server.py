"""The misbehaving service: a real HTTP server in a process of its own.

`python -m recoup.demo.server` listens on a free port of the loopback interface and speaks JSON lines with its parent:
it prints `{"port": 12345}` when it is ready, and obeys what comes in on standard input:

    {"phase": "outage"}    behave like this phase of the script from now on (no answer)
    {"report": true}       print what each client sent and what became of it

The end of standard input ends the server. That is how it dies with its parent, however the parent dies: the kernel
closes the pipe also after a SIGKILL.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import threading
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

from recoup.demo.script import CLIENT_HEADER, SCRIPT, STALL, Fate, Phase, scaled

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Sequence

__all__ = ["Books", "Shop", "listening", "main", "serve"]


@dataclass(slots=True)
class Books:
    """Count what one client sent, and what became of it, as the server saw it.

    `reached` is by phase. `abandoned` are requests whose client hung up before the answer; `running` and `peak`
    are requests in work now and at most.
    """

    reached: dict[str, int] = field(default_factory=dict)
    answered: int = 0
    refused: int = 0
    abandoned: int = 0
    running: int = 0
    peak: int = 0

    def begin(self, phase: str) -> None:
        """Note a request that arrived."""
        self.reached[phase] = self.reached.get(phase, 0) + 1
        self.running += 1
        self.peak = max(self.peak, self.running)


class Shop:
    """Tell prices, as well as the phase allows.

    Each client has its own random numbers from the same seed, so that all meet the same luck, request for request,
    and none changes the luck of another by asking more often. A request always takes two numbers, whatever the phase.
    """

    def __init__(self, script: tuple[Phase, ...], *, speed: float, seed: int) -> None:
        self._phases = {phase.name: phase for phase in script}
        self._stall = STALL / speed
        self._seed = seed
        self._luck: dict[str, random.Random] = {}
        self._serial = 0
        self.phase = script[0]
        self.books: dict[str, Books] = {}

    def enter(self, name: str) -> None:
        """Behave like this phase from now on."""
        self.phase = self._phases[name]

    def report(self) -> dict[str, dict[str, Any]]:
        """Give the books of every client, ready for JSON."""
        return {client: asdict(books) for client, books in self.books.items()}

    async def price(self, request: web.Request) -> web.Response:
        """Answer `GET /prices/{item}`, or fail to."""
        client = request.headers.get(CLIENT_HEADER)
        if client is None:
            raise web.HTTPBadRequest(text=f"header {CLIENT_HEADER} is missing")
        phase = self.phase
        luck = self._luck.setdefault(client, random.Random(self._seed))  # noqa: S311 - a script's dice, not a secret
        fate, latency = phase.fate(luck.random()), luck.uniform(*phase.latency)
        books = self.books.setdefault(client, Books())
        books.begin(phase.name)
        try:
            await self._work(fate, latency)
        except asyncio.CancelledError:
            books.abandoned += 1
            raise
        finally:
            books.running -= 1
        if fate is Fate.ERROR:
            books.refused += 1
            return web.Response(status=phase.status, text=f"{phase.title}\n")
        books.answered += 1
        self._serial += 1
        item = int(request.match_info["item"])
        return web.json_response({"item": item, "cents": 100 + 7 * item, "serial": self._serial})

    async def _work(self, fate: Fate, latency: float) -> None:
        if fate is Fate.HANG:
            await asyncio.Event().wait()  # until the client hangs up
        await asyncio.sleep(self._stall if fate is Fate.STALL else latency)


def _lines(stream: Iterable[str]) -> asyncio.Queue[str]:
    """Read the lines of a stream in a thread of its own; an empty one is its end.

    Not asyncio's pipes: they need something that can be polled, and would not notice the end of /dev/null or a file.
    """
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[str] = asyncio.Queue()

    def read() -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            for line in stream:
                loop.call_soon_threadsafe(lines.put_nowait, line)
            loop.call_soon_threadsafe(lines.put_nowait, "")

    threading.Thread(target=read, name="commands", daemon=True).start()
    return lines


def _say(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


@asynccontextmanager
async def listening(shop: Shop) -> AsyncGenerator[int, None]:
    """Serve the shop on a free loopback port for the length of a block; give the port."""
    application = web.Application()
    application.router.add_get(r"/prices/{item:\d+}", shop.price)
    # A client that hangs up cancels its handler; without that, hung requests would stay for ever and count as running.
    runner = web.AppRunner(application, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port: int = runner.addresses[0][1]
        yield port
    finally:
        await runner.cleanup()


async def serve(shop: Shop, stream: Iterable[str]) -> None:
    """Serve, and obey the commands of a stream until it ends."""
    commands = _lines(stream)
    async with listening(shop) as port:
        _say({"port": port})
        while line := await commands.get():
            command = json.loads(line)
            if "phase" in command:
                shop.enter(command["phase"])
            else:
                _say(shop.report())


def main(argv: Sequence[str] | None = None) -> None:
    """Run the server until standard input ends."""
    parser = argparse.ArgumentParser(
        prog="python -m recoup.demo.server", description="The misbehaving service of the demo."
    )
    parser.add_argument("--speed", type=float, default=1.0, help="how much faster than the script to play (default 1)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the clients' luck (default 1)")
    options = parser.parse_args(argv)
    shop = Shop(scaled(SCRIPT, options.speed), speed=options.speed, seed=options.seed)
    # A file object of our own: the thread that reads it does not end when a signal ends us, and the interpreter must
    # be able to close `sys.stdin` all the same.
    stream = open(sys.stdin.fileno(), closefd=False)  # noqa: SIM115 - lives as long as the process
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(shop, stream))


if __name__ == "__main__":
    main()
