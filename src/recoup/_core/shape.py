"""Gives a pump the user's own parameters in place of `*args, **kwargs`.

A closure that takes `*args, **kwargs` costs every call a tuple, a dict and the interpreter's slow way of calling.
`build` makes the closure that somebody would have written for this very function, from the pump's syntax tree:

    def retrying(fn, run):                          def retrying(fn, run):
        def retrying(*args, **kwargs):                  def retrying(path, *, timeout):
            try:                                            try:
                return fn(*args, **kwargs)      ->              return fn(path, timeout=timeout)
            except Exception as error: ...                  except Exception as error: ...

It is an optimisation and nothing else: with `RECOUP_SHAPE=off` in the environment, or when anything is in doubt,
`build` returns what the factory returned. It does not believe the source: the factory's lines are read, compiled
and compared with the code that was imported (files change on disk, frozen applications have none), and with its new
parameters the pump must still have the same variables. File name and line numbers stay, so that tracebacks,
debuggers and coverage show the pump as it is written.

What a pump keeps to: it uses its arguments only as `...(*args, **kwargs)`, once or several times, in its own body and
not in a function nested there. Whatever is called so gets them *bound* to the parameters of `like`: positional ones
by position, defaults filled in. To the user's function that is the same call; anybody else must not care. A pump that
needs the call as it was written uses `args` and `kwargs` in some other way: it stays plain, and so do all round it.
Wrong arguments never enter a shaped pump: calling it is the usual TypeError; the plain twin meets the function's own.

Names are no shape: the code is compiled with symbols for parameters and gets the user's names afterwards. So one
compilation serves all functions of a shape, and a user's name means nothing to the pump. A variable of the pump that
has the name of a parameter is renamed, because a debugger writes variables back by name (`sys.settrace`, until 3.12).
Only the outermost pump is called with what a user wrote, and needs names; those inside it share their code, unless a
plain pump goes round them after all.
"""

from __future__ import annotations
import __future__

import ast
import inspect
import os
from functools import lru_cache
from types import CodeType, FunctionType
from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["build"]

_SYMBOL = "{}"  # no user can give a parameter the name 0


class Shape(NamedTuple):
    """What matters of a parameter list: the number of positional ones, the keyword-only names, `*` and `**`."""

    positional: int
    keywords: tuple[str, ...]
    star: bool
    double_star: bool

    @classmethod
    def of(cls, code: CodeType) -> Shape:
        """Read the parameters of a function from its code."""
        named = code.co_argcount + code.co_kwonlyargcount
        keywords = code.co_varnames[code.co_argcount : named]
        star, double_star = code.co_flags & inspect.CO_VARARGS, code.co_flags & inspect.CO_VARKEYWORDS
        return cls(code.co_argcount, keywords, bool(star), bool(double_star))

    @property
    def size(self) -> int:
        """Count the parameters; they are the first variables of a code object."""
        return self.positional + len(self.keywords) + self.star + self.double_star


def build(
    factory: Callable[..., Any], like: object, fn: Callable[..., Any], /, *cells: Any, inside: bool = False
) -> Any:
    """Return `factory(fn, *cells)`, with the parameters and defaults of `like` if that is possible.

    Any thread may call this at any time.

    Args:
        factory: A function at module level that defines and returns one function, the pump.
        like: What the user decorated. Only a plain function is believed: its parameters are read from its code,
            not from `__wrapped__` or `__signature__`, which may claim anything.
        fn: What the pump goes round: `like` itself, or a pump round it. If that one is plain, this one stays plain too.
        cells: The factory's other arguments.
        inside: Whether only another pump calls it, built for the same `like`: positional parameters have no names then.

    Returns:
        The pump. The factory ran exactly once. Defaults are those that `like` has now.
    """
    plain = factory(fn, *cells)
    if type(like) is not FunctionType:
        return plain
    # To ask costs more than to make the pump. Round a plain pump all stay plain, which its parameters show: but where
    # they might be the function's own.
    if (fn is like or like.__code__.co_flags & inspect.CO_VARARGS) and os.environ.get("RECOUP_SHAPE") == "off":
        return plain
    try:
        return _recast(factory, plain, like, fn, inside=inside)
    except Exception:  # noqa: BLE001 - the plain twin does the same work: nothing in here may break a decoration
        # Not remembered, as it may pass: a deep stack; ast.parse in threads before 3.12.3 (gh-106905).
        _name(plain, like, fn)
        return plain


