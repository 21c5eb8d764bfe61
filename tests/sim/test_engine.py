"""The engine against a plain per-device torch loop."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from sim.learning import coalitions, models
from sim.learning.engine import LearningEngine, layout_of, row_digest
from sim.learning.job import TrainingJob, schedule

RNG = np.random.default_rng(0)


def images(n, side, classes=10, margin=1):
    """Random images with an empty margin, as digits have."""
    x = np.zeros((n, 1, side, side), dtype=np.float32)
    x[:, :, margin:-margin, margin:-margin] = RNG.random(
        (n, 1, side - 2 * margin, side - 2 * margin)
    )
    return x, RNG.integers(0, classes, n)


class Gated(nn.Module):
    """A user's own module that no fast path knows: two branches and a product."""

    def __init__(self, inputs, classes):
        super().__init__()
        self.a, self.b = nn.Linear(inputs, 12), nn.Linear(inputs, 12)
        self.norm = nn.LayerNorm(12)
        self.out = nn.Linear(12, classes)

    def forward(self, x):
        x = x.flatten(1)
        return self.out(self.norm(torch.tanh(self.a(x)) * torch.sigmoid(self.b(x))))


def strided(shape, classes):
    """Known layers in an unusual arrangement: stride, groups, no bias, overlapping pooling."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, padding=1, bias=False),
        nn.ReLU(),
        nn.Conv2d(4, 8, 3, padding=1, groups=2),
        nn.MaxPool2d(3, stride=1, padding=1),
        nn.ReLU(),
        nn.Sequential(nn.Flatten(), nn.Linear(8 * (shape[1] // 2) ** 2, 16, bias=False), nn.ReLU()),
        nn.Linear(16, classes),
    )


BUILD = {
    "mnist_2nn": (lambda s, c: models.create("mnist_2nn").build(s, c), "batched"),
    "mnist_cnn": (lambda s, c: models.create("mnist_cnn").build(s, c), "layerwise"),
    "softmax": (lambda s, c: models.create("softmax").build(s, c), "batched"),
    "mlp": (lambda s, c: models.create("mlp", {"hidden": [7, 5, 3]}).build(s, c), "batched"),
    "strided": (strided, "layerwise"),
    "gated": (lambda s, c: Gated(s[1] * s[2], c), "general"),
    "dropout": (
        lambda s, c: nn.Sequential(
            nn.Flatten(), nn.Linear(s[1] ** 2, 9), nn.Dropout(0.3), nn.Linear(9, c)
        ),
        "general",
    ),
}


class Awkward(nn.Module):
    """A frozen layer, a layer used twice and a parameter that nothing uses."""

    def __init__(self, inputs, classes):
        super().__init__()
        self.inner, self.frozen, self.out = (
            nn.Linear(inputs, inputs),
            nn.Linear(inputs, 6),
            nn.Linear(6, classes),
        )
        self.frozen.requires_grad_(False)
        self.unused = nn.Parameter(torch.ones(3))

    def forward(self, x):
        x = x.flatten(1)
        return self.out(torch.tanh(self.frozen(self.inner(torch.relu(self.inner(x))))))


def frozen_input(shape, classes):
    """Known layers only, the first of them frozen."""
    net = models.create("mlp", {"hidden": [9]}).build(shape, classes)
    net[1].requires_grad_(False)
    return net


def shared(shape, classes):
    """Known layers only, one of them twice."""
    middle = nn.Linear(8, 8)
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(shape[1] ** 2, 8),
        nn.ReLU(),
        middle,
        nn.ReLU(),
        middle,
        nn.Linear(8, classes),
    )


def hooked(shape, classes):
    """Known layers, one of which does more than it says."""
    net = models.create("mlp", {"hidden": [9]}).build(shape, classes)
    net[1].register_forward_hook(lambda layer, inputs, out: out * 2)
    return net


def across_rows(shape, classes):
    """A Linear layer that sees the rows of an image before they are flattened."""
    return nn.Sequential(
        nn.Linear(shape[2], 4), nn.ReLU(), nn.Flatten(), nn.Linear(shape[0] * shape[1] * 4, classes)
    )


BUILD |= {
    "hooked": (hooked, "general"),
    "across rows": (across_rows, "general"),
    "weight norm": (
        lambda s, c: nn.Sequential(
            nn.Flatten(), nn.utils.parametrizations.weight_norm(nn.Linear(s[1] ** 2, c))
        ),
        "general",
    ),
    "awkward": (lambda s, c: Awkward(s[1] * s[2], c), "general"),
    "frozen": (frozen_input, "general"),
    "shared": (shared, "general"),
}


def engine_for(name, x, y, dtype=torch.float64, lr=0.05, batch=10):
    build, expected = BUILD[name]
    engine = LearningEngine(
        lambda: build(x.shape[1:], 10),
        x,
        y,
        learning_rate=lr,
        batch_size=batch,
        seed=7,
        dtype=dtype,
    )
    assert engine.trainer == expected
    return engine


def plain_loop(name, engine, x, y, job, lr=0.05, batch=10):
    """What a textbook does: one module, autograd, torch.optim.SGD."""
    model = BUILD[name][0](x.shape[1:], 10).to(engine.dtype)
    torch.nn.utils.vector_to_parameters(torch.tensor(job.start), model.parameters())
    optimiser = torch.optim.SGD(model.parameters(), lr=lr)
    xs, ys = torch.tensor(x, dtype=engine.dtype), torch.tensor(y)
    with torch.random.fork_rng():
        torch.manual_seed(job.seed)
        for order in job.order:
            for at in range(0, len(order), batch):
                index = torch.tensor(order[at : at + batch])
                optimiser.zero_grad()
                functional.cross_entropy(model(xs[index]), ys[index]).backward()
                optimiser.step()
    return torch.nn.utils.parameters_to_vector(model.parameters()).detach().numpy(), model


def jobs_for(engine, sizes, epochs, total):
    jobs = []
    for k, (n, e) in enumerate(zip(sizes, epochs, strict=True)):
        mine = RNG.choice(total, n, replace=False)
        start = engine.initial() + 0.01 * RNG.standard_normal(engine.size)
        order = (
            np.stack([RNG.permutation(mine) for _ in range(e)])
            if e
            else np.empty((0, n), dtype=np.int64)
        )
        jobs.append(TrainingJob(start, order, seed=k))
    return jobs


@pytest.mark.parametrize("name", BUILD)
@pytest.mark.parametrize(
    ("sizes", "epochs"),
    [([40, 40, 40], [2, 2, 2]), ([23, 5, 61, 10, 1], [2, 3, 1, 0, 4])],
    ids=["equal", "unequal shards and epochs"],
)
def test_equals_a_plain_loop(name, sizes, epochs):
    side = 8
    x, y = images(80, side)
    engine = engine_for(name, x, y)
    jobs = jobs_for(engine, sizes, epochs, 80)
    rows = engine.train(jobs)
    for row, job in zip(rows, jobs, strict=True):
        expected, model = plain_loop(name, engine, x, y, job)
        np.testing.assert_allclose(row, expected, atol=1e-10)
        model.eval()
        with torch.no_grad():
            logits = model(torch.tensor(x, dtype=torch.float64))
        measured = engine.evaluate([row], x, y)
        assert measured.correct[0] == int((logits.argmax(1) == torch.tensor(y)).sum())
        assert measured.loss[0] == pytest.approx(
            float(functional.cross_entropy(logits, torch.tensor(y))), abs=1e-9
        )


@pytest.mark.parametrize("name", ["mnist_2nn", "mnist_cnn", "softmax"])
def test_single_precision_on_mnist_sized_images(name):
    """float32 rounding grows with the number of steps: 12 steps here."""
    x, y = images(60, 28, margin=3)
    engine = engine_for(name, x, y, dtype=torch.float32, lr=0.01)
    jobs = jobs_for(engine, [30, 24], [2, 2], 60)
    jobs = [TrainingJob(j.start.astype(np.float32), j.order, j.seed) for j in jobs]
    for row, job in zip(engine.train(jobs), jobs, strict=True):
        np.testing.assert_allclose(row, plain_loop(name, engine, x, y, job, lr=0.01)[0], atol=2e-6)


def test_published_sizes():
    assert (
        sum(p.numel() for p in models.create("mnist_2nn").build((1, 28, 28), 10).parameters())
        == 199_210
    )
    assert (
        sum(p.numel() for p in models.create("mnist_cnn").build((1, 28, 28), 10).parameters())
        == 1_663_370
    )


@pytest.mark.parametrize("name", ["mnist_2nn", "mnist_cnn", "gated"])
def test_a_device_does_not_feel_its_neighbours(name):
    """A row is the same alone, with others and in another order, up to rounding."""
    x, y = images(60, 8)
    engine = engine_for(name, x, y, dtype=torch.float32)
    jobs = [
        TrainingJob(j.start.astype(np.float32), j.order, j.seed)
        for j in jobs_for(engine, [40, 17, 30], [2, 1, 2], 60)
    ]
    together = engine.train(jobs)
    swapped = engine.train(jobs[::-1])[::-1]
    np.testing.assert_allclose(together, swapped, atol=1e-6)
    for job, row in zip(jobs, together, strict=True):
        np.testing.assert_allclose(engine.train([job])[0], row, atol=1e-6)
    assert (engine.train(jobs) == together).all(), "the same call gives the same bytes"


@pytest.mark.parametrize("name", ["mnist_2nn", "mnist_cnn", "gated", "dropout"])
def test_epoch_callback_sees_every_epoch_and_changes_none(name):
    x, y = images(60, 8)
    engine = engine_for(name, x, y)
    jobs = jobs_for(engine, [25, 13], [3, 2], 60)
    seen = {}

    def look(k, epoch, row):
        seen[k, epoch] = row.copy()
        engine.evaluate([row], x, y)
        torch.rand(3)

    rows = engine.train(jobs, look)
    np.testing.assert_array_equal(rows, engine.train(jobs))
    assert set(seen) == {(0, 1), (0, 2), (0, 3), (1, 1), (1, 2)}
    for k, job in enumerate(jobs):
        for epoch in range(1, job.epochs + 1):
            part = TrainingJob(job.start, job.order[:epoch], job.seed)
            np.testing.assert_allclose(seen[k, epoch], engine.train([part])[0], atol=1e-12)
        np.testing.assert_array_equal(seen[k, job.epochs], rows[k])


def test_nothing_is_measured_twice(monkeypatch):
    x, y = images(50, 8)
    engine = engine_for("softmax", x, y, dtype=torch.float32)
    calls = []
    measure = engine._measure
    monkeypatch.setattr(engine, "_measure", lambda *a: calls.append(1) or measure(*a))
    row = engine.initial()
    first = engine.evaluate([row, row + 1, row], x, y)
    again = engine.evaluate([row + 1], x, y, [row_digest(row + 1)])
    assert len(calls) == 2
    assert first.correct[0] == first.correct[2]
    assert again.correct[0] == first.correct[1]
    engine.forget()
    engine.evaluate([row], x, y)
    assert len(calls) == 3


def test_a_diverging_device_stays_alone():
    x, y = images(60, 8)
    engine = engine_for("mnist_2nn", x, y, dtype=torch.float32)
    jobs = [
        TrainingJob(j.start.astype(np.float32), j.order)
        for j in jobs_for(engine, [20, 20], [1, 1], 60)
    ]
    broken = TrainingJob(np.full(engine.size, np.nan, dtype=np.float32), jobs[0].order)
    rows = engine.train([broken, jobs[1]])
    assert np.isnan(rows[0]).any()
    np.testing.assert_allclose(rows[1], engine.train(jobs[1:])[0], atol=1e-6)


def test_layout_and_schedule():
    module = models.create("mlp", {"hidden": [3]}).build((4,), 2)
    layout = layout_of(module)
    assert [(s.name, s.shape, s.start, s.stop) for s in layout] == [
        ("1.weight", (3, 4), 0, 12),
        ("1.bias", (3,), 12, 15),
        ("3.weight", (2, 3), 15, 21),
        ("3.bias", (2,), 21, 23),
    ]
    indices, weights = schedule(np.arange(10).reshape(2, 5), 3)
    assert indices.tolist() == [[0, 1, 2], [3, 4, 0], [5, 6, 7], [8, 9, 0]]
    np.testing.assert_allclose(weights, [[1 / 3] * 3, [0.5, 0.5, 0]] * 2)


class Positioned(nn.Module):
    """A linear model with a mask and positions that never change."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(64, 10)
        self.register_buffer("mask", torch.ones(64))
        self.register_buffer("position", torch.arange(64, dtype=torch.float32) / 64)

    def forward(self, x):
        return self.linear(x.flatten(1) * self.mask + self.position)


