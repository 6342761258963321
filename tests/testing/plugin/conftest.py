"""Runs of pytest inside these tests."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import recoup

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., pytest.RunResult]

# Ours by its module, whether recoup is installed or not; other plugins only where they are asked for.
OURS = ("-p", "no:recoup", "-p", "recoup.testing.plugin", "-p", "no:cacheprovider")
MODULES = {"asyncio": "pytest_asyncio", "anyio": "anyio", "xdist": "xdist", "randomly": "pytest_randomly"}

INI = """\
[pytest]
filterwarnings = error
addopts = --strict-markers
asyncio_default_fixture_loop_scope = function
"""


@pytest.fixture(scope="session")
def _loaded() -> None:
    """Load what inner runs may use: pytester drops the modules that an inner run has loaded, and classes with them."""
    for module in pkgutil.walk_packages(recoup.__path__, "recoup."):
        if not module.name.startswith(("recoup.demo", "recoup.ext", "recoup.__main__", "recoup.testing.plugin")):
            import_module(module.name)
    for name in ("anyio.pytest_plugin", "anyio._backends._asyncio", "pytest_asyncio", "wrapt"):
        if find_spec(name.partition(".")[0]) is not None:
            import_module(name)


@pytest.fixture
def run(_loaded: None, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the tests of a text, with our plugin and some of the others; in this process, which is faster."""

    def run(
        text: str, *options: str, beside: tuple[str, ...] = (), ini: str = "", subprocess: bool = False
    ) -> pytest.RunResult:
        for name in beside:
            pytest.importorskip(MODULES[name])
        monkeypatch.setenv("PYTHONPATH", str(Path(recoup.__file__).parents[1]))  # another run is another folder
        known = INI if "asyncio" in beside else INI.replace("asyncio_default_fixture_loop_scope = function\n", "")
        pytester.makeini(known + ini)
        pytester.makepyfile(text)
        without = [option for name in MODULES if name not in beside for option in ("-p", f"no:{name}")]
        runner = pytester.runpytest_subprocess if subprocess else pytester.runpytest_inprocess
        return runner(*without, *OURS, *options)

    return run
