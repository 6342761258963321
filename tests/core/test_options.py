"""What users write above their functions, and what they change later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from recoup import RetryConfig, RetryExecutor, layers_of, retry
from recoup._core import checks, options
from recoup._core.strategy import Strategy


@pytest.mark.parametrize("given", [retry, retry(), retry(RetryConfig()), retry(RetryExecutor()), RetryExecutor()])
def test_five_ways_to_write_it(given: Any) -> None:
    """Bare, with keywords, with a config, with a shared object, and the object itself."""

    def function() -> str:
        return "ok"

    decorated = given(function)
    assert decorated() == "ok"
    assert layers_of(decorated)[0].kind == "retry"


def test_a_shared_object_is_shared() -> None:
    """@executor puts the very object round each function."""
    executor = RetryExecutor()
    first, second = executor(lambda: 1), retry(executor)(lambda: 2)
    assert layers_of(first) == layers_of(second) == (executor,)


def test_on_is_short_for_the_condition_field() -> None:
    """And only one of the two may be given."""
    assert retry(on=OSError).config.retry_on_exceptions is OSError
    with pytest.raises(TypeError, match=r"retry\(\) got both on and retry_on_exceptions: they are the same"):
        retry(on=OSError, retry_on_exceptions=OSError)


def test_an_unknown_keyword_gets_a_hint() -> None:
    """A typing error is named, with the nearest name there is."""
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'max_attempt'; did you mean 'max_attempts'\?"):
        retry(max_attempt=3)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'zzz'; it knows abort_on, attempt_timeout"):
        retry(zzz=3)  # type: ignore[call-overload]


def test_mixtures_are_refused() -> None:
    """A config beside keywords would leave one of them silently ignored."""
    with pytest.raises(TypeError, match="takes a config or keywords, not both: max_attempts given beside a config"):
        retry(RetryConfig(), max_attempts=3)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match=r"write @retry\(...\) above the function"):
        retry(lambda: 1, max_attempts=3)  # type: ignore[call-overload]
    assert retry(RetryConfig(), name="mine").name == "mine"


@pytest.mark.parametrize("target", [5, "3", [1]])
def test_what_is_neither_function_nor_config_is_refused(target: Any) -> None:
    """@retry(3) is a guess; say which three."""
    with pytest.raises(TypeError, match="@retry needs a RetryConfig, a RetryExecutor or keywords, not"):
        retry(target)


@dataclass(frozen=True)
class Config:
    """Two numbers, of which the second is settled."""

    ON: ClassVar[str] = "size"

    size: int = 1
    kind: str = "round"

    def __post_init__(self) -> None:
        checks.count("size", self.size)


class Layer(Strategy):
    """The least that can be reconfigured."""

    kind = "layer"

    def __init__(self) -> None:
        super().__init__(name="mine")
        self.config = Config()

    def __repr__(self) -> str:
        return "<Layer>"

    def _settled(self, config: Config) -> None:
        options.same(self, kind=(self.config.kind, config.kind))

    def _adopt(self, config: Config) -> None:
        self.config = config


def test_fields_or_a_whole_config() -> None:
    """Changes keep the other fields; a config is taken as it is; `on` is short for the same field as ever."""
    layer = Layer()
    layer.reconfigure(size=3)
    assert layer.config == Config(3)
    layer.reconfigure(on=4)
    assert layer.config == Config(4)
    layer.reconfigure(config := Config(5))
    assert layer.config is config
    layer.reconfigure()
    assert layer.config == config


@pytest.mark.parametrize(
    ("args", "changes", "kind", "text"),
    [
        ((), {"size": 0}, ValueError, "size must be"),
        (
            (),
            {"size": 2, "kind": "flat"},
            ValueError,
            r"^kind must stay as it is in <Layer>: it was made",
        ),
        ((Config(2, "flat"),), {}, ValueError, "make another Layer"),
        (
            (),
            {"siz": 2},
            TypeError,
            r"^reconfigure\(\) got an .* argument 'siz'; did you mean 'size'\?",
        ),
        ((), {"name": "new"}, TypeError, "unexpected keyword argument 'name'"),
        ((Config(),), {"size": 2}, TypeError, "takes a config or fields, not both: size given"),
        ((RetryConfig(),), {}, TypeError, "config must be a Config, not RetryConfig"),
        ((5,), {}, TypeError, "config must be a Config, not 5"),
    ],
)
def test_bad_changes_are_refused_whole(args: Any, changes: Any, kind: type[Exception], text: str) -> None:
    """What is wrong is named, and nothing has changed (rule G1)."""
    layer = Layer()
    before = layer.config
    with pytest.raises(kind, match=text):
        layer.reconfigure(*args, **changes)
    assert layer.config is before


def test_several_settled_fields_are_all_named() -> None:
    """In the order of the alphabet."""
    with pytest.raises(ValueError, match=r"^a and c must stay as they are in <Layer>"):
        options.same(Layer(), c=(1, 2), b=(1, 1), a=(None, 3))


def test_a_strategy_that_cannot_change_says_so() -> None:
    """Whether it has no configuration or has not learned it."""

    class Fixed(Strategy):
        config = Config()

        def __repr__(self) -> str:
            return "<Fixed>"

    with pytest.raises(TypeError, match="<Fixed> cannot be reconfigured"):
        Fixed().reconfigure(size=2)
    with pytest.raises(TypeError, match="has no configuration that could be changed"):
        Strategy().reconfigure(size=2)
    Strategy().reset()
