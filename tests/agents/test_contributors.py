"""Contributors do what they say, on observations that are made up."""

import math

import numpy as np
import pytest

from agents import registries
from agents.contributors.honest import MARGIN
from mechanisms.plugin import PluginError
from mechanisms.vocabulary import (
    ContributorObservation,
    Datum,
    HiddenError,
    Offer,
    ProviderObservation,
    Query,
    TimingObservation,
)

SAMPLES = np.concatenate([np.arange(10), 100 + np.arange(10)])[:, None].astype(np.float32)
"""Two clusters on a line, of class 0 and of class 1."""
LABELS = np.repeat([0, 1], 10)


def made(name, **params):
    return registries.contributors.create(name, params)


def scene(seed=0, **changes):
    """What device 4 sees when sample 12, of class 1, is the next one."""
    values = {
        "device": 4,
        "round": 1,
        "time_s": 1_000.0,
        "balance": 500,
        "budget": 50,
        "row": 12,
        "label": 1,
        "classes": 2,
        "accuracy": 0.7,
        "rng": np.random.default_rng(seed),
        "price": 20,
        "prediction": 0,
        "records": [],
        "standing": {},
        "samples": SAMPLES,
        "labels": LABELS,
        "predict": lambda rows: LABELS[np.asarray(rows)],
    }
    return ContributorObservation(**(values | changes))


def acted(name, params=None, **changes):
    behaviour = made(name, **(params or {}))
    return behaviour.act(scene(**changes).shown_to(behaviour.knows))


def acts(name, params=None, n=2_000, **changes):
    behaviour = made(name, **(params or {}))
    seen = scene(**changes).shown_to(behaviour.knows)
    return [behaviour.act(seen) for _ in range(n)]


def waiting(**changes):
    values = {
        "device": 4,
        "time_s": 100.0,
        "wait_s": 50.0,
        "balance": 60,
        "row": 12,
        "refundable_s": math.inf,
        "reportable_s": math.inf,
        "sweepable_s": math.inf,
        "rng": np.random.default_rng(0),
        "price": 60,
    }
    return TimingObservation(**(values | changes))


def datum(row, label, author=1, **changes):
    values = {"index": row, "time_s": 0.0, "deposit": 9, "claimable": 9}
    return Datum(row=row, label=label, author=author, **(values | changes))


# --- as published ---------------------------------------------------------------------------------


def test_an_honest_one_takes_part_with_probability_accuracy_and_margin():
    draws = np.random.default_rng(3).random(2_000)
    expected = [Offer(1, 50) if draw < 0.7 + MARGIN else None for draw in draws]
    assert acts("honest", seed=3) == expected
    assert MARGIN == 0.15
    assert None not in acts("honest", accuracy=0.85), "0.85 + 0.15: it always takes part"


def test_a_careless_one_is_wrong_with_its_probability():
    labels = [act.label for act in acts("careless", {"mistake": 0.2}, n=20_000, accuracy=1.0)]
    assert labels.count(0) / 20_000 == pytest.approx(0.2, abs=0.012), "four standard errors"
    assert acts("careless", {"mistake": 0.0}, accuracy=1.0) == acts("honest", accuracy=1.0)
    assert {act.label for act in acts("careless", {"mistake": 1.0}, accuracy=1.0)} == {0}


def test_a_careless_one_takes_part_as_an_honest_one():
    took_part = [act is not None for act in acts("careless", {"mistake": 0.0}, n=20_000)]
    assert np.mean(took_part) == pytest.approx(0.85, abs=0.011), "four standard errors"


@pytest.mark.parametrize(("label", "classes"), [(0, 2), (1, 2), (0, 3), (2, 3), (4, 10)])
def test_a_bad_one_draws_any_wrong_label(label, classes):
    found = [act.label for act in acts("bad", label=label, classes=classes, n=9_000)]
    counts = np.bincount(found, minlength=classes)
    assert counts[label] == 0
    expected = 9_000 / (classes - 1)
    assert np.delete(counts, label) == pytest.approx(expected, rel=0.15)


def test_a_bad_one_is_right_by_mistake():
    labels = [act.label for act in acts("bad", {"mistake": 0.3}, n=20_000)]
    assert labels.count(1) / 20_000 == pytest.approx(0.3, abs=0.013)


def test_a_bad_one_always_takes_part():
    assert set(acts("bad", accuracy=0.0)) == {Offer(0, 50)}


def test_a_caller_asks_with_probability_accuracy():
    draws = np.random.default_rng(8).random(2_000)
    assert acts("caller", seed=8) == [Query(50) if draw < 0.7 else None for draw in draws]