def _recast(factory: Any, plain: Any, like: FunctionType, fn: Any, *, inside: bool) -> FunctionType:
    """Make the plain pump anew with other parameters, round the same cells."""
    shape = _shape(like.__code__)
    if plain.__code__ not in factory.__code__.co_consts or not _alike(fn.__code__, like.__code__):
        raise ValueError(f"{factory.__qualname__} returned something else this time, or {fn} takes other arguments")
    if inside:
        code = _unnamed(factory, shape)
    else:
        named = like.__code__.co_varnames[: shape.size]
        code = _named(_shaped(factory, shape), named, like.__code__.co_posonlyargcount)
    shaped = FunctionType(code, plain.__globals__, plain.__name__, like.__defaults__, plain.__closure__)
    shaped.__kwdefaults__ = like.__kwdefaults__
    shaped.__qualname__ = like.__qualname__  # a TypeError about arguments names it, wherever in a stack it arises
    return shaped


def _shape(code: CodeType) -> Shape:
    """Do what `Shape.of` does; the pumps of one function ask one after the other."""
    global _last  # noqa: PLW0603 - replaced as a whole, so that threads which come in between cost only time
    known, shape = _last
    if known is not code:
        shape = Shape.of(code)
        _last = (code, shape)
    return shape


def _alike(one: CodeType, other: CodeType) -> bool:
    """Tell whether two functions have the same shape."""
    return one is other or (
        one.co_argcount == other.co_argcount
        and one.co_kwonlyargcount == other.co_kwonlyargcount
        and not (one.co_flags ^ other.co_flags) & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS)
        and (not one.co_kwonlyargcount or Shape.of(one) == Shape.of(other))
    )


_last: tuple[CodeType | None, Shape] = (None, Shape(0, (), star=False, double_star=False))


def _name(plain: Any, like: FunctionType, fn: Any) -> None:
    """Give the nameless pump in a plain one its names, because a plain pump passes on what a user calls by name."""
    if type(fn) is not FunctionType or fn.__code__.co_varnames[:1] != (_SYMBOL.format(0),):
        return
    names = like.__code__.co_varnames[: Shape.of(like.__code__).size]
    code = _named(fn.__code__, names, like.__code__.co_posonlyargcount)
    named = FunctionType(code, fn.__globals__, fn.__name__, fn.__defaults__, fn.__closure__)
    named.__kwdefaults__ = fn.__kwdefaults__
    named.__qualname__ = fn.__qualname__
    [cell] = [each for each in plain.__closure__ if each.cell_contents is fn]
    cell.cell_contents = named


@lru_cache(maxsize=512)
def _unnamed(factory: FunctionType, shape: Shape) -> CodeType:
    """Give the code of a pump inside another one, which all functions of a shape share."""
    code = _shaped(factory, shape)
    symbols = code.co_varnames[: shape.size]
    names = (*symbols[: shape.positional], *shape.keywords, *symbols[shape.positional + len(shape.keywords) :])
    return _named(code, names, shape.positional)


def _named(code: CodeType, names: tuple[str, ...], positional_only: int) -> CodeType:
    """Give a pump's parameters other names."""
    return code.replace(
        co_varnames=names + _apart(code.co_varnames[len(names) :], names),
        co_freevars=_apart(code.co_freevars, names),
        co_posonlyargcount=positional_only,
    )


def _apart(ours: tuple[str, ...], theirs: tuple[str, ...]) -> tuple[str, ...]:
    """Rename what has a name of theirs; a name with a dot is one that nobody can write."""
    return tuple(f"pump.{name}" if name in theirs else name for name in ours)


