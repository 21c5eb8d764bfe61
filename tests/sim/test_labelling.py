"""The labelling service: life cycle of tasks and submissions, escrows, decisions of the desk."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.clock import Clock
from sim.labelling import LabellingError, SubmissionStatus, TaskContract, TaskStatus
from sim.money.treasury import Treasury

CREATOR, WORKERS, FUNDS = "creator", 4, 1_000
REWARD, PLACES, ROUNDS = 30, 2, 2


class Market:
    """A contract with money, and every call that anybody may try in any order."""

    def __init__(self):
        self.clock = Clock(round=1)
        self.treasury = Treasury("STAKE", self.clock)
        self.treasury.open(dict.fromkeys(range(WORKERS), 0), {CREATOR: FUNDS})
        self.contract = TaskContract(self.treasury, self.clock)
        self.all = []

    def create(self, *_):
        rules = {"reward": REWARD, "places": PLACES, "rounds": ROUNDS}
        self.all.append(self.contract.create([0, 1], payer=CREATOR, **rules))

    def assign(self, task, number, worker):
        self.contract.assign(task, worker)

    def submit(self, task, number, worker):
        self.contract.submit(task, self._submission(task, number), worker, [worker, number])

    def accept(self, task, number, worker):
        self.contract.accept(task, self._submission(task, number), 10 * worker)

    def reject(self, task, number, worker):
        self.contract.reject(task, self._submission(task, number))

    def lapse(self, task, number, worker):
        self.contract.lapse(task, self._submission(task, number))

    def withdraw(self, task, *_):
        self.contract.withdraw(task)

    def complete(self, task, *_):
        self.contract.complete(task)

    def expire(self, *_):
        self.clock.round += 1

    def _submission(self, task, number):
        found = list(task.submissions.values())
        if not found:
            raise LabellingError("there is no submission")
        return found[number % len(found)]

    def end(self):
        """Decide on everything and end all tasks, as a desk does."""
        for task in list(self.contract.tasks.values()):
            for submission in task.with_status(SubmissionStatus.ASSIGNED):
                self.contract.lapse(task, submission)
            for submission in task.with_status(SubmissionStatus.PENDING):
                self.contract.reject(task, submission)
            self.contract.complete(task)


CALLS = ("assign", "submit", "accept", "reject", "lapse", "withdraw", "complete")
OTHERS = ("expire", "create")
steps = st.lists(
    st.tuples(
        st.sampled_from(CALLS + OTHERS),
        st.integers(0, 9),
        st.integers(0, 9),
        st.integers(0, WORKERS - 1),
    ),
    max_size=40,
)


@given(steps)
def test_no_sequence_of_calls_pays_more_than_the_escrow_or_keeps_any_of_it(sequence):
    market = Market()
    market.create()
    for do, at, number, worker in sequence:
        before = json.dumps(market.contract.to_state()), len(market.treasury.ledger.journal)
        try:
            getattr(market, do)(market.all[at % len(market.all)], number, worker)
        except LabellingError:
            after = json.dumps(market.contract.to_state()), len(market.treasury.ledger.journal)
            assert after == before, "a call that is refused changes nothing"
    market.end()
    flows = Counter()
    for entry in market.treasury.ledger.journal[1:]:
        flows[entry.reason] += entry.amount
    paid = {task.number: sum(s.paid for s in task.submissions.values()) for task in market.all}
    assert flows["labelling.escrow"] == REWARD * PLACES * len(market.all)
    assert flows["labelling.escrow"] == flows["labelling.reward"] + flows["labelling.refund"]
    assert flows["labelling.reward"] == sum(paid.values())
    assert max(paid.values()) <= REWARD * PLACES
    escrows = [name for name in market.treasury.ledger.to_state()["accounts"] if "escrow" in name]
    assert not any(market.treasury.held(name) for name in escrows)
    assert all(not task.open for task in market.all)


class TestCalls:
    def test_a_task_runs_through_its_life(self):
        market = Market()
        market.create()
        (task,) = market.all
        assert task.status is TaskStatus.CREATED
        first = market.contract.assign(task, 0)
        second = market.contract.assign(task, 1)
        assert task.status is TaskStatus.IN_PROGRESS
        market.contract.submit(task, first, 0, [1, 0])
        assert first.status is SubmissionStatus.PENDING
        assert not task.full
        market.contract.submit(task, second, 1, [1, 1])
        assert task.full
        market.contract.accept(task, first, REWARD)
        market.contract.reject(task, second)
        assert market.contract.complete(task) == REWARD
        assert task.status is TaskStatus.COMPLETED
        assert market.treasury.balance(0) == REWARD
        assert market.treasury.held(CREATOR) == FUNDS - REWARD

    @pytest.mark.parametrize(
        ("calls", "message"),
        [
            (["assign 0", "assign 0"], "has, or had, a place already"),
            (["assign 0", "assign 1", "assign 2"], "no free place"),
            (["assign 0", "submit 0 1"], "is device 0's"),
            (["assign 0", "submit 0 0", "submit 0 0"], "is pending validation, not assigned"),
            (["assign 0", "accept 0 0"], "is assigned, not pending"),
            (["assign 0", "submit 0 0", "accept 0 4"], "pays 40 of a reward of 30"),
            (["assign 0", "withdraw"], "is in progress"),
            (["assign 0", "complete"], "has 1 undecided"),
            (["expire", "expire", "assign 0"], "was open until round 2"),
            (["assign 0", "expire", "expire", "submit 0 0"], "was open until round 2"),
            (["withdraw", "assign 0"], "is withdrawn"),
            (["assign 0", "lapse", "assign 0"], "has, or had, a place already"),
        ],
    )
    def test_what_is_refused(self, calls, message):
        market = Market()
        market.create()
        *allowed, refused = calls
        for call in allowed:
            self.call(market, call)
        with pytest.raises(LabellingError, match=message):
            self.call(market, refused)

    @staticmethod
    def call(market, text):
        do, *numbers = text.split()
        values = [int(number) for number in numbers]
        number, worker = (0, *values) if do == "assign" else (*values, 0, 0)[:2]
        getattr(market, do)(market.all[0], number, worker)

    def test_one_who_sends_nothing_loses_its_place_to_another(self):
        market = Market()
        market.create()
        (task,) = market.all
        for worker in (0, 1):
            held = market.contract.assign(task, worker)
        market.contract.lapse(task, held)
        assert task.free == 1
        assert market.contract.assign(task, 2).worker == 2

    def test_a_task_that_nobody_answers_is_withdrawn_and_its_escrow_used_again(self):
        market = Market()
        market.create()
        market.create()
        first, second = market.all
        assert (first.account, second.account) == ("escrow:task:0", "escrow:task:1")
        assert market.contract.complete(first) == REWARD * PLACES
        assert first.status is TaskStatus.WITHDRAWN
        market.create()
        assert market.all[-1].account == "escrow:task:0"

    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"reward": 0}, "must be above 0"),
            ({"places": 0}, "at least one"),
            ({"rounds": 0}, "at least one"),
            ({"reward": 501}, "holds 1000 base units, the escrow takes 1002"),
        ],
    )
    def test_tasks_that_cannot_be(self, changed, message):
        market = Market()
        rules = {"reward": REWARD, "places": PLACES, "rounds": ROUNDS}
        with pytest.raises(LabellingError, match=message):
            market.contract.create([0], payer=CREATOR, **{**rules, **changed})
        assert market.treasury.held(CREATOR) == FUNDS
