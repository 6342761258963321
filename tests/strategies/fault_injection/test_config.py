"""What FaultInjectionConfig, FaultInjection and @inject_faults refuse (G1)."""

from __future__ import annotations

import copy
import dataclasses
import math
import pickle
import threading
from datetime import timedelta
from typing import Any, get_type_hints

import pytest

import recoup
from recoup import FaultInjection, FaultInjectionConfig
from recoup._core.colour import Colour
from recoup._core.strategy import Worst

untyped: Any = FaultInjection  # called in every way, wrong ones included
inject_faults: Any = recoup.inject_faults


class Demanding(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)


async def later(*args: object) -> Any:
    return args


SECONDS = "delay must be seconds (int or float) or a timedelta"
RANGE = "delay must be greater than 0 and finite"
NUMBERS = "schedule must hold the numbers of calls (a list, a set, a range) or be a function of the number, not"
BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({}, ValueError, "nothing is to be done: give error, delay, run or change_result"),
    ({"rate": 0.5}, ValueError, "nothing is to be done"),
    ({"error": OSError("x")}, TypeError, "error must be an exception type or a function that makes an exception, not"),
    ({"error": [OSError]}, TypeError, "error must be an exception type or a function that makes an exception, not"),
    ({"error": int}, TypeError, "error must list exception types, not <class 'int'>"),
    ({"error": KeyboardInterrupt}, ValueError, "error must not list KeyboardInterrupt: it is control flow"),
    ({"error": Demanding}, TypeError, "error cannot make a Demanding without arguments"),
    ({"error": Demanding}, TypeError, "give a function that makes one, as in lambda: Demanding(...)"),
    ({"error": later}, TypeError, "error must be a plain function, not the async function"),
    ({"error": OSError, "after_call": 1}, TypeError, "after_call must be True or False, not 1"),
    ({"delay": 1, "after_call": True}, ValueError, "after_call has no meaning without error"),
    ({"delay": 1, "after_items": 1}, ValueError, "after_items has no meaning without error"),
    ({"error": OSError, "after_items": 0}, ValueError, "after_items must be at least 1, not 0"),
    ({"error": OSError, "after_items": -1}, ValueError, "after_items must be at least 1, not -1"),
    ({"error": OSError, "after_items": True}, TypeError, "after_items must be a whole number, not True"),
    ({"error": OSError, "after_items": 1.0}, TypeError, "after_items must be a whole number, not 1.0"),
    ({"error": OSError, "after_items": 1, "after_call": True}, ValueError, "both say when the error comes: give one"),
    ({"error": OSError, "change_result": str}, ValueError, "change_result has no meaning beside an error"),
    ({"delay": 0}, ValueError, f"{RANGE}, not 0"),
    ({"delay": -1}, ValueError, f"{RANGE}, not -1"),
    ({"delay": math.nan}, ValueError, f"{RANGE}, not nan"),
    ({"delay": math.inf}, ValueError, f"{RANGE}, not inf"),
    ({"delay": timedelta(0)}, ValueError, f"{RANGE}, not 0.0"),
    ({"delay": True}, TypeError, f"{SECONDS}, not True (bool)"),
    ({"delay": "1"}, TypeError, f"{SECONDS}, not '1' (str)"),
    ({"delay": later}, TypeError, "delay must be a plain function, not the async function"),
    ({"run": 3}, TypeError, "run must be callable or None, not 3 (int)"),
    ({"change_result": 3}, TypeError, "change_result must be callable or None, not 3 (int)"),
    ({"delay": 1, "rate": -0.1}, ValueError, "rate must be at least 0 and at most 1, not -0.1"),
    ({"delay": 1, "rate": 1.1}, ValueError, "rate must be at least 0 and at most 1, not 1.1"),
    ({"delay": 1, "rate": math.nan}, ValueError, "rate must be at least 0 and at most 1, not nan"),
    ({"delay": 1, "rate": math.inf}, ValueError, "rate must be at least 0 and at most 1, not inf"),
    ({"delay": 1, "rate": True}, TypeError, "rate must be a number, not True (bool)"),
    ({"delay": 1, "rate": None}, TypeError, "rate must be a number, not None"),
    ({"delay": 1, "rate": 0.5, "seed": 1.5}, TypeError, "seed must be a whole number, not 1.5 (float)"),
    ({"delay": 1, "rate": 0.5, "seed": True}, TypeError, "seed must be a whole number, not True (bool)"),
    ({"delay": 1, "seed": 1}, ValueError, "seed has no meaning with a rate of 1: it leaves nothing to chance"),
    ({"delay": 1, "rate": 0, "seed": 1}, ValueError, "seed has no meaning with a rate of 0"),
    ({"delay": 1, "schedule": 3}, TypeError, f"{NUMBERS} 3"),
    ({"delay": 1, "schedule": "135"}, TypeError, f"{NUMBERS} '135'"),
    ({"delay": 1, "schedule": iter([1])}, TypeError, NUMBERS),
    ({"delay": 1, "schedule": later}, TypeError, "schedule must be a plain function, not the async function"),
    ({"delay": 1, "predicate": [1]}, TypeError, "predicate must be callable or None, not [1] (list)"),
    ({"delay": 1, "predicate": later}, TypeError, "predicate must be a plain function, not the async function"),
]


