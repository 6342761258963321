"""The arguments that `execute` is given for the function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["checked"]


def checked(args: Any, kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Check the arguments for the function; a bare string or dict is a forgotten comma or a wrong place."""
    if isinstance(args, (str, bytes, Mapping)) or not isinstance(args, (list, tuple)):
        raise TypeError(
            f"args must be a list or tuple of positional arguments, such as (1,), not a {type(args).__name__}"
        )
    if kwargs is None:
        return tuple(args), {}
    if not isinstance(kwargs, Mapping):
        raise TypeError(f"kwargs must be a mapping of keyword arguments, not a {type(kwargs).__name__}")
    return tuple(args), dict(kwargs)
