"""Which journal holds where, and how it is given (rules G1 and G16)."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

import recoup
from recoup import Journal, configure, saga, testing
from recoup.sagas import opening, settings
from recoup.sagas.sqlite import SqliteBackend
from recoup.strategies.compensation.scope import Saga
from tests.sagas.fakes import Memory

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "_everywhere", None)


def test_everywhere() -> None:
    """`configure` holds from now on, in every thread."""
    place = Journal(Memory(), recover=False)
    held = configure(journal=place)
    assert repr(held) == "<recoup configuration journal=<Journal memory: not open>>"
    seen: list[object] = []
    thread = threading.Thread(target=lambda: seen.append(settings.journal()))
    thread.start()
    thread.join()
    assert seen == [place]
    configure(journal=None)
    assert settings.journal() is None


def test_block() -> None:
    """As a context manager it holds in its block alone; blocks nest and restore."""
    one, two = Journal(Memory(), recover=False), Journal(Memory(), recover=False)
    outside = configure(journal=one)
    with configure(journal=two) as held:
        assert settings.journal() is two
        with configure(journal=None):
            assert settings.journal() is None
        assert settings.journal() is two
        with pytest.raises(RuntimeError, match="in use already"), held:
            pass
    assert settings.journal() is one
    assert settings._everywhere is outside


def test_outlived() -> None:
    """A configuration whose block is over counts nowhere, not even for what began in it (G16)."""
    import contextvars

    with configure(journal=Journal(Memory(), recover=False)):
        context = contextvars.copy_context()
    assert context.run(settings.journal) is None
    made, other = configure(journal=None), configure(journal=None)
    with made:
        assert settings._everywhere is other


def test_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address is a journal, the same one each time while it is in use."""
    monkeypatch.chdir(tmp_path)
    place = opening.journal_of("sqlite:///a%20b.db")
    assert opening.journal_of("sqlite:///a%20b.db") is place
    assert place.name == f"sqlite:///{tmp_path}/a b.db"
    place.close()
    assert opening.journal_of("sqlite:///a%20b.db") is not place
    assert opening.journal_of(f"sqlite:///{tmp_path}/c.db").name == f"sqlite:///{tmp_path}/c.db"
    assert type(opening.journal_of("postgresql://localhost/x")._backend).__name__ == "PostgresBackend"


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ("app.db", ValueError, "'app.db' is of no kind"),
        ("mysql://x", ValueError, "'mysql' is of no kind"),
        ("sqlite://app.db", ValueError, "names no file"),
        ("sqlite:///", ValueError, "names no file"),
        (3, TypeError, "not 3"),
    ],
)
def test_bad_addresses(given: Any, error: type[Exception], message: str) -> None:
    """What is no journal is refused at once, with what would be one."""
    with pytest.raises(error, match=message):
        configure(journal=given)
    with pytest.raises(error, match=message):
        saga("order", journal=given)


def test_nothing_given() -> None:
    """`configure` without anything is a mistake."""
    with pytest.raises(TypeError, match="needs to know what to set"):
        configure()
    assert repr(settings.UNSET) == "UNSET"


def test_engine() -> None:
    """An engine is handed on as it is."""

    class Engine:
        def run(self) -> None: ...

    engine = Engine()
    assert opening.journal_of(engine) is engine


def test_off(tmp_path: Path) -> None:
    """Where recovery is switched off no saga is written down (G16)."""
    with configure(journal=Journal(SqliteBackend(tmp_path / "a.db"), recover=False)), testing.disabled():
        assert type(saga("order")) is Saga


@pytest.mark.parametrize("options", [{"key": 7}, {"version": 2}])
def test_bad_options(options: dict[str, Any]) -> None:
    """Key and version are texts (G1)."""
    with pytest.raises(TypeError, match="must be a string"):
        saga("order", **options)


def test_after_fork() -> None:
    """Forked children have locks that nobody holds (G18)."""
    from recoup.sagas import names

    for module in (opening, names):
        lock = module._lock
        module._after_fork()
        assert module._lock is not lock


def test_step_shows_itself() -> None:
    """What `step()` gives shows where it belongs, and UNKNOWN is false, so that `or` asks."""
    from recoup.sagas.steps import in_step

    assert repr(recoup.step()).startswith("<step outside any saga ")
    with in_step("a:1", 1, "order", "a") as outer:
        assert repr(recoup.step()) == "<step 1 of saga 'order' a:1>"
        with in_step("b:2", 2, "inner", "b"):
            assert recoup.step().n == 2
        assert recoup.step() is outer
    assert not recoup.UNKNOWN
    assert repr(recoup.UNKNOWN) == "UNKNOWN"
