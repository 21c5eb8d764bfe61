"""A payout rule with parts around it is a payout rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from mechanisms.parts.base import Part
from mechanisms.payouts.base import PayoutRule
from mechanisms.vocabulary import BlockObservation, Memory, OpeningObservation, Payment, Settlement


class Combined(PayoutRule):
    """A payout rule with parts around it, asked in their order.

    The first part takes its deposits first, and an update that it rejects is rejected for all that
    follow. The rule is asked last; its payments then go back through the parts in the same order.
    Parts may share accounts: each moves only what its own memory records.
    """

    def __init__(self, rule: PayoutRule, parts: Sequence[Part]) -> None:
        super().__init__(rule.params)
        self.rule, self.parts = rule, tuple(parts)
        self._all: tuple[PayoutRule | Part, ...] = (*self.parts, rule)
        self.pieces = self._all[::-1]
        self.observes = frozenset[str]().union(*(x.observes for x in self._all))
        self.anonymous = all(x.anonymous for x in self._all)

    def __repr__(self) -> str:
        return " + ".join(repr(x) for x in reversed(self._all))

    def accounts(self) -> Mapping[str, int]:
        total: Counter[str] = Counter()
        for x in self._all:
            total.update(x.accounts())
        return dict(total)

    def open(self, seen: OpeningObservation) -> Settlement:
        payments: list[Payment] = []
        memories = []
        for x in self._all:
            opening = x.open(seen)
            payments += opening.payments
            memories.append(opening.memory or {})
            seen = _after(seen, opening.payments, x.members(memories[-1]))
        *parts, rule = memories
        return Settlement(tuple(payments), {"rule": rule, "parts": parts})

    def members(self, memory: Memory) -> frozenset[int] | None:
        return _all_of(x.members(own) for x, own in self._with_memory(memory))

    def aggregators(self, memory: Memory) -> frozenset[int] | None:
        return _all_of(x.aggregators(own) for x, own in self._with_memory(memory))

    def locked(self, memory: Memory) -> Mapping[int, int]:
        total: Counter[int] = Counter()
        for x, own in self._with_memory(memory):
            total.update(x.locked(own))
        return dict(total)

    def settle(self, seen: BlockObservation) -> Settlement:
        # Inwards: what a part rejects is rejected for the parts after it and for the rule.
        memory = seen.memory
        views = []
        for part, own in zip(self.parts, memory["parts"], strict=True):
            views.append(replace(seen, memory=own).shown_to(part.observes))
            seen = _without(seen, part.rejects(views[-1]))
        innermost = replace(seen, memory=memory["rule"]).shown_to(self.rule.observes)
        settled = self.rule.settle(innermost)
        # Outwards: the rule's payments pass through the parts in the same order.
        payments = settled.payments
        memories = []
        for part, view in zip(self.parts, views, strict=True):
            after = part.settle(view, payments)
            payments = after.payments
            memories.append(view.memory if after.memory is None else after.memory)
        rule = memory["rule"] if settled.memory is None else settled.memory
        return Settlement(payments, {"rule": rule, "parts": memories})

    def close(self, memory: Memory) -> Settlement:
        payments = self.rule.close(memory["rule"]).payments
        for part, own in zip(self.parts, memory["parts"], strict=True):
            payments = part.close(own, payments).payments
        return Settlement(payments)

    def _with_memory(self, memory: Memory) -> Iterator[tuple[PayoutRule | Part, Memory]]:
        return zip(self._all, (*memory["parts"], memory["rule"]), strict=True)


def _without(seen: BlockObservation, rejected: frozenset[int]) -> BlockObservation:
    """Mark the updates of these workers as rejected."""
    if not rejected:
        return seen
    records = [replace(r, accepted=False) if r.worker in rejected else r for r in seen.records]
    return replace(seen, records=tuple(records))


def _all_of(groups: Iterable[frozenset[int] | None]) -> frozenset[int] | None:
    """Intersect groups of devices; None stands for everybody."""
    limited = [g for g in groups if g is not None]
    return frozenset.intersection(*limited) if limited else None


def _after(
    seen: OpeningObservation, payments: tuple[Payment, ...], members: frozenset[int] | None
) -> OpeningObservation:
    """Return the observation of the next part: admitted devices with their remaining balances."""
    spent: Counter[int | str] = Counter()
    for p in payments:
        spent[p.payer] += p.amount
    left = {
        d: has - spent[d]
        for d, has in zip(seen.devices, seen.balances, strict=True)
        if members is None or d in members
    }
    return OpeningObservation.of(left)
