"""The documentation holds: code and commands run, links lead somewhere, references are current."""

import json
import os
import pkgutil
import re
import runpy
import shlex
import shutil
import sys
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from experiments.cli import app
from experiments.kinds import all_kinds
from experiments.sweeps.design import Block, Range
from experiments.sweeps.plan import Spec
from sim.keys import table_of
from sim.meanings import meanings
from sim.registries import protocols

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(page, *languages):
    return [(lang, text) for lang, text in BLOCK.findall(page.read_text()) if lang in languages]


def ids(page):
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


DEAR = {
    "README.md",
    "audit-a-rule.md",
    "buy-labels.md",
    "figures.md",
    "replay-on-an-evm.md",
    "replay-on-your-node.md",
    "run-a-collective.md",
    "run-a-data-market.md",
    "run-a-sweep.md",
    "scorecard.md",
    "search-for-the-worst-attack.md",
    "script-outages.md",
    "tutorial.md",
    "write-a-mechanism.md",
    "write-a-protocol.md",
}
"""Pages that play whole sweeps or draw reports, or start a chain."""
WITH_CODE = [
    pytest.param(page, id=ids(page), marks=[pytest.mark.slow] if page.name in DEAR else [])
    for page in PAGES
    if blocks(page, "python", "console")
]


@pytest.mark.parametrize("page", WITH_CODE)
def test_code_and_commands_run(page, tmp_path, monkeypatch):
    """In page order, in one folder and one namespace; scenarios are cut to a round or two."""
    monkeypatch.setattr(os, "cpu_count", lambda: 1)  # runs need no processes of their own
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    namespace = {"__name__": "docs"}
    for lang, text in blocks(page, "python", "toml", "console"):
        named = re.match(r"# (\S+\.(?:py|toml))\n", text)
        if named:
            short = re.sub(r"\brounds = \d+", "rounds = 2", text)
            Path(named[1]).write_text(short if lang == "toml" else text)
        if lang == "python":
            exec(compile(text, str(page), "exec"), namespace)
        if lang == "console":
            for line in text.splitlines():
                command(line)


PLAYED_ELSEWHERE = {
    "devchain": "tests/chain_bridge/test_devchain.py",
    "replay": "tests/chain_bridge/test_command.py",
    "reproduce": "tests/experiments/test_reproduce.py",
}
"""Commands of which only the words are checked here, and the tests that run them."""
SHORT = {
    "run": ["--set", "rounds=1"],
    "sweep": ["--workers", "1"],
    "compare": ["--workers", "1"],
    "search": ["--workers", "1"],
}
"""What is added to a command so that it takes less."""


def command(line):
    words = shlex.split(line.removeprefix("$ "), comments=True)
    if "DIR" in words or "FOLDER" in words:
        return
    assert words[0] == "fedstake"
    if words[-1].endswith("-..."):
        words[-1] = str(
            next(Path("results").glob(words[-1].removeprefix("results/").removesuffix("...") + "*"))
        )
    if words[1] in PLAYED_ELSEWHERE and words[1:] != ["replay", "run"]:  # on a chain of its own
        parse(words[1:])
        return
    done = CliRunner().invoke(app, [*words[1:], *SHORT.get(words[1], [])])
    assert done.exit_code == 0, (line, done.output)


def parse(words):
    """Check a command's words as the command line does; raise where one is wrong."""
    found = get_command(app)
    while hasattr(found, "commands"):
        found = found.commands[words[0]]
        words = words[1:]
    found.make_context(found.name, words)


def test_commands_that_are_only_parsed_are_run_by_other_tests():
    for name, file in PLAYED_ELSEWHERE.items():
        assert f'"{name}"' in (ROOT / file).read_text()
    with pytest.raises(Exception, match=r"(?i)no such option"):
        parse(["replay", "run", "--dryrun"])
    with pytest.raises(KeyError):
        parse(["devchain", "upp"])


def test_generated_reference_is_up_to_date():
    pages = runpy.run_path(str(ROOT / "docs" / "generate.py"))["PAGES"]
    for file, page in pages.items():
        assert (REFERENCE / file).read_text() == page(), f"{file}: run python docs/generate.py"


