"""The server process: never there before it is ready, never there after it is needed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import aiohttp
import pytest

from recoup.demo import service as service_module
from recoup.demo.script import CLIENT_HEADER
from recoup.demo.service import ServiceError, running_service

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


def alive(pid: int) -> bool:
    """Tell whether a child of ours runs; it has been waited for once it does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def program(tmp_path: Path, text: str) -> str:
    """Write a shell script that stands for the Python interpreter of the server."""
    script = tmp_path / "python"
    script.write_text(f"#!/bin/sh\n{text}\n")
    script.chmod(0o755)
    return str(script)


async def test_the_server_behaves_as_told_and_reports_what_it_saw() -> None:
    """The real process answers over HTTP, changes its phase on command and gives its books."""
    async with running_service(speed=4.0, seed=1) as service:
        async with aiohttp.ClientSession(service.url, headers={CLIENT_HEADER: "me"}) as session:
            async with session.get("/prices/3") as response:
                assert response.status == 200
            service.enter("outage")
            await service.report()  # commands are obeyed in order: the phase has changed when the answer is there
            async with session.get("/prices/3") as response:
                assert response.status == 503
        books = (await service.report())["me"]
        pid = service.pid
    assert books["reached"] == {"healthy": 1, "outage": 1}
    assert not alive(pid)


async def test_an_error_in_the_block_ends_the_server() -> None:
    """Whatever ends the block ends the server, and the error comes out as it is."""
    pids = []

    async def block() -> None:
        async with running_service(speed=1.0, seed=1) as service:
            pids.append(service.pid)
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await block()
    assert not alive(pids[0])


async def test_a_cancelled_block_ends_the_server() -> None:
    """Cancellation, which is what Ctrl-C comes to, ends the server and goes on."""
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def block() -> None:
        async with running_service(speed=1.0, seed=1) as service:
            started.set_result(service.pid)
            await asyncio.Event().wait()

    task = asyncio.create_task(block())
    pid = await asyncio.wait_for(started, 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not alive(pid)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_server_dies_with_its_parent_however_the_parent_dies(end: signal.Signals) -> None:
    """A parent that is killed leaves no server: its pipe closes, and that is the server's end.

    The server shares the parent's standard error, so the end of that stream proves that both are gone.
    """
    parent = textwrap.dedent("""
        import asyncio
        from recoup.demo.service import running_service

        async def main():
            async with running_service(speed=1.0, seed=1) as service:
                print(service.pid, flush=True)
                await asyncio.sleep(60)

        asyncio.run(main())
    """)
    with subprocess.Popen(
        [sys.executable, "-c", parent],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.send_signal(end)
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            os.kill(pid, signal.SIGKILL)
            raise
        assert process.returncode == -end


async def test_a_server_that_cannot_start_is_an_error_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that ends before it is ready raises ServiceError with its exit code."""
    monkeypatch.setattr(sys, "executable", program(tmp_path, "exit 7"))
    with pytest.raises(ServiceError, match=r"ended by itself \(exit code 7\)"):
        async with running_service(speed=1.0, seed=1):
            pytest.fail("it never ran")


async def test_a_server_that_never_gets_ready_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for the server has an end, and a server that does not end by itself is killed."""
    monkeypatch.setattr(sys, "executable", program(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 60"))
    monkeypatch.setattr(service_module, "READY_WITHIN", 0.5)
    monkeypatch.setattr(service_module, "GONE_WITHIN", 0.1)
    with pytest.raises(ServiceError, match=r"not ready within 0\.5 s"):
        async with asyncio.timeout(30), running_service(speed=1.0, seed=1):
            pytest.fail("it never ran")
    assert not alive(int((tmp_path / "pid").read_text()))


async def test_a_server_that_dies_in_the_middle_is_an_error_that_says_so() -> None:
    """A question to a server that is gone raises ServiceError instead of waiting for ever."""
    async with running_service(speed=1.0, seed=1) as service:
        os.kill(service.pid, signal.SIGKILL)
        with pytest.raises(ServiceError, match=r"exit code -9"):
            await service.report()
