"""NaN is no extreme, neither the largest nor the least, wherever something is put in order."""

import ast
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from experiments.demo import _worst
from experiments.figures.pareto import front
from experiments.orderings import opposite, place_of
from experiments.scorecard.measures import fairness, gini, nakamoto
from sim.chain.versions import FIRST, Kept, Version, worth_restoring

HOUSE = Path(__file__).parents[2]
gaps = st.sampled_from([None, math.nan, pd.NA])
numbers = st.floats(allow_nan=False, width=32)


@given(st.lists(numbers | gaps))
@example([None, math.inf])
@example([math.nan, -math.inf, pd.NA])
def test_unknown_values_are_never_the_extreme(values):
    known = [v for v in values if not pd.isna(v)]
    for best, extreme in (("max", max), ("min", min)):
        place = place_of(best, values)
        if not known:
            assert place is None
        else:
            assert values[place] == extreme(known)
            assert not any(v == values[place] for v in values[:place] if not pd.isna(v))
    assert (opposite("max"), opposite("min")) == ("min", "max")


class Played:
    """A sweep of one mechanism under three attacks; a run is named by its attack."""

    def runs(self):
        attacks = ["nobody", "noise", "twins"]
        return pd.DataFrame({"mechanism": "m", "attack": attacks, "run_id": attacks})

    def run(self, run_id):
        class Run:
            path = Path(run_id)

        return Run


@pytest.mark.parametrize(
    ("advantage", "worst"),
    [
        ([math.nan, -5.0, 3.0], ("twins", Path("twins"))),
        ([math.nan, 4.0, 3.0], ("noise", Path("noise"))),
        ([math.nan, math.nan, -1.0], ("twins", Path("twins"))),
        ([math.nan] * 3, None),
    ],
)
def test_the_demo_replays_mechanisms_under_their_worst_attack(advantage, worst):
    class Verdict:
        table = Played().runs().assign(advantage=advantage)

    assert _worst(Played(), Verdict, "m") == worst


def test_a_version_that_was_not_measured_is_not_the_best():
    def kept(number, accuracy):
        version = Version(FIRST, bytes([number]) * 32, b"", number, 0, accuracy)
        return Kept(version, number)

    for order in ([math.nan, 0.9], [0.9, math.nan]):
        versions = [kept(i, accuracy) for i, accuracy in enumerate(order)]
        found = worth_restoring(versions, 0.5, 0.1)
        assert found is not None
        assert found.version.accuracy == 0.9
    assert worth_restoring([kept(0, math.nan)], 0.5, 0.1) is None


def test_holdings_that_are_not_known_have_no_inequality():
    assert math.isnan(gini([1.0, math.nan, 3.0]))
    assert math.isnan(nakamoto([1.0, math.nan, 3.0]))
    assert math.isnan(fairness([1.0, math.nan], [1.0, 2.0])["l1"])


def test_a_choice_of_unknown_accuracy_is_not_on_the_front():
    found = front(np.array([1.0, 2.0, math.nan]), np.array([0.9, math.nan, 0.8]))
    assert found.tolist() == [True, False, False]


def _takes_from_sorted(node: ast.AST) -> bool:
    """Whether this picks rows, by `.iloc`, `.head` or `.tail`, out of `sort_values(...)`."""
    if not isinstance(node, ast.Attribute) or node.attr not in ("iloc", "head", "tail"):
        return False
    inner: ast.AST = node.value
    while isinstance(inner, ast.Attribute | ast.Subscript | ast.Call):
        called = isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute)
        if called and inner.func.attr == "sort_values":
            return True
        inner = inner.func if isinstance(inner, ast.Call) else inner.value
    return False


def test_no_extreme_row_is_taken_from_the_end_of_a_sorted_column():
    """There NaN is last: `place_of` finds the extreme of a column that may have gaps."""
    assert _takes_from_sorted(ast.parse("f.sort_values('a')['b'].iloc", mode="eval").body)
    found = []
    for room in ("experiments", "chain_bridge", "sim"):
        for path in sorted((HOUSE / room).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            found += [f"{path}:{n.lineno}" for n in ast.walk(tree) if _takes_from_sorted(n)]
            names = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
            if names & {"idxmax", "idxmin", "nanargmax", "nanargmin", "nlargest", "nsmallest"}:
                found.append(str(path))
    assert found == []