@pytest.mark.parametrize("name", registries.contributors.names())
def test_nobody_offers_what_is_not_there(name):
    assert acted(name, row=None, label=None, prediction=None) is None


# --- farming, griefing ----------------------------------------------------------------------------


def test_an_agreeable_one_says_what_the_model_says():
    assert acted("agreeable") == Offer(0, 50), "and not 1, which is true"


def test_a_griefer_pays_whatever_it_costs_while_it_can():
    act = acted("griefer", price=60)
    assert act == Offer(int(LABELS[act.row]), 60, act.row), "what the model predicts of any sample"
    assert acted("griefer", price=60, budget=80).amount == 80
    assert acted("griefer", price=500).amount == 500
    assert acted("griefer", price=501) is None, "it is broke"
    assert acted("griefer", price=0) is None, "nobody can be priced out"


def test_a_griefer_offers_any_sample():
    rows = [act.row for act in acts("griefer")]
    assert np.bincount(rows, minlength=20) == pytest.approx(100, rel=0.4)


def test_a_griefer_keeps_its_own_time():
    assert made("griefer").next_s(waiting(wait_s=600.0)) == 104.0
    assert made("griefer", gap_s=1.0).next_s(waiting(time_s=100.7)) == 101.0


@pytest.mark.parametrize("poor", [{"balance": 59}, {"row": None}, {"price": 0}])
def test_a_griefer_that_cannot_add_waits_for_its_money(poor):
    griefer = made("griefer")
    assert griefer.next_s(waiting(**poor)) == 150.0
    assert griefer.next_s(waiting(**poor, refundable_s=120.0)) == 120.0
    assert griefer.next_s(waiting(**poor, refundable_s=100.0)) == 101.0


# --- coalitions -----------------------------------------------------------------------------------


def test_the_first_sybil_adds_wrong_labels_for_the_others_to_report():
    group = frozenset({4, 7, 9})
    assert acted("sybil-self-take", coalition=group, prediction=1) == Offer(0, 50)
    for other in (7, 9):
        act = acted("sybil-self-take", device=other, coalition=group, prediction=1)
        assert act == Offer(1, 50), "what the model predicts, so that it may report"


def test_a_sybil_alone_adds_the_wrong_labels():
    assert acted("sybil-self-take", prediction=1) == Offer(0, 50)


def test_flipped_labels_come_until_the_model_agrees():
    act = acted("label-flip")
    assert act.label == 1 - LABELS[act.row], "the model is right on all samples, so all resist"
    turned = {"predict": lambda rows: 1 - LABELS[np.asarray(rows)]}
    assert acted("label-flip", **turned) is None
    again = {"predict": lambda rows: np.zeros(len(rows), dtype=np.int64)}
    act = acted("label-flip", **again)
    assert (act.label, LABELS[act.row]) == (1, 0), "only samples that the model does not flip yet"


@pytest.mark.parametrize(("flipped", "turned"), [(7, False), (8, True)])
def test_the_model_counts_as_turned_from_a_share_on(flipped, turned):
    """Ten samples are asked about, and the model gives the flipped label to some of them."""
    answers = iter(range(10))

    def predict(rows):
        return np.array([1 - y if next(answers) < flipped else y for y in LABELS[rows]])

    assert (acted("label-flip", {"asked": 10}, predict=predict) is None) == turned


def test_one_class_is_flipped_into_another():
    params = {"source": 0, "target": 2}
    for act in acts("label-flip", params, n=50, classes=3):
        assert act.label == 2
        assert LABELS[act.row] == 0
    assert acted("label-flip", {"source": 2}, classes=3) is None, "there are no samples of it"


def test_a_flood_pays_the_price():
    assert acted("label-flip", price=90).amount == 90
    assert acted("label-flip", price=501) is None


@pytest.mark.parametrize(
    ("name", "params", "key"),
    [
        ("label-flip", {"source": 5}, "source"),
        ("label-flip", {"target": 5}, "target"),
        ("cheating-provider", {"only": 5}, "only"),
    ],
)
def test_a_class_that_is_not_there_is_named(name, params, key):
    with pytest.raises(PluginError, match=r"classes are numbered 0\.\.1") as error:
        acted(name, params)
    assert (error.value.key, error.value.value) == (key, 5)


def test_a_class_cannot_be_flipped_into_itself():
    with pytest.raises(PluginError, match="must differ from source"):
        made("label-flip", source=1, target=1)


# --- time -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("due", "expected"), [(math.inf, 150.0), (120.0, 120.0), (900.0, 900.0), (100.0, 101.0)]
)
def test_a_sniper_acts_when_a_deposit_can_be_swept(due, expected):
    assert made("sniper").next_s(waiting(sweepable_s=due)) == expected


