"""A client that pays what a licence costs, where that is worth it."""

from __future__ import annotations

from agents.clients.base import Client
from mechanisms.vocabulary import ClientObservation


class Honest(Client):
    """Pays the fee iff using the model is worth at least as much."""

    name = "honest"
    summary = "pays the fee where a licence is worth it"
    reference = "DecentralML grant (seed 000), clients: licensors of the model"

    def offer(self, seen: ClientObservation) -> int | None:
        worth = seen.value >= seen.fee and seen.balance >= seen.fee
        return seen.fee if worth else None
