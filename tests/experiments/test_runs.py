"""Run directories, checkpoints, processes, full disks and killed processes."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from experiments import RunError, RunFailure, RunResult, load_scenario, open_run, run, run_many
from experiments import checkpoint as checkpoints
from experiments.cli import app
from experiments.reports import report
from sim.protocol import protocols
from sim.world import World
from tests.forging import resealed

COLUMNS = {name: list(table.columns) for name, table in protocols.get("vbfl").all_tables().items()}
ROOT = Path(__file__).parents[2]


def digests(path):
    return {
        f: v["sha256"] for f, v in json.loads((path / "manifest.json").read_text())["files"].items()
    }


def leftovers(folder):
    return [p.name for p in folder.iterdir() if p.name.startswith(".")]


def test_a_result_says_what_it_is(tiny, tmp_path):
    result = run(tiny(name="mine", seed=7), tmp_path / "run")
    accuracy = result.rounds["accuracy"].iloc[-1]
    said = f"mine, seed 7, 3 rounds, accuracy {accuracy:.3f}"
    assert repr(result) == f"RunResult({str(result.path)!r}: {said})"
    assert result.incidents.equals(result.table("incidents"))
    (result.path / "rounds.parquet").write_bytes(b"PAR1")
    assert "cannot be read" in repr(RunResult(result.path))


def test_the_run_directory(tiny, tmp_path):
    scenario = tiny()
    result = run(scenario, tmp_path / "run")
    assert {p.name for p in result.path.iterdir()} == {
        "scenario.toml", "manifest.json", "rounds.parquet", "participants.parquet",
        "votes.parquet", "blocks.parquet", "journal.parquet", "incidents.parquet",
        "reduced.parquet",
    }  # fmt: skip
    assert result.scenario == scenario
    assert result.manifest["run_id"] == scenario.run_id()
    for key in ("seed", "versions", "git", "platform", "wall_s", "cpu_s", "peak_memory_bytes"):
        assert key in result.manifest
    assert result.manifest["versions"]["torch"].startswith("2.13.0")
    for name in ("rounds", "participants", "votes", "blocks", "journal"):
        schema = pq.read_schema(result.path / f"{name}.parquet")
        assert schema.names == list(COLUMNS[name])
        assert len(result.table(name)) == result.manifest["files"][f"{name}.parquet"]["rows"]
    assert pd.api.types.is_integer_dtype(result.journal["amount"])
    assert len(result.participants) == scenario.rounds * scenario.devices
    assert leftovers(tmp_path) == []


def test_the_journal_explains_every_balance(tiny, tmp_path):
    result = run(tiny(rounds=4), tmp_path / "run")
    last = result.participants.query("round == 4").set_index("device")["balance"]
    journal = result.journal
    for device, balance in last.items():
        account = f"device:{device}"
        inflow = journal.loc[journal["credit"] == account, "amount"].sum()
        outflow = journal.loc[journal["debit"] == account, "amount"].sum()
        assert inflow - outflow == balance
    assert (journal["time_s"].diff().dropna() >= 0).all()
    assert result.rounds["issued"].sum() == journal["amount"].sum()


@pytest.mark.slow
def test_byte_identical_again_and_in_processes(tiny, tmp_path):
    scenarios = [tiny("vbfl-published", seed=s, rounds=2) for s in range(6)]
    digest = {}
    for label, workers in (("serial", 1), ("two", 2), ("three", 3)):
        outcomes = run_many(scenarios, tmp_path / label, workers=workers)
        digest[label] = [digests(o.path) for o in outcomes]
        assert [o.run_id for o in outcomes] == [s.run_id() for s in scenarios]
    assert digest["serial"] == digest["two"] == digest["three"]
    assert digests(run(scenarios[0], tmp_path / "again").path) == digest["serial"][0]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {
            "consensus__kind": "pow",
            "consensus__difficulty": 1,
            "network__link_bytes_per_s": 2_000.0,
        },
        {
            "availability__kind": "alternating",
            "availability__mean_online_s": 5.0,
            "availability__mean_offline_s": 3.0,
        },
        {"protocol": "fedavg", "payout__mechanism": "none"},
    ],
    ids=["pos", "forks", "churn", "fedavg"],
)
def test_resuming_is_the_same_as_never_stopping(tiny, tmp_path, changes):
    scenario = tiny(rounds=6, adversaries__0__count=2, **changes)
    whole = run(scenario, tmp_path / "whole")
    for stop in (1, 3, 5):
        world = World(scenario)
        for _ in range(stop):
            world.step()
        place = tmp_path / f"resumed{stop}"
        checkpoints.save(world, place.with_name(place.name + ".checkpoint"))
        world.close()
        resumed = run(scenario, place, checkpoint_every=2)
        assert resumed.manifest["resumed"]
        assert digests(resumed.path) == digests(whole.path)
        assert not place.with_name(place.name + ".checkpoint").exists()


def test_damaged_checkpoints_are_refused(tiny, tmp_path):
    world = World(tiny())
    world.step()
    checkpoints.save(world, tmp_path / "run.checkpoint")
    saved = checkpoints.newest(world.kernel.scenario, tmp_path / "run.checkpoint")
    with pytest.raises(RunError, match="another scenario or seed"):
        checkpoints.load(tiny(seed=5), saved)
    state = json.loads((saved / "state.json").read_text())
    del state["state"]["kernel"]["treasury"]
    for damage in ("{", json.dumps({"run_id": 3}), json.dumps(state)):
        (saved / "state.json").write_text(damage)
        with pytest.raises(RunError, match="checkpoint"):
            run(tiny(), tmp_path / "run", checkpoint_every=1)
    checkpoints.save(world, tmp_path / "run.checkpoint")
    for damage in (b"PK broken", b""):
        (saved / "models.npz").write_bytes(damage)
        with pytest.raises(RunError, match=r"models\.npz: damaged, its SHA-256"):
            run(tiny(), tmp_path / "run", checkpoint_every=1)
    (tmp_path / "other.checkpoint").write_text("x")
    with pytest.raises(RunError, match="is a file"):
        run(tiny(), tmp_path / "other", checkpoint_every=1)


@pytest.mark.parametrize("name", ["models.npz", "state.json", "hashes.json"])
def test_of_a_damaged_checkpoint_the_one_before_is_used_and_that_is_said(tiny, tmp_path, name):
    """A flipped bit anywhere in a checkpoint never gets into a result."""
    whole = run(tiny(), tmp_path / "whole")
    world = World(tiny())
    for _ in range(2):
        world.step()
        checkpoints.save(world, tmp_path / "run.checkpoint")
    world.close()
    file = checkpoints.newest(tiny(), tmp_path / "run.checkpoint") / name
    body = bytearray(file.read_bytes())
    for place in range(0, len(body), max(1, len(body) // 7)):
        body[place] ^= 1
        file.write_bytes(bytes(body))
        with pytest.warns(checkpoints.DamagedCheckpointWarning, match="going on from round 1"):
            checkpoints.resume(tiny(), tmp_path / "run.checkpoint").close()
    with pytest.warns(checkpoints.DamagedCheckpointWarning):
        resumed = run(tiny(), tmp_path / "run")
    assert resumed.manifest["resumed"]
    assert digests(resumed.path) == digests(whole.path)


def test_runs_leave_each_others_checkpoints_alone(tiny, tmp_path):
    world = World(tiny(seed=1))
    world.step()
    checkpoints.save(world, tmp_path / "run.checkpoint")
    run(tiny(seed=2), tmp_path / "run")
    run(tiny(seed=3), tmp_path / "run", force=True, checkpoint_every=1)
    begun_anew = run(tiny(seed=1), tmp_path / "run", force=True)
    assert not (tmp_path / "run.checkpoint").exists(), "its own is gone when it is done"
    assert not begun_anew.manifest["resumed"], "--force begins anew"


def test_a_checkpoint_left_by_a_kill_at_the_end_is_cleaned_up(tiny, tmp_path):
    world = World(tiny())
    world.step()
    done = run(tiny(), tmp_path / "run")
    checkpoints.save(world, tmp_path / "run.checkpoint")
    assert run(tiny(), tmp_path / "run").run_id == done.run_id
    assert not (tmp_path / "run.checkpoint").exists()


def test_the_newest_checkpoint_and_the_one_before_are_kept(tiny, tmp_path):
    world = World(tiny())
    for _ in range(3):
        world.step()
        checkpoints.save(world, tmp_path / "run.checkpoint")
    assert checkpoints.newest(world.kernel.scenario, tmp_path / "run.checkpoint").name.endswith(
        "round-0000003"
    )
    assert len(list((tmp_path / "run.checkpoint").glob("*-round-*"))) == 2


def test_a_finished_run_is_reused_and_another_is_not_overwritten(tiny, tmp_path):
    first = run(tiny(), tmp_path / "run")
    stamp = (first.path / "manifest.json").stat().st_mtime_ns
    assert run(tiny(), tmp_path / "run").run_id == first.run_id
    assert (first.path / "manifest.json").stat().st_mtime_ns == stamp
    with pytest.raises(RunError, match="holds another run"):
        run(tiny(seed=1), tmp_path / "run")
    assert run(tiny(seed=1), tmp_path / "run", force=True).scenario.seed == 1
    assert leftovers(tmp_path) == []


def test_force_never_deletes_what_is_not_a_run(tiny, tmp_path):
    mine = tmp_path / "thesis"
    mine.mkdir()
    (mine / "chapter1.txt").write_text("years of work")
    for force in (False, True):
        with pytest.raises(RunError, match="thesis"):
            run(tiny(rounds=1), mine, force=force)
    result = run(tiny(rounds=1), tmp_path / "run")
    (result.path / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="holds more than a run"):
        run(tiny(rounds=1), result.path, force=True)
    assert (mine / "chapter1.txt").exists()
    assert (result.path / "notes.txt").exists()
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunError, match="is a file"):
        run(tiny(rounds=1), tmp_path / "file")


def test_report_leaves_other_files_alone(tiny, tmp_path):
    result = run(tiny(rounds=1), tmp_path / "run")
    mine = tmp_path / "thesis"
    mine.mkdir()
    (mine / "chapter1.txt").write_text("years of work")
    report(result, mine, figures="accuracy")
    assert (mine / "report.html").stat().st_size > 10_000
    assert (mine / "chapter1.txt").read_text() == "years of work"
    report(result, result.path, figures="accuracy")
    assert digests(open_run(result.path).path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunError, match="is a file"):
        report(result, tmp_path / "file")


def test_a_kill_between_the_two_renames_of_a_replacement_loses_nothing(tiny, tmp_path):
    """The old run stands aside when the process dies: the next run puts it back first."""
    first = run(tiny(rounds=1), tmp_path / "run")
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    aside = tmp_path / f".run.partial-{process.pid}-x"
    aside.mkdir()
    os.rename(first.path, aside / "old")
    stamp = (aside / "old" / "manifest.json").stat().st_mtime_ns
    again = run(tiny(rounds=1), tmp_path / "run")
    assert (again.path / "manifest.json").stat().st_mtime_ns == stamp, "found, not run again"
    assert leftovers(tmp_path) == []


@pytest.mark.slow
def test_a_process_that_dies_is_a_failure_and_the_others_go_on(tiny, tmp_path):
    """A real pool, broken by a rule that ends its process: every other run is made good."""
    (tmp_path / "deadly.py").write_text(
        "import os\n"
        "from mechanisms.payouts.base import PayoutRule\n"
        "class Deadly(PayoutRule):\n"
        "    name = summary = reference = 'deadly'\n"
        "    def settle(self, block):\n"
        f"        with open({str(tmp_path / 'deaths')!r}, 'a') as file:\n"
        "            file.write('x')\n"
        "        os._exit(9)\n"
    )
    good = [tiny(rounds=2, seed=s) for s in range(7)]
    deadly = tiny(payout__mechanism=f"{tmp_path / 'deadly.py'}:Deadly")
    scenarios = [*good[:1], deadly, *good[1:]]
    outcomes = run_many(scenarios, tmp_path / "runs", workers=2)
    assert [type(o).__name__ for o in outcomes] == ["RunResult", "RunFailure", *["RunResult"] * 6]
    assert outcomes[1].stage == "process"
    assert len((tmp_path / "deaths").read_text()) <= 3, "begun three times at most"
    file = tmp_path / "runs" / "failures" / f"{deadly.run_id()}.json"
    assert json.loads(file.read_text())["stage"] == "process"


def test_what_succeeds_later_is_no_failure_any_more(tiny, tmp_path):
    file = tmp_path / "failures" / f"{tiny().run_id()}.json"
    file.parent.mkdir()
    file.write_text("{}")
    run_many([tiny()], tmp_path, workers=1)
    assert not file.exists()


def test_failure_is_data(tiny, tmp_path):
    good, bad = (
        tiny(rounds=2),
        tiny(data__params={"train": 5, "test": 5, "features": 6, "classes": 3}),
    )
    outcomes = run_many([good, bad], tmp_path, workers=1)
    assert outcomes[0].rounds is not None
    failed = outcomes[1]
    assert isinstance(failed, RunFailure)
    assert failed.stage == "build"
    assert "too few" in failed.error
    failure = json.loads((tmp_path / "failures" / f"{bad.run_id()}.json").read_text())
    assert "Traceback" in failure["traceback"]


def test_a_crash_in_a_round_names_the_round(tiny, tmp_path, monkeypatch):
    from sim.protocols.vbfl.protocol import Vbfl

    original = Vbfl.play_round

    def crash(self):
        if self.kernel.clock.round == 2:
            raise RuntimeError("boom")
        original(self)

    monkeypatch.setattr(Vbfl, "play_round", crash)
    (failed,) = run_many([tiny()], tmp_path, workers=1)
    assert failed.stage == "round 2"
    assert not (tmp_path / failed.run_id).exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: (p / "manifest.json").unlink(), "not a complete run directory"),
        (lambda p: (p / "votes.parquet").unlink(), "votes.parquet is missing"),
        (lambda p: (p / "manifest.json").write_text("{"), "unreadable"),
        (
            lambda p: (p / "manifest.json").write_text(
                '{"schema_version": 2, "files": null, "run_id": "x"}'
            ),
            "schema 2",
        ),
        (
            lambda p: (p / "manifest.json").write_text('{"schema_version": 2, "files": {}}'),
            "schema 2",
        ),
        (
            lambda p: resealed(p / "manifest.json", lambda v: v.update(schema_version=0)),
            "schema 0",
        ),
    ],
)
def test_damaged_run_directories_are_explained(tiny, tmp_path, damage, message):
    result = run(tiny(rounds=1), tmp_path / "run")
    damage(result.path)
    with pytest.raises(RunError, match=message):
        open_run(result.path)


def test_a_damaged_table_is_explained_and_never_taken_for_a_run(tiny, tmp_path):
    result = run(tiny(rounds=1), tmp_path / "run")
    votes = result.path / "votes.parquet"
    body = votes.read_bytes()
    votes.write_bytes(body[:200])
    with pytest.raises(RunError, match=r"damaged, its size .* --force"):
        open_run(result.path)
    votes.write_bytes(body[:300] + bytes(8) + body[308:])
    with pytest.raises(RunError, match="damaged, its SHA-256"):
        run(tiny(rounds=1), tmp_path / "run")
    assert run(tiny(rounds=1), tmp_path / "run", force=True).digest() == result.digest()


def test_an_interrupted_run_goes_on_whether_or_not_it_is_told_to(tiny, tmp_path):
    world = World(tiny())
    world.step()
    checkpoints.save(world, tmp_path / "run.checkpoint")
    assert run(tiny(), tmp_path / "run").manifest["resumed"]


def test_a_preset_can_be_run_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("digits-quick").scenario == load_scenario("digits-quick")


def test_folders_that_hold_runs_are_told_from_runs(tiny, tmp_path):
    run(tiny(rounds=1), tmp_path / "all" / "runs" / "one")
    with pytest.raises(RunError, match=r"not a complete run directory; .*one is one"):
        open_run(tmp_path / "all")
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunError, match="is a file"):
        open_run(tmp_path / "file")


def test_a_recorded_run_is_reported_without_its_plug_ins(tiny, tmp_path):
    rule = tmp_path / "rule.py"
    rule.write_text((ROOT / "tests" / "plugins" / "generous.py").read_text())
    result = run(tiny(payout__mechanism=f"{rule}:Generous", rounds=1), tmp_path / "run")
    rule.unlink()
    assert report(open_run(result.path), figures="groups").is_file()


@pytest.mark.parametrize("place", ["file", "file/below", "file/below/deep"])
def test_a_place_that_cannot_be_written_is_refused_before_the_work(tiny, tmp_path, place):
    (tmp_path / "file").write_text("x")
    played = []
    with pytest.raises(RunError, match="a file"):
        run(tiny(), tmp_path / place, on_round=played.append)
    with pytest.raises(RunError, match="a file"):
        run_many([tiny()], tmp_path / place, workers=1)
    assert played == []


def command(*args, **more):
    return [sys.executable, "-m", "experiments.cli", "run", *args]


@pytest.mark.slow
def test_a_full_disk_leaves_nothing_that_reads_as_complete(tmp_path):
    """RLIMIT_FSIZE stands for a full disk: writes beyond 2 kB fail with a real OSError."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    done = subprocess.run(
        command("digits-quick", "--set", "rounds=2", "--out", str(tmp_path / "run")),
        cwd=ROOT,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},  # it would be cut off as well
        preexec_fn=limit,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stderr
    assert f"fedstake: {tmp_path / 'run'}: File too large" in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("fedstake:")]) == 1
    assert not (tmp_path / "run").exists()
    assert leftovers(tmp_path) == []


