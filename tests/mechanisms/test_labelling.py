"""Labelling rules: closed forms of peer prediction, and Dawid-Skene against the paper's sums."""

import itertools
import math

import numpy as np
import pytest

from mechanisms import registries
from mechanisms.labelling.peer_prediction import correlated, pair_counts
from mechanisms.labelling.weighted_majority import estimated
from mechanisms.plugin import PluginError
from mechanisms.vocabulary import UNKNOWN, LabellingObservation


def task(answers, *, options, gold=None, points=None, memory=None, workers=None):
    answers = np.array(answers)
    n, q = answers.shape
    return LabellingObservation(
        round=1,
        options=options,
        workers=tuple(workers or range(n)),
        answers=answers,
        points=np.ones(q, dtype=np.int64) if points is None else np.array(points),
        memory=memory or {},
        gold=np.full(q, UNKNOWN) if gold is None else np.array(gold),
    )


def judged(name, seen, **params):
    rule = registries.labelling.create(name, params)
    return rule.judge(seen.shown_to(rule.observes))


# --- peer prediction ------------------------------------------------------------------------------


class World:
    """Two honest annotators: the joint probabilities of what they perceive of one item."""

    def __init__(self, prior, rows):
        prior, rows = np.array(prior), np.array(rows)
        self.joint = np.einsum("k,ka,kb->ab", prior, rows, rows)
        self.options = len(prior)
        self.delta = self.joint - np.outer(self.joint.sum(1), self.joint.sum(0))
        self.signs = (self.delta > 0).astype(int)

    def reports(self, ours, theirs):
        """Joint probabilities of what is reported under two maps of labels."""
        found = np.zeros_like(self.joint)
        for a, b in itertools.product(range(self.options), repeat=2):
            found[ours[a], theirs[b]] += self.joint[a, b]
        return found

    def expected(self, score, ours, theirs, questions):
        """The exact expectation of a score: over all answers that there can be."""
        joint, cells = self.reports(ours, theirs), []
        for a, b in itertools.product(range(self.options), repeat=2):
            if joint[a, b]:
                cells.append((a, b, joint[a, b]))
        total = 0.0
        for outcome in itertools.product(cells, repeat=questions):
            answers = [[a for a, _, _ in outcome], [b for _, b, _ in outcome]]
            total += math.prod(p for _, _, p in outcome) * score(answers)
        return total

    def exact(self, ours, theirs, questions):
        """Answers to so many questions whose shares are exactly the probabilities."""
        counts = np.rint(self.reports(ours, theirs) * questions).astype(int)
        assert counts.sum() == questions
        np.testing.assert_allclose(counts / questions, self.reports(ours, theirs), atol=1e-12)
        pairs = list(itertools.product(range(self.options), repeat=2))
        both = np.repeat(pairs, counts.reshape(-1), axis=0)
        return both.T


TWO = World((0.7, 0.3), ((0.8, 0.2), (0.3, 0.7)))
THREE = World((0.5, 0.3, 0.2), ((0.8, 0.1, 0.1), (0.1, 0.8, 0.1), (0.1, 0.1, 0.8)))
OTHER = World((0.5, 0.2, 0.3), ((0.55, 0.35, 0.1), (0.35, 0.45, 0.2), (0.05, 0.15, 0.8)))
QUESTIONS = {id(TWO): 2_000, id(THREE): 1_000, id(OTHER): 40_000}
I2, I3 = (0, 1), (0, 1, 2)


def test_the_worlds_are_those_of_the_reference():
    np.testing.assert_allclose(TWO.joint, [[0.475, 0.175], [0.175, 0.175]], atol=1e-12)
    np.testing.assert_allclose(np.abs(TWO.delta), 0.0525, atol=1e-12)
    np.testing.assert_allclose(np.diag(THREE.delta), [0.1225, 0.1029, 0.0784], atol=1e-12)
    wanted = [[0.0469, 0.0184, -0.0653], [0.0184, 0.0124, -0.0308], [-0.0653, -0.0308, 0.0961]]
    np.testing.assert_allclose(OTHER.delta, wanted, atol=5e-5)


