"""Orders of decorators that cannot mean what they say (rule G14).

A lint looks at the layers of one stack, outermost first, and gives sentences with the reason and the mend. `explain`
shows them always; decorators written by hand warn when a layer is added that makes one certain. Layers are told apart
by their `kind` and asked for their `config`, so that this file needs none of the rooms.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from recoup._core.strategy import Strategy

__all__ = ["lints"]

_ONCE = ("adaptive_throttle", "bulkhead", "circuit_breaker", "isolation", "rate_limit")  # the same object, in one stack
_SHARED = ("adaptive_throttle", "bulkhead", "cache", "circuit_breaker", "rate_limit")  # worth nothing if not shared


def lints(layers: Sequence[Strategy]) -> list[str]:
    """Give what is wrong with an order of layers; empty if nothing is.

    Args:
        layers: Outermost first, workflows taken apart.
    """
    found: list[str] = []
    for index, outer in enumerate(layers):
        inside = layers[index + 1 :]
        kinds = [layer.kind for layer in inside]
        if outer.kind == "retry" and "fallback" in kinds:
            found.extend(_fallback_inside_retry(inside))
        if outer.kind == "circuit_breaker" and "retry" in kinds:
            found.append(
                "circuit_breaker stands outside retry: a whole series of attempts counts as one outcome, and an open "
                "circuit cannot stop the retrying that is under way; put @circuit_breaker below @retry"
            )
        if outer.kind == "adaptive_throttle" and "retry" in kinds:
            found.append(
                "adaptive_throttle stands outside retry: a whole series of attempts counts as one call, and none of "
                "them can be held back; put @adaptive_throttle below @retry"
            )
        if outer.kind == "rate_limit" and "retry" in kinds:
            found.extend(_limit_outside_retry(outer, inside[kinds.index("retry") :]))
        if outer.kind == "deadline" and "retry" in kinds:
            found.extend(_deadline_outside_retry(outer, inside[kinds.index("retry") :]))
        if outer.kind == "fault_injection" and "fault_injection" not in [layer.kind for layer in layers[:index]]:
            found.extend(_faults_outside(kinds))
        if outer.kind == "isolation":
            found.extend(_split_by_isolation(kinds))
        if outer.kind in _ONCE and any(layer is outer for layer in inside):
            found.append(
                f"the same {outer.kind} stands twice in one stack: each call would take two of its places, or count "
                "twice; leave one of them out"
            )
    found.extend(_short_windows(layers))
    found.extend(_hedged_and_retried(layers))
    found.extend(_not_idempotent(layers))
    return found


def _split_by_isolation(kinds: Sequence[str]) -> Iterator[str]:
    """Look for a layer whose state every worker process would have for itself; `kinds` are those inside."""
    split = next((kind for kind in kinds if kind in _SHARED), None)
    if split is not None:
        yield (
            f"{split} stands inside isolation: every worker process has one of its own, which knows nothing of the "
            "others and goes with its process; put @isolate right above the function"
        )


def _faults_outside(kinds: Sequence[str]) -> Iterator[str]:
    """Look for a layer that never meets the faults; `kinds` are those inside the injection."""
    spared = next((kind for kind in kinds if kind != "fault_injection"), None)
    if spared is not None:
        yield (
            f"fault_injection stands outside {spared}: its faults never reach that layer and tell nothing about it; "
            "put @inject_faults right above the function"
        )


def _fallback_inside_retry(inside: Sequence[Strategy]) -> Iterator[str]:
    for layer in inside:
        config: Any = getattr(layer, "config", None)
        if layer.kind == "fallback" and config.fallback_on_exceptions is None and config.skip_on is None:
            yield (
                "fallback stands inside retry: it answers every failure, so that retry never sees one; put @fallback "
                "above @retry"
            )


def _deadline_outside_retry(deadline: Strategy, inside: Sequence[Strategy]) -> Iterator[str]:
    """Look for a limit of one attempt; `inside` begins with the retry."""
    retry: Any = inside[0]
    limited = retry.config.attempt_timeout is not None or any(layer.kind == "deadline" for layer in inside)
    if retry.config.max_attempts != 1 and not limited:
        config: Any = getattr(deadline, "config", None)
        yield (
            f"a deadline of {config.seconds:g} s stands outside retry and nothing limits one attempt: the first "
            "attempt that hangs uses up all of it; give retry an attempt_timeout, or put another @deadline below @retry"
        )


def _limit_outside_retry(limiter: Strategy, inside: Sequence[Strategy]) -> Iterator[str]:
    """Look for attempts that no limit counts; `inside` begins with the retry.

    A limiter that lets nobody wait may guard a service from its callers, and then it is right to count their calls.
    """
    config: Any = getattr(limiter, "config", None)
    counted = any(layer.kind == "rate_limit" for layer in inside)
    if config.max_wait and not counted and any(layer.config.max_attempts != 1 for layer in _retries(inside)):
        yield (
            "rate_limit stands outside retry: it counts calls, and not their attempts, which is what the service "
            "counts; put @rate_limit below @retry"
        )


def _hedged_and_retried(layers: Sequence[Strategy]) -> Iterator[str]:
    """Look for a retry and a hedge, in any order, that do not share a budget."""
    for hedge in [layer for layer in layers if layer.kind == "hedge"]:
        racing: Any = hedge
        for retry in _retries(layers):
            config = retry.config
            if config.max_attempts != 1 and config.budget is not racing.config.budget:
                attempts = config.max_attempts
                most = "any number of them" if attempts is None else attempts * racing.config.max_attempts
                yield (
                    f"hedge and retry stand in one stack and share no budget: each call may become {most} when the "
                    "service can least bear it; give both the same budget=RetryBudget(...)"
                )


def _short_windows(layers: Sequence[Strategy]) -> Iterator[str]:
    """Compare each breaker's window with what limits one of its calls."""
    for index, layer in enumerate(layers):
        if layer.kind != "circuit_breaker":
            continue
        breaker: Any = layer
        limits = [inner.config.seconds for inner in _limits(layers[index + 1 :])]
        limits += [
            outer.config.attempt_timeout
            for outer in _retries(layers[:index])
            if outer.config.attempt_timeout is not None
        ]
        window = breaker.config.window_duration
        if limits and window is not None and window < 2 * min(limits):
            yield (
                f"the window of circuit_breaker ({window:g} s) is shorter than twice the limit of one call "
                f"({min(limits):g} s): failures of slow calls are forgotten before they add up; give it a "
                f"window_duration of {2 * min(limits):g} s or more"
            )


def _not_idempotent(layers: Sequence[Strategy]) -> Iterator[str]:
    """Look for a retry that repeats what another one must not."""
    retries = _retries(layers)
    if any(layer.config.idempotent is False for layer in retries):
        for layer in retries:
            if layer.config.idempotent is not False and layer.config.max_attempts != 1:
                yield (
                    f"retry {layer.name!r} repeats timeouts of a function that another retry of this stack declares "
                    "not idempotent; give this one idempotent=False as well, or leave one of them out"
                )
        for hedge in [layer for layer in layers if layer.kind == "hedge"]:
            yield (
                f"hedge {hedge.name!r} makes second calls of a function that a retry of this stack declares not "
                "idempotent: both may take effect; leave the hedge out, or idempotent=False"
            )


def _limits(layers: Sequence[Strategy]) -> list[Any]:
    return [layer for layer in layers if layer.kind == "deadline"]


def _retries(layers: Sequence[Strategy]) -> list[Any]:
    return [layer for layer in layers if layer.kind == "retry"]