def saved(place):
    """Return the states of a run's checkpoints, by name."""
    states = place.with_name(f"{place.name}.checkpoint").glob("[!.]*/state.json")
    return {state.parent.name for state in states}


@pytest.mark.slow
@pytest.mark.parametrize("kills", [1, pytest.param(3, marks=pytest.mark.soak)])
def test_kill_minus_nine_at_any_moment(tmp_path, kills):
    """After a checkpoint: no false complete run, and a rerun goes on."""
    place = tmp_path / "run"
    options = ["--set", "rounds=30", "--out", str(place), "--checkpoint-every", "3"]
    args = command("digits-quick", *options)
    seen = set()
    for _ in range(kills):
        process = subprocess.Popen(
            args, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while process.poll() is None and saved(place) <= seen:
            time.sleep(0.01)
        process.kill()
        process.wait()
        assert process.returncode == -signal.SIGKILL
        assert not place.exists()
        seen |= saved(place)
    assert CliRunner().invoke(app, args[3:]).exit_code == 0
    result = open_run(place)
    assert result.manifest["resumed"]
    assert len(result.rounds) == 30
    undisturbed = run(load_scenario("digits-quick", {"rounds": 30}), tmp_path / "undisturbed")
    assert result.digest() == undisturbed.digest()
    assert leftovers(tmp_path) == []


def test_a_killed_write_is_swept_up_by_the_next_run(tiny, tmp_path):
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    dead = tmp_path / f".run.partial-{process.pid}-x"
    dead.mkdir()
    (dead / "manifest.json").write_text("{}")
    alive = tmp_path / f".run.partial-{os.getpid()}-y"
    alive.mkdir()
    run(tiny(rounds=1), tmp_path / "run")
    assert not dead.exists()
    assert alive.exists(), "another process may still be writing it"
