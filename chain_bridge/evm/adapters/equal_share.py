"""The proof of concept's pool: stake to join, equal shares at a deadline, claims, a platform."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, ClassVar

from chain_bridge.devices import account_of
from chain_bridge.errors import PlanError
from chain_bridge.evm.adapters.base import (
    MAY_LACK,
    ORGANISATION,
    RULE,
    STRANGER,
    UNAUTHORISED,
)
from chain_bridge.evm.adapters.served import Served
from chain_bridge.evm.stage import NOBODY, Call, Stage
from chain_bridge.plan import rows
from chain_bridge.recording import BURN

CLAIMS, PLATFORM = "hashed-claims", "platform-fees"
IN_ORDER: tuple[list[str], ...] = ([], [CLAIMS], [PLATFORM], [CLAIMS, PLATFORM])
"""Parts that the contract has, in the order in which it asks them."""


class EqualShare(Served):
    """Plays payout rule `equal-share`, with claims and platform fees where the run has them."""

    contract = "EqualShare"
    mechanism: ClassVar[str] = "equal-share"
    title = (
        'protocols "poc" and "fedavg" with payout "equal-share" '
        '(parts "hashed-claims", "platform-fees")'
    )

    @classmethod
    def plays_parts(cls, payout: Mapping[str, Any]) -> bool:
        parts = payout.get("parts", [])
        names = [part.get("part") for part in parts if isinstance(part, dict)]
        return len(names) == len(parts) and names in IN_ORDER

    def terms(self, stage: Stage) -> tuple[Any, ...]:
        rule = "payout.params"
        claims, fees = self._part(CLAIMS), self._part(PLATFORM)
        payee = (claims or {}).get("unclaimed", ORGANISATION)
        unclaimed = NOBODY if payee == BURN else stage.address(str(payee))
        names = ("reward_bps", "join", "subscription", "prepaid")
        charges = [self._charge(fees, name) for name in names]
        amounts = [self.amount(f"{rule}.{name}") for name in ("pool", "stake", "deadline")]
        fee = self.fraction(f"{rule}.fee")
        platform = stage.address("platform")
        return ((*amounts, fee, claims is not None, unclaimed, *charges, platform),)

    def _part(self, name: str) -> Mapping[str, Any] | None:
        """Return the parameters of a part; None where the run lacks it."""
        for part in self.run.settings["payout"].get("parts", []):
            if part["part"] == name:
                found: Mapping[str, Any] = part.get("params", {})
                return found
        return None

    def _charge(self, fees: Mapping[str, Any] | None, name: str) -> int:
        value = 0 if fees is None else fees.get(name)
        if type(value) is not int or not 0 <= value < 2**63:
            raise PlanError(f"{self.file}: {PLATFORM}.{name} = {value!r}: must be base units")
        return value

    def depositors(self) -> list[str]:
        return [ORGANISATION, *super().depositors()]

    def join(self, stage: Stage) -> None:
        stage.one(self.organise("fund"))
        wallets = self._wallets()
        calls = [self.by(d, "register", wallets[d], allowed=MAY_LACK) for d in self.devices]
        stage.send(calls)
        allowed = (*MAY_LACK, "NotMember")
        stage.send([self.by(d, "stakeToJoin", allowed=allowed) for d in self.devices])

    def _wallets(self) -> dict[int, bytes]:
        """Return by device the hash of the wallet that it registers."""
        return {d: hashlib.sha256(account_of(d).encode()).digest() for d in self.devices}

    def settle(self, stage: Stage, r: int, accepted: list[int]) -> None:
        members = self.members(stage, accepted)
        stage.one(self.organise("settle", r, members, self._claims(r)))

    def _claims(self, r: int) -> list[bytes]:
        """Return the claims that the server hands on in a round."""
        if self._part(CLAIMS) is None or self._withholds():
            return []
        table = self.table("participants")
        if "claim" not in table.columns:
            return []
        claims = [c for number, c in rows(table, "round", "claim") if number == r and c is not None]
        try:
            return [bytes.fromhex(claim) for claim in claims]
        except (TypeError, ValueError):
            file = self.run.path / "participants.parquet"
            raise PlanError(f"{file}: column claim: must be hexadecimal") from None

    def _withholds(self) -> bool:
        poc = self.run.settings.get("poc")
        return isinstance(poc, dict) and poc.get("server") == "withholding"

    def probe(self, stage: Stage, r: int) -> None:
        first = self.devices[0]
        calls = [
            Call(STRANGER, RULE, "stakeToJoin", allowed=("NotMember",)),
            Call(STRANGER, RULE, "finish", allowed=(UNAUTHORISED,)),
            self.by(first, "settle", r + 1, [], [], allowed=(UNAUTHORISED,)),
        ]
        if r in self.accepted:
            calls.append(self.organise("settle", r, [], [], allowed=("Duplicate",)))
        stage.send(calls)

    def finish(self, stage: Stage) -> None:
        stage.one(self.organise("finish"))
        stage.one(self.organise("finish", allowed=("Duplicate",)))