# What the reference states to four digits, and the exact sum of Delta_ij S(F_i, G_j) to 1e-9.
CASES = [
    ("correlated-agreement", TWO, I2, I2, 0.105),
    ("correlated-agreement", TWO, (1, 0), I2, -0.105),
    ("correlated-agreement", TWO, (1, 0), (1, 0), 0.105),
    ("correlated-agreement", TWO, (0, 0), (0, 0), 0.0),
    ("correlated-agreement", THREE, I3, I3, 0.3038),
    ("correlated-agreement", THREE, (0, 2, 1), I3, 0.0637),
    ("correlated-agreement", THREE, (1, 0, 2), I3, -0.0686),
    ("correlated-agreement", THREE, (1, 2, 0), I3, -0.1519),
    ("correlated-agreement", THREE, (2, 0, 1), I3, -0.1519),
    ("correlated-agreement", THREE, (2, 1, 0), I3, 0.0049),
    ("correlated-agreement", THREE, (1, 2, 0), (1, 2, 0), 0.3038),
    ("correlated-agreement", OTHER, I3, I3, 0.1922),
    ("correlated-agreement", OTHER, (1, 0, 2), I3, 0.1922),
    ("correlated-agreement", OTHER, (0, 0, 2), I3, 0.1922),
    ("identity-score", THREE, I3, I3, 0.3038),
    ("identity-score", THREE, (0, 2, 1), I3, 0.0637),
    ("identity-score", THREE, (1, 2, 0), I3, -0.1519),
    ("identity-score", OTHER, I3, I3, 0.1554),
    ("identity-score", OTHER, (1, 0, 2), I3, 0.1329),
    ("identity-score", OTHER, (0, 0, 2), I3, 0.1614),
    ("identity-score", OTHER, (1, 0, 2), (1, 0, 2), 0.1554),
    ("identity-score", OTHER, (0, 0, 0), (0, 0, 0), 0.0),
]


def parameters(name, world):
    known = {"agreement": world.signs.reshape(-1).tolist()}
    return known if name == "correlated-agreement" else {}


@pytest.mark.parametrize(("name", "world", "ours", "theirs", "printed"), CASES)
def test_expected_scores_are_the_closed_form(name, world, ours, theirs, printed):
    """Exactly, over all answers to two questions that there can be."""
    params = parameters(name, world)
    signs = world.signs if params else np.eye(world.options)
    closed = sum(
        world.delta[i, j] * signs[ours[i], theirs[j]]
        for i, j in itertools.product(range(world.options), repeat=2)
    )

    def score(answers):
        found = judged(name, task(answers, options=world.options), **params).scores
        assert found[0].mean() == pytest.approx(found[1].mean())
        return found[0].mean()

    assert closed == pytest.approx(printed, abs=5e-5)
    assert world.expected(score, ours, theirs, questions=2) == pytest.approx(closed, abs=1e-9)


@pytest.mark.parametrize("world", [TWO, THREE])
def test_every_permutation_of_labels_against_the_truth(world):
    """Where signals are categorical, truth is best: strictly, for the score of equal answers."""
    truth = tuple(range(world.options))
    for relabelled in itertools.permutations(truth):
        closed = sum(world.delta[i, relabelled[i]] for i in truth)
        found = world.expected(
            lambda a: judged("identity-score", task(a, options=world.options)).scores[0].mean(),
            relabelled,
            truth,
            questions=2,
        )
        best = np.trace(world.delta)
        assert found == pytest.approx(closed, abs=1e-9)
        assert found < best - 1e-3 or relabelled == truth


@pytest.mark.parametrize("world", [TWO, THREE, OTHER])
@pytest.mark.parametrize("name", ["output-agreement", "correlated-agreement", "identity-score"])
def test_every_permutation_under_every_rule_is_its_closed_form(name, world):
    """Output agreement: the probability of equal reports; else the sum of Delta_ij S(F_i, G_j)."""
    params, truth = parameters(name, world), tuple(range(world.options))
    signs = world.signs if params else np.eye(world.options)
    agrees = name == "output-agreement"
    for relabelled in itertools.permutations(truth):
        weights = world.joint if agrees else world.delta
        closed = sum(
            weights[i, j] * signs[relabelled[i], j] for i, j in itertools.product(truth, repeat=2)
        )
        found = world.expected(
            lambda a: judged(name, task(a, options=world.options), **params).scores[0].mean(),
            relabelled,
            truth,
            questions=1 if agrees else 2,
        )
        assert found == pytest.approx(closed, abs=1e-9)


@pytest.mark.parametrize(
    ("world", "ours", "theirs", "printed"),
    [
        (TWO, I2, I2, 0.65),
        (TWO, (1, 0), I2, 0.35),
        (TWO, (1, 0), (1, 0), 0.65),
        (TWO, (0, 0), (0, 0), 1.0),
        (THREE, I3, I3, 0.66),
        (THREE, (0, 0, 0), (0, 0, 0), 1.0),
        (OTHER, I3, I3, 0.49),
    ],
)
def test_output_agreement_pays_the_trace(world, ours, theirs, printed):
    closed = np.trace(world.reports(ours, theirs))
    found = world.expected(
        lambda a: judged("output-agreement", task(a, options=world.options)).scores[0].mean(),
        ours,
        theirs,
        questions=1,
    )
    assert closed == pytest.approx(printed, abs=5e-3)
    assert found == pytest.approx(closed, abs=1e-9)


