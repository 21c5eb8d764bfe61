"""DecentralML's pool: each accepted update is paid a score's part of what is left."""

from __future__ import annotations

from typing import Any, ClassVar

from chain_bridge.devices import account_of
from chain_bridge.errors import PlanError
from chain_bridge.evm.adapters.base import RULE, STRANGER, UNAUTHORISED
from chain_bridge.evm.adapters.served import Served
from chain_bridge.evm.stage import Call, Stage
from chain_bridge.recording import Recording

CREATOR = "creator"


class ScorePool(Served):
    """Plays payout rule `decentralml` with `improve_only = false`.

    Which updates improved the model is measured outside, and no table records it.
    """

    contract = "ScorePool"
    mechanism: ClassVar[str] = "decentralml"
    title = 'protocols "fedavg" and "poc" with payout "decentralml", improve_only = false'

    def __init__(self, run: Recording) -> None:
        super().__init__(run)
        if self.setting("payout.params.improve_only", bool):
            raise PlanError(
                f"{self.file}: payout.params.improve_only = true: which updates improved the model "
                "is in no table of a run; the contract plays runs with improve_only = false"
            )

    def terms(self, stage: Stage) -> tuple[Any, ...]:
        rule = "payout.params"
        pool, expires = self.amount(f"{rule}.pool"), self.amount(f"{rule}.expires")
        parts = [self.fraction(f"{rule}.{name}") for name in ("engineers", "annotators", "score")]
        snapshot = self.setting(f"{rule}.mode", str) == "snapshot"
        return ((pool, *parts, snapshot, expires, stage.address(CREATOR)),)

    def depositors(self) -> list[str]:
        return [CREATOR]

    def join(self, stage: Stage) -> None:
        calls = [Call(CREATOR, RULE, "fund")]
        chosen = self.setting("payout.params.whitelist", list)
        if chosen:
            members = stage.addresses([account_of(int(d)) for d in chosen])
            calls.append(Call(CREATOR, RULE, "defineContributors", (members,)))
        stage.send(calls)

    def settle(self, stage: Stage, r: int, accepted: list[int]) -> None:
        stage.one(self.organise("reward", r, self.members(stage, accepted)))

    def probe(self, stage: Stage, r: int) -> None:
        own = self.members(stage, self.devices[:1])
        calls = [
            Call(STRANGER, RULE, "refund", allowed=(UNAUTHORISED,)),
            self.by(self.devices[0], "reward", r + 1, own, allowed=(UNAUTHORISED,)),
        ]
        if r in self.accepted:
            calls.append(self.organise("reward", r, own, allowed=("Duplicate",)))
        stage.send(calls)

    def finish(self, stage: Stage) -> None:
        stage.one(self.organise("refund"))
