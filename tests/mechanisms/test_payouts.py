"""Closed forms and axioms of the payout rules, and what strategic devices gain under them."""

import itertools
import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments import load_scenario
from mechanisms import registries as rules
from mechanisms.payouts.contribution import exact, permutations, sampled
from mechanisms.split import part, split
from mechanisms.vocabulary import BlockObservation, OpeningObservation, Payment, UpdateRecord
from sim.keys import SettingError
from sim.money.payments import reversed_payment
from sim.world import World


def record(worker, *, accepted=True, samples=100, epochs=5, positive=(), negative=()):
    return UpdateRecord(
        worker=worker,
        claimed_samples=samples,
        claimed_epochs=epochs,
        positive=tuple(positive),
        negative=tuple(negative),
        accepted=accepted,
        verified_samples=samples,
        verified_epochs=epochs,
    )


def block(records, *, round=1, memory=None, updates=None, start=None, utility=None, stakes=()):
    """`utility` maps rows to accuracies; coalitions are measured as the mean of their rows."""
    rows = None if updates is None else np.asarray(updates, dtype=np.float32)
    start = None if start is None else np.float32(start)

    def coalitions(members):
        return utility(np.array([rows[m].mean(0) if m.any() else start for m in members]))

    return BlockObservation(
        round=round,
        miner=99,
        records=tuple(records),
        memory=memory or {},
        stakes=tuple(stakes),
        updates=rows,
        start=start,
        result=None,
        utility=coalitions if utility else None,
    )


def income(settlement):
    total = {}
    for p in settlement.payments:
        total[p.payee] = total.get(p.payee, 0) + p.amount
    return total


# --- dividing -------------------------------------------------------------------------------------


@given(st.integers(0, 10**15), st.dictionaries(st.integers(0, 50), st.floats(0, 1e6), max_size=20))
def test_split_hands_out_nearly_everything_and_never_more(total, weights):
    shares = split(total, weights)
    positive = [k for k, w in weights.items() if w > 0]
    assert shares.keys() == set(positive)
    if positive:
        assert total - len(positive) < sum(shares.values()) <= total
    for a, b in itertools.combinations(positive, 2):
        assert (shares[a] == shares[b]) or weights[a] != weights[b]


@given(st.integers(0, 10**15), st.floats(0, 1))
def test_part_is_exact(total, fraction):
    assert part(total, fraction) == math.floor(total * Fraction(repr(fraction)))


# --- pools ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("score", [0.02, 0.1, 0.5, 1.0])
def test_decentralml_pays_the_kth_contributor_s_times_one_minus_s_to_the_k_minus_one(score):
    pool = 10**12
    rule = rules.payouts.create(
        "decentralml", {"pool": pool, "score": score, "improve_only": False}
    )
    opening = rule.open(OpeningObservation(devices=(), balances=()))
    paid = income(rule.settle(block([record(w) for w in range(8)], memory=opening.memory)))
    for k in range(1, 9):
        assert paid.get(k - 1, 0) == pytest.approx(score * (1 - score) ** (k - 1) * pool, abs=8)


def test_decentralml_snapshot_whitelist_improvement_and_expiry():
    params = {
        "pool": 1_000,
        "score": 0.25,
        "mode": "snapshot",
        "whitelist": [1, 2, 3, 5],
        "expires": 2,
    }
    rule = rules.payouts.create("decentralml", params)
    memory = rule.open(OpeningObservation(devices=(), balances=())).memory
    better = {1: True, 2: False, 3: True, 4: True, 5: True}
    first = rule.settle(
        block(
            [record(w) for w in better],
            memory=memory,
            updates=[[float(b)] for b in better.values()],
            start=[0.5],
            utility=lambda rows: rows[:, 0],
        )
    )
    assert income(first) == {1: 250, 3: 250, 5: 250}, "2 does not improve, 4 is not on the list"
    second = rule.settle(
        block(
            [record(1), record(3)],
            round=2,
            memory=first.memory,
            updates=[[1], [1]],
            start=[0.5],
            utility=lambda r: r[:, 0],
        )
    )
    assert income(second) == {1: 62, 3: 62}
    late = rule.settle(block([record(1)], round=3, memory=second.memory))
    assert [(p.payee, p.amount, p.payer) for p in late.payments] == [
        ("creator", 126, "escrow:contributors")
    ]
    assert rule.close(late.memory).payments == ()


