"""Tests say what happens, not how fast: none depends on how busy the machine is."""

import ast
from pathlib import Path

import pytest

from tests.conftest import PATIENCE_S, in_order

HERE = Path(__file__).parent
FILES = sorted(HERE.rglob("*.py"))
POLL_S = 0.05
"""The longest pause of a loop that waits for something to happen."""
ENDLESS_S = 60.0
"""A pause that is ended from outside, however busy the machine is."""
SHORT = {
    "chain_bridge/test_failures.py": "a chain that is stopped",
    "chain_bridge/test_liars.py": "servers that never answer",
    "experiments/test_limits.py": "runs that never end",
    "experiments/test_two_at_once.py": "a lock that is held until a later line",
}
"""Files with short limits on what never happens, however long one waits."""


def calls(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call):
            yield node, ast.unparse(node.func).rpartition(".")[2]


def number(node):
    """Return the value of a plain number; None for anything else."""
    value = node.value if isinstance(node, ast.Constant) else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def limits(file):
    """Yield the line and the seconds of each limit of time that is a plain number."""
    for node, name in calls(file):
        given = [word.value for word in node.keywords if (word.arg or "").startswith("timeout")]
        if name in ("wait", "join", "wait_for"):
            given += node.args
        for seconds in map(number, given):
            if seconds is not None:
                yield node.lineno, seconds


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(HERE)))
def test_no_wait_is_short_and_no_pause_hopes_that_something_has_happened(file):
    if str(file.relative_to(HERE)) not in SHORT:
        for line, seconds in limits(file):
            assert seconds >= PATIENCE_S, f"line {line}: {seconds} s may be too short"
    for node, name in calls(file):
        if name == "sleep":
            (pause,) = node.args
            drawn = "uniform(" in ast.unparse(pause)  # the moment of a kill
            seconds = number(pause)
            fits = seconds is not None and (seconds <= POLL_S or seconds >= ENDLESS_S)
            assert drawn or fits or isinstance(pause, ast.Name), f"line {node.lineno}"


def test_short_limits_are_where_they_are_said_to_be():
    for name in SHORT:
        assert "timeout" in (HERE / name).read_text() or "wait(" in (HERE / name).read_text()


class Item:
    def __init__(self, number, slow):
        self.number, self.slow = number, slow

    def get_closest_marker(self, name):
        return self.slow or None


@pytest.mark.parametrize("workers", [1, 2, 3, 16])
def test_each_worker_begins_with_slow_tests(workers):
    items = [Item(i, i % 5 == 4) for i in range(53)]
    ordered = in_order(items, workers)
    assert sorted(item.number for item in ordered) == list(range(53))
    at = 0
    for left in range(workers, 0, -1):
        part = ordered[at : at + (53 - at) // left]
        at += len(part)
        order = [item.slow for item in part]
        assert order == sorted(order, reverse=True)
        assert part[0].slow or workers == 16


def test_tests_that_need_a_chain_are_with_one_worker():
    items = [Item(i, i % 2 == 0) for i in range(40)]
    for item in items[4:20:4]:
        item.fixturenames = ("tmp_path", "devchain")
    chains = {item.number for item in items[4:20:4]}
    assert {item.number for item in in_order(items, 2)[: len(chains)]} == chains


def test_slow_tests_of_a_file_stay_with_one_worker():
    items = [Item(i, i < 30) for i in range(90)]
    for item in items:
        item.path = "abc"[item.number // 12] if item.slow else "quick"
    ordered = [item.path for item in in_order(items, 2)]
    assert ordered[:45] == ["a"] * 12 + ["b"] * 12 + ["quick"] * 21
    assert ordered[45:] == ["c"] * 6 + ["quick"] * 39
