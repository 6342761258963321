"""What a type checker knows of a function behind `@fallback` (F3): its own result, or one of the answers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any, assert_type

from recoup.strategies.fallback.config import FallbackConfig
from recoup.strategies.fallback.decorator import fallback
from recoup.strategies.fallback.strategy import Fallback


class Down(Exception):
    pass


def count(error: Exception) -> int:
    return len(str(error))


async def count_later() -> int:
    return 0


def archive(key: str) -> bytes:
    return key.encode()


async def archive_later(key: str) -> bytes:
    return key.encode()


@fallback(fallback_value=0)
def value(key: str) -> str:
    return key


@fallback(fallback_value=None, on=Down)
def nothing(key: str) -> str:
    return key


@fallback(fallback_value="unknown")
def same(key: str) -> str:
    return key


@fallback(fallback_value=0)
async def value_later(key: str) -> str:
    return key


@fallback(fallback_function=count)
def function(key: str) -> str:
    return key


@fallback(fallback_function=lambda: 0)
def function_without(key: str) -> str:
    return key


@fallback(fallback_function=count_later)
async def function_later(key: str) -> str:
    return key


@fallback(fallback_function=count)
async def plain_function_later(key: str) -> str:
    return key


@fallback(fallback_value=None, fallback_function=count)
def both(key: str) -> str:
    return key


@fallback(fallback_value=None, fallback_function=count_later)
async def both_later(key: str) -> str:
    return key


@fallback(fallback_service=archive)
def service(key: str) -> str:
    return key


@fallback(fallback_service=archive_later)
async def service_later(key: str) -> str:
    return key


@fallback(fallback_service="https://backup.example", service_argument="base")
def elsewhere(key: str, base: str = "https://example") -> str:
    return base + key


@fallback(use_cache=True, cache_ttl=60)
def remembered(key: str) -> str:
    return key


@fallback(fallback_function=[count, archive], fallback_value=0)
def chained(key: str) -> str:
    return key


@fallback(fallback_value=[])
def stream(key: str) -> Generator[str, None, None]:
    yield key


@fallback(fallback_value=[])
async def stream_later(key: str) -> AsyncGenerator[str, None]:
    yield key


@fallback(FallbackConfig(fallback_value=0))
def configured(key: str) -> str:
    return key


class Client:
    @fallback(fallback_value=0)
    def method(self, key: str) -> str:
        return key

    @fallback(fallback_value=0)
    async def method_later(self, key: str) -> str:
        return key


async def check(client: Client) -> None:
    assert_type(value("a"), str | int)
    assert_type(nothing(key="a"), str | None)
    assert_type(same("a"), str)
    assert_type(await value_later("a"), str | int)
    assert_type(function("a"), str | int)
    assert_type(function_without("a"), str | int)
    assert_type(await function_later("a"), str | int)
    assert_type(await plain_function_later("a"), str | int)
    assert_type(both("a"), str | int | None)
    assert_type(await both_later("a"), str | int | None)
    assert_type(service("a"), str | bytes)
    assert_type(await service_later("a"), str | bytes)
    assert_type(elsewhere("a"), str)
    assert_type(remembered("a"), str)
    assert_type(list(stream("a")), list[str])
    assert_type([item async for item in stream_later("a")], list[str])
    assert_type(configured("a"), str)  # a config does not say what answers: the type is as it was
    assert_type(client.method("a"), str | int)
    assert_type(await client.method_later("a"), str | int)
    assert_type(Fallback(FallbackConfig(fallback_value=0)).execute_sync(same, "a"), str)
    assert_type(fallback(fallback_value=0).execute_sync(same, "a"), str | int)
    assert_type(await fallback(fallback_value=0).execute(same, "a"), str | int)
    executed: str | int = await fallback(fallback_value=0).execute(value_later, "a")  # mypy cannot tell it from Any
    del executed
    answer: str | int | Any = chained("a")
    del answer
