"""The tables: while the demo runs, and when it has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from recoup.demo.figures import Outcome, share
from recoup.demo.stage import BARE, PROTECTED
from recoup.demo.words import milliseconds, percent

if TYPE_CHECKING:
    from recoup.demo.stage import Stage

__all__ = ["by_phase", "deeds", "in_all", "so_far"]

STYLES = {Outcome.SUCCESS: "green", Outcome.DEGRADED: "yellow", Outcome.FAILED: "red"}


def so_far(stage: Stage) -> Table:
    """Give the figures of both clients up to now."""
    table = _table()
    table.add_column("so far", min_width=7)
    _add_figures(table)
    table.add_column("in flight", justify="right")
    for side in (BARE, PROTECTED):
        table.add_row(Text(side, "bold"), *_figures(stage, side, None), str(stage.accounts[side].running))
    return table


def by_phase(stage: Stage) -> Table:
    """Give the figures of both clients in each phase, and in all of them."""
    table = _table()
    table.add_column("phase")
    table.add_column("client")
    _add_figures(table)
    for title, phase in (*((each.title, each.name) for each in stage.script), ("all", None)):
        table.add_row(Text(title), BARE, *_figures(stage, BARE, phase))
        table.add_row("", Text(PROTECTED, "bold"), *_figures(stage, PROTECTED, phase))
    return table


def in_all(stage: Stage) -> Table:
    """Give what can be told only at the end."""
    table = _table()
    table.add_column("in all")
    summaries = [stage.summary(side) for side in (BARE, PROTECTED)]
    for side in (BARE, PROTECTED):
        table.add_column(side, justify="right", style="bold" if side == PROTECTED else "")
    wasted = [f"{each.wasted} ({percent(share(each.wasted, each.reached()))})" for each in summaries]
    table.add_row("calls that failed", *(str(each.account.count(Outcome.FAILED)) for each in summaries))
    table.add_row("seconds that callers waited for a failure", *(f"{each.account.in_vain:.0f}" for each in summaries))
    table.add_row(
        "requests that reached the service in the outage", *(f"{each.reached('outage')}" for each in summaries)
    )
    table.add_row("wasted work: requests whose answer helped nobody", *wasted)
    table.add_row("requests in work at once, at most", *(str(each.peak) for each in summaries))
    return table


def deeds(stage: Stage) -> Table:
    """Say what each strategy did, outermost first."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for decorator, text in stage.activity.lines():
        table.add_row(Text(decorator, "cyan"), Text(text))
    return table


def _table() -> Table:
    return Table(box=None, padding=(0, 2, 0, 0))


def _add_figures(table: Table) -> None:
    for column in ("succeeded", "degraded", "failed", "p50", "p99", "requests"):
        table.add_column(column, justify="right", min_width=7)


def _figures(stage: Stage, side: str, phase: str | None) -> list[Text]:
    account = stage.accounts[side]
    rates = [_rate(account.rate(outcome, phase), style) for outcome, style in STYLES.items()]
    waits = [Text(milliseconds(account.percentile(rank, phase))) for rank in (0.5, 0.99)]
    return [*rates, *waits, Text(str(stage.summary(side).reached(phase)))]


def _rate(rate: float, style: str) -> Text:
    return Text(percent(rate), style if rate > 0 else "bright_black")
