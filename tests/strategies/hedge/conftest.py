"""Every behaviour of hedge under asyncio and under Trio; plain functions are refused."""

from __future__ import annotations

import pytest

from tests.conftest import Both


@pytest.fixture(params=["asyncio", "trio"])
def library(request: pytest.FixtureRequest) -> Both:
    """The library that runs the test: `library.run(async_function)`, `await library.pause(seconds)`."""
    return Both(request.param)
