"""Protocol `annotation`: what desk, rules and behaviours come to in a played run."""

import numpy as np
import pytest

from experiments.conformance.protocols import play
from sim.keys import SettingError
from sim.labelling import Items, LabellingError, SubmissionStatus
from sim.labelling.items import drawn_difficulty
from sim.registries import protocols
from sim.scenario import scenario_of

DATA = {"train": 200, "test": 80, "features": 6, "classes": 4, "separation": 3.0}


def scenario(**changes):
    values = {
        "protocol": "annotation",
        "rounds": 4,
        "devices": 8,
        "data": {"dataset": "synthetic", "params": DATA, "initial": 20},
        "labelling": {"tasks": 2, "questions": 10, "places": 4, "rounds": 2},
    }
    made = scenario_of(values)
    return made.replace(**changes) if changes else made


def played(**changes):
    return {name: t.to_pandas() for name, t in play(scenario(**changes)).items()}


def group(annotator, count, **more):
    return {"adversaries": [{"name": "others", "count": count, "annotator": annotator, **more}]}


def flows(tables):
    return tables["journal"].groupby("reason", observed=True)["amount"].sum().to_dict()


class TestMoney:
    @pytest.mark.parametrize("rule", ["majority", "gold", "weighted-majority", "identity-score"])
    @pytest.mark.parametrize("who", ["lazy-random", "squatter"])
    def test_every_unit_of_an_escrow_is_paid_or_goes_back(self, rule, who):
        changes = {"labelling.rule": rule, "labelling.gold": 2, **group(who, 5)}
        tables = played(**changes)
        found = flows(tables)
        paid, refunded = found.get("labelling.reward", 0), found["labelling.refund"]
        assert found["labelling.escrow"] == paid + refunded
        assert tables["rounds"]["labels_paid"].sum() == paid
        assert tables["rounds"]["labels_refunded"].sum() == refunded
        assert tables["rounds"]["budget"].iloc[-1] == 1_000_000 - paid
        tasks = tables["label_tasks"]
        assert (tasks["paid"] + tasks["refunded"] == tasks["escrow"]).all()
        assert tables["annotations"]["paid"].sum() == paid

    def test_points_are_whole_units_and_the_dust_goes_back(self):
        tables = played(**{"labelling.unit": 7, "labelling.points": 3})
        ours = tables["annotations"]
        assert (ours["paid"] % 21 == 0).all(), "majority pays whole questions"
        shared = played(**{"labelling.unit": 77, "labelling.rule": "output-agreement"})
        thirds = {77 * k // 3 for k in range(31)}
        paid = set(shared["annotations"]["paid"])
        assert paid <= thirds
        assert any(amount % 77 for amount in paid)

    def test_a_creator_opens_no_more_than_it_can_fund(self):
        tables = played(**{"payout.budget": 4_000})
        assert tables["rounds"]["tasks_opened"].tolist()[0] == 1, "an escrow takes 4,000"
        assert (tables["rounds"]["budget"] >= 0).all()

    def test_auto_pays_at_once_and_in_full(self):
        tables = played(**{"labelling.acceptance": "auto"}, **group("lazy-random", 4))
        ours = tables["annotations"]
        assert (ours["paid"] == 1_000).all()
        assert (ours["status"] == "accepted").all()

    def test_effort_is_borne_by_those_who_look(self):
        people = played(**group("lazy-constant", 4))["participants"]
        lazy = people[people["adversary"]]
        assert (lazy["cost"] == 0).all()
        assert lazy["places_taken"].sum() > 0
        honest = people[~people["adversary"]]
        assert (honest["cost"] == 20.0 * honest["questions_answered"]).all()


class TestCreators:
    def test_a_thief_pays_nothing_and_learns_all(self):
        manual = {"labelling.acceptance": "manual", "labelling.inspected": 0.5}
        manual["labelling.inspection_cost"] = 3.0
        fair = played(**manual)
        stolen = played(**manual, **{"labelling.creator": "thief"})
        assert "labelling.reward" not in flows(stolen)
        assert stolen["rounds"]["labels_bought"].sum() == fair["rounds"]["labels_bought"].sum()
        assert fair["rounds"]["labels_paid"].sum() > 0
        assert (stolen["rounds"]["inspection_cost"] == 0).all(), "it does not look"
        assert (fair["rounds"]["inspection_cost"] > 0).any()
        assert (stolen["annotations"]["status"] == "rejected").all()

    def test_who_refuses_and_does_not_steal_asks_again(self):
        changes = {"labelling.acceptance": "manual", "labelling.creator": "arbitrary"}
        tables = played(**changes, **{"labelling.creator_params": {"refuses": 1.0}})
        assert tables["rounds"]["labels_bought"].sum() == 0
        asked = tables["questions"]
        assert asked["item"].duplicated().any()
        assert tables["rounds"]["left"].tolist() == [180] * 4, "all go back into the queue"

    def test_an_honest_creator_refuses_the_lazy(self):
        changes = {"labelling.acceptance": "manual", "labelling.inspected": 1.0}
        tables = played(**changes, **{"labelling.inspection_cost": 5.0}, **group("lazy-random", 4))
        merged = tables["annotations"].merge(
            tables["participants"].drop_duplicates("device")[["device", "adversary"]], on="device"
        )
        accepted = merged.groupby("adversary")["paid"].apply(lambda paid: (paid > 0).mean())
        assert accepted[False] > 0.7 > 0.2 > accepted[True]
        assert (tables["rounds"]["inspection_cost"] == 5.0 * 20).all()


class TestTime:
    def test_squatters_keep_others_out_until_places_lapse(self):
        crowd = {"labelling.rounds": 4, "labelling.most": 9, **group("squatter", 6)}
        blocked = played(rounds=8, **crowd)
        held = played(rounds=8, **crowd, **{"labelling.hold": 1})
        answered = [t["rounds"]["labels_answered"].sum() for t in (blocked, held)]
        assert answered[1] > 1.5 * answered[0]
        lapsed = blocked["incidents"]
        assert (lapsed["kind"] == "held a place of a labelling task and sent nothing").all()
        gone = blocked["annotations"]
        assert gone["digest"].isna().sum() == len(lapsed) > 0
        assert (gone[gone["digest"].isna()]["paid"] == 0).all()

    def test_a_task_that_nobody_answers_is_withdrawn_and_asked_again(self):
        tables = played(**group("squatter", 8))
        assert (tables["label_tasks"]["status"] == "withdrawn").all()
        assert tables["rounds"]["left"].iloc[-1] == 180
        assert flows(tables).keys() == {"initial", "labelling.escrow", "labelling.refund"}

    def test_who_is_away_answers_when_it_is_back(self):
        late = played(**{"labelling.rounds": 4}, **group("honest", 8, presence=0.5))
        ended = late["annotations"]
        assert (late["label_tasks"]["round"] <= late["label_tasks"]["last"]).all()
        assert (ended["round"] > ended["assigned"]).any()


class TestLabels:
    def test_gold_questions_are_not_bought_and_are_mixed_in(self):
        tables = played(**{"labelling.gold": 4, "labelling.rule": "gold"})
        asked, bought = tables["questions"], tables["labels"]
        assert (asked.groupby("task")["gold"].sum() == 4).all()
        assert (asked[asked["gold"]]["item"] < 20).all()
        assert set(bought["question"]).isdisjoint(asked[asked["gold"]]["question"])
        places = asked[asked["gold"]]["question"] % 10
        assert places.nunique() > 4
        assert not bought["item"].duplicated().any()

    def test_the_questionnaire_has_a_column_for_each_kind_of_item(self):
        asked = played(**{"labelling.medium": "sound", "labelling.question": "Who sings?"})[
            "questions"
        ]
        assert asked["image"].isna().all()
        assert asked["text"].isna().all()
        assert asked["sound"].str.len().eq(64).all()
        assert set(asked["asks"]) == {"Who sings?"}
        assert asked["answer_type"].eq("choice").all()

    def test_weights_decide_what_the_model_learns(self):
        strict = played(**{"learning.least_weight": 1.0})
        assert strict["rounds"]["learned"].iloc[-1] == len(strict["labels"])
        loose = played()
        assert strict["rounds"]["accuracy"].tolist() != loose["rounds"]["accuracy"].tolist()

    def test_the_able_are_found_where_most_guess(self):
        crowd = group("lazy-random", 5)
        changes = {"rounds": 8, "devices": 8, "labelling.places": 8, "labelling.skill": 0.95}
        right = {
            rule: played(**{**changes, "labelling.rule": rule}, **crowd)["labels"]["right"].mean()
            for rule in ("majority", "weighted-majority")
        }
        assert right["weighted-majority"] > right["majority"] + 0.02

    def test_sybils_outvote_the_honest_with_one_look(self):
        people = played(**{"labelling.places": 8, **group("sybil", 5)})["participants"]
        sybils = people[people["adversary"]]
        first = sybils["device"].min()
        assert (sybils[sybils["device"] != first]["cost"] == 0).all()
        income = people.groupby("adversary")["income"].mean()
        assert income[True] > income[False]


class TestItems:
    def test_perception_follows_skill_and_difficulty(self):
        items = Items(np.arange(40_000) % 4, np.repeat([0.0, 0.5, 1.0, 0.0], 10_000), 4)
        rng = np.random.default_rng(0)
        seen = items.perceived(range(40_000), 0.9, rng) == items.labels
        shares = seen.reshape(4, 10_000).mean(1)
        np.testing.assert_allclose(shares, [0.9, 0.25 + 0.65 / 2, 0.25, 0.9], atol=0.02)

    def test_difficulties_are_uniform_and_cut(self):
        drawn = drawn_difficulty(10_000, 0.2, 0.4, np.random.default_rng(0))
        assert drawn.min() == 0
        assert drawn.max() == pytest.approx(0.6, abs=0.01)
        assert (drawn == 0).mean() == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"labelling.gold": 10}, "labelling.gold"),
        ({"labelling.questions": 30, "labelling.gold": 21}, "labelling.gold"),
        ({"payout.budget": 3_999}, "payout.budget"),
        ({"payout.budget": 2**63 - 1, "payout.initial_balance": 1}, "payout.budget"),
        ({"data.n": 20}, "data.n"),
        ({"labelling.allowed": [8]}, "labelling.allowed"),
        ({"labelling.inspected": 0.5}, "labelling.inspected"),
        ({"labelling.creator": "thief"}, "labelling.creator"),
        ({"labelling.rule": "no-such"}, "labelling.rule"),
    ],
)
def test_what_nobody_could_play_names_its_key(changed, key):
    with pytest.raises(SettingError) as error:
        scenario(**changed)
    assert error.value.key == key


