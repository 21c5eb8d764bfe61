"""Licences for the fee alone."""

from __future__ import annotations

from mechanisms.licensing.base import LicensingRule


class Enforced(LicensingRule):
    """An offer of at least the fee gets the licence, as a sale on the chain does."""

    name = "enforced"
    summary = "only an offer of the whole fee gets the licence"
    reference = "pallet uniques, buy_item: nothing is handed over for less than the price"

    def licenses(self, fee: int, offer: int) -> bool:
        return offer >= fee
