"""On-line models against scikit-learn and exact arithmetic, and rows that are watched."""

import sys
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import SGDClassifier
from sklearn.naive_bayes import MultinomialNB

from experiments.conformance.online import INITIAL, small_set
from mechanisms.plugin import PluginError
from sim.data.sources.base import DataError, Dataset
from sim.online import online_models
from sim.online.samples import Samples
from sim.online.watch import Watch


def started(name, form="present", labels=None, **params):
    samples = Samples(small_set(form))
    model = online_models.create(name, params)
    model.start(samples, INITIAL, samples.y[INITIAL] if labels is None else labels)
    return model, samples


def whole(samples):
    return samples.dense(np.arange(len(samples))).astype(np.float64)


# --- samples -------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["present", "real", "counts", "many"])
def test_lists_are_the_samples(form):
    data = small_set(form)
    samples = Samples(data)
    assert samples.binary == (form == "present")
    for row, x in enumerate(np.concatenate([data.x_train, data.x_test])):
        listed = np.zeros(samples.features + 1)
        listed[samples.indices(row)] = samples.values(row)
        assert listed.tolist() == [*x.tolist(), 1]
    table = np.random.default_rng(0).normal(size=(samples.features + 1, 3))
    rows = np.array([5, 150, 5, 0])
    expected = whole(samples)[rows] @ table[:-1] + table[-1]
    np.testing.assert_allclose(samples.dots(table, rows), expected, atol=1e-12)


@settings(max_examples=40)
@given(st.integers(0, 999), st.booleans())
def test_sums_of_one_row_and_of_many_agree_to_the_last_bit(seed, contiguous):
    rng = np.random.default_rng(seed)
    samples = Samples(small_set("real" if seed % 2 else "present"))
    table = rng.normal(size=samples.features + 1) * 10.0 ** rng.integers(-9, 9)
    rows = np.arange(20, 90) if contiguous else rng.integers(0, len(samples), 30)
    assert samples.dots(table, rows).tolist() == [samples.dot(table, row) for row in rows]


def test_the_samples_of_the_data_set_are_not_copied():
    data = small_set("present")
    assert np.shares_memory(Samples(data).x_train, data.x_train)


# --- perceptrons ---------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["present", "real", "counts", "many"])
@pytest.mark.parametrize("wrong", [0.0, 0.4])
def test_the_simulators_perceptron_is_scikit_learns(form, wrong):
    model, samples = started("sgd-perceptron", form)
    x = whole(samples)
    theirs = SGDClassifier(
        loss="perceptron", learning_rate="optimal", penalty=None, random_state=0xDECA10B
    ).fit(x[INITIAL], samples.y[INITIAL])
    rng = np.random.default_rng(3)
    for row in range(40, 120):
        label = int(rng.integers(samples.classes)) if rng.random() < wrong else int(samples.y[row])
        model.update(row, label)
        theirs.partial_fit(x[row : row + 1], [label])
    weights = np.vstack([theirs.coef_.T, theirs.intercept_])
    np.testing.assert_allclose(model.weights.reshape(weights.shape), weights, atol=1e-9)
    assert model.seen == theirs.t_
    assert (model.predict(samples.test_rows) == theirs.predict(x[samples.test_rows])).all()


def test_steps_of_the_simulators_perceptron_become_smaller():
    model, _ = started("sgd-perceptron")
    for seen, step in ((1, 10), (1_001, 5), (25_001, 10 / 26)):
        model.seen = seen
        assert model.rate == pytest.approx(step, rel=1e-12)


def test_initial_samples_of_one_class_are_refused_in_one_line():
    with pytest.raises(DataError, match="none of the initial samples is of class 1; take more"):
        started("sgd-perceptron", labels=np.zeros(40, dtype=np.int64))


