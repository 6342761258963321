"""CompensationConfig: every field refuses what cannot be meant, and says so (rule G1)."""

from __future__ import annotations

import copy
import dataclasses
import math
import pickle
import re
from collections import deque
from datetime import timedelta
from functools import partial
from typing import Any, get_type_hints

import pytest

from recoup.strategies.compensation.config import CompensationConfig


def undo() -> None:
    pass


def undo_two(first: object, second: object) -> None:
    pass


def undo_named(*, order: object) -> None:
    pass


async def undo_async() -> None:
    pass


def test_defaults_are_those_of_the_contract() -> None:
    """The defaults are the documented ones."""
    config = CompensationConfig()
    assert (config.compensation_actions, config.save_state, config.use_sagas) == ([], True, False)
    assert (config.saga_timeout, config.compensation_attempts, config.compensation_delay) == (300.0, 1, 1.0)
    assert (config.on_compensation_start, config.on_compensation_complete, config.raise_original) == (None, None, False)


def test_each_config_has_its_own_default_list() -> None:
    """Two configs without actions do not share one list."""
    assert CompensationConfig().compensation_actions is not CompensationConfig().compensation_actions


def test_the_list_is_the_users_own_object() -> None:
    """S3: the list is kept, not copied, so that it can be appended to; an empty one is legal."""
    actions: list[Any] = []
    config = CompensationConfig(compensation_actions=actions)
    assert config.compensation_actions is actions
    assert dataclasses.replace(config, raise_original=True).compensation_actions is actions


@pytest.mark.parametrize("listed", [(undo,), deque([undo]), [undo, undo_async, partial(undo_two, 1), print, dict]])
def test_any_sequence_of_callables_will_do(listed: Any) -> None:
    """A tuple or deque is as good as a list, and anything callable is an action."""
    assert CompensationConfig(compensation_actions=listed).compensation_actions is listed


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        (None, "compensation_actions must be a list of callables, not None"),
        ("undo", "compensation_actions must be a list of callables, not 'undo'"),
        (b"undo", "compensation_actions must be a list of callables, not b'undo'"),
        ({undo}, "compensation_actions must be a list of callables, not {<function undo"),
        (iter([undo]), "compensation_actions must be a list of callables, not <list_iterator"),
        (3, "compensation_actions must be a list of callables, not 3"),
        (undo, "for a single one write [undo]"),
        (partial(undo), "for a single one write [undo]"),
        ([undo, 3], "compensation_actions[1] must be callable, not 3 (int)"),
        ([("undo", 1)], "compensation_actions[0] must be callable, not ('undo', 1) (tuple)"),
        ([None], "compensation_actions[0] must be callable, not None (NoneType)"),
        ([undo_two], "compensation_actions[0]: 'undo_two' asks for first, second, but an action gets one argument"),
        ([undo_named], "compensation_actions[0]: 'undo_named' asks for order, but an action gets one argument"),
        ([partial(undo_two)], "compensation_actions[0]: 'undo_two' asks for first, second"),
    ],
)
def test_compensation_actions_refuse(listed: Any, message: str) -> None:
    """G1: what is no list of actions is refused, with the place in the list."""
    with pytest.raises(TypeError, match=re.escape(message)):
        CompensationConfig(compensation_actions=listed)


def test_a_call_already_made_is_no_action() -> None:
    """G1: `[release(1)]` in place of `[lambda: release(1)]` is named for what it is."""
    coroutine = undo_async()
    with pytest.raises(TypeError, match=r"compensation_actions\[0\] is a call already made .* or a lambda round the"):
        CompensationConfig(compensation_actions=[coroutine])  # type: ignore[list-item]
    coroutine.close()


@pytest.mark.parametrize("field", ["save_state", "use_sagas", "raise_original"])
@pytest.mark.parametrize("value", [0, 1, None, "yes", math.nan])
def test_flags_are_real_bools(field: str, value: Any) -> None:
    """G1: a flag is True or False, nothing that merely looks like it."""
    with pytest.raises(TypeError, match=f"{field} must be True or False, not {value!r}"):
        CompensationConfig(**{field: value})


