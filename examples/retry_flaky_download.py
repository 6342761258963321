"""A download that breaks off twice: retry it, and judge the answer as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recoup import retry

if TYPE_CHECKING:
    from collections.abc import Iterator

ANSWERS: Iterator[str | Exception] = iter([ConnectionError("connection reset"), "<html>cut o", "<html>whole</html>"])
LOG: list[str] = []


@retry(
    max_attempts=5,
    on=ConnectionError,
    initial_delay=0.01,
    retry_on_result=lambda page: not page.endswith("</html>"),
    on_retry=lambda n, error: LOG.append(f"retry {n} after {type(error).__name__}"),
)
def download(url: str) -> str:
    print("GET", url)
    answer = next(ANSWERS)
    if isinstance(answer, Exception):
        raise answer
    return answer


def main() -> None:
    page = download("/index.html")
    print(page, LOG)
    assert page == "<html>whole</html>"
    assert LOG == ["retry 1 after ConnectionError", "retry 2 after UnacceptableResult"]


if __name__ == "__main__":
    main()
