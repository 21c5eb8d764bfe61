"""Comparison of the chain's books with the journal, to the last unit.

Every number on the chain's side is read from the chain.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from chain_bridge.audit import BatchEffect, audit, fee_of, own_events
from chain_bridge.client import Chain
from chain_bridge.comparison import Comparison, Row
from chain_bridge.custody import FEES
from chain_bridge.devices import account_of
from chain_bridge.errors import ReplayError
from chain_bridge.fees import FeeBook, apportion
from chain_bridge.landed import Landed, State, nonce, nonces, scan
from chain_bridge.money import OPERATOR, AssetMoney, Money
from chain_bridge.plan import rows
from chain_bridge.recording import BURN, ISSUANCE
from chain_bridge.script import Batch, Script, signer_name

# More accounts are not listed and summed: Chopsticks' time for it grows with the square.
MOST_ACCOUNTS = 5_000


@dataclass
class Reconciliation(Comparison):
    """All comparisons and the verdict.

    `fees`: fees by round, device and reason; `head`: number and hash of the last batch's block;
    `participants`: what everybody who signed paid, got for fees and has left of it.
    """

    fees: FeeBook
    head: tuple[int, str]
    landed: list[Landed]
    skipped: list[str] = field(default_factory=list)
    participants: pd.DataFrame = field(default_factory=pd.DataFrame)


def reconcile(chain: Chain, script: Script) -> Reconciliation:
    """Compare every call's effect, every balance after every round, fees and issuance.

    Raises `ReplayError` when batches are missing on the chain.
    """
    state = scan(chain, script)
    if len(state.landed) != len(script.batches):
        raise ReplayError(
            f"{chain.url}: {len(state.landed)} of {len(script.batches)} batches are there; "
            "fedstake replay goes on"
        )
    if not state.landed:
        raise ReplayError(
            f"{script.plan.run.path}: nothing happened in this run, there is nothing to compare"
        )
    return _Reconciler(chain, script, state).run()


@dataclass
class _Spent:
    """What one signer did in one block: its batches, fees by the events, native units paid out.

    `refused`: index of the batch and fee of each attempt that failed.
    """

    batches: list[tuple[Batch, int]] = field(default_factory=list)
    refused: list[tuple[int, int]] = field(default_factory=list)
    paid_out: int = 0

    @property
    def fee(self) -> int:
        return sum(fee for _, fee in (*self.batches, *self.refused))


class _Reconciler:
    def __init__(self, chain: Chain, script: Script, state: State) -> None:
        self.chain = chain
        self.script = script
        self.landed, self.refused = state.landed, state.refused
        self.money: Money = script.money
        self.rows: list[Row] = []
        self.skipped: list[str] = []
        self.names = {self.money.address(a): a for a in script.plan.accounts}

        # Straight from the journal, not from the plan: a plan that forgot an entry would show.
        self.entries = rows(script.plan.run.journal, "round", "debit", "credit", "amount", "reason")
        self.next = next(self.entries, None)
        self.held: Counter[str] = Counter()  # by the journal so far, in units of the chain
        # By round, account and reason: the change in the journal, the change on the chain.
        self.moved: dict[tuple[int, str, str], list[int]] = defaultdict(lambda: [0, 0])
        self.fees = FeeBook(script)
        self.signers = script.signers()

        # The replay lies between the block before the first transaction for this run and the block
        # of its last one.
        self.own = [*state.landed, *state.refused]
        self.before = chain.parent(min(self.own, key=_place).block)
        self.end = max(self.own, key=_place).block
        self.alone = True  # no other transaction of the operator in between

        # By block and signer: what it spent there, and how many of its transactions are not seen.
        self.spent: dict[tuple[str, int], _Spent] = defaultdict(_Spent)
        self.unseen = Counter((x.block, x.signer) for x in self.own)
        self.known: dict[str, dict[int, int]] = {}  # native units by block and signer
        self.costs: Counter[int] = Counter()  # by signer: fees and native units paid out
        # Of every round, its last batch on the chain. What the operator pays devices leaves the one
        # and comes to the other.
        self.last: dict[int, Landed] = {}
        for x in state.landed:
            batch = script.batches[x.batch]
            self.last[batch.round] = max(self.last.get(batch.round, x), x, key=_place)
            for a in script.actions[batch.start : batch.stop]:
                if a.kind == "fund" and a.reason == FEES:
                    self.spent[x.block, a.device].paid_out -= a.amount
                    self.costs[a.device] -= a.amount

    def run(self) -> Reconciliation:
        """Make all comparisons."""
        # Attempts that the chain refused: nothing but their fees.
        self._refusals()

        # Batch by batch: calls, fees; after the last batch of a round: balances.
        for done in audit(self.chain, self.script, self.landed):
            self._batch(done)
            self._fee(done)
            if self._ends_round(done):
                self._balances(done)
        last, last_round = max(self.landed, key=_place), done.batch.round

        # Sums per round, account and reason, with the rest of the journal.
        self._journal(None)
        for (r, account, reason), (journal, found) in self.moved.items():
            self._row("moved", r, account, reason, journal, found)

        # The whole replay: the signers' accounts, issuance, the order of batches.
        self._strangers()
        gone = self._decrease(lambda at: self._native(OPERATOR, at))
        what = "fees and native units paid out"
        self._row("signer", last_round, "operator", what, self.costs[OPERATOR], gone)
        self._devices(last_round)
        self._issuance(last.block, last_round)
        wrong = _inversions(self._phases())
        self._row("order", last_round, "chain", "batches before their predecessor", 0, wrong)

        skipped = [*self.script.skipped, *self.skipped]
        head, people = (last.number, last.block), self._participants()
        return Reconciliation(self.rows, self.fees, head, self.landed, skipped, people)

    def _row(
        self,
        check: str,
        r: int,
        account: str,
        reason: str,
        journal: int,
        chain: int,
        call: str = "",
    ) -> None:
        self.rows.append(Row(check, r, account, reason, journal, chain, call))

    # --- batches ----------------------------------------------------------------------------------

    def _refusals(self) -> None:
        """Compare the fees of attempts that failed on the chain."""
        for place in self.refused:
            payer = self.signers[place.signer]
            fee = fee_of(payer, own_events(self.chain, place))
            self.spent[place.block, place.signer].refused.append((place.batch, fee))
            self._seen(place)

    def _batch(self, done: BatchEffect) -> None:
        """Compare every call with what was asked for; add its moves to the sums."""
        r, batch = done.batch.round, f"batch {done.batch.index}"
        who = signer_name(done.batch.signer)
        faults = 0
        if not done.faithful:
            faults += 1
            call = f"{batch}: other bytes than asked for"
            self._row("call", r, who, "batch", 0, 1, call)
        for place, effect in enumerate(done.effects):
            a = effect.action
            if effect.fault:
                faults += 1
                account = a.debit or a.credit or who
                call = f"{batch}, call {place + 1}: {effect.fault}"
                self._row("call", a.round, account, a.reason, 0, 1, call)
            for move in effect.moves:
                self._move(a.round, a.reason, move.debit, -move.amount)
                self._move(a.round, a.reason, move.credit, move.amount)
        self._row("calls", r, who, "calls that did something else", 0, faults, batch)
        if self.script.custody == "devices":
            forged = int(not done.signed)
            self._row("signature", r, who, "batches of another's key", 0, forged, batch)

    def _move(self, r: int, reason: str, address: bytes | None, change: int) -> None:
        """Add what an event moved to the sums; the operator's account is none of the run's."""
        if address is None or address == self.money.operator:
            return
        name = self.names.get(address, f"0x{address.hex()}")
        self.moved[r, name, reason][1] += change

    def _fee(self, done: BatchEffect) -> None:
        """Add what a batch cost its signer."""
        spent = self.spent[done.landed.block, done.batch.signer]
        spent.batches.append((done.batch, done.fee))
        actions = [e.action for e in done.effects]
        if done.batch.signer == OPERATOR:
            paid_out = sum(self.money.native_out(a) for a in actions)
            spent.paid_out += paid_out
            self.costs[OPERATOR] += paid_out
        self._seen(done.landed)

    def _seen(self, place: Landed) -> None:
        """Compare a signer's fees in a block with its account, once all are known."""
        key = place.block, place.signer
        self.unseen[key] -= 1
        if self.unseen[key]:
            return
        spent = self.spent[key]
        gone = self._paid_in(place.block, place.signer) - spent.paid_out
        first = spent.batches[0][0].index if spent.batches else spent.refused[0][0]
        r = self.script.batches[min(first, len(self.script.batches) - 1)].round
        numbers = [str(b.index) for b, _ in spent.batches]
        failed = [f"{index}, refused" for index, _ in spent.refused]
        plural = "" if len(numbers) + len(failed) == 1 else "es"
        call = f"batch{plural} {', '.join([*numbers, *failed])}"
        what = "fees" if spent.batches else "refused"
        self._row("fee", r, signer_name(place.signer), what, spent.fee, gone, call)
        self.costs[place.signer] += spent.fee

        # Fees are booked as measured, in the proportions of the events.
        each = [fee for _, fee in (*spent.batches, *spent.refused)]
        shares = apportion(gone, each)
        for (batch, _), share in zip(spent.batches, shares, strict=False):
            self.fees.add(batch, share)
        for share in shares[len(spent.batches) :]:
            self.fees.refused(r, share, place.signer)

    # --- rounds -----------------------------------------------------------------------------------

    def _ends_round(self, done: BatchEffect) -> bool:
        following = done.batch.index + 1
        if following == len(self.landed):
            return True
        return self.script.batches[following].round != done.batch.round

    def _journal(self, until: int | None) -> None:
        """Book the entries up to the end of a round; None: all of them."""
        while self.next is not None and (until is None or self.next[0] <= until):
            r, debit, credit, amount, reason = self.next
            for name, change in ((debit, -amount), (credit, amount)):
                if name not in (ISSUANCE, BURN):
                    self.moved[r, name, reason][0] += change * self.money.scale
                    self.held[name] += change * self.money.scale
            self.next = next(self.entries, None)

    def _balances(self, done: BatchEffect) -> None:
        """Compare balances after a round: with the journal, and with table `participants`."""
        accounts, r = self.script.plan.accounts, done.batch.round
        self._journal(r)
        balances = self.money.balances(self.chain, accounts, self.last[r].block)
        found = dict(zip(accounts, balances, strict=True))
        for name in accounts:
            self._row("balance", r, name, "held", self.held[name], found[name])
        for device, balance in self._recorded(done):
            name = account_of(device)
            if name in found:
                recorded = int(balance) * self.money.scale
                self._row("recorded balance", r, name, "held", recorded, found[name])

    def _recorded(self, done: BatchEffect) -> Iterator[tuple[int, int]]:
        """Yield (device, balance) as the run recorded them at this point.

        The run's last record is made after everything, payments after the last round included.
        """
        table = self.script.plan.run.participants("device", "balance")
        if table is None or table.empty:
            return
        r, last = done.batch.round, int(table["round"].max())
        if done.batch.index + 1 == len(self.landed):
            r = last
        elif r >= last:
            return
        yield from table.loc[table["round"] == r, ["device", "balance"]].itertuples(index=False)

    # --- the whole replay -------------------------------------------------------------------------

    def _strangers(self) -> None:
        """Find out whether the operator's key signed for other runs in between."""
        mine = self.money.operator
        signed = nonce(self.chain, mine, self.end) - nonce(self.chain, mine, self.before)
        others = signed - sum(x.signer == OPERATOR for x in self.own)
        self.alone = not others
        if others:
            self.skipped.append(
                f"{others} transactions of the operator for other runs came between: "
                "what they cost and issued is not compared"
            )

    def _decrease(self, value: Callable[[str], int]) -> int:
        """Return the decrease of a chain value over the replay.

        Summed block by block where other transactions of the operator came between.
        """
        if self.alone:
            return value(self.before) - value(self.end)
        blocks = dict.fromkeys(x.block for x in self.own if x.signer == OPERATOR)
        return sum(value(self.chain.parent(b)) - value(b) for b in blocks)

    def _devices(self, r: int) -> None:
        """Compare what devices have left of their native units, and how often their keys signed."""
        devices = {s: key for s, key in self.signers.items() if s != OPERATOR}
        if not devices:
            return
        mine = Counter(x.signer for x in self.own)
        signed = nonces(self.chain, devices, self.end)
        before, after = (self._natives(devices, at) for at in (self.before, self.end))
        for device in devices:
            name, gone = signer_name(device), before[device] - after[device]
            what = "fees less native units received"
            self._row("signer", r, name, what, self.costs[device], gone)
            what = "transactions of its key"
            self._row("signer", r, name, what, mine[device], signed[device])

    def _participants(self) -> pd.DataFrame:
        """Return what everybody who signed paid, got for fees and has left."""
        table = self.fees.by_participant()
        left = self._natives(self.signers, self.end)
        names = {signer_name(s): s for s in self.signers}
        signers = [names[name] for name in table["participant"]]
        funded = {
            a.device: a.amount for a in self.script.actions if a.kind == "fund" and a.reason == FEES
        }
        table["funded"] = [funded.get(s, 0) for s in signers]
        table["left"] = [left[s] for s in signers]
        return table

    def _phases(self) -> list[list[tuple[int, int]]]:
        """Return the places of the batches of each phase.

        A batch that the chain refused at first counts from there: others did not wait for it.
        """
        first = {x.batch: _place(x) for x in self.landed}
        for x in self.refused:
            if x.batch in first:
                first[x.batch] = min(first[x.batch], _place(x))
        phases: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for batch in self.script.batches:
            phases[batch.phase].append(first[batch.index])
        return [phases[number] for number in sorted(phases)]

    def _paid_in(self, block: str, signer: int) -> int:
        """Return the native units that left a signer in a block."""
        return self._native(signer, self.chain.parent(block)) - self._native(signer, block)

    def _native(self, signer: int, block: str) -> int:
        """Return a signer's free and reserved native units: deposits stay its own."""
        return self._natives(self.signers, block)[signer]

    def _natives(self, signers: Mapping[int, bytes], block: str) -> dict[int, int]:
        """Return the free and reserved native units of signers; of the same block without asking.

        The same signers are asked for at the parent of a block and at the block, many times.
        """
        if block not in self.known:
            if len(self.known) > 2:
                self.known.clear()
            keys = [(key,) for key in self.signers.values()]
            found = self.chain.read_many("System", "Account", keys, at=block)
            data = [{} if account is None else account["data"] for account in found]
            held = [int(d.get("free", 0)) + int(d.get("reserved", 0)) for d in data]
            self.known[block] = dict(zip(self.signers, held, strict=True))
        return {s: self.known[block][s] for s in signers}

    def _issuance(self, block: str, r: int) -> None:
        """Compare total issuance with the sum of all accounts, natively and of the run's asset."""
        total = int(self.chain.read("Balances", "TotalIssuance", at=block))
        held = self._sum(
            "System",
            "Account",
            block,
            lambda v: int(v["data"]["free"]) + int(v["data"]["reserved"]),
        )
        if held is not None:
            self._row("issuance", r, "chain", "sum of all accounts, native", total, held)
        if not isinstance(self.money, AssetMoney):
            return

        money, unit = self.money, self.money.unit
        supply = money.supply(self.chain, block)
        issued = sum(self.held.values())
        gained = -self._decrease(lambda at: money.supply(self.chain, at))
        self._row("supply", r, "chain", f"{unit}, issued and not burned", issued, gained)
        held = self._asset_sum(money, block)
        if held is not None:
            self._row("issuance", r, "chain", f"sum of all accounts, {unit}", supply, held)

    def _asset_sum(self, money: AssetMoney, block: str) -> int | None:
        """Return the sum of all accounts of the asset; None where there are too many to list.

        Where the chain counts as many accounts as this run has, these are all.
        """
        balances = money.balances(self.chain, self.script.plan.accounts, block)
        mine = [b for b in balances if b]
        if money.holders(self.chain, block) == len(mine):
            return sum(mine)
        number = money.asset.to_bytes(4, "little")
        return self._sum("Assets", "Account", block, lambda v: int(v["balance"]), number)

    def _sum(self, pallet: str, entry: str, block: str, value: Any, *keys: bytes) -> int | None:
        """Return the sum over a map of the chain; None where it has too many entries."""
        total = 0
        for count, (_, stored) in enumerate(self.chain.entries(pallet, entry, *keys, at=block)):
            if count >= MOST_ACCOUNTS:
                self.skipped.append(
                    f"sum of {pallet}.{entry}: more than {MOST_ACCOUNTS:,} accounts"
                )
                return None
            total += value(stored)
        return total


def _place(x: Landed) -> tuple[int, int]:
    """Return where an extrinsic is: the number of the block and the index in it."""
    return x.number, x.extrinsic


def _inversions(phases: Sequence[Sequence[tuple[int, int]]]) -> int:
    """Return how many places do not come after all places of the phases before theirs."""
    wrong, last = 0, (-1, -1)
    for places in phases:
        wrong += sum(place <= last for place in places)
        last = max(last, *places)
    return wrong