@pytest.mark.parametrize("rate", [1.0, 0.3])
@pytest.mark.parametrize("form", ["present", "real"])
def test_the_chains_perceptron_is_exact(form, rate):
    """Held against the contracts' rule in integers of Python."""
    model, samples = started("perceptron", form, learning_rate=rate, epochs=0)
    one, step = 10**9, round(rate * 10**9)
    x = whole(samples)
    if form == "real":
        x = x / np.sqrt((x**2).sum(1, keepdims=True)) * one
    rows = [[int(v) for v in np.rint(row)] for row in x]
    weights = [0] * samples.features

    def above(row):
        return int(sum(w * v for w, v in zip(weights, rows[row], strict=True)) > 0)

    rng = np.random.default_rng(0)
    for row in rng.integers(0, 120, 300).tolist():
        label = int(rng.integers(2))
        assert model.predict_one(row) == above(row)
        if above(row) != label:
            for i, v in enumerate(rows[row]):
                change = v * step if form == "present" else int(Fraction(v * step, one))
                weights[i] += change if label else -change
        model.update(row, label)
    assert model.weights.tolist() == [*weights, 0], "the intercept is never updated"
    assert model.predict(samples.test_rows).tolist() == [above(row) for row in samples.test_rows]


def test_a_tie_of_large_products_is_decided_exactly():
    """m = 3 x 10^8 x 10^9 - ... differs from 0 by one part in 10^18: floats cannot see it."""
    x = np.array([[3.0, 4.0], [4.0, 3.0]], dtype=np.float32)
    samples = Samples(Dataset("two", x, np.array([0, 1]), x, np.array([0, 1]), 2))
    model = online_models.create("perceptron", {"epochs": 0})
    model.start(samples, np.arange(2), samples.y[:2])
    for weights, label in (((4 * 10**14, -3 * 10**14), 0), ((4 * 10**14 + 1, -3 * 10**14), 1)):
        model.restore({"weights": np.array([*weights, 0])})
        assert model.predict_one(0) == model.predict(np.array([0]))[0] == label


def test_the_chains_perceptron_knows_two_classes():
    with pytest.raises(DataError, match=r"'perceptron'.*it knows two classes, there are 3"):
        started("perceptron", "many")


def test_a_sample_without_norm_is_named():
    x = np.array([[0.5, 1.0], [0.0, 0.0]], dtype=np.float32)
    samples = Samples(Dataset("two", x[:1], np.array([0]), x, np.array([0, 1]), 2))
    with pytest.raises(DataError, match=r"'two': x_test\[1\] is 0 everywhere"):
        online_models.create("perceptron", {}).start(samples, np.arange(1), samples.y[:1])


# --- nearest centroid ----------------------------------------------------------------------------


@pytest.mark.parametrize("unit_norm", [False, True])
@pytest.mark.parametrize("form", ["present", "real", "many"])
def test_centroids_are_the_means(form, unit_norm):
    model, samples = started("nearest-centroid", form, unit_norm=unit_norm)
    x = whole(samples)
    if unit_norm:
        x = x / np.sqrt((x**2).sum(1, keepdims=True))
    rng = np.random.default_rng(0)
    labels = rng.integers(0, samples.classes, 120)
    labels[INITIAL] = samples.y[INITIAL]
    for row in range(40, 120):
        model.update(row, int(labels[row]))
    means = np.array([x[:120][labels == c].mean(0) for c in range(samples.classes)])
    away = ((x[:, None] - means) ** 2).sum(2)
    clear = np.abs(np.diff(np.sort(away, 1)[:, :2]))[:, 0] > 1e-9
    assert clear.mean() > 0.9
    assert (model.predict(np.arange(160)) == away.argmin(1))[clear].all()


@pytest.mark.parametrize("name", ["naive-bayes", "nearest-centroid"])
def test_a_class_without_samples_is_not_predicted(name):
    model, _ = started(name, labels=np.ones(40, dtype=np.int64))
    assert set(model.predict(np.arange(160)).tolist()) == {1}
    watch = Watch(model)
    slot = watch.add(7)
    assert watch.predictions()[slot] == 1
    for _ in range(99):
        model.update(7, 0)
    assert watch.predictions()[slot] == model.predict_one(7) == 0


