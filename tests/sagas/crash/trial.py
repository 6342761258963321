"""One trial: a process runs a saga and is killed at some point, others recover it and may be killed as well."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from recoup.sagas.journal import State
from recoup.sagas.keeper import Journal
from recoup.sagas.people import recover
from recoup.sagas.settings import configure
from recoup.sagas.sqlite import SqliteBackend
from tests.sagas.crash import mutants, world
from tests.sagas.crash.story import STORIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from recoup.sagas.journal import Story

KILLED = -9
FAST = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - no power is lost here, so memory will do


class Pointed(SqliteBackend):
    """A journal that may be killed before and after each commit that writes."""

    def begin(self, *, writes: bool, alone: bool = False) -> None:
        super().begin(writes=writes, alone=alone)
        self._counts = writes

    def commit(self) -> None:
        if self._counts:
            world.point()
        super().commit()
        if self._counts:
            world.point()


def journal(folder: Path) -> Journal:
    return Journal(Pointed(folder / "sagas.db"), recover=False)


def forked(work: Callable[[], None]) -> int:
    """Run something in a new process; give how that ended."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        work()
        code = 0
    except BaseException:  # noqa: BLE001 - the parent sees the code
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def first(folder: Path, name: str, deadly: int, mutant: str) -> Callable[[], None]:
    """Run the saga."""

    def work() -> None:
        mutants.apply(mutant)
        world.enter(folder / "deeds", deadly)
        place = journal(folder)
        configure(journal=place)
        ended = "fine"
        try:
            STORIES[name]()
        except ConnectionError:
            ended = "failed"
        world.happen("end", ended)
        place.close()
        (folder / "points").write_text(str(world.points()))

    return work


def second(folder: Path, deadly: int, mutant: str) -> Callable[[], None]:
    """Recover."""

    def work() -> None:
        mutants.apply(mutant)
        world.enter(folder / "deeds", deadly)
        place = journal(folder)
        recover(journal=place)
        place.close()
        (folder / "points2").write_text(str(world.points()))

    return work


def trial(name: str, deaths: Sequence[int], mutant: str = "") -> tuple[list[str], bool, bool]:
    """Run a saga that dies at `deaths[0]`, recoverers that die at the others, and one that does not.

    Returns:
        What is wrong, whether the saga was killed, and whether the last of the others was.
    """
    folder = Path(tempfile.mkdtemp(dir=FAST, prefix="recoup-crash-"))
    try:
        codes = [forked(first(folder, name, deaths[0], mutant))]
        codes += [forked(second(folder, death, mutant)) for death in deaths[1:]]
        last = forked(second(folder, 0, mutant))
        if last or any(code not in {0, KILLED} for code in codes):
            return [f"{name} {deaths}: a process ended with {codes} {last}"], codes[0] == KILLED, codes[-1] == KILLED
        stories = _read(folder)
        wrong = [f"{name} {list(deaths)}: {each}" for each in judged(stories, world.deeds(folder / "deeds"))]
        return wrong, codes[0] == KILLED, codes[-1] == KILLED
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _read(folder: Path) -> list[Story]:
    with Journal(SqliteBackend(folder / "sagas.db"), recover=False) as place:
        heads = place.wait(place.listed(tuple(State), 100))
        return [place.wait(place.load(head.id)) for head in heads]


def judged(stories: Sequence[Story], deeds: Sequence[world.Deed]) -> Iterator[str]:
    """Say what is wrong with how it ended."""
    if len(stories) != 1:
        if stories or any(each.what == "do" for each in deeds):
            yield f"{len(stories)} sagas, but {len(deeds)} deeds"
        return
    head = stories[0].head
    yield from _effects(head.state, head.name, deeds)
    yield from _told(head.state, deeds)
    inner = ALLOWED.get(head.name, set())
    yield from _order([each for each in deeds if each.name in inner])
    yield from _order([each for each in deeds if each.name not in inner])


def _effects(state: State, name: str, deeds: Sequence[world.Deed]) -> Iterator[str]:
    """What stands is what the state says."""
    standing: set[str] = set()
    for each in deeds:
        if each.what == "undo":
            standing.discard(each.key)
        elif each.what == "do":
            standing.add(each.key)
            if _undone_before(deeds, each):
                yield f"{each.name} was done after it was undone"
    undone = {each.name for each in deeds if each.what == "undo"}
    if state is State.COMPENSATED and standing:
        yield f"compensated, but {len(standing)} effects stand"
    if state is State.DONE and undone - ALLOWED.get(name, set()):
        yield "done, but steps were undone"
    if state is State.STUCK and (name != "pivot" or undone):
        yield "stuck"
    if name in RUN_AGAIN and state is not RUN_AGAIN[name]:
        yield f"a function that is run again ends {state}"
    if state in {State.RUNNING, State.COMPENSATING}:
        yield f"left {state}"


ALLOWED = {"caught": {"b", "c"}, "place": {"b", "c"}}
"""What is undone although the whole saga completes."""


RUN_AGAIN = {
    "place": State.DONE,
    "doomed": State.COMPENSATED,
    "forward": State.DONE,
    "place_async": State.DONE,
}
"""How sagas end that are functions, wherever they are killed."""


def _told(state: State, deeds: Sequence[world.Deed]) -> Iterator[str]:
    """What the caller was told is what is."""
    for each in deeds:
        if each.what == "end" and (each.name == "fine") is not (state is State.DONE):
            yield f"the caller was told {each.name!r}, but it is {state}"


def _undone_before(deeds: Sequence[world.Deed], done: world.Deed) -> bool:
    keys = [(each.what, each.key) for each in deeds]
    return ("undo", done.key) in keys[: keys.index(("do", done.key))]


def _order(deeds: Sequence[world.Deed]) -> Iterator[str]:
    """Undoing goes backwards, and what was interrupted is done again; what is done later may be undone later."""
    undone: list[int] = []
    for each in deeds:
        if each.what == "do":
            undone.clear()
        elif each.what == "undo":
            undone.append(int(each.key.rpartition(":")[2]))
            if undone != sorted(undone, reverse=True):
                yield f"undone in the order {undone}"
            if each.result not in {"Unknown.UNKNOWN", "UNKNOWN", "-", f"did-{each.name}"}:
                yield f"{each.name} was undone with the result {each.result}"


def every_point(name: str, mutant: str = "") -> tuple[int, list[str]]:
    """Kill the saga at each of its points, one trial each; give how many there were and what is wrong."""
    wrong: list[str] = []
    death = 0
    while True:
        death += 1
        found, killed, _ = trial(name, [death], mutant)
        wrong += found
        if not killed:
            return death, wrong


def every_pair(name: str, step: int = 1) -> tuple[int, list[str]]:
    """Kill the saga at each of its points, and who recovers it at each of theirs (`step`: only every n-th pair)."""
    wrong: list[str] = []
    trials = death = 0
    while True:
        death += 1
        second_death = 0
        while True:
            second_death += 1
            if (death + second_death) % step:
                if second_death > 60:
                    break
                continue
            found, killed, killed_again = trial(name, [death, second_death])
            wrong += found
            trials += 1
            if not killed or not killed_again:
                break
        if not killed:
            return trials, wrong


def tidy() -> None:
    """Remove what trials that were killed have left."""
    for each in Path(FAST or tempfile.gettempdir()).glob("recoup-crash-*"):
        with suppress(OSError):
            shutil.rmtree(each)
