"""PostgreSQL: one connection of psycopg's, as the journal of sagas wants it.

It is used by one thread at a time, works on libpq itself (`psycopg.pq`), and differs from `psycopg.Connection` in this:

* Every exchange has a time limit. A server that hangs, or a host that is gone without a word, holds nobody for longer;
  the link is closed then, because what it still carries belongs to nobody.
* Statements are prepared once, and those that are sent together take one round trip.
* A forked child lets go of it without a word: libpq would say goodbye on the parent's socket.
"""

from __future__ import annotations

import os
import select
from contextlib import suppress
from itertools import count
from socket import SHUT_RDWR, socket
from time import monotonic
from typing import NamedTuple
from urllib.parse import quote

from psycopg import Error, pq

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import TypeAlias

    from psycopg.pq.abc import PGconn, PGresult

    Value: TypeAlias = str | int | float | bool | Sequence[str] | Sequence[int] | None
    Row: TypeAlias = tuple[str | None, ...]

__all__ = ["Link", "LinkError", "Reply", "public"]

_FINE = (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK)
_SETTINGS = {"client_encoding": "UTF8", "target_session_attrs": "read-write", "tcp_user_timeout": "{milliseconds}"}

_left_behind: list[PGconn] = []  # what a forked child inherited: kept, so that nothing is ever done with it


class LinkError(Exception):
    """The server refused a statement, or cannot be reached.

    Attributes:
        text: What it said.
        code: Its SQLSTATE; empty if it said nothing, which is when the link is lost.
    """

    def __init__(self, text: str, code: str = "") -> None:
        super().__init__(text, code)
        self.text = text
        self.code = code

    def __str__(self) -> str:
        return f"{self.text} ({self.code})" if self.code else self.text


class Reply(NamedTuple):
    """What a statement gave.

    Attributes:
        rows: Its rows, as text.
        changed: How many rows it changed.
    """

    rows: list[Row]
    changed: int


class Link:
    """One connection to a server.

    Args:
        address: Where to: a URL or "key=value ..." of libpq's.
        timeout: Seconds that connecting, or one exchange, may take; more than 0.
        name: What the server calls it (`application_name`).

    Raises:
        LinkError: If the server does not answer in time, or lets nobody in.

    Not safe for several threads at once.
    """

    refused = LinkError  # what it raises, for those who must not import psycopg by importing this

    def __init__(self, address: str, *, timeout: float, name: str) -> None:
        self.timeout = timeout
        self._prepared: dict[str, str] = {}  # names of statements by their text
        self._fresh: dict[str, str] = {}  # sent in this exchange, and not known to be prepared
        self._names = count()
        options = {key: text.format(milliseconds=int(timeout * 1000)) for key, text in _SETTINGS.items()}
        wanted = {**options, "application_name": name[:63], **_parsed(address)}
        self._connection: PGconn = pq.PGconn.connect_start(_joined(wanted))
        try:
            self._connect(monotonic() + timeout)
            self._connection.nonblocking = 1
            self._connection.enter_pipeline_mode()
        except Error as error:
            self.close()
            raise LinkError(_plain(str(error))) from error
        except BaseException:
            self.close()
            raise

    def _connect(self, until: float) -> None:
        connection = self._connection
        wanted = pq.PollingStatus.WRITING
        while wanted is not pq.PollingStatus.OK:
            if connection.status == pq.ConnStatus.BAD or wanted is pq.PollingStatus.FAILED:
                raise LinkError(_plain(connection.get_error_message()))
            self._await(select.POLLIN if wanted is pq.PollingStatus.READING else select.POLLOUT, until)
            wanted = pq.PollingStatus(connection.connect_poll())

    @property
    def pid(self) -> int:
        """Number of the process that serves this link, in the server."""
        return self._connection.backend_pid

    @property
    def open(self) -> bool:
        """Tell whether the link has not been lost or closed."""
        return self._connection.status == pq.ConnStatus.OK

    def run(self, *statements: tuple[str, Sequence[Value]]) -> list[Reply]:
        """Send statements in one go and read what each of them gives.

        Args:
            statements: Each with its values, which stand in it as `$1`, `$2`, ...

        Returns:
            One reply each. Statements outside a transaction are one transaction.

        Raises:
            LinkError: If one is refused, with its code: those behind it were not run. If the link is lost or the time
                is over, without a code: whether any was run is not known, and the link is closed.
        """
        return self.run_within(self.timeout, *statements)

    def run_within(self, seconds: float, *statements: tuple[str, Sequence[Value]]) -> list[Reply]:
        """Do as `run` does, within a time of its own."""
        try:
            encoded = [(text, [_encoded(value) for value in values]) for text, values in statements]
            sent = [step for text, values in encoded for step in self._send(text, values)]
            self._connection.pipeline_sync()
            return self._receive(sent, monotonic() + seconds)
        except Error as error:
            self.close()
            raise LinkError(_plain(str(error))) from error
        except BaseException as error:
            if not (isinstance(error, LinkError) and error.code):
                self.close()  # what is still to come would be taken for the answer to something else
            raise
        finally:
            self._fresh.clear()

    def _send(self, text: str, values: Sequence[bytes | None]) -> Iterator[str]:
        """Send a statement, prepared before if it is new; give what each result is about: a new name, "" for rows."""
        name = self._prepared.get(text) or self._fresh.get(text)
        if name is None:
            name = self._fresh[text] = f"recoup_{next(self._names)}"
            self._connection.send_prepare(name.encode(), text.encode())
            yield text
        self._connection.send_query_prepared(name.encode(), values)
        yield ""

    def _receive(self, sent: Sequence[str], until: float) -> list[Reply]:
        """Read all results up to the end of this exchange; those behind a refusal say only that they were left out."""
        replies: list[Reply] = []
        refused: LinkError | None = None
        about = iter(sent)
        while (result := self._result(until)) is None or result.status != pq.ExecStatus.PIPELINE_SYNC:
            if result is None or refused is not None:
                continue  # None is the end of one statement's results
            if result.status not in _FINE:
                refused = _refusal(result)
            elif text := next(about):
                self._prepared[text] = self._fresh[text]
            else:
                replies.append(_reply(result))
        if refused is not None:
            raise refused
        return replies

    def _result(self, until: float) -> PGresult | None:
        """Wait for the next result."""
        connection = self._connection
        while (unsent := connection.flush()) or connection.is_busy():
            self._await(select.POLLIN | select.POLLOUT if unsent else select.POLLIN, until)
            connection.consume_input()
        return connection.get_result()

    def _await(self, events: int, until: float) -> None:
        """Wait until the socket is ready."""
        waiting = select.poll()
        waiting.register(self._connection.socket, events)
        if not waiting.poll(max(0.0, until - monotonic()) * 1000):
            raise LinkError(f"the server did not answer within {self.timeout:g} s")

    def interrupt(self) -> None:
        """End what another thread is doing with the link; it must not be closing it meanwhile."""
        with suppress(Error, OSError), socket(fileno=os.dup(self._connection.socket)) as copy:
            copy.shutdown(SHUT_RDWR)

    def close(self) -> None:
        """Close the link; what was sent and not answered may happen or not."""
        self._connection.finish()

    def leave(self) -> None:
        """Let go of the link in a forked child: the parent's goes on."""
        _left_behind.append(self._connection)
        try:
            number = self._connection.socket
        except Error:  # closed before
            return
        # Not close() alone: another file would get the number, and libpq might write to it.
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        os.dup2(null, number, inheritable=False)
        os.close(null)


