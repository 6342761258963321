"""Errors as text: what is raised again is what was raised, or says what that was."""

from __future__ import annotations

from decimal import Decimal

import pytest

from recoup.errors import CircuitBreakerError, DeadlineExceeded, RecoveryError
from recoup.sagas import failures


class Declined(Exception):
    """A user's error with a fact of its own."""

    def __init__(self, reason: str, amount: Decimal) -> None:
        super().__init__(reason, amount)
        self.amount = amount


class Odd(Exception):
    """Its arguments do not make it again."""

    def __init__(self, *, code: int) -> None:
        super().__init__(f"code {code}")


class Changing(Exception):
    """Its text is another one each time it is made."""

    made = 0

    def __init__(self, what: str) -> None:
        super().__init__(what)
        Changing.made += 1
        self.number = Changing.made

    def __str__(self) -> str:
        return f"{self.args[0]}{id(self)}"


class Speechless(Exception):
    """It cannot say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    "error",
    [
        KeyError("order", 7),
        ValueError(),
        FileNotFoundError(2, "not there", "/etc/shop"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad start"),
        Declined("no money", Decimal("1.50")),
        DeadlineExceeded(seconds=2.0, started=True, name="bank"),
        Speechless("x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_comes_back(error: Exception) -> None:
    """An error whose parts are plain values comes back with its class, arguments, facts and notes (rule G3)."""
    error.add_note("looked twice")
    back = failures.loads(failures.dumps(error))
    assert type(back) is type(error)
    assert back.args == error.args
    assert vars(back) == vars(error)
    assert back.__reduce__()[1] == error.__reduce__()[1]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Odd(code=3), "Odd: code 3"),
        (ValueError(object), "ValueError: <class 'object'>"),
        (Changing("it"), "Changing: it"),
        (ExceptionGroup("both", [KeyError("a")]), "ExceptionGroup: both"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_tells_what_it_was(error: Exception, said: str) -> None:
    """An error that cannot be made again comes back as one that tells its class and its text."""
    back = failures.loads(failures.dumps(error))
    assert type(back) is RecoveryError
    assert f"a step failed with {said}" in str(back)


def test_local_class() -> None:
    """A class that nothing leads to is told, and nothing is imported for its sake."""

    class Local(Exception):
        pass

    back = failures.loads(failures.dumps(Local("here")))
    assert str(back).endswith("Local: here")


def test_no_error_class() -> None:
    """A text that names something else than an error is not called."""
    text = failures.dumps(KeyError("a")).replace("builtins:KeyError", "builtins:print")
    assert type(failures.loads(text)) is RecoveryError


def test_refusals_keep_their_facts() -> None:
    """Errors of recoup come back with their facts, from which their text is made."""
    error = CircuitBreakerError(name="bank", wait_time=3.0)
    back = failures.loads(failures.dumps(error))
    assert isinstance(back, CircuitBreakerError)
    assert (back.name, back.wait_time, str(back)) == ("bank", 3.0, str(error))


def test_named() -> None:
    """People get class and text."""
    assert failures.named(failures.dumps(KeyError("order"))) == ("KeyError", "'order'")
