import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.clock import Clock
from sim.money.journal import Entry, Journal
from sim.money.ledger import BURN, ISSUANCE, Ledger, LedgerError, Transfer, device_account

ACCOUNTS = [device_account(0), device_account(1), "escrow:task", ISSUANCE, BURN]


def opened() -> Ledger:
    ledger = Ledger()
    ledger.open(a for a in ACCOUNTS if a not in (ISSUANCE, BURN))
    return ledger


transfers = st.builds(
    Transfer,
    debit=st.sampled_from(ACCOUNTS),
    credit=st.sampled_from(ACCOUNTS),
    amount=st.one_of(st.integers(0, 100), st.integers(-5, 2**63)),
    reason=st.just("x"),
    asset=st.sampled_from(["A", "B"]),
)


@given(st.lists(st.lists(transfers, max_size=4), max_size=20))
def test_conservation_and_journal_whatever_is_asked(batches):
    ledger = opened()
    for batch in batches:
        before = (len(ledger.journal), [ledger.balance(a, x) for a in ACCOUNTS[:3] for x in "AB"])
        try:
            ledger.post(batch, time_s=1.0, round=1)
        except LedgerError:
            after = (
                len(ledger.journal),
                [ledger.balance(a, x) for a in ACCOUNTS[:3] for x in "AB"],
            )
            assert after == before, "a refused batch changes nothing"
    for asset in "AB":
        held = dict.fromkeys(ACCOUNTS, 0)
        for e in ledger.journal:
            if e.asset == asset:
                held[e.debit] -= e.amount
                held[e.credit] += e.amount
        assert all(held[a] == ledger.balance(a, asset) >= 0 for a in ACCOUNTS[:3])
        assert ledger.issued(asset) == -held[ISSUANCE]
        assert ledger.burned(asset) == held[BURN]
        assert sum(ledger.balance(a, asset) for a in ACCOUNTS[:3]) == ledger.issued(
            asset
        ) - ledger.burned(asset)


def test_state_round_trip():
    ledger = opened()
    ledger.post(
        [
            Transfer(ISSUANCE, "device:0", 10, "seed", "A"),
            Transfer("device:0", BURN, 3, "slash", "A"),
        ],
        time_s=0.5,
        round=2,
    )
    again = Ledger.from_state(ledger.to_state(), ledger.journal)
    assert again.journal == ledger.journal
    assert again.balance("device:0", "A") == 7


@pytest.mark.parametrize(
    ("debit", "credit", "amount"),
    [
        ("device:0", "device:1", 1),
        ("device:0", "device:0", 0),
        (BURN, "device:0", 1),
        ("device:0", ISSUANCE, 1),
        (ISSUANCE, "device:9", 1),
        (ISSUANCE, "device:0", -1),
        (ISSUANCE, "device:0", 1.5),
        (ISSUANCE, "device:0", True),
        (ISSUANCE, "device:0", 2**63),
    ],
)
def test_refused(debit, credit, amount):
    with pytest.raises(LedgerError):
        opened().post([Transfer(debit, credit, amount, "x", "A")], time_s=0, round=0)


def test_supply_cannot_overflow():
    ledger = opened()
    ledger.post([Transfer(ISSUANCE, "device:0", 2**63 - 1, "x", "A")], time_s=0, round=0)
    with pytest.raises(LedgerError, match="supply"):
        ledger.post([Transfer(ISSUANCE, "device:1", 1, "x", "A")], time_s=0, round=0)


def test_a_corrupted_balance_is_noticed():
    ledger = opened()
    ledger.post([Transfer(ISSUANCE, "device:0", 10, "x", "A")], time_s=0, round=0)
    ledger._balances["A"]["device:1"] += 1
    with pytest.raises(AssertionError, match="not conserved"):
        ledger.post([Transfer(ISSUANCE, "device:0", 1, "x", "A")], time_s=0, round=0)


def refusal(act, *args, **options) -> str:
    """Return why the ledger refuses an act; "" where it does not."""
    try:
        act(*args, **options)
    except LedgerError as error:
        return str(error)
    return ""


moves = st.tuples(
    st.sampled_from(["device:0", "device:1", "escrow:task", "device:9", BURN]),
    st.sampled_from(["device:0", "device:1", "escrow:task", "device:9", ISSUANCE]),
    st.one_of(st.integers(-1, 30), st.sampled_from([2**63 - 1, 2**63, True, 1.0])),
)


@given(st.lists(moves, max_size=30))
def test_moving_is_posting_one_transfer(asked):
    """The short way changes and refuses exactly what a posting does."""
    ledgers = opened(), opened()
    for ledger in ledgers:
        for account in ("device:0", "escrow:task"):
            transfer = Transfer(ISSUANCE, account, 40, "initial", "A")
            ledger.post([transfer], time_s=0.0, round=0)
    short, whole = ledgers
    clock = Clock(round=3)
    move = short.mover("A", clock)
    for debit, credit, amount in asked:
        transfer = Transfer(debit, credit, amount, "x", "A")
        moved = refusal(move, debit, credit, amount, "x", 2.5)
        posted = refusal(whole.post, [transfer], time_s=2.5, round=clock.round)
        assert moved == posted
        short.check()
    assert short.journal == whole.journal
    assert short.to_state() == whole.to_state()


def test_accounts_that_are_opened_later_can_be_moved_to():
    ledger = opened()
    ledger.post([Transfer(ISSUANCE, "device:0", 10, "initial", "A")], time_s=0.0, round=0)
    move = ledger.mover("A", Clock())
    ledger.open(["device:2"])
    move("device:0", "device:2", 4, "x", 1.0)
    assert [ledger.balance(f"device:{d}", "A") for d in (0, 1, 2)] == [6, 0, 4]


lines = st.lists(
    st.builds(
        Entry,
        st.floats(0, 1e9),
        st.integers(0, 9),
        st.sampled_from(ACCOUNTS),
        st.sampled_from(ACCOUNTS),
        st.sampled_from("AB"),
        st.integers(0, 2**63 - 1),
        st.text(max_size=3),
    ),
    max_size=12,
)


@given(lines, st.sets(st.integers(0, 12)), st.integers(-14, 14), st.integers(-14, 14))
def test_a_journal_is_a_list_of_entries_whenever_it_makes_columns(entries, settled, start, stop):
    journal = Journal()
    for number, entry in enumerate(entries):
        journal.new.append(tuple(entry))
        if number in settled:
            journal.settle()
        assert len(journal) == number + 1
    assert journal[start:stop] == entries[start:stop]
    assert list(journal) == entries
    assert [journal[i] for i in range(-len(entries), len(entries))] == entries * 2
    assert journal == Journal(entries)
    columns = {name: column.to_pylist() for name, column in journal.arrow().items()}
    assert columns == {name: [getattr(e, name) for e in entries] for name in Entry._fields}
    with pytest.raises(IndexError):
        journal[len(entries)]
