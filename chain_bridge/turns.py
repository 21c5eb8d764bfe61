"""The turns of signers within a round: whose batch comes after whose.

Every batch is a transaction, which costs a chain far more than a call. So a signer's calls are
collected until somebody depends on them, and become one batch then. Somebody depends on them

- who pays with what they bring: a payment that its account covers without them waits for nobody;
- who makes a note of a later declaration: all commitments come before the first reveal;
- who approves what they propose, or approves last;
- who needs the native units that they bring to sign at all.

The operator's batch comes after the notes that devices have made before it in the round.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

from chain_bridge.money import OPERATOR
from chain_bridge.plan import MONEY, Action
from chain_bridge.recording import BURN, ISSUANCE
from chain_bridge.script import Script, majority

FIRST = ("fund", "create")
"""What a device needs before it can sign or be paid."""


class Turn(NamedTuple):
    """Actions of one signer in one round; turns of the same phase may come in any order."""

    signer: int
    phase: int
    actions: list[Action]


@dataclass
class _Pending:
    """What a signer has collected: its actions, and what they bring to accounts and take."""

    actions: list[Action] = field(default_factory=list)
    gain: Counter[str] = field(default_factory=Counter)
    loss: Counter[str] = field(default_factory=Counter)
    stages: set[int] = field(default_factory=set)  # of its notes: which declaration, in order
    kinds: set[str] = field(default_factory=set)

    def add(self, action: Action, stage: int) -> None:
        self.actions.append(action)
        self.kinds.add(action.kind)
        if action.kind == "note":
            self.stages.add(stage)
        if action.kind in MONEY:
            self.loss[action.debit] += action.amount
            self.gain[action.credit] += action.amount


def take_turns(script: Script) -> list[Turn]:
    """Return the turns of all rounds, in an order that the chain can follow."""
    table = _Table(script)
    for _, actions in groupby(script.actions, key=lambda a: a.round):
        table.round(actions)
    return table.turns


class _Table:
    def __init__(self, script: Script) -> None:
        self.script = script
        self.turns: list[Turn] = []
        self.phase = 0
        self.held: Counter[str] = Counter()  # by the turns that are over
        self.pending: dict[int, _Pending] = {}
        self.leaving: Counter[str] = Counter()  # by the turns that are pending

    def round(self, actions: Iterable[Action]) -> None:
        """Take the turns of one round."""
        stage, reason = 0, ""
        for action in actions:
            if action.kind == "note" and action.reason != reason:
                stage, reason = stage + 1, action.reason
            signer = self.script.signer(action)
            if signer != OPERATOR and self._holds(OPERATOR, FIRST):
                self._end([OPERATOR])
            self._end(self._before(action, signer, stage))
            self.pending.setdefault(signer, _Pending()).add(action, stage)
            if action.kind in MONEY:
                self.leaving[action.debit] += action.amount
        self._end(list(self.pending))

    def _holds(self, signer: int, kinds: Sequence[str]) -> bool:
        """Return whether a signer has collected an action of one of these kinds."""
        collected = self.pending.get(signer)
        return collected is not None and not collected.kinds.isdisjoint(kinds)

    def _before(self, action: Action, signer: int, stage: int) -> list[int]:
        """Return whose turns must be over before an action."""
        if action.kind == "note" and signer != OPERATOR:
            # Its own too: what opens a commitment is not in the batch that seals it.
            return [s for s, p in self.pending.items() if any(x < stage for x in p.stages)]
        if action.kind == "propose":
            return self._others(signer, lambda p: "approve" in p.kinds)
        if action.kind == "approve":
            last = action.number == majority(action.members)
            waits = {"propose", "approve"} if last else {"propose"}
            return self._others(signer, lambda p: bool(p.kinds & waits))
        if action.kind in MONEY and action.debit != ISSUANCE:
            return self._payers(action, signer)
        return []

    def _others(self, signer: int, fits: Callable[[_Pending], bool]) -> list[int]:
        """Return the other signers whose collected actions fit."""
        return [s for s, p in self.pending.items() if s != signer and fits(p)]

    def _payers(self, action: Action, signer: int) -> list[int]:
        """Return who must pay an account first, so that it covers a payment.

        What others are about to take from it may be taken before, what they bring may come after.
        """
        account = action.debit
        covered = self.held[account] - self.leaving[account]
        if signer in self.pending:
            covered += self.pending[signer].gain[account]
        if covered >= action.amount:
            return []
        return self._others(signer, lambda p: bool(p.gain[account]))

    def _end(self, signers: Sequence[int]) -> None:
        """End the turns of these signers."""
        if not signers:
            return
        ending = set(signers)
        if OPERATOR in ending:
            noted = {s for s, p in self.pending.items() if s != OPERATOR and p.stages}
            ending |= noted
            devices = sorted(ending - {OPERATOR})
            self._emit(devices)
            if noted:
                self.phase += 1
            self._emit([OPERATOR])
        else:
            self._emit(sorted(ending))
        self.phase += 1

    def _emit(self, signers: Sequence[int]) -> None:
        for signer in signers:
            over = self.pending.pop(signer)
            self.turns.append(Turn(signer, self.phase, over.actions))
            self.held.update(over.gain)
            self.held.subtract(over.loss)
            self.leaving.subtract(over.loss)
            for nowhere in (ISSUANCE, BURN):
                del self.held[nowhere]
