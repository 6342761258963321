"""What a decorator takes as keywords is what its config has as fields. Each checker gives complaints, one text each."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from tests.laws.source import Module

Types = dict[str, str]


def options(module: Module, apart: Collection[str] = ()) -> Iterator[str]:
    """The TypedDict of a decorator's keywords has the fields of the config, of the same types, `name`, and `on`.

    Args:
        module: The config module of a room.
        apart: Fields that the TypedDict does not have, because the decorator declares them otherwise.
    """
    configs, dicts = [], []
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ClassDef) and any("dataclass" in ast.unparse(each) for each in node.decorator_list):
            configs.append(node)
        elif isinstance(node, ast.ClassDef) and "TypedDict" in map(ast.unparse, node.bases):
            dicts.append(node)
    if not dicts:
        yield f"{module.name} has no TypedDict of the decorator's keywords"
    for each in dicts:
        matching = [config for config in configs if config.name.endswith("Config")]
        if len(matching) != 1:
            yield f"{module.name} has {len(matching)} configs; one is expected"
            return
        right = {name: kind for name, kind in expected(matching[0]).items() if name not in apart}
        yield from _compared(f"{module.name}, {each.name}", annotated(each.body), right)


def expected(config: ast.ClassDef) -> Types:
    """Give the keywords that a decorator takes, with their types."""
    fields = {name: kind for name, kind in annotated(config.body).items() if not kind.startswith("ClassVar")}
    if "_" in fields:  # dataclasses.KW_ONLY: what stands before it is given by position
        fields = dict(list(fields.items())[list(fields).index("_") + 1 :])
    alias = _value(config, "ON")
    if alias is not None:
        fields["on"] = fields.get(alias, f"the type of a field {alias}, which does not exist,")
    return {"name": "str | None", **fields}


def annotated(body: Iterable[ast.stmt]) -> Types:
    """Give the annotated names of a class body that a caller can set."""
    return {
        node.target.id: ast.unparse(node.annotation)
        for node in body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def _value(config: ast.ClassDef, name: str) -> str | None:
    for node in config.body:
        match node:
            case ast.AnnAssign(target=ast.Name(id), value=ast.Constant(str(value))) if id == name:
                return value
            case _:
                pass
    return None


def _compared(name: str, found: Types, right: Types) -> Iterator[str]:
    for key in sorted(found.keys() | right.keys()):
        if found.get(key) != right.get(key):
            yield f"{name}: `{key}` is {found.get(key, 'missing')} there and {right.get(key, 'missing')} in the config"
