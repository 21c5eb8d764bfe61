"""The grant's interface: a creator by hand against simulated parties."""

import numpy as np
import pytest

import fedstake as fs
from experiments.decentralml import CreatorError
from sim.money.ledger import BURN, ISSUANCE

KEYS = {
    "rounds": 3,
    "devices": 12,
    "parties": {"contributors": 4, "engineers": 2, "annotators": 3, "clients": 2},
    "data.dataset": "synthetic",
    "data.params": {"train": 200, "test": 60, "features": 6, "classes": 3},
    "data.validation_fraction": 0.25,
    "engineers.public": 0.3,
    "engineers.labelled": 0.3,
    "training.learning_rate": 0.1,
    "approval.members": 2,
    "approval.params": {"needed": 1, "share": 0.01},
    "labelling.tasks": 1,
    "labelling.questions": 4,
    "labelling.places": 2,
    "labelling.unit": 30,
    "licences.jurisdictions": [],
    "adversaries": [],
    "referenda.proposals": [],
}


@pytest.fixture
def creator():
    return upload()


def upload(**more):
    keys = {key: value for key, value in {**KEYS, **more}.items() if value is not None}
    return fs.DecentralML.upload_master_model(
        stake=100_000,
        contributors=0.5,
        engineers=0.3,
        annotators=0.2,
        engineer_charge=10,
        licence_fee=1_000,
        set=keys,
    )


def balance(creator, device):
    held = creator.balances().set_index("device")["balance"]
    return int(held[device])


def total(creator):
    journal = creator.tables()["journal"]
    issued = journal.loc[journal.debit == ISSUANCE, "amount"].sum()
    return issued - journal.loc[journal.credit == BURN, "amount"].sum()


def test_a_master_model_has_an_id_of_its_own(creator):
    assert len(creator.master_model) == 64
    assert upload().master_model == creator.master_model
    assert upload(seed=1).master_model != creator.master_model
    listed = creator.list_master_models()
    assert set(listed["model_guid"]) == {creator.master_model}
    costs = dict(zip(listed["usage_type"], listed["usage_type_cost"], strict=True))
    assert costs == {"commercial": 1_000, "engineering": 10}
    assert creator.pools()["remaining"].tolist() == [50_000, 30_000, 20_000]


def test_contributors_are_defined_trained_and_rewarded_in_turn(creator):
    creator.define_data_contributors([0, 2], ["device:0", "device:2"])
    trained = creator.train()
    assert trained["device"].tolist() == [0, 2]
    before = [balance(creator, d) for d in (0, 2)]
    paid = creator.reward_data_contributors([0, 2], [0.1, 0.1])
    assert paid["reward"].tolist() == [5_000, 4_500], "s and s (1 - s) of the pool"
    assert [balance(creator, d) for d in (0, 2)] == [before[0] + 5_000, before[1] + 4_500]
    assert creator.pools()["remaining"].tolist()[0] == 40_500
    with pytest.raises(CreatorError, match="device 1 is not defined as a contributor"):
        creator.reward_data_contributors([1], [0.5])


def test_a_version_is_submitted_approved_and_paid(creator):
    creator.train()
    updates = creator.engineer()
    assert updates["sender"].tolist() == [4, 5]
    pool = creator.pools().set_index("pool")["remaining"]["engineers"]
    before = balance(creator, 5)
    chosen = updates["update"][1]
    approved = creator.collective_approves_model(chosen, 0.25)
    assert approved["reward"].tolist() == [int(pool * 0.25)]
    assert balance(creator, 5) == before + int(pool * 0.25)
    assert creator.list_model_engineer_updates()["update"].tolist() == [updates["update"][0]]
    creator.end_round()
    recorded = creator.tables()["submissions"].set_index("submission")["approved"]
    assert recorded[chosen]
    assert not recorded[updates["update"][0]]


def test_anybody_may_submit_and_members_may_approve(creator):
    row = creator.get_master_model(client=9, payment=1_000)
    mine = creator.model_engineer_update(10, row + 1)
    assert mine["sender"].tolist() == [10]
    with pytest.raises(CreatorError, match="device 3 is neither a member nor the creator"):
        creator.collective_approves_model(mine["update"][0], 0.1, sender=3)
    assert 3 in creator.add_collective_member(3)["device"].tolist()
    creator.collective_approves_model(mine["update"][0], 0.1, sender=3)
    np.testing.assert_array_equal(creator.get_master_model(client=10, payment=1_000), row + 1)


def test_a_licence_is_paid_for_and_refused_below_its_fee():
    creator = upload(**{"licences.rule": "enforced", "licences.params": {}})
    before = balance(creator, 9), balance(creator, 11)
    assert creator.get_master_model(client=9, payment=999) is None
    assert balance(creator, 9) == before[0]
    assert creator.get_master_model(client=9, payment=1_000) is not None
    assert balance(creator, 9) == before[0] - 1_000
    sold = creator.sell()
    assert sold.loc[sold.client == 9, "granted"].tolist() == [False, True]


def test_questions_are_asked_answered_and_awarded(creator):
    questionnaire = creator.upload_data_for_annotation()
    assert len(questionnaire) == 4
    assert {"task", "question", "item", "asks", "answer_type", "points"} <= {*questionnaire.columns}
    assert not {"label", "gold", "difficulty"} & {*questionnaire.columns}, "nobody is told"
    task = int(questionnaire["task"][0])
    awards = creator.submit_data_annotation_for_reward(task, [0, 1, 2, 0], annotator=6)
    pending = awards.set_index("device")["pending"]
    assert pending[6] == questionnaire["reward"][0] > 0
    assert pending[7] == 0
    with pytest.raises(CreatorError, match="device 6 has, or had, a place already"):
        creator.submit_data_annotation_for_reward(task, [0, 1, 2, 0], annotator=6)
    bought = creator.annotate()
    assert len(bought) <= 4, "about what was uploaded, and nothing else"
    asked = creator.end_round()
    assert asked["tasks_opened"].tolist() == [1]
    people = creator.tables()["participants"].set_index("device")["questions_answered"]
    assert people[6] == 4, "what was answered by hand is recorded"
    awards = creator.report_data_annotation_awards().set_index("device")
    assert awards["allocated"].sum() > 0


