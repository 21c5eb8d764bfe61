"""Damage and forgery of recorded folders: the same numbers, or one line that names the file."""

import copy
import json
import random
import shutil
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tomli_w
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from chain_bridge.plan import make_plan
from chain_bridge.recording import read
from experiments import Results, RunError, compare_payouts, load_scenario, open_run, run, sweep
from experiments import recorded as reading
from experiments.cli import app
from experiments.recorded import declared_tables, listing, sound
from experiments.reports import report
from experiments.sweeps import manifest
from experiments.sweeps.drive import Sweep
from fedstake.errors import FedstakeError, FedstakeWarning
from fedstake.outside import SEAL, sealed, unseal
from tests.conftest import TINY
from tests.experiments.test_sweeps import asked, stamps
from tests.forging import relisted, resealed

SCENARIO = {**TINY, "rounds": 2, "record.tape": True}
SPEC = asked(set={**TINY, "rounds": 1}, seeds=1)
PYTHON = ("Error", "NoneType", "object has no", "Traceback", "positional", "recursion", "<class")
"""Words that a message in plain English has not got; `sound` names the kind of error itself."""


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """The folder of a run with a tape."""
    return run(load_scenario("vbfl", SCENARIO), tmp_path_factory.mktemp("one") / "run").path


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """The folder of a sweep of four runs."""
    folder = tmp_path_factory.mktemp("many") / "tiny"
    sweep(SPEC, folder, workers=1)
    return folder


@pytest.fixture
def theirs(one, tmp_path):
    return Path(shutil.copytree(one, tmp_path / "run"))


@pytest.fixture
def their_sweep(many, tmp_path):
    return Path(shutil.copytree(many, tmp_path / "tiny"))


def read_run(folder: Path) -> str:
    """Return everything that reading a run gives, as text."""
    result = open_run(folder)
    names = [name.removesuffix(".parquet") for name in result.manifest["files"]]
    tables = {name: result.table(name).to_csv() for name in names}
    with sound(folder, "the summary"):
        said = repr(result.summary())
    with sound(folder, "the plan"):
        actions = make_plan(read(folder)).actions
    return repr((result.manifest, result.settings, said, tables, actions))


def read_sweep(folder: Path) -> str:
    """Return everything that reading a sweep gives, as text."""
    results = Results.open(folder)
    frames = [results.table(name) for name in results.columns]
    with sound(folder, "the outcomes"):
        frames += [results.runs(), results.outcomes(), results.summary(), results.failures()]
    scenarios = json.dumps(results.scenarios(), sort_keys=True)
    return repr((results.spec, results.versions, scenarios, [f.to_csv() for f in frames]))


def outcome(reader, folder: Path) -> str:
    """Return what reading gives, or the one plain line that says why it gives nothing."""
    try:
        return reader(folder)
    except FedstakeError as error:
        return "refused: " + plain(str(error), folder)


def plain(line: str, folder: Path) -> str:
    """Return a message, which is one line of plain words that names the folder."""
    assert "\n" not in line, line
    assert "\x1b" not in line, line
    assert len(line) < 900, line
    assert folder.name in line, line
    without = line.replace(str(folder), "").partition("(")[0]
    for word in PYTHON:
        assert word not in without, line
    return line


