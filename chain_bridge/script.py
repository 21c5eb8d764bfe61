"""A plan bound to one chain: which calls it becomes, what the chain cannot do, and how calls are packed into batches."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, NamedTuple

import pandas as pd

from chain_bridge.client import Chain
from chain_bridge.errors import PlanError
from chain_bridge.extrinsic import assemble
from chain_bridge.header import SIZE, Header
from chain_bridge.keys import Signer
from chain_bridge.landed import walk
from chain_bridge.money import SEAT_MARGIN, AssetMoney, Money, NativeMoney
from chain_bridge.plan import MONEY, Action, Kind, Plan
from chain_bridge.recording import BURN, ISSUANCE
from chain_bridge.runtime import Limits, Runtime, Weight, blake2
from chain_bridge.scale import read_compact

Token = Literal["auto", "asset", "native"]

FILL = 0.85  # of what an extrinsic may weigh: weights are estimates until they are executed
PROBE = 64  # calls of a probing batch
NEEDS: dict[Kind, tuple[str, ...]] = {
    "create": ("Assets.create",),
    "fund": ("Balances.transfer_keep_alive",),
    "note": ("System.remark_with_event",),
    "collection": ("Uniques.create",),
    "version": ("Uniques.mint",),
    "metadata": ("Uniques.set_metadata",),
    "propose": ("Multisig.approve_as_multi", "Utility.as_derivative"),
    "approve": ("Multisig.as_multi", "Utility.as_derivative"),
}
CALLED = {"note": "notes (roles, commitments, reveals, votes, blocks)", "propose": "collective approvals"} | dict.fromkeys(
    ("collection", "version", "metadata"), "model versions"
)


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
        return self.base.fee * len(self.batches) + sum(self.prices[a.kind].fee for a in self.actions)

    def estimate_of(self, batch: Batch) -> int:
        """Fee of one batch in native units."""
        return self.base.fee + sum(self.prices[a.kind].fee for a in self.actions[batch.start : batch.stop])

    def frame(self) -> pd.DataFrame:
        """One row per call, in order."""
        batch_of = [b.index for b in self.batches for _ in range(b.stop - b.start)]
        rows = [
            (i, a.round, a.kind, a.reason, a.debit, a.credit, a.amount or None, a.device if a.device >= 0 else None, a.text())
            for i, a in zip(batch_of, self.actions, strict=True)
        ]
        columns = ["batch", "round", "call", "reason", "debit", "credit", "amount", "device", "data"]
        return pd.DataFrame(rows, columns=columns).astype({"amount": "Int64", "device": "Int64"})

    def needs(self, actions: Sequence[Action], batches: int) -> int:
        """Native units that the operator must have for actions in so many batches: fees, payments, deposits that it reserves."""
        fees = self.base.fee * batches + sum(self.prices[a.kind].fee for a in actions)
        paid = sum(max(0, self.money.native_out(a)) for a in actions)
        return fees + paid + sum(self._deposit(a) for a in actions) + self.money.existential

    def _deposit(self, action: Action) -> int:
        """What the chain reserves of the operator for an action; it stays its own."""

        def constant(*names: str) -> int:
            return next((int(v) for n in names if (v := self.runtime.constant(*n.split("."))) is not None), 0)

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
                return call("Uniques.set_metadata", self.collection, action.number, action.data, True)
            case "propose" | "approve":
                return money.as_sub(action.device, self._approval(action, timepoint))
        raise AssertionError(action.kind)

    def funded(self, action: Action) -> bytes:
        """The address that a `fund` pays."""
        return self.money.seat(action.device) if action.reason == "seat" else self.money.address(action.credit)

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
            return self.runtime.call("Multisig.as_multi", threshold, others, when, inner, *stored, allowed)
        return self.runtime.call("Multisig.approve_as_multi", threshold, others, when, blake2(inner), allowed)

    def _others(self, action: Action) -> list[bytes]:
        return sorted(self.money.seat(m) for m in action.members if m != action.device)


def majority(members: Sequence[int]) -> int:
    """More than half."""
    return len(members) // 2 + 1


# --- making one ---------------------------------------------------------------------------------------------------------


def make_script(
    chain: Chain,
    plan: Plan,
    signer: Signer,
    *,
    token: Token = "auto",
    asset: int = 1,
    scale: int = 1,
    most: int | None = None,
) -> Script:
    """Bind a plan to a chain. `scale`: units on the chain per base unit; `most`: at most so many calls in a batch.

    Raises `PlanError` when the chain cannot hold the run's money, before anything is signed.
    """
    runtime = chain.runtime
    for call in ("Utility.batch_all", "System.remark_with_event"):
        if not runtime.has(call):
            raise PlanError(f"{chain.url} ({runtime.spec_name}) has no {call}: without it a batch cannot be paid exactly once")
    script = _bind(chain, plan, signer, token, asset, scale, most, created=False)
    if isinstance(script.money, AssetMoney) and script.money.details and not script.money.details["is_sufficient"]:
        # Perhaps this very replay created the asset: then its first batch is the one that does.
        again = _bind(chain, plan, signer, token, asset, scale, most, created=True)
        if any(h == again.header(h.batch) and ok for h, _, ok in walk(chain, script.identity, signer.public, chain.head())):
            return again
    return script


def _bind(
    chain: Chain, plan: Plan, signer: Signer, token: Token, asset: int, scale: int, most: int | None, *, created: bool
) -> Script:
    runtime = chain.runtime
    skipped: list[str] = []
    money = _money(chain, plan, signer, token, asset, scale, skipped, created)
    actions = _supported(runtime, plan.actions, skipped)
    actions = _opening(runtime, money, plan.accounts, actions) + actions
    script = Script(plan, runtime, money, actions, skipped, {}, Price(Weight(0), 0, 0))
    _check_amounts(plan, money)
    _probe(chain, script, signer)
    script.batches = pack(script, runtime.limits, most)
    return script


def _money(
    chain: Chain, plan: Plan, signer: Signer, token: Token, asset: int, scale: int, skipped: list[str], created: bool
) -> Money:
    runtime, identity = chain.runtime, plan.run.identity
    wanted = ("Assets.mint", "Assets.burn", "Assets.force_transfer")
    missing = [c for c in wanted if not runtime.has(c)]
    if missing and token == "asset":
        raise PlanError(
            f"--token asset: {chain.url} ({runtime.spec_name}) has no {missing[0]}; --token native moves its own token"
        )
    if token != "native" and not missing:
        details = None if created else chain.read("Assets", "Asset", struct.pack("<I", asset))
        return AssetMoney(runtime, signer.public, identity, scale, asset, details)
    if not runtime.has("Utility.as_derivative"):
        raise PlanError(
            f"{chain.url} ({runtime.spec_name}) has neither Assets nor Utility.as_derivative: it cannot hold the run's money"
        )
    if missing:
        skipped.append(f"asset: the chain has no {missing[0]}; the run's money is its native token")
    if any(a.kind == "burn" for a in plan.actions):
        skipped.append("burning: in the native token what the run burns goes back to the operator")
    return NativeMoney(runtime, signer.public, identity, scale, plan.accounts)


def _supported(runtime: Runtime, actions: Sequence[Action], skipped: list[str]) -> list[Action]:
    """What the chain can do; what it cannot is told once for each kind."""
    lacking: dict[str, str] = {}
    for kind in dict.fromkeys(a.kind for a in actions):
        missing = [c for c in NEEDS.get(kind, ()) if not runtime.has(c)]
        if missing:
            lacking[kind] = missing[0]
    for group in (("collection", "version", "metadata"), ("propose", "approve")):
        if any(k in lacking for k in group):
            lacking |= {k: next(lacking[x] for x in group if x in lacking) for k in group}
    skipped += sorted(
        {f"{CALLED.get(kind, kind)}: the chain has no {call}" for kind, call in lacking.items() if kind != "approve"}
    )
    return [a for a in actions if a.kind not in lacking]


def _opening(runtime: Runtime, money: Money, accounts: Sequence[str], actions: Sequence[Action]) -> list[Action]:
    """What must be there first: the asset, existential deposits, and what seats reserve while an approval is open."""
    proposals = [a for a in actions if a.kind == "propose"]
    base = int(runtime.constant("Multisig", "DepositBase") or 0)
    each = int(runtime.constant("Multisig", "DepositFactor") or 0)
    seats: dict[int, int] = {}
    for a in proposals:
        needed = SEAT_MARGIN * money.existential + base + each * majority(a.members)
        seats[a.device] = max(seats.get(a.device, 0), needed)
    funds = [Action(0, "fund", "seat", credit=f"seat:{d}", amount=n, device=d) for d, n in sorted(seats.items())]
    return money.opening(accounts) + funds


def _check_amounts(plan: Plan, money: Money) -> None:
    """No account may ever hold less than the chain lets it hold, nor more than the chain can count."""
    least, held = money.least(), dict.fromkeys(plan.accounts, 0)
    issued = 0
    for a in plan.actions:
        if a.kind not in MONEY:
            continue
        issued += a.amount if a.debit == ISSUANCE else 0
        for name, change in ((a.debit, -a.amount), (a.credit, a.amount)):
            if name in (ISSUANCE, BURN):
                continue
            held[name] += change
            if 0 < held[name] * money.scale < least:
                wanted = -(-least // held[name])
                raise PlanError(
                    f"round {a.round}: {name} would hold {held[name] * money.scale} of {money.unit}, which keeps at least "
                    f"{least} in an account (its existential deposit): --scale {wanted} or more"
                )
    if issued * money.scale >= 2**128:
        raise PlanError(f"--scale {money.scale}: {issued} base units issued would not fit the chain's 128 bits")


def _probe(chain: Chain, script: Script, signer: Signer) -> None:
    """Ask the chain what each kind of call weighs and costs, in a batch of `PROBE` and in an empty one."""
    samples: dict[str, Action] = {}
    for a in script.actions:
        if a.kind not in samples or len(a.data) + 32 * len(a.members) > len(samples[a.kind].data) + 32 * len(
            samples[a.kind].members
        ):
            samples[a.kind] = a
    head = script.runtime.call("System.remark_with_event", bytes(SIZE))
    batch = partial(script.runtime.call, "Utility.batch_all")
    script.base = query(chain, script.runtime, batch([head]), signer)
    for kind, action in sorted(samples.items(), key=lambda item: item[0] != "note"):
        call = script.call(action, (2**31, 2) if kind == "approve" else None)
        told = query(chain, script.runtime, batch([head, *[call] * PROBE]), signer)
        weight = Weight(*(-(-(t - b) // PROBE) for t, b in zip(told.weight, script.base.weight, strict=True)))
        script.prices[kind] = Price(weight, len(call), -(-(told.fee - script.base.fee) // PROBE))


def query(chain: Chain, runtime: Runtime, call: bytes, signer: Signer) -> Price:
    """Weight, length and fee of a call signed by itself, as the runtime tells them; nothing is sent."""
    # Only its length counts: what bears no signature can be sent by nobody.
    extrinsic = assemble(runtime, chain.genesis, call, signer.public, lambda _: bytes(65), 0)
    raw = chain.rpc(
        "state_call",
        "TransactionPaymentApi_query_info",
        "0x" + (extrinsic + len(extrinsic).to_bytes(4, "little")).hex(),
    )
    two = isinstance(runtime.constant("System", "BlockWeights")["max_block"], dict)
    weight, fee = dispatch_info(bytes.fromhex(raw[2:]), two)
    return Price(weight, len(extrinsic), fee)


def dispatch_info(data: bytes, two_dimensional: bool) -> tuple[Weight, int]:
    """Weight and fee of a `RuntimeDispatchInfo`: the weight in either generation's form, a byte for the class, a u128."""
    if two_dimensional:
        time, at = read_compact(data, 0)
        proof, at = read_compact(data, at)
        weight = Weight(time, proof)
    else:
        weight, at = Weight(int.from_bytes(data[:8], "little")), 8
    return weight, int.from_bytes(data[at + 1 : at + 17], "little")


