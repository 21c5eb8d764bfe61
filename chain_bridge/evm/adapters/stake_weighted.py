"""A pot per round, shared by what workers hold at its start."""

from __future__ import annotations

from typing import Any, ClassVar

from chain_bridge.devices import account_of, accounts_of
from chain_bridge.evm.adapters.base import RULE, STRANGER, UNAUTHORISED
from chain_bridge.evm.adapters.served import Served
from chain_bridge.evm.stage import Call, Stage


class StakeWeighted(Served):
    """Plays payout rule `stake-weighted`."""

    contract = "StakeWeighted"
    mechanism: ClassVar[str] = "stake-weighted"
    title = 'protocols "fedavg" and "poc" with payout "stake-weighted"'
    pot: ClassVar[str] = "payout.params.pot"
    share: ClassVar[str] = "reward.worker"

    def terms(self, stage: Stage) -> tuple[Any, ...]:
        return (self.amount("payout.params.pot"),)

    def credited(self, stage: Stage) -> int:
        return sum(stage.credits(RULE, accounts_of(self.devices)))

    def depositors(self) -> list[str]:
        return []

    def join(self, stage: Stage) -> None:
        """Nobody pays anything in: what everybody holds counts."""

    def begin(self, stage: Stage, r: int) -> None:
        if r in self.accepted:
            stage.one(self.organise("openRound", self.members(stage, self.workers[r])))

    def settle(self, stage: Stage, r: int, accepted: list[int]) -> None:
        stage.one(self.organise("settle", self.members(stage, accepted)))

    def fetch(self, stage: Stage, devices: list[int]) -> None:
        owed = zip(devices, stage.credits(RULE, accounts_of(devices)), strict=True)
        stage.send([self.by(d, "withdraw") for d, credit in owed if credit])

    def probe(self, stage: Stage, r: int) -> None:
        calls = [
            Call(STRANGER, RULE, "withdraw", allowed=("NothingToWithdraw",)),
            Call(STRANGER, RULE, "openRound", ([],), allowed=(UNAUTHORISED,)),
            self.organise("settle", [], allowed=("WrongPhase",)),
        ]
        first = self.devices[r % len(self.devices)]
        if not stage.view(RULE, "credits", stage.address(account_of(first))):
            calls.append(self.by(first, "withdraw", allowed=("NothingToWithdraw",)))
        stage.send(calls)

    def finish(self, stage: Stage) -> None:
        """Nothing is held: there is nothing to give back."""
