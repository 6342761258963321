"""`recoup sagas`: the same as the API, for people (issue 5)."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from recoup import CompensationError, cli, configure, saga
from recoup.sagas import people, settings
from recoup.sagas.journal import State
from recoup.sagas.keeper import Journal
from recoup.sagas.sqlite import SqliteBackend
from tests.sagas import shop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    shop.LOG.clear()
    shop.FAULTS.clear()
    yield
    shop.FAULTS.clear()


@pytest.fixture
def stuck(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """An address, and a saga in it that waits for a person."""
    with Journal(SqliteBackend(tmp_path / "a.db"), recover=False) as place, configure(journal=place):
        shop.FAULTS["undo b2 B"] = OSError("disk")
        with pytest.raises(CompensationError), saga("order", key="7") as block:
            shop.do("a")
            shop.do("b")
            raise ConnectionError("down")
        with monkeypatch.context() as patch:
            patch.delattr(shop, "undo")
            people.recover()
    shop.FAULTS.clear()
    return f"sqlite:///{tmp_path}/a.db", block.id  # type: ignore[attr-defined]


def sagas(address: str, *arguments: str) -> int:
    return cli.main(["sagas", "--journal", address, *arguments])


def test_list(stuck: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """A readable table; it ends with 1 while a saga waits for a person."""
    address, id = stuck
    assert sagas(address, "list") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["id", "name", "key", "state", "since", "owner", "reason"]
    assert lines[1].split()[:4] == [id, "order", "7", "stuck"]
    assert "has no 'undo'" in lines[1]
    assert sagas(address, "list", "--name", "other") == 0
    assert capsys.readouterr().out == "none\n"


def test_json(stuck: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """The same as JSON, for programs."""
    address, id = stuck
    assert cli.main(["sagas", "--json", "--journal", address, "list", "--stuck"]) == 1
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["id"], row["state"], row["key"]) == (id, "stuck", "7")
    assert cli.main(["sagas", "--json", "--journal", address, "show", "7"]) == 0
    shown: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert [each["n"] for each in shown["steps"]] == [1, 2]
    assert shown["records"][0]["body"]["step"] == "tests.sagas.shop:do"


def test_show(stuck: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """One saga: its steps, how far they came, what undoes them, and what was said of it; no arguments."""
    address, id = stuck
    assert sagas(address, "show", id[:10]) == 0
    said = capsys.readouterr().out
    assert "1  tests.sagas.shop:do  done     no      tests.sagas.shop:undo" in said
    assert "compensating : down" in said
    assert "stuck 2: " in said


def test_retry_and_recover(stuck: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """`retry` sets a saga free, `recover` brings it to its end."""
    address, id = stuck
    assert sagas(address, "retry", id, "--reason", "mended") == 0
    assert "compensating" in capsys.readouterr().out
    assert sagas(address, "recover") == 0
    assert id in capsys.readouterr().out
    assert sagas(address, "list", "--all") == 0
    assert "compensated" in capsys.readouterr().out
    assert sagas(address, "retry", id) == 2
    assert "is compensated: nothing was changed" in capsys.readouterr().err


def test_skip(stuck: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """`skip` lets the other steps be undone."""
    address, id = stuck
    assert sagas(address, "skip", id, "2", "--reason", "by hand") == 0
    assert sagas(address, "recover") == 0
    assert shop.LOG[-1] == ("undo", "a1 A")
    capsys.readouterr()
    assert sagas(address, "show", id) == 0
    assert "skipped 2: by hand, says " in capsys.readouterr().out


def test_resolve(stuck: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """`resolve` ends it."""
    address, id = stuck
    assert sagas(address, "resolve", id, "--reason", "settled", "--done") == 0
    assert "done" in capsys.readouterr().out
    assert sagas(address, "list") == 0


def test_recover_leaves_one_stuck(
    stuck: tuple[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`recover` ends with 1 if a saga waits for a person then."""
    address, id = stuck
    sagas(address, "retry", id)
    monkeypatch.delattr(shop, "undo")
    assert sagas(address, "recover") == 1


def test_application(
    stuck: tuple[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`--app` imports what configures the journal."""
    address, id = stuck
    monkeypatch.setattr(settings, "_everywhere", None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each])
    (tmp_path / "the_app.py").write_text(f"import recoup\nrecoup.configure(journal={address!r})\n")
    assert cli.main(["sagas", "--app", "the_app", "list"]) == 1
    assert id in capsys.readouterr().out
    sys.modules.pop("the_app")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list"], "which journal?"),
        (["--app", "no_such_app", "list"], "No module named"),
        (["--journal", "mysql://x", "list"], "of no kind that recoup knows"),
        (["--journal", "sqlite:////nowhere/at/all.db", "list"], "cannot be opened"),
    ],
)
def test_wrong(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wrong is said, and the command ends with 2."""
    monkeypatch.setattr(settings, "_everywhere", None)
    assert cli.main(["sagas", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_unknown(stuck: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """A saga that is not there is an error."""
    assert sagas(stuck[0], "show", "nobody") == 2
    assert "no sagas are called 'nobody'" in capsys.readouterr().err
    assert State.STUCK == "stuck"
