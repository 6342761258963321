"""Exchange rates from a service that fails: its own last answer, a second bank, and at last an estimate."""

from __future__ import annotations

from recoup import Fallback, FallbackConfig, events, subscribe

MAIN, BACKUP = "https://bank.example", "https://other-bank.example"
UP = {MAIN: True, BACKUP: True}

layer = Fallback(
    FallbackConfig(
        use_cache=True,
        cache_ttl=600,
        fallback_service=BACKUP,
        service_argument="bank",
        fallback_function=lambda: 1.0,
        fallback_on_exceptions=[ConnectionError],
    ),
    name="rates",
)


@layer
def rate(currency: str, bank: str = MAIN) -> float:
    """Ask a bank for a rate; only the main one knows the yen."""
    if not UP[bank]:
        raise ConnectionError(f"{bank} does not answer")
    return {"USD": 1.08, "CHF": 0.95, "JPY": 171.0}[currency]


def main() -> None:
    sources: list[str] = []

    def note(event: events.Event) -> None:
        if isinstance(event, events.FallbackUsed):
            sources.append(event.source)

    with subscribe(note):
        assert rate("USD") == 1.08
        UP[MAIN] = False
        assert rate("USD") == 1.08  # remembered
        assert rate("CHF") == 0.95  # from the other bank
        UP[BACKUP] = False
        assert rate("CHF") == 1.0  # estimated; what a fallback answered was not remembered
        assert sources == ["cache", "service", "function"]
        print("answered by", ", ".join(sources))

        UP[MAIN] = True
        try:
            rate("EUR")
        except KeyError:
            print("a currency that nobody knows is no failure of the service")


if __name__ == "__main__":
    main()
