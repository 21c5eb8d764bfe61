"""Suites of licensing rules, and of clients."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from experiments.conformance.common import Conformance
from experiments.conformance.generated import holds_for
from mechanisms import answers
from mechanisms.vocabulary import ClientObservation, LicenceObservation

amounts = st.integers(0, 10**12)
DRAWS = 2_000


class LicensingConformance(Conformance):
    """Who pays the fee gets the licence and no fine; what an offer costs is what the rule does."""

    @holds_for(fee=amounts, offer=amounts)
    def test_the_fee_buys_a_licence_without_a_fine(self, fee, offer):
        for rule in self.made():
            assert answers.truth(rule, "licenses", rule.licenses(fee, fee))
            for paid in (fee, fee + offer):
                assert answers.whole(rule, "fine", rule.fine(fee, paid)) == 0
            answers.whole(rule, "fine", rule.fine(fee, offer))
            given = answers.truth(rule, "licenses", rule.licenses(fee, offer))
            assert math.isinf(rule.cost(fee, offer)) != given, "cost is inf where none is given"

    def test_audits_are_as_frequent_as_said(self):
        for rule in self.made():
            audits = [
                answers.truth(rule, "audits", rule.audits(self._seen(i))) for i in range(DRAWS)
            ]
            share = sum(audits) / DRAWS
            said = rule.audit_probability()
            assert abs(share - said) <= 4 * math.sqrt(said * (1 - said) / DRAWS)

    def _seen(self, stream: int) -> LicenceObservation:
        return LicenceObservation(
            round=1,
            client=3,
            usage="commercial",
            fee=1_000,
            offer=0,
            rng=np.random.default_rng(stream),
        )


class ClientConformance(Conformance):
    """An offer that it can pay, or none, the same for the same stream."""

    @holds_for(fee=amounts, value=st.floats(0, 1e12), balance=amounts, risk=st.floats(0, 2))
    def test_offers(self, fee, value, balance, risk):
        for behaviour in self.made():
            seen = [self._seen(fee, value, balance, risk) for _ in range(2)]
            first, again = (
                answers.offer(behaviour, behaviour.offer(one), balance, one.who) for one in seen
            )
            assert first == again, "the same stream must give the same offer"

    def _seen(self, fee: int, value: float, balance: int, risk: float) -> ClientObservation:
        return ClientObservation(
            round=1,
            device=3,
            usage="commercial",
            fee=fee,
            value=value,
            balance=balance,
            fined=0,
            rng=np.random.default_rng(2),
            terms=lambda offer: offer + risk * max(0, fee - offer),
        ).shown_to(self.plugin.knows)
