"""The command line: says what there is, what is missing and how to get it, and how it ended."""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import subprocess
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

import recoup
from recoup import cli
from recoup.demo import closing, command, run
from recoup.demo.live import LiveView
from recoup.demo.plain import PlainView
from recoup.demo.script import SCRIPT
from recoup.demo.service import ServiceError
from recoup.demo.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Callable


def test_the_version_is_that_of_the_library(capsys: pytest.CaptureFixture[str]) -> None:
    """`recoup --version` says which recoup it is."""
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"recoup {recoup.__version__}\n"


def test_without_a_command_it_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    """`recoup` alone shows every command and ends with the code of a usage error."""
    assert cli.main([]) == 2
    shown = capsys.readouterr().out
    assert all(each.name in shown for each in cli.COMMANDS)


def test_an_unknown_command_is_told_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong command is a usage error that names the commands there are."""
    with pytest.raises(SystemExit, match="2"):
        cli.main(["dmeo"])
    shown = capsys.readouterr().err
    assert "dmeo" in shown
    assert all(each.name in shown for each in cli.COMMANDS)


@pytest.mark.parametrize(
    ("missing", "words"),
    [({"aiohttp"}, "aiohttp, which is not"), ({"aiohttp", "rich"}, "aiohttp and rich, which are not")],
)
def test_a_missing_extra_is_named_with_the_way_to_get_it(
    missing: set[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without its extra a command says what to install, and ends with 2."""
    monkeypatch.setattr(cli, "find_spec", lambda name: None if name in missing else object())
    assert cli.main(["demo"]) == 2
    assert capsys.readouterr().err == f'recoup demo needs {words} installed: pip install "recoup[demo]"\n'


def test_the_command_line_works_without_the_extras() -> None:
    """Help needs neither aiohttp nor rich: both are blocked here."""
    blocked = "import sys; sys.modules['aiohttp'] = sys.modules['rich'] = None; from recoup.cli import main; main(%r)"
    for arguments in (["demo", "--help"], ["--help"]):
        ended = subprocess.run(
            [sys.executable, "-c", blocked % arguments],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert "demo" in ended.stdout


def test_python_m_recoup_is_the_same_program() -> None:
    """`python -m recoup` does what `recoup` does."""
    ended = subprocess.run(
        [sys.executable, "-m", "recoup", "--version"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == f"recoup {recoup.__version__}\n"
    assert import_module("recoup.__main__").main is cli.main  # and to import it runs nothing


@pytest.mark.parametrize("speed", ["0", "-1", "0.4", "5", "nan", "inf", "fast"])
def test_a_speed_out_of_range_is_refused(speed: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`--speed` takes a number from 0.5 to 4, and says so (G1)."""
    with pytest.raises(SystemExit, match="2"):
        cli.main(["demo", "--speed", speed])
    shown = capsys.readouterr().err
    assert "--speed" in shown
    assert speed in shown


def test_the_demo_gets_the_options_and_its_code_says_whether_promises_were_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """0 if the run kept its promises and 1 if not; speed and seed arrive."""
    seen: dict[str, Any] = {}

    async def perform(look: Callable[[Stage], run.View], **options: Any) -> str:
        seen.update(options)
        return "a stage"

    monkeypatch.setattr(run, "perform", perform)
    for kept, code in ((True, 0), (False, 1)):
        monkeypatch.setattr(closing, "close", lambda stage, console, kept=kept: kept)
        assert cli.main(["demo", "--speed", "2", "--seed", "7"]) == code
    assert seen == {"speed": 2.0, "seed": 7}


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ServiceError("no server"), 1, "recoup demo: no server\n"),
        (KeyboardInterrupt(), 130, "interrupted; nothing is left running\n"),
        (asyncio.CancelledError(), 143, ""),
    ],
)
def test_a_run_that_ends_early_says_how(
    error: BaseException, code: int, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A broken server is 1 with its message, Ctrl-C is 130 and SIGTERM 143, as shells expect."""

    async def perform(look: Callable[[Stage], run.View], **options: Any) -> Stage:
        raise error

    monkeypatch.setattr(run, "perform", perform)
    assert cli.main(["demo"]) == code
    assert capsys.readouterr().err == words


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("file", "term", "plain", "view"),
    [
        (Terminal(), "xterm", False, LiveView),
        (Terminal(), "xterm", True, PlainView),
        (Terminal(), "dumb", False, PlainView),
        (io.StringIO(), "xterm", False, PlainView),
    ],
)
def test_the_live_view_needs_a_terminal_that_can_move_its_cursor(
    file: io.StringIO, term: str, plain: bool, view: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines are printed to pipes, files and dumb terminals, and where asked for."""
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("FORCE_COLOR", "1")  # which makes rich take anything for a terminal
    look = command._view(Console(file=file), plain=plain)
    assert type(look(Stage(SCRIPT))) is view


def test_every_command_can_be_configured_and_run() -> None:
    """The table of commands names modules that have what the command line calls."""
    for each in cli.COMMANDS:
        module = import_module(each.module)
        module.configure(argparse.ArgumentParser())
        assert callable(module.run)
