"""Explain a stack: what each layer does, the worst case, and what is wrong with the order (rule G14)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from recoup._core.colour import Colour, colour_of, described
from recoup._core.lint import lints
from recoup._core.rim import layers_of
from recoup._core.strategy import Strategy, Worst

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Explanation", "explain"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a stack of layers does; `str()` gives it as text.

    Attributes:
        name: What is explained.
        layers: The strategy objects, outermost first, workflows taken apart.
        says: For each layer, what it does.
        worst: For each layer, the worst case (`calls`, `seconds`) of it and everything inside it.
        worst_calls: Most runs of the function for one call (its load amplification).
        worst_seconds: Longest time one call may take; `math.inf` if nothing bounds the function itself.
        lints: What is wrong with the order, with the reason and the mend; empty if nothing is.
    """

    name: str
    layers: tuple[Strategy, ...]
    says: tuple[tuple[str, ...], ...]
    worst: tuple[Worst, ...]
    worst_calls: float
    worst_seconds: float
    lints: tuple[str, ...]

    def table(self) -> str:
        """Lay the layers out as a table, with the worst case of each and everything inside it.

        Returns:
            Lines of text in aligned columns, outermost layer first: its number, kind and name, the most calls of the
            function, and the longest time in seconds.

        >>> from recoup import retry
        >>> print(explain(retry(max_attempts=4, attempt_timeout=2, initial_delay=0, name="prices")).table())
        #  layer  name    calls  seconds
        1  retry  prices      4        8
        """
        rows = [("#", "layer", "name", "calls", "seconds")]
        for number, (layer, worst) in enumerate(zip(self.layers, self.worst, strict=True), start=1):
            rows.append((str(number), layer.kind, layer.name, _figure(worst.calls), _figure(worst.seconds)))
        one, kind, name, calls, seconds = (max(map(len, column)) for column in zip(*rows, strict=True))
        return "\n".join(
            f"{row[0]:<{one}}  {row[1]:<{kind}}  {row[2]:<{name}}  {row[3]:>{calls}}  {row[4]:>{seconds}}"
            for row in rows
        )

    def __str__(self) -> str:
        if not self.layers:
            return f"{self.name} is not protected by recoup"
        width = max(len("function"), *(len(layer.kind) for layer in self.layers))
        lines = [f"{self.name}, from outside in:"]
        for number, (layer, says) in enumerate(zip(self.layers, self.says, strict=True), start=1):
            first, *rest = says or ("",)
            lines.append(f"  {number}. {layer.kind:<{width}}  {first}")
            lines.extend(f"     {'':<{width}}  {sentence}" for sentence in rest)
        lines.append(f"  {len(self.layers) + 1}. {'function':<{width}}  {self.name}")
        lines.append(f"worst case: {_calls(self.worst_calls)}, {_seconds(self.worst_seconds)}")
        lines.extend(f"warning: {lint}" for lint in self.lints)
        return "\n".join(lines)


def explain(target: Any) -> Explanation:
    """Explain the layers of recovery round a function, or of a strategy or workflow object.

    Args:
        target: A decorated function, method or callable object, or a strategy object.

    Returns:
        The explanation; `print` it, or ask its attributes.

    Raises:
        TypeError: If `target` is no callable.

    >>> from recoup import retry
    >>> @retry(max_attempts=4, backoff_strategy="fixed", initial_delay=0.5)
    ... def fetch() -> str:
    ...     return "page"
    >>> print(explain(fetch))  # doctest: +ELLIPSIS
    fetch, from outside in:
      1. retry     calls up to 4 times, waiting 0.5 s at first and 60 s at most (fixed) in between
                   retries every Exception; not our own refusals unless they are named
      2. function  fetch
    worst case: 4 calls of the function, no limit on the time
    """
    if isinstance(target, Strategy):
        outer: tuple[Strategy, ...] = (target,)
        name, colour = repr(target), Colour.ASYNC
    else:
        colour = colour_of(target)
        outer = layers_of(target)
        name = getattr(target, "__qualname__", None) or described(target)
    layers = tuple(member for layer in outer for member in layer._members())
    worst = [Worst(1, math.inf)]  # of the function alone; then that of each layer, from inside out
    for layer in reversed(layers):
        worst.append(layer._worst(worst[-1], colour))
    return Explanation(
        name=name,
        layers=layers,
        says=tuple(tuple(layer._says()) for layer in layers),
        worst=tuple(reversed(worst[1:])),
        worst_calls=worst[-1].calls,
        worst_seconds=worst[-1].seconds,
        lints=tuple(lints(layers)),
    )


def _calls(calls: float) -> str:
    if calls == math.inf:
        return "no limit on the calls of the function"
    return f"{calls:g} call{'' if calls == 1 else 's'} of the function"


def _figure(value: float) -> str:
    if value == math.inf:
        return "no limit"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _seconds(seconds: float) -> str:
    return "no limit on the time" if seconds == math.inf else f"{seconds:.3g} s"
