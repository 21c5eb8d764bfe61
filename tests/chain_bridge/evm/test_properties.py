"""No sequence of calls lets a contract pay more than it holds, or anybody be paid twice.

Sequences are random, but for steps that go on as honest participants would: without them nothing
deep is ever reached.
"""

import hashlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain_bridge.evm.contracts import refusal
from tests.chain_bridge.evm.ring import ORGANISATION, STRANGER, TREASURY, Ring, of_tests

MANY = 10_000
"""Sequences under --soak, for each contract."""
FEW = 60
SOME = 8
"""Acts between two checks: what is checked stays wrong once it is."""
UNAUTHORISED = "AccessControlUnauthorizedAccount"
NOBODY = "0x" + "00" * 20
A, B = b"\1" * 32, b"\2" * 32

small = st.integers(0, 7)
acts = st.lists(st.tuples(st.integers(0, 23), small, small), min_size=20, max_size=70)
fractions = st.sampled_from([(0, 1), (1, 3), (1, 2), (37, 100), (1, 1)])


def soaked(test):
    """The same property on many more sequences."""
    return pytest.mark.soak(settings(max_examples=MANY)(test))


# --- coordinator ----------------------------------------------------------------------------------


@st.composite
def coordinators(draw):
    amounts = [draw(st.integers(0, 200)) for _ in range(3)]
    money = [draw(st.integers(0, 100)), draw(st.integers(0, 20)), draw(st.integers(0, 300))]
    parts = [draw(fractions) for _ in range(4)]
    submission = draw(st.sampled_from([50, 2**64 - 1]))
    times = [submission, 50, 60, 40]
    destination = draw(st.integers(0, 2))
    return (*amounts, *money, *parts, draw(st.booleans()), destination, TREASURY, *times)


