"""A plan bound to one chain: its calls, batch by batch, and what they cost."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple

import pandas as pd

from chain_bridge.coin import Coin
from chain_bridge.devices import account_of
from chain_bridge.header import Header
from chain_bridge.keys import Signer
from chain_bridge.money import OPERATOR, AssetMoney, Money
from chain_bridge.plan import MONEY, Action, Plan
from chain_bridge.runtime import Runtime, Weight, blake2

COLUMNS = (
    "batch",
    "signer",
    "round",
    "call",
    "reason",
    "debit",
    "credit",
    "amount",
    "device",
    "data",
)


Custody = Literal["operator", "devices"]
"""Who signs: one operator everything, or each device what it does itself."""


class Price(NamedTuple):
    """What one call adds to a batch: weight, encoded bytes, fee in native units (rounded up)."""

    weight: Weight
    length: int
    fee: int


@dataclass(frozen=True)
class Batch:
    """Actions `start` to `stop` of a script, all of one round and of one signer.

    `digest`: SHA-256 over their canonical lines; `signer`: a device or `OPERATOR`; `block`: batches
    with the same number are put into one block, where blocks are made on demand; `phase`: batches
    of one phase may come in any order, of different phases only in theirs.
    """

    index: int
    round: int
    start: int
    stop: int
    digest: bytes
    signer: int
    block: int
    phase: int


@dataclass
class Script:
    """All that will be signed.

    `skipped`: what the chain cannot do, and which call it lacks; `prices`: by sort of call; `base`:
    of a batch with nothing but its header; `coin`: the native token, in which fees are paid;
    `custody`: who signs.
    """

    plan: Plan
    runtime: Runtime
    money: Money
    actions: list[Action]
    skipped: list[str]
    prices: dict[str, Price]
    base: Price
    coin: Coin = field(default_factory=Coin)
    batches: list[Batch] = field(default_factory=list)
    custody: Custody = "operator"

    @property
    def identity(self) -> bytes:
        return self.money.identity

    def header(self, index: int) -> Header | None:
        """Return the header of a batch of this script; None where there is no such batch."""
        if index >= len(self.batches):
            return None
        return Header(self.digest[:8], index, len(self.batches), self.batches[index].digest)

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 over the money's unit and scale and all batches, so over the packing too.

        Every header has it: nothing of a script changes once it is packed.
        """
        money = f"{self.money.unit},{self.money.scale},{len(self.batches)}"
        if self.custody != "operator":
            money += f",{self.custody}"
        digests = b"".join(b.digest for b in self.batches)
        return hashlib.sha256(money.encode() + digests).digest()

    # --- who signs --------------------------------------------------------------------------------

    def signer(self, action: Action) -> int:
        """Return who signs an action: a device, or `OPERATOR`."""
        return OPERATOR if self.custody == "operator" else self.money.signer(action)

    def signers(self) -> dict[int, bytes]:
        """Return the public key of everybody who signs a batch, the operator first."""
        numbers = {OPERATOR, *(b.signer for b in self.batches)}
        return {n: self.money.public(n) for n in sorted(numbers)}

    def key(self, signer: int, operator: Signer) -> Signer:
        """Return the key that a signer's batches are signed with."""
        return operator if signer == OPERATOR else self.money.key(signer)

    # --- what it costs ----------------------------------------------------------------------------

    def sort(self, action: Action) -> str:
        """Return which of the chain's calls an action is."""
        return action.kind if self.custody == "operator" else self.money.sort(action)

    def price(self, action: Action) -> Price:
        """Return what an action adds to a batch."""
        return self.prices[self.sort(action)]

    def estimate(self) -> int:
        """Return the fees of the whole replay in native units, by the chain's own prices."""
        return self.fees(self.actions, len(self.batches))

    def estimate_of(self, batch: Batch) -> int:
        """Return the fee of one batch in native units."""
        return self.fees(self.actions[batch.start : batch.stop], 1)

    def fees(self, actions: Sequence[Action], batches: int) -> int:
        """Return the fees of actions in so many batches, by the chain's own prices."""
        return self.base.fee * batches + sum(self.price(a).fee for a in actions)

    def signed_by(self, signer: int, batches: Iterable[Batch]) -> tuple[list[Action], int]:
        """Return the actions of a signer among some batches, and in how many batches they are."""
        own = [b for b in batches if b.signer == signer]
        return [a for b in own for a in self.actions[b.start : b.stop]], len(own)

    def needs_of_device(self, actions: Sequence[Action], batches: int) -> int:
        """Return the native units that a device must have for its actions in so many batches."""
        return self.fees(actions, batches) + self.kept_by_device(actions)

    def kept_by_device(self, actions: Sequence[Action]) -> int:
        """Return what a device must have beside fees.

        This is its existential deposit, and what the chain reserves for one open approval.
        """
        return self.money.existential + max(map(self._deposit, actions), default=0)

    def frame(self) -> pd.DataFrame:
        """Return one row per call, in order."""
        rows = []
        for batch in self.batches:
            for a in self.actions[batch.start : batch.stop]:
                amount = a.amount or None
                device = a.device if a.device >= 0 else None
                names = (a.kind, a.reason, a.debit, a.credit)
                place = (batch.index, signer_name(batch.signer), a.round)
                rows.append((*place, *names, amount, device, a.text()))
        return pd.DataFrame(rows, columns=list(COLUMNS)).astype(
            {"amount": "Int64", "device": "Int64"}
        )

    def needs(self, actions: Sequence[Action], batches: int) -> int:
        """Return the native units that the operator must have for actions in so many batches.

        These are fees, payments, deposits that the chain reserves, and its existential deposit.
        """
        paid = sum(max(0, self.money.native_out(a)) for a in actions)
        reserved = sum(self._deposit(a) for a in actions)
        return self.fees(actions, batches) + paid + reserved + self.money.existential

    def _deposit(self, action: Action) -> int:
        """Return what the chain reserves of the operator's own units for an action."""
        match action.kind:
            case "create":
                return self._constant("Assets", "AssetDeposit")
            case "collection" | "licences":
                return self._constant("Uniques", "CollectionDeposit", "ClassDeposit")
            case "attribute":
                base = self._constant("Uniques", "AttributeDepositBase")
                return base + self._constant("Uniques", "DepositPerByte") * len(action.data)
            case "version" | "licence":
                return self._constant("Uniques", "ItemDeposit", "InstanceDeposit")
            case "metadata":
                base = self._constant("Uniques", "MetadataDepositBase")
                return base + self._constant("Uniques", "DepositPerByte") * len(action.data)
            case "propose" if self.signer(action) != OPERATOR:
                each = self._constant("Multisig", "DepositFactor")
                return self._constant("Multisig", "DepositBase") + each * majority(action.members)
        return 0

    def _constant(self, pallet: str, *names: str) -> int:
        """Return the first constant that the chain has of these names; 0 without any."""
        for name in names:
            value = self.runtime.constant(pallet, name)
            if value is not None:
                return int(value)
        return 0

    # --- calls ------------------------------------------------------------------------------------

    def batch_call(self, batch: Batch, timepoint: tuple[int, int] | None = None) -> bytes:
        """Return the batch as one atomic call, its header first.

        `timepoint`: block and index of the transaction that proposed the open approval.
        """
        header = self.header(batch.index)
        assert header is not None
        head = self.runtime.call("System.remark_with_event", header.encode(self.identity))
        calls = [head, *(self.call(a, timepoint) for a in self.actions[batch.start : batch.stop])]
        return self.runtime.call("Utility.batch_all", calls)

    def call(self, action: Action, timepoint: tuple[int, int] | None = None) -> bytes:
        """Return one action as an encoded call."""
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
            case "licences":
                return call("Uniques.create", self.licences, money.operator)
            case "licence":
                return call("Uniques.mint", self.licences, action.number, money.seat(action.device))
            case "attribute":
                name, _, value = action.data.partition(b"=")
                return call("Uniques.set_attribute", self.licences, action.number, name, value)
            case "propose" | "approve":
                return money.as_sub(action.device, self._approval(action, timepoint))
        raise AssertionError(action.kind)

    def funded(self, action: Action) -> bytes:
        """Return the address that a `fund` pays."""
        if action.reason == "seat":
            return self.money.seat(action.device)
        return self.money.address(action.credit)

    @property
    def collection(self) -> int:
        """Number of this run's collection of model versions."""
        return int.from_bytes(self.identity[:4], "little")

    @property
    def licences(self) -> int:
        """Number of this run's collection of licences."""
        return int.from_bytes(self.identity[4:8], "little")

    def _approval(self, action: Action, timepoint: tuple[int, int] | None) -> bytes:
        """Return a seat's approval of a round's result; the last that is needed executes it."""
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
        """Return the seats of the other members, sorted as the Multisig pallet wants them."""
        return sorted(self.money.seat(m) for m in action.members if m != action.device)


def signer_name(signer: int) -> str:
    """Return a signer in words."""
    return "operator" if signer == OPERATOR else account_of(signer)


def majority(members: Sequence[int]) -> int:
    """Return the least number of members that is more than half."""
    return len(members) // 2 + 1
