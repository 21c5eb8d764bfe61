"""Declared notes: the bytes of every form, and declarations that a manifest must not hold."""

import hashlib
import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain_bridge.errors import PlanError
from chain_bridge.notes import check_columns, parse
from chain_bridge.plan import MOST_SEATS, Action, make_plan
from chain_bridge.recording import Recording, read
from fedstake.errors import InputError
from tests.forging import resealed

FILE = Path("run/manifest.json")
TABLES = {
    "seats": pd.DataFrame(
        {
            "round": [1, 1, 1, 2],
            "device": [10, 9, 2, 9],
            "role": ["b", "a", None, None],
            "seal": [None, "ee", "dd", "cc"],
        }
    ).astype({"device": "Int64"}),
    "votes": pd.DataFrame(
        {
            "round": [1, 1, 1, 1, 3],
            "judge": [7, 7, 6, 5, 8],
            "of": [2, 1, 1, 1, 1],
            "vote": pd.array([True, False, None, True, True], dtype="boolean"),
            "good": pd.array([True, None, True, False, True], dtype="boolean"),
        }
    ),
    "models": pd.DataFrame(
        {
            "round": [1, 2],
            "weights": ["aa" * 32, "bb" * 32],
            "parent": ["", "aa" * 32],
            "author": pd.array([None, 4], dtype="Int64"),
            "status": ["genesis", "released"],
        }
    ),
}


def sha(*lines):
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def planned(*notes, tables=TABLES, entries=()):
    """The actions of a run with these declarations and journal entries."""
    columns = ["round", "debit", "credit", "asset", "amount", "reason"]
    declared = parse({"notes": list(notes)}, [f"{name}.parquet" for name in tables], FILE)
    check_columns(declared, tables, FILE)
    journal = pd.DataFrame(entries, columns=columns)
    return make_plan(Recording(FILE.parent, "id", {}, journal, declared, tables)).actions


def note(**changes):
    """A declaration, as the manifest of a run has it."""
    plain = {"type": "note", "reason": "roles", "table": "seats", "columns": {"device": "device"}}
    return plain | changes


