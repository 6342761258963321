"""Which place belongs to the block (`with bulkhead:`) that ends.

One bulkhead serves many tasks at once, and a block inside a block, so the object itself cannot know. The context does:
it lists the blocks that it is inside of. Only a generator may enter a block in one context and leave it in another;
then any place of an open block will do, because they are alike, and its own is left to the block whose place it took.

An interrupt (Ctrl-C) may come in the midst of entering or leaving. Then the block is forgotten, so that nobody holds
its place any more, and the place comes back by itself (G2). Only one that comes right at the start of `__exit__` leaves
the place taken: nothing of ours runs yet that could notice.
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
        self._places: dict[Place, None] = {}

    def entered(self, place: Place) -> None:
        """Remember that this context has entered a block."""
        try:
            self._places[place] = None
            _innermost.set(Block(self, place, _innermost.get()))
        except BaseException:
            self._places.pop(place, None)
            block = self._innermost()
            if block is not None and block.place is place:
                _unlink(block)
            raise

    def left(self) -> Place:
        """Forget the innermost block of this context, and tell which place it had."""
        block = None
        try:
            block = self._innermost()
            if block is None:
                return self._places.popitem()[0]
            _unlink(block)
            try:
                del self._places[block.place]
            except KeyError:  # somebody else took it
                return self._places.popitem()[0]
            else:
                return block.place
        except BaseException:
            block = block or self._innermost()
            if block is not None:
                _unlink(block)
                self._places.pop(block.place, None)
            raise

    def _innermost(self) -> Block | None:
        block = _innermost.get()
        while block is not None and block.blocks is not self:
            block = block.outer
        return block


def _unlink(block: Block) -> None:
    """Take a block, which may be inside those of other bulkheads, out of the list of this context."""
    inside: list[Block] = []
    each = _innermost.get()
    while each is not block:
        if each is None:
            return
        inside.append(each)
        each = each.outer
    outer = block.outer
    for each in reversed(inside):
        outer = each._replace(outer=outer)
    _innermost.set(outer)