def _encoded(value: Value) -> bytes | None:
    """Give a value as PostgreSQL reads it in text form."""
    if value is None:
        return None
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, (str, int, float)):
        text = str(value).encode()
    else:
        text = ("{" + ",".join(map(_quoted, value)) + "}").encode()
    if b"\0" in text:  # libpq would send what stands before it, and nobody would notice
        raise LinkError("text with the letter NUL, which PostgreSQL cannot keep", "22021")
    return text


def _quoted(item: str | int) -> str:
    if isinstance(item, int):
        return str(item)
    return '"' + item.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _reply(result: PGresult) -> Reply:
    width = range(result.nfields)
    rows = [tuple(_text(result.get_value(row, column)) for column in width) for row in range(result.ntuples)]
    return Reply(rows, result.command_tuples or 0)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def _refusal(result: PGresult) -> LinkError:
    field = pq.DiagnosticField
    said = result.error_field(field.MESSAGE_PRIMARY) or result.get_error_message().encode()
    return LinkError(_plain(said.decode(errors="replace")), (result.error_field(field.SQLSTATE) or b"").decode())


def _plain(said: str) -> str:
    """Give what libpq says on one line."""
    return " ".join(said.split()) or "the connection is lost"


def _parsed(address: str) -> dict[str, str]:
    try:
        found = pq.Conninfo.parse(address.encode())
    except Error as error:
        raise LinkError(f"no address of a PostgreSQL server: {_plain(str(error))}", "08001") from None
    return {each.keyword.decode(): each.val.decode() for each in found if each.val is not None}


def _joined(options: Mapping[str, str]) -> bytes:
    """Give options as libpq reads them."""
    pairs = ("{}='{}'".format(key, text.replace("\\", "\\\\").replace("'", "\\'")) for key, text in options.items())
    return " ".join(pairs).encode()


def public(address: str) -> str:
    """Give an address without its password and what else is nobody's business, for messages.

    Raises:
        LinkError: If it is no address; the message does not repeat it.
    """
    options = _parsed(address)
    host = options.get("host") or options.get("hostaddr") or "localhost"
    where = f"{quote(host, safe=',')}:{options['port']}" if "port" in options else quote(host, safe=",")
    user = f"{quote(options['user'])}@" if "user" in options else ""
    return f"postgresql://{user}{where}/{quote(options.get('dbname', ''))}"
