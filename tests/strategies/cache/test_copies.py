"""Each of several waiters gets its own copy of an error (G3)."""

from __future__ import annotations

import errno
import traceback
from typing import Any

import pytest

from recoup import CircuitBreakerError
from recoup.strategies.cache.copies import copied


class ApiError(Exception):
    """Its arguments are not those of its constructor."""

    def __init__(self, code: int, *, url: str = "/") -> None:
        super().__init__(f"bad {code}")
        self.code = code
        self.url = url


class SlottedError(Exception):
    __slots__ = ("code", "unset")

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class DiskError(OSError):
    def __init__(self, path: str) -> None:
        super().__init__(errno.ENOSPC, "full", path)


def unicode_error() -> UnicodeDecodeError:
    return UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad byte")


ERRORS = [
    ValueError("a", 1),
    ApiError(5, url="/x"),
    SlottedError(7),
    DiskError("/tmp/x"),  # noqa: S108 - a name, not a file
    OSError(errno.EPERM, "no", "a", None, "b"),
    FileNotFoundError(errno.ENOENT, "gone", "file"),
    KeyError("k"),
    StopIteration(5),
    ImportError("no", name="module", path="path"),
    AttributeError("no", name="attribute", obj=3),
    unicode_error(),
    SyntaxError("bad", ("file", 1, 2, "text")),
    ExceptionGroup("several", [ValueError(1), ApiError(2)]),
    CircuitBreakerError(name="api", wait_time=3.0, last_error_type="ValueError"),
]
ATTRIBUTES = ["args", "__dict__", "code", "url", "errno", "strerror", "filename", "filename2", "value", "name", "path"]
ATTRIBUTES += ["obj", "encoding", "object", "start", "end", "reason", "msg", "lineno", "offset", "text", "message"]
ATTRIBUTES += ["exceptions", "wait_time", "retry_after"]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_copy_is_equal(error: Exception) -> None:
    """Type, text, arguments and every attribute are the same; the object is not (G3)."""
    twin = copied(error)
    assert twin is not error
    assert type(twin) is type(error)
    assert str(twin) == str(error)
    missing = object()
    for name in ATTRIBUTES:
        assert getattr(twin, name, missing) == getattr(error, name, missing), name
    assert isinstance(error, SlottedError) or not hasattr(twin, "unset")


def raised() -> ApiError:
    try:
        try:
            raise KeyError(1)
        except KeyError as cause:
            raise ApiError(5) from cause
    except ApiError as error:
        error.add_note("tried once")
        return error


def test_a_copy_has_traceback_cause_and_notes() -> None:
    """It says where the error came from; what its owner adds stays with the owner (G3)."""
    error = raised()
    one, other = copied(error), copied(error)
    assert one.__cause__ is error.__cause__
    assert one.__context__ is error.__context__
    assert one.__suppress_context__
    assert traceback.format_exception(one) == traceback.format_exception(error)
    one.add_note("mine")
    other.__cause__ = None
    assert error.__notes__ == ["tried once"]
    assert error.__cause__ is not None
    with pytest.raises(ApiError) as caught:
        raise one
    assert caught.value is one
    assert other.__traceback__ is error.__traceback__


def test_a_bare_copy_holds_no_frames() -> None:
    """What is kept for a while keeps no locals of a call alive (G11)."""
    twin = copied(raised(), bare=True)
    assert (twin.__traceback__, twin.__cause__, twin.__context__) == (None, None, None)
    assert not twin.__suppress_context__
    assert twin.__notes__ == ["tried once"]


def test_a_bare_copy_of_a_group_holds_no_frames_either() -> None:
    """What is in a group has tracebacks of its own (G11)."""
    group = ExceptionGroup("two", [raised(), ExceptionGroup("inner", [raised()])])
    twin = copied(group, bare=True)
    assert isinstance(twin, ExceptionGroup)
    assert twin.message == "two"
    first, inner = twin.exceptions
    assert isinstance(inner, ExceptionGroup)
    for error in (first, *inner.exceptions):
        assert isinstance(error, ApiError)
        assert (error.__traceback__, error.__cause__) == (None, None)
    assert group.exceptions[0].__traceback__ is not None
    shared = copied(group)
    assert isinstance(shared, ExceptionGroup)
    assert shared is not group
    assert shared.exceptions == group.exceptions


def test_an_odd_note_is_copied_as_it_is() -> None:
    """`__notes__` may be anything."""
    error = ValueError()
    error.__notes__ = ("a",)  # type: ignore[assignment]  # as bad code does
    assert copied(error).__notes__ == ("a",)


class Unwilling(Exception):
    made = 0

    def __new__(cls, *args: Any) -> Unwilling:  # noqa: PYI034 - a constructor that counts
        cls.made += 1
        if cls.made > 1:
            raise RuntimeError("only once")
        return super().__new__(cls, *args)


class Single(Exception):
    only: Single | None = None

    def __new__(cls, *args: object) -> Single:  # noqa: PYI034 - there is only one
        if cls.only is None:
            cls.only = super().__new__(cls, *args)
        return cls.only


class Changeling(Exception):
    def __new__(cls, *args: object) -> Any:
        return super().__new__(cls, *args) if args else ValueError()


class Frozen(Exception):
    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)


def test_what_cannot_be_copied_comes_itself() -> None:
    """Better the same object than none (G3)."""
    changeling = Changeling("a")
    changeling.args = ()
    unwilling = Unwilling(1)
    for error in (unwilling, Single(), changeling, Frozen()):
        assert copied(error) is error