# --- naive Bayes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("smoothing", [1.0, 0.1])
@pytest.mark.parametrize("form", ["present", "counts"])
def test_naive_bayes_is_scikit_learns(form, smoothing):
    model, samples = started("naive-bayes", form, smoothing=smoothing)
    x, rng = whole(samples), np.random.default_rng(2)
    theirs = MultinomialNB(alpha=smoothing)
    theirs.partial_fit(x[INITIAL], samples.y[INITIAL], classes=[0, 1])
    for row in range(40, 120):
        label = int(rng.integers(2))
        model.update(row, label)
        theirs.partial_fit(x[row : row + 1], [label])
    logs = theirs.predict_joint_log_proba(x)
    ours = model._scores(np.arange(160))
    np.testing.assert_allclose(np.diff(ours), np.diff(logs), atol=1e-9)
    clear = np.abs(np.diff(logs)[:, 0]) > 1e-9
    assert (model.predict(np.arange(160)) == theirs.predict(x))[clear].all()
    assert clear.mean() > 0.9


def test_naive_bayes_needs_features_that_are_not_negative():
    with pytest.raises(DataError, match=r"'naive-bayes'.*features of 0 or more, one is -"):
        started("naive-bayes", "real")


@pytest.mark.parametrize("name", ["naive-bayes", "nearest-centroid"])
def test_of_equal_scores_the_lowest_class_is_predicted(name):
    x = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32)
    samples = Samples(Dataset("tie", x, np.array([1, 0, 1]), x, np.array([1, 0, 1]), 2))
    model = online_models.create(name, {})
    model.start(samples, np.array([0, 1]), np.array([1, 0]))
    assert model.predict(np.array([0, 1])).tolist() == [0, 0]
    assert model.predict_one(0) == 0


# --- trees, and heads of networks ----------------------------------------------------------------


def test_the_tree_is_rivers():
    from river.tree import HoeffdingAdaptiveTreeClassifier

    model, samples = started("hoeffding-tree", "many", grace=10, seed=3)
    theirs = HoeffdingAdaptiveTreeClassifier(grace_period=10, seed=3)
    x = [dict(enumerate(row)) for row in whole(samples).tolist()]
    for row in range(120):
        if row >= 40:
            model.update(row, int(samples.y[row]))
        theirs.learn_one(x[row], int(samples.y[row]))
    assert model.predict(samples.test_rows).tolist() == [
        theirs.predict_one(x[row]) for row in samples.test_rows
    ]


def test_without_river_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "river.tree", None)
    with pytest.raises(DataError, match=r"needs river: pip install .*fedstake\[markets\]") as told:
        started("hoeffding-tree")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("form", ["present", "many"])
def test_the_head_descends_the_gradient_of_the_cross_entropy(form):
    model, samples = started("softmax-head", form, learning_rate=0.1, epochs=0)
    layer = torch.nn.Linear(samples.features, samples.classes).double()
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    optimiser = torch.optim.SGD(layer.parameters(), lr=0.1)
    x = torch.from_numpy(whole(samples))
    for row in range(40, 120):
        model.update(row, int(samples.y[row]))
        optimiser.zero_grad()
        target = torch.tensor(samples.y[row : row + 1])
        torch.nn.functional.cross_entropy(layer(x[row : row + 1]), target).backward()
        optimiser.step()
    learned = torch.cat([layer.weight.T, layer.bias[None]]).detach().numpy()
    np.testing.assert_allclose(model.weights, learned, atol=1e-12)


