import pytest
from hypothesis import given
from hypothesis import strategies as st

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
