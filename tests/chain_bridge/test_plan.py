"""The plan of a run: the journal entry by entry, notes that anybody can check, no chain."""

import hashlib
import json
import struct
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain_bridge.devices import NO_DEVICE, account_of, device_of
from chain_bridge.errors import PlanError
from chain_bridge.fees import apportion
from chain_bridge.packing import pack
from chain_bridge.plan import MONEY, make_plan
from chain_bridge.pricing import dispatch_info
from chain_bridge.recording import BURN, ISSUANCE, Recording, read
from chain_bridge.runtime import Limits, Weight
from chain_bridge.scale import compact
from chain_bridge.script import Price, Script
from tests.chain_bridge.conftest import COORDINATOR


def recording(entries):
    """A run that did nothing but move money."""
    journal = pd.DataFrame(
        entries, columns=["round", "debit", "credit", "asset", "amount", "reason"]
    )
    return Recording(Path("run"), "id", {}, journal)


PAID = (1, ISSUANCE, "device:0", "S", 5, "x")
ACCOUNTS = [f"device:{i}" for i in range(4)] + ["escrow:pool"]


@st.composite
def journals(draw):
    """Journals that a ledger would let pass."""
    held, entries, r = dict.fromkeys(ACCOUNTS, 0), [], 0
    for _ in range(draw(st.integers(1, 40))):
        r += draw(st.integers(0, 1))
        debit = draw(st.sampled_from([ISSUANCE, *[a for a in ACCOUNTS if held[a]]]))
        credit = draw(
            st.sampled_from(
                [a for a in [*ACCOUNTS, BURN] if a != debit and (debit, a) != (ISSUANCE, BURN)]
            )
        )
        amount = draw(st.integers(1, 10**12 if debit == ISSUANCE else held[debit]))
        for name, change in ((debit, -amount), (credit, amount)):
            if name in held:
                held[name] += change
        entries.append(
            (r, debit, credit, "STAKE", amount, draw(st.sampled_from(["reward", "slash"])))
        )
    return entries


@given(journals())
def test_money_is_the_journal_in_its_order(entries):
    plan = make_plan(recording(entries))
    money = [a for a in plan.actions if a.kind in MONEY]
    assert [(a.round, a.debit, a.credit, "STAKE", a.amount, a.reason) for a in money] == entries
    assert [a.number for a in money] == list(range(len(entries)))
    assert all(
        (a.kind == "mint") == (a.debit == ISSUANCE) and (a.kind == "burn") == (a.credit == BURN)
        for a in money
    )
    assert [a.round for a in plan.actions] == sorted(a.round for a in plan.actions)


@given(journals(), st.data())
def test_any_change_of_the_journal_is_another_run(entries, data):
    at = data.draw(st.integers(0, len(entries) - 1))
    changed = [*entries]
    changed[at] = (*entries[at][:4], entries[at][4] + 1, entries[at][5])
    assert recording(entries).identity != recording(changed).identity


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([PAID, (1, "device:0", "escrow:e", "S", 6, "stake")], "device:0 would hold -1 S"),
        ([(1, ISSUANCE, "device:0", "S", 0, "x")], "moves 0 from issuance to device:0"),
        ([(1, "device:0", "device:0", "S", 3, "x")], "moves 3 from device:0 to device:0"),
        ([(1, BURN, "device:0", "S", 3, "x")], "moves 3 from burn"),
        ([(1, ISSUANCE, BURN, "S", 3, "x")], "burns what it issues"),
        ([(2, *PAID[1:]), (1, ISSUANCE, "device:0", "S", 6, "x")], "comes after round 2"),
        ([PAID, (1, ISSUANCE, "device:0", "T", 6, "x")], "assets S, T; a replay moves one"),
    ],
)  # fmt: skip
def test_journals_that_cannot_be(entries, message):
    with pytest.raises(PlanError, match=f"journal.parquet: .*{message}|journal.parquet: {message}"):
        make_plan(recording(entries))


@pytest.mark.parametrize("number", ["abc", "", "007", "-3", "\u0663", "1 ", "9" * 30])
def test_an_account_that_is_only_nearly_a_device_s_is_nobody_s(number):
    """Two accounts never have one owner, whatever a journal from outside names them."""
    name = f"device:{number}"
    plan = make_plan(recording([(1, ISSUANCE, name, "S", 5, "x")]))
    assert [a.device for a in plan.actions if a.credit == name] == [NO_DEVICE]
    assert device_of(name) == NO_DEVICE


@given(st.integers(0, 10**18 - 1))
def test_the_number_of_a_device_is_read_from_its_account(device):
    assert device_of(account_of(device)) == device


def role_lines(participants):
    """`device,role` of every device with a role, by device."""
    seated = participants[participants["role"].notna()].sort_values("device")
    return [f"{d},{role}" for d, role in zip(seated["device"], seated["role"], strict=True)]


def vote_lines(votes):
    """`validator,worker,vote` of every vote that counted, by validator and worker."""
    counted = votes[votes["status"] == "counted"].sort_values(["validator", "worker"])
    columns = (counted[c] for c in ("validator", "worker", "vote"))
    return [f"{v},{w},{int(x)}" for v, w, x in zip(*columns, strict=True)]


LINES = {"roles": ("participants", role_lines), "votes": ("votes", vote_lines)}


