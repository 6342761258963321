"""What one rim round a callable promises (G5, G6, W1)."""

from __future__ import annotations

import asyncio
import copy
import functools
import gc
import inspect
import pickle
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest

from recoup import RetryExecutor, bulkhead, layers_of, retry

ROOT = Path(__file__).parents[2]


def quick() -> RetryExecutor:
    """Make an executor that does not wait."""
    return retry(max_attempts=3, initial_delay=0)


class Flaky:
    """Fails a number of times, then answers; counts calls."""

    def __init__(self, failures: int = 2) -> None:
        self.left = failures
        self.calls = 0

    def __call__(self, answer: Any = "ok") -> Any:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise ConnectionError("lost")
        return answer


@quick()
def module_level(x: int, *, y: int = 2) -> int:
    """Add two numbers."""
    return x + y


@quick()
async def module_level_async(x: int) -> int:
    return x


class Service:
    """All kinds of methods, above and below the descriptor decorators."""

    flaky = Flaky(0)

    @quick()
    def method(self, x: int) -> Any:
        return (self, Service.flaky(x))

    @quick()
    async def async_method(self, x: int) -> Any:
        return (self, Service.flaky(x))

    @classmethod
    @quick()
    def class_below(cls, x: int) -> Any:
        return (cls, Service.flaky(x))

    @quick()
    @classmethod
    def class_above(cls, x: int) -> Any:
        return (cls, Service.flaky(x))

    @staticmethod
    @quick()
    def static_below(x: int) -> Any:
        return Service.flaky(x)

    @quick()
    @staticmethod
    def static_above(x: int) -> Any:
        return Service.flaky(x)

    partial = quick()(functools.partialmethod(lambda self, x: (self, Service.flaky(x)), 7))  # type: ignore[type-var]  # a descriptor that no checker knows

    @property
    @quick()
    def below_property(self) -> Any:
        return Service.flaky(5)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Service)

    def __hash__(self) -> int:
        return 1


class CallableObject:
    """A callable with state of its own."""

    def __init__(self) -> None:
        self.flaky = Flaky(0)
        self.attribute = "kept"

    def __call__(self, x: int) -> Any:
        return self.flaky(x)


carried: Any = quick()(CallableObject())


def test_methods_of_every_kind_are_protected_and_bound() -> None:
    """Above or below @classmethod, @staticmethod and @property, and partialmethods (G5)."""
    service = Service()
    cases: list[tuple[Any, Any]] = [
        (lambda: service.method(1), (service, 1)),
        (lambda: Service.method(service, 1), (service, 1)),
        (lambda: asyncio.run(service.async_method(1)), (service, 1)),
        (lambda: service.class_below(1), (Service, 1)),
        (lambda: Service.class_above(1), (Service, 1)),
        (lambda: service.static_below(1), 1),
        (lambda: Service.static_above(1), 1),
        (service.partial, (service, 7)),
        (lambda: service.below_property, 5),
    ]
    for call, expected in cases:
        Service.flaky = Flaky(2)
        assert call() == expected
        assert Service.flaky.calls == 3


def test_callable_objects_partials_and_bound_methods_are_protected() -> None:
    """What is no function keeps its attributes (G5, G6)."""
    carried.flaky = Flaky(2)
    assert carried(4) == 4
    assert carried.flaky.calls == 3
    assert carried.attribute == "kept"

    flaky = Flaky(2)
    partial = quick()(functools.partial(flaky, "done"))
    assert partial() == "done"
    assert (partial.args, flaky.calls) == (("done",), 3)

    owner = CallableObject()
    owner.flaky = Flaky(2)
    bound: Any = quick()(owner.__call__)
    assert (bound(3), owner.flaky.calls) == (3, 3)
    assert bound.__self__ is owner


def test_async_callable_objects_are_protected() -> None:
    """An `async def __call__` is awaited (G5)."""
    flaky = Flaky(2)

    class Caller:
        async def __call__(self) -> Any:
            return flaky()

    assert asyncio.run(quick()(Caller())()) == "ok"
    assert asyncio.run(quick()(functools.partial(Caller()))()) == "ok"


def test_builtins_are_protected() -> None:
    """A function written in C becomes a function."""
    assert quick()(len)([1, 2]) == 2
    assert quick()(len).__name__ == "len"


