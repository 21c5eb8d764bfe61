"""Acts of the authors' simulator, as it is known to work, played again on the same data."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import SGDClassifier
from sklearn.naive_bayes import MultinomialNB

from experiments.loader import validate
from mechanisms.vocabulary import TOKEN
from sim.online.sgd_perceptron import SgdPerceptron
from tests.sim.market_reference import Agent, Reference
from tests.sim.test_market import played

INITIAL, TRAIN, FEATURES = 40, 700, 30
SEED = 2
DUST = 1e-6
"""Tokens by which amounts may differ."""


def samples(seed):
    """Binary features whose class is that of a noisy weighted sum."""
    rng = np.random.default_rng(seed)
    x = (rng.random((TRAIN + 200, FEATURES)) < 0.3).astype(np.uint8)
    scores = (x - 0.3) @ rng.normal(size=FEATURES) + rng.normal(scale=0.7, size=len(x))
    y = (scores > 0).astype(np.int64)
    return x[:TRAIN], y[:TRAIN], x[TRAIN:], y[TRAIN:]


def perceptron(x, y):
    return SGDClassifier(
        loss="perceptron",
        learning_rate="optimal",
        penalty=None,
        tol=1e-3,
        random_state=SgdPerceptron.Params().seed,
    ).fit(x, y)


def naive_bayes(x, y):
    return MultinomialNB().partial_fit(x, y, classes=[0, 1])


MODELS = {"sgd-perceptron": perceptron, "naive-bayes": naive_bayes}
AGENTS = {
    "the authors' two": [
        Agent("Good", 10_000, 50, 10, 600, mistakes=1e-4),
        Agent("Bad", 10_000, 100, 3, 3_600, good=False),
    ],
    "three of one wait, one that is ruined": [
        Agent("Ann", 500, 50, 10, 600),
        Agent("Bob", 500, 30, 20, 600, mistakes=0.2),
        Agent("Eve", 40, 30, 3, 900, good=False),
    ],
}


@pytest.mark.parametrize("who", AGENTS)
@pytest.mark.parametrize("model", MODELS)
def test_acts_of_the_authors_loop_cost_and_pay_the_same(tmp_path, model, who):
    """Every cost, claim and balance within 1e-6 tokens; sums of floats leave dust, ours do not."""
    x, y, x_test, y_test = samples(SEED)
    np.savez(tmp_path / "data.npz", X_train=x, y_train=y, X_test=x_test, y_test=y_test)
    fitted = MODELS[model](x[:INITIAL], y[:INITIAL])
    agents = [Agent(**vars(agent)) for agent in AGENTS[who]]
    theirs = Reference(fitted, x, y, x_test, y_test, INITIAL, agents, SEED)
    theirs.play()
    columns = ["time", "agent", "action", "sample", "label", "offer", "accuracy"]
    pd.DataFrame(theirs.acts, columns=columns).to_csv(tmp_path / "acts.csv", index=False)

    names = [agent.name for agent in agents]
    groups = [
        {
            "name": agent.name,
            "devices": [device],
            "adversary": False,
            "initial_balance": round(agent.balance * TOKEN),
        }
        for device, agent in enumerate(AGENTS[who])
    ]
    ours = play(tmp_path, model, names, groups)
    costs = ours["submissions"]["cost"]
    assert costs.isna().tolist() == [cost is None for cost in theirs.costs]
    expected = [cost for cost in theirs.costs if cost is not None]
    assert (costs.dropna() / TOKEN).tolist() == pytest.approx(expected, abs=DUST)
    rows = ours["submissions"].dropna(subset="datum").set_index("datum")["sample"]
    found, paid = [], []
    for claim in ours["claims"].itertuples():
        if claim.amount / TOKEN >= DUST:
            found.append((claim.time_s, names[claim.device], claim.kind, rows[claim.datum]))
            paid.append(claim.amount / TOKEN)
    real = [claim for claim in theirs.claims if claim[-1] >= DUST]
    assert found == [(time, agent, kind, row) for time, agent, kind, row, _ in real]
    assert {kind for _, _, kind, _ in found} == {"refund", "report", "sweep"}
    assert paid == pytest.approx([amount for *_, amount in real], abs=DUST)
    end = ours["balances"].query("moment == 'end'")["balance"] / TOKEN
    assert end.tolist() == pytest.approx([agent.balance for agent in agents], abs=DUST)


def play(folder, model, names, groups):
    """Return the tables of the recorded acts under our market."""
    scenario = validate(
        {
            "protocol": "market",
            "rounds": 3,
            "devices": len(names),
            "data": {"dataset": "npz", "params": {"file": "data.npz"}, "initial": INITIAL},
            "market": {
                "model": model,
                "as_published": True,
                "replay_of": "acts.csv",
                "names": names,
            },
            "adversaries": groups,
        },
        "test",
    )
    return played(scenario, folder)