class TestBytes:
    """What is on a chain once must stay what it is: these bytes are written down."""

    def test_a_note_of_every_round(self):
        columns = {"device": "device", "role": "role"}
        actions = planned(note(columns=columns, present=["role"], order=["device"]))
        # Round 2 has rows, none of which qualifies: the digest of nothing.
        assert [(a.round, a.kind, a.reason, a.device) for a in actions] == [
            (1, "note", "roles", -1),
            (2, "note", "roles", -1),
        ]
        assert [a.data for a in actions] == [
            b'{"fedstake":"roles","round":1,"sha256":'
            b'"154ce437170319a4fca57f698f7fcace46375a8dcd146b18ce23e5971eb32f04"}',
            b'{"fedstake":"roles","round":2,"sha256":'
            b'"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}',
        ]
        assert sha("9,a", "10,b") in actions[0].text()

    def test_truth_values_in_a_digest_are_1_and_0(self):
        columns = {"judge": "judge", "of": "of", "vote": "vote"}
        order = ["judge", "of"]
        votes = note(reason="votes", table="votes", columns=columns, order=order)
        first, last = planned(votes)
        assert json.loads(first.data)["sha256"] == sha("5,1,1", "6,1,", "7,1,0", "7,2,1")
        assert json.loads(last.data)["sha256"] == sha("8,1,1")

    def test_lines_do_not_depend_on_the_order_of_keys(self):
        """Objects of JSON have none: first the columns that sort, then the others by name."""
        columns = {"judge": "judge", "of": "of", "vote": "vote"}
        changed = {name: columns[name] for name in ("vote", "of", "judge")}
        order = ["judge", "of"]
        one, two = (
            planned(note(reason="votes", table="votes", columns=c, order=order))
            for c in (columns, changed)
        )
        assert one == two

    def test_a_note_of_every_row(self):
        seal = {"columns": {"value": "seal", "device": "device"}, "present": ["seal"]}
        order = ["-device"]
        actions = planned(note(reason="seal", per="row", order=order, device="device", **seal))
        assert actions == (
            Action(
                1,
                "note",
                "seal",
                device=9,
                data=b'{"device":9,"fedstake":"seal","round":1,"value":"ee"}',
            ),
            Action(
                1,
                "note",
                "seal",
                device=2,
                data=b'{"device":2,"fedstake":"seal","round":1,"value":"dd"}',
            ),
            Action(
                2,
                "note",
                "seal",
                device=9,
                data=b'{"device":9,"fedstake":"seal","round":2,"value":"cc"}',
            ),
        )

    def test_names_that_the_bridge_uses_itself(self):
        (action,) = planned(
            note(per="first", columns={"reason": "device", "value": "role"}, equal={"role": "a"})
        )
        assert action.data == b'{"fedstake":"roles","reason":9,"round":1,"value":"a"}'

    def test_a_note_of_the_first_row(self):
        (action,) = planned(
            note(
                reason="best",
                table="votes",
                per="first",
                columns={"by": "judge", "vote": "vote"},
                equal={"good": True, "of": 1},
                order=["-judge"],
                present=["vote"],
                device="judge",
            ),
            tables={"votes": TABLES["votes"][TABLES["votes"]["round"] == 3]},
        )
        assert action == Action(
            3,
            "note",
            "best",
            device=8,
            data=b'{"by":8,"fedstake":"best","round":3,"vote":true}',
        )

    def test_versions(self):
        columns = {"data": ["weights", "parent"], "author": "author", "status": "status"}
        assert planned({"type": "versions", "table": "models"} | columns) == (
            Action(0, "collection", "registry"),
            Action(1, "version", "version.genesis"),
            Action(1, "metadata", "version.genesis", data=b"\xaa" * 32),
            Action(2, "version", "version.released", device=4, number=1),
            Action(
                2,
                "metadata",
                "version.released",
                device=4,
                data=b"\xbb" * 32 + b"\xaa" * 32,
                number=1,
            ),
        )

    def test_a_run_without_versions_has_no_collection(self):
        versions = {"data": ["weights"], "author": "author", "status": "status"}
        tables = {"seats": TABLES["seats"]}
        assert planned({"type": "versions", "table": "models"} | versions, tables=tables) == ()

    def test_licences(self):
        sold = {"type": "licences", "table": "votes", "buyer": "judge", "equal": {"vote": True}}
        actions = planned({**sold, "attributes": {"of": "of", "good": "good"}})
        assert [a.number for a in actions if a.kind == "licence"] == [0, 1, 2]
        assert actions[:4] == (
            Action(0, "licences", "licences"),
            Action(1, "licence", "licence", device=7),
            Action(1, "attribute", "licence", device=7, data=b"of=2"),
            Action(1, "attribute", "licence", device=7, data=b"good=1"),
        )
        assert planned({**sold, "attributes": {}}, tables={"seats": TABLES["seats"]}) == ()

    @pytest.mark.parametrize(
        ("column", "value", "message"),
        [
            ("judge", -1, "buyer -1; must be 0 to"),
            ("judge", MOST_SEATS, "must be 0 to"),
            ("of", 10**70, "of of 71 bytes; at most 64"),
        ],
    )
    def test_licences_that_no_chain_takes(self, column, value, message):
        votes = TABLES["votes"].astype({column: object})
        votes.loc[0, column] = value
        sold = {"type": "licences", "table": "votes", "buyer": "judge", "attributes": {"of": "of"}}
        with pytest.raises(PlanError, match=message):
            planned(sold, tables={"votes": votes})

    def test_an_approval(self):
        chosen = note(reason="chosen", equal={"role": "a"})
        result = {"reason": "result", "table": "votes", "members": "judge"}
        actions = planned({"type": "approval", "digests": {"chosen": chosen}} | result)
        text = f'{{"chosen":"{sha("9")}","fedstake":"result","round":1}}'.encode()
        members = (5, 6, 7)
        # Two of three approve; round 3 has one member and no approval.
        assert actions == (
            Action(1, "propose", "approval", device=5, data=text, members=members),
            Action(1, "approve", "approval", device=6, data=text, members=members, number=2),
        )

    def test_notes_come_before_money_and_results_after_it(self):
        versions = {"data": ["weights"], "author": "author", "status": "status"}
        actions = planned(
            {"type": "versions", "table": "models"} | versions,
            note(),
            note(reason="again"),
            entries=[(1, "issuance", "device:1", "S", 5, "reward")],
        )
        assert [a.reason for a in actions if a.round == 1] == [
            "roles",
            "again",
            "reward",
            "version.genesis",
            "version.genesis",
        ]