@pytest.mark.parametrize(("given", "error", "message"), BAD)
def test_bad_values_are_named(given: dict[str, Any], error: type[Exception], message: str) -> None:
    """Config and decorator refuse alike, at once, with the argument and the value in the message."""
    for make in (FaultInjectionConfig, inject_faults):
        with pytest.raises(error) as caught:
            make(**given)
        assert message in str(caught.value)


def test_every_field_has_a_bad_value_above() -> None:
    """No field can be added without a test of what it refuses."""
    assert {field.name for field in dataclasses.fields(FaultInjectionConfig)} == {
        name for bad in BAD for name in bad[0]
    }


@pytest.mark.parametrize("holder", [FaultInjectionConfig, FaultInjectionConfig.__init__])
def test_annotations_can_be_read(holder: Any) -> None:
    """What reads configs by their annotations finds every name in them."""
    assert {field.name for field in dataclasses.fields(FaultInjectionConfig)} <= set(get_type_hints(holder))


def test_configs_are_immutable_copy_and_pickle() -> None:
    """G1: a config is checked once and stays what it is."""
    config = FaultInjectionConfig(error=OSError, delay=timedelta(seconds=2), rate=0.5, seed=3, schedule=range(9))
    assert config.delay == 2.0
    assert pickle.loads(pickle.dumps(config)) == copy.deepcopy(config) == dataclasses.replace(config) == config  # noqa: S301 - our own bytes
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.rate = 1.0  # type: ignore[misc]  # that is the point


def test_ways_to_write_it() -> None:
    """Keywords, a config, an object to share; names as for every strategy."""
    config = FaultInjectionConfig(delay=1)
    faults = FaultInjection(config, name="slow")
    assert inject_faults(config).config is config
    assert inject_faults(config, name="slow").name == "slow"
    assert inject_faults(faults) is faults
    assert inject_faults(delay=1, name="slow").config == config
    assert inject_faults(delay=1).name == "fault_injection"


@pytest.mark.parametrize(
    ("write", "error", "message"),
    [
        (
            lambda: inject_faults(test_ways_to_write_it),
            TypeError,
            "'test_ways_to_write_it' does not say what to inject",
        ),
        (lambda: inject_faults(OSError), TypeError, "@inject_faults round 'OSError' does not say what to inject"),
        (lambda: inject_faults(delay=1, speed=2), TypeError, "unexpected keyword argument 'speed'"),
        (lambda: inject_faults(delay=1, sed=2), TypeError, "did you mean 'seed'"),
        (lambda: inject_faults(delay=1, on=OSError), TypeError, "unexpected keyword argument 'on'"),
        (lambda: inject_faults(FaultInjectionConfig(delay=1), rate=0.5), TypeError, "a config or keywords, not both"),
        (lambda: untyped(3), TypeError, "config must be a FaultInjectionConfig, not 3"),
        (untyped, TypeError, "config"),
        (lambda: inject_faults(error=OSError, after_items=2)(later), TypeError, "after_items counts what a generator"),
        (
            lambda: inject_faults(error=OSError, after_call=True, change_result=str)(later),
            TypeError,
            "change_result has no meaning for 'later': with after_call nobody sees it",
        ),
        (lambda: inject_faults(run=later)(len), TypeError, "run of fault_injection is an async function, but 'len'"),
        (lambda: inject_faults(change_result=later)(len), TypeError, "change_result of fault_injection is an async"),
    ],
)
def test_wrong_ways_to_write_it(write: Any, error: type[Exception], message: str) -> None:
    """The message says what to write instead."""
    with pytest.raises(error) as caught:
        write()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("options", "does"),
    [
        ({"error": OSError}, "OSError into every call"),
        ({"error": OSError, "after_call": True, "rate": 0.25}, "OSError after the call into 0.25 of the calls"),
        ({"error": OSError, "after_items": 2}, "OSError after 2 items into every call"),
        ({"delay": 2, "schedule": [1]}, "a delay of 2 s into every call on schedule"),
        ({"delay": lambda: 2, "predicate": len}, "a delay of its own into every call that its predicate picks"),
        ({"run": print, "change_result": str}, "a call of 'print', a changed result into every call"),
    ],
)
def test_explained(options: dict[str, Any], does: str) -> None:
    """G14: `explain` says what is done to which calls, and whether it is; a delay counts while it is armed."""
    faults = inject_faults(**options)
    explained = recoup.explain(faults)
    assert explained.says == ((f"injects {does}", "is not armed: every call passes"),)
    delay = options.get("delay")
    assert faults._worst(Worst(3, 5), Colour.ASYNC) == Worst(3, 5)
    with faults.armed():
        assert recoup.explain(faults).says[0][1] == "is armed"
        slow = math.inf if callable(delay) else 5 + (delay or 0)
        assert faults._worst(Worst(3, 5), Colour.ASYNC) == Worst(3, slow)


def test_repr_tells_whether_it_is_armed() -> None:
    """`repr` shows what is done, and where."""
    faults = inject_faults(delay=2, error=OSError, name="outage")
    assert repr(faults) == "<FaultInjection 'outage': a delay of 2 s, OSError; not armed>"
    with faults.armed():
        assert repr(faults) == "<FaultInjection 'outage': a delay of 2 s, OSError; armed>"
    seen: list[str] = []
    with faults.armed():
        thread = threading.Thread(target=lambda: seen.append(repr(faults)))
        thread.start()
        thread.join()
    assert seen == ["<FaultInjection 'outage': a delay of 2 s, OSError; not armed here>"]