def test_a_network_encodes_off_the_chain_and_its_head_goes_on_learning():
    """x_0 x_1 > 0 is out of reach of a linear model, and in that of one on encoded samples."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 2)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] > 0).astype(np.int64)
    samples = Samples(Dataset("xor", x[:500], y[:500], x[500:], y[500:], 2))
    rows, tests = np.arange(300), samples.test_rows

    def right(**params):
        model = online_models.create("softmax-head", params)
        model.start(samples, rows, samples.y[rows])
        for row in range(300, 500):
            model.update(row, int(samples.y[row]))
        return model.accuracy(tests, samples.y[tests])

    assert right() < 0.65
    assert right(encoder="mlp", pretraining=40, pretraining_rate=0.2) > 0.85


def test_encoders_that_do_not_fit_or_exist_are_refused():
    with pytest.raises(DataError, match="encoder 'mnist_cnn': mnist_cnn needs images"):
        started("softmax-head", encoder="mnist_cnn")
    with pytest.raises(PluginError, match="did you mean 'mlp'"):
        started("softmax-head", encoder="mlpp")


# --- what is watched -----------------------------------------------------------------------------

REFUSED = {("perceptron", "many"), ("naive-bayes", "real"), ("naive-bayes", "many")}
CASES = [
    (name, form, params)
    for form in ("present", "real", "counts", "many")
    for name, params in (
        ("sgd-perceptron", {}),
        ("perceptron", {}),
        ("perceptron", {"learning_rate": 0.3}),
        ("nearest-centroid", {}),
        ("nearest-centroid", {"unit_norm": True}),
        ("naive-bayes", {}),
        ("softmax-head", {}),
    )
    if (name, form) not in REFUSED
]
CALLS = st.lists(
    st.tuples(
        st.sampled_from(["update", "update", "update", "add", "add", "drop", "ask", "restore"]),
        st.integers(0, 159),
        st.integers(0, 2),
    ),
    min_size=20,
    max_size=150,
)


@pytest.mark.parametrize(("name", "form", "params"), CASES, ids=str)
@settings(max_examples=8)
@given(calls=CALLS, few=st.sampled_from([1, 64]))
def test_watched_predictions_always_are_the_models(name, form, params, calls, few):
    """With few rows all are predicted again; with more of them only some are."""
    model, samples = started(name, form, **params)
    watch, slots, known = Watch(model, few), {}, {}
    kept = model.state()
    for what, row, label in calls:
        if what == "update":
            model.update(row % 120, label % samples.classes)
        elif what == "add":
            slots[watch.add(row)] = row
        elif what == "drop" and slots:
            slot = sorted(slots)[row % len(slots)]
            watch.drop(slot)
            del slots[slot]
            known.pop(slot, None)
        elif what == "restore":
            model.restore(kept)
        elif row % 2:
            check(watch, slots, model)
            known = {slot: model.predict_one(row) for slot, row in slots.items()}
        else:
            known |= watch.changed()
            assert known == {slot: model.predict_one(row) for slot, row in slots.items()}
    check(watch, slots, model)


def check(watch, slots, model):
    assert len(watch) == len(slots)
    if slots:
        rows = np.array(list(slots.values()))
        assert watch.predictions()[list(slots)].tolist() == model.predict(rows).tolist()


def test_a_watch_that_fell_behind_or_rounds_for_long_catches_up():
    model, _ = started("sgd-perceptron", "real")
    watch = Watch(model)
    slots = {watch.add(row): row for row in range(160)}
    rng = np.random.default_rng(0)
    for gap in (1, 300, 1, 5_000, 1):
        for _ in range(gap):
            model.update(int(rng.integers(120)), int(rng.integers(2)))
        check(watch, slots, model)


def test_few_rows_are_predicted_again():
    """Margins save most of the work: that is what they are for."""
    model, samples = started("nearest-centroid", "real")
    for row in range(120):
        model.update(row, int(samples.y[row]))
    watch, asked = Watch(model), []
    for row in range(160):
        watch.add(row)
    margins = model.margins
    model.margins = lambda rows: asked.append(len(rows)) or margins(rows)
    for row in range(60):
        model.update(row, int(samples.y[row]))
        watch.predictions()
    assert asked[0] == 160
    assert sum(asked[1:]) < 60 * 160 / 4