def test_decentralml_percentages_fund_three_pools():
    rule = rules.payouts.create(
        "decentralml", {"pool": 1_000, "contributors": 0.6, "engineers": 0.3, "annotators": 0.1}
    )
    funded = {
        p.payee: p.amount for p in rule.open(OpeningObservation(devices=(), balances=())).payments
    }
    assert sum(funded.values()) == 1_000
    assert funded["escrow:contributors"] >= 600


@pytest.mark.parametrize(
    ("pool", "fee", "share", "rest"), [(1_000, 0.0, 333, 1), (1_000, 0.1, 300, 0), (2, 0.0, 0, 2)]
)
def test_equal_share_pays_a_kth_to_each_of_k(pool, fee, share, rest):
    rule = rules.payouts.create(
        "equal-share", {"pool": pool, "stake": 50, "deadline": 2, "fee": fee}
    )
    opening = rule.open(OpeningObservation(devices=(0, 1, 2, 3), balances=(50, 60, 70, 49)))
    assert rule.members(opening.memory) == {0, 1, 2}, "3 cannot pay the stake"
    assert sum(p.amount for p in opening.payments if p.payee == "escrow:stakes") == 150
    first = rule.settle(
        block([record(0), record(1), record(2, accepted=False)], memory=opening.memory)
    )
    assert first.payments == ()
    last = rule.settle(block([record(2)], round=2, memory=first.memory))
    got = income(last)
    assert [got[d] for d in (0, 1, 2)] == [50 + share] * 3
    assert got.get("organisation", 0) == rest
    assert got.get("platform", 0) == pool * fee
    after = rule.settle(block([record(0)], round=3, memory=last.memory))
    assert after.payments == (), "late submissions are not paid"


def test_equal_share_without_a_verified_participant_returns_the_pool():
    rule = rules.payouts.create("equal-share", {"pool": 500, "deadline": 1})
    memory = rule.open(OpeningObservation(devices=(0,), balances=(0,))).memory
    assert income(rule.settle(block([record(0, accepted=False)], memory=memory))) == {
        "organisation": 500
    }


@pytest.mark.parametrize(
    ("destination", "expected"),
    [
        ("burn", {"burn": 250}),
        ("treasury", {"treasury": 250}),
        ("reporters", {20: 83, 21: 83, 22: 83, "burn": 1}),
    ],
)
def test_slashing_takes_a_fraction_of_what_is_left(destination, expected):
    rule = rules.payouts.create(
        "slashed-vbfl",
        {"stake": 1_000, "fraction": 0.25, "destination": destination, "unit_reward": 0},
    )
    memory = rule.open(OpeningObservation(devices=(0, 1), balances=(1_000, 999))).memory
    assert rule.members(memory) == {0}
    bad = [record(0, accepted=False, negative=(20, 21, 22))]
    first = rule.settle(block(bad, memory=memory))
    assert income(first) == expected
    second = rule.settle(block(bad, memory=first.memory))
    assert rule.locked(second.memory) == {0: 1_000 - 250 - 188}
    assert income(rule.close(second.memory)) == {0: 562}


# --- shares ---------------------------------------------------------------------------------------


def test_shares_follow_their_weights():
    records = [
        record(0, samples=100),
        record(1, samples=300),
        record(2, samples=900, accepted=False),
    ]
    assert income(rules.payouts.create("data-size", {"pot": 1_000}).settle(block(records))) == {
        0: 250,
        1: 750,
    }
    stake = rules.payouts.create("stake-weighted", {"pot": 1_000}).settle(
        block(records, stakes=(0, 2, 50))
    )
    assert income(stake) == {0: 250, 1: 750}
    rule = rules.payouts.create("reputation-weighted", {"pot": 1_000, "initial": 0.5, "rate": 0.5})
    first = rule.settle(block(records))
    assert first.memory == {"0": 0.75, "1": 0.75, "2": 0.25}
    second = rule.settle(block([record(0), record(2)], memory=first.memory))
    assert income(second) == {0: int(1_000 * 0.875 / 1.5), 2: int(1_000 * 0.625 / 1.5)}


