"""Secure aggregation: everybody learns the sum of the updates and nobody learns a single one.

Bonawitz et al. 2017, doi:10.1145/3133956.3133982. The masks themselves are not simulated; what they
would hide is refused.
"""

from __future__ import annotations

from agents import registries as behaviours
from mechanisms import registries as rules
from sim.keys import Choice

HIDDEN = {"updates", "utility", "reports"}
"""What payout rules and parts may not observe."""
HIDES = "privacy.secure_aggregation hides"

INDIVIDUAL = {
    rules.aggregators: "needs single updates, which {}; mean needs their sum only",
    rules.transforms: "needs single updates, which {}; leave it out",
    rules.validators: "judges single updates, which {}; accept-all does not",
    rules.verifiers: "looks at single updates, which {}; proof and enclave do not",
}
"""What is wrong with a rule that says it looks at single updates (`individual`), by kind."""
CURIOUS = {
    behaviours.workers: (
        "others",
        "knows updates of others, which {}; choose one that does not",
    ),
    behaviours.miners: ("updates", "knows single updates, which {}; choose one that does not"),
}
"""What a behaviour may not know, and what is wrong with one that does, by kind."""


def needs_single_updates(choice: Choice) -> str:
    """Return why a plug-in needs single updates, and what would be right; empty if it does not."""
    kind = choice.registry
    if kind in (rules.payouts, rules.parts):
        hidden = " and ".join(sorted(choice.create().observes & HIDDEN))
        advice = "; vbfl and many others do not" if kind is rules.payouts else ""
        return f"observes {hidden}, which {HIDES}{advice}" if hidden else ""
    if kind in INDIVIDUAL:
        return INDIVIDUAL[kind].format(HIDES) if choice.create().individual else ""
    if kind in CURIOUS:
        known, reason = CURIOUS[kind]
        return reason.format(HIDES) if known in choice.create().knows else ""
    return ""
