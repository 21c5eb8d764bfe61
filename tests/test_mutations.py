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
    rng = np.random.default_rng(0)
    base = mutations.bases()[0]
    keys = set()
    for _ in range(400):
        _, changes = mutations.mutated(base, rng)
        keys |= {".".join(map(str, change.key)) for change in changes}
    assert {"payout.mechanism", "validation.params.threshold", "rounds"} <= keys
