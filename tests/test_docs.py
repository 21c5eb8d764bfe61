"""The documentation holds: code and commands run, links lead somewhere, references are current."""

import os
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments.cli import app
from experiments.sweeps.design import Block, Range
from experiments.sweeps.plan import OUTCOMES, Spec
from sim.tables import COLUMNS

ROOT = Path(__file__).parents[1]
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


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python", "console")], ids=ids)
def test_code_and_commands_run(page, tmp_path, monkeypatch):
    """In page order, in one folder and one namespace; runs are cut to one round."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    namespace = {"__name__": "docs"}
    for lang, text in blocks(page, "python", "toml", "console"):
        named = re.match(r"# (\S+\.(?:py|toml))\n", text)
        if named:
            Path(named[1]).write_text(text)
        if lang == "python":
            exec(compile(text, str(page), "exec"), namespace)
        if lang == "console":
            for line in text.splitlines():
                command(line)


def command(line):
    words = shlex.split(line.removeprefix("$ "), comments=True)
    if "DIR" in words or "FOLDER" in words:
        return
    assert words[0] == "fedstake"
    if words[-1].endswith("-..."):
        words[-1] = str(
            next(Path("results").glob(words[-1].removeprefix("results/").removesuffix("...") + "*"))
        )
    cut = ["--set", "rounds=1"] if words[1] == "run" else []
    done = CliRunner().invoke(app, [*words[1:], *cut])
    assert done.exit_code == 0, (line, done.output)


def test_generated_reference_is_up_to_date():
    pages = runpy.run_path(str(ROOT / "docs" / "generate.py"))["PAGES"]
    for file, page in pages.items():
        assert (ROOT / "docs" / "reference" / file).read_text() == page(), (
            f"{file}: run python docs/generate.py"
        )


def test_every_column_is_explained():
    text = (ROOT / "docs" / "reference" / "tables.md").read_text()
    for table, columns in COLUMNS.items():
        section = text.split(f"## `{table}`")[1].split("\n## ")[0]
        explained = set(re.findall(r"`(\w+)`", section))
        assert columns.keys() <= explained, (table, columns.keys() - explained)


def test_every_key_of_a_sweep_and_every_outcome_is_explained():
    text = (ROOT / "docs" / "reference" / "sweep.md").read_text()
    explained = set(re.findall(r"`(\w+)`", text))
    for model in (Spec, Block, Range):
        assert model.model_fields.keys() <= explained, model
    explained = set(
        re.findall(r"`(\w+)`", (ROOT / "docs" / "reference" / "results.md").read_text())
    )
    assert {
        *OUTCOMES,
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
    text = (ROOT / "docs" / "reference" / "command-line.md").read_text()
    for registered in app.registered_commands:
        name = registered.name or registered.callback.__name__.rstrip("_")
        assert f"`fedstake {name}" in text
        shown = CliRunner().invoke(app, [name, "--help"]).output
        for option in re.findall(r"--[a-z-]+", shown):
            assert option in text, (name, option)


@pytest.mark.slow
def test_the_tutorial_runs_as_a_notebook(tmp_path, monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    book = nbformat.read(ROOT / "docs" / "tutorial.ipynb", as_version=4)
    nbformat.validate(book)
    for cell in book.cells:
        if cell.cell_type == "code" and cell.source.startswith(
            "!"
        ):  # a command that fails must fail the cell
            commands = [line.removeprefix("!fedstake") for line in cell.source.splitlines()]
            whole = [f"{sys.executable} -m experiments.cli{command}" for command in commands]
            runs = [f"subprocess.run({line!r}, shell=True, check=True)" for line in whole]
            cell.source = "\n".join(["import subprocess", *runs])
    NotebookClient(book, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert (tmp_path / "results" / "rules" / "winner.toml").is_file()
