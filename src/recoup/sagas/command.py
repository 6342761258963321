"""The command `recoup sagas`: what a person needs when a saga waits for one, as a table or as JSON."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any

from recoup.errors import JournalError, RecoveryError
from recoup.sagas import people, settings
from recoup.sagas.journal import State
from recoup.sagas.keeper import Journal

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from recoup.sagas.journal import Head

__all__ = ["configure", "run"]

DONE, STUCK, FAILED = 0, 1, 2


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("--journal", metavar="ADDRESS", help="sqlite:///app.db or postgresql://host/name")
    parser.add_argument(
        "--app", metavar="MODULE", help="a module to import first: it calls recoup.configure(), or defines what undoes"
    )
    parser.add_argument("--json", action="store_true", help="JSON instead of a table")
    what = parser.add_subparsers(title="what to do", dest="what", metavar="WHAT", required=True)
    listing = what.add_parser("list", help="sagas that are not over; ends with 1 if one is stuck")
    listing.add_argument("--stuck", action="store_true", help="only those that wait for a person")
    listing.add_argument("--all", action="store_true", help="those that are over as well")
    listing.add_argument("--name", help="only those of this name")
    listing.add_argument("--limit", type=int, default=100, help="how many at the most, the oldest first (default: 100)")
    _saga(what.add_parser("show", help="one saga with its steps and records"))
    trying = _saga(what.add_parser("retry", help="have a stuck saga tried again by the programs that look after it"))
    trying.add_argument("--reason", default="", help="why; it is kept")
    trying.add_argument("--force", action="store_true", help="also if its owner lives: for one that hangs")
    skipping = _saga(what.add_parser("skip", help="say that a step needs no undoing, and have the saga tried again"))
    skipping.add_argument("step", type=int, metavar="STEP", help="its number, as `show` gives it")
    skipping.add_argument("--reason", required=True, help="why; it is kept")
    resolving = _saga(what.add_parser("resolve", help="say that a saga is settled: nothing more is done about it"))
    resolving.add_argument("--reason", required=True, help="what was done about it; it is kept")
    resolving.add_argument("--done", action="store_true", help="it counts as done, not as compensated")
    resolving.add_argument("--force", action="store_true", help="also if it is not stuck")
    recovering = what.add_parser("recover", help="take over what was left and bring it to its end, here and now")
    recovering.add_argument("--limit", type=int, default=100, help="how many at the most (default: 100)")


def _saga(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("id", metavar="SAGA", help="its identity, the first letters of it, or its key")
    return parser


def run(options: argparse.Namespace) -> int:
    """Do what is asked for.

    Returns:
        0; 1 if `list` has found a stuck saga, or `recover` has left one; 2 if it cannot be done.
    """
    try:
        return _done(options, _opened(options))
    except (JournalError, RecoveryError, LookupError, ValueError, TypeError, ImportError) as error:
        print(f"recoup sagas: {error}", file=sys.stderr)
        return FAILED


def _opened(options: argparse.Namespace) -> Journal:
    """Give the journal that is meant, with nobody looking after it here unless the application does."""
    if "" not in sys.path:  # the installed script, unlike `python -m`, does not look into the current folder
        sys.path.insert(0, "")
    if options.app:
        import_module(options.app)
    if options.journal:
        from recoup.sagas import opening  # noqa: PLC0415 - it knows every kind of journal

        return Journal(opening.backend_of(options.journal), recover=False)
    found = settings.journal()
    if not isinstance(found, Journal):
        raise RecoveryError("which journal? give --journal ADDRESS, or --app MODULE that calls recoup.configure()")
    return found


def _done(options: argparse.Namespace, place: Journal) -> int:
    with place:
        match options.what:
            case "list":
                return _listed(options, place)
            case "show":
                return _shown(options, place)
            case "retry":
                people.retry(options.id, reason=options.reason, force=options.force, journal=place)
            case "skip":
                people.skip(options.id, options.step, reason=options.reason, journal=place)
            case "resolve":
                people.resolve(options.id, reason=options.reason, done=options.done, force=options.force, journal=place)
            case _:
                fates = people.recover(limit=options.limit, journal=place)
                _print(options, [{"id": each, "state": str(state)} for each, state in fates.items()], ("id", "state"))
                return STUCK if State.STUCK in fates.values() else DONE
        story = people.show(options.id, journal=place)
        _print(options, [_head(story.head)], ("id", "name", "state"))
    return DONE


def _listed(options: argparse.Namespace, place: Journal) -> int:
    states = (State.STUCK,) if options.stuck else tuple(State) if options.all else people.OPEN
    heads = people.listed(states, limit=options.limit, name=options.name, journal=place)
    _print(options, [_head(each) for each in heads], ("id", "name", "key", "state", "since", "owner", "reason"))
    return STUCK if any(each.state is State.STUCK for each in heads) else DONE


def _shown(options: argparse.Namespace, place: Journal) -> int:
    story = people.show(options.id, journal=place)
    steps = people.told(story)
    records: list[dict[str, Any]] = [
        {**each._asdict(), "kind": str(each.kind), "body": json.loads(each.body)} for each in story.records
    ]
    if options.json:
        print(json.dumps({**_head(story.head), "steps": steps, "records": records}, indent=2))
        return DONE
    for name, value in _head(story.head).items():
        if value not in {None, ""}:
            print(f"{name:8} {value}")
    print()
    _print(
        options,
        [{**each, "undo": ", ".join(each["undo"])} for each in steps],
        ("n", "step", "outcome", "undone", "undo"),
    )
    for each in records:
        if said := each["body"].get("reason") or each["body"].get("text"):
            by = f", says {each['body']['by']}" if "by" in each["body"] else ""
            print(f"{each['seq']:4} {each['kind']} {each['n'] or ''}: {said}{by}")
    return DONE


def _head(head: Head) -> dict[str, Any]:
    told = {**head._asdict(), "state": str(head.state), "since": _time(head.changed), "created": _time(head.created)}
    return {key: value for key, value in told.items() if key not in {"args", "changed", "fence"}}


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")


def _print(options: argparse.Namespace, rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    if options.json:
        print(json.dumps(list(rows), indent=2))
        return
    if not rows:
        print("none")
        return
    table = [list(columns), *([_cell(row.get(each)) for each in columns] for row in rows)]
    widths = [max(len(row[place]) for row in table) for place in range(len(columns))]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value in {None, ""} else str(value)