def test_a_sync_looking_function_that_returns_a_coroutine_is_retried_asynchronously() -> None:
    """The coroutine that was made is the first attempt; later ones call again (G5)."""
    flaky = Flaky(2)
    made = 0

    async def work() -> Any:
        return flaky()

    @quick()
    def looks_plain() -> Any:
        nonlocal made
        made += 1
        return work()

    assert not inspect.iscoroutinefunction(looks_plain)
    assert asyncio.run(looks_plain()) == "ok"
    assert (made, flaky.calls) == (3, 3)
    flaky.left = 9
    with pytest.raises(ConnectionError) as caught:
        asyncio.run(looks_plain())
    assert caught.value.__notes__[0].startswith("recoup: 3 attempts")


def test_a_function_that_fails_before_it_makes_its_coroutine_is_retried_synchronously() -> None:
    """Each attempt may fail in either way."""
    plain, inner = Flaky(1), Flaky(1)

    async def work() -> Any:
        return inner()

    @quick()
    def looks_plain() -> Any:
        plain()
        return work()

    assert asyncio.run(looks_plain()) == "ok"
    assert (plain.calls, inner.calls) == (3, 2)


def test_other_awaitables_pass_through_untouched() -> None:
    """A future is not ours to await (G5)."""

    async def main() -> None:
        future = asyncio.get_running_loop().create_future()
        assert quick()(lambda: future)() is future
        future.cancel()

    asyncio.run(main())


def test_a_plain_value_on_a_later_attempt_of_an_adopted_coroutine_is_the_answer() -> None:
    """A function may return a coroutine now and a value later."""

    async def fails() -> Any:
        raise ConnectionError

    answers = iter([fails(), "plain"])
    adopted: Any = quick()(lambda: next(answers))
    assert asyncio.run(adopted()) == "plain"


def test_the_decorated_function_looks_like_the_original() -> None:
    """Name, docstring, signature, source and __wrapped__ are kept (G6)."""
    assert module_level.__name__ == "module_level"
    assert module_level.__qualname__ == "module_level"
    assert module_level.__doc__ == "Add two numbers."
    assert str(inspect.signature(module_level)) == "(x: 'int', *, y: 'int' = 2) -> 'int'"
    assert "return x + y" in inspect.getsource(module_level)
    assert module_level.__wrapped__(1) == 3  # type: ignore[attr-defined]
    assert module_level.__module__ == __name__


def test_the_colour_is_kept() -> None:
    """inspect and asyncio see the same kind of function (G6)."""

    @quick()
    def stream() -> Any:
        yield

    @quick()
    async def async_stream() -> Any:
        yield

    assert inspect.iscoroutinefunction(module_level_async)
    assert not inspect.iscoroutinefunction(module_level)
    assert inspect.isgeneratorfunction(stream)
    assert inspect.isasyncgenfunction(async_stream)
    assert inspect.iscoroutinefunction(quick()(functools.partial(module_level_async, 1)))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_what_a_name_leads_to_pickles_by_reference(protocol: int) -> None:
    """Functions, methods of every kind and callable objects (G6)."""
    for target in (module_level, module_level_async, Service.class_above, Service.static_above, carried):
        assert pickle.loads(pickle.dumps(target, protocol)) == target  # noqa: S301 - our own bytes
    assert pickle.loads(pickle.dumps(carried, protocol)) is carried  # noqa: S301
    assert pickle.loads(pickle.dumps(Service().method, protocol))(3) == (Service(), 3)  # noqa: S301
    assert pickle.loads(pickle.dumps(Service().partial, protocol))()[1] == 7  # noqa: S301


def test_what_no_name_leads_to_says_so() -> None:
    """A PicklingError that says why, not a traceback from within (G6)."""

    @quick()
    def local() -> None: ...

    for target in (local, quick()(CallableObject()), quick()(functools.partial(module_level))):
        with pytest.raises((pickle.PicklingError, AttributeError), match=r"pickle|local object"):
            pickle.dumps(target)


def test_copies_are_the_thing_itself() -> None:
    """As for any function (G6)."""
    for target in (module_level, carried):
        assert copy.copy(target) is target
        assert copy.deepcopy({"f": target})["f"] is target