@pytest.mark.parametrize(
    ("due", "expected"), [(math.inf, 150.0), (120.0, 120.0), (900.0, 150.0), (100.0, 101.0)]
)
def test_a_racer_acts_when_a_datum_can_be_reported(due, expected):
    assert made("racer").next_s(waiting(reportable_s=due)) == expected


@pytest.mark.parametrize("name", ["honest", "bad", "agreeable", "label-flip", "idle"])
def test_others_act_after_their_habits(name):
    assert made(name).next_s(waiting(reportable_s=101.0, sweepable_s=102.0)) == 150.0
    assert not made(name).times


def test_those_that_only_claim():
    assert acts("idle", n=20) == acts("sniper", n=20) == [None] * 20
    assert made("idle").claims
    assert made("sniper").claims


@pytest.mark.parametrize(
    ("standing", "offers"),
    [({}, True), ({1: 6}, True), ({4: 3, 1: 5}, True), ({4: 5, 1: 5}, True), ({4: 6, 1: 5}, False)],
)
def test_a_racer_offers_until_its_standing_is_above_the_mean(standing, offers):
    act = acted("racer", standing=standing, accuracy=1.0)
    assert act == (Offer(1, 50) if offers else None)


# --- test sets, clean labels ----------------------------------------------------------------------


def test_a_cheating_provider_commits_to_one_class_and_feeds_it():
    labels = np.array([0, 1, 2, 1, 1])
    seen = ProviderObservation(device=4, labels=labels, classes=3, rng=np.random.default_rng(0))
    assert made("cheating-provider", only=1).test_set(seen).tolist() == [1, 3, 4]
    assert made("honest").test_set(seen) is None
    assert acted("cheating-provider", {"only": 0}, label=1) == Offer(0, 50)


def cleaned(records, **changes):
    return acted("cleaner", {"neighbours": 3}, records=records, **changes)


def test_a_cleaner_gives_a_wrong_datum_the_label_of_its_neighbours():
    records = [datum(row, 0) for row in range(1, 9)]
    first, last = datum(0, 1), datum(9, 1)
    assert cleaned([*records, first]) == Offer(0, 50, 0)
    assert cleaned([first, *records, last]).row == 9, "the newest first"
    assert cleaned([last, *records, first]).row == 0, "the newest first"


def test_a_cleaner_labels_the_next_sample_where_there_is_nothing_to_clean():
    zeros, ones = [datum(row, 0) for row in range(4)], [datum(row, 1) for row in range(13, 17)]
    assert cleaned([*zeros, *ones], label=0) == Offer(1, 50), "it does not see the true label"
    assert cleaned([*zeros, *ones], row=9) == Offer(0, 50)


def test_a_cleaner_corrects_a_datum_once():
    records = [*(datum(row, 0) for row in range(4)), datum(5, 1)]
    assert cleaned([*records, datum(5, 0)]).row is None, "the newest label of a sample counts"
    assert cleaned([*records, datum(5, 0), datum(5, 1)]).row == 5


def test_neighbours_that_disagree_leave_a_datum_as_it_is():
    records = [datum(0, 0), datum(1, 0), datum(2, 1), datum(3, 1), datum(4, 0)]
    assert cleaned(records).row is None
    assert acted("cleaner", {"neighbours": 3, "agreement": 0.6}, records=records).row == 4


def test_a_cleaner_needs_neighbours():
    assert cleaned([datum(row, 0) for row in range(3)]) is None


def test_copies_of_a_sample_vote_once_and_not_on_it():
    copies = [datum(5, 1) for _ in range(6)]
    assert cleaned([*copies, *(datum(row, 0) for row in range(4))]) == Offer(0, 50, 5)


# --- all ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", registries.contributors.names())
def test_what_was_not_declared_is_not_shown(name):
    behaviour = made(name)
    seen = scene().shown_to(behaviour.knows)
    fields = {"price", "prediction", "records", "standing", "samples", "labels", "predict"}
    for field in fields - behaviour.knows - {"labels", "predict"}:
        with pytest.raises(HiddenError):
            getattr(seen, field)


@pytest.mark.parametrize("name", registries.contributors.names())
def test_behaviours_remember_nothing(name):
    """A device may switch behaviour, and members of a group share one object."""
    behaviour = made(name)
    before = dict(vars(behaviour))
    first = behaviour.act(scene().shown_to(behaviour.knows))
    behaviour.act(scene(seed=1, device=9, accuracy=0.2).shown_to(behaviour.knows))
    assert behaviour.act(scene().shown_to(behaviour.knows)) == first
    assert vars(behaviour) == before
