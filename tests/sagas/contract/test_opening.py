"""Journals are opened, made, refused, closed and opened again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recoup.sagas.journal import State
from tests.sagas.contract.stores import begun, do

if TYPE_CHECKING:
    from recoup.sagas.journal import Backend
    from tests.sagas.contract.stores import Store


def test_every_owner_is_another_one(store: Store) -> None:
    """Each backend that is opened is an owner of its own, in the same process too."""
    owners = [store.open().owner for _ in range(5)]
    assert all(owners)
    assert len(set(owners)) == 5


def test_what_is_closed_can_be_opened_again(backend: Backend) -> None:
    """A journal keeps everything over closing and opening."""
    head = begun(backend)
    backend.close()
    backend.close()
    backend.open()
    assert do(backend, "load", head.id).head.id == head.id
    assert begun(backend).owner == backend.owner


def test_opening_again_disturbs_nothing(backend: Backend) -> None:
    """After an error the writer opens again what may be open still, and goes on."""
    head = begun(backend)
    backend.open()
    assert do(backend, "load", head.id) is not None
    assert begun(backend).state is State.RUNNING


def test_the_name_in_messages_has_no_password(store: Store) -> None:
    """The journal's name may stand in any message."""
    name = store.make().journal
    assert name.startswith({"sqlite": "sqlite:///", "postgres": "postgresql://"}[store.kind])