def test_constant_buffers_are_part_of_the_model_and_not_of_its_row():
    x, y = images(20, 8)
    engine = LearningEngine(Positioned, x, y, learning_rate=0.1, batch_size=5, seed=0)
    assert engine.size == 650
    order = np.arange(20)[None]
    trained = engine.train([TrainingJob(engine.initial(), order)])
    assert not np.array_equal(trained[0], engine.initial())
    measured = engine.evaluate(trained, x, y)
    weight, bias = trained[0][:640].reshape(10, 64), trained[0][640:]
    position = np.arange(64, dtype=np.float32) / 64
    logits = (x.reshape(20, -1) + position) @ weight.T + bias
    assert measured.correct[0] == (logits.argmax(1) == y).sum()


def test_batch_norm_is_refused():
    x, y = images(20, 8)
    with pytest.raises(ValueError, match=r"the buffer '2\.running_mean'"):
        LearningEngine(
            lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.BatchNorm1d(10)),
            x,
            y,
            learning_rate=0.1,
            batch_size=5,
            seed=0,
        )


def test_the_seed_decides_the_initial_model_and_global_torch_state_is_left_alone():
    x, y = images(20, 8)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, second = engine_for("softmax", x, y), engine_for("softmax", x, y)
    assert (first.initial() == second.initial()).all()
    assert (torch.rand(3) == expected).all()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: nn.Sequential(nn.Flatten(), nn.Linear(63, 10)),
            "cannot take samples of shape \\(1, 8, 8\\)",
        ),
        (lambda: nn.Linear(8, 10), "should give logits \\(1, 10\\)"),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 7)), "should give logits \\(1, 10\\)"),
        (lambda: nn.LSTM(8, 10), "the model"),
        (
            lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).requires_grad_(False),
            "no parameters to train",
        ),
    ],
)
def test_models_that_do_not_fit_the_data_are_refused(build, message):
    x, y = images(20, 8)
    with pytest.raises(ValueError, match=message):
        LearningEngine(build, x, y, learning_rate=0.1, batch_size=5, seed=0, classes=10)


