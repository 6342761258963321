"""The command `recoup explain` (G14): what it finds, what it prints, how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import recoup
from recoup import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

SHOP = """
import functools, warnings
from shop_basis import imported
from recoup import ErrorRecoveryWorkflow, bulkhead, circuit_breaker, retry

workflow = ErrorRecoveryWorkflow()

@retry(max_attempts=4, attempt_timeout=2, initial_delay=0, name="prices")
@circuit_breaker(name="bank")
async def fetch(): ...

again = fetch

def bare(): ...

class Client:
    @retry
    def get(self): ...
    @bulkhead
    @classmethod
    def make(cls): ...
    class Inner:
        @retry
        def deep(self): ...

part = retry(functools.partial(bare))
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    wrong = circuit_breaker(retry(lambda: 1))
"""


@pytest.fixture(autouse=True)
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "shop_basis.py").write_text("from recoup import retry\n@retry\ndef imported(): ...\n")
    (tmp_path / "shop_client.py").write_text(SHOP)
    (tmp_path / "shop_plain.py").write_text("def bare(): ...\n")
    (tmp_path / "shop_broken.py").write_text("import shop_that_is_not_there\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each])
    yield
    for name in [name for name in sys.modules if name.startswith("shop_")]:
        del sys.modules[name]


def test_one_function_is_explained_in_words_and_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    """Order, what each layer does, the worst case of each, and the code 0."""
    assert cli.main(["explain", "shop_client:fetch"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("fetch, from outside in:\n  1. retry            calls up to 4 times")
    assert shown.endswith(
        """

#  layer            name    calls   seconds
1  retry            prices      4         8
2  circuit_breaker  bank        1  no limit
"""
    )


def test_a_module_is_explained_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """Every protected function, method and object that it defines, once, in the order they are written."""
    assert cli.main(["explain", "shop_client"]) == 0
    shown = capsys.readouterr().out
    names = [line.partition(", from outside in:")[0] for line in shown.splitlines() if "from outside in" in line]
    assert names[:4] == ["fetch", "Client.get", "Client.make", "Client.Inner.deep"]
    assert names[4:] == ["an object of type 'partial'", "<lambda>"]


@pytest.mark.parametrize(
    ("target", "first"),
    [
        ("shop_client:Client.make", "Client.make, from outside in:"),
        ("shop_client:Client.Inner.deep", "Client.Inner.deep, from outside in:"),
        ("shop_client:workflow", "<ErrorRecoveryWorkflow "),
    ],
)
def test_what_is_inside_can_be_named(target: str, first: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Methods by their path, and strategy objects."""
    assert cli.main(["explain", target]) == 0
    assert capsys.readouterr().out.startswith(first)


@pytest.mark.parametrize(("target", "code"), [("shop_client:wrong", 1), ("shop_client", 1), ("shop_client:fetch", 0)])
def test_check_fails_on_a_wrong_order(target: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """`--check` ends with 1 if an order cannot mean what it says, so that a build can ask."""
    assert cli.main(["explain", "--check", target]) == code
    assert ("warning: circuit_breaker stands outside retry" in capsys.readouterr().out) is bool(code)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("shop_nowhere", "there is no module 'shop_nowhere'"),
        ("shop_plain.deeper:fetch", "there is no module 'shop_plain.deeper'"),
        ("shop_client:Client.nothing", "shop_client has no 'Client.nothing': 'nothing' is not there"),
        ("shop_client:", "shop_client has no '': '' is not there"),
        ("shop_client:bare", "shop_client:bare is not protected by recoup"),
        ("shop_plain", "nothing in shop_plain is protected by recoup"),
        (":fetch", "'' is no module: write MODULE or MODULE:NAME"),
        (".shop:fetch", "'.shop' is no module: write MODULE or MODULE:NAME"),
    ],
)
def test_what_is_not_there_is_said(target: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A target that names nothing, or nothing protected, ends with 2 and says why."""
    assert cli.main(["explain", "shop_client:fetch", target]) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith(f"recoup explain: {words}")
    assert not shown.out


def test_an_error_inside_the_module_is_shown_as_it_is() -> None:
    """What the module itself cannot import is its own error, not a wrong target."""
    with pytest.raises(ModuleNotFoundError, match="shop_that_is_not_there"):
        cli.main(["explain", "shop_broken"])


def test_the_current_folder_is_added_once() -> None:
    """Whoever calls it again and again does not make the path longer."""
    for _ in range(3):
        assert cli.main(["explain", "shop_client:fetch"]) == 0
    assert sys.path.count("") == 1


def test_the_installed_script_looks_into_the_current_folder(tmp_path: Path) -> None:
    """As `python -m recoup` does."""
    asked = [sys.executable, "-P", "-m", "recoup", "explain", "shop_client:fetch"]  # -P: the path of a script
    found = {**os.environ, "PYTHONPATH": str(Path(recoup.__file__).parents[1])}
    ended = subprocess.run(asked, cwd=tmp_path, env=found, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("fetch, from outside in:")