class Coordinated:
    """A coordinator and everything that anybody may try."""

    def __init__(self, terms):
        self.ring = Ring("Coordinator", terms)
        self.rounds = 0
        self.salts = {}

    def opening(self, i, samples=3):
        return hashlib.sha256(bytes([i])).digest() + struct.pack("<qq", samples, 1) + bytes(16)

    def commitment(self, i):
        body = b"commit" + struct.pack("<q", i) + self.opening(i)
        return hashlib.sha256(body).digest()

    def act(self, what, i, j):
        """Make one call of one of 24 kinds; nothing is expected of it."""
        ring, n = self.ring, len(self.ring.members)
        who, other = ring.members[i % n], ring.members[j % n]
        seats = [] if j % 3 else [ring.members[(i + 1) % n], ring.members[(i + 2) % n]]
        chief = NOBODY if j % 2 else who
        tries = [
            lambda: ring.call(who, "join", i % n),
            lambda: ring.call(who, "postBond"),
            lambda: ring.call(ORGANISATION, "openRound", chief, seats),
            lambda: ring.call(who, "register"),
            lambda: ring.call(who if j % 2 else ORGANISATION, "start"),
            lambda: ring.call(who, "commit", self.commitment((i + j // 6) % n)),
            lambda: ring.call(ORGANISATION, "closeSubmissions"),
            lambda: ring.call(who, "reveal", self.opening((i + j // 6) % n)),
            lambda: ring.call(ORGANISATION, "markMalformed", [j % 2]),
            lambda: ring.call(who if j % 2 else ORGANISATION, "vote", bytes([i * j % 32])),
            lambda: ring.call(who if j % 2 else ORGANISATION, "deliver", A if i % 2 else B),
            lambda: ring.call(who, "dispute", A if j % 2 else B),
            lambda: ring.call(ORGANISATION, "rule", A if j % 2 else B),
            lambda: ring.call(who if j % 2 else ORGANISATION, "finalise"),
            lambda: ring.call(who, "withdraw"),
            lambda: ring.call(who, "withdrawDeposits"),
            lambda: ring.call(ORGANISATION, "declareAbsent"),
            lambda: ring.call(ORGANISATION, "close") if i + j == 14 else "",
            lambda: ring.of_token(who, "transfer", other, i * 10),
            lambda: ring.elapse(20 * (j + 1)) or "",
        ]
        if what >= len(tries):
            self.go(skip=i % (n + 2))
        else:
            tries[what]()

    def go(self, skip):
        """Let all but one do what the present phase asks for, in its order."""
        ring = self.ring
        crew = [m for k, m in enumerate(ring.members) if k != skip]
        phase = ring.view("current")[1]
        for k, who in enumerate(ring.members):
            ring.call(who, "join", k)
        if phase == 0:
            for who in ring.members:
                ring.call(who, "postBond")
            ring.call(ORGANISATION, "openRound", crew[0] if skip % 2 else NOBODY, crew[1:3])
        elif phase == 1:
            for who in crew:
                ring.call(who, "register")
            for who in (crew[0], ORGANISATION):
                ring.call(who, "start")
        elif phase == 2:
            for k, who in enumerate(ring.members):
                ring.call(who, "commit", self.commitment(k))
            ring.elapse(51)
            ring.call(ORGANISATION, "closeSubmissions")
        else:
            self.conclude(crew, skip)

    def conclude(self, crew, skip):
        ring = self.ring
        for k, who in enumerate(ring.members):
            if k != skip:
                ring.call(who, "reveal", self.opening(k))
        ring.elapse(51)
        for who in (*crew, ORGANISATION):
            ring.call(who, "vote", bytes([0b10101 >> (skip % 3)]))
            ring.call(who, "deliver", A)
        if skip % 3 == 0:
            ring.call(crew[-1], "dispute", B)
        ring.elapse(41)
        ring.call(ORGANISATION, "rule", B if skip % 2 else A)
        ring.call(ORGANISATION, "finalise")

    def check(self, terms):
        ring = self.ring
        ring.check()
        members = [ring.view("members", who) for who in ring.members]
        held = ring.held()
        assert sum(m[0] for m in members) == held[0]
        assert sum(m[1] for m in members) == held[1]
        rounds, pot, fee = ring.view("current")[0], terms[3], terms[4]
        owed = sum(sum(ring.view("credits", who)) for who in ring.members)
        assert ring.supply() + owed <= ring.given + rounds * (pot + fee)


def outsiders_are_refused(ring):
    """Whatever the state, who never joined can do nothing, and nobody acts as the organisation."""
    for function, arguments in (
        ("postBond", ()),
        ("register", ()),
        ("start", ()),
        ("commit", (A,)),
        ("reveal", (bytes(64),)),
        ("vote", (b"\1",)),
        ("deliver", (A,)),
        ("dispute", (A,)),
        ("finalise", ()),
        ("withdraw", ()),
        ("withdrawDeposits", ()),
    ):
        assert ring.call(STRANGER, function, *arguments), function
    for function, arguments in (
        ("openRound", (NOBODY, [])),
        ("markMalformed", ([0],)),
        ("rule", (A,)),
        ("declareAbsent", ()),
        ("close", ()),
    ):
        assert ring.call(ring.members[0], function, *arguments) == UNAUTHORISED, function


def coordinator_holds(terms, sequence):
    game = Coordinated(terms)
    ring = game.ring
    for number, (what, i, j) in enumerate(sequence):
        game.act(what, i, j)
        if number % SOME == 0:
            game.check(terms)
    outsiders_are_refused(ring)
    paid_once(game, terms)


def paid_once(game, terms):
    """Whoever withdraws gets what is owed, and a second time nothing."""
    ring = game.ring
    for who in ring.members:
        owed, before = sum(ring.view("credits", who)), ring.balance(who)
        assert (ring.call(who, "withdraw") == "") == (owed > 0)
        assert ring.balance(who) == before + owed
        assert ring.call(who, "withdraw") in ("NothingToWithdraw", "NotMember")
    for _ in range(8):
        game.go(skip=9)
    ring.call(ORGANISATION, "close")
    if not ring.view("closed"):
        return
    for who in ring.members:
        stake, bond, *_, joined, _, gone = ring.view("members", who)
        before = ring.balance(who)
        expected = "NothingToWithdraw" if gone else "" if joined else "NotMember"
        assert ring.call(who, "withdrawDeposits") == expected
        assert ring.balance(who) == before + stake + bond
        assert ring.call(who, "withdrawDeposits") in ("NothingToWithdraw", "NotMember")
    assert sum(ring.held()) == 0
    game.check(terms)


@pytest.mark.slow
@settings(max_examples=FEW)
@given(coordinators(), acts)
def test_coordinator(terms, sequence):
    coordinator_holds(terms, sequence)


@soaked
@given(coordinators(), acts)
def test_coordinator_many_times(terms, sequence):
    coordinator_holds(terms, sequence)


def test_sequences_go_deep():
    """Honest steps reach the end of rounds, with money moved for every reason."""
    terms = (100, 1, 200, 90, 7, 10, (1, 2), (1, 1), (1, 4), (1, 2), False, 2, TREASURY, 50, 50)
    game = Coordinated((*terms, 60, 40))
    for k in range(40):
        game.go(skip=k % 7)
        game.check(terms)
    assert game.ring.view("current")[0] >= 8
    assert game.ring.supply() != game.ring.given
    assert any(sum(game.ring.view("credits", who)) for who in game.ring.members)


# --- pools ----------------------------------------------------------------------------------------


@st.composite
def shares(draw):
    pool, stake, deadline = draw(st.integers(0, 900)), draw(st.integers(0, 300)), 3
    charges = [draw(st.integers(0, 10_000)), draw(st.integers(0, 9)), draw(st.integers(0, 9)), 50]
    fee, claims = draw(fractions), draw(st.booleans())
    return (pool, stake, deadline, fee, claims, TREASURY, *charges, TREASURY)


def shares_hold(terms, sequence):
    ring = Ring("EqualShare", terms)
    wallets = [hashlib.sha256(who.encode()).digest() for who in ring.members]
    n = len(ring.members)
    for number, (what, i, j) in enumerate(sequence):
        who, kind = ring.members[i % n], what % 6
        if kind == 0:
            ring.call(ORGANISATION, "fund")
        elif kind == 1:
            ring.call(who, "register", wallets[i % n])
        elif kind == 2:
            ring.call(who, "stakeToJoin")
        elif kind in (3, 4):
            accepted = ring.members[: j % (n + 1)]
            ring.call(ORGANISATION, "settle", i, accepted, wallets[: i % n])
        elif j == 7:
            ring.call(ORGANISATION, "finish")
        if number % SOME == 0:
            ring.check()
    assert ring.call(STRANGER, "stakeToJoin") == "NotMember"
    assert ring.call(ring.members[0], "settle", 99, [], []) == UNAUTHORISED
    assert ring.call(ring.members[0], "finish") == UNAUTHORISED
    ring.call(ORGANISATION, "finish")
    assert ring.call(ORGANISATION, "finish") == "Duplicate"
    assert sum(ring.held()) == 0
    assert ring.supply() == ring.given
    ring.check()


@pytest.mark.slow
@settings(max_examples=FEW)
@given(shares(), acts)
def test_equal_share(terms, sequence):
    shares_hold(terms, sequence)


@soaked
@given(shares(), acts)
def test_equal_share_many_times(terms, sequence):
    shares_hold(terms, sequence)


def test_stakes_come_back_though_nobody_funded_the_pool():
    """Found by random sequences: a pool that is funded too late, or never, held money for ever."""
    terms = (500, 100, 3, (1, 10), False, TREASURY, 0, 0, 0, 50, TREASURY)
    ring = Ring("EqualShare", terms, each=1_000)
    for who in ring.members:
        assert not ring.call(who, "register", hashlib.sha256(who.encode()).digest())
        assert not ring.call(who, "stakeToJoin")
    assert not ring.call(ORGANISATION, "finish")
    assert ring.call(ORGANISATION, "fund") == "WrongPhase"
    assert sum(ring.held()) == 0
    assert all(ring.balance(who) == 1_000 for who in [*ring.members, ORGANISATION])


def score_pool_holds(parts, score, snapshot, sequence):
    pool = 700
    terms = (pool, *parts, score, snapshot, 6, ORGANISATION)
    ring = Ring("ScorePool", terms)
    n = len(ring.members)
    for number, (what, i, j) in enumerate(sequence):
        if what % 4 == 0:
            ring.call(ORGANISATION, "fund")
        elif what == 1 and j == 3:
            ring.call(ORGANISATION, "defineContributors", ring.members[: i % n])
        elif what == 2 and j == 7:
            ring.call(ORGANISATION, "refund")
        else:
            ring.call(ORGANISATION, "reward", i, ring.members[: j % (n + 1)])
        if number % SOME == 0:
            ring.check()
            assert sum(ring.held()) <= pool
    for who in (STRANGER, ring.members[0]):
        assert ring.call(who, "fund") == UNAUTHORISED
        assert ring.call(who, "reward", 99, [who]) == UNAUTHORISED
        assert ring.call(who, "refund") == UNAUTHORISED
    ring.check()
    assert ring.supply() == ring.given


halves = st.sampled_from([((1, 5), (1, 10)), ((0, 1), (0, 1)), ((1, 2), (1, 2))])


@pytest.mark.slow
@settings(max_examples=FEW)
@given(halves, fractions, st.booleans(), acts)
def test_score_pool(parts, score, snapshot, sequence):
    score_pool_holds(parts, score, snapshot, sequence)


@soaked
@given(halves, fractions, st.booleans(), acts)
def test_score_pool_many_times(parts, score, snapshot, sequence):
    score_pool_holds(parts, score, snapshot, sequence)


def stake_weighted_holds(pot, sequence):
    ring = Ring("StakeWeighted", pot)
    n, credited = len(ring.members), 0
    for number, (what, i, j) in enumerate(sequence):
        who = ring.members[i % n]
        if what % 4 == 0:
            ring.call(ORGANISATION, "openRound", ring.members[: j % (n + 1)])
        elif what % 4 == 1:
            before = sum(ring.view("credits", m) for m in ring.members)
            ring.call(ORGANISATION, "settle", [*ring.members[: j % (n + 1)], *[who] * (j == 7)])
            credited += sum(ring.view("credits", m) for m in ring.members) - before
        elif what % 4 == 2:
            owed, held = ring.view("credits", who), ring.balance(who)
            assert (ring.call(who, "withdraw") == "") == (owed > 0)
            assert ring.balance(who) == held + owed
            assert ring.call(who, "withdraw") == "NothingToWithdraw"
        else:
            ring.of_token(who, "transfer", ring.members[j % n], 10 * j)
        if number % SOME == 0:
            ring.check()
    ring.check()
    assert ring.supply() <= ring.given + credited
    assert credited <= pot * ring.view("round")
    assert ring.call(STRANGER, "withdraw") == "NothingToWithdraw"
    assert ring.call(STRANGER, "openRound", [STRANGER]) == UNAUTHORISED
    assert ring.call(STRANGER, "settle", [STRANGER]) == UNAUTHORISED


@pytest.mark.slow
@settings(max_examples=FEW)
@given(st.integers(0, 500), acts)
def test_stake_weighted(pot, sequence):
    stake_weighted_holds(pot, sequence)


@soaked
@given(st.integers(0, 500), acts)
def test_stake_weighted_many_times(pot, sequence):
    stake_weighted_holds(pot, sequence)


# --- markets --------------------------------------------------------------------------------------


def opened(contract, *terms):
    """Return a market of eight features that has just been opened."""
    ring = Ring(contract, *terms)
    assert not ring.call(ORGANISATION, "load", [0] * 8)
    assert not ring.call(ORGANISATION, "open")
    return ring


def market_holds(formula, own_clock, sequence):
    # Units and seconds are small, so that deposits are what members hold.
    terms = (formula, (3, 1), 1, 1, 20, 80, True, own_clock)
    ring = opened("DepositRefundTake", False, 1, 1_000_000, terms)
    samples, n = [], len(ring.members)
    for step, (what, i, j) in enumerate(sequence):
        who = ring.members[i % n]
        ring.elapse(j * j)
        kind = what % 5
        if kind < 2:
            features = sorted({i, j, (i + j) % 8})
            if not ring.call(who, "add", features, [], what % 2, 200):
                samples.append(features)
        elif samples:
            number = (i * 7 + j) % len(samples)
            function = ("refund", "report", "sweep")[kind - 2]
            sample = () if function == "sweep" else (samples[number], [])
            left, before = ring.view("data", number)[5], ring.balance(who)
            refused = ring.call(who, function, number, *sample)
            got = ring.balance(who) - before
            assert ring.view("data", number)[5] == left - got
            assert not refused or not got
            if function == "refund":
                again = ring.call(who, function, number, *sample)
                assert refused or again == "NothingLeft"
        if step % SOME == 0:
            ring.check()
    ring.check()
    data = [ring.view("data", number) for number in range(len(samples))]
    assert sum(d[5] for d in data) == sum(ring.held())
    assert all(d[5] <= d[4] for d in data)
    assert ring.supply() == ring.given
    assert ring.call(STRANGER, "load", [1]) == UNAUTHORISED
    assert ring.call(STRANGER, "refund", len(samples), [1], []) == "BadSample"


@pytest.mark.slow
@settings(max_examples=FEW)
@given(st.booleans(), st.booleans(), acts)
def test_market(formula, own_clock, sequence):
    market_holds(formula, own_clock, sequence)


@soaked
@given(st.booleans(), st.booleans(), acts)
def test_market_many_times(formula, own_clock, sequence):
    market_holds(formula, own_clock, sequence)


def points_hold(sequence):
    ring = opened("Points", False, 1, 20)
    samples, claimed, n = [], set(), len(ring.members)
    points = dict.fromkeys(ring.members, 0)
    for step, (what, i, j) in enumerate(sequence):
        who, kind = ring.members[i % n], what % 4
        ring.elapse(j)
        if kind < 2:
            features = sorted({i, j, (i + j) % 8})
            assert not ring.call(who, "add", features, [], kind, 0)
            samples.append(features)
        elif samples:
            number = (i * 7 + j) % len(samples)
            function = ("refund", "report")[kind - 2]
            author = ring.view("data", number)[1]
            if not ring.call(who, function, number, samples[number], []):
                assert (who == author) == (function == "refund")
                assert number not in claimed
                claimed.add(number)
                points[who] += function == "refund"
        if step % SOME == 0:
            assert {m: ring.view("points", m) for m in ring.members} == points
    assert {m: ring.view("points", m) for m in ring.members} == points
    ring.check()
    assert ring.supply() == ring.given
    assert all(ring.balance(m) == 1_000 for m in ring.members), "no money moves"
    assert ring.call(STRANGER, "load", [1]) == UNAUTHORISED
    assert ring.call(STRANGER, "refund", len(samples), [1], []) == "BadSample"


@pytest.mark.slow
@settings(max_examples=FEW)
@given(acts)
def test_points(sequence):
    points_hold(sequence)


@soaked
@given(acts)
def test_points_many_times(sequence):
    points_hold(sequence)


def test_points_are_given_once_and_to_the_author():
    """What random sequences reach."""
    ring = opened("Points", False, 1, 20)
    author, other = ring.members[:2]
    assert not ring.call(author, "add", [1], [], 1, 0)
    claim = ("refund", 0, [1], [])
    assert ring.call(author, *claim) == "TooYoung"
    ring.elapse(20)
    assert ring.call(other, *claim) == "NotAuthor"
    assert ring.call(other, "report", *claim[1:]) == "Agrees"
    assert not ring.call(author, *claim)
    assert ring.call(author, *claim) == "Duplicate"
    assert ring.view("points", author) == 1
    assert ring.view("points", other) == 0


# --- calls within calls ---------------------------------------------------------------------------


def test_nobody_is_paid_twice_by_calling_while_it_is_paid():
    """A member that is a contract, with a token that tells it of payments, calls once more."""
    terms = (100, 1, 0, 0, 0, 0, *[(1, 2)] * 4, False, 0, TREASURY, 50, 50, 60, 40)
    token = of_tests("HookToken")
    ring = Ring("Coordinator", terms, members=3, token=token)
    code = of_tests("Thief")
    thief = ring.create(code)
    assert not ring.of_token(ORGANISATION, "mint", thief, 100)
    for who, device in zip(ring.members, range(3), strict=True):
        assert not ring.call(who, "join", device)

    def run(target, data, again=b""):
        return ring._call(ORGANISATION, thief, code, "run", (target, data, again))

    assert not run(ring.token, token.call("approve", (ring.rule, 100)))
    assert not run(ring.rule, ring.code.call("join", (9,)))
    assert ring.balance(thief) == 0
    assert not ring.call(ORGANISATION, "close")
    take = ring.code.call("withdrawDeposits")
    assert not run(ring.rule, take, take)
    attempts, successes = (ring._view(thief, code, f, ()) for f in ("attempts", "successes"))
    assert (attempts, successes) == (1, 0)
    guard = bytes(ring._view(thief, code, "refusal", ()))
    assert refusal(guard) == "ReentrancyGuardReentrantCall"
    assert ring.balance(thief) == 100
    assert ring.balance(ring.rule) == sum(ring.held()) == 300


def test_a_token_that_takes_another_amount_is_refused():
    """What arrives is compared with what was asked for."""
    terms = (100, 1, 0, 0, 0, 0, *[(1, 2)] * 4, False, 0, TREASURY, 50, 50, 60, 40)
    ring = Ring("Coordinator", terms, members=1, token=of_tests("SkimmingToken"))
    assert ring.call(ring.members[0], "join", 0) == "UnfaithfulToken"
    assert sum(ring.held()) == 0