def pack(script: Script, limits: Limits, most: int | None = None) -> list[Batch]:
    """Greedy and in order: one round per batch, an approval never in the batch of its proposal, `FILL` of what fits at most."""
    room = Weight(int(limits.weight.ref_time * FILL), int(limits.weight.proof_size * FILL))
    calls = min(x for x in (most, (limits.calls or 2**31) - 1, 2**31) if x is not None)
    _check_most(script, limits, most)
    batches: list[Batch] = []
    start, weight, length = 0, script.base.weight, script.base.length
    for i, a in enumerate(script.actions):
        price = script.prices[a.kind]
        full = (
            weight.ref_time + price.weight.ref_time > room.ref_time
            or (room.proof_size and weight.proof_size + price.weight.proof_size > room.proof_size)
            or length + price.length > limits.length * FILL
            or i - start >= calls
        )
        waits = a.kind == "approve" and any(x.kind == "propose" for x in script.actions[max(start, i - 1) : i])
        if i > start and (full or waits or a.round != script.actions[start].round):
            batches.append(_batch(script, len(batches), start, i))
            start, weight, length = i, script.base.weight, script.base.length
        weight, length = weight + price.weight, length + price.length
    if script.actions[start:]:
        batches.append(_batch(script, len(batches), start, len(script.actions)))
    return batches


def _check_most(script: Script, limits: Limits, most: int | None) -> None:
    """A batch size that the chain would refuse is refused here."""
    if most is None:
        return
    for kind in dict.fromkeys(a.kind for a in script.actions if a.kind in MONEY):
        price = script.prices[kind]
        fits = (limits.weight.ref_time - script.base.weight.ref_time) // max(1, price.weight.ref_time)
        if limits.weight.proof_size:
            fits = min(fits, (limits.weight.proof_size - script.base.weight.proof_size) // max(1, price.weight.proof_size))
        planned = sum(1 for a in script.actions if a.kind == kind)
        if min(most, planned) > fits:
            raise PlanError(
                f"--batch {most}: so many calls of kind {kind} weigh {most * price.weight.ref_time:,}, the chain takes "
                f"{limits.weight.ref_time:,} in one extrinsic: at most {fits} (the bridge would choose {int(fits * FILL)})"
            )


def _batch(script: Script, index: int, start: int, stop: int) -> Batch:
    lines = b"\n".join(a.line() for a in script.actions[start:stop])
    return Batch(index, script.actions[start].round, start, stop, hashlib.sha256(lines).digest())
