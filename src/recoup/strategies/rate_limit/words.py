"""What a rate limit does, in words, for `explain`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from recoup.strategies.rate_limit.config import RateLimitConfig

__all__ = ["says"]


def says(config: RateLimitConfig) -> Sequence[str]:
    """Say what the limits do, in a few short sentences."""
    whose = "" if config.key is None else " for each key"
    if config.mode == "window":
        sentences = [f"lets {config.rate} calls begin in any {config.per:g} s{whose}"]
    else:
        sentences = [f"lets {config.rate} calls begin in {config.per:g} s{whose}, and up to {config.most} at once"]
    if config.adaptive is not None:
        sentences.append(f"lowers that when the service asks for less, to no less than {config.adaptive.min_rate}")
    if config.weight != 1:
        each = "what its arguments say" if callable(config.weight) else str(config.weight)
        sentences.append(f"counts each call as {each}")
    if config.max_wait:
        sentences.append(f"lets others wait for up to {config.max_wait:g} s, first come first served")
    sentences.append("refuses the rest at once; refusals of ours open no circuit and are not retried")
    return sentences
