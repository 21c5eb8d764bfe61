"""Suite of contributors to a data market."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

from experiments.conformance.common import Conformance, check_array
from experiments.conformance.generated import holds_for
from mechanisms.vocabulary import (
    ContributorObservation,
    Datum,
    Offer,
    ProviderObservation,
    Query,
    TimingObservation,
)

DEVICE = 3
times = st.floats(0, 1e7, allow_nan=False)
later = st.one_of(times, st.just(math.inf))
dues = st.tuples(later, later, later)
balances = st.integers(0, 200)


@st.composite
def scenes(draw: Any) -> ContributorObservation:
    """Draw what device 3 sees: 2 to 5 classes, 30 samples of 4 features, up to 20 open data."""
    classes = draw(st.integers(2, 5))
    rng = np.random.default_rng(draw(st.integers(0, 1_000)))
    samples = rng.standard_normal((30, 4)).astype(np.float32)
    labels = rng.integers(classes, size=30)
    predicted = rng.integers(classes, size=30)
    row = draw(st.one_of(st.none(), st.integers(0, 29)))
    balance = draw(st.integers(0, 20_000))
    return ContributorObservation(
        device=DEVICE,
        round=1,
        time_s=1e6,
        balance=balance,
        budget=draw(st.integers(0, balance)),
        row=row,
        label=None if row is None else int(labels[row]),
        classes=classes,
        accuracy=draw(st.floats(0, 1)),
        coalition=draw(st.frozensets(st.integers(0, 5))),
        rng=np.random.default_rng(draw(st.integers(0, 99))),
        price=draw(st.integers(0, 60)),
        prediction=0 if row is None else int(predicted[row]),
        records=_records(rng, classes, draw(st.integers(0, 20))),
        standing=draw(st.dictionaries(st.integers(0, 5), st.integers(0, 50))),
        samples=samples,
        labels=labels,
        predict=lambda rows: predicted[np.asarray(rows)],
    )


def _records(rng: np.random.Generator, classes: int, n: int) -> list[Datum]:
    return [
        Datum(
            index=i,
            row=int(rng.integers(30)),
            label=int(rng.integers(classes)),
            author=int(rng.integers(6)),
            time_s=float(i),
            deposit=50,
            claimable=int(rng.integers(1, 50)),
            claimed_by={int(rng.integers(6))},
        )
        for i in range(n)
    ]


class ContributorConformance(Conformance):
    """Acts are well formed, and the same for the same stream; what was seen stays as it is."""

    @holds_for(examples=20, scene=scenes())
    def test_act(self, scene):
        for behaviour in self.made():
            seen = copy.deepcopy(scene)
            act = behaviour.act(seen.shown_to(behaviour.knows))
            self._check(act, scene)
            assert seen.records == scene.records, "writes into the records that it is shown"
            assert seen.standing == scene.standing, "writes into the standing that it is shown"
            again = behaviour.act(copy.deepcopy(scene).shown_to(behaviour.knows))
            assert act == again, "the same stream must give the same act"

    @staticmethod
    def _check(act: Any, seen: ContributorObservation) -> None:
        if act is None:
            return
        assert isinstance(act, Offer | Query), f"acts by {act!r}, must be Offer, Query or None"
        assert seen.row is not None, "acts when no data are left"
        assert type(act.amount) is int, f"an amount is an integer, not {act.amount!r}"
        assert 0 <= act.amount <= seen.balance, f"pays {act.amount} of {seen.balance}"
        if isinstance(act, Query):
            return
        assert type(act.label) is int, f"a label is an integer, not {act.label!r}"
        assert act.label in range(seen.classes), f"there is no class {act.label}"
        if act.row is not None:
            assert type(act.row) is int, f"a row is an integer, not {act.row!r}"
            assert act.row in range(len(seen.labels)), f"there is no sample {act.row}"

    @holds_for(
        examples=20,
        now=times,
        wait=st.floats(1, 1e6),
        due=dues,
        balance=balances,
        over=st.booleans(),
    )
    def test_next(self, now, wait, due, balance, over):
        seen = TimingObservation(
            device=DEVICE,
            time_s=now,
            wait_s=wait,
            balance=balance,
            row=None if over else 3,
            refundable_s=due[0],
            reportable_s=due[1],
            sweepable_s=due[2],
            rng=np.random.default_rng(0),
            price=50,
        )
        for behaviour in self.made():
            at = behaviour.next_s(seen.shown_to(behaviour.knows))
            assert at > now, f"acts next at {at}, must be later than now, {now}"

    def test_what_a_provider_commits_to(self):
        labels = np.arange(40) % 4
        for behaviour in self.made():
            rng = np.random.default_rng(0)
            seen = ProviderObservation(device=DEVICE, labels=labels, classes=4, rng=rng)
            rows = behaviour.test_set(seen)
            if rows is None:
                continue
            check_array(rows, (len(rows),), np.int64, "samples of a test set")
            assert len(rows), "commits to nothing"
            assert (np.unique(rows) == np.sort(rows)).all(), "commits to a sample twice"
            assert rows.min() >= 0, "commits to a sample that is not there"
            assert rows.max() < len(labels), "commits to a sample that is not there"