def test_generated_pages_follow_their_prose():
    """What stands below the mark is written anew; what stands above it is kept."""
    for file in ("tables.md", "results.md"):
        prose, _, below = (REFERENCE / file).read_text().partition("<!-- generated -->")
        assert len(prose) > 500, file
        assert below.startswith("\n\n|"), file


def test_a_notebook_of_another_layout_is_not_written_anew(tmp_path):
    names = runpy.run_path(str(ROOT / "docs" / "generate.py"))
    book = json.loads((ROOT / "docs" / "tutorial.ipynb").read_text())
    for cell in book["cells"]:
        cell["source"] = "".join(cell["source"]).splitlines(keepends=True)
    (tmp_path / "tutorial.ipynb").write_text(json.dumps(book, indent=4))
    shutil.copy(ROOT / "docs" / "tutorial.md", tmp_path)
    notebook = names["notebook"]
    notebook.__globals__["FOLDER"] = tmp_path / "reference"
    assert notebook() == (tmp_path / "tutorial.ipynb").read_text()
    (tmp_path / "tutorial.md").write_text("# Another tutorial\n")
    assert json.loads(notebook())["cells"][0]["source"] == "# Another tutorial"


def sections(text, level):
    """By heading the text below it."""
    parts = re.split(rf"^{'#' * level} (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def explained_columns(protocol):
    """Yield table and row of each column that `tables.md` has for a protocol."""
    for heading, section in sections((REFERENCE / "tables.md").read_text(), 2).items():
        if heading == "Every protocol" or f"`{protocol}`" in heading:
            for table, rows in sections(section, 3).items():
                for row in re.findall(r"^\| `\w+` \|.+\|$", rows, re.MULTILINE):
                    yield re.match(r"`(\w+)`", table)[1], row


@pytest.mark.parametrize("protocol", protocols.names())
def test_every_column_of_a_protocol_is_explained(protocol):
    rows = list(explained_columns(protocol))
    for name, table in protocols.get(protocol).all_tables().items():
        for key, column in table.columns.items():
            found = [row for where, row in rows if where == name and f"| `{key}` |" in row]
            assert column.meaning, (name, key)
            assert any(row.endswith(f"| {column.meaning} |") for row in found), (name, key)
        if table.only:
            assert table.only in (REFERENCE / "tables.md").read_text()


def keys_of(table):
    """Yield every key of a scenario class, tables inside included, with its table's path."""

    def below(model, path):
        for name, field in model.model_fields.items():
            inner = table_of(field)
            if inner is None:
                yield path, name, meanings(model)[name]
            else:
                yield from below(inner, f"{path}.{name}".strip("."))

    return below(table, "")


@pytest.mark.parametrize("protocol", protocols.names())
def test_every_key_of_a_protocol_is_explained_with_its_protocols(protocol):
    found = sections((REFERENCE / "scenario.md").read_text(), 2)
    by_path = {re.sub(r"[`\[\]]|Top level", "", heading): text for heading, text in found.items()}
    for path, name, text in keys_of(protocols.get(protocol).Scenario):
        meaning = " ".join(text.split())
        rows = [
            row
            for row in re.findall(rf"^\| `{name}` \|.+$", by_path[path], re.MULTILINE)
            if row.endswith(f"| {meaning} |") or f"| {meaning} Acts only where " in row
        ]
        shared = re.search(r"^Protocols: (.+)\.$", by_path[path], re.MULTILINE)
        who = shared[1] if shared else "".join(rows)
        assert rows, (path, name)
        assert "every" in who or f"`{protocol}`" in who, (path, name)


@pytest.mark.parametrize("protocol", protocols.names())
def test_every_outcome_and_what_is_declared_is_explained(protocol):
    cls = protocols.get(protocol)
    results = (REFERENCE / "results.md").read_text()
    for name, outcome in cls.all_outcomes().items():
        row = re.search(rf"^\| `{name}` \| {re.escape(outcome.meaning)} \|.+$", results, re.M)
        assert row, name
        assert f"`{protocol}`" in row[0] or row[0].endswith("| every |"), name
    plugins = sections(sections((REFERENCE / "plugins.md").read_text(), 2)["Protocols"], 3)
    declared = [*cls.outcomes, *(chart.name for chart in cls.charts)]
    declared += [note.reason for note in cls.notes if hasattr(note, "reason")]
    declared += [*cls.tables, *(kind.kind for kind in cls.kinds)]
    for name in declared:
        assert f"`{name}`" in plugins[f"`{protocol}`"], name


FOLDERS = "sim experiments mechanisms agents chain_bridge fedstake benchmarks tests docs seeds"
PATH = re.compile(rf"(?<![\w./-])(?:{'|'.join(FOLDERS.split())})/[\w./{{}},*-]*")
MODULE = re.compile(rf"(?<![\w./-])(?:{'|'.join(FOLDERS.split())})(?:\.\w+)+")
AT_HOME = {"fedstake/data"}
"""The user's cache folder, which is named like a folder of the repository."""


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=ids)
def test_every_path_that_is_named_exists(page):
    for path in PATH.findall(page.read_text()):
        path = path.rstrip(".").partition("NAME")[0]
        assert path in AT_HOME or (ROOT / path).exists(), path


