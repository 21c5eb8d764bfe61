"""Whether the chain's books and the journal's agree, to the last unit; every number of the chain is read from the chain."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import pandas as pd

from chain_bridge.audit import BatchEffect, audit, fee_of, own_events
from chain_bridge.client import Chain
from chain_bridge.errors import ReplayError
from chain_bridge.fees import FeeBook
from chain_bridge.landed import Landed, State, nonce, scan
from chain_bridge.money import AssetMoney, Money
from chain_bridge.plan import rows
from chain_bridge.recording import BURN, ISSUANCE
from chain_bridge.script import Script

MOST_ACCOUNTS = (
    5_000  # whose sum is taken by listing them: Chopsticks' time for it grows with the square
)

COLUMNS = ("check", "round", "account", "reason", "journal", "chain", "difference", "call")


class Row(NamedTuple):
    """One comparison. Amounts are units on the chain; `call` says which batch and call differ."""

    check: str
    round: int
    account: str
    reason: str
    journal: int
    chain: int
    call: str = ""

    @property
    def difference(self) -> int:
        return self.chain - self.journal


@dataclass
class Reconciliation:
    """The table and the verdict. `head`: number and hash of the last batch's block; `fees`: who cost what."""

    rows: list[Row]
    fees: FeeBook
    head: tuple[int, str]
    landed: list[Landed]
    skipped: list[str] = field(default_factory=list)

    @property
    def differences(self) -> list[Row]:
        return [r for r in self.rows if r.difference]

    @property
    def agrees(self) -> bool:
        """True only when there was something to compare and nothing differs."""
        return bool(self.rows) and not self.differences

    @property
    def verdict(self) -> str:
        """One line."""
        if self.agrees:
            return f"reconciled: {len(self.rows):,} comparisons, no difference"
        if not self.rows:
            return "not reconciled: nothing to compare"
        first = self.differences[0]
        where = f" ({first.call})" if first.call else ""
        return (
            f"NOT reconciled: {len(self.differences):,} of {len(self.rows):,} comparisons differ, first {first.check} of "
            f"{first.account}, round {first.round}{where}: journal {first.journal:,}, chain {first.chain:,}"
        )

    def frame(self) -> pd.DataFrame:
        """The `reconciliation` table; amounts are exact integers (Python's own, they may pass 64 bits)."""
        table = pd.DataFrame(
            [(*r[:6], r.difference, r.call) for r in self.rows], columns=list(COLUMNS)
        )
        return table.astype({"journal": object, "chain": object, "difference": object})


