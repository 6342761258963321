"""Every strategy object can be changed and begun anew through the same door, and refuses nonsense whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import recoup
from recoup import Strategy

if TYPE_CHECKING:
    from collections.abc import Callable

MAKERS: dict[str, Callable[[], Any]] = {
    "AdaptiveThrottle": recoup.AdaptiveThrottle,
    "Bulkhead": recoup.Bulkhead,
    "Cache": recoup.Cache,
    "CircuitBreaker": recoup.CircuitBreaker,
    "Compensation": lambda: recoup.Compensation(recoup.CompensationConfig(compensation_actions=[print])),
    "ErrorRecoveryWorkflow": recoup.ErrorRecoveryWorkflow,
    "Fallback": lambda: recoup.Fallback(recoup.FallbackConfig(fallback_value=1)),
    "FaultInjection": lambda: recoup.FaultInjection(recoup.FaultInjectionConfig(error=OSError)),
    "Hedge": lambda: recoup.Hedge(recoup.HedgeConfig(delay=1.0, idempotent=True)),
    "Isolation": recoup.Isolation,
    "KeyedCircuitBreaker": lambda: recoup.KeyedCircuitBreaker(key=str),
    "RateLimiter": lambda: recoup.RateLimiter(recoup.RateLimitConfig(rate=10)),
    "RetryExecutor": recoup.RetryExecutor,
    "TimeLimiter": lambda: recoup.TimeLimiter(recoup.DeadlineConfig(3.0)),
}


def test_every_strategy_is_here() -> None:
    """No public strategy class is left out above."""
    public = {name: getattr(recoup, name) for name in recoup.__all__}
    kinds = {name for name, each in public.items() if isinstance(each, type) and issubclass(each, Strategy)}
    assert kinds - {"Strategy"} == MAKERS.keys()


@pytest.mark.parametrize("name", MAKERS)
def test_it_takes_its_own_config_again(name: str) -> None:
    """Nothing changes, and nothing is refused; nor does no change at all."""
    strategy = MAKERS[name]()
    before = strategy.config
    strategy.reconfigure(strategy.config)
    strategy.reconfigure()
    assert strategy.config == before


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize(
    ("args", "changes", "text"),
    [
        ((), {"nonsense": 1}, "got an unexpected keyword argument 'nonsense'"),
        ((), {"name": "another"}, "got an unexpected keyword argument 'name'"),
        ((object(),), {}, "config must be "),
    ],
)
def test_nonsense_is_refused_whole(name: str, args: Any, changes: Any, text: str) -> None:
    """An unknown field, another name and something else than a config, with the same words everywhere (G1)."""
    strategy = MAKERS[name]()
    before = strategy.config
    with pytest.raises(TypeError, match=text):
        strategy.reconfigure(*args, **changes)
    assert strategy.config is before


@pytest.mark.parametrize("name", MAKERS)
def test_it_begins_anew(name: str) -> None:
    """A new object has nothing to forget: it looks and is configured as before."""
    strategy = MAKERS[name]()
    before, config = repr(strategy), strategy.config
    strategy.reset()
    assert (repr(strategy), strategy.config) == (before, config)
