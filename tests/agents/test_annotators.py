"""Each annotator and creator does what it says, and what that is worth under a rule."""

import numpy as np
import pytest

from agents import registries
from mechanisms.plugin import PluginError
from mechanisms.vocabulary import (
    UNKNOWN,
    AnnotatorObservation,
    CreatorObservation,
    TakingObservation,
)

Q, OPTIONS = 400, 4
TRUTH = np.arange(Q) % OPTIONS


def answered(name, *, device=3, coalition=frozenset(), options=OPTIONS, **params):
    behaviour = registries.annotators.create(name, params)
    seen = AnnotatorObservation(
        device=device,
        round=1,
        questions=np.arange(1_000, 1_000 + Q),
        options=options,
        reward=100,
        coalition=coalition,
        rng=np.random.default_rng(0),
        signals=TRUTH,
        shared=(TRUTH + 2) % OPTIONS,
    ).shown_to(behaviour.knows)
    return behaviour.answer(seen), behaviour.effort(seen)


def test_honest_ones_say_what_they_perceive():
    answers, effort = answered("honest")
    assert (answers == TRUTH).all()
    assert effort == 1


def test_honest_ones_take_what_pays_their_effort():
    behaviour = registries.annotators.create("honest")
    common = {"device": 0, "round": 1, "tasks": 5, "most": 3, "rng": np.random.default_rng(0)}
    assert behaviour.take(TakingObservation(reward=10.0, cost=10.0, **common)) == 3
    assert behaviour.take(TakingObservation(reward=9.0, cost=10.0, **common)) == 0
    assert (
        registries.annotators.create("lazy-random").take(
            TakingObservation(reward=9.0, cost=10.0, **common)
        )
        == 3
    )


@pytest.mark.parametrize(("params", "skill"), [({}, None), ({"skill": 0.7}, 0.7)])
def test_skill_is_drawn_unless_given(params, skill):
    assert registries.annotators.create("honest", params).skill == skill


def test_lazy_ones_do_not_look():
    answers, effort = answered("lazy-constant", label=2)
    assert set(answers) == {2}
    assert effort == 0
    answers, effort = answered("lazy-random")
    assert np.bincount(answers).tolist() == pytest.approx([100] * 4, abs=30)
    assert effort == 0
    with pytest.raises(PluginError, match=r"0\.\.1"):
        answered("lazy-constant", label=2, options=2)


def test_careless_ones_look_at_a_part():
    answers, effort = answered("careless", looks=0.5)
    assert effort == 0.5
    assert (answers == TRUTH).mean() == pytest.approx(0.5 + 0.5 / OPTIONS, abs=0.07)


def test_colluders_agree_on_something_that_says_nothing():
    first, effort = answered("colluder", device=1)
    second, _ = answered("colluder", device=2)
    assert (first == second).all()
    assert effort == 0
    assert np.bincount(first, minlength=OPTIONS).tolist() == pytest.approx([100] * 4, abs=10)
    assert (first == TRUTH).mean() == pytest.approx(1 / OPTIONS, abs=0.1)


def test_sybils_send_what_their_owner_sees_and_look_once():
    group = frozenset({3, 5})
    (first, one), (second, other) = (answered("sybil", device=d, coalition=group) for d in (3, 5))
    assert (first == second).all()
    assert (first == (TRUTH + 2) % OPTIONS).all()
    assert (one, other) == (1, 0)


def test_permuters_lie_in_the_same_way_each_time():
    answers, effort = answered("permuter")
    assert (answers == (TRUTH + 1) % OPTIONS).all()
    assert effort == 1


def test_squatters_take_all_and_send_nothing():
    assert answered("squatter") == (None, 0)
    behaviour = registries.annotators.create("squatter")
    seen = TakingObservation(
        device=0, round=1, tasks=5, most=4, reward=0.0, cost=9.0, rng=np.random.default_rng(0)
    )
    assert behaviour.take(seen) == 4


# --- creators -------------------------------------------------------------------------------------


def accepted(name, *, known=4, **params):
    creator = registries.creators.create(name, params)
    answers = np.array([[0, 1, 0, 1, 0], [0, 1, 0, 0, 1], [1, 0, 1, 0, 0]] * 200)
    checked = np.array([0, 1, 0, 1, UNKNOWN])
    checked[known:] = UNKNOWN
    seen = CreatorObservation(
        round=1,
        workers=range(600),
        answers=answers,
        options=2,
        reward=100,
        rng=np.random.default_rng(0),
        checked=checked,
    )
    return creator.accept(seen.shown_to(creator.knows)).reshape(200, 3).mean(0)


def test_an_honest_creator_pays_for_work_that_is_good():
    assert accepted("honest", least=0.75).tolist() == [1, 1, 0]
    assert accepted("honest", least=0.8).tolist() == [1, 0, 0]
    assert accepted("honest", known=0).tolist() == [1, 1, 1], "nothing is known against anybody"


def test_a_thief_refuses_everything_and_uses_it():
    assert accepted("thief").tolist() == [0, 0, 0]
    assert accepted("thief", refuses=0.25).tolist() == pytest.approx([0.75] * 3, abs=0.1)
    assert registries.creators.create("thief").keeps


def test_an_arbitrary_creator_refuses_good_and_bad_alike():
    assert accepted("arbitrary", refuses=0.4).tolist() == pytest.approx([0.6] * 3, abs=0.1)
    assert not registries.creators.create("arbitrary").keeps
