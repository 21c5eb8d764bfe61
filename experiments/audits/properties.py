"""Properties of a payout rule itself, by blocks that Hypothesis draws, each with a counterexample.

Nothing is simulated: the rule is shown blocks and what it pays is looked at.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from experiments.audits.question import Question, parameters
from fedstake.errors import InputError
from mechanisms.payouts.base import PayoutRule
from mechanisms.vocabulary import BlockObservation, OpeningObservation, Payment, UpdateRecord

if TYPE_CHECKING:
    from hypothesis import settings

EXAMPLES = 200
"""Blocks that are drawn for a rule."""
DEVICES = 22
BALANCE = 10**9


@dataclass(frozen=True)
class Property:
    """A property of a rule: whether it holds for everything that was drawn, or where it fails."""

    name: str
    meaning: str
    holds: bool
    counterexample: str = ""


Check = Callable[[PayoutRule, BlockObservation], str]
"""Returns what is wrong; "" where nothing is."""
Make = Callable[[], PayoutRule]
"""Returns a new rule, as the audited scenario has it."""


def properties_of(question: Question) -> list[Property]:
    """Return the properties of a payout rule; none of other kinds of rules.

    Raises `InputError` without Hypothesis.
    """
    if not issubclass(question.plugin, PayoutRule):
        return []
    try:
        import hypothesis  # noqa: F401
    except ImportError as error:
        raise InputError("audit draws observations: pip install 'fedstake[check]'") from error
    params = dict(parameters(question))

    def make() -> PayoutRule:
        rule: PayoutRule = question.registry.create(question.rule, dict(params))
        return rule

    wrong = _wrong(make)
    found = []
    for name, (meaning, check) in CHECKS.items():
        counterexample = ""
        if name in wrong:
            counterexample = _smallest(make, check) or wrong[name]
        found.append(Property(name, meaning, not counterexample, counterexample))
    return found


def _wrong(make: Make) -> dict[str, str]:
    """Return by name what is wrong with the properties that fail for a block that is drawn.

    Drawing takes longer than looking, so that each block serves all properties.
    """
    from hypothesis import Phase, given, settings

    from experiments.conformance.generated import blocks

    wrong: dict[str, str] = {}

    @settings(_drawing(), phases=(Phase.generate,))
    @given(blocks())
    def look(block: BlockObservation) -> None:
        for name, (_, check) in CHECKS.items():
            if name not in wrong:
                found = check(make(), block)
                if found:
                    wrong[name] = found

    look()
    return wrong


def _smallest(make: Make, check: Check) -> str:
    """Return what is wrong with the smallest block for which a property fails, "" for none."""
    from hypothesis import Phase, find, settings
    from hypothesis.errors import NoSuchExample

    from experiments.conformance.generated import blocks

    options = settings(_drawing(), phases=(Phase.generate, Phase.shrink))
    try:
        smallest = find(blocks(), lambda block: bool(check(make(), block)), settings=options)
    except NoSuchExample:
        return ""
    return check(make(), smallest)


def _drawing() -> settings:
    """Return how blocks are drawn: the same ones in every audit."""
    from hypothesis import HealthCheck, Verbosity, settings

    return settings(
        max_examples=EXAMPLES,
        database=None,
        derandomize=True,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )


# --- what is paid -------------------------------------------------------------------------------


def _payments(rule: PayoutRule, block: BlockObservation) -> tuple[Payment, ...]:
    """Return the payments for a block, the first one after the opening."""
    opening = rule.open(
        OpeningObservation(devices=tuple(range(DEVICES)), balances=(BALANCE,) * DEVICES)
    )
    seen = dataclasses.replace(block, memory=opening.memory or {}).shown_to(rule.observes)
    return rule.settle(seen).payments


def _paid(rule: PayoutRule, block: BlockObservation) -> Counter[int]:
    """Return what each device gets for a block, net."""
    net: Counter[int] = Counter()
    for p in _payments(rule, block):
        if type(p.payee) is int:
            net[p.payee] += p.amount
        if type(p.payer) is int:
            net[p.payer] -= p.amount
    return net


def _with(block: BlockObservation, at: int, **changes: Any) -> BlockObservation:
    """Return a block with one record changed."""
    records = list(block.records)
    records[at] = dataclasses.replace(records[at], **changes)
    return dataclasses.replace(block, records=tuple(records))


def _others(block: BlockObservation) -> set[int | None]:
    """Return who is paid for something else than an update: the miner and the voters."""
    return {block.miner} | {v for r in block.records for v in (*r.positive, *r.negative)}


def _accepted(block: BlockObservation) -> list[tuple[int, UpdateRecord]]:
    return [(i, r) for i, r in enumerate(block.records) if r.accepted]


def null_player(rule: PayoutRule, block: BlockObservation) -> str:
    """Return a device that has no part in a block and is paid nevertheless."""
    known = _others(block) | {r.worker for r in block.records}
    for device, amount in _paid(rule, block).items():
        if device not in known and amount > 0:
            return f"device {device} has no part in the block and gets {amount:,}"
    return ""


def refused_unpaid(rule: PayoutRule, block: BlockObservation) -> str:
    """Return a worker that is paid more than nothing for a rejected update alone."""
    others = _others(block)
    paid = _paid(rule, block)
    for r in block.records:
        if not r.accepted and r.worker not in others and paid[r.worker] > 0:
            return f"worker {r.worker} was rejected and gets {paid[r.worker]:,}"
    return ""


def claims_unpaid(rule: PayoutRule, block: BlockObservation) -> str:
    """Return a worker whose pay grows when it claims more samples than it has."""
    for at, r in _accepted(block):
        more = _with(block, at, claimed_samples=2 * r.claimed_samples + 100)
        before, after = _paid(rule, block)[r.worker], _paid(rule, more)[r.worker]
        if after > before:
            return (
                f"worker {r.worker} claims {2 * r.claimed_samples + 100:,} instead of "
                f"{r.claimed_samples:,} samples and gets {after:,} instead of {before:,}"
            )
    return ""


def monotone_in_work(rule: PayoutRule, block: BlockObservation) -> str:
    """Return a worker that is paid less when it has really worked more, all else equal."""
    for at, r in _accepted(block):
        more = _with(
            block,
            at,
            claimed_samples=2 * r.claimed_samples + 100,
            verified_samples=2 * r.verified_samples + 100,
        )
        before, after = _paid(rule, block)[r.worker], _paid(rule, more)[r.worker]
        if after < before:
            return f"worker {r.worker} works more and gets {after:,} instead of {before:,}"
    return ""


def symmetric(rule: PayoutRule, block: BlockObservation) -> str:
    """Return two workers with the same record that are paid differently."""
    paid = _paid(rule, block)
    others = _others(block)
    seen: dict[Any, UpdateRecord] = {}
    if rule.observes & {"updates", "utility", "aggregate", "stakes", "conduct", "wallets"}:
        return ""  # what else is seen of the two differs
    for r in block.records:
        if r.worker in others:
            continue
        key = dataclasses.replace(r, worker=-1)
        twin = seen.setdefault(key, r)
        if abs(paid[twin.worker] - paid[r.worker]) > 1:
            return (
                f"workers {twin.worker} and {r.worker} have the same record and get "
                f"{paid[twin.worker]:,} and {paid[r.worker]:,}"
            )
    return ""


def within_most_issued(rule: PayoutRule, block: BlockObservation) -> str:
    """Return an issue beyond what the rule says is the most."""
    most = rule.most_issued(DEVICES)
    if most is None:
        return ""
    issued = sum(p.amount for p in _payments(rule, block) if p.payer == "issuance")
    if issued > most:
        return f"{issued:,} base units are issued, more than the {most:,} that it states"
    return ""


CHECKS: dict[str, tuple[str, Check]] = {
    "null player": ("a device without a part in a block gets nothing", null_player),
    "rejected unpaid": ("a rejected update alone earns nothing", refused_unpaid),
    "claims unpaid": ("claiming more samples earns nothing more", claims_unpaid),
    "monotone in work": ("who really works more does not get less", monotone_in_work),
    "symmetric": ("equal records are paid equally, but for a unit of rounding", symmetric),
    "budget": ("no block issues more than the rule states", within_most_issued),
}
"""Properties by name: meaning and check."""
