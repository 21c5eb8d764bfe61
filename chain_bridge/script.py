"""A plan bound to one chain: the calls that it becomes, batch by batch, and what they cost."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import pandas as pd

from chain_bridge.header import Header
from chain_bridge.money import AssetMoney, Money
from chain_bridge.plan import MONEY, Action, Plan
from chain_bridge.runtime import Runtime, Weight, blake2


class Price(NamedTuple):
    """What one call adds to a batch: weight, encoded bytes, fee in native units (an estimate, rounded up)."""

    weight: Weight
    length: int
    fee: int


@dataclass(frozen=True)
class Batch:
    """Actions `start` to `stop` of the script, of one round; `digest` is SHA-256 over their canonical lines."""

    index: int
    round: int
    start: int
    stop: int
    digest: bytes


@dataclass
class Script:
    """What will be signed. `skipped`: what the chain lacks, and why; `prices`: by kind of call."""

    plan: Plan
    runtime: Runtime
    money: Money
    actions: list[Action]
    skipped: list[str]
    prices: dict[str, Price]
    base: Price
    batches: list[Batch] = field(default_factory=list)

    @property
    def identity(self) -> bytes:
        return self.money.identity

    def header(self, index: int) -> Header | None:
        """The header that a batch of this script bears; None where there is no such batch."""
        if index >= len(self.batches):
            return None
        return Header(self.digest[:8], index, len(self.batches), self.batches[index].digest)

    @property
    def digest(self) -> bytes:
        """SHA-256 over the money's form and all batches: another packing is another script."""
        told = f"{self.money.unit},{self.money.scale},{len(self.batches)}".encode()
        return hashlib.sha256(told + b"".join(b.digest for b in self.batches)).digest()

    def estimate(self) -> int:
        """Fees of the whole replay in native units, from the chain's own prices."""
        return self._fees(self.actions, len(self.batches))

    def estimate_of(self, batch: Batch) -> int:
        """Fee of one batch in native units."""
        return self._fees(self.actions[batch.start : batch.stop], 1)

    def _fees(self, actions: Sequence[Action], batches: int) -> int:
        return self.base.fee * batches + sum(self.prices[a.kind].fee for a in actions)

    def frame(self) -> pd.DataFrame:
        """One row per call, in order."""
        batch_of = [b.index for b in self.batches for _ in range(b.stop - b.start)]
        rows = [
            (
                i,
                a.round,
                a.kind,
                a.reason,
                a.debit,
                a.credit,
                a.amount or None,
                a.device if a.device >= 0 else None,
                a.text(),
            )
            for i, a in zip(batch_of, self.actions, strict=True)
        ]
        columns = [
            "batch",
            "round",
            "call",
            "reason",
            "debit",
            "credit",
            "amount",
            "device",
            "data",
        ]
        return pd.DataFrame(rows, columns=columns).astype({"amount": "Int64", "device": "Int64"})

    def needs(self, actions: Sequence[Action], batches: int) -> int:
        """Native units that the operator must have for actions in so many batches: fees, payments, deposits that it reserves."""
        paid = sum(max(0, self.money.native_out(a)) for a in actions)
        return (
            self._fees(actions, batches)
            + paid
            + sum(self._deposit(a) for a in actions)
            + self.money.existential
        )

    def _deposit(self, action: Action) -> int:
        """What the chain reserves of the operator for an action; it stays its own."""

        def constant(*names: str) -> int:
            return next(
                (int(v) for n in names if (v := self.runtime.constant(*n.split("."))) is not None),
                0,
            )

        match action.kind:
            case "create":
                return constant("Assets.AssetDeposit")
            case "collection":
                return constant("Uniques.CollectionDeposit", "Uniques.ClassDeposit")
            case "version":
                return constant("Uniques.ItemDeposit", "Uniques.InstanceDeposit")
            case "metadata":
                each = constant("Uniques.DepositPerByte")
                return constant("Uniques.MetadataDepositBase") + each * len(action.data)
        return 0

    # --- calls --------------------------------------------------------------------------------------------------

    def batch_call(self, batch: Batch, timepoint: tuple[int, int] | None = None) -> bytes:
        """The batch as one atomic call, its header first. `timepoint`: where the open approval was proposed."""
        header = self.header(batch.index)
        assert header is not None
        head = self.runtime.call("System.remark_with_event", header.encode(self.identity))
        calls = [head, *(self.call(a, timepoint) for a in self.actions[batch.start : batch.stop])]
        return self.runtime.call("Utility.batch_all", calls)

    def call(self, action: Action, timepoint: tuple[int, int] | None = None) -> bytes:
        """One action as an encoded call."""
        call, money = self.runtime.call, self.money
        if action.kind in MONEY:
            return money.call(action)
        match action.kind:
            case "note":
                return call("System.remark_with_event", action.data)
            case "create":
                assert isinstance(money, AssetMoney)
                return call("Assets.create", money.asset, money.operator, 1)
            case "fund":
                return call("Balances.transfer_keep_alive", self.funded(action), action.amount)
            case "collection":
                return call("Uniques.create", self.collection, money.operator)
            case "version":
                return call("Uniques.mint", self.collection, action.number, money.operator)
            case "metadata":
                return call(
                    "Uniques.set_metadata", self.collection, action.number, action.data, True
                )
            case "propose" | "approve":
                return money.as_sub(action.device, self._approval(action, timepoint))
        raise AssertionError(action.kind)

    def funded(self, action: Action) -> bytes:
        """The address that a `fund` pays."""
        return (
            self.money.seat(action.device)
            if action.reason == "seat"
            else self.money.address(action.credit)
        )

    @property
    def collection(self) -> int:
        """Number of this run's collection of model versions."""
        return int.from_bytes(self.identity[:4], "little")

    def _approval(self, action: Action, timepoint: tuple[int, int] | None) -> bytes:
        """A seat's approval of the round's result; the last one that is needed executes it."""
        inner = self.runtime.call("System.remark_with_event", action.data)
        threshold, others = majority(action.members), self._others(action)
        when = None if timepoint is None else {"height": timepoint[0], "index": timepoint[1]}
        most = self.prices["note"].weight if "note" in self.prices else Weight(10**9, 10**4)
        allowed = Weight(2 * most.ref_time + 10**9, 2 * most.proof_size + 10**4)
        if action.kind == "approve" and action.number == threshold:
            stored = (False,) if len(self.runtime.arguments("Multisig.as_multi")) == 6 else ()
            return self.runtime.call(
                "Multisig.as_multi", threshold, others, when, inner, *stored, allowed
            )
        return self.runtime.call(
            "Multisig.approve_as_multi", threshold, others, when, blake2(inner), allowed
        )

    def _others(self, action: Action) -> list[bytes]:
        return sorted(self.money.seat(m) for m in action.members if m != action.device)


def majority(members: Sequence[int]) -> int:
    """More than half."""
    return len(members) // 2 + 1
