"""Where an argument of a call belongs, however it was given."""

from __future__ import annotations

from types import FunctionType, MethodType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Parameters"]


class Parameters:
    """The parameters of a plain function or method: where an argument belongs, however it was given.

    Attributes:
        count: How many can be given by position.
        keyword_only: The defaults of those that cannot.
    """

    __slots__ = ("_defaults", "_hidden", "_names", "count", "keyword_only")

    def __init__(self, function: FunctionType, bound: int = 0) -> None:
        code = function.__code__
        self._names = code.co_varnames[bound : code.co_argcount]
        self._hidden = max(0, code.co_posonlyargcount - bound)
        defaults = function.__defaults__ or ()
        self._defaults = dict(zip(reversed(self._names), reversed(defaults), strict=False))
        self.keyword_only = function.__kwdefaults__ or {}
        self.count = len(self._names)

    @classmethod
    def of(cls, target: object) -> Parameters | None:
        """Read the parameters of a callable; `None` if it is neither a function nor a method of Python's own making."""
        if isinstance(target, FunctionType):
            return cls(target)
        if isinstance(target, MethodType) and isinstance(target.__func__, FunctionType):
            return cls(target.__func__, bound=1)
        return None

    def normal(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Put every argument in its place: by position if it can be, defaults filled in.

        A call that the function would not accept comes back as it is.
        """
        if len(args) >= self.count and not self.keyword_only:
            return args, kwargs
        placed, named = list(args), dict(kwargs)
        for position in range(len(args), self.count):
            name = self._names[position]
            if position >= self._hidden and name in named:
                placed.append(named.pop(name))
            elif name in self._defaults:
                placed.append(self._defaults[name])
            else:
                return args, kwargs
        return tuple(placed), {**self.keyword_only, **named}

    def short(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Write a call with as few arguments as possible: what is the default already is left out."""
        args, kwargs = self.normal(args, kwargs)
        needed = len(args)
        while 0 < needed <= self.count:
            name = self._names[needed - 1]
            if name not in self._defaults or args[needed - 1] is not self._defaults[name]:
                break
            needed -= 1
        missing = object()
        more = {name: value for name, value in kwargs.items() if self.keyword_only.get(name, missing) is not value}
        return args[:needed], more

    def replaced(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], name: str, value: object
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Give the same call with another value for one argument, which is not positional-only."""
        if name in self._names and self._names.index(name) < len(args):
            position = self._names.index(name)
            return (*args[:position], value, *args[position + 1 :]), kwargs
        return args, {**kwargs, name: value}