def test_decorators_stack_in_written_order_round_one_rim() -> None:
    """A layer put on a protected function joins its list; __wrapped__ is the user's function (G14)."""

    def function() -> None: ...

    inner, outer = RetryExecutor(), RetryExecutor()
    once = inner(function)
    twice = outer(once)
    assert layers_of(twice) == (outer, inner)
    assert layers_of(once) == (inner,)
    assert twice.__wrapped__ is function  # type: ignore[attr-defined]
    assert layers_of(function) == ()
    object_once = inner(CallableObject())
    assert layers_of(outer(object_once)) == (outer, inner)


def test_a_foreign_decorator_in_the_middle_is_kept() -> None:
    """functools.wraps copies attributes and __wrapped__; it is called all the same (peers: silently dropped)."""
    calls: list[str] = []

    def foreign(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any) -> Any:
            calls.append("foreign")
            return function(*args)

        return wrapper

    flaky = Flaky(2)
    inner, outer = RetryExecutor(), RetryExecutor()

    @outer
    @foreign
    @quick()
    def function() -> Any:
        return flaky()

    assert function() == "ok"
    assert calls == ["foreign"]
    assert layers_of(function) == (outer,)
    assert layers_of(inner) == ()


def test_layers_of_finds_the_layers_of_everything() -> None:
    """Functions, bound methods, descriptors and objects; nothing for what is not protected."""
    for target in (module_level, Service().method, Service.class_above, Service.__dict__["static_above"], carried):
        assert [layer.kind for layer in layers_of(target)] == ["retry"]
    assert [layer.kind for layer in layers_of(Service().partial)] == ["retry"]
    for target in (len, 5, None, [], Service, functools.partial(module_level)):
        assert layers_of(target) == ()


def test_a_rim_does_not_outlive_its_function() -> None:
    """Nothing but the decorated function holds the rim, and with it the undecorated one."""

    def function() -> None: ...

    decorated: Any = quick()(function)
    gone, target = weakref.ref(decorated), weakref.ref(function)
    del decorated, function
    gc.collect()
    assert gone() is target() is None


def test_the_name_is_that_of_the_first_function() -> None:
    """Or the one that was given."""
    unnamed, named = RetryExecutor(), RetryExecutor(name="mine")
    assert unnamed.name == "retry"
    for strategy in (unnamed, named):
        strategy(module_level)
        strategy(module_level_async)
    assert (unnamed.name, named.name) == ("module_level", "mine")


def test_attributes_of_the_function_are_kept() -> None:
    """Whatever a framework marked it with."""

    def function() -> None: ...

    function.route = "/x"  # type: ignore[attr-defined]
    assert quick()(function).route == "/x"  # type: ignore[attr-defined]


def test_a_function_can_be_sent_to_a_process_pool() -> None:
    """It pickles there and works there (G6)."""
    script = (
        "import multiprocessing, concurrent.futures\n"
        "from tests.core.test_rim import module_level\n"
        "context = multiprocessing.get_context('spawn')\n"
        "with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:\n"
        "    print(pool.submit(module_level, 1, y=5).result(timeout=60))\n"
    )
    done = subprocess.run(  # in a process of its own, for multiprocessing leaves a helper behind
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout == "6\n", done.stderr


def test_a_function_that_calls_itself_is_not_kept() -> None:
    """What is decorated inside a function dies with it, also if its own body refers to it (G11)."""

    def made() -> weakref.ref[Any]:
        @retry
        def countdown(number: int) -> int:
            return number and countdown(number - 1)

        assert countdown(3) == 0
        return weakref.ref(countdown)

    kept = made()
    gc.collect()
    assert kept() is None


def test_a_copied_attribute_makes_no_rim() -> None:
    """`functools.wraps` copies whatever is on a function; the layers of another one are not one's own (G5)."""

    @retry
    def inner() -> int:
        return 1

    @functools.wraps(inner)
    def foreign() -> int:
        return inner() + 1

    assert layers_of(foreign) == ()
    assert bulkhead(foreign)() == 2


def test_an_attribute_that_is_copied_by_value_is_no_rim() -> None:
    """Tools that pickle functions by value, attributes and all, get a function without layers, and no error."""

    @retry
    def fetch() -> int:
        return 1

    attributes = pickle.loads(pickle.dumps(fetch.__dict__["__recoup__"]))  # noqa: S301 - what we pickled ourselves
    assert attributes is None
