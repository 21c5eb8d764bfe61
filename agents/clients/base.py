"""A client's behaviour decides whether it asks for a licence, and what it pays for it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from mechanisms.plugin import Plugin
from mechanisms.vocabulary import ClientObservation


class Client(Plugin, ABC):
    """Base of clients. `knows` names what is shown beside the price: see `ClientObservation`."""

    sees = ClientObservation
    knows: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def offer(self, seen: ClientObservation) -> int | None:
        """Return the base units, at most `seen.balance`, that it pays; None: it asks for none."""
