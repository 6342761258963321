"""Where anything is in doubt, the plain pump stands in."""

from __future__ import annotations

import functools
import importlib
import inspect
import py_compile
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest
import wrapt

from recoup._core import shape
from tests.core import shape_pumps as pumps
from tests.core.shape_users import is_shaped, user

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import ModuleType
    from typing import Any

pytestmark = pytest.mark.usefixtures("shaping_on")


def test_any_callee() -> None:
    """Arguments may go to whatever an expression gives; each gets them bound, defaults filled in."""

    def seen(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    pump = shape.build(pumps.adopting, user, user, lambda fn: seen)
    assert is_shaped(pump, pumps.adopting)
    assert pump(told=5, a=1) == (((1, 5), {"error": 3}),) * 2


def test_round_a_plain_pump() -> None:
    """A pump that needs the call as it was written gets it so: those round it stay plain too, those in it do not."""
    kept: list[Any] = []
    inside = shape.build(pumps.retrying, user, user, [])
    keeps = shape.build(pumps.keeping, user, inside, kept)
    outside = shape.build(pumps.retrying, user, keeps, [])
    assert outside(told=5, a=30) == 2
    assert kept == [((), {"told": 5, "a": 30})]
    assert is_shaped(inside, pumps.retrying)
    assert not is_shaped(outside, pumps.retrying)


def test_other_arguments() -> None:
    """A pump goes round what takes the same arguments; if it does not, its own are left to it."""

    def other(*values: int) -> tuple[int, ...]:
        return values

    for fn in (other, print, functools.partial(other, 1)):
        assert not is_shaped(shape.build(pumps.retrying, user, fn, []), pumps.retrying)
    assert shape.build(pumps.retrying, user, other, [])(1, 2, 3) == (1, 2, 3)


@pytest.mark.parametrize("factory", [*pumps.unshapely, *pumps.strange], ids=lambda each: getattr(each, "__name__", ""))
def test_doubt(factory: Callable[..., Any]) -> None:
    """A factory that does anything else with the arguments than pass them on is left alone."""

    def pair(a: int, b: int) -> tuple[int, int]:
        return a, b

    built, plain = shape.build(factory, pair, pair, []), factory(pair, [])
    assert built.__code__ is plain.__code__
    if factory not in pumps.strange:
        assert built(1, 2) == plain(1, 2) == (1, 2)


def test_believes_only_functions() -> None:
    """Parameters come from a plain function's code, never from what something claims."""

    @functools.wraps(user)
    def claims(*args: Any, **kwargs: Any) -> float:
        return user(*args, **kwargs)

    pump = shape.build(pumps.retrying, claims, claims, [])
    assert str(inspect.signature(pump)) == "(*args, **kwargs)"
    assert pump(6, error=1) == 3
    proxy = wrapt.FunctionWrapper(user, lambda wrapped, instance, args, kwargs: wrapped(*args, **kwargs))
    for like in (proxy, functools.partial(user, 1), pow, None, claims.__call__, type("Callable", (), {})):
        assert not is_shaped(shape.build(pumps.retrying, like, user, []), pumps.retrying)


@pytest.mark.parametrize(("value", "expected"), [("off", False), ("on", True), ("", True)])
def test_switch(monkeypatch: pytest.MonkeyPatch, value: str, expected: bool) -> None:
    """RECOUP_SHAPE=off turns shaping off, at any time."""
    monkeypatch.setenv("RECOUP_SHAPE", value)
    assert is_shaped(shape.build(pumps.retrying, user, user, []), pumps.retrying) is expected


@pytest.mark.parametrize("parameters", ["a", "*args", "*args, **kwargs", "**kwargs", "*, key"])
def test_switched_off_no_pump_in_a_stack_is_shaped(monkeypatch: pytest.MonkeyPatch, parameters: str) -> None:
    """Whatever the function takes: also what a plain pump takes itself."""
    names: dict[str, Any] = {}
    exec(f"def function({parameters}): return 1", names)  # noqa: S102 - our own text
    monkeypatch.setenv("RECOUP_SHAPE", "off")
    pump = function = names["function"]
    for inside in (True, True, False):
        pump = shape.build(pumps.retrying, function, pump, [], inside=inside)
        assert not is_shaped(pump, pumps.retrying)


def test_factory_runs_once() -> None:
    """The factory runs once, shaped or not, and its errors are its own."""
    made: list[object] = []

    def counting(fn: Callable[..., Any], told: list[object]) -> Callable[..., Any]:
        made.append(told)
        return pumps.retrying(fn, told)

    shape.build(counting, user, user, [])
    assert len(made) == 1
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'told'"):
        shape.build(pumps.retrying, user, user)


# Sources that are not what was imported.

SOURCE = """
def before(): ...

def pumping(fn):
    def pumping(*args, **kwargs):
        # comment
        before()
        result = fn(*args, **kwargs)
        return result
    return pumping

def after(): ...
"""


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ModuleType]]:
    """Import a module `pumped` from a folder or archive, and forget it again."""

    def load(place: Path = tmp_path) -> ModuleType:
        monkeypatch.syspath_prepend(str(place))
        return importlib.import_module("pumped")

    yield load
    sys.modules.pop("pumped", None)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""),
        ("result = fn", "result=fn"),
        ("before()\n", "beyond()\n"),
        ("# comment\n        before()\n", "before()\n        # comment\n"),
        ("# comment\n", "# comment\n        # of two lines\n"),
        ("def before(): ...", "def before():\n    ..."),
        ("return result", "return None"),
        ("return pumping", "return print"),
        ("*args, **kwargs)\n        return", "1, *args, **kwargs)\n        return"),
        ("def pumping(fn):", "def pumping(fn"),
        ("def pumping(fn):", "class pumping:"),
        (SOURCE, ""),
        (SOURCE, None),
    ],
)
def test_source_changed(tmp_path: Path, imported: Any, old: str, new: str | None) -> None:
    """A source that changed on disk after the import, or is gone, does not matter: the plain pump stands in."""
    path = tmp_path / "pumped.py"
    path.write_text(SOURCE, encoding="utf-8")
    module = imported()
    path.unlink() if new is None else path.write_text(SOURCE.replace(old, new), encoding="utf-8")
    pump = shape.build(module.pumping, user, user)
    assert is_shaped(pump, module.pumping) is (old == "")
    assert pump(6, error=1) == 3


def test_no_source(tmp_path: Path, imported: Any) -> None:
    """A module that has only its compiled file works, unshaped."""
    path = tmp_path / "pumped.py"
    path.write_text(SOURCE, encoding="utf-8")
    py_compile.compile(str(path), cfile=str(path.with_suffix(".pyc")))
    path.unlink()
    module = imported()
    pump = shape.build(module.pumping, user, user)
    assert not is_shaped(pump, module.pumping)
    assert pump(6, error=1) == 3


def test_zip_archive(tmp_path: Path, imported: Any) -> None:
    """A module in a zip archive is shaped as well."""
    archive = tmp_path / "pumped.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("pumped.py", SOURCE)
    module = imported(archive)
    pump = shape.build(module.pumping, user, user)
    assert is_shaped(pump, module.pumping)
    assert pump(6, error=1) == 3
