"""Draw what was measured, without a plotting library: one row a scenario, one dot a library."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

from benchmarks.calls import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.libraries.base import Colour
    from benchmarks.timing import Figure

__all__ = ["plot"]

_TEXTS = {each.name: each.text for each in SCENARIOS}
LEFT, WIDTH, STEP, TOP = 330, 520, 18, 44
LOW, HIGH = 0.25, 200.0
TICKS = (0.5, 1, 2, 5, 10, 20, 50, 100)


def plot(found: Mapping[tuple[str, Colour], Sequence[Figure]]) -> str:
    """Draw the ratios to the limit on a logarithmic scale: recoup's in colour, those of all others in grey."""
    rows = [(f"{_TEXTS[name]} ({colour})", figures) for (name, colour), figures in found.items() if _based(figures)]
    width, height = LEFT + WIDTH + 30, TOP + STEP * len(rows) + 14
    frame = f'viewBox="0 0 {width} {height}" role="img" aria-label="Cost of a call, as a ratio to the limit"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {frame} font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        _legend(),
    ]
    for tick in TICKS:
        at, colour = f"{_x(tick):.1f}", "#888888" if tick == 1 else "#e4e4e4"
        parts.append(f'<line x1="{at}" x2="{at}" y1="{TOP - 8}" y2="{height - 8}" stroke="{colour}"/>')
        parts.append(f'<text x="{at}" y="{TOP - 12}" text-anchor="middle" fill="#555555">{tick:g}</text>')
    for number, (text, figures) in enumerate(rows):
        y = TOP + STEP * number + STEP / 2
        parts.append(f'<text x="{LEFT - 10}" y="{y + 4:.1f}" text-anchor="end" fill="#222222">{escape(text)}</text>')
        ours_last = sorted(figures[1:], key=lambda each: each.name == "recoup")
        parts += [_dot(each, y) for each in ours_last]
    return "\n".join([*parts, "</svg>\n"])


def _x(ratio: float) -> float:
    share = math.log(min(max(ratio, LOW), HIGH) / LOW) / math.log(HIGH / LOW)
    return LEFT + WIDTH * share


def _based(figures: Sequence[Figure]) -> bool:
    return len(figures) > 1 and figures[0].name == "limit"


def _dot(figure: Figure, y: float) -> str:
    look = 'r="5" fill="#0b6e4f"' if figure.name == "recoup" else 'r="3.5" fill="#b4b4b4" fill-opacity="0.8"'
    title = f"<title>{escape(figure.name)}: {figure.ratio:.2f}</title>"
    return f'<circle cx="{_x(figure.ratio):.1f}" cy="{y:.1f}" {look}>{title}</circle>'


def _legend() -> str:
    return (
        f'<text x="{LEFT - 10}" y="16" text-anchor="end" fill="#222222">time of a call, limit = 1</text>'
        f'<circle cx="{LEFT + 5}" cy="12" r="5" fill="#0b6e4f"/><text x="{LEFT + 15}" y="16">recoup</text>'
        f'<circle cx="{LEFT + 75}" cy="12" r="3.5" fill="#b4b4b4"/><text x="{LEFT + 85}" y="16">the others</text>'
    )
