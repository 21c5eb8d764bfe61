"""The attack study: its plans, and its measures on tables that are made up."""

from collections import Counter
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from agents import registries as behaviours
from experiments.reproduce.sum import flaws
from experiments.sweeps.plan import load_spec, plan
from mechanisms import registries as rules
from sim.registries import protocols

HOUSE = Path(__file__).parents[2]
ATTACKS = HOUSE / "docs" / "market-attacks" / "attacks.toml"
FLAWS = Path(flaws.__file__).with_name("flaws.toml")
NOT_ATTACKS = {"caller", "idle"}
"""Contributors that attack nobody."""


class Tables:
    """Evidence of one arm, from made-up tables."""

    def __init__(self, **tables):
        self.tables = {name: pd.DataFrame(rows) for name, rows in tables.items()}

    def of(self, arms, name, group):
        assert group == flaws.GROUP
        table = self.tables.get(name, pd.DataFrame())
        return table[table["arm"].isin(arms)] if len(table) else table


def test_every_attack_meets_every_rule():
    pairs = Counter()
    for run in plan(load_spec(ATTACKS)):
        group = run.scenario.adversaries[0]
        pairs[run.scenario.market.rule, group.contributor] += 1
    attacks = set(behaviours.contributors.names()) - NOT_ATTACKS
    expected = {(rule, attack) for rule in rules.markets.names() for attack in attacks}
    assert expected <= pairs.keys()


def test_the_arms_of_the_experiments_are_those_that_are_measured():
    arms = {run.labels["arm"] for run in plan(load_spec(FLAWS))}
    assert arms == {*flaws.GAPS, "agreeable", "agreeable_none", *flaws.IDENTITIES}


def test_what_is_priced_out():
    rows = [
        {"arm": "grief_4", "seed": 0, "device": device, "datum": datum, "cost": 5 * 10**9}
        for device, datum in [(0, None), (1, 3), (2, None), (3, None), (7, 1)]
    ]
    evidence = Tables(submissions=[{**row, "time_s": 10.0} for row in rows])
    assert flaws.priced_out("grief_4")(evidence) == [0.75]
    assert flaws.locked_by_griefer("grief_4")(evidence) == [5.0]
    assert flaws.priced_out("grief_3")(evidence) == [], "not played"


def test_what_was_lost_and_gained():
    rows = [
        {"arm": arm, "seed": seed, "moment": moment, "device": device, "balance": held * 10**9}
        for arm, end in [("agreeable", 130), ("agreeable_none", 110)]
        for seed in (0, 1)
        for moment, held in [("start", 100), ("end", end - 10 * seed)]
        for device in (4, 5, 7)
    ]
    evidence = Tables(balances=rows)
    assert flaws.gained("agreeable")(evidence) == [60.0, 40.0]
    assert flaws.paid_by_griefer("agreeable")(evidence) == [-30.0, -20.0]
    assert flaws.farmed(flaws.gained)(evidence) == [40.0, 40.0]


def test_what_sybils_take_back():
    added = [
        {"arm": "sybils_2", "seed": 0, "device": device, "cost": 100.0} for device in (6, 6, 7)
    ]
    claims = [
        {"arm": "sybils_2", "seed": 0, "device": d, "author": a, "kind": kind, "amount": amount}
        for d, a, kind, amount in [
            (6, 6, "refund", 100),
            (7, 6, "report", 40),
            (1, 6, "report", 60),
            (7, 7, "refund", 100),
        ]
    ]
    evidence = Tables(submissions=added, claims=claims)
    assert flaws.refunded("sybils_2")(evidence) == [0.5]
    assert flaws.taken_back("sybils_2")(evidence) == [0.4]
    assert flaws.taken_back("sybils_6")(evidence) == []


def test_shares_of_what_was_found_good():
    rows = [
        {"arm": "sybils_2", "seed": 0, "round": r, "device": d, "standing": s}
        for r, d, s in [(1, 7, 9), (2, 6, 1), (2, 7, 2), (2, 1, 9)]
    ]
    assert flaws.share_of_group("sybils_2")(Tables(participants=rows)) == [0.25]


@pytest.mark.parametrize(
    ("values", "text"),
    [([], "–"), ([0.25, 0.25], "0.25 [0.25, 0.25]"), ([2e3, 2e3], "2,000 [2,000, 2,000]")],
)
def test_values_in_words(values, text):
    assert flaws.shown(values) == text


def test_findings_without_runs_are_empty_tables_and_no_error():
    for heading, table in flaws.findings(Tables()):
        assert heading
        assert (table.iloc[:, 1:] == "–").all(axis=None)


def test_who_is_priced_out_is_the_honest():
    """Refused data of adversaries count as little as their true labels do."""
    offers = "(1, false, 4, 1), (2, false, 4, 3), (1, true, 9, 0), (2, true, 0, 0)"
    rows = f"(values {offers}) t(round, adversary, offered, accepted)"
    sql = protocols.get("market").outcomes["priced_out"].sql
    assert duckdb.sql(f"select {sql} from {rows}").fetchall() == [(0.5,)]
    nobody = f"select {sql} from {rows} where adversary"
    assert duckdb.sql(nobody).fetchall() == [(None,)]
