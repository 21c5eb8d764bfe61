"""The turns of signers: money is there before it is spent, notes keep their order, batches few."""

from collections import Counter, defaultdict

from hypothesis import given
from hypothesis import strategies as st

from chain_bridge.custody import OwnedAsset, allowance
from chain_bridge.money import OPERATOR
from chain_bridge.packing import pack
from chain_bridge.plan import MONEY, Action, make_plan
from chain_bridge.recording import BURN, ISSUANCE
from chain_bridge.runtime import Limits, Weight
from chain_bridge.script import Price, Script, majority
from chain_bridge.turns import take_turns
from tests.chain_bridge.test_plan import ACCOUNTS, journals, recording

RICH = [(0, ISSUANCE, account, "STAKE", 10**15, "initial") for account in ACCOUNTS]
PRICE = Price(Weight(10, 7), 5, 1)


class Every(dict):
    """One price for every sort of call."""

    def __missing__(self, sort):
        return PRICE


def script_of(plan, actions=None):
    """A script of devices that sign; who does follows from the actions alone, without a chain."""
    actions = list(plan.actions) if actions is None else actions
    script = Script(plan, None, object.__new__(OwnedAsset), actions, [], Every(), PRICE)
    script.custody = "devices"
    return script


def turns_of(entries):
    return take_turns(script_of(make_plan(recording(entries))))


def paid_by(turn):
    return {a.debit for a in turn.actions if a.kind == "transfer"}


@given(journals(), st.randoms(use_true_random=False))
def test_money_is_there_in_every_order_within_a_phase(entries, draw):
    turns = turns_of(entries)
    phases = defaultdict(list)
    for turn in turns:
        phases[turn.phase].append(turn)
    held = Counter()
    for phase in sorted(phases):
        draw.shuffle(phases[phase])
        for turn in phases[phase]:
            for a in turn.actions:
                held[a.debit] -= a.amount
                held[a.credit] += a.amount
                assert a.debit == ISSUANCE or held[a.debit] >= 0
    assert [t.phase for t in turns] == sorted(t.phase for t in turns)


@given(journals())
def test_every_entry_once_in_its_round_and_in_its_signers_order(entries):
    turns = turns_of(entries)
    by_signer = defaultdict(list)
    for turn in turns:
        assert len({a.round for a in turn.actions}) == 1
        by_signer[turn.signer] += [a.number for a in turn.actions]
    assert sorted(n for numbers in by_signer.values() for n in numbers) == list(range(len(entries)))
    assert all(numbers == sorted(numbers) for numbers in by_signer.values())
    assert [t.actions[0].round for t in turns] == sorted(t.actions[0].round for t in turns)


@given(journals())
def test_devices_pay_themselves_and_the_operator_what_is_nobodys(entries):
    for turn in turns_of(entries):
        device = f"device:{turn.signer}"
        if turn.signer == OPERATOR:
            assert not any(name.startswith("device:") for name in paid_by(turn))
        else:
            assert {a.kind for a in turn.actions} == {"transfer"}
            assert paid_by(turn) == {device}


@given(journals())
def test_who_can_pay_waits_for_nobody(entries):
    later = [(r + 1, *rest) for r, *rest in entries]
    turns = turns_of([*RICH, *later])
    signers = Counter((t.actions[0].round, t.signer) for t in turns)
    assert set(signers.values()) == {1}


def test_who_cannot_pay_waits_for_the_payer_alone():
    entries = [
        (1, ISSUANCE, "device:0", "S", 5, "x"),
        (1, ISSUANCE, "device:1", "S", 5, "x"),
        (2, "device:0", "escrow:a", "S", 5, "stake"),
        (2, "device:1", "escrow:b", "S", 5, "stake"),
        (2, "escrow:a", "device:1", "S", 2, "reward"),
        (2, "device:1", "device:2", "S", 2, "bribe"),
        (2, "device:2", BURN, "S", 1, "x"),
    ]
    turns = [t for t in turns_of(entries) if t.actions[0].round == 2]
    found = [(t.signer, [a.reason for a in t.actions]) for t in turns]
    assert found == [
        (0, ["stake"]),
        (OPERATOR, ["reward"]),
        (1, ["stake", "bribe"]),
        (OPERATOR, ["x"]),
    ]


