"""A parser that crashes on some files and hangs on others: isolation loses those files, and nothing else."""

from __future__ import annotations

import asyncio
import ctypes
import time

from recoup import DeadlineExceeded, Isolation, IsolationConfig, WorkerCrashed

parsers = Isolation(IsolationConfig(workers=2, timeout=3, max_calls_per_worker=100, kill_grace=0.5), name="parsers")

FILES = ["<a/>", "<b/>", "bomb", "<c/>", "maze", "no file", "<d/>"]


def parse(text: str) -> str:
    """Stand in for a library written in C: no `try` round it could help."""
    if text == "bomb":
        ctypes.string_at(0)  # reads from address 0: the process is gone
    while text == "maze":
        time.sleep(60)
    if not text.startswith("<"):
        raise ValueError("this is no markup")
    return text.strip("</>")


async def one(text: str) -> str:
    try:
        return await parsers.execute(parse, text)
    except WorkerCrashed as error:
        return f"crashed ({error.exitcode})"
    except DeadlineExceeded:
        return "hung"
    except ValueError as error:
        return f"refused: {error}"


async def main() -> None:
    async with parsers:
        answers = dict(zip(FILES, await asyncio.gather(*map(one, FILES)), strict=True))
        for text, answer in answers.items():
            print(f"{text!r:>10}  {answer}")
    counts = parsers.metrics
    assert [answers[text] for text in ("<a/>", "<b/>", "<c/>", "<d/>")] == ["a", "b", "c", "d"]
    assert answers["bomb"].startswith("crashed (-")
    assert answers["maze"] == "hung"
    assert answers["no file"] == "refused: this is no markup"
    assert (counts["crashed"], counts["killed"]) == (1, 1)
    assert parsers.pids == ()
    print("of", counts["started"], "worker processes one crashed and one was killed; all are gone now")


if __name__ == "__main__":
    asyncio.run(main())
