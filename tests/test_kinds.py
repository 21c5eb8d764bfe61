"""One register of kinds: a new `Registry` is listed, documented and tested without further ado."""

import re
import sys
from importlib import import_module
from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments import kinds
from experiments.cli import app
from mechanisms.plugin import Plugin, PluginError
from mechanisms.registry import Registry

HOUSE = Path(__file__).parents[1]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A package `games` of plug-ins: a file, and a package that re-exports its class."""
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.split(".")[0] in ("games", "rulebook")]:
        monkeypatch.delitem(sys.modules, name)
    files = {
        "rulebook.py": (
            "from mechanisms.plugin import Plugin\nclass Game(Plugin):\n    kinds = ()\n"
        ),
        "games/__init__.py": "",
        "games/chess.py": "from rulebook import Game\nclass Chess(Game):\n    name = 'chess'\n",
        "games/go/__init__.py": (
            "from games.go.protocol import Go as Go\n"
            "from games.chess import Chess as Elsewhere\n"
            "from games.go.protocol import Helper as Helper\n"
        ),
        "games/go/protocol.py": (
            "from rulebook import Game\nclass Go(Game):\n    name = 'go'\nclass Helper: ...\n"
        ),
        "games/gomoku.py": "from games.go import Go as Go\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_every_registry_of_the_house_is_found():
    """Every registry is found by its source: compared with every call of `Registry`."""
    calls = 0
    for room in kinds.FLOORS:
        for path in (HOUSE / room).rglob("*.py"):
            calls += len(re.findall(r"\bRegistry\($", path.read_text(), re.MULTILINE))
    found = kinds.all_kinds()
    assert len(found) == calls > 10
    assert len({registry.kind for registry in found}) == len(found)
    for registry in found:
        assert Registry.kinds()[registry.kind] is registry


@pytest.mark.parametrize("registry", kinds.all_kinds(), ids=lambda registry: registry.kind)
def test_a_kind_says_all_that_is_asked_of_it(registry):
    assert registry.about
    assert registry.key
    assert registry.names()
    assert (HOUSE / registry.folder).is_dir()
    assert issubclass(registry.base, Plugin)
    assert registry.group == f"fedstake.{registry.kind.replace(' ', '_')}"
    module, _, suite = registry.suite.partition(":")
    assert hasattr(import_module(module), suite)


def test_names_under_which_plug_ins_are_listed():
    shown = {
        name: [(prefix, registry.kind) for prefix, registry in registries]
        for name, registries in kinds.listed().items()
    }
    expected = {
        "mechanisms": [("", "mechanisms")],
        "parts": [("", "parts")],
        "verifiers": [("", "verifiers")],
        "roles": [("", "roles")],
        "validators": [("", "validators")],
        "aggregators": [("", "aggregators")],
        "transforms": [("", "transforms")],
        "behaviours": [
            ("worker", "worker behaviours"),
            ("validator", "validator behaviours"),
            ("miner", "miner behaviours"),
            ("learner", "learners"),
            ("contributor", "contributors"),
            ("voter", "voters"),
        ],
        "learners": [("", "learners")],
        "contributors": [("", "contributors")],
        "voters": [("", "voters")],
        "datasets": [("", "datasets")],
        "models": [("", "models")],
    }
    for name, registries in expected.items():
        assert shown[name][: len(registries)] == registries
    assert next(iter(shown)) == "mechanisms", "rules first, as in the house"


def test_the_kinds_can_be_listed():
    shown = CliRunner().invoke(app, ["list", "kinds"]).output
    for registry in kinds.all_kinds():
        assert registry.about in " ".join(shown.split())


def test_two_kinds_of_one_name_are_refused(register):
    with pytest.raises(ValueError, match=r"'parts'.*Part in mechanisms/parts.*Wheel in cars"):
        Registry("parts", package="cars", base="Wheel")
    assert register["parts"].base.__name__ == "Part"


def test_a_registry_that_is_declared_again_replaces_the_first(register):
    first = Registry("wheels", package="cars", base="Wheel")
    again = Registry("wheels", package="cars", base="Wheel")
    assert Registry.kinds()["wheels"] is again is not first


def test_plug_ins_may_be_packages_and_the_base_may_be_anywhere(register, folder):
    games = Registry("games", package="games", base="rulebook:Game")
    assert games.names() == ["chess", "go"]
    assert games.get("go").__module__ == "games.go.protocol"
    assert games.base.__name__ == "Game"
    with pytest.raises(PluginError, match="no such game; did you mean 'chess'"):
        games.get("ches")


def test_a_plug_in_in_a_file_of_its_name_is_found_alone(register, folder):
    (folder / "games" / "broken.py").write_text("raise RuntimeError('imported')\n")
    games = Registry("games", package="games", base="rulebook:Game")
    assert games.get("chess").name == "chess"
    assert games.is_known("chess")
    with pytest.raises(RuntimeError, match="imported"):
        games.names()


def test_a_kind_without_a_folder_has_plug_ins_by_path_only(register, folder):
    games = Registry("games", package="", base="rulebook:Game")
    assert games.names() == []
    assert games.get(f"{folder / 'games' / 'chess.py'}:Chess").name == "chess"


def test_kinds_that_protocols_bring_are_found(register, folder, monkeypatch):
    Registry._register.pop("protocols", None)
    games = Registry("protocols", package="games", base="rulebook:Game")
    bids = Registry("bids", package="", base="auction:Bid", about="what is offered")
    monkeypatch.setattr(games.get("go"), "kinds", (bids,), raising=False)
    brought = kinds._brought_by(games)
    assert brought == [bids]


def test_an_entry_point_that_fails_to_import_is_named(register, tmp_path, monkeypatch):
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[fedstake.games]\nludo = nowhere_at_all:Ludo\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    games = Registry("games", package="", base="rulebook:Game")
    assert games.names() == ["ludo"]
    with pytest.raises(PluginError, match="nowhere_at_all:Ludo fails to import"):
        games.get("ludo")