def note(reason, device=-1):
    return Action(1, "note", reason, device=device, data=reason.encode())


def test_commitments_come_before_reveals_and_these_before_what_the_operator_pays():
    notes = [note("roles"), *[note(what, d) for what in ("commitment", "reveal") for d in (0, 1)]]
    entries = [
        (0, ISSUANCE, "device:0", "S", 9, "x"),
        (1, "device:0", "escrow:a", "S", 5, "stake"),
        (1, ISSUANCE, "device:1", "S", 5, "reward"),
    ]
    money = make_plan(recording(entries))
    first, *rest = money.actions
    turns = take_turns(script_of(money, [first, *notes, note("votes"), *rest]))
    found = [(t.signer, [a.reason for a in t.actions]) for t in turns]
    assert found == [
        (OPERATOR, ["x"]),
        (OPERATOR, ["roles"]),
        (0, ["commitment"]),
        (1, ["commitment"]),
        (0, ["reveal", "stake"]),
        (1, ["reveal"]),
        (OPERATOR, ["votes", "reward"]),
    ]
    phases = [t.phase for t in turns]
    assert phases[2] == phases[3] < phases[4] == phases[5] < phases[6]


@given(st.integers(2, 9))
def test_the_last_approval_comes_after_all_others_in_a_later_block(size):
    members = tuple(range(size))
    seats = members[: majority(members)]
    actions = [Action(1, "propose", "approval", device=seats[0], members=members)]
    actions += [
        Action(1, "approve", "approval", device=seat, members=members, number=count)
        for count, seat in enumerate(seats[1:], start=2)
    ]
    script = script_of(make_plan(recording([])), actions)
    batches = pack(script, Limits(Weight(10**6, 10**6), 10**6, None, Weight(10**9, 10**9)))
    assert batches[0].block == 0
    assert {b.block for b in batches[1:]} == {1}
    assert [b.signer for b in batches] == list(seats)
    assert all(b.phase < batches[-1].phase for b in batches[:-1])


@given(journals(), st.integers(60, 2_000), st.integers(1, 9))
def test_no_block_and_no_batch_is_over_its_limit(entries, weight, most):
    limits = Limits(Weight(1000, 1000), 10**6, None, Weight(weight, weight), Weight(3, 3))
    script = script_of(make_plan(recording(entries)))
    batches = pack(script, limits, most)
    assert [i for b in batches for i in range(b.start, b.stop)] == list(range(len(entries)))
    assert sorted(a.number for a in script.actions) == list(range(len(entries)))
    blocks = defaultdict(list)
    for b in batches:
        assert b.stop - b.start <= most
        blocks[b.block].append(b)
        signers = {script.signer(a) for a in script.actions[b.start : b.stop]}
        assert signers == {b.signer}
    for inside in blocks.values():
        used = sum(10 * (b.stop - b.start) + 10 + 3 for b in inside)
        assert len(inside) == 1 or used <= 0.85 * weight
        assert len({b.round for b in inside}) == 1
    assert [b.block for b in batches] == sorted(b.block for b in batches)


def test_the_script_of_devices_is_another_than_that_of_the_operator():
    plan = make_plan(recording([(1, ISSUANCE, "device:0", "S", 5, "x")]))
    limits = Limits(Weight(1000), 10**6, None)
    digests = set()
    for custody in ("operator", "devices"):
        script = script_of(plan)
        script.money.unit, script.money.scale, script.custody = "asset 1", 1, custody
        script.batches = pack(script, limits)
        assert all(a.kind in MONEY for a in script.actions)
        digests.add(script.digest)
    assert len(digests) == 2


@given(st.integers(1, 10**15))
def test_funds_are_a_power_of_two_of_at_least_twice_the_need(needs):
    amount = allowance(needs)
    assert 2 * needs <= amount < 4 * needs
    assert amount.bit_count() == 1