@pytest.mark.parametrize(("world", "best"), [(TWO, 0.105), (THREE, 0.3038), (OTHER, 0.1922)])
def test_agreement_that_is_learned_from_a_pair_pays_whoever_relabels(world, best):
    """Detail-free: with shares of answers that are exactly the probabilities."""
    questions, truth = QUESTIONS[id(world)], tuple(range(world.options))
    for relabelled in itertools.permutations(truth):
        seen = task(world.exact(relabelled, truth, questions), options=world.options)
        found = judged("correlated-agreement", seen, learned="pair").scores[0].mean()
        # Of n questions, penalties are of n - 1 others: that is all that is not the limit.
        assert found * (questions - 1) / questions == pytest.approx(best, abs=1e-9)


def test_agreement_that_is_learned_from_all_pays_no_single_flipper():
    rng = np.random.default_rng(3)
    truth = rng.integers(2, size=500)
    honest = np.where(rng.random((8, 500)) < 0.8, truth, 1 - truth)
    seen = task(np.vstack([1 - honest[:1], honest[1:]]), options=2)
    flipper, *others = judged("correlated-agreement", seen).scores.mean(1)
    assert flipper < 0 < min(others)
    assert judged("correlated-agreement", seen, learned="pair").scores[0].mean() > 0.1


def test_agreement_is_learned_from_earlier_tasks_too():
    answers = TWO.exact(I2, I2, 2_000)
    first = judged("correlated-agreement", task(answers, options=2))
    assert np.sum(first.memory["pairs"]) == 2 * 2_000
    short = task([[0, 1], [1, 0]], options=2, memory=first.memory)
    alone = task([[0, 1], [1, 0]], options=2)
    assert judged("correlated-agreement", short).scores.mean() == pytest.approx(-1)
    assert judged("correlated-agreement", alone).scores.mean() == pytest.approx(1)
    forgetful = judged("correlated-agreement", short, remembers=False)
    assert forgetful.memory is None
    assert forgetful.scores.mean() == pytest.approx(1)


def test_counts_of_pairs_are_those_of_a_loop():
    rng = np.random.default_rng(0)
    answers = rng.integers(3, size=(4, 7))
    wanted = np.zeros((3, 3), dtype=int)
    for i, j in itertools.permutations(range(4), 2):
        for a, b in zip(answers[i], answers[j], strict=True):
            wanted[a, b] += 1
    np.testing.assert_array_equal(pair_counts(answers, 3), wanted)
    assert correlated(np.array([[475, 175], [175, 175]])).tolist() == [[1, 0], [0, 1]]
    assert correlated(np.array([[1, 1], [1, 1]])).tolist() == [[0, 0], [0, 0]], "chance is no more"


@pytest.mark.parametrize("name", ["correlated-agreement", "identity-score"])
def test_points_are_base_and_scale_and_never_negative(name):
    truth = task([[0, 1, 2, 0], [0, 1, 2, 0]], options=3, points=[1, 2, 3, 4])
    plain, raised = judged(name, truth), judged(name, truth, base=0.25, scale=0.5)
    np.testing.assert_allclose(raised.scores, 0.25 + 0.5 * plain.scores)
    lies = task([[0, 1, 0, 1], [1, 0, 1, 0]], options=2)
    assert judged(name, lies, **({"agreement": [1, 0, 0, 1]} if "corr" in name else {})).earned(
        lies.points
    ).tolist() == [0, 0]


def test_an_agreement_must_fit_the_labels():
    with pytest.raises(PluginError, match="must have 9 entries for 3 labels"):
        judged("correlated-agreement", task([[0, 1]], options=3), agreement=[1, 0, 0, 1])


def test_common_nonsense_is_paid_like_the_truth():
    """Colluders on a signal that varies: what agreement beyond habit cannot see."""
    rng = np.random.default_rng(1)
    nonsense = np.tile(rng.integers(4, size=50), (3, 1))
    found = judged("identity-score", task(nonsense, options=4))
    assert found.scores.mean() > 0.7


# --- majority and gold ----------------------------------------------------------------------------


def test_majority_pays_those_who_agree_with_it():
    found = judged("majority", task([[0, 1, 2], [0, 1, 1], [1, 1, 0]], options=3))
    assert found.labels.tolist() == [0, 1, 0], "of equals the lowest"
    assert found.scores.tolist() == [[1, 1, 0], [1, 1, 0], [0, 1, 1]]
    assert found.weights.tolist() == pytest.approx([2 / 3, 1, 1 / 3])


