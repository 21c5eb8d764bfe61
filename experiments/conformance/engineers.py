"""Suite of model engineers."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from experiments.conformance.common import Conformance, check_equal
from experiments.conformance.generated import holds_for
from mechanisms import answers
from mechanisms.vocabulary import (
    DataObservation,
    DownloadObservation,
    EngineerObservation,
    ParameterSlot,
)

LAYOUT = (ParameterSlot("0.weight", (4, 5), 0, 20), ParameterSlot("0.bias", (4,), 20, 4))
WIDTH = LAYOUT[-1].stop
amounts = st.integers(0, 10**12)


class EngineerConformance(Conformance):
    """One row or none, the same for the same stream; what was seen stays as it is."""

    @holds_for(charge=amounts, pool=amounts, balance=amounts)
    def test_downloads(self, charge, pool, balance):
        for behaviour in self.made():
            seen = DownloadObservation(
                round=1,
                device=2,
                charge=charge,
                pool=pool,
                balance=balance,
                rng=np.random.default_rng(1),
            )
            answers.truth(behaviour, "downloads", behaviour.downloads(seen))

    def test_effort_is_a_number_of_epochs(self):
        for behaviour in self.made():
            for asked in (1, 5):
                answers.whole(behaviour, "effort", behaviour.effort(asked))

    def test_submissions(self):
        for behaviour in self.made():
            seen = self._seen()
            before = seen.trained.copy(), seen.master.copy()
            row = answers.version(behaviour, behaviour.submit(seen), WIDTH, "")
            check_equal(seen.trained, before[0], "writes into the row that it trained")
            check_equal(seen.master, before[1], "writes into the master model")
            again = answers.version(behaviour, behaviour.submit(self._seen()), WIDTH, "")
            assert (row is None) == (again is None), "the same stream must give the same answer"
            if row is not None:
                check_equal(row, again, "the same stream must give the same row")

    def test_samples_that_it_changes_are_samples(self):
        for behaviour in self.made():
            seen = DataObservation(
                device=2,
                x=np.random.default_rng(3).random((12, 8), dtype=np.float32),
                y=np.arange(12) % 4,
                classes=4,
                rng=np.random.default_rng(4),
            )
            for method in ("poison", "probe"):
                answers.samples(behaviour, method, getattr(behaviour, method)(seen), seen)

    def _seen(self) -> EngineerObservation:
        rng = np.random.default_rng(5)
        master, trained = rng.standard_normal((2, WIDTH)).astype(np.float32)
        return EngineerObservation(
            round=1,
            device=2,
            master=master,
            trained=trained,
            layout=LAYOUT,
            rng=np.random.default_rng(6),
            test=lambda row: float(1 / (1 + np.linalg.norm(row - master))),
        ).shown_to(self.plugin.knows)