@pytest.mark.parametrize("build", [lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(10))])
def test_lazy_layers_follow_the_seed(build):
    x, y = images(20, 8)
    made = [
        LearningEngine(build, x, y, learning_rate=0.1, batch_size=5, seed=3).initial()
        for _ in range(2)
    ]
    assert (made[0] == made[1]).all()


def test_a_module_that_draws_when_it_evaluates_repeats_itself():
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.out = nn.Linear(64, 10)

        def forward(self, x):
            return self.out(functional.dropout(x.flatten(1)))

    x, y = images(50, 8)
    engine = LearningEngine(Noisy, x, y, learning_rate=0.1, batch_size=5, seed=3)
    first = engine.evaluate([engine.initial()], x, y).loss
    engine.forget()
    assert engine.evaluate([engine.initial()], x, y).loss == first


@pytest.mark.parametrize("name", ["mnist_2nn", "mnist_cnn", "gated"])
def test_a_batch_larger_than_the_shard_is_the_shard(name):
    x, y = images(60, 8)
    jobs = jobs_for(engine_for(name, x, y), [25, 13], [3, 2], 60)
    large = engine_for(name, x, y, batch=10**9).train(jobs)
    np.testing.assert_allclose(large, engine_for(name, x, y, batch=25).train(jobs), atol=1e-12)