def test_the_median_of_reports_is_moved_by_a_majority_only():
    rule = rules.payouts.create("cosine", {"pot": 1_000, "to": "committee"})
    reported = {
        0: [0.5, 0.5, 0.5, 1.0, 1.0],
        1: [0.5, 0.5, 0.5, -1.0, -1.0],
        2: [-0.2, -0.1, 0.0, 1.0, 1.0],
    }
    records = [
        replace(record(w), reports=tuple(enumerate(scores))) for w, scores in reported.items()
    ]
    assert income(rule.settle(block(records))) == {0: 500, 1: 500}
    bought = [replace(records[2], reports=((0, 1.0), (1, 1.0), (2, 1.0), (3, 0.0), (4, 0.0)))]
    assert income(rule.settle(block(bought))) == {2: 1_000}
    assert income(rule.settle(block([record(0)]))) == {}, "nobody reported"


@pytest.mark.parametrize(
    ("preset", "validator"), [("vbfl", "collude"), ("vbfl", "flip"), ("coordinator", "collude")]
)
def test_reports_go_through_behaviours(tiny, preset, validator):
    """If all validators collude their own workers are paid; honest reports pay the honest."""
    ring = [{"name": "ring", "devices": [0, 1], "worker": "sign-flip", "validator": validator}]
    ring += [{"name": "bench", "devices": list(range(2, 8)), "validator": validator}]
    incomes = []
    for groups in (ring[:1], ring):
        sets = {"payout__mechanism": "cosine", "payout__params": {"to": "committee"}}
        if preset == "vbfl":
            sets |= {"validation__params": {"threshold": 1.0}}
        world = play(tiny(preset, adversaries=groups, rounds=4, **sets))
        people = world.kernel.recorder.tables()["participants"].to_pandas()
        incomes.append(people.groupby("group", observed=True).income.sum())
    assert incomes[0].sum() > 0
    if validator == "flip":
        assert incomes[1].get("bench", 0) < incomes[0]["honest"]


def test_flat_pays_presence():
    records = [record(0), record(1, accepted=False, positive=(20,), negative=(21, 22))]
    paid = income(
        rules.payouts.create("flat", {"worker": 10, "validator": 3, "miner": 2}).settle(
            block(records)
        )
    )
    assert paid == {0: 10, 1: 10, 20: 3, 21: 3, 22: 3, 99: 2}


def test_vbfl_and_its_verified_variant():
    liar = UpdateRecord.from_votes(
        worker=0,
        claimed_samples=4_000,
        claimed_epochs=5,
        positive=(20,),
        negative=(),
        verified_samples=400,
        verified_epochs=1,
    )
    assert income(rules.payouts.create("vbfl").settle(block([liar])))[0] == 20_000
    assert income(rules.payouts.create("vbfl-verified").settle(block([liar])))[0] == 400


def test_cosine_rewards_alignment_and_excluding_oneself_takes_the_own_weight_out():
    rows, records = [[1, 0], [1, 0], [0, 1], [-1, 0]], [record(w) for w in range(4)]
    paid = income(
        rules.payouts.create("cosine", {"pot": 1_000}).settle(
            block(records, updates=rows, start=[0, 0])
        )
    )
    assert paid == {0: 333, 1: 333, 2: 333}, (
        "cosines to (1, 1): equal for the first three, negative for the last"
    )
    alone = rules.payouts.create("cosine", {"pot": 1_000, "to": "others"})
    rows = [[1, 0], [1, 0], [1, 0], [0, 1]]
    paid = income(alone.settle(block(records, updates=rows, start=[0, 0])))
    assert paid == {0: 333, 1: 333, 2: 333}, "for the last one the others point along (1, 0)"
    assert 3 in income(
        rules.payouts.create("cosine", {"pot": 1_000}).settle(
            block(records, updates=rows, start=[0, 0])
        )
    )


class Game:
    """A characteristic function with the interface of `Coalitions`; counts its calls."""

    def __init__(self, function):
        self.function = function
        self.calls = 0

    def values(self, members):
        self.calls += 1
        return np.array([self.function(frozenset(np.flatnonzero(m).tolist())) for m in members])


