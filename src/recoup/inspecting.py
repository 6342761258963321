"""The command `recoup explain`: the stacks of a module or of one function, in words and as a table."""

from __future__ import annotations

import sys
from importlib import import_module
from types import FunctionType
from typing import TYPE_CHECKING, Any

from recoup._core.explain import explain
from recoup._core.rim import layers_of
from recoup._core.strategy import Strategy

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

__all__ = ["configure", "run"]

DONE, WARNED, NOT_FOUND = 0, 1, 2


class NotFoundError(Exception):
    """There is nothing of that name, or nothing that recoup protects."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "targets",
        nargs="+",
        metavar="MODULE[:NAME]",
        help="shop.client:fetch, shop.client:Client.fetch or, for everything in it that is protected, shop.client",
    )
    parser.add_argument("--check", action="store_true", help="end with 1 if there is a warning about any order")


def run(options: argparse.Namespace) -> int:
    """Print the explanations.

    Returns:
        0; 1 with `--check` if there is a warning; 2 if a target is not found or nothing in it is protected.
    """
    if "" not in sys.path:  # the installed script, unlike `python -m`, does not look into the current folder
        sys.path.insert(0, "")
    try:
        found = [each for target in options.targets for each in _found(target)]
    except NotFoundError as error:
        print(f"recoup explain: {error}", file=sys.stderr)
        return NOT_FOUND
    explanations = [explain(each) for each in found]
    print("\n\n".join(f"{each}\n\n{each.table()}" for each in explanations))
    return WARNED if options.check and any(each.lints for each in explanations) else DONE


def _found(target: str) -> Iterator[Any]:
    """Give what a target names."""
    name, colon, path = target.partition(":")
    try:
        module = import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # the module is there; what it imports is not
        raise NotFoundError(f"there is no module {error.name!r} to import from here") from None
    except (TypeError, ValueError):  # a relative name or none at all
        raise NotFoundError(f"{name!r} is no module: write MODULE or MODULE:NAME, as in shop.client:fetch") from None
    if not colon:
        everything = dict.fromkeys(_protected(vars(module), name))
        if not everything:
            raise NotFoundError(f"nothing in {name} is protected by recoup")
        yield from everything
        return
    yield _named(module, name, path)


def _named(module: Any, name: str, path: str) -> Any:
    found = module
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise NotFoundError(f"{name} has no {path!r}: {part!r} is not there") from None
    if not isinstance(found, Strategy) and not layers_of(found):
        raise NotFoundError(f"{name}:{path} is not protected by recoup")
    return found


def _protected(members: dict[str, Any], module: str) -> Iterator[Any]:
    """Give what is protected in a module and in the classes that it defines, as written; not what it imports."""
    for each in list(members.values()):
        if isinstance(each, type):
            if each.__module__ == module:
                yield from _protected(dict(vars(each)), module)
        elif layers_of(each) and not (isinstance(each, FunctionType) and each.__module__ != module):
            yield each