@pytest.mark.parametrize("field", ["saga_timeout", "compensation_delay"])
@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        ("3", TypeError, "must be seconds (int or float) or a timedelta, not '3' (str)"),
        (None, TypeError, "must be seconds (int or float) or a timedelta, not None (NoneType)"),
        (True, TypeError, "must be seconds (int or float) or a timedelta, not True (bool)"),
        (math.nan, ValueError, "and finite, not nan"),
        (math.inf, ValueError, "and finite, not inf"),
        (-1, ValueError, "and finite, not -1"),
        (timedelta(seconds=-1), ValueError, "and finite, not -1.0"),
    ],
)
def test_durations_refuse(field: str, value: Any, kind: type[Exception], message: str) -> None:
    """G1: a duration is a finite number of seconds."""
    with pytest.raises(kind, match=f"^{field} .*{re.escape(message)}"):
        CompensationConfig(compensation_attempts=2, **{field: value})


def test_no_time_at_all_is_refused() -> None:
    """G1: a `saga_timeout` of zero would undo nothing."""
    with pytest.raises(ValueError, match="saga_timeout must be greater than 0 and finite, not 0"):
        CompensationConfig(saga_timeout=0)


def test_timedeltas_are_durations() -> None:
    """A timedelta is taken as seconds."""
    config = CompensationConfig(
        saga_timeout=timedelta(minutes=1), compensation_attempts=2, compensation_delay=timedelta(seconds=0)
    )
    assert (config.saga_timeout, config.compensation_delay) == (60.0, 0.0)


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        ("3", TypeError, "compensation_attempts must be a whole number, not '3' (str)"),
        (2.0, TypeError, "compensation_attempts must be a whole number, not 2.0 (float)"),
        (math.nan, TypeError, "compensation_attempts must be a whole number, not nan (float)"),
        (math.inf, TypeError, "compensation_attempts must be a whole number, not inf (float)"),
        (True, TypeError, "compensation_attempts must be a whole number, not True (bool)"),
        (0, ValueError, "compensation_attempts must be at least 1, not 0"),
        (-1, ValueError, "compensation_attempts must be at least 1, not -1"),
    ],
)
def test_compensation_attempts_refuse(value: Any, kind: type[Exception], message: str) -> None:
    """G1: attempts are counted from one."""
    with pytest.raises(kind, match=re.escape(message)):
        CompensationConfig(compensation_attempts=value)


@pytest.mark.parametrize("field", ["on_compensation_start", "on_compensation_complete"])
@pytest.mark.parametrize("value", [1, "print", [print], True, math.nan])
def test_callbacks_are_callable(field: str, value: Any) -> None:
    """G1: a callback can be called."""
    with pytest.raises(TypeError, match=f"^{field} must be callable or None, not {re.escape(repr(value))}"):
        CompensationConfig(**{field: value})


def test_a_delay_needs_attempts() -> None:
    """G1: a pause between tries contradicts a single try."""
    with pytest.raises(ValueError, match=r"compensation_delay \(2 s\) is the pause .* give compensation_attempts=2 or"):
        CompensationConfig(compensation_delay=2.0)


@pytest.mark.parametrize("delay", [5, 6.0])
def test_a_delay_must_fit(delay: float) -> None:
    """G1: a pause that is as long as all the time there is contradicts a second try."""
    with pytest.raises(ValueError, match=rf"compensation_delay \({delay:g} s\) must be shorter than saga_timeout"):
        CompensationConfig(compensation_attempts=2, compensation_delay=delay, saga_timeout=5)
    CompensationConfig(compensation_attempts=2, compensation_delay=4.9, saga_timeout=5)


def test_the_default_delay_yields() -> None:
    """G1: the default pause gets shorter with a short `saga_timeout`, and survives `replace`."""
    config = CompensationConfig(compensation_attempts=3, saga_timeout=2)
    assert config.compensation_delay == 0.2
    assert dataclasses.replace(config, compensation_attempts=1).compensation_delay == 0.2
    assert CompensationConfig(saga_timeout=60).compensation_delay == 1.0


def test_configs_are_immutable_copy_and_pickle() -> None:
    """A config cannot be changed, and travels."""
    config = CompensationConfig(compensation_actions=[undo], on_compensation_start=undo, compensation_attempts=2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.save_state = False  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(config)) == copy.deepcopy(config) == config  # noqa: S301 - our own bytes


def test_fields_are_keywords() -> None:
    """Fields cannot be mixed up by position."""
    with pytest.raises(TypeError, match="takes 1 positional argument"):
        CompensationConfig([undo])  # type: ignore[call-arg]


@pytest.mark.parametrize("holder", [CompensationConfig, CompensationConfig.__init__])
def test_annotations_can_be_read(holder: Any) -> None:
    """What reads configs by their annotations, as loaders of settings do, finds every name in them."""
    hints = get_type_hints(holder)
    assert {field.name for field in dataclasses.fields(CompensationConfig)} <= set(hints)
    assert hints["saga_timeout"] == float | timedelta