@st.composite
def games(draw, n=4):
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    table = {
        frozenset(s): float(rng.random())
        for k in range(n + 1)
        for s in itertools.combinations(range(n), k)
    }
    return Game(table.__getitem__), table


class TestShapley:
    @given(games())
    def test_efficiency(self, game):
        game, table = game
        assert sum(exact(game, 4)) == pytest.approx(
            table[frozenset(range(4))] - table[frozenset()], abs=1e-12
        )

    @given(games())
    def test_permutation_form(self, game):
        """The mean marginal contribution over all 24 orders."""
        game, table = game
        total = np.zeros(4)
        for order in itertools.permutations(range(4)):
            for k, i in enumerate(order):
                total[i] += table[frozenset(order[: k + 1])] - table[frozenset(order[:k])]
        np.testing.assert_allclose(exact(game, 4), total / 24, atol=1e-12)

    def test_null_player_and_symmetry(self):
        game = Game(lambda s: len(s & {0, 1}) ** 2 / 4)
        assert exact(game, 3) == pytest.approx([0.5, 0.5, 0.0], abs=1e-15)

    @given(games(), games())
    def test_additivity(self, one, other):
        both = Game(lambda s: one[1][s] + other[1][s])
        np.testing.assert_allclose(
            exact(both, 4), np.add(exact(one[0], 4), exact(other[0], 4)), atol=1e-12
        )

    @given(games())
    def test_sampling_is_efficient_and_close(self, game):
        game, table = game
        values = sampled(game, 4, pairs=400, truncation=0.0, seed=1)
        assert sum(values) == pytest.approx(
            table[frozenset(range(4))] - table[frozenset()], abs=1e-9
        )
        np.testing.assert_allclose(values, exact(game, 4), atol=0.12)

    @given(st.integers(1, 9))
    def test_rotations_give_everybody_every_position(self, pairs):
        orders = permutations(4, pairs, seed=1)
        assert orders.shape == (2 * pairs, 4)
        assert (np.sort(orders, axis=1) == np.arange(4)).all()
        assert (orders[1::2] == orders[::2, ::-1]).all()
        for order in range(0, 2 * pairs - 7, 8):
            assert (
                np.sort(orders[order : order + 8 : 2], axis=0) == np.arange(4)[:, None]
            ).all(), "every position once"

    @given(games())
    def test_truncation_keeps_to_what_it_says_and_asks_step_by_step(self, game):
        game, table = game
        cut = sampled(game, 4, pairs=3, truncation=0.3, seed=1)
        assert game.calls <= 5
        assert abs(sum(cut) - (table[frozenset(range(4))] - table[frozenset()])) <= 0.3 + 1e-9
        np.testing.assert_allclose(
            sampled(game, 4, 3, 1e-15, 1), sampled(game, 4, 3, 0.0, 1), atol=1e-12
        )

    def test_amounts_are_floors_of_the_pot_and_equals_get_equals(self):
        rule = rules.payouts.create("shapley", {"pot": 1_000})
        rows = [[1.0], [1.0], [4.0], [0.0]]
        seen = block(
            [record(w) for w in range(4)],
            updates=rows,
            start=[0.0],
            utility=lambda r: np.minimum(1, r[:, 0] / 4),
        )
        paid = income(rule.settle(seen))
        assert paid[0] == paid[1] < paid[2]
        assert 1_000 - 4 < sum(paid.values()) <= 1_000


def test_improvement_and_leave_one_out():
    rows, seen_utility = [[3.0], [1.0], [-2.0]], lambda r: r[:, 0] / 10
    seen = block([record(w) for w in range(3)], updates=rows, start=[0.0], utility=seen_utility)
    paid = income(rules.payouts.create("improvement", {"pot": 1_000}).settle(seen))
    assert paid == pytest.approx({0: 750, 1: 250}, abs=1)
    # v(all) = 2/30; without 0: -1/20, without 1: 1/20, without 2: 2/10
    paid = income(rules.payouts.create("leave-one-out", {"pot": 1_000}).settle(seen))
    gains = (2 / 30 + 1 / 20, 2 / 30 - 1 / 20)
    assert paid[0] == pytest.approx(1_000 * gains[0] / sum(gains), abs=2)
    assert paid[1] == pytest.approx(1_000 * gains[1] / sum(gains), abs=2)
    assert 2 not in paid


