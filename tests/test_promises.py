"""Every promise of the founding documents has a test that exists, or a reason."""

import ast
import re
from pathlib import Path

import pytest

from sim.registries import protocols
from sim.scenario import scenario_of
from sim.world import World

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "reference" / "promises.md"
WANTED = [
    *(f"M{i}" for i in range(1, 35)),
    *(f"C{i}" for i in range(1, 11)),
    *(f"G{i}" for i in range(1, 35)),
    *(f"S{i}" for i in range(1, 11)),
]
ROW = re.compile(r"^\| ([MCGS]\d+) \| (.+) \| (.+) \| (.+) \|$", re.MULTILINE)
ROWS = {row[0]: row[1:] for row in ROW.findall(PAGE.read_text(encoding="utf-8"))}


def named(file):
    """Return the tests of a file, as the page names them."""
    found = set()
    for node in ast.parse((TESTS.parent / file).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{f.name}" for f in node.body if isinstance(f, ast.FunctionDef)}
        elif isinstance(node, ast.FunctionDef):
            found.add(node.name)
    return found


def test_no_promise_is_left_out():
    assert list(ROWS) == WANTED


@pytest.mark.parametrize("promise", WANTED)
def test_a_promise_has_a_test_that_exists_or_a_reason(promise):
    _, shown_by, remark = ROWS[promise]
    tests = re.findall(r"`([^`]+)`", shown_by)
    assert tests or len(remark) > 20, "neither a test nor a reason"
    for test in tests:
        file, _, name = test.partition("::")
        assert name.rpartition("::")[2].startswith("test_")
        assert name in named(file), test


def test_without_bad_data_deposits_bring_nobody_a_profit_of_others():
    """What all honest contributors hold at the end is at most what they brought: nobody pays in."""
    values = {**protocols.get("market").example(), "adversaries": []}
    world = World(scenario_of(values))
    for _ in world.run():
        pass
    people = world.kernel.table("participants").to_pandas()
    world.close()
    assert people["income"].sum() <= 0
    issued = world.kernel.table("rounds").to_pandas()["issued"].iloc[1:].sum()
    assert issued == 0