def test_gold_pays_all_or_nothing():
    answers = [[0, 1, 2], [0, 1, 1], [1, 1, 1]]
    gold = [0, UNKNOWN, 1]
    found = judged("gold", task(answers, options=3, gold=gold, points=[5, 1, 1]), least=0.5)
    assert found.earned(np.array([5, 1, 1])).tolist() == [7, 7, 7]
    strict = judged("gold", task(answers, options=3, gold=gold), least=1.0)
    assert strict.scores.tolist() == [[0, 0, 0], [1, 1, 1], [0, 0, 0]]
    assert strict.labels.tolist() == [0, 1, 1], "of those who were paid"
    nobody = judged("gold", task([[2, 2, 2]], options=3, gold=gold))
    assert nobody.labels.tolist() == [UNKNOWN] * 3
    assert judged("gold", task([[2, 2, 2]], options=3)).scores.all(), "nothing is known"


# --- weighted majority ----------------------------------------------------------------------------


def by_loops(answers, options, smoothing, steps):
    """Dawid and Skene 1979, equations 2.3 to 2.5, one sum after the other."""
    n, q = answers.shape
    T = [[sum(a == k for a in answers[:, j]) / n for k in range(options)] for j in range(q)]
    for _ in range(steps):
        p = [
            (sum(T[j][k] for j in range(q)) + smoothing / options) / (q + smoothing)
            for k in range(options)
        ]
        pi = {}
        for i, k in itertools.product(range(n), range(options)):
            counts = [
                smoothing / options**2 + sum(T[j][k] for j in range(q) if answers[i, j] == m)
                for m in range(options)
            ]
            for m in range(options):
                pi[i, k, m] = counts[m] / sum(counts)
        for j in range(q):
            products = [
                p[k] * math.prod(pi[i, k, answers[i, j]] for i in range(n)) for k in range(options)
            ]
            T[j] = [one / sum(products) for one in products]
    return np.array(T)


@pytest.mark.parametrize("options", [2, 3])
def test_estimates_are_those_of_the_paper(options):
    rng = np.random.default_rng(options)
    truth = rng.integers(options, size=12)
    answers = np.where(rng.random((4, 12)) < 0.8, truth, rng.integers(options, size=(4, 12)))
    found = estimated(
        answers,
        options,
        np.zeros((4, options, options)),
        one_coin=False,
        smoothing=0.5,
        iterations=6,
    )
    np.testing.assert_allclose(found, by_loops(answers, options, 0.5, 6), atol=1e-7)


def test_one_able_annotator_outweighs_many_that_guess():
    rng = np.random.default_rng(5)
    truth = rng.integers(4, size=300)
    skills = np.array([0.95, 0.9, 0.3, 0.3, 0.3])
    right = rng.random((5, 300)) < skills[:, None]
    answers = np.where(right, truth, (truth + rng.integers(1, 4, (5, 300))) % 4)
    seen = task(answers, options=4)
    plain = (judged("majority", seen).labels == truth).mean()
    for model in ("one-coin", "confusion"):
        weighted = (judged("weighted-majority", seen, model=model).labels == truth).mean()
        assert weighted > plain + 0.1
    earned = judged("weighted-majority", seen).earned(seen.points) / 300
    np.testing.assert_allclose(earned, right.mean(1), atol=0.06)


def test_one_who_always_lies_the_same_way_still_informs():
    """Confusions see through a permutation, which one probability of being right does not."""
    rng = np.random.default_rng(6)
    truth = rng.integers(2, size=400)
    liar = np.where(rng.random(400) < 0.99, 1 - truth, truth)
    others = np.where(rng.random((4, 400)) < 0.65, truth, 1 - truth)
    answers = np.vstack([liar, others])
    found = judged("weighted-majority", task(answers, options=2), model="confusion")
    assert (found.labels == truth).mean() > 0.9
    assert found.earned(np.ones(400, dtype=int))[0] < 60, "and is not paid for it"


def test_abilities_are_remembered():
    rng = np.random.default_rng(7)
    truth = rng.integers(3, size=200)
    guesses = rng.integers(3, size=(2, 200))
    able = np.where(rng.random((3, 200)) < 0.9, truth, guesses[:1])
    first = judged("weighted-majority", task(np.vstack([able, guesses]), options=3))
    later = task([[0], [1], [1]], options=3, workers=[0, 3, 4], memory=first.memory)
    assert judged("weighted-majority", later).labels.tolist() == [0], "one able, two that guess"
    unknown = task([[0], [1], [1]], options=3, workers=[0, 3, 4])
    assert judged("weighted-majority", unknown).labels.tolist() == [1]
    assert judged("weighted-majority", later, remembers=False).memory is None
