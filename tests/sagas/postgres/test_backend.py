"""What PostgreSQL does beyond the contract of all journals."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import TYPE_CHECKING

import psycopg
import pytest

from recoup.errors import JournalError
from recoup.ext.postgres import Link
from recoup.sagas.journal import SCHEMA, Append, State, Unavailable
from recoup.sagas.postgres import PostgresBackend
from tests.sagas.contract.stores import NOW, add, begun, do, intent, saga

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


@pytest.fixture
def admin(database: str) -> Iterator[psycopg.Connection[Any]]:
    """Give a connection beside the journal's."""
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def backend(database: str) -> Iterator[PostgresBackend]:
    made = PostgresBackend(database, timeout=30, reconnect_grace=0)
    made.open()
    yield made
    made.close()


def test_without_psycopg_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named where it is missing."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "recoup.ext.postgres", raising=False)
    monkeypatch.delattr("recoup.ext.postgres", raising=False)
    with pytest.raises(JournalError, match=r"pip install 'recoup\[postgres\]'"):
        PostgresBackend("postgresql:///")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"timeout": 0}, ValueError, "timeout must be greater than 0"),
        ({"timeout": "5"}, TypeError, "timeout must be seconds"),
        ({"host_timeout": 0.5}, ValueError, "host_timeout must be at least 1"),
        ({"host_timeout": None}, TypeError, "host_timeout must be seconds"),
        ({"reconnect_grace": -1}, ValueError, "reconnect_grace must be at least 0"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    """Every option is checked when it is given (G1)."""
    with pytest.raises(error, match=message):
        PostgresBackend("postgresql:///", **options)


def test_durations_may_be_timedeltas() -> None:
    """Every duration may be seconds or a timedelta (G1)."""
    assert (
        PostgresBackend("postgresql:///", timeout=timedelta(seconds=2), host_timeout=timedelta(minutes=1)).timeout == 2
    )


def test_a_wrong_address_is_refused_at_once() -> None:
    """What is no address is refused before anything is tried."""
    with pytest.raises(JournalError, match="no address of a PostgreSQL server"):
        PostgresBackend("postgresql://[")


def test_where_nobody_listens_it_may_work_later(unused: str) -> None:
    """A server that cannot be reached is unavailable, not wrong: the writer tries again."""
    with pytest.raises(Unavailable, match="refused"):
        PostgresBackend(unused).open()


@pytest.fixture
def unused() -> str:
    from tests.servers.postgres import free_port

    return f"postgresql://127.0.0.1:{free_port()}/"


def test_before_it_is_open_nothing_works(database: str) -> None:
    """A backend that is not open is unavailable, and closing or rolling it back does no harm."""
    backend = PostgresBackend(database)
    assert backend.number == 0
    backend.begin(writes=True)
    with pytest.raises(Unavailable, match="not open"):
        backend.start(saga())
    backend.rollback()
    backend.close()
    backend.abandon()


def test_newer_tables_are_refused(backend: PostgresBackend, admin: psycopg.Connection[Any], database: str) -> None:
    """Tables of a newer recoup are not touched: the message says what to do."""
    admin.execute("UPDATE recoup_schema SET version = version + 1")
    late = PostgresBackend(database)
    with pytest.raises(JournalError, match=f"version {SCHEMA + 1}.*update recoup") as caught:
        late.open()
    assert not isinstance(caught.value, Unavailable)
    assert late.owner == ""


def test_a_role_that_may_not_make_tables_uses_those_there_are(
    backend: PostgresBackend, admin: psycopg.Connection[Any], database: str, postgres_shared: Any
) -> None:
    """Who has no right to make tables may still use them; without them the error says what is missing."""
    schema = admin.execute("SELECT current_schema()").fetchone()[0]  # type: ignore[index]  # there is one
    admin.execute("CREATE ROLE clerk LOGIN")
    try:
        admin.execute(f"GRANT USAGE ON SCHEMA {schema} TO clerk")
        admin.execute(f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA {schema} TO clerk")
        admin.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO clerk")
        clerk = PostgresBackend(database.replace("postgres@", "clerk@"))
        clerk.open()
        assert add(clerk, begun(clerk), intent(1))
        clerk.close()
        with pytest.raises(JournalError, match="permission denied"):
            PostgresBackend(postgres_shared.dsn.replace("postgres@", "clerk@")).open()
    finally:
        admin.execute("DROP OWNED BY clerk")
        admin.execute("DROP ROLE clerk")


def test_commits_are_durable_whatever_is_usual(database: str) -> None:
    """A role or URL that asks for asynchronous commits does not get them here."""
    hasty = PostgresBackend(f"{database}%20-csynchronous_commit%3Doff", timeout=30)
    hasty.open()
    assert hasty._run(("SHOW synchronous_commit", ()))[0].rows == [("on",)]
    assert hasty._run(("SHOW tcp_user_timeout", ()))[0].rows == [("10000",)]
    hasty.close()


def test_one_request_alone_is_one_exchange(backend: PostgresBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start or append that is alone in its transaction takes one round trip, any other transaction one more each."""
    sent: list[int] = []
    run = Link.run
    monkeypatch.setattr(Link, "run", lambda link, *given: sent.append(len(given)) or run(link, *given))
    backend.begin(writes=True, alone=True)
    head = backend.start(saga())
    backend.commit()
    backend.begin(writes=True, alone=True)
    assert backend.append(Append(head.id, 1, [intent(1)], NOW))
    backend.commit()
    assert sent == [1, 1]
    sent.clear()
    backend.begin(writes=True)
    assert backend.append(Append(head.id, 1, [intent(2)], NOW))
    assert backend.append(Append(head.id, 1, [intent(3)], NOW))
    backend.commit()
    assert sent == [2, 1, 1]
    assert len(do(backend, "load", head.id).records) == 3


def test_who_holds_a_saga_too_long_makes_it_unavailable(database: str, admin: psycopg.Connection[Any]) -> None:
    """A row that somebody else has locked holds the writer no longer than its time limit."""
    backend = PostgresBackend(database, timeout=0.4)
    backend.open()
    head = begun(backend)
    with admin.transaction():
        admin.execute("SELECT * FROM recoup_saga FOR UPDATE")
        with pytest.raises(Unavailable, match="lock timeout"):
            add(backend, head, intent(1))
    backend.open()  # open still: nothing to do
    assert add(backend, head, intent(1))
    backend.close()


def test_a_value_that_cannot_be_kept_is_no_reason_to_try_again(backend: PostgresBackend) -> None:
    """What PostgreSQL cannot keep at all (the letter NUL) is an error, and the journal goes on."""
    with pytest.raises(JournalError, match=r"letter NUL.*\(22021\)") as caught:
        begun(backend, key="a\0b")
    assert not isinstance(caught.value, Unavailable)
    assert begun(backend, key="ab").state is State.RUNNING


def test_a_session_that_is_ended_comes_back_as_the_same_owner(
    backend: PostgresBackend, admin: psycopg.Connection[Any]
) -> None:
    """After its session was ended by the server an owner takes its lock again, and its sagas are still its own."""
    head, owner = begun(backend), backend.owner
    admin.execute("SELECT pg_terminate_backend(%s)", [backend._link.pid])  # type: ignore[union-attr]  # it is open
    with pytest.raises(Unavailable):
        add(backend, head, intent(1))
    backend.open()
    assert backend.owner == owner
    assert add(backend, head, intent(1))


def test_a_saga_claimed_while_the_owner_was_away_is_fenced(backend: PostgresBackend, database: str) -> None:
    """An owner whose session was lost finds those sagas fenced that somebody claimed, only those (rule 4)."""
    one, two = begun(backend), begun(backend)
    other = PostgresBackend(database, reconnect_grace=0)
    other.open()
    backend._drop()
    while not (claimed := do(other, "claim", 1)):  # until the server has noticed
        pass
    assert [each.id for each in claimed] == [one.id]
    backend.open()
    assert not add(backend, one, intent(1))
    assert add(backend, two, intent(1))
    assert do(other, "claim", 9) == []
    other.close()


def test_the_ghost_of_a_lost_session_is_ended(backend: PostgresBackend) -> None:
    """A session that was lost on the way, and lives on in the server, does not keep its owner from coming back."""
    head = begun(backend)
    ghost = backend._link  # as a network that swallows everything: the server still has the session, and its lock
    backend._link = None
    backend.open()
    assert add(backend, head, intent(1))
    with pytest.raises(Exception, match=r"terminat|lost|closed"):
        ghost.run(("SELECT 1", ()))  # type: ignore[union-attr]  # it was open


def test_a_claim_without_an_answer_is_not_forgotten(backend: PostgresBackend, database: str) -> None:
    """Sagas of a claim whose commit was not answered are given by the next claim if they are ours (rule 7)."""
    dead = PostgresBackend(database)
    dead.open()
    heads = [begun(dead) for _ in range(3)]
    dead.close()
    backend.begin(writes=True)
    assert len(backend.claim(2)) == 2
    backend._link.run(("COMMIT", ()))  # type: ignore[union-attr]  # done, and then the answer is lost
    backend._link.close()  # type: ignore[union-attr]  # it was open
    with pytest.raises(Unavailable):
        backend.commit()
    backend.rollback()
    backend.open()
    found = do(backend, "claim", 1)
    assert [(each.id, each.fence) for each in found] == [(heads[0].id, 2)]
    found = do(backend, "claim", 9)
    assert [(each.id, each.fence) for each in found] == [(heads[1].id, 2), (heads[2].id, 2)]
    assert do(backend, "claim", 9) == []


def test_a_claim_that_was_never_carried_out_is_claimed_anew(backend: PostgresBackend, database: str) -> None:
    """Sagas of a claim that was lost with its connection are orphans as before, for others as well."""
    dead = PostgresBackend(database)
    dead.open()
    heads = [begun(dead) for _ in range(2)]
    dead.close()
    backend.begin(writes=True)
    assert len(backend.claim(9)) == 2
    backend._link.close()  # type: ignore[union-attr]  # it is open
    with pytest.raises(Unavailable):
        backend.commit()
    backend.rollback()
    backend.open()
    other = PostgresBackend(database, reconnect_grace=0)
    other.open()
    assert [each.id for each in do(other, "claim", 1)] == [heads[0].id]
    assert [each.id for each in do(backend, "claim", 9)] == [heads[1].id]
    assert backend._doubtful == {}
    other.close()


def test_after_a_start_of_the_server_owners_may_come_back(database: str) -> None:
    """For a while after the server started nobody claims from absent owners: they may be coming back."""
    first = PostgresBackend(database)
    first.open()
    head = begun(first)
    first.close()
    careful = PostgresBackend(database, reconnect_grace=timedelta(days=1))
    careful.open()
    assert do(careful, "claim", 9) == []
    assert do(careful, "take", head.id, [State.RUNNING]) is not None  # who asks for one by name means it
    careful.close()


@pytest.mark.parametrize("alone", [True, False])
def test_a_saga_and_its_first_records_are_one_transaction(
    backend: PostgresBackend, alone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A saga that begins with its first step takes one commit for both: k steps take k + 1."""
    sent: list[int] = []
    run = Link.run
    monkeypatch.setattr(Link, "run", lambda link, *given: sent.append(len(given)) or run(link, *given))
    start = saga()
    backend.begin(writes=True, alone=alone)
    assert backend.append(Append(start.id, 1, [intent(1)], NOW), start)
    backend.commit()
    assert sent == ([2] if alone else [3, 1])
    story = do(backend, "load", start.id)
    assert (story.head.state, story.head.owner, story.records) == (State.RUNNING, backend.owner, [intent(1)])


def test_a_saga_whose_first_records_are_refused_does_not_begin(backend: PostgresBackend) -> None:
    """What is wrong with the first records is wrong with the whole transaction."""
    start = saga()
    backend.begin(writes=True, alone=True)
    with pytest.raises(JournalError, match="letter NUL"):
        backend.append(Append(start.id, 1, [intent(1)._replace(body="\0")], NOW), start)
    backend.rollback()
    assert do(backend, "load", start.id) is None


def test_what_is_abandoned_is_another_owner_s(backend: PostgresBackend) -> None:
    """Whoever lets go of what it inherited is another owner afterwards, and owns nothing of before (G18)."""
    end = backend.watch(lambda: None)
    head, owner = begun(backend), backend.owner
    watch = backend._watches[0]
    while watch._link is None:  # until its thread has it
        pass
    backend.abandon()
    watch.leave()  # once more: nothing
    end()
    assert backend.owner == ""
    backend.open()
    assert backend.owner not in {"", owner}
    assert not add(backend, head, intent(1))
    while not (claimed := do(backend, "claim", 9)):  # until the server has noticed that the other one is gone
        pass
    assert [each.id for each in claimed] == [head.id]
