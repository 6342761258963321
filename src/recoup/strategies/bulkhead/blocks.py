"""Which place belongs to the block (`with bulkhead:`) that ends.

One bulkhead serves many tasks at once, and a block inside a block, so the object itself cannot know. The context does:
it lists the blocks that it is inside of. Only a generator may enter a block in one context and leave it in another;
then any place of an open block will do, because they are alike, and its own is left to the block whose place it took.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from recoup.strategies.bulkhead.tickets import Place

__all__ = ["Blocks"]


class Block(NamedTuple):
    """A block that a context is inside of."""

    blocks: Blocks
    place: Place
    outer: Block | None


_innermost: ContextVar[Block | None] = ContextVar("recoup_bulkhead_block", default=None)


class Blocks:
    """The open blocks of one bulkhead, in all threads and tasks."""

    __slots__ = ("_places",)

    def __init__(self) -> None:
        self._places: list[Place] = []

    def entered(self, place: Place) -> None:
        """Remember that this context has entered a block."""
        self._places.append(place)
        _innermost.set(Block(self, place, _innermost.get()))

    def left(self) -> Place:
        """Forget the innermost block of this context, and tell which place it had."""
        own = self._own()
        if own is not None:
            try:
                self._places.remove(own)
            except ValueError:  # somebody else took it
                pass
            else:
                return own
        return self._places.pop()

    def _own(self) -> Place | None:
        inside: list[Block] = []
        block = _innermost.get()
        while block is not None and block.blocks is not self:
            inside.append(block)
            block = block.outer
        if block is None:
            return None
        outer = block.outer
        for each in reversed(inside):
            outer = each._replace(outer=outer)
        _innermost.set(outer)
        return block.place
