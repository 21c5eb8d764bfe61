"""A sample of the random scenarios of `tests/mutations.py`."""

import numpy as np
import pytest

from tests import mutations


@pytest.mark.parametrize("seed", range(4))
def test_changed_scenarios_are_refused_in_one_line_or_play_soundly(seed):
    done, faults = mutations.search(24, seed=1_000 + seed)
    assert not faults
    assert done["played"] >= 5
    assert done["refused"] >= 2


def test_an_audit_sees_money_from_nowhere():
    entry = {"asset": "STAKE", "debit": "a", "credit": "b", "amount": 1}
    with pytest.raises(AssertionError):
        mutations._audit([entry])


def test_changes_reach_plug_ins_and_their_parameters():
    base = next(base for base in mutations.bases() if base["protocol"] == "vbfl")
    keys = {".".join(map(str, key)) for key, _ in mutations.leaves(base)}
    assert {"payout.mechanism", "validation.params.threshold", "rounds"} <= keys
    rng = np.random.default_rng(0)
    tried = [
        mutations.candidates(base, ("payout", "mechanism"), "vbfl", rng),
        mutations.candidates(base, ("validation", "params", "threshold"), 0.08, rng),
    ]
    assert "flat" in tried[0]
    assert 0.16 in tried[1]
