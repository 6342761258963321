"""What suits what: configs and the functions that they are to answer for."""

from __future__ import annotations

import inspect

from recoup._core import checks
from recoup._core.colour import described
from recoup.strategies.fallback import answers
from recoup.strategies.fallback.sources import listed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from recoup._core.colour import Colour
    from recoup.strategies.fallback.config import FallbackConfig

__all__ = ["check_sources", "check_target", "waits"]


def check_sources(config: FallbackConfig) -> None:
    """Check that there is something to fall back to."""
    if not (config.fallback_function or config.fallback_service or config.value_given or config.use_cache):
        raise ValueError(
            "a fallback needs something to fall back to: fallback_value, fallback_function, fallback_service "
            "or use_cache=True"
        )


def waits(config: FallbackConfig) -> dict[str, bool]:
    """Tell which sources are asynchronous."""
    return {
        "fallback_function": any(map(checks.awaitable_callback, listed(config.fallback_function))),
        "fallback_service": any(
            callable(each) and checks.awaitable_callback(each) for each in listed(config.fallback_service)
        ),
    }


def check_target(config: FallbackConfig, colour: Colour, target: Any) -> None:
    """Check that a config suits a function."""
    if config.service_argument is not None:
        _check_parameter(target, config.service_argument)
    if not colour.is_stream:
        return
    if config.fallback_on_result is not None:
        raise TypeError(
            f"fallback_on_result cannot judge {described(target)}, a generator: it has no result; "
            "let the generator raise instead"
        )
    if config.use_cache:
        raise TypeError(
            f"use_cache cannot remember what {described(target)} yields, a generator: its items can be taken "
            "only once; let it return a list"
        )
    if config.value_given:
        answers.check_stream(config.fallback_value)


def _check_parameter(target: Any, name: str) -> None:
    """Check that a function takes an argument of this name."""
    if isinstance(target, (classmethod, staticmethod)):
        return  # the function in it comes as well
    try:
        parameters = inspect.signature(target).parameters
    except (TypeError, ValueError):  # it does not tell
        return
    found = parameters.get(name)
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    if (found is None or found.kind not in named) and not any(
        each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values()
    ):
        raise TypeError(f"service_argument is {name!r}, but {described(target)} takes no argument of that name")
