"""The server: behaves like its phase, treats both clients alike, and counts what it sees."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING

import aiohttp
import pytest

from recoup.demo.script import CLIENT_HEADER, Phase
from recoup.demo.server import Shop, listening, main, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

FAST = (0.0, 0.001)
PHASES = (
    Phase("healthy", "healthy", "", 1.0, latency=FAST),
    Phase("errors", "half errors", "", 1.0, errors=0.5, latency=FAST),
    Phase("slow", "slow", "", 1.0, stalls=1.0, latency=FAST),
    Phase("hanging", "hanging", "", 1.0, hangs=1.0, latency=FAST),
    Phase("outage", "full outage", "", 1.0, errors=1.0, status=503, latency=FAST),
)


@pytest.fixture
def shop() -> Shop:
    """Give a shop whose stalled answers take 150 ms."""
    return Shop(PHASES, speed=20.0, seed=7)


@pytest.fixture
async def url(shop: Shop) -> AsyncIterator[str]:
    """Serve the shop within the test."""
    async with listening(shop) as port:
        yield f"http://127.0.0.1:{port}"


async def statuses(url: str, client: str, times: int) -> list[int]:
    """Ask some times as one client, one after the other."""
    seen = []
    async with aiohttp.ClientSession(url, headers={CLIENT_HEADER: client}) as session:
        for item in range(times):
            async with session.get(f"/prices/{item}") as response:
                seen.append(response.status)
    return seen


async def given_up(shop: Shop, url: str, client: str, *, times: int = 1) -> None:
    """Ask some times at once as one client, and hang up when the server works on all of them."""
    async with aiohttp.ClientSession(url, headers={CLIENT_HEADER: client}) as session:
        calls = [asyncio.ensure_future(session.get("/prices/1")) for _ in range(times)]
        await until(lambda: client in shop.books and shop.books[client].running == times)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
    await until(lambda: shop.books[client].running == 0)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is true that another task brings about."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what it waits for happens in code that knows nothing of tests
            await asyncio.sleep(0.01)


async def test_a_healthy_shop_tells_prices_with_serial_numbers_of_their_own(url: str) -> None:
    """Every answer carries the item that was asked for, its price and a serial number that no other answer has."""
    seen = []
    async with aiohttp.ClientSession(url, headers={CLIENT_HEADER: "one"}) as session:
        for item in (1, 2, 1):
            async with session.get(f"/prices/{item}") as response:
                seen.append(await response.json())
    assert [each["item"] for each in seen] == [1, 2, 1]
    assert seen[0]["cents"] == seen[2]["cents"] != seen[1]["cents"]
    assert len({each["serial"] for each in seen} | {0}) == 4


async def test_every_client_meets_the_same_luck(shop: Shop, url: str) -> None:
    """The fates of a client's requests depend on their order alone, not on what another client asks for."""
    shop.enter("errors")
    first = await statuses(url, "one", 30)
    assert set(first) == {200, 500}
    interleaved = [(await statuses(url, each, 1))[0] for _ in range(30) for each in ("two", "three")]
    assert interleaved[0::2] == interleaved[1::2] == first


async def test_the_luck_of_later_requests_does_not_depend_on_the_phase_of_earlier_ones(shop: Shop, url: str) -> None:
    """A request draws the same numbers in every phase, so both clients stay in step through the script."""
    await statuses(url, "one", 5)
    shop.enter("outage")
    await statuses(url, "two", 5)
    shop.enter("errors")
    assert await statuses(url, "one", 20) == await statuses(url, "two", 20)


async def test_in_an_outage_everything_is_refused_and_counted(shop: Shop, url: str) -> None:
    """An outage answers every request with 503; the books tell how many reached the server, by phase."""
    await statuses(url, "one", 2)
    shop.enter("outage")
    assert await statuses(url, "one", 3) == [503, 503, 503]
    books = shop.report()["one"]
    assert books["reached"] == {"healthy": 2, "outage": 3}
    assert (books["answered"], books["refused"], books["abandoned"], books["running"]) == (2, 3, 0, 0)


@pytest.mark.parametrize("phase", ["hanging", "slow"])
async def test_a_request_whose_client_hangs_up_is_abandoned(shop: Shop, url: str, phase: str) -> None:
    """A hung or stalled request ends when its client is gone, and is counted as abandoned."""
    shop.enter(phase)
    await given_up(shop, url, "one")
    books = shop.books["one"]
    assert (books.abandoned, books.answered) == (1, 0)


async def test_a_stalled_answer_comes_after_all_if_somebody_waits(shop: Shop, url: str) -> None:
    """A stall delays the answer and does not lose it."""
    shop.enter("slow")
    assert await statuses(url, "one", 1) == [200]


async def test_the_peak_is_the_most_requests_in_work_at_once(shop: Shop, url: str) -> None:
    """Five requests that hang together are a peak of five, and none is left when their clients are gone."""
    shop.enter("hanging")
    await given_up(shop, url, "one", times=5)
    assert shop.books["one"].peak == 5


async def test_a_request_without_a_name_is_turned_down(shop: Shop, url: str) -> None:
    """Who does not say which client it is gets a 400 that says so, and stands in no books."""
    async with aiohttp.ClientSession(url) as session, session.get("/prices/1") as response:
        assert response.status == 400
        assert CLIENT_HEADER in await response.text()
    assert shop.report() == {}


async def test_commands_change_the_phase_and_ask_for_the_books(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """The server says its port, obeys one JSON line after the other, and ends with its input."""
    await serve(shop, ['{"phase": "outage"}\n', '{"report": true}\n'])
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert list(said[0]) == ["port"]
    assert said[1:] == [{}]
    assert shop.phase.name == "outage"


async def test_a_command_that_comes_after_the_end_of_the_loop_is_nobodys(shop: Shop) -> None:
    """The thread that reads commands ends quietly if the loop is closed before the input."""
    gate = threading.Event()

    def stream() -> Iterator[str]:
        gate.wait()
        yield '{"report": true}\n'

    def run() -> None:
        async def short() -> None:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(serve(shop, stream()), 0.2)

        asyncio.run(short())

    await asyncio.to_thread(run)
    reader = next(thread for thread in threading.enumerate() if thread.name == "commands")
    gate.set()
    reader.join(10)
    assert not reader.is_alive()


def test_the_program_serves_until_its_input_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """`python -m recoup.demo.server` reads its commands from standard input, here a file, and ends with it."""
    commands = tmp_path / "commands"
    commands.write_text('{"report": true}\n')
    with commands.open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        main(["--speed", "2", "--seed", "3"])
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert said[1] == {}
