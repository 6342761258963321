"""Who is alive on this host, without clocks: an owner lives as long as it holds the lock on its file.

    <journal>-owners/<owner>     locked (`flock`) by the owner for its whole life, so until its process is gone

The file gets its name when it is locked already, so that nobody ever sees it unlocked before its owner is dead. A file
that is not there belongs to nobody who lives. Whoever looks takes a shared lock, never an exclusive one: lookers do not
take one another for the owner.
"""

from __future__ import annotations

import os
from contextlib import suppress
from threading import Event, Thread
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

__all__ = ["Owners", "Watch"]

GLANCE = 0.02
"""Seconds between two looks at the owners that are known: what a takeover waits for on top of its own work."""

SEARCH = 0.5
"""Seconds between two searches for owners that are new, and for sagas that a person has set free."""


class Owners:
    """The owners of one journal on this host.

    Args:
        folder: Where their files are.

    Attributes:
        name: This owner; empty before `enter`.
    """

    def __init__(self, folder: Path) -> None:
        import fcntl  # noqa: PLC0415 - Windows has none, and is told so when a journal is opened

        self._fcntl: Any = fcntl
        self.folder = folder
        self.name = ""
        self._file = -1

    def enter(self) -> None:
        """Take a new name, and hold its lock."""
        self.folder.mkdir(parents=True, exist_ok=True)
        name = f"{os.getpid()}-{uuid4().hex}"
        hidden = self.folder / f".{name}"
        file = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            self._fcntl.flock(file, self._fcntl.LOCK_EX)
            hidden.rename(self.folder / name)
        except BaseException:
            os.close(file)
            raise
        self.name, self._file = name, file

    def leave(self) -> None:
        """Give the lock back."""
        if self._file >= 0:
            self.bury(self.name)
            self.drop()

    def drop(self) -> None:
        """Close the file alone, as a forked child has to: its copy would keep the owner alive."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def dead(self, owner: str) -> bool:
        """Tell whether an owner is gone."""
        if owner == self.name:
            return False
        try:
            file = os.open(self.folder / owner, os.O_RDONLY)
        except FileNotFoundError:
            return True
        try:
            return self.free(file)
        finally:
            os.close(file)

    def free(self, file: int) -> bool:
        """Tell whether nobody holds the lock of an open file."""
        try:
            self._fcntl.flock(file, self._fcntl.LOCK_SH | self._fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self._fcntl.flock(file, self._fcntl.LOCK_UN)
        return True

    def bury(self, owner: str) -> None:
        """Remove the file of an owner that is gone."""
        with suppress(FileNotFoundError):
            (self.folder / owner).unlink()

    def others(self) -> set[str]:
        """List the owners that have a file."""
        try:
            return {each for each in os.listdir(self.folder) if each[0] != "." and each != self.name}  # noqa: PTH208 - names
        except FileNotFoundError:
            return set()


class Watch:
    """A thread that looks after other owners, and tells when one of them dies.

    Looking costs one system call per owner. Waiting for the lock instead would tell at once, but nothing could end
    such a wait.
    """

    def __init__(self, owners: Owners, notify: Callable[[], None]) -> None:
        self._owners = owners
        self._notify = notify
        self._ended = Event()
        self._files: dict[str, int] = {}
        self._thread = Thread(target=self._run, name="recoup owners", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop looking."""
        self._ended.set()
        self._thread.join(1.0)

    def _run(self) -> None:
        searched = 0.0
        try:
            while not self._ended.wait(GLANCE if self._files else SEARCH):
                searched += GLANCE if self._files else SEARCH
                if searched >= SEARCH:
                    searched = 0.0
                    self._search()
                    self._notify()  # what a person has set free is found in the journal alone
                elif self._deaths():
                    self._notify()
        finally:
            for file in self._files.values():
                os.close(file)

    def _search(self) -> None:
        for owner in self._owners.others() - self._files.keys():
            with suppress(OSError):
                self._files[owner] = os.open(self._owners.folder / owner, os.O_RDONLY)
        self._deaths()

    def _deaths(self) -> bool:
        gone = [owner for owner, file in self._files.items() if self._owners.free(file)]
        for owner in gone:
            os.close(self._files.pop(owner))
        return bool(gone)
