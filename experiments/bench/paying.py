"""What a rule pays in a run of the suite: on its tape where that is exact, else in its own run.

A rule sees blocks and returns payments. Of a taped run it is known what all devices would have had
under another rule, as long as that rule could not have changed what was played. It could where it
shuts a device out, where it takes a deposit whose loss brings a spare identity into play, and where
devices bribe each other with what it leaves them. Each tape is asked whether any of this happened.
Who chooses a strategy by what it earned, or is told the rule, is not in the suite.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from experiments.offpolicy import Make, Replay, TapedBlock, TapedRun
from experiments.recorded import sound
from experiments.runresult import RunResult
from mechanisms import registries as rules_of
from mechanisms.vocabulary import BlockObservation, Memory, Payment
from sim.money.ledger import BURN, ISSUANCE, device_account

BRIBE, INITIAL = "bribe", "initial"
"""Reasons of entries that are not the rule's."""
DEVICE = device_account(0).removesuffix("0")
"""What the accounts of devices begin with."""
MOVES = ("mint", "transfer", "burn")


@dataclass(frozen=True)
class Account:
    """What devices had of one run, by device, and what it took to pay them.

    Args:
        groups: group of each device.
        income: base units of each that the rule paid it, less what it paid.
        utility: payoff of each, base units.
        moves: payments by kind, of `MOVES`.
        accuracy: of the last global model, on the test set.
        rounds: played.
    """

    groups: tuple[str, ...]
    income: tuple[int, ...]
    utility: tuple[float, ...]
    moves: Mapping[str, int]
    accuracy: float
    rounds: int

    def members(self, group: str) -> np.ndarray:
        """Return which devices are in a group, `bool[n]`."""
        return np.array([name == group for name in self.groups])


class InexactError(Exception):
    """The run would have been another one under the rule; the message says why."""


# --- on tapes -----------------------------------------------------------------------------------


class Tape:
    """The tape of a run of the suite, and what of that run a rule does not decide."""

    def __init__(self, run: RunResult) -> None:
        self.run = run
        self.read = TapedRun(run)
        self.blocks = list(self.read.blocks())
        self.spares = any(group["spares"] for group in run.settings["adversaries"])
        self.bribed = BRIBE in run.arrow("journal", ["reason"])["reason"].to_pylist()

    @cached_property
    def known(self) -> Account:
        """The account under the neutral rule, whose incomes are all 0: bribes are not counted."""
        return account_of(self.run)

    @cached_property
    def lineages(self) -> list[list[tuple[int, ...] | None]]:
        """By round and device the rows of the blocks that it held at the round's start.

        None where no device holds that chain at the end: then its blocks are unknown.
        """
        previous = {block.row: block.previous for block in self.blocks}
        rows = dict(zip(self._heads, range(len(self._heads)), strict=True))
        people = self.run.arrow("participants", ["round", "device", "head"]).to_pydict()
        devices = len(self.read.balances)
        last = max(people["round"])
        held: list[list[tuple[int, ...] | None]] = [[() for _ in range(devices)]]
        held += [[None] * devices for _ in range(last)]
        for at, device, head in zip(*people.values(), strict=True):
            held[at][device] = _lineage(rows.get(head), previous) if head in rows else ()
        return held

    @cached_property
    def _heads(self) -> list[str]:
        heads: list[str] = self.run.arrow("tape", ["head"])["head"].to_pylist()
        return heads


def _lineage(row: int | None, previous: Mapping[int, int | None]) -> tuple[int, ...] | None:
    """Return the rows of a block and of those below it; None where one was not kept."""
    found = []
    while row is not None:
        if row not in previous:
            return None
        found.append(row)
        row = previous[row]
    return tuple(found)


