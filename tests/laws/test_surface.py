"""The public surface is sorted, documented and listed in docs/api.txt."""

from __future__ import annotations

import importlib
import sys
from itertools import count
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from tests.laws.source import ROOT
from tests.laws.surface import AGAIN, MODULES, main, surface, undocumented, unsorted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Law = Callable[[ModuleType], Iterator[str]]


@pytest.mark.parametrize("law", [unsorted, undocumented], ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", MODULES)
def test_law(law: Law, name: str) -> None:
    """Public names are sorted and exist; each class, function, method and property has a docstring."""
    assert not list(law(importlib.import_module(name)))


def test_surface_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """A change of the public surface touches docs/api.txt."""
    main()
    assert capsys.readouterr().out == (ROOT / "docs" / "api.txt").read_text(encoding="utf-8"), AGAIN


NUMBER = count()


def sample(text: str) -> ModuleType:
    module = ModuleType(f"sample_{next(NUMBER)}")  # overloads are remembered by module
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, module.__name__, module)  # dataclasses look for it
        exec("from __future__ import annotations\nimport dataclasses, enum, typing\n" + text, vars(module))  # noqa: S102
    return module


def listed(module: ModuleType) -> str:
    return "\n".join(list(surface(module))[1:])


GOOD = '''
__all__ = ["Colour", "Thing", "config", "fetch"]

class Colour(enum.Enum):
    """Say a colour."""
    RED = "red"

class Base:
    """Be a base."""

class Thing(Base):
    """Be a thing.

    It is one.
    """
    __slots__ = ("size",)
    def __init__(self, size: int = 3) -> None: ...
    def __len__(self) -> int: ...
    def _private(self): ...
    async def grow(self, *, by: "int | str" = "a lot", like: object = object()) -> None:
        """Grow."""
    @classmethod
    def small(cls) -> Thing:
        """Make a small one."""
    @property
    def weight(self) -> float:
        """Weigh it."""

@dataclasses.dataclass(frozen=True)
class config:
    """Say what."""
    depth: int = 1

@typing.overload
def fetch(path: str) -> str: ...
@typing.overload
def fetch(path: bytes) -> bytes: ...
def fetch(path):
    """Fetch it."""

TEXT = """\
    class Colour(Enum)
        RED = 'red'
    class Thing(Base)
        def __init__(self, size: int = 3) -> None
        def __len__(self) -> int
        async def grow(self, *, by: 'int | str' = 'a lot', like: object = <object object>) -> None
        size
        @classmethod def small(cls) -> Thing
        weight: float
    class config
        def __init__(self, depth: int = 1) -> None
    def fetch(path: str) -> str
    def fetch(path: bytes) -> bytes"""
'''


def test_good_sample() -> None:
    """The list shows everything that a caller can see, the same on every machine."""
    module = sample(GOOD)
    assert listed(module) == module.TEXT
    assert not [*unsorted(module), *undocumented(module)]


@pytest.mark.parametrize(
    ("law", "old", "new"),
    [
        (unsorted, '"Colour", "Thing"', '"Thing", "Colour"'),
        (unsorted, '"Colour", "Thing"', '"Colour", "Colour", "Thing"'),
        (unsorted, '"Colour", "Thing"', '"Colour", "Missing", "Thing"'),
        (unsorted, '"Colour", "Thing"', '"Colour", "Thing", "_private"'),
        (undocumented, '"""Be a thing.\n', '"""Be a thing\n'),
        (undocumented, '"""Be a thing.\n', '"""Be a thing.\n    Really.\n'),
        (undocumented, '"""Say a colour."""', ""),
        (undocumented, '"""Grow."""', "..."),
        (undocumented, '"""Make a small one."""', "..."),
        (undocumented, '"""Weigh it."""', "..."),
        (undocumented, '"""Say what."""', ""),
        (undocumented, '"""Fetch it."""', "..."),
    ],
)
def test_law_can_fail(law: Law, old: str, new: str) -> None:
    """A name in the wrong place and a missing docstring are noticed."""
    assert old in GOOD
    assert list(law(sample(GOOD.replace(old, new, 1))))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("int = 3", "int = 4"),
        ("size: int", "size: float"),
        ("def small", "def tiny"),
        ("async def grow", "def grow"),
        ("-> bytes", "-> str"),
        ("-> float", "-> int"),
        ('RED = "red"', 'RED = "green"'),
        ("class Thing(Base)", "class Thing"),
        ("depth: int = 1", "height: int = 1"),
        ("__len__", "__iter__"),
    ],
)
def test_changes_show(old: str, new: str) -> None:
    """Any change of what a caller can see changes the list."""
    assert old in GOOD
    assert listed(sample(GOOD.replace(old, new, 1))) != sample(GOOD).TEXT
