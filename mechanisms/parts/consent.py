"""Consent: whose data may be used for what, and in which rounds."""

from __future__ import annotations

from dataclasses import dataclass

from mechanisms.parts.base import Part
from mechanisms.parts.reputation import WORK
from mechanisms.plugin import PluginError, param
from mechanisms.vocabulary import BlockObservation, OpeningObservation, Payment, Settlement


@dataclass(frozen=True)
class Consent:
    """A provider's consent to use the data of devices for a task and a scope; "*" is any."""

    devices: tuple[int, ...] = param(help="whose data", ge=0, devices=True)
    task: str = param("*", help="for which task")
    scope: str = param("*", help="for what")
    from_round: int = param(1, help="first round in which it holds", ge=1)
    until_round: int = param(0, help="last round in which it holds (expiry); 0: no end", ge=0)
    revoked_round: int = param(0, help="round from which it was withdrawn; 0: never", ge=0)

    def __post_init__(self) -> None:
        if self.revoked_round and self.revoked_round <= self.from_round:
            raise ValueError(
                f"revoked_round = {self.revoked_round} does not come after from_round = "
                f"{self.from_round}"
            )
        if self.until_round and self.until_round < self.from_round:
            raise ValueError(
                f"until_round = {self.until_round} lies before from_round = {self.from_round}"
            )

    def covers(self, device: int, task: str, scope: str, round: int) -> bool:
        """Return whether this consent allows a use in a round."""
        return (
            device in self.devices
            and self.task in ("*", task)
            and self.scope in ("*", scope)
            and self.from_round <= round
            and (self.until_round == 0 or round <= self.until_round)
            and (self.revoked_round == 0 or round < self.revoked_round)
        )


class ConsentLedger(Part):
    """Rejects an update trained without a valid consent: it is never rewarded.

    With `slashing` after it, training without consent costs stake.
    """

    name = "consent"
    summary = "only updates trained under a valid consent are paid"
    reference = "guide on on-chain coordination, data provenance and consent ledger"
    anonymous = False
    examples = (
        {},
        {
            "ledger": [
                {"devices": list(range(8)), "until_round": 9},
                {"devices": [8], "scope": "research"},
            ]
        },
    )

    @dataclass(frozen=True)
    class Params:
        task: str = param("training-task", help="purpose of the run")
        scope: str = param("training", help="use that the run makes of the data")
        ledger: tuple[Consent, ...] = param(
            (), help="the consents given; every other use is refused"
        )

    params: Params

    def open(self, seen: OpeningObservation) -> Settlement:
        unknown = sorted({d for c in self.params.ledger for d in c.devices} - set(seen.devices))
        if unknown and max(unknown) > max(seen.devices, default=-1):
            raise PluginError(
                f"gives consent for device {unknown[-1]}, which does not exist",
                "ledger",
                unknown[-1],
            )
        return Settlement((), {"violations": {}})

    def covered(self, device: int, round: int) -> bool:
        """Return whether the device's data may be used in a round."""
        p = self.params
        return any(c.covers(device, p.task, p.scope, round) for c in p.ledger)

    def rejects(self, seen: BlockObservation) -> frozenset[int]:
        return frozenset(r.worker for r in seen.records if not self.covered(r.worker, seen.round))

    def settle(self, seen: BlockObservation, payments: tuple[Payment, ...]) -> Settlement:
        without = self.rejects(seen)
        # Newly issued rewards are for this block; a pool may pay for earlier ones, with consent.
        kept = [
            p for p in payments if not (p.payee in without and p.per_device and p.reason in WORK)
        ]
        counts = dict(seen.memory["violations"])
        for d in sorted(without):
            counts[str(d)] = counts.get(str(d), 0) + 1
        in_order = dict(sorted(counts.items(), key=lambda item: int(item[0])))
        return Settlement(tuple(kept), {"violations": in_order})
