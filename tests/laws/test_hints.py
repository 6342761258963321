"""Tools that read annotations at run time (`typing.get_type_hints`) can read those of every public config."""

from __future__ import annotations

import dataclasses
from typing import Any, get_type_hints

import pytest

import recoup

CONFIGS = [name for name in recoup.__all__ if name.endswith("Config")]


@pytest.mark.parametrize("name", CONFIGS)
def test_the_fields_of_a_config_can_be_read(name: str) -> None:
    """No name in them is there for type checkers alone."""
    config: Any = getattr(recoup, name)
    assert set(get_type_hints(config)) >= {field.name for field in dataclasses.fields(config)}
    get_type_hints(config.__init__)


def test_configs_are_found() -> None:
    """Each strategy has one."""
    assert {"RetryConfig", "BulkheadConfig", "ErrorRecoveryConfig"} <= set(CONFIGS)
