"""Secure aggregation: everybody learns the sum of the updates and nobody learns a single one.

Bonawitz et al. 2017, doi:10.1145/3133956.3133982. The masks themselves are not simulated; what they would hide is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from agents import registries as behaviours
from mechanisms import registries as rules

if TYPE_CHECKING:
    from sim.scenario import Scenario


HIDDEN = {"updates", "utility", "reports"}
"""What payout rules and parts may not observe."""


def needs_single_updates(scenario: Scenario) -> Iterator[tuple[str, str, str]]:
    """What in a scenario cannot do with the sum alone: dotted key, value, and what would be right."""
    s, hides = scenario, "privacy.secure_aggregation hides"
    payout = rules.payouts.create(s.payout.mechanism, s.payout.params)
    if told := payout.observes & HIDDEN:
        yield (
            "payout.mechanism",
            s.payout.mechanism,
            f"observes {' and '.join(sorted(told))}, which {hides}; vbfl and many others do not",
        )
    if rules.aggregators.create(s.aggregation.rule, s.aggregation.params).individual:
        yield (
            "aggregation.rule",
            s.aggregation.rule,
            f"needs single updates, which {hides}; mean needs their sum only",
        )
    for i, step in enumerate(s.aggregation.before):
        if rules.transforms.create(step.rule, step.params).individual:
            yield (
                f"aggregation.before.{i}.rule",
                step.rule,
                f"needs single updates, which {hides}; leave it out",
            )
    if (
        s.protocol == "vbfl"
        and rules.validators.create(s.validation.rule, s.validation.params).individual
    ):
        yield (
            "validation.rule",
            s.validation.rule,
            f"judges single updates, which {hides}; accept-all does not",
        )
    if (
        s.protocol == "coordinator"
        and rules.verifiers.create(s.coordinator.verifier, s.coordinator.params).individual
    ):
        yield (
            "coordinator.verifier",
            s.coordinator.verifier,
            f"looks at single updates, which {hides}; proof and enclave do not",
        )
    if s.protocol == "coordinator" and s.coordinator.aggregator != "organisation":
        yield (
            "coordinator.aggregator",
            s.coordinator.aggregator,
            f"is checked by recomputing from single updates, which {hides}; let the organisation aggregate",
        )
    for i, part in enumerate(s.payout.parts):
        if told := rules.parts.create(part.part, part.params).observes & HIDDEN:
            yield (
                f"payout.parts.{i}.part",
                part.part,
                f"observes {' and '.join(sorted(told))}, which {hides}",
            )
    for i, group in enumerate(s.adversaries):
        named = [(f"adversaries.{i}.worker", group.worker, group.worker_params)]
        named += [
            (f"adversaries.{i}.strategies.{j}.worker", x.worker, x.worker_params)
            for j, x in enumerate(group.strategies)
        ]
        for key, worker, params in named:
            if "others" in behaviours.workers.create(worker, params).knows:
                yield (
                    key,
                    worker,
                    f"knows updates of others, which {hides}; choose one that does not",
                )
        if "updates" in behaviours.miners.create(group.miner, group.miner_params).knows:
            yield (
                f"adversaries.{i}.miner",
                group.miner,
                f"knows single updates, which {hides}; choose one that does not",
            )