def test_what_contributing_says_to_copy_lies_where_it_says_to_open():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("|")][2:]
    assert len(rows) > 15
    for what, where, model, _ in rows:
        folders = [ROOT, *(ROOT / path for path in re.findall(r"`([\w/]+/)`", where))]
        for file in re.findall(r"`([\w/-]+(?:\.\w+|/))`", model):
            assert any((folder / file).exists() for folder in folders), (what, file)


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_module_that_is_named_exists(page):
    """As a module, or a name that a module has; groups of entry points are no modules."""
    groups = {kind.group for kind in all_kinds()}
    for dotted in MODULE.findall(page.read_text()):
        if dotted in groups or re.search(r"\.(toml|md|py)$", dotted):
            continue
        try:
            assert pkgutil.resolve_name(dotted) is not None
        except (ImportError, AttributeError) as error:
            raise AssertionError(f"{dotted}: {error}") from error


def test_every_key_of_a_sweep_and_every_outcome_is_explained():
    text = (REFERENCE / "sweep.md").read_text()
    explained = set(re.findall(r"`(\w+)`", text))
    for model in (Spec, Block, Range):
        assert model.model_fields.keys() <= explained, model
    explained = set(re.findall(r"`(\w+)`", (REFERENCE / "results.md").read_text()))
    assert {
        "run_id",
        "cell",
        "seed",
        "status",
        "wall_s",
        "cpu_s",
        "bytes",
        "stage",
        "error",
        "traceback",
    } <= explained


def test_every_command_and_option_is_explained():
    text = (REFERENCE / "command-line.md").read_text()
    for registered in app.registered_commands:
        name = registered.name or registered.callback.__name__.rstrip("_")
        assert f"`fedstake {name}" in text
        shown = CliRunner().invoke(app, [name, "--help"]).output
        for option in re.findall(r"--[a-z-]+", shown):
            assert option in text, (name, option)


@pytest.mark.slow
@pytest.mark.parametrize("cells", [2, pytest.param(None, marks=pytest.mark.soak)])
def test_the_tutorial_runs_as_a_notebook(tmp_path, monkeypatch, cells):
    """Its first cells; the code of all of them runs as part of the page that it is made from."""
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    book = nbformat.read(ROOT / "docs" / "tutorial.ipynb", as_version=4)
    nbformat.validate(book)
    book.cells = book.cells[:cells]
    commands = [cell for cell in book.cells if cell.source.startswith("!")]
    assert commands, "a command is among the cells that are run"
    for cell in commands:  # one that fails must fail the cell
        lines = [line.removeprefix("!fedstake") for line in cell.source.splitlines()]
        whole = [f"{sys.executable} -m experiments.cli{line}" for line in lines]
        runs = [f"subprocess.run({line!r}, shell=True, check=True)" for line in whole]
        cell.source = "\n".join(["import subprocess", *runs])
    NotebookClient(book, timeout=None, resources={"metadata": {"path": str(tmp_path)}}).execute()
    if cells is None:
        assert (tmp_path / "results" / "rules" / "winner.toml").is_file()