WRONG = [
    ("nothing", r"notes: input should be a valid array"),
    ([7], r"notes\.0: input should be an object"),
    ([{"type": "verse"}], r"notes\.0: .*'note', 'approval', 'versions', 'licences'"),
    ([{"reason": "x"}], r"notes\.0: unable to extract tag"),
    ([note(), note(per="week")], r"notes\.1\.per: .*'round', 'row' or 'first' \(it is 'week'\)"),
    ([note(pay="device:3")], r"notes\.0\.pay: extra inputs are not permitted"),
    ([{"type": "note", "reason": "x", "table": "seats"}], r"notes\.0\.columns: field required"),
    ([note(**{"two\nlines": 1})], r"notes\.0\.'two\\nlines': extra inputs are not permitted"),
    ([note(columns={})], r"notes\.0\.columns: .* at least 1 item"),
    ([note(columns={"fedstake": "role"})], r"notes\.0: columns must not name 'fedstake'"),
    ([note(columns={"round": "role"})], r"notes\.0: columns must not name 'round'"),
    ([note(columns=["device"])], r"notes\.0\.columns: input should be an object"),
    ([note(columns={"x": 3})], r"notes\.0\.columns\.x: input should be a valid string"),
    ([note(reason="two\nlines")], r"notes\.0\.reason: .*pattern"),
    ([note(reason="")], r"notes\.0\.reason: .*pattern"),
    ([note(table="../../etc/passwd")], r"notes\.0\.table: .*pattern"),
    ([note(table="/etc/passwd")], r"notes\.0\.table: .*pattern"),
    ([note(table="seats.parquet")], r"notes\.0\.table: .*pattern"),
    ([note(table="..")], r"notes\.0\.table: .*pattern"),
    ([note(table="gone")], r"notes\.0\.table: 'gone' must be a table of the run"),
    ([note(columns={"x": "gone"})], r"notes\.0: column 'gone' is not in seats.parquet, which has"),
    ([note(order=["-gone"])], r"notes\.0: column 'gone' is not in seats.parquet"),
    ([note(equal={"gone": 1})], r"notes\.0: column 'gone' is not in seats.parquet"),
    ([note(equal={"role": None})], r"notes\.0\.equal\.role"),
    ([note(equal={"role": 1.5})], r"notes\.0\.equal\.role"),
    ([note(order="device")], r"notes\.0\.order: input should be a valid array"),
    ([note(device="device")], r'notes\.0: device must be "" in a note of a whole round'),
    ([note(per="row", device="gone")], r"notes\.0: column 'gone' is not in seats.parquet"),
    ([note()] * 101, r"notes: .* at most 100 items"),
    (
        [{"type": "versions", "table": "models", "data": [], "author": "a", "status": "s"}],
        r"notes\.0\.data: .* at least 1 item",
    ),
    (
        2 * [{"type": "versions", "table": "x", "data": ["w"], "author": "a", "status": "s"}],
        r"notes: two declarations of type versions",
    ),
    (
        2 * [{"type": "licences", "table": "x", "buyer": "b", "attributes": {}}],
        r"notes: two declarations of type licences",
    ),
    (
        [{"type": "licences", "table": "seats", "buyer": "gone", "attributes": {}}],
        r"notes\.0: column 'gone' is not in seats.parquet",
    ),
    (
        [
            {
                "type": "approval",
                "reason": "r",
                "table": "votes",
                "members": "judge",
                "digests": {"x": note(per="row")},
            }
        ],
        r'notes\.0: digests\.x\.per must be "round"',
    ),
    (
        [
            {
                "type": "approval",
                "reason": "r",
                "table": "votes",
                "members": "judge",
                "digests": {"x": note(table="gone")},
            }
        ],
        r"notes\.0\.digests\.x\.table: 'gone' must be a table of the run",
    ),
]


class TestWrongDeclarations:
    @pytest.mark.parametrize(("notes", "message"), WRONG, ids=[m for _, m in WRONG])
    def test_is_one_line_that_names_the_key(self, notes, message):
        with pytest.raises(PlanError, match=rf"^run/manifest.json: {message}") as refused:
            planned(*notes) if isinstance(notes, list) else parse({"notes": notes}, [], FILE)
        assert "\n" not in str(refused.value)
        assert isinstance(refused.value, InputError)
        assert refused.value.exit_code == 2

    def test_no_declarations_at_all(self):
        with pytest.raises(PlanError, match=r"notes: missing; must be the list .* record the run"):
            parse({}, [], FILE)

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from([*note(), "per", "equal", "data", "digests"]) | st.text(),
                    inner | st.sampled_from(["note", "approval", "versions", "licences", "seats"]),
                    max_size=6,
                )
            ),
        )
    )
    def test_nothing_else_is_ever_raised(self, notes):
        fault = ""
        try:
            declared = parse({"notes": notes}, ["seats.parquet"], FILE)
            check_columns(declared, TABLES, FILE)
        except PlanError as error:
            fault = str(error)
        assert "\n" not in fault

    def test_very_deep_nesting(self):
        notes = []
        for _ in range(900):
            notes = [notes]
        with pytest.raises(PlanError, match=r"run/manifest.json: notes"):
            parse({"notes": notes}, [], FILE)