def reconcile(chain: Chain, script: Script) -> Reconciliation:
    """Compare the chain with the journal: every call's effect, every account's balance after every round, fees, issuance.

    Raises `ReplayError` when batches are missing on the chain.
    """
    state = scan(chain, script, script.money.operator)
    if len(state.landed) != len(script.batches):
        raise ReplayError(
            f"{chain.url}: {len(state.landed)} of {len(script.batches)} batches are there; fedstake replay goes on"
        )
    if not state.landed:
        raise ReplayError(
            f"{script.plan.run.path}: nothing happened in this run, there is nothing to compare"
        )
    return _Reconciler(chain, script, state).run()


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
        self.moved: dict[tuple[int, str, str], list[int]] = defaultdict(lambda: [0, 0])
        self.fees = FeeBook(script)
        self.own = [*state.landed, *state.refused]
        self.alone = True
        self.before = chain.parent(min(self.own, key=lambda x: x.number).block)

    def run(self) -> Reconciliation:
        """All comparisons."""
        spent = self._refusals()
        for done in audit(self.chain, self.script, self.landed):
            self._batch(done)
            leaves = sum(self.money.native_out(e.action) for e in done.effects)
            fee = self._left(done.landed.block) - leaves
            self._row(
                "fee",
                done.batch.round,
                "operator",
                "fees",
                done.fee,
                fee,
                f"batch {done.batch.index}",
            )
            self.fees.add(done.batch, fee)
            spent += done.fee + leaves
            if self._ends_round(done):
                self._balances(done)
        self._journal(None)
        for (r, account, reason), (journal, found) in self.moved.items():
            self._row("moved", r, account, reason, journal, found)
        last = self.landed[-1]
        end = max(self.own, key=lambda x: x.number).block
        mine = self.script.money.operator
        others = nonce(self.chain, mine, end) - nonce(self.chain, mine, self.before) - len(self.own)
        self.alone = not others
        if others:
            told = "transactions of the operator for other runs came between: what they cost and issued is not compared"
            self.skipped.append(f"{others} {told}")
        gone = self._over(self._operator)
        self._row(
            "signer", done.batch.round, "operator", "fees and native units paid out", spent, gone
        )
        self._issuance(last.block, done.batch.round)
        order = [(x.number, x.extrinsic) for x in self.landed]
        self._row(
            "order",
            done.batch.round,
            "chain",
            "batches before their predecessor",
            0,
            _inversions(order),
        )
        skipped = [*self.script.skipped, *self.skipped]
        return Reconciliation(self.rows, self.fees, (last.number, last.block), self.landed, skipped)

    def _refusals(self) -> int:
        """Attempts that failed on the chain did nothing and cost a fee; what they cost together, by the events."""
        total = 0
        for place in self.refused:
            r = self.script.batches[min(place.batch, len(self.script.batches) - 1)].round
            fee = fee_of(self.script, own_events(self.chain, place))
            self._row(
                "fee",
                r,
                "operator",
                "refused",
                fee,
                self._left(place.block),
                f"batch {place.batch}, refused",
            )
            self.fees.refused(r, fee)
            total += fee
        return total

    def _over(self, value: Callable[[str], int]) -> int:
        """By how much a value fell over the replay: from before it to its end, or block by block where others came between."""
        if self.alone:
            return value(self.before) - value(max(self.own, key=lambda x: x.number).block)
        return sum(value(self.chain.parent(x.block)) - value(x.block) for x in self.own)

    def _left(self, block: str) -> int:
        """What left the operator in a block."""
        return self._operator(self.chain.parent(block)) - self._operator(block)

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

    def _journal(self, until: int | None) -> None:
        """Add the entries up to a round's end to the books; None: all of them."""
        while self.next is not None and (until is None or self.next[0] <= until):
            r, debit, credit, amount, reason = self.next
            for name, change in ((debit, -amount), (credit, amount)):
                if name not in (ISSUANCE, BURN):
                    self.moved[r, name, reason][0] += change * self.money.scale
                    self.held[name] += change * self.money.scale
            self.next = next(self.entries, None)

    def _batch(self, done: BatchEffect) -> None:
        """Every call did what was asked, in order; sums per round, account and reason."""
        faults = int(not done.faithful)
        if faults:
            self._row(
                "call",
                done.batch.round,
                "operator",
                "batch",
                0,
                1,
                f"batch {done.batch.index}: other bytes than asked for",
            )
        for place, effect in enumerate(done.effects):
            a = effect.action
            call = f"batch {done.batch.index}, call {place + 1}"
            if effect.fault:
                faults += 1
                self._row(
                    "call",
                    a.round,
                    a.debit or a.credit or "operator",
                    a.reason,
                    0,
                    1,
                    f"{call}: {effect.fault}",
                )
            for move in effect.moves:
                for address, change in ((move.debit, -move.amount), (move.credit, move.amount)):
                    if address is not None and address != self.money.operator:
                        self.moved[
                            a.round, self.names.get(address, f"0x{address.hex()}"), a.reason
                        ][1] += change
        self._row(
            "calls",
            done.batch.round,
            "operator",
            "calls that did something else",
            0,
            faults,
            f"batch {done.batch.index}",
        )

    def _ends_round(self, done: BatchEffect) -> bool:
        following = done.batch.index + 1
        return (
            following == len(self.landed)
            or self.script.batches[following].round != done.batch.round
        )

    def _balances(self, done: BatchEffect) -> None:
        """After a round: every account against the journal, and devices against what the run recorded of them."""
        accounts, r = self.script.plan.accounts, done.batch.round
        self._journal(r)
        found = dict(
            zip(accounts, self.money.balances(self.chain, accounts, done.landed.block), strict=True)
        )
        for name in accounts:
            self._row("balance", r, name, "held", self.held[name], found[name])
        for device, balance in self._recorded(done):
            name = f"device:{device}"
            if name in found:
                self._row(
                    "recorded balance",
                    r,
                    name,
                    "held",
                    int(balance) * self.money.scale,
                    found[name],
                )

    def _recorded(self, done: BatchEffect) -> Iterator[tuple[int, int]]:
        """(device, balance) as the run recorded them at this point: its last record is made after everything, even what is paid
        back when the run is over.
        """
        table = self.script.plan.run.participants("device", "balance")
        if table is None or table.empty:
            return
        last = int(table["round"].max())
        at = (
            last
            if done.batch.index + 1 == len(self.landed)
            else done.batch.round
            if done.batch.round < last
            else None
        )
        yield from table.loc[table["round"] == at, ["device", "balance"]].itertuples(index=False)

    def _operator(self, block: str) -> int:
        """Free and reserved units of the operator: deposits stay its own."""
        data = self.chain.read("System", "Account", self.money.operator, at=block)["data"]
        return int(data["free"]) + int(data["reserved"])

    def _issuance(self, block: str, r: int) -> None:
        """Nothing appears or vanishes: the sum of all accounts, natively and of the run's asset."""
        total = int(self.chain.read("Balances", "TotalIssuance", at=block))
        held = self._sum(
            "System",
            "Account",
            block,
            lambda v: int(v["data"]["free"]) + int(v["data"]["reserved"]),
        )
        if held is not None:
            self._row("issuance", r, "chain", "sum of all accounts, native", total, held)
        if isinstance(self.money, AssetMoney):
            money, supply = self.money, self.money.supply(self.chain, block)
            issued = sum(self.held.values())
            gained = -self._over(lambda at: money.supply(self.chain, at))
            self._row(
                "supply", r, "chain", f"{self.money.unit}, issued and not burned", issued, gained
            )
            held = self._asset_sum(self.money, block)
            if held is not None:
                self._row(
                    "issuance", r, "chain", f"sum of all accounts, {self.money.unit}", supply, held
                )

    def _asset_sum(self, money: AssetMoney, block: str) -> int | None:
        """Where the chain counts as many accounts as this run has, they are all there is; else they are listed."""
        mine = [b for b in money.balances(self.chain, self.script.plan.accounts, block) if b]
        if money.holders(self.chain, block) == len(mine):
            return sum(mine)
        return self._sum(
            "Assets",
            "Account",
            block,
            lambda v: int(v["balance"]),
            money.asset.to_bytes(4, "little"),
        )

    def _sum(self, pallet: str, entry: str, block: str, value: Any, *keys: bytes) -> int | None:
        total = 0
        for count, (_, told) in enumerate(self.chain.entries(pallet, entry, *keys, at=block)):
            if count >= MOST_ACCOUNTS:
                self.skipped.append(
                    f"sum of {pallet}.{entry}: more than {MOST_ACCOUNTS:,} accounts"
                )
                return None
            total += value(told)
        return total


def _inversions(places: Sequence[tuple[int, int]]) -> int:
    return sum(1 for a, b in pairwise(places) if a >= b)
