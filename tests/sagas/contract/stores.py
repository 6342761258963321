"""Journals under test: each opened by as many owners as a test likes."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import count
from pathlib import Path
from threading import Barrier, Thread
from typing import TYPE_CHECKING

from recoup.sagas.journal import Append, Kind, Record, Start, State
from recoup.sagas.postgres import PostgresBackend
from recoup.sagas.sqlite import SqliteBackend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from recoup.sagas.journal import Backend, Head

NOW = 1_700_000_000.0
_ids = count(1)


class Store:
    """One journal, empty at first.

    Args:
        make: Gives a backend for it that is not open.
        kind: "sqlite" or "postgres".
    """

    def __init__(self, make: Callable[[], Backend], kind: str) -> None:
        self.make = make
        self.kind = kind
        self._open: list[Backend] = []

    def open(self) -> Backend:
        """Open it as a new owner."""
        backend = self.make()
        self._open.append(backend)  # first: one that fails half-way is closed as well
        backend.open()
        return backend

    def close(self) -> None:
        for backend in self._open:
            backend.close()

    def crowd(self, size: int, work: Callable[[Backend], None]) -> None:
        """Let many owners work at once, each in a thread of its own; what one of them raises is raised."""
        barrier = Barrier(size)
        failed: list[BaseException] = []

        def run() -> None:
            backend = self.make()
            try:
                backend.open()
                barrier.wait()
                work(backend)
                barrier.wait()  # what belongs to one that closes is anybody's
            except BaseException as error:  # noqa: BLE001 - raised below
                barrier.abort()
                failed.append(error)
            finally:
                backend.close()

        threads = [Thread(target=run) for _ in range(size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for error in failed:
            raise error


def sqlite(folder: Path) -> Store:
    return Store(lambda: SqliteBackend(folder / "sagas.db"), "sqlite")


def postgres(address: str) -> Store:
    return Store(lambda: PostgresBackend(address, reconnect_grace=0), "postgres")


@contextmanager
def transaction(backend: Backend, *, writes: bool = True) -> Iterator[Backend]:
    """Begin and commit, as the writer does."""
    try:
        backend.begin(writes=writes)
        yield backend
        backend.commit()
    except BaseException:
        backend.rollback()
        raise


def do(backend: Backend, method: str, *args: Any, **kwargs: Any) -> Any:
    """Call one method in a transaction of its own."""
    with transaction(backend, writes=method not in {"load", "listed"}):
        return getattr(backend, method)(*args, **kwargs)


def saga(name: str = "order", **fields: Any) -> Start:
    """Describe a new saga, each a moment younger than the one before."""
    number = next(_ids)
    return Start(id=fields.pop("id", f"saga-{number}"), name=name, created=NOW + number, **fields)


def begun(backend: Backend, **fields: Any) -> Head:
    """Start a saga."""
    head: Head = do(backend, "start", saga(**fields))
    return head


def add(backend: Backend, head: Head, *records: Record, **fields: Any) -> bool:
    """Append to a saga as its owner."""
    fence = fields.pop("fence", head.fence)
    answer: bool = do(backend, "append", Append(head.id, fence, records, NOW + 1_000_000, **fields))
    return answer


def intent(n: int, seq: int | None = None) -> Record:
    return Record(n if seq is None else seq, Kind.INTENT, n, f'{{"step":"step{n}"}}')


def ended(backend: Backend, head: Head, state: State, seq: int = 99) -> bool:
    """Bring a saga to a state."""
    return add(backend, head, Record(seq, Kind.END), state=state, release=True)