# --- strategic devices ----------------------------------------------------------------------------


def gain_of_splitting(rule, k, memory=None):
    """Gain of one operator as k identities over 1, data and stake split evenly, beside 9 others."""
    totals = []
    for identities in (1, k):
        mine = range(identities)
        records = [record(w, samples=600 // identities) for w in mine] + [
            record(20 + j, samples=600) for j in range(9)
        ]
        stakes = [0] * 40
        for w in mine:
            stakes[w] = 60_000 // identities
        for j in range(9):
            stakes[20 + j] = 60_000
        opening = rule.open(
            OpeningObservation(
                devices=tuple(r.worker for r in records),
                balances=tuple(stakes[r.worker] for r in records),
            )
        )
        paid = income(rule.settle(block(records, memory=opening.memory, stakes=stakes)))
        totals.append(sum(paid.get(w, 0) for w in mine))
    return totals[1] - totals[0]


@pytest.mark.parametrize("k", [2, 3, 5])
def test_sybils_gain_from_equal_shares_and_not_from_stake(k):
    assert (
        gain_of_splitting(rules.payouts.create("equal-share", {"pool": 900_000, "deadline": 1}), k)
        > 0
    )
    assert gain_of_splitting(rules.payouts.create("flat"), k) > 0
    # A unit is added to every stake so that the first round pays: k identities win at most k - 1
    # units of weight.
    assert gain_of_splitting(rules.payouts.create("stake-weighted", {"pot": 900_000}), k) <= k
    assert gain_of_splitting(rules.payouts.create("data-size", {"pot": 900_000}), k) <= 0


def committee_votes(votes):
    """Records from a table of votes [updates][validators]."""
    return [
        record(
            w,
            accepted=2 * sum(row) >= len(row),
            positive=[20 + v for v, vote in enumerate(row) if vote],
            negative=[20 + v for v, vote in enumerate(row) if not vote],
        )
        for w, row in enumerate(votes)
    ]


def test_a_committee_majority_pays_the_majority_and_peer_prediction_does_not_pay_habit():
    rng = np.random.default_rng(0)
    truth = rng.random(40) < 0.5
    honest = [[bool(t) if rng.random() < 0.9 else not t for _ in range(4)] for t in truth]
    votes = [
        [*row, True, bool(rng.random() < 0.5)] for row in honest
    ]  # 24 always accepts, 25 tosses a coin
    majority = income(
        rules.payouts.create("committee-majority", {"worker": 0}).settle(
            block(committee_votes(votes))
        )
    )
    peers = income(
        rules.payouts.create("peer-prediction", {"worker": 0}).settle(block(committee_votes(votes)))
    )
    assert majority[24] > 0.4 * majority[20], "agreeing by habit is paid by the majority rule"
    assert peers.get(24, 0) == 0
    assert peers.get(25, 0) < 0.35 * min(peers[v] for v in range(20, 24))


def test_colluders_who_are_the_majority_take_the_committees_pay():
    """Three of five validators reject every honest update: the majority, and paid for it."""
    votes = [[True, True, False, False, False] for _ in range(10)]
    paid = income(rules.payouts.create("committee-majority").settle(block(committee_votes(votes))))
    assert paid == {22: 1_000, 23: 1_000, 24: 1_000}
    minority = [[True, True, True, False, False] for _ in range(10)]
    paid = income(
        rules.payouts.create("committee-majority", {"worker": 0}).settle(
            block(committee_votes(minority))
        )
    )
    assert set(paid) == {20, 21, 22}


# --- in the world ---------------------------------------------------------------------------------


def play(scenario):
    world = World(scenario)
    for _ in world.run():
        check_conservation(world)
    world.close()
    return world


def check_conservation(world):
    ledger, asset = world.kernel.treasury.ledger, world.kernel.treasury.asset
    accounts = [p.account for p in world.kernel.population] + list(
        world.protocol.game.payout.accounts()
    )
    assert sum(ledger.balance(a, asset) for a in accounts) == ledger.issued(asset) - ledger.burned(
        asset
    )
    for p in world.kernel.population:
        lineage = world.protocol.game.forks.state(p.device).lineage()
        own = sum(x.amount for s in lineage for x in s.payments.get(p.device, ()))
        flows = sum(
            x.amount * ((x.payee == p.device) - (x.payer == p.device))
            for s in world.protocol.game.forks.settled.lineage()
            for x in s.moves
        )
        stake = -sum(e.amount for e in ledger.journal if e.debit == p.account and e.round == 0)
        back = sum(
            e.amount
            for e in ledger.journal
            if e.credit == p.account and e.round > world.kernel.scenario.rounds
        )
        assert (
            world.kernel.treasury.balance(p.device)
            == world.kernel.scenario.payout.initial_balance + own + flows + stake + back
        )


AWAY = {
    "rounds": 8,
    "network__link_bytes_per_s": 2_000.0,
    "availability__kind": "per-round",
    "availability__online": 0.8,
}
FORKS = {**AWAY, "consensus__kind": "pow", "consensus__difficulty": 1}


PLAYED = [
    (p, m)
    for m in rules.payouts.names()
    for p in ("vbfl", "fedavg", "coordinator")
    if m != "coordinator" or p == m
]


@pytest.mark.parametrize(("protocol", "mechanism"), PLAYED)
def test_every_rule_keeps_the_books_through_forks(tiny, mechanism, protocol):
    scenario = tiny(
        "fedavg" if protocol == "fedavg" else "vbfl",
        protocol=protocol,
        payout__mechanism=mechanism,
        payout__initial_balance=5_000_000,
        adversaries__0__count=2,
        adversaries__0__worker_params={"scale": 20.0},
        data__validation_fraction=0.25,
        **(FORKS if protocol == "vbfl" else AWAY),
    )
    world = play(scenario)
    assert (len(world.kernel.treasury.ledger.journal) > 8) or mechanism == "none"


@pytest.mark.parametrize(
    "mechanism", ["equal-share", "slashed-vbfl", "decentralml", "reputation-weighted"]
)
def test_memory_and_pools_survive_a_checkpoint(tiny, mechanism):
    scenario = tiny(
        payout__mechanism=mechanism,
        payout__initial_balance=20_000,
        adversaries__0__count=2,
        **FORKS,
    )
    whole = play(scenario)
    for stop in range(1, 8):
        half = World(scenario)
        for _ in range(stop):
            half.step()
        resumed = World(scenario)
        resumed.restore(*half.to_state())
        for _ in resumed.run():
            pass
        assert resumed.kernel.treasury.ledger.journal == whole.kernel.treasury.ledger.journal


def test_slashing_makes_noise_costly(tiny):
    """With VBFL alone a poisoner loses nothing; with stake at risk it does."""
    bad = {
        "adversaries__0__count": 3,
        "adversaries__0__worker_params": {"scale": 50.0},
        "rounds": 6,
        "payout__initial_balance": 20_000,
    }
    worth = {}
    for mechanism in ("vbfl", "slashed-vbfl"):
        world = play(tiny(payout__mechanism=mechanism, **bad))
        worth[mechanism] = min(
            world.kernel.treasury.balance(p.device) for p in world.kernel.population if p.adversary
        )
    assert worth["vbfl"] >= 20_000
    assert worth["slashed-vbfl"] < 20_000


def test_devices_without_the_stake_are_not_drawn(tiny):
    with pytest.raises(SettingError, match="lets 0 devices join 'slashed-vbfl'"):
        World(tiny(payout__mechanism="slashed-vbfl"))


def test_rules_that_need_held_out_samples_say_so():
    with pytest.raises(Exception, match="needs held-out samples"):
        load_scenario("vbfl-published", {"payout.mechanism": "shapley"})


def test_reversed_payments_meet_both_ends_of_the_world():
    assert reversed_payment(Payment(3, 5, "x")) == Payment("burn", 5, "reorg.x", 3)
    assert reversed_payment(Payment("burn", 5, "slash", "escrow:stakes")) == Payment(
        "escrow:stakes", 5, "reorg.slash", "issuance"
    )
    assert reversed_payment(Payment(3, 5, "x", "escrow:pool")) == Payment(
        "escrow:pool", 5, "reorg.x", 3
    )