def command(folder: Path, *words: object) -> str:
    """Return the last line of a command, which ends well or in one plain line."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exit_code == 0:
        return ""
    lines = done.output.strip().splitlines()
    assert done.exit_code in (1, 2), done.output
    assert lines[-1].startswith("fedstake: "), done.output
    return plain(lines[-1], folder)


# --- damage -------------------------------------------------------------------------------------


def files_of(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file() and file.suffix != ".lock")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["run", "sweep", "compact"])
def test_a_flipped_bit_gives_the_same_numbers_or_one_line(one, many, tmp_path, kind):
    """Single flips over all files; each is put back before the next."""
    source, reader = (one, read_run) if kind == "run" else (many, read_sweep)
    folder = Path(shutil.copytree(source, tmp_path / "x"))
    if kind == "compact":
        Results.open(folder).compact(remove=True)
    before = reader(folder)
    draw, refused = random.Random(kind), 0
    for file in files_of(folder):
        body = file.read_bytes()
        for _ in range(2 if kind == "run" else 1):
            spoilt = bytearray(body)
            spoilt[draw.randrange(len(body))] ^= 1 << draw.randrange(8)
            file.write_bytes(spoilt)
            after = outcome(reader, folder)
            refused += after.startswith("refused")
            # A receipt that is damaged is as if it were not there: its run is missing.
            if not after.startswith("refused") and file.name != manifest.MANIFEST:
                assert after == before, f"{file}: other numbers after a flipped bit"
        file.write_bytes(body)
    assert reader(folder) == before
    assert refused > 5


def test_an_edit_of_any_value_of_a_manifest_is_noticed(theirs):
    file = theirs / "manifest.json"
    values = json.loads(file.read_text())
    for path in list(paths(values)):
        edited = copy.deepcopy(values)
        put(edited, path, "another")
        if edited != values:
            file.write_text(json.dumps(edited))
            with pytest.raises(RunError, match=r"manifest\.json: unreadable \((damaged|has no)"):
                open_run(theirs)


def test_a_scenario_that_was_edited_is_noticed_by_all_who_read_it(theirs):
    file = theirs / "scenario.toml"
    file.write_text(file.read_text().replace("seed = 0", "seed = 1"))
    for reader in (read_run, lambda folder: open_run(folder).settings):
        assert "scenario.toml: damaged" in outcome(reader, theirs)
    assert "scenario.toml: damaged" in command(theirs, "report", theirs)
    assert "scenario.toml: damaged" in command(theirs, "compare", theirs, "--rule", "vbfl")
    with pytest.raises(FedstakeError, match=r"scenario\.toml: damaged"):
        read(theirs)


def test_a_receipt_that_is_damaged_is_as_if_it_were_not_there(their_sweep):
    lines = (their_sweep / manifest.MANIFEST).read_bytes().splitlines(keepends=True)
    # Of seconds as measured the last digit may be beyond what a number holds: changing it is none.
    receipt = json.loads(lines[0]) | {"wall_s": 1.5, "cpu_s": 1.25}
    receipt.pop(SEAL)
    lines[0] = json.dumps(sealed(receipt), separators=(",", ":")).encode() + b"\n"
    for place in range(0, len(lines[0]) - 1, 9):
        spoilt = bytearray(lines[0])
        spoilt[place] ^= 2
        (their_sweep / manifest.MANIFEST).write_bytes(bytes(spoilt) + b"".join(lines[1:]))
        assert len(manifest.receipts(their_sweep)) == len(lines) - 1
        assert manifest.lost_receipts(their_sweep) == 1


def spoil(file: Path) -> None:
    """Change a bit in the middle; the size stays."""
    body = bytearray(file.read_bytes())
    body[len(body) // 2] ^= 4
    file.write_bytes(body)


@pytest.mark.parametrize("name", ["journal.parquet", "scenario.toml", "manifest.json"])
def test_damage_is_told_played_again_and_noted(their_sweep, name):
    """By the same command; the other runs are left alone."""
    before = stamps(their_sweep)
    broken, wrong = sorted(before)[1], "(damaged|unreadable)"
    spoil(their_sweep / "runs" / broken / name)
    if name != "scenario.toml":  # the tables of a sweep need none of its runs' scenarios
        with pytest.raises(RunError, match=rf"{name}: {wrong}.*`fedstake sweep` plays it again"):
            Results.open(their_sweep).journal()
    told = rf"run {broken[:12]} \(.*seed 0\): {broken[:12]}/{name}: {wrong}.*played again"
    with pytest.warns(FedstakeWarning, match=told):
        results = sweep(SPEC, their_sweep, workers=1)
    notes = results.runs().set_index("run_id")["note"]
    assert notes[broken].startswith(f"played again: {broken[:12]}/{name}: ")
    assert set(notes.drop(broken)) == {""}
    after = stamps(their_sweep)
    assert {run_id for run_id in before if after[run_id] != before[run_id]} == {broken}
    with warnings.catch_warnings():
        warnings.simplefilter("error", FedstakeWarning)
        sweep(SPEC, their_sweep, workers=1)


def test_damage_of_a_sweep_s_own_files_is_told_and_mended(their_sweep):
    whole = read_sweep(their_sweep)
    spoil(their_sweep / "plan.parquet")
    with pytest.warns(FedstakeWarning, match=r"plan\.parquet: damaged.*; it is written again"):
        sweep(SPEC, their_sweep, workers=1)
    lines = (their_sweep / manifest.MANIFEST).read_text()
    (their_sweep / manifest.MANIFEST).write_text(lines.replace('"done"', '"gone"', 1))
    with pytest.warns(FedstakeWarning, match=r"manifest\.jsonl: 1 line is damaged; runs whose"):
        sweep(SPEC, their_sweep, workers=1)
    Results.open(their_sweep).compact()
    spoil(next((their_sweep / "compact").glob("*/rounds.parquet")))
    with pytest.warns(FedstakeWarning, match=r"rounds\.parquet: damaged.*read from their dir"):
        sweep(SPEC, their_sweep, workers=1)
    assert read_sweep(their_sweep) == whole
    spoil(their_sweep / "sweep.json")
    with pytest.raises(RunError, match=r"sweep\.json: .*; --out ANOTHER --reuse .*tiny takes"):
        sweep(SPEC, their_sweep, workers=1)
    moved = sweep(SPEC, their_sweep.parent / "moved", reuse=their_sweep, workers=1)
    assert stamps(moved.folder) == stamps(their_sweep)


def test_a_file_that_does_not_change_is_hashed_once_and_only_when_it_is_read(one):
    reading._sha256.cache_clear()
    for _ in range(3):
        result = open_run(one)
        assert result.rounds is not None
    assert reading._sha256.cache_info().misses == 2, "the table and the scenario"
    for _ in range(2):
        open_run(one).verify()
    assert reading._sha256.cache_info().misses == len(open_run(one).manifest["files"]) + 1


# --- forgery: whatever is written, hashes fit ---------------------------------------------------

HOSTILE = [
    None, True, -1, 0, 2**63, 2**70, 1e308, float("nan"), -0.5, "", "x", "a\nb", "\x1b[31mred",
    "../../x", "/etc/passwd", "x.parquet", "'; drop view t; --", "<script>alert(1)</script>",
    "=1+1", "\u202eabc", "9" * 5_000, [], {}, [[]], {"": {}}, {"a": 1}, [1, 2],
]  # fmt: skip


def paths(values: object, path: tuple = ()) -> Iterator[tuple]:
    """Yield where values stand inside others."""
    inner = values.items() if isinstance(values, dict) else ()
    if isinstance(values, list):
        inner = enumerate(values)
    for key, value in inner:
        yield (*path, key)
        yield from paths(value, (*path, key))


def put(values: object, path: tuple, value: object) -> None:
    for key in path[:-1]:
        values = values[key]
    values[path[-1]] = value


def take_out(values: object, path: tuple) -> None:
    for key in path[:-1]:
        values = values[key]
    del values[path[-1]]


@st.composite
def mutations(draw):
    """How to change one value: which one (as a share of all), and what comes in its place."""
    kind = draw(st.sampled_from(["put", "take out", "rename"]))
    return draw(st.floats(0, 1, exclude_max=True)), kind, draw(st.sampled_from(HOSTILE))


def mutate(values: dict, mutation) -> None:
    """Change one value in plain values."""
    share, kind, value = mutation
    places = list(paths(values))
    path = places[int(share * len(places))]
    if kind == "put":
        put(values, path, value)
        return
    found = values
    for key in path:
        found = found[key]
    take_out(values, path)
    if kind == "rename" and isinstance(path[-1], str):
        put(values, (*path[:-1], str(value)), found)


FEW = settings(
    max_examples=16,
    phases=[Phase.explicit, Phase.generate],  # one change each: nothing to shrink
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.slow
@FEW
@given(mutations())
def test_forged_manifests(one, tmp_path_factory, mutation):
    folder = Path(shutil.copytree(one, tmp_path_factory.mktemp("x") / "run"))
    resealed(folder / "manifest.json", lambda values: mutate(values, mutation))
    outcome(read_run, folder)
    outcome(lambda place: repr(compare_payouts(open_run(place), ["vbfl"])), folder)
    command(folder, "run", "vbfl", "--out", folder, *given_keys())


@pytest.mark.slow
@FEW
@given(mutations())
def test_forged_scenarios(one, tmp_path_factory, mutation):
    folder = Path(shutil.copytree(one, tmp_path_factory.mktemp("x") / "run"))
    settings = open_run(folder).settings
    mutate(settings, mutation)
    with suppress(TypeError, ValueError):  # what TOML cannot say
        (folder / "scenario.toml").write_text(tomli_w.dumps(settings))
    relisted(folder)
    outcome(read_run, folder)
    outcome(lambda place: repr(open_run(place).scenario), folder)
    command(folder, "compare", folder, "--rule", "vbfl")
    command(folder, "run", "vbfl", "--out", folder, *given_keys())


def given_keys() -> list[str]:
    """Return the keys of the run as options, so that a command prints it again."""
    words = []
    for key, value in SCENARIO.items():
        plain = str(value).lower() if isinstance(value, bool) else value
        shown = tomli_w.dumps({"x": plain}) if not isinstance(value, dict) else ""
        text = shown.removeprefix("x = ").strip()
        if isinstance(value, bool):
            text = str(value).lower()
        if isinstance(value, dict):
            inner = ", ".join(tomli_w.dumps({k: v}).strip() for k, v in value.items())
            text = f"{{{inner}}}"
        words += ["--set", f"{key}={text}"]
    return words


def test_the_keys_print_a_run_again(one):
    done = CliRunner().invoke(app, ["run", "vbfl", "--out", str(one), *given_keys()])
    assert done.exit_code == 0, done.output
    assert "already recorded" in done.output


@pytest.mark.slow
@FEW
@given(mutations())
def test_forged_sweeps(many, tmp_path_factory, mutation):
    folder = Path(shutil.copytree(many, tmp_path_factory.mktemp("x") / "tiny"))
    resealed(folder / "sweep.json", lambda values: mutate(values, mutation))
    outcome(read_sweep, folder)
    outcome(resumed, folder)


def test_names_are_shown_without_control_characters(theirs, their_sweep):
    name = "\x1b[31mred"
    resealed(their_sweep / "sweep.json", lambda values: values.update(outcomes={name: {}}))
    assert "outcomes.\\x1b[31mred: " in outcome(read_sweep, their_sweep)
    resealed(theirs / "manifest.json", lambda values: values.update(files={name: {}}))
    assert outcome(read_run, theirs).startswith("refused")


def resumed(folder: Path) -> str:
    """Return what a call of `sweep` would do."""
    planned = Sweep(SPEC, folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FedstakeWarning)
        with planned.ready():
            return repr(planned.todo)


@pytest.mark.slow
@FEW
@given(mutations())
def test_forged_indexes_and_receipts(many, tmp_path_factory, mutation):
    folder = Path(shutil.copytree(many, tmp_path_factory.mktemp("x") / "tiny"))
    Results.open(folder).compact()
    resealed(folder / "compact" / "index.json", lambda values: mutate(values, mutation))
    lines = (folder / manifest.MANIFEST).read_text().splitlines()
    receipt = folder / "receipt.json"
    receipt.write_text(lines[0])
    resealed(receipt, lambda values: mutate(values, mutation))
    lines[0] = json.dumps(json.loads(receipt.read_text()))
    receipt.unlink()
    (folder / manifest.MANIFEST).write_text("\n".join(lines) + "\n")
    outcome(read_sweep, folder)
    outcome(resumed, folder)


# --- tables -------------------------------------------------------------------------------------


def drop(table):
    return table.drop_columns(table.column_names[:1])


def retyped(table):
    """All columns as text."""
    texts = {name: [str(v) for v in table[name].to_pylist()] for name in table.column_names}
    return pa.table(texts)


def emptied(table):
    """All values gone, types kept."""
    return pa.table({f.name: pa.nulls(table.num_rows, f.type) for f in table.schema}, table.schema)


def none_left(table):
    return table.slice(0, 0)


def doubled(table):
    return pa.concat_tables([table, table])


def twice(table):
    return table.append_column(table.column_names[0], table.column(0))


def nested(table):
    """A column of tables."""
    return table.append_column("inner", pa.array([{"a": 1}] * table.num_rows))


def extreme(table):
    """The largest and smallest numbers everywhere."""
    columns = {}
    for f in table.schema:
        values = table[f.name].to_pylist()
        if f.type == pa.int64():
            values = [2**63 - 1 if i % 2 else -(2**63) for i in range(len(values))]
        if f.type == pa.float64():
            values = [(float("nan"), 1e308, -float("inf"))[i % 3] for i in range(len(values))]
        columns[f.name] = pa.array(values, f.type)
    return pa.table(columns)


def backwards(table):
    """Rounds before the first one."""
    if "round" not in table.column_names:
        return table
    rounds = pa.array([-r for r in table["round"].to_pylist()], pa.int64())
    return table.set_column(table.schema.get_field_index("round"), "round", rounds)


def noted(table):
    """What pandas would believe of the table, and is not so."""
    return table.replace_schema_metadata({"pandas": '{"index_columns": ["nothing"], "columns": 3}'})


FORGERIES = (
    drop, retyped, emptied, none_left, doubled, twice, nested, extreme, backwards, noted,
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("forge", FORGERIES, ids=lambda f: f.__name__)
def test_forged_tables_of_a_run(one, tmp_path, forge):
    for table in ("rounds", "participants", "journal", "votes", "tape"):
        folder = Path(shutil.copytree(one, tmp_path / f"{table}-run"))
        file = folder / f"{table}.parquet"
        pq.write_table(forge(pq.read_table(file)), file)
        relisted(folder)
        outcome(read_run, folder)
        outcome(lambda place: repr(compare_payouts(open_run(place), ["vbfl"])), folder)
    outcome(lambda place: str(report(open_run(place))), tmp_path / "participants-run")


@pytest.mark.parametrize("forge", FORGERIES, ids=lambda f: f.__name__)
def test_forged_tables_and_plans_of_a_sweep(their_sweep, forge):
    for file in [
        *sorted((their_sweep / "runs").glob("*/rounds.parquet")),
        *sorted((their_sweep / "runs").glob("*/participants.parquet")),
    ]:
        pq.write_table(forge(pq.read_table(file)), file)
        relisted(file.parent)
    outcome(read_sweep, their_sweep)
    command(their_sweep, "compare", their_sweep)
    file = their_sweep / "plan.parquet"
    pq.write_table(forge(pq.read_table(file)), file)
    resealed(their_sweep / "sweep.json", lambda values: values["plan"].update(listing(file)))
    after = outcome(read_sweep, their_sweep)
    harmless = forge in (noted, none_left, backwards)
    assert after.startswith("refused") or harmless, after
    outcome(resumed, their_sweep)


# --- places -------------------------------------------------------------------------------------


def test_links_that_lead_out_are_refused_and_others_read(theirs, tmp_path):
    outside = tmp_path / "outside.parquet"
    file = theirs / "rounds.parquet"
    shutil.copy(file, outside)
    file.rename(theirs / "own")
    file.symlink_to("own")
    assert len(open_run(theirs).rounds) == 2
    file.unlink()
    file.symlink_to(outside)
    assert "rounds.parquet: is a link that leads out" in outcome(read_run, theirs)
    file.unlink()
    shutil.copy(outside, file)
    for name in ("manifest.json", "scenario.toml"):
        shutil.copy(theirs / name, tmp_path / name)
        (theirs / name).unlink()
        (theirs / name).symlink_to(tmp_path / name)
        assert f"{name}: is a link that leads out" in outcome(read_run, theirs)
        (theirs / name).unlink()
        shutil.copy(tmp_path / name, theirs / name)


def test_what_is_no_file_is_not_waited_for(theirs):
    import os

    file = theirs / "rounds.parquet"
    file.unlink()
    os.mkfifo(file)
    assert "rounds.parquet" in outcome(read_run, theirs)
    resealed(theirs / "manifest.json", lambda v: v["files"]["rounds.parquet"].update(bytes=0))
    assert "rounds.parquet" in outcome(read_run, theirs)


def test_the_declared_types_are_those_of_an_installed_protocol():
    assert "votes" in declared_tables("vbfl")
    assert "votes" not in declared_tables("/somewhere/x.py:Game")
    assert "votes" not in declared_tables(None)


def test_errors_name_file_key_value_and_what_would_be_right(theirs):
    wrong = {
        "run_id": ("x", "manifest.json: run_id = 'x': must match pattern"),
        "rounds": (-1, "manifest.json: rounds = -1: must be greater than or equal to 0"),
        "files": ([], "manifest.json: files = []: must be a valid dictionary"),
        "seed": ("1", "manifest.json: seed = '1': must be a valid integer"),
    }
    values = unseal(theirs / "manifest.json")
    for key, (value, words) in wrong.items():
        resealed(theirs / "manifest.json", lambda v, k=key, new=value: v.update({k: new}))
        assert words in outcome(read_run, theirs)
        resealed(theirs / "manifest.json", lambda v: v.update(values))
