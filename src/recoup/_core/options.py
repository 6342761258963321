"""What users write above their functions, and what they change later: keywords, configs and strategy objects."""

from __future__ import annotations

from typing import cast

from recoup._core import checks
from recoup._core.strategy import Strategy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeVar

    S = TypeVar("S", bound=Strategy)

__all__ = ["changed", "decorating", "same"]

_defaults: dict[type[Any], Any] = {}
"""The configs that say nothing, by class: one for all, because configs are frozen."""


def changed(strategy: Strategy, config: Any, changes: Mapping[str, Any]) -> Any:
    """Give the config that `strategy.reconfigure(config, **changes)` asks for.

    Raises:
        TypeError: For an unknown field, a value of the wrong type, or changes beside a config.
        ValueError: For a value out of range.
    """
    now: Any = getattr(strategy, "config", None)
    if now is None:
        raise TypeError(f"{strategy!r} has no configuration that could be changed")
    if config is None:
        from dataclasses import replace  # noqa: PLC0415 - not worth its import to those who never change anything

        return replace(now, **_fields("reconfigure", type(now), changes))
    if changes:
        raise TypeError(f"reconfigure() takes a config or fields, not both: {', '.join(sorted(changes))} given")
    checks.instance("config", config, type(now))
    return config


def same(strategy: Strategy, **settled: tuple[object, object]) -> None:
    """Refuse changes of what is settled when a strategy object is made.

    Args:
        strategy: Whose configuration changes.
        settled: For each name, how it is and how it would be.

    Raises:
        ValueError: If any of them differ; the message names them.
    """
    if differing := sorted(name for name, (old, new) in settled.items() if old != new):
        raise ValueError(
            f"{' and '.join(differing)} must stay as {'it is' if len(differing) == 1 else 'they are'} in {strategy!r}: "
            f"it was made for that; make another {type(strategy).__name__}"
        )


def decorating(
    strategy: type[S], config: type[Any], target: Any, options: Mapping[str, Any], *, bare: bool = True
) -> Any:
    """Do what a public decorator does, whichever way it was written.

    Args:
        strategy: The strategy class, made as `strategy(config, name=...)`.
        config: The config class.
        target: What was given by position: a callable (`@retry`), a config, a strategy object, or None.
        options: The keywords: fields of the config, `on` (the config's `ON`), `name`.
        bare: Whether a callable may be given without configuration.

    Raises:
        TypeError: For an unknown keyword, keywords beside a config or strategy, or a target that is none of these.
    """
    label = strategy.kind
    make = cast("Callable[..., Strategy]", strategy)  # a subclass takes its config first
    if target is None:
        fields = _fields(label, config, options, "name")
        name = fields.pop("name", None)
        return make(config(**fields), name=name)
    if isinstance(target, config):
        if extra := sorted(set(options) - {"name"}):
            raise TypeError(f"{label}() takes a config or keywords, not both: {', '.join(extra)} given beside a config")
        return make(target, name=options.get("name"))
    if options:
        raise TypeError(f"{label}() takes keywords alone or with a config; write @{label}(...) above the function")
    if isinstance(target, strategy):
        return target
    if isinstance(target, Strategy):
        raise TypeError(
            f"@{label} was given a strategy, {target!r}, not a function: write one decorator above the other"
        )
    if bare and (callable(target) or hasattr(type(target), "__get__")):
        default = _defaults.get(config) or _defaults.setdefault(config, config())
        return make(default)(target)
    wanted = f"a {config.__name__}, a {strategy.__name__} or keywords"
    raise TypeError(f"@{label} needs {wanted}, not {checks.shown(target)}")


def _fields(label: str, config: type[Any], options: Mapping[str, Any], *more: str) -> dict[str, Any]:
    """Turn keywords into those of a config; `more` are those that are none of its fields, and known all the same."""
    fields = dict(options)
    long = getattr(config, "ON", None)
    if "on" in fields and long is not None:
        if long in fields:
            raise TypeError(f"{label}() got both on and {long}: they are the same, give one")
        fields[long] = fields.pop("on")
    for field in fields:
        if field in more:
            continue
        if field not in config.__dataclass_fields__ or field == "ON":
            from dataclasses import fields as fields_of  # noqa: PLC0415 - only on the way to an error
            from difflib import get_close_matches  # noqa: PLC0415 - only on the way to an error

            known = {each.name for each in fields_of(config)}
            near = get_close_matches(field, [*known, *more, "on"], n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; it knows {', '.join(sorted(known))}"
            raise TypeError(f"{label}() got an unexpected keyword argument {field!r}{hint}")
    return fields
