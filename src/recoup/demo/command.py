"""The command `recoup demo`: its options and its end. The extras are imported only when it runs."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from recoup.demo.run import View
    from recoup.demo.stage import Stage

__all__ = ["configure", "run"]

KEPT, BROKEN = 0, 1
INTERRUPTED, TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM  # what shells say of a program ended by a signal

SLOWEST, FASTEST = 0.5, 4.0  # beyond it, Python's own time would be a good part of the answers'


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "--speed",
        type=_speed,
        default=1.0,
        metavar="X",
        help=f"play everything X times as fast, {SLOWEST:g} to {FASTEST:g} (default 1: about 40 s)",
    )
    parser.add_argument(
        "--seed", type=int, default=1, metavar="N", help="seed of the traffic and of the service's luck (default 1)"
    )
    parser.add_argument("--plain", action="store_true", help="print lines, as without a terminal")


def run(options: argparse.Namespace) -> int:
    """Run the demo and print what it came to.

    Returns:
        0 if the run kept what the demo promises, 1 if not or if it failed, 130 after Ctrl-C, 143 after SIGTERM.
    """
    from rich.console import Console  # noqa: PLC0415 - an extra

    from recoup.demo.closing import close  # noqa: PLC0415 - imports rich
    from recoup.demo.service import ServiceError  # noqa: PLC0415 - only when it runs

    console = Console(highlight=False)
    try:
        stage = asyncio.run(_perform(_view(console, plain=options.plain), options))
        return KEPT if close(stage, console) else BROKEN
    except KeyboardInterrupt:
        print("interrupted; nothing is left running", file=sys.stderr)
        return INTERRUPTED
    except asyncio.CancelledError:
        return TERMINATED
    except ServiceError as error:
        print(f"recoup demo: {error}", file=sys.stderr)
        return BROKEN


async def _perform(look: Callable[[Stage], View], options: argparse.Namespace) -> Stage:
    from recoup.demo.run import perform  # noqa: PLC0415 - imports aiohttp

    task = cast("asyncio.Task[Stage]", asyncio.current_task())
    # So that the terminal gets its cursor back; the server would end in any case.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await perform(look, speed=options.speed, seed=options.seed)


def _view(console: Console, *, plain: bool) -> Callable[[Stage], View]:
    """Choose who looks on: the live view needs a terminal that can move its cursor."""
    from recoup.demo.live import LiveView  # noqa: PLC0415 - imports rich
    from recoup.demo.plain import PlainView  # noqa: PLC0415 - imports rich

    view = PlainView if plain or console.is_dumb_terminal or not console.file.isatty() else LiveView
    return lambda stage: view(stage, console)


def _speed(text: str) -> float:
    speed = float(text)
    if not SLOWEST <= speed <= FASTEST:
        raise argparse.ArgumentTypeError(f"must be from {SLOWEST:g} to {FASTEST:g}, not {text}")
    return speed
