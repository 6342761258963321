"""The command line: `recoup COMMAND`, also `python -m recoup COMMAND`."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

from recoup import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["COMMANDS", "Command", "main"]

USAGE_ERROR = 2


class Command(NamedTuple):
    """One command.

    Attributes:
        name: What one types.
        summary: What it does, in one line.
        module: Where it is: a module with `configure(parser)` and `run(options) -> int` that imports without the extra.
        extra: The extra of the distribution that it needs; empty for none.
        needs: The modules that the extra brings.
    """

    name: str
    summary: str
    module: str
    extra: str = ""
    needs: tuple[str, ...] = ()


COMMANDS = (
    Command(
        "demo",
        "watch a protected client and a bare one live through errors, hangs and an outage of a real HTTP service",
        "recoup.demo.command",
        extra="demo",
        needs=("aiohttp", "rich"),
    ),
    Command(
        "explain",
        "say what the layers round a function do, what the worst case is and what is wrong with their order",
        "recoup.inspecting",
    ),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: The arguments after the program's name; default `None`: those of the process.

    Returns:
        The exit code: that of the command, or 2 if there is no such command or its extra is not installed.

    Raises:
        SystemExit: For `--help`, `--version` and arguments that are wrong.
    """
    parser = argparse.ArgumentParser(prog="recoup", description="Make calls to unreliable things recover.")
    parser.add_argument("--version", action="version", version=f"recoup {__version__}")
    choices = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    for command in COMMANDS:
        choice = choices.add_parser(command.name, help=command.summary, description=command.summary)
        import_module(command.module).configure(choice)
        choice.set_defaults(chosen=command)
    options = parser.parse_args(argv)
    if options.command is None:
        parser.print_help()
        return USAGE_ERROR
    return _run(options.chosen, options)


def _run(command: Command, options: argparse.Namespace) -> int:
    if missing := [each for each in command.needs if find_spec(each) is None]:
        print(
            f"recoup {command.name} needs {' and '.join(missing)}, which "
            f'{"is" if len(missing) == 1 else "are"} not installed: pip install "recoup[{command.extra}]"',
            file=sys.stderr,
        )
        return USAGE_ERROR
    code: int = import_module(command.module).run(options)
    return code
