"""Comparison of what the contracts pay with the journal, while the run is played.

Every number on the chain's side is read from the chain: balances of the token, what contracts hold
in escrow, events of calls, refusals.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from chain_bridge.comparison import Comparison, Row
from chain_bridge.devices import account_of
from chain_bridge.evm.adapters.base import RULE, Adapter
from chain_bridge.evm.stage import TOKEN, Head, Sent, Stage
from chain_bridge.plan import rows
from chain_bridge.recording import BURN, ISSUANCE, Recording

CALLS = (
    "number",
    "round",
    "block",
    "account",
    "device",
    "call",
    "gas",
    "outcome",
    "expected",
    "transaction",
)


@dataclass
class Books(Comparison):
    """All comparisons of a replay, its calls with their gas, and the state it ends in.

    `created`: gas of creating each contract; `roots`: by round the state root after it;
    `undivided`: by round the units of its pot that the contract's rounding left to nobody.
    """

    sent: list[Sent] = field(default_factory=list)
    created: dict[str, int] = field(default_factory=dict)
    roots: dict[int, Head] = field(default_factory=dict)
    undivided: dict[int, int] = field(default_factory=dict)
    _calls: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(CALLS)))

    def calls(self) -> pd.DataFrame:
        """Return one row per call, in order; the same table until more calls were sent."""
        if len(self._calls) != len(self.sent):
            self._calls = self._listed()
        return self._calls

    def _listed(self) -> pd.DataFrame:
        lines = [
            (
                number,
                s.round,
                s.block,
                s.call.who,
                s.call.device,
                s.call.text(),
                s.gas,
                s.outcome or "done",
                " or ".join(outcome or "done" for outcome in s.call.allowed),
                s.transaction,
            )
            for number, s in enumerate(self.sent)
        ]
        return pd.DataFrame(lines, columns=list(CALLS))

    def gas(self) -> pd.DataFrame:
        """Return gas and calls by round, device and function; device -1: of nobody."""
        table = self.calls()
        cells = table.groupby(["round", "device", "call"], as_index=False)
        return cells.agg(calls=("gas", "size"), gas=("gas", "sum"))

    def by_round(self, run: Recording) -> pd.DataFrame:
        """Return calls, refusals and gas of each round, and the state root after it.

        Where the rule divides a pot by round, also what rounding left of it undivided.
        Where the run recorded utilities, also the mean utility of honest and of other devices.
        """
        calls = self.calls()
        table = calls.assign(refused=(calls["outcome"] != "done").astype(int))
        found = table.groupby("round", as_index=False).agg(
            calls=("gas", "size"), refused=("refused", "sum"), gas=("gas", "sum")
        )
        heads = [self.roots.get(int(r), Head(0, "")) for r in found["round"]]
        found["block"] = [head.number for head in heads]
        found["state_root"] = [head.state_root for head in heads]
        if self.undivided:
            found["undivided"] = [self.undivided.get(int(r), 0) for r in found["round"]]
        utilities = run.mean_utilities()
        return found if utilities is None else found.merge(utilities, on="round", how="left")


class Auditor:
    """Compares round by round.

    `take` is told of every call; `close` compares what is there when a round is over.
    """

    def __init__(self, adapter: Adapter, stage: Stage) -> None:
        self.adapter, self.run, self.stage = adapter, adapter.run, stage
        run = self.run
        self.books = Books([])
        # Straight from the journal: adapters see nothing of what was paid.
        self._entries = rows(run.journal, "round", "debit", "credit", "amount", "reason")
        self._next = next(self._entries, None)
        self._held: Counter[str] = Counter()
        self._moved: dict[tuple[int, str, str], list[int]] = defaultdict(lambda: [0, 0])
        self._places: dict[tuple[int, str, str], str] = {}
        self._accounts: dict[str, None] = {}
        self._refused: Counter[tuple[int, str]] = Counter()
        self._faults: Counter[int] = Counter()
        incidents = run.tables.get("incidents")
        noted = [] if incidents is None else rows(incidents, "round", "kind")
        self._noted: Counter[tuple[int, str]] = Counter(noted)
        self._shared = 0  # of all pots until now, issued or credited
        self._issued = 0  # of that
        for _, debit, credit, _, _ in rows(
            run.journal, "round", "debit", "credit", "amount", "reason"
        ):
            self._accounts |= {n: None for n in (debit, credit) if n not in (ISSUANCE, BURN)}
        for name in self._accounts:
            stage.address(name)  # so that events of any account are read with its name

    def take(self, sent: Sequence[Sent]) -> None:
        """Compare calls with what should have become of them, and sum what they moved."""
        for s in sent:
            number = len(self.books.sent)
            self.books.sent.append(s)
            place = f"call {number}, {s.call.text()} by {s.call.who}"
            if not s.proper:
                self._faults[s.round] += 1
                wanted = " or ".join(outcome or "done" for outcome in s.call.allowed)
                fault = f"{place}: {s.outcome or 'done'}, not {wanted}"
                self._row("call", s.round, s.call.who, s.call.function, 0, 1, fault)
            kinds = [self.adapter.incident(s), *map(self.adapter.judged, s.events)]
            for kind in filter(None, kinds):
                self._refused[s.round, kind] += 1
            for move in s.moves:
                if move.debit == ISSUANCE and move.reason == self.adapter.share:
                    self._issued += move.amount
                for name, change in ((move.debit, -move.amount), (move.credit, move.amount)):
                    if name not in (ISSUANCE, BURN):
                        key = (s.round, name, move.reason)
                        self._moved[key][1] += change
                        self._places[key] = place

    def close(self, r: int, *, last: bool) -> None:
        """Compare after a round: calls, refusals, moves, balances, supply."""
        self._journal(None if last else r)
        what = "calls that did something else"
        self._row("calls", r, "everybody", what, 0, self._faults[r])
        self._refusals(r)
        for key in [key for key in self._moved if last or key[0] <= r]:
            journal, found = self._moved.pop(key)
            self._row("moved", *key, journal, found, self._places.pop(key, ""))
        balances = self._balances(r)
        self._recorded(r, balances, last=last)
        self._backing(r, balances)
        for name, journal, counted in self.adapter.standing(self.stage, r):
            self._row("standing", r, name, "counted by the rule", journal, counted)
        if self.adapter.pot:
            self.books.undivided[r] = self._undivided()
        self.books.roots[r] = self.stage.head()

    def _undivided(self) -> int:
        """Return what the contract left of a round's pot; 0 where it shared none of it."""
        before = self._shared
        self._shared = self._issued + self.adapter.credited(self.stage)
        shared = self._shared - before
        return self.adapter.amount(self.adapter.pot) - shared if shared else 0

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
        self.books.rows.append(Row(check, r, account, reason, journal, chain, call))

    def _journal(self, until: int | None) -> None:
        """Book the entries up to the end of a round; None: all of them."""
        while self._next is not None and (until is None or self._next[0] <= until):
            r, debit, credit, amount, reason = self._next
            for name, change in ((debit, -amount), (credit, amount)):
                if name not in (ISSUANCE, BURN):
                    self._moved[r, name, reason][0] += change
                    self._held[name] += change
            self._next = next(self._entries, None)

    def _refusals(self, r: int) -> None:
        """Compare the refusals that the run noted with those of the contract, by kind."""
        for kind in sorted(self.adapter.refusals):
            journal, found = self._noted[r, kind], self._refused[r, kind]
            if journal or found:
                self._row("refused", r, "everybody", kind, journal, found)

    def _balances(self, r: int) -> dict[str, int]:
        """Compare what every account holds; return it."""
        names = list(self._accounts)
        found = dict(self.stage.balances(names, RULE))
        for name in names:
            self._row("balance", r, name, "held", self._held[name], found[name])
        return found

    def _recorded(self, r: int, found: dict[str, int], *, last: bool) -> None:
        """Compare balances with table `participants`.

        The run's last record is made after everything, payments after the last round included.
        """
        table = self.run.participants("device", "balance")
        if table is None or table.empty:
            return
        final = int(table["round"].max())
        if not last and r >= final:
            return
        chosen = table[table["round"] == (final if last else r)]
        for device, balance in rows(chosen, "device", "balance"):
            name = account_of(device)
            if name in found:
                self._row("recorded balance", r, name, "held", int(balance), found[name])

    def _backing(self, r: int, balances: Mapping[str, int]) -> None:
        """Compare the supply with the journal, and what the contract holds with its escrows."""
        supply = self.stage.view(TOKEN, "totalSupply")
        self._row("supply", r, "chain", "issued and not burned", sum(self._held.values()), supply)
        owed = sum(held for name, held in balances.items() if name.startswith("escrow:"))
        held = self.stage.view(TOKEN, "balanceOf", self.stage.placed[RULE].address)
        self._row("backing", r, RULE, "held for escrow accounts", owed, held)


def unplayed(run: Recording, rounds: Sequence[int]) -> Iterator[Row]:
    """Yield a difference for each round of the journal that was not played."""
    for r in sorted({int(r) for r in run.journal["round"].unique()} - set(rounds)):
        count = int((run.journal["round"] == r).sum())
        yield Row("played", r, "everybody", "entries of a round that was not played", count, 0)
