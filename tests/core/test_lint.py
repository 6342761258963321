"""What warnings about orders promise (G14)."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from recoup import (
    ErrorRecoveryConfig,
    ErrorRecoveryWorkflow,
    FallbackConfig,
    StackWarning,
    bulkhead,
    circuit_breaker,
    deadline,
    explain,
    fallback,
    inject_faults,
    rate_limit,
    retry,
)

answer = fallback(fallback_value=None)
once = retry(max_attempts=1)
again = retry(max_attempts=3)
limit = deadline(5, mode="cooperative")
faults = inject_faults(error=OSError)

WRONG: list[tuple[list[Any], str]] = [
    ([again, answer], "fallback stands inside retry: it answers every failure.*put @fallback above @retry"),
    ([again, circuit_breaker(), answer], "fallback stands inside retry"),
    (
        [circuit_breaker(), again],
        "circuit_breaker stands outside retry: a whole series.*put @circuit_breaker below @retry",
    ),
    ([limit, again], "a deadline of 5 s stands outside retry and nothing limits one attempt"),
    (
        [circuit_breaker(window_duration=8), limit],
        r"the window of circuit_breaker \(8 s\) is shorter than twice the limit of one call \(5 s\).*_duration of 10 s",
    ),
    (
        [retry(attempt_timeout=20), circuit_breaker(window_duration=30)],
        r"the window of circuit_breaker \(30 s\) is shorter than twice the limit of one call \(20 s\)",
    ),
    ([faults, again], "fault_injection stands outside retry.*put @inject_faults right above the function"),
    ([answer, faults, inject_faults(delay=1), limit], "fault_injection stands outside deadline"),
    ([rate_limit(rate=5), again], "rate_limit stands outside retry: it counts calls.*put @rate_limit below @retry"),
    ([rate_limit(rate=5), once, again], "rate_limit stands outside retry"),
]
RIGHT: list[list[Any]] = [
    [answer, again, circuit_breaker(), limit, bulkhead()],
    [again, fallback(fallback_value=None, on=OSError)],
    [again, fallback(fallback_value=None, skip_on=OSError)],
    [limit, retry(attempt_timeout=1)],
    [limit, again, deadline(1, mode="cooperative")],
    [limit, once],
    [circuit_breaker(window_duration=10), limit],
    [again, again],
    [again, circuit_breaker(), faults],
    [again, faults, inject_faults(delay=1)],
    [again, rate_limit(rate=5)],
    [rate_limit(rate=5), once],
    [rate_limit(rate=5), again, rate_limit(rate=9)],
    [rate_limit(rate=5, max_wait=0), again],
]


def stacked(layers: list[Any]) -> Any:
    """Put layers round a function, as decorators written from the first to the last would."""

    def function() -> None: ...

    decorated: Any = function
    for layer in reversed(layers):
        decorated = layer(decorated)
    return decorated


@pytest.mark.parametrize(("layers", "message"), WRONG)
def test_an_order_that_cannot_be_meant_warns(layers: list[Any], message: str) -> None:
    """Once, with the reason and the mend, pointing at the line that decorates; explain() shows it too."""
    with pytest.warns(StackWarning, match=message) as caught:
        function = stacked(layers)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert explain(function).lints == (str(caught[0].message),)
    assert f"warning: {caught[0].message}" in str(explain(function))


@pytest.mark.parametrize("layers", RIGHT)
def test_an_order_that_can_be_meant_is_silent(layers: list[Any]) -> None:
    """A lint that cries wolf is turned off by everybody."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert explain(stacked(layers)).lints == ()


def test_a_warning_is_not_repeated_by_further_layers() -> None:
    """Only what a new layer makes certain is new."""
    with pytest.warns(StackWarning) as caught:
        stacked([bulkhead(), circuit_breaker(), again])
    assert len(caught) == 1


def test_workflows_never_warn_they_explain() -> None:
    """Their order is canonical, and their limits are configuration (G14)."""
    flow = ErrorRecoveryWorkflow(ErrorRecoveryConfig(fallback_config=FallbackConfig(fallback_value=1)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        protected = again(flow(lambda: 1))
    assert any("fallback stands inside retry" in lint for lint in explain(protected).lints)
    assert any("nothing limits one attempt" in lint for lint in explain(flow).lints)
