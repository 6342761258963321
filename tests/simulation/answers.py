"""Cache, fallback and hedge under watch: who calls, who waits, who answers (F1, F6, L3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from recoup import Cache, CacheConfig, Fallback, FallbackConfig, Hedge, HedgeConfig
from recoup.strategies.cache.flight import Flight
from tests.simulation.parts import GRAIN, Part

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.simulation.parts import Pass

__all__ = ["CachePart", "FallbackPart", "HedgePart"]


class CachePart(Part):
    kind: ClassVar[str] = "cache"
    streams: ClassVar[bool] = False

    def made(self) -> Cache:
        dice = self.dice
        self.calling: dict[Any, int] = {}  # by function and key: plain functions are others
        self.stored: dict[Any, float] = {}
        return Cache(
            CacheConfig(
                ttl=dice.choice((0.5, 5.0)),
                key=lambda operation: operation.key,
                # Plain functions are refreshed in a thread of recoup's own, which nobody can schedule.
                stale_while_revalidate=0.0 if self.world.mixed else dice.choice((0.0, 0.0, 2.0)),
                stale_if_error=dice.choice((0.0, 0.0, 5.0)),
                negative_ttl=dice.choice((None, None, 0.5)),
            ),
            name=self.name,
        )

    def enters(self, passing: Pass) -> Any:
        key = passing.operation.plain, passing.operation.key
        self.expect(not self.calling.get(key), f"a second call for key {key} while the first runs")
        self.calling[key] = 1
        if key in self.stored:
            age = self.now - self.stored[key]
            self.expect(age >= self.strategy.config.ttl - GRAIN, f"a call though a result of {age} s is there")
        return key

    def leaves(self, passing: Pass, entry: Any, error: BaseException | None, result: Any) -> None:
        self.calling[entry] = 0
        if error is None:
            self.stored[entry] = self.now

    def departs(self, passing: Pass, error: BaseException | None, result: Any) -> None:
        if error is not None:
            return
        config, stored = self.strategy.config, self.stored.get((passing.operation.plain, passing.operation.key))
        self.expect(stored is not None, "a result that nobody got")
        if stored is not None:
            age = self.now - stored
            most = config.ttl + max(config.stale_while_revalidate, config.stale_if_error)
            self.expect(age <= most + GRAIN, f"a result of {age} s, at most {most} s allowed")

    def flights(self) -> Iterator[Flight]:
        for row in self.strategy._shelf.store.rows.values():
            for slot in row:
                if isinstance(slot.busy, Flight):
                    yield slot.busy

    def step(self) -> None:
        for flight in self.flights():
            lost = flight._lead and flight.waiting
            self.expect(not lost, f"{len(flight.waiting)} wait for a call that nobody makes")

    def end(self) -> None:
        self.expect(all(flight.idle for flight in self.flights()), "somebody still takes part in a call that is over")


class FallbackPart(Part):
    kind: ClassVar[str] = "fallback"

    def made(self) -> Fallback:
        services = self.world.services
        stand_in = services.stand_in_plain if self.world.mixed else services.stand_in
        return Fallback(FallbackConfig(fallback_service=stand_in), name=self.name)

    def departs(self, passing: Pass, error: BaseException | None, result: Any) -> None:
        if not passing.operation.streams:  # after the first item of a stream its error goes on
            self.expect(not isinstance(error, Exception), f"{error!r} was not answered")


class HedgePart(Part):
    kind: ClassVar[str] = "hedge"
    plain: ClassVar[bool] = False
    streams: ClassVar[bool] = False

    def made(self) -> Hedge:
        dice = self.dice
        return Hedge(
            HedgeConfig(
                idempotent=True,
                delay=dice.choice((0.0, 0.05, 0.5)),
                max_attempts=dice.choice((2, 3)),
                budget=dice.choice((0.1, 1.0)),
                burst=dice.choice((1, 10)),
                grace=dice.choice((0.0, 0.1)),
            ),
            name=self.name,
        )

    def enters(self, passing: Pass) -> None:
        most = self.strategy.config.max_attempts
        self.expect(passing.entries <= most, f"attempt {passing.entries} of {most}")

    def departs(self, passing: Pass, error: BaseException | None, result: Any) -> None:
        patient = self.strategy.config.grace and not passing.operation.cleanup
        if patient and (error is None or isinstance(error, Exception)):
            self.expect(not passing.running, f"{passing.running} attempts still run")

    def end(self) -> None:
        counts, config = self.strategy.metrics, self.strategy.config
        self.expect(counts["calls"] == self.arrived, f"{counts} after {self.arrived} calls")
        # An attempt may be cancelled before it has begun.
        self.expect(self.entered <= counts["calls"] + counts["hedges"], f"{counts}, {self.entered} attempts")
        self.expect(counts["hedges"] <= config.burst + config.budget * counts["calls"] + GRAIN, f"{counts}")
        self.expect(counts["wins"] <= counts["hedges"], f"{counts}")
