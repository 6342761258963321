"""The search for code in pages can fail, and says where."""

from __future__ import annotations

import time
import traceback
from typing import TYPE_CHECKING

import pytest

from tests.helpers import pages

if TYPE_CHECKING:
    from pathlib import Path

PAGE = """\
# A page

```python
import asyncio
import time

seen = ["first"]
```

<!-- not run: it would fail -->
```python
raise SystemExit("this block must not run")
```

```python
time.sleep(3600)
asyncio.run(asyncio.sleep(3600))
```

```python
await asyncio.sleep(3600)
seen.append("second")
```

```python
>>> seen
['first', 'second']
>>> third = 3
```

```python
assert third == 3
```

```bash
exit 1
```
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """Give a path for a page."""
    return tmp_path / "page.md"


def test_blocks_share_names_and_cost_no_time(page: Path) -> None:
    """Blocks run in order in one namespace, in virtual time, with `await` allowed."""
    page.write_text(PAGE)
    real = time.monotonic()
    assert pages.run_page(page) == 5
    assert time.monotonic() - real < 5


def test_failing_block_names_its_line(page: Path) -> None:
    """A failure in a block points at the line of the page."""
    page.write_text(PAGE.replace("assert third == 3", "assert third == 4"))
    with pytest.raises(AssertionError) as caught:
        pages.run_page(page)
    assert traceback.extract_tb(caught.value.__traceback__)[-1].lineno == 32


def test_failing_example_is_an_error(page: Path) -> None:
    """A doctest in a page that gives something else fails, and the report says what it got."""
    page.write_text(PAGE.replace("['first', 'second']", "['first']"))
    with pytest.raises(AssertionError, match=r"Expected:\n\s+\['first'\]\nGot:\n\s+\['first', 'second'\]"):
        pages.run_page(page)