class TestWrongValues:
    """Tables come from a file too."""

    def with_values(self, **columns):
        return {"seats": pd.DataFrame({"round": [1]} | {k: [v] for k, v in columns.items()})}

    @pytest.mark.parametrize("value", [b"raw", [1, 2], float("inf"), "x" * 5000])
    def test_in_a_note(self, value):
        tables = self.with_values(device=1)
        tables["seats"]["x"] = pd.Series([value], dtype=object)
        with pytest.raises(PlanError, match=r"seats.parquet: unfit for the declared note"):
            planned(note(per="row", columns={"x": "x"}), tables=tables)

    def test_rounds_that_are_no_integers(self):
        tables = {"seats": pd.DataFrame({"round": [1.5], "device": [1]})}
        with pytest.raises(PlanError, match=r"seats.parquet: round must hold integers"):
            planned(note(), tables=tables)

    def test_devices_that_are_no_numbers(self):
        tables = self.with_values(device=float("inf"))
        with pytest.raises(PlanError, match=r"seats.parquet: unfit for the declared note"):
            planned(note(per="row", device="device"), tables=tables)

    @pytest.mark.parametrize("value", ["no", "aa" * 129])
    def test_digests_that_are_not_hexadecimal_or_too_long(self, value):
        versions = {"type": "versions", "table": "seats", "author": "a", "status": "s"}
        tables = self.with_values(w=value, a=1, s="released")
        with pytest.raises(PlanError, match=r"seats.parquet: unfit for the declared versions"):
            planned(versions | {"data": ["w"]}, tables=tables)

    @pytest.mark.parametrize("member", [-2, MOST_SEATS])
    def test_members_that_cannot_have_a_seat(self, member):
        tables = {"seats": pd.DataFrame({"round": [1, 1], "device": [3, member]})}
        approval = {"type": "approval", "reason": "r", "table": "seats", "members": "device"}
        with pytest.raises(PlanError, match=rf"seats.parquet: round 1: members .*{member}"):
            planned(approval | {"digests": {}}, tables=tables)


def rewritten(folder, change):
    """Change the manifest of a recorded run."""
    resealed(folder / "manifest.json", change)
    return folder


class TestRuns:
    def test_an_older_manifest(self, recorded):
        folder = rewritten(recorded(), lambda manifest: manifest.pop("notes"))
        with pytest.raises(PlanError, match=r"manifest.json: notes: missing") as refused:
            read(folder)
        assert "\n" not in str(refused.value)

    def test_a_wrong_manifest(self, recorded):
        def change(manifest):
            manifest["notes"][0]["columns"]["role"] = "salary"

        folder = rewritten(recorded(), change)
        with pytest.raises(
            PlanError, match=r"manifest.json: notes.0: column 'salary' is not in participants"
        ):
            read(folder)

    def test_files_that_are_not_described(self, recorded):
        def change(manifest):
            manifest["files"]["journal.parquet"] = "none"

        with pytest.raises(PlanError, match=r"journal.parquet: damaged"):
            read(rewritten(recorded(), change))

    def test_a_protocol_of_another_kind(self, recorded):
        """No votes, no blocks, no table of participants, no declarations: money alone."""

        def change(manifest):
            manifest["notes"] = []
            for name in ("votes", "blocks", "participants"):
                del manifest["files"][f"{name}.parquet"]

        folder = rewritten(recorded(), change)
        for name in ("votes", "blocks", "participants"):
            (folder / f"{name}.parquet").unlink()
        run = read(folder)
        assert run.tables == {}
        assert {a.kind for a in make_plan(run).actions} <= {"mint", "burn", "transfer"}
        assert len(make_plan(run).actions) == len(run.journal)

    def test_only_declared_tables_are_read(self, recorded):
        def change(manifest):
            manifest["notes"] = [n for n in manifest["notes"] if n.get("table") == "votes"]

        folder = rewritten(recorded(), change)
        (folder / "blocks.parquet").unlink()
        assert read(folder).tables.keys() == {"participants", "votes"}
