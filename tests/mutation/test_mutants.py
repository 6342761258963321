"""The mutation testing itself: what it changes, what it leaves alone, and that it finds what no test holds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutation.__main__ import files, path_of, suite_of
from tests.mutation.accepted import LIST, accepted
from tests.mutation.mutants import keys, mutants

SOURCE = '''
"""A module."""
from __future__ import annotations
LIMIT = 3

class Counter:
    """A class."""
    __slots__ = ("n",)
    n: int

    def add(self, by: int = 1) -> bool:
        """Add."""
        if by > 0 and not self.full():
            self.n += by
            return True
        return False

    def full(self) -> bool:
        assert LIMIT == 3
        return self.n >= LIMIT
'''


def test_every_kind_of_mistake_is_made() -> None:
    """Comparisons, conditions, arithmetic, constants and statements are changed; types, words and slots are not."""
    changes = {mutant.key for mutant in mutants(SOURCE, "sample.py")}
    assert changes >= {
        ": `3` -> `4`",
        "Counter.add: `1` -> `2`",
        "Counter.add: `by > 0` -> `by >= 0`",
        "Counter.add: `by > 0` -> `by < 0`",
        "Counter.add: `by > 0 and (not self.full())` -> `by > 0 or not self.full()`",
        "Counter.add: `not self.full()` -> `not not self.full()`",
        "Counter.add: dropped `self.n += by`",
        "Counter.add: `self.n += by` -> `self.n -= by`",
        "Counter.add: `True` -> `False`",
        "Counter.full: `self.n >= LIMIT` -> `self.n > LIMIT`",
        "Counter.full: `self.n >= LIMIT` -> `self.n < LIMIT`",
    }
    assert not [change for change in changes if "slots" in change or "assert" in change or "A class" in change]
    assert len(changes) == len(mutants(SOURCE, "sample.py"))


def test_a_mutant_differs_in_one_place() -> None:
    """The file as it was comes back after every change."""
    plain = compile(SOURCE, "sample.py", "exec")
    methods = {"add", "full"}
    for mutant in mutants(SOURCE, "sample.py"):
        space: dict[str, object] = {"__name__": "sample"}
        exec(mutant.code, space)  # noqa: S102 - our own text
        assert methods <= vars(space["Counter"]).keys()
        assert mutant.code != plain


def test_what_is_outside_of_functions_is_known() -> None:
    """Constants and defaults take effect on import, so their mutants are run in another way."""
    by_key = {mutant.key: mutant.inside for mutant in mutants(SOURCE, "sample.py")}
    assert not by_key[": `3` -> `4`"]
    assert not by_key["Counter.add: `1` -> `2`"]
    assert by_key["Counter.full: `self.n >= LIMIT` -> `self.n > LIMIT`"]


def test_a_change_of_what_a_function_closes_over_is_known() -> None:
    """A function cannot take code that closes over other variables."""
    source = "def outer(a):\n    b = 1\n    def inner():\n        c = a\n        return b\n    return inner\n"
    by_key = {mutant.key: mutant.inside for mutant in mutants(source, "sample.py")}
    assert not by_key["outer.inner: dropped `return b`"]
    assert by_key["outer: dropped `return inner`"]


@pytest.mark.parametrize("name", files())
def test_survivors_are_explained(name: str) -> None:
    """Whoever is on the list has a reason and still exists, and every file has tests."""
    known = accepted(name)
    assert all(known.values())
    gone = known.keys() - keys(path_of(name).read_text())
    assert not gone, f"no longer there: {gone}"
    assert all(Path(test).exists() for test in suite_of(name))


def test_the_list_names_files_that_exist() -> None:
    """A file that was renamed takes its survivors along."""
    named = [line.strip("[]") for line in LIST.read_text().splitlines() if line.startswith("[")]
    assert set(named) <= set(files())
    assert len(named) == len(set(named))


SMALL = "BASE = 1\n\ndef more(a):\n    return a + BASE\n"
SMALL += "\ndef larger(a, b):\n    return a if a > b else b\n"
SMALL += "\nclass Never:\n    def used(self):\n        return 1\n"
TESTS = "from sample import larger, more\n\ndef test_larger():\n    assert larger(1, 2) == 2 == larger(2, 1)\n"
TESTS += "\ndef test_more():\n    assert more(1) == 2\n"
RUN = """
import re
import sys
from pathlib import Path
from tests.mutation.running import run
found = {}
out = sys.__stdout__
tell = lambda mutant, caught: found.__setitem__(mutant.key, caught)
run(Path(sys.argv[1]), "sample", [sys.argv[2]], tell, 2, only=re.compile(sys.argv[3]), slowest=float(sys.argv[4]))
sys.stderr.write(repr(found))
"""


def examine(tmp_path: Path, only: str = "", slowest: str = "inf") -> subprocess.CompletedProcess[str]:
    (tmp_path / "sample.py").write_text(SMALL)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    args = [sys.executable, "-c", RUN, str(tmp_path / "sample.py"), str(tmp_path / "test_sample.py"), only, slowest]
    return subprocess.run(args, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_survivors_are_told_from_the_found(tmp_path: Path) -> None:
    """A wrong comparison or constant is found, what makes no difference and what no test runs is not."""
    (tmp_path / "test_sample.py").write_text(TESTS)
    done = examine(tmp_path)
    found = eval(done.stderr.splitlines()[-1])  # noqa: S307 - our own text
    assert found == {
        ": `1` -> `2`": True,
        "more: dropped `return a + BASE`": True,
        "more: `a + BASE` -> `a - BASE`": True,
        "larger: dropped `return a if a > b else b`": True,
        "larger: `a > b` -> `a >= b`": False,
        "larger: `a > b` -> `a < b`": True,
        "larger: `a > b` -> `not a > b`": True,
        "Never.used: dropped `return 1`": False,
        "Never.used: `1` -> `2`": False,
    }


@pytest.mark.slow
def test_a_mutant_that_is_not_imported_proves_nothing(tmp_path: Path) -> None:
    """Tests that go past the mutant end the run; they would all pass, and it would count as a survivor."""
    (tmp_path / "test_sample.py").write_text("def test_nothing():\n    pass\n")
    done = examine(tmp_path)
    assert done.returncode
    assert done.stderr.splitlines()[-1] == "RuntimeError: nothing imports sample, or something else did first"


@pytest.mark.slow
def test_another_look_at_some_of_them_by_the_quick_tests(tmp_path: Path) -> None:
    """Only what matches is tried; slow tests count where no quick one runs the line."""
    slow = "\n\ndef test_slow():\n    time.sleep(0.3)\n    assert larger(1, 0) == 1\n    assert more(1) == 2\n"
    (tmp_path / "test_sample.py").write_text(
        "import time\nfrom sample import larger, more\n\ndef test_quick():\n    larger(0, 1)\n" + slow
    )
    done = examine(tmp_path, "^(more|larger): `a", "0.2")
    assert eval(done.stderr.splitlines()[-1]) == {  # noqa: S307 - our own text
        "more: `a + BASE` -> `a - BASE`": True,
        "larger: `a > b` -> `a >= b`": False,
        "larger: `a > b` -> `a < b`": False,
        "larger: `a > b` -> `not a > b`": False,
    }
