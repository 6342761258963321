"""Small mistakes that somebody could have made in a file, one at a time."""

from __future__ import annotations

import ast
import copy
import warnings
from collections import Counter
from types import CodeType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Mutant", "codes", "keys", "mutants"]

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
}
KEPT = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Pass, ast.Assert)


class Mutant(NamedTuple):
    """One mistake.

    Attributes:
        where: Qualified name of the function or class it is in; "" for the module itself.
        line: Where that is in the file.
        change: What was there, and what is there instead.
        code: The whole file with it, compiled.
        inside: Whether it is in the body of a function, and the functions of the file can take its code as it is.
    """

    where: str
    line: int
    change: str
    code: CodeType
    inside: bool

    @property
    def key(self) -> str:
        """Name it without its line, which changes more often than the mistake."""
        return f"{self.where}: {self.change}"


def mutants(source: str, filename: str) -> list[Mutant]:
    """Make all mutants of a file; two that read alike get a number."""
    warnings.simplefilter("ignore", SyntaxWarning)  # `1 is None` is meant to be wrong
    tree = ast.parse(source)
    closures = _closures(compile(tree, filename, "exec"))
    found = []
    for line, where, change, inside in _mistakes(tree):
        code = compile(ast.fix_missing_locations(copy.deepcopy(tree)), filename, "exec")
        found.append(Mutant(where, line, change, code, inside and _closures(code) == closures))
    return found


def keys(source: str) -> set[str]:
    """Name all mutants of a file, which is quicker than to make them."""
    return {f"{where}: {change}" for _, where, change, _ in _mistakes(ast.parse(source))}


def _mistakes(tree: ast.Module) -> Iterator[tuple[int, str, str, bool]]:
    """Make one mistake after another in a tree, and tell about it while it is there."""
    seen: Counter[str] = Counter()
    for node, where, inside in _places(tree, "", inside=False):
        for change in _changes(node):
            yield _line(node), where, _numbered(seen, where, change), inside
        for statement in _dropped(node):
            within = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            change = f"dropped `{ast.unparse(statement).splitlines()[0]}`"
            yield _line(statement), where, _numbered(seen, where, change), within


def _line(node: ast.AST) -> int:
    return getattr(node, "lineno", 0)


def _numbered(seen: Counter[str], where: str, change: str) -> str:
    key = f"{where}: {change}"
    seen[key] += 1
    return change if seen[key] == 1 else f"{change} (#{seen[key]})"


def codes(code: CodeType) -> Iterator[CodeType]:
    """Give a code object and all within it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes(constant)


def _closures(code: CodeType) -> dict[tuple[str, int], tuple[str, ...]]:
    return {(each.co_qualname, each.co_firstlineno): each.co_freevars for each in codes(code)}


def _places(node: ast.AST, where: str, *, inside: bool) -> Iterator[tuple[ast.AST, str, bool]]:
    """Go through what is worth a mutant, with the names of what is round it."""
    yield node, where, inside
    for name, child in _children(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from _places(child, f"{where}.{child.name}".lstrip("."), inside=inside)
        else:
            within = inside or (isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and name == "body")
            yield from _places(child, where, inside=within)


def _children(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params", "bases"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _uninteresting(child):
                yield name, child


def _uninteresting(node: ast.AST) -> bool:
    """Tell what no test could be about: types, slots, words, and assertions for the type checker."""
    if isinstance(node, ast.Assert | ast.JoinedStr | ast.Import | ast.ImportFrom):
        return True
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.unparse(node.test)
    if isinstance(node, ast.Assign):
        names = {target.id for target in node.targets if isinstance(target, ast.Name)}
        return bool(names & {"__slots__", "__all__", "TYPE_CHECKING", "kind", "state"})
    if isinstance(node, ast.Call):
        return ast.unparse(node.func) in ("TypeVar", "NewType")
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _changes(node: ast.AST) -> Iterator[str]:
    """Change a node in place, say how, and change it back."""
    if isinstance(node, ast.Compare):
        for number, operator in enumerate(node.ops):
            yield from _replaced(node, node.ops, number, [new() for new in COMPARISONS[type(operator)]])
    elif isinstance(node, ast.BoolOp):
        yield from _swapped(node, "op", ast.And() if isinstance(node.op, ast.Or) else ast.Or())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield from _swapped(node, "operand", ast.UnaryOp(ast.Not(), node.operand))
    elif isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in ARITHMETIC:
        yield from _swapped(node, "op", ARITHMETIC[type(node.op)]())
    elif isinstance(node, ast.Constant):
        yield from _other_constant(node)
    elif isinstance(node, ast.If | ast.While | ast.IfExp):
        yield from _swapped(node, "test", ast.UnaryOp(ast.Not(), node.test), show=node.test)


def _other_constant(node: ast.Constant) -> Iterator[str]:
    value = node.value
    if isinstance(value, bool):
        yield from _swapped(node, "value", not value, show=node)
    elif isinstance(value, int | float):
        yield from _swapped(node, "value", value + 1, show=node)
    elif value is None:
        yield from _swapped(node, "value", 1, show=node)


def _dropped(node: ast.AST) -> Iterator[ast.stmt]:
    """Leave out one statement of a block after another."""
    if isinstance(node, ast.Module | ast.ClassDef):
        return
    for name in ("body", "orelse", "finalbody"):
        block: Any = getattr(node, name, None)
        for number, statement in enumerate(block if isinstance(block, list) else []):
            if isinstance(statement, KEPT) or _uninteresting(statement):
                continue
            if isinstance(statement, ast.AnnAssign) and statement.value is None:
                continue
            block[number] = ast.copy_location(ast.Pass(), statement)
            yield statement
            block[number] = statement


def _replaced(node: ast.AST, holder: list[Any], number: int, instead: list[Any]) -> Iterator[str]:
    before, old = ast.unparse(node), holder[number]
    for new in instead:
        holder[number] = new
        yield f"`{before}` -> `{ast.unparse(node)}`"
    holder[number] = old


def _swapped(node: ast.AST, name: str, new: Any, show: ast.AST | None = None) -> Iterator[str]:
    shown = node if show is None else show
    before, old = ast.unparse(shown), getattr(node, name)
    setattr(node, name, new)
    after = ast.unparse(shown) if shown is node else ast.unparse(new)
    yield f"`{before}` -> `{after}`"
    setattr(node, name, old)