class TestNotes:
    @pytest.fixture
    def planned(self, recorded):
        folder = recorded(**COORDINATOR)
        run = read(folder)
        return run, [
            json.loads(a.data) | {"reason": a.reason}
            for a in make_plan(run).actions
            if a.kind == "note"
        ]

    def test_every_reveal_opens_its_commitment(self, planned):
        run, notes = planned
        sealed = {
            (n["round"], n["device"]): n["value"] for n in notes if n["reason"] == "commitment"
        }
        opened = {(n["round"], n["device"]): n["value"] for n in notes if n["reason"] == "reveal"}
        devices = run.tables["participants"]
        unopened = devices[
            devices["commitment"].notna() & devices["conduct"].isin(["unrevealed", "mismatched"])
        ]
        silent = {
            (int(r), int(d)) for r, d in zip(unopened["round"], unopened["device"], strict=True)
        }
        assert opened
        assert sealed.keys() - opened.keys() == silent
        for (r, device), value in opened.items():
            commitment = hashlib.sha256(
                b"commit" + struct.pack("<q", device) + bytes.fromhex(value)
            ).hexdigest()
            assert commitment == sealed[r, device]

    def test_digests_follow_from_the_tables(self, planned):
        run, notes = planned
        checked = set()
        for n in notes:
            if n["reason"] in LINES:
                name, lines_of = LINES[n["reason"]]
                table = run.tables[name]
                lines = lines_of(table[table["round"] == n["round"]])
                assert lines
                assert n["sha256"] == hashlib.sha256("\n".join(lines).encode()).hexdigest()
                checked.add(n["reason"])
        assert checked == LINES.keys()

    def test_they_come_before_the_money_of_their_round(self, planned):
        run, _ = planned
        kinds = {}
        for a in make_plan(run).actions:
            kinds.setdefault(a.round, []).append(a.kind)
        for in_order in kinds.values():
            notes = [i for i, k in enumerate(in_order) if k == "note"]
            money = [i for i, k in enumerate(in_order) if k in MONEY]
            assert not notes or not money or max(notes) < min(money)


def test_blocks_of_the_winner_are_noted(recorded):
    run = read(recorded())
    blocks = run.tables["blocks"]
    noted = {
        a.round: json.loads(a.data)["hash"] for a in make_plan(run).actions if a.reason == "block"
    }
    best = (
        blocks[blocks["status"] == "adopted"]
        .sort_values("adopters")
        .groupby("round")["hash"]
        .last()
    )
    assert noted == {int(r): h for r, h in best.items()}


class TestReading:
    @pytest.mark.parametrize("name", ["journal", "votes"])
    def test_a_damaged_table(self, recorded, tmp_path, name):
        folder = recorded()
        raw = bytearray((folder / f"{name}.parquet").read_bytes())
        raw[len(raw) // 2] ^= 1
        (folder / f"{name}.parquet").write_bytes(bytes(raw))
        with pytest.raises(
            PlanError, match=f"{name}.parquet: damaged, its SHA-256 is not the recorded one"
        ):
            read(folder)

    def test_a_missing_table(self, recorded):
        folder = recorded()
        (folder / "journal.parquet").unlink()
        with pytest.raises(PlanError, match=r"incomplete, journal.parquet is missing"):
            read(folder)

    def test_no_run(self, tmp_path):
        with pytest.raises(PlanError, match=r"no manifest.json: not a complete run directory"):
            read(tmp_path)


@given(st.integers(0, 10**18), st.lists(st.integers(0, 10**15), min_size=1, max_size=50))
def test_shares_of_a_fee_add_up(total, weights):
    shares = apportion(total, weights)
    assert sum(shares) == total
    assert len(shares) == len(weights)
    if sum(weights):
        assert all(
            abs(s - total * w / sum(weights)) <= 1 + total / 2**50
            for s, w in zip(shares, weights, strict=True)
        )


class TestPacking:
    """Batches by prices that a test sets: no chain is asked."""

    ONE = Price(Weight(10, 7), 5, 1)

    def script(self, entries, base=Price(Weight(20, 10), 30, 3)):  # noqa: B008 - a tuple
        plan = make_plan(recording(entries))
        return Script(
            plan, None, None, list(plan.actions), [], dict.fromkeys(MONEY, self.ONE), base
        )

    @given(
        journals(),
        st.integers(1, 10_000),
        st.sampled_from([0, 40, 200, 10_000]),
        st.integers(60, 5_000),
        st.none() | st.integers(2, 50),
        st.none() | st.integers(1, 9),
    )
    def test_no_batch_is_over_any_limit(self, entries, time, proof, length, calls, most):
        script = self.script(entries)
        limits = Limits(Weight(100 + time, proof), length, calls)
        batches = pack(
            script,
            limits,
            most if most and most <= time // 20 and (not proof or proof > 100) else None,
        )
        assert [i for b in batches for i in range(b.start, b.stop)] == list(
            range(len(script.actions))
        )
        for b in batches:
            n = b.stop - b.start
            assert len({a.round for a in script.actions[b.start : b.stop]}) == 1
            assert n == 1 or 20 + 10 * n <= 0.85 * limits.weight.ref_time
            assert n == 1 or not proof or 10 + 7 * n <= 0.85 * proof
            assert n == 1 or 30 + 5 * n <= 0.85 * length
            assert calls is None or n <= calls - 1

    def test_storage_proofs_bind_where_the_runtime_counts_them(self):
        """Runtimes since weights V2: bytes of proof are used up before time."""
        entries = [(1, ISSUANCE, "device:0", "S", 1, "x")] * 100
        timed, proven = (
            pack(self.script(entries), Limits(Weight(10**6, p), 10**6, None)) for p in (0, 100)
        )
        assert [b.stop - b.start for b in timed] == [100]
        assert [b.stop - b.start for b in proven] == [10] * 10

    def test_what_the_runtime_tells_of_a_call(self):
        fee = (12345).to_bytes(16, "little")
        assert dispatch_info((10**9).to_bytes(8, "little") + b"\0" + fee, False) == (
            Weight(10**9),
            12345,
        )
        assert dispatch_info(compact(10**9) + compact(3593) + b"\0" + fee, True) == (
            Weight(10**9, 3593),
            12345,
        )
