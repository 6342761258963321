"""The circuit breaker under watch: who is let through when, what becomes of probes, what is told (C1-C9)."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any, ClassVar

from recoup import CircuitBreaker, CircuitBreakerConfig, CircuitBreakerError, KeyedCircuitBreaker
from recoup.strategies.circuit_breaker.phases import HalfOpen, Open
from tests.simulation.parts import Part

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.simulation.parts import Pass

__all__ = ["BreakerPart", "KeyedBreakerPart"]

FOLLOWING = {"open": {"half open"}, "half open": {"open", "close"}, "close": {"open"}}


class BreakerPart(Part):
    kind: ClassVar[str] = "breaker"

    def made(self) -> Any:
        self.refused = 0
        self.told: list[str] = []
        self.probing: dict[HalfOpen, int] = {}
        return CircuitBreaker(self.configuration(), name=self.name)

    def configuration(self) -> CircuitBreakerConfig:
        dice = self.dice
        rules: dict[str, Any] = dice.choice(
            (
                {"failure_threshold": dice.choice((1, 2, 3))},
                {"consecutive_failures": 2},
                {"failure_rate": 0.5, "minimum_calls": 3},
            )
        )
        return CircuitBreakerConfig(
            success_threshold=dice.choice((1, 2, 3)),
            timeout=dice.choice((0.2, 1.0, 5.0, [0.5, 2.0])),
            half_open_max=dice.choice((None, 1, 2)),
            half_open_timeout=dice.choice((None, 0.3, 60.0)),
            ramp_up=dice.choice((None, None, 2.0)),
            on_open=self.telling("open"),
            on_half_open=self.telling("half open"),
            on_close=self.telling("close"),
            **rules,
        )

    def meddles(self) -> None:
        dice = self.dice
        self.world.say(f"{self.name} gets other times")
        self.strategy.reconfigure(
            timeout=dice.choice((0.2, 1.0, 5.0)), half_open_timeout=dice.choice((None, 0.3, 60.0))
        )

    def telling(self, word: str) -> Any:
        def tell() -> None:
            self.world.say(f"{self.name} tells: {word}")
            self.told.append(word)

        async def tell_slowly() -> None:
            tell()
            await asyncio.sleep(0.05)

        return self.dice.choice((tell, tell if self.world.mixed else tell_slowly))

    def circuit(self, passing: Pass) -> Any:
        """Give the circuit that a call goes through."""
        return self.strategy._calls.circuit

    def circuits(self) -> Iterator[Any]:
        """Give all there are."""
        yield self.strategy._calls.circuit

    def enters(self, passing: Pass) -> HalfOpen | None:
        self.expect(passing.entries == 1, "a call entered twice")
        phase = self.circuit(passing).phase
        self.expect(not isinstance(phase, Open), "a call was let through, and the circuit is open")
        if not isinstance(phase, HalfOpen):
            return None
        self.probing[phase] = self.probing.get(phase, 0) + 1
        return phase

    def leaves(self, passing: Pass, entry: Any, error: BaseException | None, result: Any) -> None:
        if entry is not None:
            self.probing[entry] -= 1
            if not self.probing[entry]:
                del self.probing[entry]

    def departs(self, passing: Pass, error: BaseException | None, result: Any) -> None:
        self.refused += self.mine(error, CircuitBreakerError) and not passing.entries

    def step(self) -> None:
        config = self.strategy.config
        most = config.half_open_max or config.success_threshold
        for circuit in self.circuits():
            phase = circuit.phase
            if not isinstance(phase, HalfOpen):
                continue
            returned = {key for owner, key, _ in circuit._returned if owner is phase}
            out = len(phase.out.keys() - returned)
            running = self.probing.get(phase, 0)
            self.expect(running <= most, f"{running} probes run at once")
            self.expect(out == running, f"{out} probes are out, and {running} run")

    def end(self) -> None:
        counts = self.strategy.metrics
        self.expect(counts["refused"] == self.refused, f"{counts} after {self.refused} refusals")
        self.check_told(counts)

    def check_told(self, counts: Any) -> None:
        told = self.told
        untold = sum(len(circuit.news) for circuit in self.circuits())
        legal = all(later in FOLLOWING[earlier] for earlier, later in itertools.pairwise(told))
        self.expect(legal and told[:1] in ([], ["open"]), f"told {told}")
        self.expect(0 <= counts["opened"] - told.count("open") <= untold, f"{counts}, told {told}")

    async def proves_alive(self) -> None:
        async def healthy() -> str:
            return "well"

        breaker = self.strategy
        for _ in range(breaker.config.success_threshold):
            if breaker.state.value == "closed":
                break  # and perhaps ramping up
            try:
                await breaker.execute(healthy)
            except CircuitBreakerError as error:
                raise self.world.violation(f"{self.kind}: stuck {breaker.state}: {error}") from None
        self.expect(breaker.state.value == "closed", f"{breaker.state} after enough successful probes")


class KeyedBreakerPart(BreakerPart):
    kind: ClassVar[str] = "keyed breaker"

    def made(self) -> Any:
        self.refused = 0
        self.told = []
        self.probing = {}
        return KeyedCircuitBreaker(self.configuration(), key=lambda operation: operation.key, name=self.name)

    def circuit(self, passing: Pass) -> Any:
        return self.strategy._table.known(passing.operation.key).circuit

    def circuits(self) -> Iterator[Any]:
        for key in range(3):
            calls = self.strategy._table.known(key)
            if calls is not None:
                yield calls.circuit

    def check_told(self, counts: Any) -> None:
        """Expect nothing: what is told of several keys is mixed."""

    async def proves_alive(self) -> None:
        async def healthy(operation: Any) -> str:
            return "well"

        for key in range(3):
            operation = _About(key)
            for _ in range(self.strategy.config.success_threshold):
                if self.strategy.state(key).value == "closed":
                    break
                try:
                    await self.strategy.execute(healthy, operation)
                except CircuitBreakerError as error:
                    raise self.world.violation(f"{self.kind}: stuck with key {key}: {error}") from None
            self.expect(self.strategy.state(key).value == "closed", f"not closed with key {key}")


class _About:
    def __init__(self, key: int) -> None:
        self.key = key