class TestCoalitions:
    """Values of coalitions against averaging rows and measuring the mean."""

    @staticmethod
    def rows(engine, n):
        start = engine.initial()
        return (start + 0.3 * RNG.standard_normal((n, engine.size))).astype(start.dtype), start

    @pytest.mark.parametrize(
        "name", ["mnist_2nn", "mnist_cnn", "softmax", "mlp", "strided", "gated", "across rows"]
    )
    def test_equal_to_averaging_rows(self, name):
        x, y = images(50, 8)
        engine = engine_for(name, x, y)
        rows, start = self.rows(engine, 5)
        members = RNG.random((40, 5)) < 0.5
        members[0], members[1] = False, True
        values = engine.coalitions(rows, start, x, y)
        # In two calls: what the second one asks about is partly known.
        np.testing.assert_array_equal(values(members[:25]), values(members)[:25])
        means = [rows[m].mean(0) if m.any() else start for m in members]
        np.testing.assert_array_equal(values(members), engine.evaluate(means, x, y).accuracy)

    def test_single_precision_and_small_chunks(self, monkeypatch):
        monkeypatch.setattr(coalitions.StackedMeans, "CHUNK_BYTES", 30_000)
        x, y = images(100, 28, margin=3)
        engine = engine_for("mnist_2nn", x, y, dtype=torch.float32)
        rows, start = self.rows(engine, 11)
        members = RNG.random((30, 11)) < 0.5
        means = np.array([rows[m].mean(0) if m.any() else start for m in members])
        measured = engine.coalitions(rows, start, x, y)(members)
        np.testing.assert_allclose(measured, engine.evaluate(means, x, y).accuracy, atol=0.011)

    @pytest.mark.parametrize("far", [1e30, 3e38, np.inf, np.nan])
    @pytest.mark.parametrize("name", ["mlp", "mnist_cnn"])
    def test_a_far_row_does_not_touch_coalitions_without_it(self, name, far):
        x, y = images(40, 8)
        engine = engine_for(name, x, y, dtype=torch.float32)
        rows, start = self.rows(engine, 4)
        members = RNG.random((12, 4)) < 0.5
        expected = engine.coalitions(rows, start, x, y)(members)
        rows[2] = far
        found = engine.coalitions(rows, start, x, y)(members)
        apart = ~members[:, 2]
        np.testing.assert_array_equal(found[apart], expected[apart])
        assert ((found >= 0) & (found <= 1)).all()

    def test_of_equal_logits_the_first_counts(self):
        x, y = images(60, 8)
        engine = engine_for("mlp", x, y)
        zero = np.zeros((1, engine.size))
        values = engine.coalitions(zero, zero[0], x, y)(np.array([[True], [False]]))
        assert values.tolist() == [(y == 0).mean()] * 2

    def test_each_is_measured_once(self):
        asked = []

        def count(members):
            asked.extend(map(tuple, members.tolist()))
            return members.sum(1)

        values = coalitions.CoalitionValues(count, 9, 9)
        members = np.tri(10, 9, k=-1, dtype=bool)
        assert values(members[[3, 3, 5]]).tolist() == [3 / 9, 3 / 9, 5 / 9]
        assert values(members).tolist() == [k / 9 for k in range(10)]
        assert len(asked) == len(set(asked)) == 10
        assert values(members[:0]).tolist() == []
        with pytest.raises(ValueError, match="should be"):
            values(members[:, :8])
