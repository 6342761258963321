"""Hedging and retry without a shared budget (G14)."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from recoup import RetryBudget, StackWarning, explain, retry
from recoup.strategies.hedge.strategy import hedge

SHARED = RetryBudget()
UNSHARED: list[tuple[Any, Any]] = [(None, 0.1), (SHARED, 0.1), (None, SHARED), (RetryBudget(), SHARED)]


def stacked(outer: Any, inner: Any) -> Any:
    async def fetch() -> None:
        """Never called."""

    return outer(inner(fetch))


@pytest.mark.parametrize("retry_outside", [True, False])
@pytest.mark.parametrize(("retries", "hedges"), UNSHARED)
def test_without_a_shared_budget_it_is_reported(retries: Any, hedges: Any, *, retry_outside: bool) -> None:
    """A warning at the decoration, and a lint in `explain`, with the load and the mend (G14)."""
    layers = [retry(max_attempts=3, budget=retries), hedge(delay=1, idempotent=True, budget=hedges)]
    with pytest.warns(StackWarning, match="each call may become 6.*give both the same budget=RetryBudget") as caught:
        function = stacked(*(layers if retry_outside else reversed(layers)))
    assert caught[0].filename == __file__
    assert explain(function).lints == (str(caught[0].message),)


def test_retries_without_end_are_no_number() -> None:
    """The load that the lint tells is then any (G14)."""
    with pytest.warns(StackWarning, match="each call may become any number of them when"):
        stacked(retry(max_attempts=None), hedge(delay=1, idempotent=True))


@pytest.mark.parametrize("retry_outside", [True, False])
def test_a_hedge_of_what_is_not_idempotent_is_reported(*, retry_outside: bool) -> None:
    """One of the two declarations is wrong, and the hedge's is the one that does harm (G14, L3)."""
    layers = [retry(idempotent=False, budget=SHARED), hedge(delay=1, idempotent=True, budget=SHARED, name="twice")]
    with pytest.warns(StackWarning, match="hedge 'twice' makes second calls of a function that a retry .* not idempot"):
        function = stacked(*(layers if retry_outside else reversed(layers)))
    assert len(explain(function).lints) == 1


@pytest.mark.parametrize("options", [{"max_attempts": 3, "budget": SHARED}, {"max_attempts": 1}])
def test_a_stack_that_can_be_meant_is_silent(options: dict[str, Any]) -> None:
    """With a shared budget, or where nothing is retried, there is nothing to say (G14)."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        function = stacked(retry(**options), hedge(delay=1, idempotent=True, budget=SHARED))
    assert explain(function).lints == ()
