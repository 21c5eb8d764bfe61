"""No payment: the vanilla baseline."""

from __future__ import annotations

from mechanisms.payouts.base import PayoutRule
from mechanisms.vocabulary import BlockObservation, Settlement


class NoPayout(PayoutRule):
    """Pays nothing, as plain federated averaging."""

    name = "none"
    summary = "pays nothing"
    reference = "McMahan et al. 2017, arXiv:1602.05629 (no incentives)"

    def settle(self, block: BlockObservation) -> Settlement:
        return Settlement()