class _Watched(Replay):
    """A rule on a tape, watched for what would have changed the play."""

    def __init__(self, name: str, make: Make, tape: Tape) -> None:
        self.reason = ""
        self.moves: Counter[str] = Counter()
        self._tape = tape
        self._at: TapedBlock | None = None
        self._issued: dict[int, list[Payment]] = {}
        self._opened: dict[int, int] = {}
        super().__init__(name, make, tape.read.balances, 1)

    def _open(self, make: Make) -> None:
        super()._open(make)
        self._opened = {d: self._held[d] for d in range(self._devices)}
        self._watch_members(self._memory)
        if self._tape.bribed:
            self._differs("devices pay each other, of what the rule leaves them")

    def _settle(self, block: TapedBlock) -> None:
        self._at = block
        super()._settle(block)
        self._watch_members(self._after[block.row])

    def _shown(self, block: TapedBlock, observes: frozenset[str]) -> BlockObservation:
        shown = super()._shown(block, observes)
        if "stakes" in observes:
            return replace(shown, stakes=self._stakes(block.seen.round))
        return shown

    def _stakes(self, at: int) -> tuple[int, ...]:
        """Return what devices would have held under this rule at the start of a round."""
        held = []
        for device, lineage in enumerate(self._tape.lineages[at - 1]):
            if lineage is None:
                self._differs("shows stakes, and a block was dropped")
            earned = sum(
                p.amount
                for row in lineage or ()
                for p in self._issued.get(row, ())
                if p.payee == device
            )
            held.append(self._opened[device] + earned)
        return tuple(held)

    def _post(self, payments: Sequence[Payment]) -> None:
        super()._post(payments)
        for p in payments:
            if not p.amount:
                continue
            if p.holder is not None and self._tape.spares:
                self._differs("takes a deposit, and a spare identity waits")
            if p.per_device and self._at is not None:
                self._issued.setdefault(self._at.row, []).append(p)
            elif self._at is not None and "stakes" in self._rule.observes:
                self._differs("shows stakes, and moves them other than by paying for blocks")
            self.moves[_kind(p.payer, p.payee)] += 1

    def _close(self) -> None:
        self._at = None
        super()._close()

    def _watch_members(self, memory: Memory) -> None:
        members = self._rule.members(memory)
        if members is not None and len(members) < self._devices:
            self._differs("shuts devices out")

    def _differs(self, reason: str) -> None:
        self.reason = self.reason or reason


def pay_on(tape: Tape, name: str, make: Make) -> Account:
    """Return what a rule pays on a tape: exactly what a run under it would have recorded.

    Raises `InexactError` where that cannot be said; a run of its own then says it, or fails.
    """
    watched = _Watched(name, make, tape)
    for block in tape.blocks:
        watched.play(block)
    watched.close()
    if watched.error or watched.reason:
        raise InexactError(watched.reason or "fails on a tape")
    income = tuple(watched.incomes())
    utility = tuple(own + other for own, other in zip(income, tape.known.utility, strict=True))
    return replace(tape.known, income=income, utility=utility, moves=dict(watched.moves))


def deserved(run: RunResult) -> tuple[int, ...] | None:
    """Return what each device would have had by the exact Shapley value of its updates.

    It is the income from rule `shapley`, which shares a pot per block by contributions to accuracy
    on held-out samples. None where it cannot be computed on the tape of the run.
    """
    with sound(run.path, "the tape"):
        tape = TapedRun(run)
        make = partial(rules_of.payouts.create, "shapley", {"exact_up_to": 12})
        replay = Replay("shapley", make, tape.balances, 1)
        for block in tape.blocks():
            replay.play(block)
        replay.close()
    return None if replay.error else tuple(replay.incomes())


def on_tape(run: RunResult, rules: Mapping[str, Make]) -> dict[str, Account | str]:
    """Return by rule what it pays on the tape of a run, or why that is not known without a run."""
    with sound(run.path, "the tape"):
        tape = Tape(run)
        found: dict[str, Account | str] = {}
        for name, make in rules.items():
            try:
                found[name] = pay_on(tape, name, make)
            except InexactError as error:
                found[name] = str(error)
        return found


# --- in runs ------------------------------------------------------------------------------------


def account_of(run: RunResult) -> Account:
    """Return what devices had of a run, by its journal and its participants."""
    with sound(run.path, "the run"):
        people = run.arrow("participants", ["device", "group", "utility"]).to_pydict()
        groups = dict(zip(people["device"], people["group"], strict=True))
        devices = len(groups)
        utility = np.zeros(devices)
        np.add.at(utility, people["device"], people["utility"])
        rounds = run.arrow("rounds", ["accuracy"])["accuracy"].to_pylist()
        income, moves = [0] * devices, Counter[str]()
        columns = ["debit", "credit", "amount", "reason"]
        journal = run.arrow("journal", columns).to_pydict()
        for debit, credit, amount, reason in zip(*(journal[c] for c in columns), strict=True):
            if reason in (BRIBE, INITIAL) or not amount:
                continue
            moves[_kind(debit, credit)] += 1
            if debit.startswith(DEVICE):
                income[_device(debit)] -= amount
            if credit.startswith(DEVICE):
                income[_device(credit)] += amount
    return Account(
        groups=tuple(groups[device] for device in range(devices)),
        income=tuple(income),
        utility=tuple(utility.tolist()),
        moves=dict(moves),
        accuracy=float(rounds[-1]),
        rounds=len(rounds),
    )


def _device(account: str) -> int:
    return int(account.removeprefix(DEVICE))


def _kind(payer: int | str, payee: int | str) -> str:
    """Return what a payment is to a chain, of `MOVES`."""
    if payer == ISSUANCE:
        return "mint"
    return "burn" if payee == BURN else "transfer"
