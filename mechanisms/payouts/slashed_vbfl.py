"""VBFL with something to lose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mechanisms.payouts.vbfl import Vbfl, VbflParams
from mechanisms.plugin import param
from mechanisms.split import part, split
from mechanisms.vocabulary import BlockObservation, Memory, OpeningObservation, Payment, Settlement

STAKES, TREASURY = "escrow:stakes", "treasury"


@dataclass(frozen=True)
class SlashedVbflParams(VbflParams):
    """Parameters of the plug-in below."""

    stake: int = param(
        10_000, help="deposit to join; who does not hold it at the start takes no part", unit="base units", ge=0, le=10**15
    )
    fraction: float = param(0.25, help="part of the remaining stake that a rejected update costs", ge=0, le=1)
    destination: str = param("burn", help="where it goes", choices=("burn", "treasury", "reporters"))


class SlashedVbfl(Vbfl):
    """VBFL's rewards; a worker whose update is rejected loses a part of its stake.

    "reporters": shared equally among the validators that voted against the update; what rounding leaves is burned.
    """

    name = "slashed-vbfl"
    summary = "VBFL plus a stake that rejected updates cost"
    reference = "Chen et al., arXiv:2101.03300; guide on on-chain coordination, staking and slashing"
    Params = SlashedVbflParams

    def accounts(self) -> Mapping[str, int]:
        return {STAKES: 0, TREASURY: 0}

    def open(self, seen: OpeningObservation) -> Settlement:
        stake = self.params.stake
        members = [d for d, held in zip(seen.devices, seen.balances, strict=True) if held >= stake]
        payments = tuple(Payment(STAKES, stake, "stake.join", d) for d in members) if stake else ()
        return Settlement(payments, {"locked": {str(d): stake for d in members}})

    def members(self, memory: Memory) -> frozenset[int] | None:
        return frozenset(int(d) for d in memory["locked"])

    def settle(self, seen: BlockObservation) -> Settlement:
        locked = dict(seen.memory["locked"])
        payments = list(super().settle(seen).payments)
        for r in sorted(seen.records, key=lambda r: r.worker):
            loss = 0 if r.accepted else part(locked.get(str(r.worker), 0), self.params.fraction)
            if loss:
                locked[str(r.worker)] -= loss
                payments += self._slash(loss, r.negative)
        return Settlement(tuple(payments), {"locked": locked})

    def close(self, memory: Memory) -> Settlement:
        back = ((int(d), left) for d, left in memory["locked"].items())
        return Settlement(tuple(Payment(d, left, "stake.back", STAKES) for d, left in back if left))

    def _slash(self, loss: int, against: tuple[int, ...]) -> list[Payment]:
        where = self.params.destination
        if where != "reporters":
            return [Payment(where, loss, "slash", STAKES)]
        shares = split(loss, dict.fromkeys(sorted(against), 1))
        payments = [Payment(v, amount, "slash.reporter", STAKES) for v, amount in shares.items() if amount]
        rest = loss - sum(shares.values())
        return payments + ([Payment("burn", rest, "slash", STAKES)] if rest else [])
