"""Rewards that are paid only to wallets whose hash was submitted, as in the proof of concept."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from mechanisms.deposits import DESTINATIONS, TREASURY
from mechanisms.parts.base import Part
from mechanisms.plugin import param
from mechanisms.vocabulary import BlockObservation, Memory, OpeningObservation, Payment, Settlement
from mechanisms.wallets import address, claim

ORGANISATION = "organisation"


class HashedClaims(Part):
    """A reward is paid when the SHA-256 of its payee's address is among the claims.

    Claims of all rounds count. A hash that matches no wallet, or one of somebody who has earned
    nothing, pays nobody: copying another's hash cannot redirect its reward. What is not claimed
    when it would be paid goes back.
    """

    name = "hashed-claims"
    summary = "rewards only for wallets whose hash was submitted; what nobody claims goes back"
    reference = "on-chain federated learning proof of concept (seed 004), step 5"
    observes = frozenset({"wallets"})
    anonymous = False
    examples = ({}, {"unclaimed": "burn"})

    @dataclass(frozen=True)
    class Params:
        unclaimed: str = param(
            ORGANISATION,
            help="where rewards go that were in a pool and that nobody claims; what would be newly "
            "issued is not",
            choices=(ORGANISATION, *DESTINATIONS),
        )

    params: Params

    def accounts(self) -> Mapping[str, int]:
        return {ORGANISATION: 0, TREASURY: 0}

    def open(self, seen: OpeningObservation) -> Settlement:
        return Settlement((), {"claims": []})

    def settle(self, seen: BlockObservation, payments: tuple[Payment, ...]) -> Settlement:
        claims = sorted({*seen.memory["claims"], *seen.wallets.values()})
        return Settlement(self._claimed(payments, claims), {"claims": claims})

    def close(self, memory: Memory, payments: tuple[Payment, ...]) -> Settlement:
        return Settlement(self._claimed(payments, memory["claims"]))

    def _claimed(
        self, payments: tuple[Payment, ...], claims: Collection[str]
    ) -> tuple[Payment, ...]:
        """Return payments in which rewards that nobody claims go back."""
        known, kept = frozenset(claims), []
        for p in payments:
            if not _is_reward(p) or claim(address(int(p.payee))) in known:
                kept.append(p)
            elif p.payer != "issuance":
                kept.append(replace(p, payee=self.params.unclaimed, reason="claim.missing"))
        return tuple(kept)


def _is_reward(payment: Payment) -> bool:
    return isinstance(payment.payee, int) and payment.reason.startswith("reward")
