"""Times of a round: whoever waits for one finds the clock at it, to the last bit."""

import math
import random
from pathlib import Path

import pytest

import sim
from mechanisms.lifecycle import RoundContract, TransitionError
from sim.stages import Stages
from sim.world import World

SIM = Path(sim.__file__).parent
AWKWARD = (0.1, 0.3, 0.7, 0.9, 1 / 3, 7.7, 59.99, 1e-9, 123456.789, 3600.1)


def pairs(n=4_000):
    """Times of a start, an event before, and a deadline; many are no sum of the others."""
    rng = random.Random(5)
    for _ in range(n):
        start = rng.choice((0.0, rng.uniform(0, 100), rng.uniform(0, 1e6)))
        length = rng.choice((rng.choice(AWKWARD), rng.uniform(0, 1_000)))
        yield start, start + rng.random() * length, start + length


def test_waiting_for_a_time_ends_at_that_time():
    inexact = 0
    for start, between, deadline in pairs():
        inexact += between + (deadline - between) < deadline
        clock, seen = Stages(start), []

        def process(clock=clock, seen=seen, between=between, deadline=deadline):
            yield clock.until(between)
            yield clock.until(deadline)
            seen.append(clock.now)

        clock.start("waiting", process())
        clock.at(None, deadline, lambda clock=clock, seen=seen: seen.append(clock.now))
        clock.run()
        assert seen == [deadline, deadline]
    assert inexact > 10, "no pair shows the fault that this holds against"


def test_a_contract_is_closed_at_its_deadline_whatever_happened_before():
    """A worker answers in between, another one never: the deadline is past when it is there."""
    for start, between, deadline in pairs():
        submission_s = deadline - start
        if submission_s <= 0:
            continue
        contract = RoundContract(None).register(1).register(2)
        contract = contract.start(None, start, submission_s).commit(1, b"sealed", start)
        clock = Stages(start)

        def collect(clock=clock, contract=contract, between=between):
            yield clock.until(between)
            yield clock.until(contract.submission_deadline_s)
            contract.close_submissions(clock.now, 1.0)

        clock.start("collecting", collect())
        clock.run()


def test_a_coordinated_round_with_absent_workers(tiny):
    """It died as "early": the last answer came between a quarter and half of the way."""
    submission_s = 7.7
    scenario = tiny(
        "coordinator",
        seed=20,
        rounds=2,
        devices=20,
        data__params={"train": 400, "test": 60, "features": 6, "classes": 3},
        data__partition="shards",
        data__validation_fraction=0.1,
        coordinator__submission_s=submission_s,
        availability__kind="per-round",
        network__compute="uniform",
        network__compute_samples_per_s=18 / submission_s * 6,
    )
    assert list(World(scenario).run()) == [1, 2]


def test_only_the_stages_know_simpy():
    """Whoever scheduled delays of its own could find a time that it waited for not yet reached."""
    using = [path for path in SIM.rglob("*.py") if "simpy" in path.read_text(encoding="utf-8")]
    assert using == [SIM / "stages.py"]


def test_the_past_is_now_and_never_is_no_time():
    clock, seen = Stages(5.0), []
    clock.at(None, 3.0, lambda: seen.append(clock.now))
    clock.at(None, math.inf, lambda: seen.append("never"))
    clock.run()
    assert seen == [5.0]
    with pytest.raises(ValueError, match="cannot wait until inf"):
        clock.until(math.inf)


def test_an_error_of_a_process_is_raised_as_it_is():
    """SimPy copies errors from their arguments, which not every one allows."""
    clock, error = Stages(0.0), TransitionError("early", "the deadline is not past")

    def process():
        yield clock.until(1.0)
        raise error

    clock.start("failing", process())
    with pytest.raises(TransitionError, match="not past") as raised:
        clock.run()
    assert raised.value is error
