"""Suites of payout rules and of the parts that go around them."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from hypothesis import strategies as st

from experiments.conformance.common import Conformance
from experiments.conformance.generated import DEVICES, Utility, blocks, holds_for
from mechanisms import registries
from mechanisms.combined import Combined
from mechanisms.vocabulary import BlockObservation, OpeningObservation, Payment, Settlement


class PayoutConformance(Conformance):
    """A payout rule moves whole units between accounts that it may use.

    No account falls below zero. The order of a block's records does not matter, and the same block
    is paid the same.
    """

    @holds_for(chain=st.lists(blocks(), min_size=1, max_size=4), seed=st.integers(0, 100))
    def test_payments(self, chain, seed):
        for rule in self.made():
            self._play(rule, sorted(chain, key=lambda block: block.round), seed)

    @holds_for(block=blocks())
    def test_renaming_devices_renames_payments(self, block):
        for rule in self.made():
            if rule.anonymous:
                self._rename(rule, block)

    def opened(self, rule: Any) -> tuple[dict[Any, int], Mapping[str, Any]]:
        """Return the balances after the opening, and the memory."""
        balances: dict[Any, int] = dict.fromkeys(range(DEVICES), 10**9)
        balances |= rule.accounts()
        seen = OpeningObservation(devices=tuple(range(DEVICES)), balances=(10**9,) * DEVICES)
        opening = rule.open(seen)
        self.post(balances, opening.payments, rule, opening=True)
        return balances, opening.memory or {}

    def post(
        self,
        balances: dict[Any, int],
        payments: Sequence[Payment],
        rule: Any,
        *,
        opening: bool = False,
    ) -> None:
        """Move the payments; fail for one that a ledger would refuse."""
        named = set(rule.accounts())
        devices = set(range(DEVICES))
        payers = named | {"issuance"} | (devices if opening else set())
        payees = named | {"burn"} | devices
        for p in payments:
            assert type(p.amount) is int, f"the amount must be an integer: {p}"
            assert p.amount >= 0, f"the amount must not be negative: {p}"
            assert p.reason, f"the reason is missing: {p}"
            assert p.payer in payers, f"the payer is neither 'issuance' nor in accounts(): {p}"
            assert p.payee in payees, f"no such device or account is paid: {p}"
            if p.payer != "issuance":
                balances[p.payer] -= p.amount
            if p.payee != "burn":
                balances[p.payee] += p.amount
        assert min(balances.values()) >= 0, "an account falls below zero"

    def shown(self, rule: Any, block: BlockObservation, memory: Any) -> BlockObservation:
        """Return what the rule sees of a block."""
        return dataclasses.replace(block, memory=memory).shown_to(rule.observes)

    def _play(self, rule: Any, chain: list[BlockObservation], seed: int) -> None:
        """Settle block after block, each once more as it is and once with its records shuffled."""
        balances, memory = self.opened(rule)
        for block in chain:
            seen = self.shown(rule, block, memory)
            settled = rule.settle(seen)
            self._check_payees(block, settled)
            assert settled == rule.settle(copy.deepcopy(seen)), (
                "the same block must be paid the same"
            )
            other = rule.settle(self._shuffled(block, seen, seed))
            assert Counter(settled.payments) == Counter(other.payments), (
                "payments must not depend on the order of the records"
            )
            memory = memory if settled.memory is None else settled.memory
            assert other.memory in (None, memory), (
                "the memory must not depend on the order of the records"
            )
            assert json.loads(json.dumps(memory)) == memory, "the memory must be plain JSON"
            self.post(balances, settled.payments, rule)
        self.post(balances, rule.close(memory).payments, rule)

    @staticmethod
    def _check_payees(block: BlockObservation, settled: Settlement) -> None:
        known = {block.miner}
        for record in block.records:
            known |= {record.worker, *record.positive, *record.negative}
        for p in settled.payments:
            assert not p.per_device or p.payee in known, (
                f"newly issued units go only to devices that the block names: {p}"
            )

    @staticmethod
    def _shuffled(block: BlockObservation, seen: BlockObservation, seed: int) -> BlockObservation:
        """Return what was seen, its records and what belongs to each in another order."""
        order = np.random.default_rng(seed).permutation(len(block.records))
        changes: dict[str, Any] = {"records": tuple(seen.records[i] for i in order)}
        shown = vars(seen)
        if "updates" in shown:
            changes["updates"] = seen.updates[order]
        if "utility" in shown:
            changes["utility"] = Utility(block.updates[order], block.start)
        return dataclasses.replace(seen, **changes)

    def _rename(self, rule: Any, block: BlockObservation) -> None:
        """Compare the payments of a block with those of the same block, its devices renamed."""
        _, memory = self.opened(rule)
        plain = rule.settle(self.shown(rule, block, memory)).payments
        other = rule.settle(self.shown(rule, _renamed_block(block), memory)).payments
        expected = Counter(
            (_renamed(p.payee), _renamed(p.payer), p.amount, p.reason) for p in plain
        )
        found = Counter((p.payee, p.payer, p.amount, p.reason) for p in other)
        assert found == expected, (
            "renaming devices must only rename payments, or the rule says `anonymous = False`"
        )


def _renamed(name: Any) -> Any:
    """Return another device for a device; an account, or nobody, stays what it is."""
    return DEVICES - 1 - name if type(name) is int else name


def _renamed_all(devices: Any) -> tuple[int, ...]:
    return tuple(_renamed(device) for device in devices)


def _renamed_block(block: BlockObservation) -> BlockObservation:
    conduct = block.conduct
    renamed_conduct = dataclasses.replace(
        conduct,
        aggregator=_renamed(conduct.aggregator),
        challenger=_renamed(conduct.challenger),
        unrevealed=frozenset(_renamed_all(conduct.unrevealed)),
        false_challengers=frozenset(_renamed_all(conduct.false_challengers)),
    )
    records = [
        dataclasses.replace(
            record,
            worker=_renamed(record.worker),
            positive=_renamed_all(record.positive),
            negative=_renamed_all(record.negative),
            reports=tuple((_renamed(v), score) for v, score in record.reports),
        )
        for record in block.records
    ]
    return dataclasses.replace(
        block,
        miner=_renamed(block.miner),
        stakes=block.stakes[::-1],
        conduct=renamed_conduct,
        records=tuple(records),
    )


class PartConformance(PayoutConformance):
    """A payout rule wrapped in the part must still pass every test of payout rules."""

    around: ClassVar[tuple[tuple[str, dict[str, Any]], ...]] = (
        ("flat", {}),
        ("vbfl", {}),
        ("reputation-weighted", {}),
        ("equal-share", {"deadline": 5, "stake": 10}),
        ("decentralml", {"improve_only": False, "score": 0.3}),
    )

    def made(self) -> list[Any]:
        """Return each configured part around each of the rules in `around`."""
        parts = super().made()
        combined = []
        for name, params in self.around:
            combined += [Combined(registries.payouts.create(name, params), [p]) for p in parts]
        return combined

    def test_serialisable(self):
        for made in self.made():
            (part,) = pickle.loads(pickle.dumps(made)).parts
            assert part.params == made.parts[0].params, "pickling changes the parameters"