@lru_cache(maxsize=512)
def _shaped(factory: FunctionType, shape: Shape) -> CodeType:
    """Compile the pump for a shape, with symbols for names; raise if anything is in doubt."""
    tree = _tree(factory)
    _reshape(tree, shape)
    [plain], [shaped] = _codes(factory.__code__), _codes(_compiled(tree, factory.__code__))
    same = (
        Shape.of(plain) == Shape(0, (), star=True, double_star=True)
        and plain.co_varnames == ("args", "kwargs", *shaped.co_varnames[shape.size :])
        and shaped.co_cellvars == ()  # a parameter that a nested function sees is kept elsewhere, by its name
    )
    if not same:
        raise ValueError(f"{factory.__qualname__} would have other variables")
    return shaped


def _tree(factory: FunctionType) -> ast.Module:
    """Parse a factory; raise unless its source compiles to the code that was imported."""
    tree = ast.parse(_source(factory))
    if _compiled(tree, factory.__code__) != factory.__code__:  # compares all but names of files, also what is nested
        raise ValueError(f"the source of {factory.__qualname__} is not what was imported")
    return tree


@lru_cache(maxsize=256)
def _source(factory: FunctionType) -> bytes:
    """Read a factory's lines, and put as many empty ones above as there are others, so that numbers stay."""
    code = factory.__code__
    first, last = code.co_firstlineno, max(line for _, _, line in code.co_lines() if line)
    lines = factory.__globals__["__spec__"].loader.get_data(code.co_filename).splitlines(keepends=True)
    return b"\n" * (first - 1) + b"".join(lines[first - 1 : last])


def _compiled(tree: ast.Module, known: CodeType) -> CodeType:
    """Compile a tree of one function as its module was; give that function's code."""
    flags = known.co_flags & __future__.annotations.compiler_flag
    [code] = _codes(compile(tree, known.co_filename, "exec", flags, dont_inherit=True))
    return code


def _codes(code: CodeType) -> list[CodeType]:
    return [each for each in code.co_consts if isinstance(each, CodeType)]


def _reshape(tree: ast.Module, shape: Shape) -> None:
    """Give the pump of a factory other parameters, and the calls that pass them on the same; raise in doubt."""

    def symbol(name: str) -> ast.Name:
        return ast.Name(name, ast.Load())

    pump, calls = _parts(tree)
    positional = [_SYMBOL.format(number) for number in range(shape.positional)]
    pump.args = ast.arguments(
        posonlyargs=[],
        args=[ast.arg(name) for name in positional],
        vararg=ast.arg("*") if shape.star else None,
        kwonlyargs=[ast.arg(f"{name}=") for name in shape.keywords],
        kw_defaults=[None] * len(shape.keywords),
        kwarg=ast.arg("**") if shape.double_star else None,
        defaults=[],
    )
    for call in calls:
        call.args = [symbol(name) for name in positional]
        call.keywords = [ast.keyword(name, symbol(f"{name}=")) for name in shape.keywords]
        if shape.star:
            call.args.append(ast.Starred(symbol("*"), ast.Load()))
        if shape.double_star:
            call.keywords.append(ast.keyword(None, symbol("**")))
    ast.fix_missing_locations(tree)


def _parts(tree: Any) -> tuple[Any, list[ast.Call]]:
    """Find the pump in a factory, and the calls in it that pass the arguments on; raise if it uses them otherwise."""
    [factory] = tree.body
    [pump] = [each for each in factory.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
    calls, uses = [], 0
    for node in ast.walk(pump):
        match node:
            case ast.Call(_, [ast.Starred(ast.Name("args"))], [ast.keyword(None, ast.Name("kwargs"))]):
                calls.append(node)
            case ast.Name("args" | "kwargs"):
                uses += 1
            case _:
                pass
    if not calls or uses != 2 * len(calls):
        raise ValueError(f"{pump.name} does something else with its arguments than pass them on")
    return pump, calls
