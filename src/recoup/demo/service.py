"""The server process as the demo sees it: started, spoken to, and never left running."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

__all__ = ["Service", "ServiceError", "running_service"]

READY_WITHIN = 30.0
"""Seconds for Python to start and import aiohttp: under 1 s on an idle machine, far more on a crowded one."""

GONE_WITHIN = 2.0
"""Seconds for the server to end by itself before it is killed."""


class ServiceError(Exception):
    """The server process did not start, or ended in the middle."""


class Service:
    """Speak with the server process: JSON lines, one question at a time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._commands = cast("asyncio.StreamWriter", process.stdin)
        self._answers = cast("asyncio.StreamReader", process.stdout)
        self.url = ""

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return self._process.pid

    async def stop(self) -> None:
        """End the server: close its input, and kill it if that is not enough."""
        self._commands.close()
        try:
            await asyncio.wait_for(self._process.wait(), GONE_WITHIN)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def ready(self) -> None:
        """Wait until the server listens, and learn its address."""
        try:
            port = (await asyncio.wait_for(self._answer(), READY_WITHIN))["port"]
        except TimeoutError:
            raise ServiceError(f"the demo's server was not ready within {READY_WITHIN:g} s") from None
        self.url = f"http://127.0.0.1:{port}"

    def enter(self, phase: str) -> None:
        """Tell the server to behave like this phase from now on."""
        self._tell({"phase": phase})

    async def report(self) -> dict[str, dict[str, Any]]:
        """Ask the server what each client sent and what became of it."""
        self._tell({"report": True})
        return await self._answer()

    def _tell(self, message: dict[str, Any]) -> None:
        self._commands.write(json.dumps(message).encode() + b"\n")

    async def _answer(self) -> dict[str, Any]:
        line = await self._answers.readline()
        if not line:
            code = await self._process.wait()
            raise ServiceError(f"the demo's server ended by itself (exit code {code}); its messages stand above")
        message: dict[str, Any] = json.loads(line)
        return message


@asynccontextmanager
async def running_service(*, speed: float, seed: int) -> AsyncGenerator[Service, None]:
    """Run the server for the length of a block.

    Whatever ends the block ends the server; if this process is killed, the server sees the end of its input.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "recoup.demo.server", "--speed", str(speed), "--seed", str(seed)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        # The child finds exactly what this process finds: `-m` alone would put the current folder in front.
        env=os.environ | {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        start_new_session=True,  # Ctrl-C goes to the terminal's foreground group; it is ours to handle
    )
    service = Service(process)
    try:
        await service.ready()
        yield service
    finally:
        await service.stop()