def test_the_whole_life_conserves_money_and_gives_the_rest_back(creator):
    start = total(creator)
    for _ in range(3):
        creator.train()
        creator.reward_data_contributors([0, 1, 2, 3], [0.05] * 4)
        for update in creator.engineer()["update"]:
            creator.collective_approves_model(update, 0.01)
        row = creator.end_round()
        assert len(row) == 1
    assert total(creator) == start
    assert creator.pools()["remaining"].tolist() == [0, 0, 0], "everything left went back"
    with pytest.raises(CreatorError, match="all 3 rounds are over"):
        creator.train()
    people = creator.tables()["participants"]
    journal = creator.tables()["journal"]
    paid = journal.loc[journal.reason == "reward.contributor", "amount"].sum()
    income = people.loc[people.party == "contributor", "income"].sum()
    assert 0 < paid <= income + people["cost"].sum() + 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.define_data_contributors([9]), "device 9 is no contributor: these are 0 to 3"),
        (lambda c: c.define_data_contributors([1, 1]), "a client is named twice"),
        (
            lambda c: c.define_data_contributors([1], ["0xabc"]),
            "the client's account is 'device:1'",
        ),
        (lambda c: c.reward_data_contributors([0], [0.1]), "comes after train"),
        (lambda c: c.define_data_contributors([0, 1], ["device:0"]), "1 wallets for 2 clients"),
        (lambda c: c.upload_data_for_annotation([1, 2, 3]), "3 items: must fill tasks of 4"),
        (lambda c: c.collective_approves_model("ff", "all"), "share 'all': must be a number"),
        (lambda c: c.define_data_contributors([]), "must be a list of contributors, at least one"),
        (lambda c: c.add_collective_member(1.5), "device 1.5: devices are numbered"),
        (lambda c: c.add_collective_member(11), "the creator may approve as it is"),
        (lambda c: c.remove_collective_member(9), "device 9 is no member"),
        (lambda c: c.get_master_model(0, 5), "device 0 is no client"),
        (lambda c: c.get_master_model(9, -1), "must be base units, 0 or more"),
        (lambda c: c.model_engineer_update(4, np.zeros(3)), "the model has the shape (3,)"),
        (
            lambda c: c.collective_approves_model("ff", 0.1),
            "must be the id of one version",
        ),
        (lambda c: c.collective_approves_model("", 1.5), "share 1.5: must be a number from 0 to 1"),
        (lambda c: c.add_collective_member(99), "devices are numbered 0 to 11"),
        (lambda c: c.upload_data_for_annotation([-4, -5, -6, -7]), "item -4: is no public sample"),
        (lambda c: c.submit_data_annotation_for_reward(7, [0], 6), "no round is played"),
        (lambda c: c.submit_data_annotation_for_reward(0, [0], 1), "device 1 is no annotator"),
    ],
)
def test_calls_that_are_refused_change_nothing(creator, call, message):
    before = creator.balances(), creator.pools()
    with pytest.raises(CreatorError, match=message.replace("(", r"\(").replace(")", r"\)")):
        call(creator)
    assert creator.balances().equals(before[0])
    assert creator.pools().equals(before[1])


def test_what_is_refused_begins_no_round(creator):
    with pytest.raises(CreatorError):
        creator.submit_data_annotation_for_reward(7, [0], 6)
    assert creator.list_model_engineer_updates().empty
    creator.end_round()
    assert creator.tables()["rounds"]["round"].tolist() == [1]


def test_wrong_answers_are_refused(creator):
    task = int(creator.upload_data_for_annotation()["task"][0])
    for labels, message in [
        ([0.5, 1, 1, 1], "must be integers"),
        ([9] * 4, "labels in 0"),
        ([0], "1 answers to 4 questions"),
    ]:
        with pytest.raises(CreatorError, match=message):
            creator.submit_data_annotation_for_reward(task, labels, 6)
    with pytest.raises(CreatorError, match="there is no open task 7"):
        creator.submit_data_annotation_for_reward(7, [0] * 4, 6)


def test_no_escrow_outlives_the_last_round():
    creator = upload(rounds=1)
    creator.annotate()
    creator.upload_data_for_annotation()
    creator.end_round()
    journal = creator.tables()["journal"]
    held = (
        journal.groupby("credit")["amount"]
        .sum()
        .sub(journal.groupby("debit")["amount"].sum(), fill_value=0)
    )
    assert held.filter(like="escrow").eq(0).all()
    assert held.filter(like="pool").eq(0).all()


def test_a_licence_by_hand_is_worth_something_to_its_client(creator):
    creator.get_master_model(client=9, payment=1_000)
    creator.end_round()
    people = creator.tables()["participants"].set_index("device")
    assert people.loc[9, "benefit"] > 0
    assert people.loc[9, "role"] == "client"


def test_members_can_be_removed(creator):
    assert 1 not in creator.remove_collective_member(1)["device"].tolist()
    creator.train()
    update = creator.engineer()["update"][0]
    with pytest.raises(CreatorError, match="device 1 is neither a member nor the creator"):
        creator.collective_approves_model(update, 0.1, sender=1)


def test_a_stage_is_played_once(creator):
    creator.train()
    with pytest.raises(CreatorError, match="train: was played in this round"):
        creator.train()
    creator.end_round()
    creator.train()
