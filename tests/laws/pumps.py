"""What a pump is, and what it may not do (house.md, "How each strategy is written once").

A pump's factory is a function at module level that defines a function of `*args, **kwargs`. Each checker gives
complaints, one text each; none means that the law holds.
"""

from __future__ import annotations

import ast
import difflib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from types import UnionType

    from tests.laws.source import Module

# What an async pump calls otherwise; a name may also have the suffix `_async`.
SYNC_NAMES = {
    "AsyncCursor": "Cursor",
    "StopAsyncIteration": "StopIteration",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "aclose": "close",
    "aiter": "iter",
    "anext": "next",
    "asend": "send",
    "athrow": "throw",
}


class Factory(NamedTuple):
    """A pump's factory: the module, its definition and the pump's."""

    module: str
    node: ast.FunctionDef
    pump: ast.FunctionDef | ast.AsyncFunctionDef

    @property
    def name(self) -> str:
        return f"{self.module.removeprefix('recoup.')}.{self.node.name}"


def factories(module: Module) -> Iterator[Factory]:
    """Find the factories of pumps in a module."""
    for node in module.tree.body:
        if isinstance(node, ast.FunctionDef):
            for pump in node.body:
                if isinstance(pump, ast.FunctionDef | ast.AsyncFunctionDef) and pump.args.vararg and pump.args.kwarg:
                    yield Factory(module.name, node, pump)


class Colourless(ast.NodeTransformer):
    """Drops what may differ between the colours: async and await, names of counterparts, types and docstrings."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        body = node.body[1:] if ast.get_docstring(node) is not None else node.body
        if any(isinstance(each, ast.Yield) for each in ast.walk(node)):
            body = _valueless(body)
        plain = ast.FunctionDef(sync_name(node.name), node.args, body, node.decorator_list, None)
        return self.generic_visit(plain)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return ast.arg(node.arg)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        return None if node.value is None else self.generic_visit(ast.Assign([node.target], node.value))

    def visit_Await(self, node: ast.Await) -> ast.AST:
        return self.visit(node.value)  # type: ignore[no-any-return]  # of an expression it is a node

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        return self.generic_visit(ast.For(node.target, node.iter, node.body, node.orelse))

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AST:
        return self.generic_visit(ast.With(node.items, node.body))

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        return self.generic_visit(ast.comprehension(node.target, node.iter, node.ifs, is_async=0))

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Name(sync_name(node.id), node.ctx)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        return self.generic_visit(ast.Attribute(node.value, sync_name(node.attr), node.ctx))


class _Valueless(ast.NodeTransformer):
    """Drops the value that a generator returns, if it is a cursor's: an async generator cannot return one."""

    def visit_Return(self, node: ast.Return) -> ast.AST:
        return ast.Return() if ast.unparse(node) == "return cursor.value" else node


def _valueless(body: list[ast.stmt]) -> list[ast.stmt]:
    body = [_Valueless().visit(each) for each in body]
    return body[:-1] if ast.unparse(body[-1]) == "return" else body


def sync_name(name: str) -> str:
    """Give the name of the sync counterpart."""
    return SYNC_NAMES.get(name, name.removesuffix("_async"))


def colourless(node: ast.AST) -> ast.AST:
    """Copy a tree without its colour."""
    copy = ast.parse(ast.unparse(node)).body[0]
    return ast.fix_missing_locations(Colourless().visit(copy))  # type: ignore[no-any-return]  # the transformed node


def twins(found: Iterable[Factory], exempt: Collection[str] = ()) -> Iterator[str]:
    """Every pump exists in both colours, and they differ only in `async` and `await`."""
    named = {each.name: each for each in found if each.name not in exempt}
    for name, factory in named.items():
        twin = named.get(name.removesuffix("_async") if name.endswith("_async") else f"{name}_async")
        if isinstance(factory.pump, ast.AsyncFunctionDef) is not name.endswith("_async"):
            yield f"{name}: an async pump's factory, and only that, ends in _async"
        if twin is None:
            yield f"{name} has no twin in the other colour"
        elif not name.endswith("_async"):
            yield from _different(name, colourless(factory.node), colourless(twin.node))


def _different(name: str, one: ast.AST, other: ast.AST) -> Iterator[str]:
    if ast.dump(one) != ast.dump(other):
        lines = difflib.unified_diff(
            ast.unparse(one).splitlines(), ast.unparse(other).splitlines(), "sync", "async", n=1
        )
        yield "\n".join([f"{name} and its async twin differ in more than async and await:", *lines])


def decisions(found: Iterable[Factory], exempt: Collection[str] = ()) -> Iterator[str]:
    """A pump decides nothing: no arithmetic, no comparison beyond `is None`, no literals; it asks somebody."""
    for factory in found:
        for node in ast.walk(colourless(factory.pump)):
            what = _decision(node)
            if what is not None and factory.name not in exempt:
                yield f"{factory.name} decides something by itself: {what} `{ast.unparse(node)}`"


# What a pump may not have. `and`, `or`, `not` and `if` are let pass: they follow the answers of others.
DECIDING: dict[str, type[ast.AST] | UnionType] = {
    "arithmetic": ast.BinOp | ast.AugAssign | ast.USub | ast.UAdd | ast.Invert,
    "a comparison": ast.Compare,
    "a literal": ast.Constant | ast.JoinedStr,
    "a computation": ast.Subscript | ast.Lambda | ast.ListComp | ast.DictComp | ast.SetComp | ast.GeneratorExp,
}


def _decision(node: ast.AST) -> str | None:
    match node:
        case ast.Compare(ops=[ast.Is() | ast.IsNot()], comparators=[ast.Constant(value=None)]):
            return None
        case ast.Constant(value=None | True | False):
            return None
        case _:
            return next((what for what, kinds in DECIDING.items() if isinstance(node, kinds)), None)


def arguments(found: Iterable[Factory], bound: Collection[str], exempt: Collection[str] = ()) -> Iterator[str]:
    """A pump passes its arguments on, as `fn(*args, **kwargs)`, and uses them in no other way.

    Args:
        found: The factories.
        bound: What else than `fn` may be called so. A shaped pump passes arguments *bound* to the function's
            parameters (positional ones by position, defaults filled in): whoever gets them must not care.
        exempt: Names of factories.
    """
    for factory in found:
        if factory.name in exempt:
            continue
        uses = 0
        for node in ast.walk(factory.pump):
            match node:
                case ast.Call(func, [ast.Starred(ast.Name("args"))], [ast.keyword(None, ast.Name("kwargs"))]):
                    uses -= 2
                    if ast.unparse(func) not in {"fn", *bound}:
                        yield f"{factory.name} gives the call's arguments to `{ast.unparse(func)}`, which is not listed"
                case ast.Name("args" | "kwargs"):
                    uses += 1
                case _:
                    pass
        if uses:
            yield f"{factory.name} uses its arguments otherwise than by `fn(*args, **kwargs)`"


def stale(found: Iterable[Factory], exempt: Collection[str]) -> Iterator[str]:
    """An exemption whose factory is gone must go as well."""
    for name in sorted(set(exempt) - {each.name for each in found}):
        yield f"{name} is exempt but does not exist"
