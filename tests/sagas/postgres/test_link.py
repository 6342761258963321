"""One connection: time limits, refusals, values, and what a forked child does with it."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import psycopg
import pytest

from recoup.ext.postgres import Link, LinkError, public

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def link(database: str) -> Iterator[Link]:
    made = Link(database, timeout=30, name="a test")
    yield made
    made.close()


@pytest.fixture
def silent() -> Iterator[str]:
    """Give the address of a server that lets everybody in and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"postgresql://127.0.0.1:{server.getsockname()[1]}/"


def test_a_silent_server_is_given_up(silent: str) -> None:
    """Connecting takes no longer than the time limit: where nobody answers it ends with an error."""
    with pytest.raises(LinkError, match=r"did not answer within 0\.05 s") as caught:
        Link(silent, timeout=0.05, name="a test")
    assert not caught.value.code


def test_a_port_where_nobody_listens_is_an_error() -> None:
    """Without a server there is an error without a code: the link is lost."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(LinkError, match="refused") as caught:
        Link(f"host=127.0.0.1 port={port}", timeout=30, name="a test")
    assert not caught.value.code


def test_a_long_statement_is_given_up_and_the_link_closed(link: Link) -> None:
    """An exchange takes no longer than its time; then the link is lost, because its answer belongs to nobody."""
    with pytest.raises(LinkError, match="did not answer") as caught:
        link.run_within(0.05, ("SELECT pg_sleep(60)", ()))
    assert not caught.value.code
    assert not link.open
    with pytest.raises(LinkError):
        link.run(("SELECT 1", ()))


def test_an_interruption_ends_the_wait_of_another_thread(link: Link) -> None:
    """Another thread ends a wait at once, whatever its time limit."""
    from threading import Timer

    timer = Timer(0.05, link.interrupt)
    timer.start()
    with pytest.raises(LinkError) as caught:
        link.run(("SELECT pg_sleep(60)", ()))
    timer.join()
    assert not caught.value.code
    assert not link.open
    link.interrupt()  # of a link that is closed: nothing


def test_a_refused_statement_leaves_the_link(link: Link) -> None:
    """A statement that is refused says why, with its code; those behind it are not run, and the link goes on."""
    link.run(("CREATE TABLE numbers (x int8 PRIMARY KEY)", ()))
    add = "INSERT INTO numbers VALUES ($1::int8)"
    with pytest.raises(LinkError, match=r"duplicate key .* \(23505\)") as caught:
        link.run((add, (1,)), (add, (1,)), (add, (2,)))
    assert caught.value.code == "23505"
    assert link.run(("SELECT x FROM numbers", ()))[0].rows == []  # an exchange is one transaction
    with pytest.raises(LinkError) as caught:
        link.run(("SELEKT 1", ()), (add, (7,)))
    assert caught.value.code == "42601"
    assert link.open
    assert [each.changed for each in link.run((add, (1,)), (add, (2,)))] == [1, 1]


def test_statements_are_prepared_once(link: Link) -> None:
    """A statement is prepared when it first comes, never again, and a refused one is as it was before."""
    fine, wrong = "SELECT $1::int8 + 1", "SELECT 1 / $1::int8"
    for number in range(5):
        link.run((fine, (number,)), (fine, (number,)))
        with pytest.raises(LinkError, match="division by zero"):
            link.run((wrong, (0,)))
    names = link.run(("SELECT statement FROM pg_prepared_statements ORDER BY prepare_time", ()))[0].rows
    assert [name for (name,) in names][:2] == [fine, wrong]
    assert len(names) == 3


def test_values_come_back_as_they_were(link: Link) -> None:
    """Text is text, letter by letter, alone and in lists; None is null."""
    texts = ("", "a b", "q\"uo'te", "back\\slash", "{1,2}", "NULL", "null", "Grüße 🚀", "new\nline", ",")
    rows = link.run(("SELECT * FROM unnest($1::text[])", (texts,)))[0].rows
    assert tuple(text for (text,) in rows) == texts
    values = ("SELECT $1::text, $2::int8, $3::bool, $4::bool, $5::float8, $6::text", ("x", -5, True, False, 0.1, None))
    assert link.run(values)[0].rows == [("x", "-5", "t", "f", "0.1", None)]
    assert link.run(("SELECT sum(x) FROM unnest($1::int8[]) AS t (x)", ((1, 2, 1 << 60),)))[0].rows == [
        (str(3 + (1 << 60)),)
    ]
    assert link.run(("SELECT cardinality($1::text[])", ((),)))[0].rows == [("0",)]


def test_large_exchanges_pass(link: Link) -> None:
    """What does not fit into the socket's buffers is sent and read in turns."""
    text = "x" * 1_000_000
    replies = link.run(*[("SELECT $1::text", (text,))] * 12)
    assert all(reply.rows == [(text,)] for reply in replies)


def test_a_child_lets_go_of_the_link(link: Link) -> None:
    """A forked child that lets go of the link leaves the parent's as it was, and holds the socket no longer."""
    assert link.run(("SELECT 1", ()))[0].rows == [("1",)]
    child = os.fork()
    if child == 0:
        link.leave()
        link.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert link.run(("SELECT 1", ()))[0].rows == [("1",)]
    link.close()
    link.leave()  # closed before: nothing happens


def test_what_is_left_behind_is_of_no_use(link: Link) -> None:
    """A link that was let go of writes to nobody: its number among the files leads nowhere."""
    link.leave()
    with pytest.raises(LinkError):
        link.run(("SELECT 1", ()))


def test_what_libpq_raises_while_connecting_is_an_error_of_the_link(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of the driver's own comes as the link's, without a code, and nothing stays open."""

    def lost(link: Link, until: float) -> None:
        raise psycopg.OperationalError("the connection\n is lost")

    monkeypatch.setattr(Link, "_connect", lost)
    with pytest.raises(LinkError, match="the connection is lost") as caught:
        Link(database, timeout=30, name="a test")
    assert not caught.value.code


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("postgresql://bob:secret@db.example:5433/shop?connect_timeout=3", "postgresql://bob@db.example:5433/shop"),
        ("postgresql:///", "postgresql://localhost/"),
        ("host=a,b user='the bob' password=secret dbname=x", "postgresql://the%20bob@a,b/x"),
        ("hostaddr=127.0.0.1", "postgresql://127.0.0.1/"),
    ],
)
def test_names_have_no_passwords(address: str, name: str) -> None:
    """What a journal is called in messages tells where it is, and no secret."""
    assert public(address) == name


@pytest.mark.parametrize("address", ["postgresql://bob:secret@[", "password=secret nonsense", "secret='"])
def test_a_wrong_address_is_not_repeated(address: str) -> None:
    """What is no address may have a password in it: the message does not show it whole."""
    with pytest.raises(LinkError, match="no address of a PostgreSQL server"):
        public(address)
