"""Imports go one way: experiments -> sim -> {agents, mechanisms}, experiments -> chain_bridge."""

import ast
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[1]
ROOMS = {"agents", "chain_bridge", "experiments", "mechanisms", "sim"}
ALLOWED = {
    "experiments": {"experiments", "sim", "chain_bridge", "agents", "mechanisms"},
    "sim": {"sim", "agents", "mechanisms"},
    "agents": {"agents", "mechanisms"},
    "mechanisms": {"mechanisms"},
    "chain_bridge": {"chain_bridge"},
}
SHARED = {
    "mechanisms.vocabulary",
    "mechanisms.plugin",
    "mechanisms.registry",
    "mechanisms.geometry",
}


def imports(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.append(node.module or "")
    return [name for name in found if name.split(".")[0] in ROOMS]


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_imports_follow_the_arrows(room):
    files = list((HOUSE / room).rglob("*.py"))
    assert files
    for path in files:
        for name in imports(path):
            assert name.split(".")[0] in ALLOWED[room], f"{path} imports {name}"


def test_agents_share_only_the_vocabulary_with_mechanisms():
    for path in (HOUSE / "agents").rglob("*.py"):
        for name in imports(path):
            assert name in SHARED or name.startswith("agents."), f"{path} imports {name}"


@pytest.mark.parametrize("room", ["agents", "mechanisms"])
def test_rules_and_behaviours_are_pure(room):
    """No clock, no world, no I/O, no global random numbers, no torch."""
    forbidden = {"simpy", "mesa", "torch", "random", "time", "os", "subprocess", "socket"}
    for path in (HOUSE / room).rglob("*.py"):
        if path.name == "registry.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not {n.split(".")[0] for n in names} & forbidden, path
