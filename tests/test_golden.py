"""Golden journals and tables: any change of meaning is a visible difference.

`python -m tests.test_golden` writes them anew.

The scenarios with kept journals accept every update or judge it by its origin, so that no rounding
of a processor can change a vote.
"""

import functools
import json

import pytest

from tests import net

KEPT = json.loads((net.FOLDER / "tables.json").read_text())
ADDED = {
    "participants": {"cost", "benefit"},
    "reduced": {"round", "rule", "parameter", "asked", "used", "inputs"},
}
"""Columns that came later than the digests."""


@functools.cache
def recorded(name: str):
    """Play a scenario of the net once for both tests of it."""
    return net.recorded(name)


def journal(name: str) -> list[list[object]]:
    table = recorded(name)["journal"]
    columns = ("time_s", "round", "debit", "credit", "asset", "amount", "reason")
    entries = zip(*(table[c].to_pylist() for c in columns), strict=True)
    return [[round(time_s, 6), *rest] for time_s, *rest in entries]


@pytest.mark.parametrize("name", net.JOURNALS)
def test_journal(name):
    assert journal(name) == json.loads((net.FOLDER / f"{name}.json").read_text())


@pytest.mark.parametrize("name", net.TABLES)
def test_tables(name):
    found = net.digests(recorded(name))
    for table, columns in KEPT[name].items():
        for column, digest in columns.items():
            if table in found and column in found[table]:
                assert found[table][column] == digest, f"{table}.{column}"
            else:
                assert digest.endswith(" x nothing"), f"{table}.{column} is gone, held {digest}"
    for table, columns in found.items():
        known = KEPT[name].get(table, {}).keys() | ADDED.get(table, set())
        assert columns.keys() <= known, f"{table} has new columns"


def test_the_net_reaches_what_it_is_there_for():
    """Slashes, missed reveals and disputes are in the journals that are kept for them."""
    reasons = {
        name: {entry[-1] for entry in json.loads((net.FOLDER / f"{name}.json").read_text())}
        for name in net.JOURNALS
    }
    assert "slash" in reasons["coordinator-slashing"]
    assert "forfeit" in reasons["coordinator-missed-reveals"]
    assert any("bond" in r or "challenge" in r for r in reasons["coordinator-disputes"])


if __name__ == "__main__":
    for each in net.JOURNALS:
        lines = ",\n".join(json.dumps(entry) for entry in journal(each))
        (net.FOLDER / f"{each}.json").write_text(f"[\n{lines}\n]\n")
