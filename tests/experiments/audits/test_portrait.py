"""How honest devices fare in an audit: by role and kind, over time, who loses its place."""

import numpy as np
import pytest

from experiments.audits.audit import DOSE, OTHER_RULES, Audit, Auditor
from experiments.audits.curves import points
from experiments.audits.deviations import Library, library
from experiments.audits.page import answer
from experiments.audits.portrait import portrait_of
from experiments.audits.question import ask
from experiments.audits.settings import SELDOM, AuditSettings
from experiments.scorecard.measures import gini
from experiments.trials import Trials, player

DIGITS = {"rounds": 4, "devices": 10, "roles.params": {"counts": "6,3,1"}}
SMALL = DIGITS | {
    "data.dataset": "synthetic",
    "data.params": {"train": 300, "test": 60, "features": 6, "classes": 3},
    "model.name": "softmax",
}


def trials_of(question, folder):
    folder.mkdir(exist_ok=True)
    base = folder / "scenario.toml"
    base.write_text(question.text())
    return Trials("audit", str(base), {}, folder / "runs", player(workers=1, progress=False))


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """A portrait under a rule, its question, and the runs that it was read from."""
    question = ask("vbfl", changes=SMALL)
    trials = trials_of(question, tmp_path_factory.mktemp("portrait"))
    portrait = portrait_of(question, trials, range(6), 0.95)
    return portrait, question, trials.played({"honest": question.honest}, range(6))


@pytest.mark.slow
def test_roles_rounds_and_places_are_those_of_the_runs(seen):
    portrait, _, results = seen
    people = results.table("participants")
    each = people.groupby(["run_id", "device", "role"])["utility"].mean().reset_index()
    by_run = each.groupby(["role", "run_id"])["utility"].mean().groupby("role").mean()
    assert portrait.roles.set_index("role")["payoff"].to_dict() == pytest.approx(by_run.to_dict())
    last = people[people["round"] == 4]
    held = [gini(p["balance"] + p["locked"]) for _, p in last.groupby("run_id")]
    assert portrait.time["gini"].iloc[-1] == pytest.approx(np.mean(held))
    issued = results.table("rounds").groupby("round")["issued"].mean()
    assert portrait.time["issued"].tolist() == pytest.approx(issued.tolist())
    # Nobody is shut out here; six runs are too few to say that nobody ever is.
    assert (portrait.shut_out.runs, portrait.shut_out.of) == (0, 6)
    assert portrait.shut_out.high == pytest.approx(1 - 0.025 ** (1 / 6))
    assert portrait.shut_out.verdict(SELDOM) == "undecided"


@pytest.mark.slow
def test_work_that_is_paid_leaves_those_with_little_data_behind(seen):
    portrait, _, _ = seen
    kinds = {kind.name: kind for kind in portrait.kinds}
    assert set(kinds) == {"slow", "little data", "often offline"}
    little = kinds["little data"]
    assert little.payoff.mean < little.others.mean
    assert 0 <= portrait.fairness.mean <= 2


@pytest.mark.slow
def test_devices_that_are_shut_out_are_found(tmp_path):
    """A baseline that trains much longer rejects honest updates; two of them shut a device out."""
    strict = {"threshold": 0.0, "baseline_epochs": 20}
    keys = {**DIGITS, "validation.rule": "threshold", "validation.params": strict}
    keys |= {"blocklist.knock_out_rounds": 2, "rounds": 6}
    question = ask("vbfl", changes=keys)
    portrait = portrait_of(question, trials_of(question, tmp_path), range(6), 0.95)
    assert portrait.shut_out.runs == 6
    assert portrait.shut_out.verdict(SELDOM) == "profitable"


@pytest.mark.slow
def test_a_market_that_keeps_the_bounty_is_found(tmp_path):
    """As shipped, what later passes of the reward phase find is never paid."""
    found = {}
    for name in ("as_shipped", "repaired"):
        changes = {"market.params": {"as_shipped": name == "as_shipped"}}
        question = ask("prediction-market", changes=changes)
        trials = trials_of(question, tmp_path / name)
        found[name] = portrait_of(question, trials, range(6), 0.95)
    assert found["as_shipped"].stuck.verdict(SELDOM) == "profitable"
    assert found["repaired"].stuck.runs == 0
    assert found["repaired"].shut_out is None, "nobody has a place to lose in a market"
    audit = Audit(question, AuditSettings(), Library((), {}), portrait=found["as_shipped"])
    assert answer(audit)[0].startswith(
        "prediction-market: units stay behind in the rule's escrows, in 6 of 6 runs"
    )


# --- curves ---------------------------------------------------------------------------------------


def test_a_curve_has_a_point_for_each_value():
    question = ask("vbfl")
    curves = list(points(question, library(question)))
    shades = [p.value for p in curves if p.curve == "shade (worker), error"]
    assert shades == [0.02, 0.05, 0.1, 0.2, 0.5]
    assert all(p.inside for p in curves), "vbfl declares no other rules to look at"
    coordinated = ask("coordinator")
    copier = [p for p in points(coordinated, library(coordinated)) if not p.inside]
    assert [p.value for p in copier] == [False, True]
    assert copier[0].honest["coordinator.commit_reveal"] is False


@pytest.mark.slow
def test_slack_pays_by_what_is_claimed_and_counts_as_a_deviation(tmp_path):
    question = ask("vbfl", changes=SMALL)
    settings = AuditSettings(budget=60)
    auditor = Auditor(question, settings, _sampled(trials_of(question, tmp_path)), search=False)
    audit = auditor.audit
    audit.curves = [p for p in points(question, audit.library) if p.curve.startswith("shade")]
    auditor._measure_scale()
    audit.confidence = auditor._sequence(len(audit.curves))
    from experiments.audits.race import Judge

    auditor._spare = 60
    auditor._curves(Judge(audit.confidence, audit.epsilon))
    gains = {f.name: f.bound.mean for f in audit.findings}
    ordered = [gains[p.name] for p in audit.curves]
    assert ordered == sorted(ordered), "the more is claimed, the more is paid"
    assert {f.entry.kind for f in audit.findings} == {DOSE}
    assert OTHER_RULES not in {f.entry.kind for f in audit.certified}


def _sampled(trials):
    def sample(variants, seeds):
        return trials.paid_in(trials.played(variants, seeds))

    return sample
