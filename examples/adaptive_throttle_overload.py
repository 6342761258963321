"""A search service can take 10 calls a second and is asked 100 times: the throttle spares it most of the rest."""

from __future__ import annotations

from recoup import AdaptiveThrottle, ThrottledError
from recoup.testing import VirtualClock


class OverloadedError(Exception):
    """The service has no room for this call."""


class Search:
    """A service that has room for ten calls a second; turning one away costs it work, too."""

    def __init__(self) -> None:
        self.asked = 0
        self.room = 10

    def find(self, words: str) -> str:
        """Look for pages."""
        self.asked += 1
        self.room -= 1
        if self.room < 0:
            raise OverloadedError
        return f"pages about {words}"


def minutes(service: Search, throttle: AdaptiveThrottle | None) -> int:
    """Ask a hundred times a second for six minutes; give the number of answers."""
    answers = 0
    with VirtualClock() as clock:
        for _ in range(360):
            service.room = 10
            for _ in range(100):
                try:
                    found = service.find("owls") if throttle is None else throttle.execute_sync(service.find, "owls")
                    answers += found.endswith("owls")
                except (OverloadedError, ThrottledError):
                    pass
                clock.advance(0.01)
        if throttle is not None:
            print(throttle)
    return answers


def main() -> None:
    bare, spared = Search(), Search()
    throttle = AdaptiveThrottle(name="search")
    answers = minutes(bare, None)
    print(f"without: {bare.asked} calls reached the service, {answers} were answered")
    throttled = minutes(spared, throttle)
    print(f"with:    {spared.asked} calls reached the service, {throttled} were answered")
    assert bare.asked == 36_000
    assert answers == 3600
    assert throttled > 0.95 * answers, "hardly an answer is lost"
    assert spared.asked < 0.3 * bare.asked, "and the service is spared most of the work"


if __name__ == "__main__":
    main()
