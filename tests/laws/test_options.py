"""A decorator's keywords are its config's fields (issue, "Decorators first")."""

from __future__ import annotations

import textwrap

import pytest

from tests.laws.options import options
from tests.laws.source import Module, modules

FOUND = [each for each in modules() if each.name.startswith("recoup.strategies.") and each.name.endswith(".config")]

TYPED_BY_OVERLOADS = "the decorator's overloads name it, because the result's type depends on it (F3)"
APART = {
    "fallback_value": TYPED_BY_OVERLOADS,
    "fallback_function": TYPED_BY_OVERLOADS,
    "fallback_service": TYPED_BY_OVERLOADS,
    "value_given": "the config's own note, for `dataclasses.replace`",
}


@pytest.mark.parametrize("module", FOUND, ids=lambda each: each.name)
def test_keywords_are_fields(module: Module) -> None:
    """`@retry(...)` and `RetryConfig(...)` take the same keywords of the same types; so do all others."""
    assert not list(options(module, APART if ".fallback." in module.name else ()))


GOOD = """
    @dataclass(frozen=True)
    class WaitConfig:
        ON: ClassVar[str] = "wait_on"
        seconds: float
        _: KW_ONLY
        wait_on: type | None = None
        attempts: int = 3

    @dataclass
    class Other:
        unrelated: int

    if TYPE_CHECKING:
        class WaitOptions(TypedDict, total=False):
            name: str | None
            on: type | None
            wait_on: type | None
            attempts: int
"""


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("", "", ""),
        ("attempts: int = 3", "attempts: int = 3; more: int = 4", "`more` is missing there and int in the config"),
        ("attempts: int = 3", "attempts: float = 3", "`attempts` is int there and float in the config"),
        ("            on: type", "            off: type", "`off` is type | None there and missing in the config"),
        ("            on: type | None", "            on: type", "`on` is type there and type | None in the config"),
        ('ON: ClassVar[str] = "wait_on"', "", "`on` is type | None there and missing in the config"),
        ('"wait_on"', '"when"', "a field when, which does not exist"),
        ("name: str | None", "", "`name` is missing"),
        ("        _: KW_ONLY\n", "", "`seconds` is missing there"),
        ("TypedDict", "object", "no TypedDict"),
        ("class WaitConfig", "class Wait", "0 configs"),
    ],
)  # fmt: skip
def test_can_fail(old: str, new: str, complaint: str) -> None:
    """A keyword that is missing, superfluous or of another type is noticed."""
    found = list(options(Module("recoup.strategies.sample.config", textwrap.dedent(GOOD.replace(old, new, 1)))))
    assert complaint in "\n".join(found)
    assert bool(found) is bool(complaint)