def test_the_initial_samples_must_leave_some_to_ask_about():
    with pytest.raises(SettingError, match="below 200"):
        play(scenario(**{"data.initial": 200}))


def test_awards_are_pending_until_a_task_ends():
    from sim.world import World

    world = World(
        scenario(**{"labelling.rounds": 4, "labelling.places": 8}, **group("squatter", 2))
    )
    world.step()
    awards = {a["device"]: a for a in world.protocol.game.desk.awards()}
    pending = [a["pending"] for a in awards.values()]
    assert sum(pending) == 16 * 1_000, "two tasks that wait for two squatters"
    for _ in range(3):
        world.step()
    world.close()
    done = world.protocol.game.desk.awards()
    assert sum(a["pending"] for a in done) == 0
    held = world.kernel.treasury
    assert all(a["allocated"] == held.balance(a["device"]) for a in done)


def test_only_those_who_are_allowed_take_places():
    people = played(**{"labelling.allowed": [1, 2, 5, 6]})["participants"]
    assert set(people[people["places_taken"] > 0]["device"]) == {1, 2, 5, 6}


class TestByHand:
    """What a notebook does: read the questionnaire, answer, read the awards."""

    @pytest.fixture
    def desk(self):
        from sim.world import World

        world = World(scenario(**{"labelling.rounds": 9}, **group("squatter", 8)))
        world.step()
        yield world.protocol.game.desk
        world.close()

    def test_a_questionnaire_tells_what_is_asked_and_no_truth(self, desk):
        rows = desk.questionnaire()
        assert len(rows) == 20
        assert rows[0].keys() >= {"task", "question", "image", "asks", "answer_type", "points"}
        assert not rows[0].keys() & {"label", "difficulty", "gold"}

    def test_answers_by_hand_take_the_place_that_is_held(self, desk):
        holders = [s.worker for s in desk.contract.find(0).submissions.values()]
        sent = desk.submit(holders[0], 0, [0] * 10)
        assert sent.status is SubmissionStatus.PENDING
        awards = {a["device"]: a for a in desk.awards()}
        assert awards[holders[0]]["pending"] >= 1_000

    def test_what_was_paid_at_once_is_allocated_at_once(self):
        from sim.world import World

        changes = {"labelling.acceptance": "auto", "labelling.rounds": 9, "labelling.places": 7}
        world = World(scenario(**changes, **group("squatter", 4)))
        world.step()
        awards = world.protocol.game.desk.awards()
        assert world.protocol.game.desk.contract.tasks, "tasks are open"
        held = world.kernel.treasury
        assert [a["allocated"] for a in awards] == [held.balance(a["device"]) for a in awards]
        assert sum(a["allocated"] for a in awards) > 0
        world.close()

    def test_what_is_refused(self, desk):
        holder = next(iter(desk.contract.find(0).submissions.values())).worker
        with pytest.raises(LabellingError, match="no open task 99"):
            desk.submit(holder, 99, [0] * 10)
        with pytest.raises(LabellingError, match=r"labels in 0\.\.3"):
            desk.submit(holder, 0, [4] * 10)
        with pytest.raises(LabellingError, match="9 answers to 10 questions"):
            desk.submit(holder, 0, [0] * 9)
        desk.submit(holder, 0, [0] * 10)
        with pytest.raises(LabellingError, match="no free place"):
            desk.submit(holder, 0, [0] * 10)


def test_a_strategy_is_chosen_and_the_annotator_is_the_first_role():
    strategies = [{"annotator": "honest"}, {"annotator": "lazy-random"}]
    changes = {"adversaries": [{"name": "rational", "count": 4, "strategies": strategies}]}
    people = played(**changes)["participants"]
    assert set(people[people["adversary"]]["strategy"]) <= {"honest", "lazy-random"}


def test_every_declared_note_has_rows():
    tables = played()
    for note in protocols.get("annotation").notes:
        assert len(tables[note.table])
        assert set(note.columns.values()) <= set(tables[note.table].columns)
