"""Comparison of the chain's books with the journal, to the last unit.

Every number on the chain's side is read from the chain.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from chain_bridge.audit import BatchEffect, audit, fee_of, own_events
from chain_bridge.client import Chain
from chain_bridge.comparison import Comparison, Row
from chain_bridge.errors import ReplayError
from chain_bridge.fees import FeeBook
from chain_bridge.landed import Landed, State, nonce, scan
from chain_bridge.money import AssetMoney, Money
from chain_bridge.plan import rows
from chain_bridge.recording import BURN, ISSUANCE
from chain_bridge.script import Script

# More accounts are not listed and summed: Chopsticks' time for it grows with the square.
MOST_ACCOUNTS = 5_000


@dataclass
class Reconciliation(Comparison):
    """All comparisons and the verdict.

    `fees`: fees by round, device and reason; `head`: number and hash of the last batch's block.
    """

    fees: FeeBook
    head: tuple[int, str]
    landed: list[Landed]
    skipped: list[str] = field(default_factory=list)


def reconcile(chain: Chain, script: Script) -> Reconciliation:
    """Compare every call's effect, every balance after every round, fees and issuance.

    Raises `ReplayError` when batches are missing on the chain.
    """
    state = scan(chain, script, script.money.operator)
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

        # The replay lies between the block before the operator's first transaction for this run
        # and the block of its last one.
        self.own = [*state.landed, *state.refused]
        self.before = chain.parent(min(self.own, key=lambda x: x.number).block)
        self.end = max(self.own, key=lambda x: x.number).block
        self.alone = True  # no other transaction of the operator in between

    def run(self) -> Reconciliation:
        """Make all comparisons."""
        # Attempts that the chain refused: nothing but their fees.
        spent = self._refusals()

        # Batch by batch: calls, fees; after the last batch of a round: balances.
        for done in audit(self.chain, self.script, self.landed):
            self._batch(done)
            spent += self._fee(done)
            if self._ends_round(done):
                self._balances(done)
        last, last_round = self.landed[-1], done.batch.round

        # Sums per round, account and reason, with the rest of the journal.
        self._journal(None)
        for (r, account, reason), (journal, found) in self.moved.items():
            self._row("moved", r, account, reason, journal, found)

        # The whole replay: the operator's account, issuance, the order of batches.
        self._strangers()
        gone = self._decrease(self._operator)
        what = "fees and native units paid out"
        self._row("signer", last_round, "operator", what, spent, gone)
        self._issuance(last.block, last_round)
        wrong = _inversions([(x.number, x.extrinsic) for x in self.landed])
        self._row("order", last_round, "chain", "batches before their predecessor", 0, wrong)

        skipped = [*self.script.skipped, *self.skipped]
        return Reconciliation(self.rows, self.fees, (last.number, last.block), self.landed, skipped)

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

    def _refusals(self) -> int:
        """Compare the fees of attempts that failed on the chain; return their sum by the events."""
        total = 0
        for place in self.refused:
            r = self.script.batches[min(place.batch, len(self.script.batches) - 1)].round
            fee = fee_of(self.script, own_events(self.chain, place))
            gone, call = self._paid_in(place.block), f"batch {place.batch}, refused"
            self._row("fee", r, "operator", "refused", fee, gone, call)
            self.fees.refused(r, fee)
            total += fee
        return total

    def _batch(self, done: BatchEffect) -> None:
        """Compare every call with what was asked for; add its moves to the sums."""
        r, batch = done.batch.round, f"batch {done.batch.index}"
        faults = 0
        if not done.faithful:
            faults += 1
            call = f"{batch}: other bytes than asked for"
            self._row("call", r, "operator", "batch", 0, 1, call)
        for place, effect in enumerate(done.effects):
            a = effect.action
            if effect.fault:
                faults += 1
                account = a.debit or a.credit or "operator"
                call = f"{batch}, call {place + 1}: {effect.fault}"
                self._row("call", a.round, account, a.reason, 0, 1, call)
            for move in effect.moves:
                self._move(a.round, a.reason, move.debit, -move.amount)
                self._move(a.round, a.reason, move.credit, move.amount)
        self._row("calls", r, "operator", "calls that did something else", 0, faults, batch)

    def _move(self, r: int, reason: str, address: bytes | None, change: int) -> None:
        """Add what an event moved to the sums; the operator's account is none of the run's."""
        if address is None or address == self.money.operator:
            return
        name = self.names.get(address, f"0x{address.hex()}")
        self.moved[r, name, reason][1] += change

    def _fee(self, done: BatchEffect) -> int:
        """Compare a batch's fee by the events with the operator's balance; return what it spent."""
        paid_out = sum(self.money.native_out(e.action) for e in done.effects)
        fee = self._paid_in(done.landed.block) - paid_out
        r, call = done.batch.round, f"batch {done.batch.index}"
        self._row("fee", r, "operator", "fees", done.fee, fee, call)
        self.fees.add(done.batch, fee)
        return done.fee + paid_out

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
        balances = self.money.balances(self.chain, accounts, done.landed.block)
        found = dict(zip(accounts, balances, strict=True))
        for name in accounts:
            self._row("balance", r, name, "held", self.held[name], found[name])
        for device, balance in self._recorded(done):
            name = f"device:{device}"
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
        others = signed - len(self.own)
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
        return sum(value(self.chain.parent(x.block)) - value(x.block) for x in self.own)

    def _paid_in(self, block: str) -> int:
        """Return the native units that left the operator in a block."""
        return self._operator(self.chain.parent(block)) - self._operator(block)

    def _operator(self, block: str) -> int:
        """Return the operator's free and reserved native units: deposits stay its own."""
        data = self.chain.read("System", "Account", self.money.operator, at=block)["data"]
        return int(data["free"]) + int(data["reserved"])

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


def _inversions(places: Sequence[tuple[int, int]]) -> int:
    """Return how many places do not come after the one before them."""
    return sum(1 for a, b in pairwise(places) if a >= b)
