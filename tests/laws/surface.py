"""The public surface of recoup, as text: a line for every public name and every public member of a class.

    python -m tests.laws.surface > docs/api.txt

makes the list anew. It stands in the repository so that a change of the surface shows in review.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
import sys
import typing
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType
    from typing import Any

MODULES = ("recoup", "recoup.events", "recoup.typing", "recoup.testing")
AGAIN = "if you mean this change, run `python -m tests.laws.surface > docs/api.txt` and say so in CHANGELOG.md"

# The special methods that a user writes without their names: calls, blocks, loops, operators.
SPOKEN = {
    *("__call__", "__enter__", "__exit__", "__aenter__", "__aexit__", "__await__", "__iter__", "__aiter__"),
    *("__next__", "__anext__", "__and__", "__or__", "__invert__", "__len__", "__contains__", "__getitem__"),
}


def surface(module: ModuleType) -> Iterator[str]:
    """List the public names of a module."""
    yield module.__name__
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isclass(value):
            yield from (f"    {line}" for line in of_class(name, value))
        elif inspect.isfunction(value):
            yield from (f"    {line}" for line in of_function(name, value))
        else:
            yield f"    {name} = {value!r}"


def of_class(name: str, value: type) -> Iterator[str]:
    """List a class: its bases, its constructor, and what it adds to its bases."""
    bases = ", ".join(base.__qualname__ for base in value.__bases__ if base is not object)
    yield f"class {name}({bases})" if bases else f"class {name}"
    if issubclass(value, Enum):
        yield from (f"    {member.name} = {member.value!r}" for member in value)
        return
    if "__init__" in vars(value):
        yield from (f"    {line}" for line in of_function("__init__", vars(value)["__init__"]))
    for member in members(value):
        yield from (f"    {line}" for line in of_member(member, inspect.getattr_static(value, member)))


def members(value: type) -> list[str]:
    """Name the public members that a class has beyond its bases and its constructor's arguments."""
    fields = {field.name for field in dataclasses.fields(value)} if dataclasses.is_dataclass(value) else set()
    return [name for name in sorted(vars(value)) if (name[0] != "_" or name in SPOKEN) and name not in fields]


def of_member(name: str, value: Any) -> list[str]:
    """List a method, a property or another attribute of a class."""
    if isinstance(value, property):
        return [f"{name}: {getattr(value.fget, '__annotations__', {}).get('return')}"]
    if isinstance(value, classmethod | staticmethod):
        return [f"@{type(value).__name__} {line}" for line in of_function(name, value.__func__)]
    if inspect.isfunction(value):
        return of_function(name, value)
    return [name if inspect.ismemberdescriptor(value) else f"{name} = {value!r}"]


def of_function(name: str, function: Callable[..., Any]) -> list[str]:
    """List a function as its callers see it: its overloads, if it has any."""
    kind = "async def" if inspect.iscoroutinefunction(function) else "def"
    return [f"{kind} {name}{written(each)}" for each in typing.get_overloads(function) or [function]]


class Text(str):
    """An annotation that shows as it is written."""

    __slots__ = ()
    __repr__ = str.__str__


def written(function: Callable[..., Any]) -> str:
    """Give a signature the same way on every Python and machine."""
    signature = inspect.signature(function)
    parameters = [each.replace(annotation=_text(each.annotation)) for each in signature.parameters.values()]
    text = str(signature.replace(parameters=parameters, return_annotation=_text(signature.return_annotation)))
    return re.sub(r" at 0x[0-9a-f]+", "", text)


def _text(annotation: Any) -> Any:
    return Text(annotation) if isinstance(annotation, str) else annotation


def unsorted(module: ModuleType) -> Iterator[str]:
    """Public names are sorted, each is there, and none is private."""
    if list(module.__all__) != sorted(set(module.__all__)):
        yield f"{module.__name__}.__all__ is not sorted, or names something twice"
    for name in module.__all__:
        if name.startswith("_") or getattr(module, name, None) is None:
            yield f"{module.__name__}.{name} is private or does not exist"


def undocumented(module: ModuleType) -> Iterator[str]:
    """Every public class, function, method and property has a docstring that begins with one sentence on one line."""
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            yield from _undocumented(f"{module.__name__}.{name}", value)
        for member in members(value) if inspect.isclass(value) and not issubclass(value, Enum) else ():
            found = inspect.getattr_static(value, member)
            speaks = isinstance(found, property | classmethod | staticmethod) or inspect.isfunction(found)
            if speaks and member not in SPOKEN:
                yield from _undocumented(f"{module.__name__}.{name}.{member}", found)


def _undocumented(name: str, value: Any) -> Iterator[str]:
    text = vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__
    first, *rest = (text or "").split("\n")
    if not first.endswith(".") or "".join(rest[:1]).strip():
        yield f"{name} needs a docstring whose first line is one sentence"


def main() -> None:
    """Print the surface."""
    listed = ("\n".join(surface(importlib.import_module(name))) for name in MODULES)
    sys.stdout.write("\n\n".join(listed) + "\n")


if __name__ == "__main__":
    main()
