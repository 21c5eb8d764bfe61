"""Imports go one way and never in a circle; functions take the service that they use.

experiments -> sim.protocols -> sim -> agents -> mechanisms, experiments -> chain_bridge.
"""

import ast
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[1]
ROOMS = {"agents", "chain_bridge", "experiments", "mechanisms", "sim"}
FOLDERS = sorted({*ROOMS, "fedstake"})
ALLOWED = {
    "experiments": {"experiments", "sim", "chain_bridge", "agents", "mechanisms"},
    "sim": {"sim", "agents", "mechanisms"},
    "agents": {"agents", "mechanisms"},
    "mechanisms": {"mechanisms"},
    "chain_bridge": {"chain_bridge"},
}
FOR_ALL = {"fedstake.errors", "fedstake.folders", "fedstake.interrupts", "fedstake.outside"}
"""The root of errors, folders that are given, the reader of foreign text and Ctrl-C may be imported
everywhere."""
SHARED = {
    "mechanisms.vocabulary",
    "mechanisms.plugin",
    "mechanisms.registry",
    "mechanisms.geometry",
}
LONGEST = 60
SERVICES = {"Kernel", "World", "TrainingGame", "VbflGame", "CoordinatorGame"}
PROTOCOLS = {path.name for path in (HOUSE / "sim" / "protocols").iterdir() if path.is_dir()} - {
    "__pycache__"
}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def sources() -> dict[str, Path]:
    """Modules of the house by name."""
    found = {}
    for folder in FOLDERS:
        for path in sorted((HOUSE / folder).rglob("*.py")):
            name = ".".join(path.relative_to(HOUSE).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


def imports(path: Path) -> list[str]:
    """Modules of the house that a file imports anywhere: for types and inside functions as well."""
    found = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found += [module_of(node.module or "", a.name) for a in node.names]
    return [name for name in found if name.split(".")[0] in FOLDERS]


def module_of(module: str, name: str) -> str:
    """The module that `from module import name` reads: a module inside a package, or itself."""
    inner = f"{module}.{name}"
    return inner if inner in sources() else module


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_imports_follow_the_arrows(room):
    files = list((HOUSE / room).rglob("*.py"))
    assert files
    for path in files:
        for name in imports(path):
            if name.split(".")[0] != "fedstake":
                assert name.split(".")[0] in ALLOWED[room], f"{path} imports {name}"


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_no_room_imports_the_public_package(room):
    """`fedstake` stands above the house; the root of errors and the lazy names do not."""
    for path in (HOUSE / room).rglob("*.py"):
        own = {"fedstake.lazy"} if path == HOUSE / "experiments" / "__init__.py" else set()
        for name in imports(path):
            if name.split(".")[0] == "fedstake":
                assert name in FOR_ALL | own, f"{path} imports {name}"


def test_agents_share_only_the_vocabulary_with_mechanisms():
    for path in (HOUSE / "agents").rglob("*.py"):
        for name in imports(path):
            shared = name in SHARED | FOR_ALL
            assert shared or name.startswith("agents."), f"{path} imports {name}"


@pytest.mark.parametrize("room", ["agents", "mechanisms"])
def test_rules_and_behaviours_are_pure(room):
    """No clock, no world, no I/O, no global random numbers, no torch."""
    forbidden = {"simpy", "mesa", "torch", "random", "time", "os", "subprocess", "socket"}
    for path in (HOUSE / room).rglob("*.py"):
        if path.name == "registry.py":
            continue
        for node in ast.walk(tree(path)):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not {n.split(".")[0] for n in names} & forbidden, path


# --- circles --------------------------------------------------------------------------------


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Sets of nodes that reach each other, by Tarjan's algorithm; sorted, largest first."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            start = stack.index(node)
            if len(stack) - start > 1:
                found.append(sorted(stack[start:]))
            del stack[start:]

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return sorted(found, key=len, reverse=True)


def house() -> dict[str, set[str]]:
    known = sources()
    return {name: {*imports(path)} & known.keys() - {name} for name, path in known.items()}


def test_circles_are_seen():
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": {"d"}, "f": {"a"}}
    assert circles(graph) == [["a", "b", "c"], ["d", "e"]]
    assert circles({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert "experiments.sweeps.manifest" in house()["experiments.results"]


def test_no_circle_file_by_file():
    assert circles(house()) == []


def test_protocols_stand_above_the_services_and_know_none_of_each_other():
    for name, path in sources().items():
        if not name.startswith("sim."):
            continue
        own = ".".join(name.split(".")[:3])
        for other in imports(path):
            if other.startswith("sim.protocols."):
                assert f"{other}.".startswith(f"{own}."), f"{name} imports {other}"


# --- functions ------------------------------------------------------------------------------


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(tree(path)) if isinstance(node, kinds)]


def uses(function: ast.AST, name: str) -> tuple[set[str], bool]:
    """Attributes that a function reads of a parameter, and whether it hands it on whole."""
    reads = [n for n in ast.walk(function) if isinstance(n, ast.Name) and n.id == name]
    owners = [
        n
        for n in ast.walk(function)
        if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.value.id == name
    ]
    return {owner.attr for owner in owners}, len(reads) > len(owners)


def takes_too_much(path: Path) -> list[str]:
    """Functions that take the world or the kernel for the sake of a single attribute."""
    found = []
    for function in functions(path):
        arguments = function.args
        for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            kind = ast.unparse(argument.annotation) if argument.annotation else ""
            if kind.strip("'\"").rpartition(".")[2] in SERVICES:
                attributes, whole = uses(function, argument.arg)
                if len(attributes) == 1 and not whole:
                    service = f"{argument.arg}.{attributes.pop()}"
                    found.append(f"{path.name}:{function.lineno} {function.name} uses {service}")
    return found


def test_functions_that_take_too_much_are_seen(tmp_path):
    path = tmp_path / "some.py"
    path.write_text(
        "def one(world: World): return world.ledger.total() + world.ledger.burned\n"
        "def two(world: World): return world.ledger, world.streams\n"
        "def on(world: World): return world.ledger, two(world)\n"
        "def quoted(x, *, kernel: 'Kernel'): kernel.clock.move()\n"
        "def none(world: World): pass\n"
    )
    assert takes_too_much(path) == [
        "some.py:1 one uses world.ledger",
        "some.py:4 quoted uses kernel.clock",
    ]


def test_functions_take_the_service_that_they_use():
    assert [line for path in (HOUSE / "sim").rglob("*.py") for line in takes_too_much(path)] == []


def test_functions_are_short():
    found = []
    for name, path in sources().items():
        for function in functions(path):
            lines = (function.end_lineno or 0) - function.lineno + 1
            if lines > LONGEST:
                found.append(f"{name}.{function.name}: {lines} lines")
    assert found == []


# --- protocols ------------------------------------------------------------------------------


def named_protocols(path: Path) -> list[tuple[int, str]]:
    """Lines that decide by a protocol's name: comparisons, `match`, and keys of a dictionary."""
    found = defaultdict(set)
    for node in ast.walk(tree(path)):
        parts: list[ast.AST | None] = []
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            parts = [node.value]
        elif isinstance(node, ast.Dict):
            parts = [*node.keys]
        for part in parts:
            elements = getattr(part, "elts", [part])
            values = {e.value for e in elements if isinstance(e, ast.Constant)}
            found[getattr(node, "lineno", 0)] |= values & PROTOCOLS
    return [(line, name) for line, names in sorted(found.items()) for name in sorted(names)]


def test_decisions_by_a_protocols_name_are_seen(tmp_path):
    path = tmp_path / "some.py"
    path.write_text(
        "if s.protocol == 'vbfl': ...\n"
        "if s.protocol in ('fedavg', 'coordinator'): ...\n"
        "rounds = {'vbfl': 1, 'other': 2}\n"
        "match p:\n"
        "    case 'coordinator': ...\n"
        "name = 'vbfl'\n"
    )
    assert named_protocols(path) == [
        (1, "vbfl"),
        (2, "coordinator"),
        (2, "fedavg"),
        (3, "vbfl"),
        (5, "coordinator"),
    ]


def test_nobody_asks_which_protocol_is_played():
    """A protocol's name means something in its own folder and in the reproduction of its paper."""
    found = []
    for name, path in sources().items():
        for line, protocol in named_protocols(path):
            homes = (f"sim.protocols.{protocol}", f"experiments.reproduce.{protocol}")
            if not f"{name}.".startswith(tuple(f"{home}." for home in homes)):
                found.append(f"{name}:{line} {protocol}")
    assert found == []
