"""Sweeps played: the same tables wherever they run, failures as data, nothing run twice."""

import gc
import hashlib
import json
import multiprocessing
import os
import re
import shutil
import sys
import weakref
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from experiments import Results, RunError, run_many, sweep
from experiments.cli import app
from experiments.pool import StoppedError
from experiments.sweeps import cluster as clusters
from experiments.sweeps import manifest
from experiments.sweeps.drive import Sweep
from experiments.sweeps.forecast import Forecast
from tests.conftest import TINY

RATE = "training.learning_rate"
NOISE = {"adversaries": [{"name": "bad", "count": 2, "worker": "gaussian-noise"}]}


def asked(**changes):
    """A sweep of 2 x 2 cells with 3 seeds, 20 ms a run."""
    design = [
        {"factors": {RATE: [0.1, 0.2]}},
        {"factors": {"attack": {"none": {}, "noise": NOISE}}},
    ]
    return {
        "name": "tiny",
        "scenario": "vbfl",
        "set": {**TINY, "rounds": 1},
        "seeds": 3,
        "design": design,
        **changes,
    }


def stamps(folder):
    """Return when each finished run was written."""
    return {
        p.parent.name: p.stat().st_mtime_ns
        for p in (Path(folder) / "runs").glob("[!.]*/manifest.json")
    }


def content(folder):
    """Every table of every run, by its bytes."""
    files = (Path(folder) / "runs").glob("[!.]*/*.parquet")
    return {f"{p.parent.name}/{p.name}": hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def rule(tmp_path, name, body):
    """A payout rule in a file that pays nothing; `body` is what it does when a block is settled."""
    file = tmp_path / f"{name}.py"
    lines = "\n".join(f"        {line}" for line in body.splitlines())
    file.write_text(
        "import os, sys, time\nfrom pathlib import Path\n"
        "from mechanisms.payouts.base import PayoutRule\n"
        "from mechanisms.vocabulary import Settlement\n"
        f"HERE = Path({str(tmp_path)!r})\n"
        "class Rule(PayoutRule):\n"
        f"    name = summary = reference = {name!r}\n"
        "    def settle(self, block):\n"
        f"{lines}\n"
        "        return Settlement(())\n"
    )
    return f"{file}:Rule"


def with_rule(*rules, **changes):
    return asked(design=[{"factors": {"payout.mechanism": ["flat", *rules]}}], **changes)


# --- where it runs does not matter ----------------------------------------------------------------


@pytest.fixture(scope="module")
def serial(tmp_path_factory):
    folder = tmp_path_factory.mktemp("serial") / "tiny"
    sweep(asked(), folder, workers=1)
    return folder


def same_as(serial, folder):
    assert content(folder) == content(serial)
    ours, theirs = Results.open(folder), Results.open(serial)
    for table in ("rounds", "participants", "votes", "blocks", "journal"):
        pd.testing.assert_frame_equal(ours.table(table), theirs.table(table))
    assert set(ours.runs()["status"]) == {"done"}
    lines = (Path(folder) / "manifest.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["run_id"] for line in lines) == sorted(ours.runs()["run_id"]), (
        "each run exactly once"
    )


def test_serial_is_complete(serial):
    results = Results.open(serial)
    assert len(results.runs()) == 12
    assert len(results.participants()) == 12 * 8
    same_as(serial, serial)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, pytest.param(3, marks=pytest.mark.soak)])
def test_processes_give_the_same_bytes(serial, tmp_path, workers):
    sweep(asked(), tmp_path / "out", workers=workers)
    same_as(serial, tmp_path / "out")


@pytest.fixture(scope="module")
def own_executor():
    """Two processes that are the caller's."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as executor:
        yield executor


@pytest.mark.slow
def test_any_executor_gives_the_same_bytes(serial, tmp_path, own_executor):
    sweep(asked(), tmp_path / "out", executor=own_executor)
    same_as(serial, tmp_path / "out")


@pytest.fixture(scope="module")
def dask_cluster(tmp_path_factory):
    """Two workers of one thread; nothing listens beyond this machine."""
    distributed = pytest.importorskip("distributed")
    here = "127.0.0.1:0"
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        scheduler_port=0,
        dashboard_address=here,
        worker_dashboard_address=here,
        local_directory=tmp_path_factory.mktemp("dask"),
    ) as cluster:
        yield cluster


@pytest.mark.slow
def test_dask_gives_the_same_bytes_and_listens_here_only(
    serial, tmp_path, dask_cluster, monkeypatch
):
    psutil = pytest.importorskip("psutil")
    # Workers have another current folder: relative paths must not lead elsewhere.
    monkeypatch.chdir(tmp_path)
    sweep(asked(), "out", dask=dask_cluster.scheduler_address)
    same_as(serial, tmp_path / "out")
    me = psutil.Process()
    sockets = [
        c
        for p in (me, *me.children(recursive=True))
        for c in p.net_connections("inet")
        if c.status == "LISTEN"
    ]
    assert sockets
    assert {c.laddr.ip for c in sockets} == {"127.0.0.1"}


@pytest.mark.slow
def test_one_torch_thread_under_every_executor(tmp_path, dask_cluster, own_executor):
    note = (
        "import torch\n(HERE / f'threads-{os.getpid()}').write_text(str(torch.get_num_threads()))"
    )
    counted = rule(tmp_path, "counted", note)
    places = (
        {"workers": 1},
        {"workers": 2},
        {"executor": own_executor},
        {"dask": dask_cluster.scheduler_address},
    )
    for i, where in enumerate(places):
        sweep(
            asked(design=[], set={**TINY, "rounds": 1, "payout.mechanism": counted}),
            tmp_path / f"out{i}",
            **where,
        )
        found = list(tmp_path.glob("threads-*"))
        assert found
        assert {f.read_text() for f in found} == {"1"}, where
        for f in found:
            f.unlink()


def test_no_more_than_the_window_is_handed_over(tmp_path, monkeypatch):
    monkeypatch.setattr("experiments.sweeps.drive.LEAST_WINDOW", 2)

    class Watched(ThreadPoolExecutor):
        most = 0

        def submit(self, *args, **kwargs):
            future = super().submit(*args, **kwargs)
            Watched.most = max(Watched.most, self._work_queue.qsize() + 1)
            return future

    with Watched(1) as executor:
        sweep(asked(), tmp_path / "out", executor=executor)
    assert Watched.most <= 2
    assert set(Results.open(tmp_path / "out").runs()["status"]) == {"done"}


# --- failures -------------------------------------------------------------------------------------


def test_a_failure_is_data_and_is_tried_again(tmp_path):
    bad = rule(
        tmp_path, "bad", "if not (HERE / 'mended').exists():\n    raise RuntimeError('boom')"
    )
    results = sweep(with_rule(bad), tmp_path / "out", workers=1)
    assert list(results.runs()["status"]) == ["done"] * 3 + ["failed"] * 3
    failures = results.failures()
    assert list(failures["seed"]) == [0, 1, 2]
    assert set(failures["stage"]) == {"round 1"}
    (error,) = set(failures["error"])
    assert re.fullmatch(r"bad\.py:\d+ in \w+\.settle, round 1: RuntimeError: boom", error)
    assert failures["traceback"].str.contains(r"in settle\n.*\nRuntimeError: boom\n$").all()
    means = results.summary()
    assert means["failed"].tolist() == [0, 3], "a cell that failed stays in the table"
    assert means["runs"].tolist() == [3, 0]
    assert means["accuracy"].isna().tolist() == [False, True]
    assert results.runs()["wall_s"].isna().sum() == 3
    assert len(results.outcomes()) == 3

    (tmp_path / "mended").touch()
    before = stamps(tmp_path / "out")
    outcome = Sweep(with_rule(bad), tmp_path / "out").play(workers=1)
    assert (outcome.found, outcome.done, outcome.failed) == (3, 3, 0)
    assert {r: t for r, t in stamps(tmp_path / "out").items() if r in before} == before, (
        "good ones were left alone"
    )
    assert Results.open(tmp_path / "out").failures().empty


def test_stages_are_told_apart(tmp_path):
    build = asked(
        seeds=1,
        design=[],
        set={**TINY, "data.params": {"train": 5, "test": 5, "features": 6, "classes": 3}},
    )
    assert list(sweep(build, tmp_path / "build", workers=1).failures()["stage"]) == ["build"]
    sulks = rule(tmp_path, "sulks", "sys.exit('enough')")
    results = sweep(with_rule(sulks, seeds=1), tmp_path / "exit", workers=2)
    assert list(results.runs()["status"]) == ["done", "failed"], (
        "a plug-in that exits takes nobody along"
    )
    (error,) = results.failures()["error"]
    assert re.fullmatch(r"sulks\.py:\d+ in \w+\.settle, round 1: SystemExit: enough", error)


@pytest.mark.slow
def test_a_process_that_dies_once_is_no_failure(tmp_path):
    once = rule(
        tmp_path,
        "once",
        "try:\n    (HERE / 'died').touch(exist_ok=False)\n"
        "except FileExistsError:\n    return Settlement(())\n"
        "os._exit(9)",
    )
    results = sweep(with_rule(once), tmp_path / "out", workers=2)
    assert (tmp_path / "died").exists()
    assert set(results.runs()["status"]) == {"done"}


@pytest.mark.slow
def test_a_run_that_kills_its_process_every_time_fails_alone(tmp_path):
    deadly = rule(
        tmp_path,
        "deadly",
        "with open(HERE / 'deaths', 'a') as file:\n    file.write('x')\nos._exit(9)",
    )
    results = sweep(with_rule(deadly, seeds=1), tmp_path / "out", workers=2)
    assert list(results.runs()["status"]) == ["done", "failed"]
    assert set(results.failures()["stage"]) == {"process"}
    assert len((tmp_path / "deaths").read_text()) <= 3, "begun three times at most"


@pytest.mark.slow
def test_a_run_that_kills_dask_workers_fails_alone(tmp_path, dask_cluster):
    deadly = rule(tmp_path, "deadly", "os._exit(9)")
    results = sweep(
        with_rule(deadly, seeds=1), tmp_path / "out", dask=dask_cluster.scheduler_address
    )
    assert list(results.runs()["status"]) == ["done", "failed"]
    assert "KilledWorker" in results.failures()["error"].iloc[0]


OF_A_RUN_THAT_NEVER_ENDS_S = 0.5


@pytest.mark.slow
def test_limits_hold_on_a_dask_worker(tmp_path, dask_cluster):
    """A worker plays its runs in a thread; with limits in a process of their own."""
    slow = rule(tmp_path, "slow", "time.sleep(3_600)")
    keys = {**TINY, "rounds": 1, "payout.mechanism": slow}
    spec = asked(seeds=1, design=[], set=keys, timeout=OF_A_RUN_THAT_NEVER_ENDS_S)
    results = sweep(spec, tmp_path / "out", dask=dask_cluster.scheduler_address)
    assert list(results.failures()["error"]) == ["took longer than 0.5 s (timeout)"]


def test_a_machine_where_nothing_runs_stops_the_sweep(tmp_path, monkeypatch):
    class Dead(Executor):
        _processes = None  # as of a pool whose workers have ended

        def submit(self, *args, **kwargs):
            future = Future()
            future.set_exception(BrokenExecutor("dead"))
            return future

        def shutdown(self, wait=True, **options):
            pass

    monkeypatch.setattr("experiments.pool._local", lambda workers: Dead())
    with pytest.raises(
        StoppedError,
        match=r"worker processes die whatever they run .*; 0 of 12 runs ended, the same command",
    ):
        sweep(asked(), tmp_path / "out", workers=2)
    with pytest.raises(
        StoppedError, match=r"went away \(BrokenExecutor: dead\); 0 of 12 runs ended"
    ):
        sweep(asked(), tmp_path / "other", executor=Dead())


def test_an_executor_that_never_tells_is_asked(tiny, tmp_path):
    class Mute(Executor):
        def submit(self, *args, **kwargs):
            return Future()

    with pytest.raises(StoppedError, match="connection lost"):
        run_many([tiny()], tmp_path / "out", executor=Mute(), alive=lambda: False)


def test_an_error_of_the_caller_is_the_caller_s(tmp_path):
    def full(_):
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        sweep(asked(), tmp_path / "out", workers=1, on_receipt=full)
    with ThreadPoolExecutor(1) as executor, pytest.raises(OSError, match="no space left"):
        sweep(asked(), tmp_path / "out2", executor=executor, on_receipt=full)


# --- going on -------------------------------------------------------------------------------------


class Enough(Exception):  # noqa: N818
    pass


def stop_after(n):
    ended = []

    def on_receipt(receipt):
        ended.append(receipt)
        if len(ended) == n:
            raise Enough

    return on_receipt


@pytest.mark.slow
def test_an_interrupted_sweep_goes_on(serial, tmp_path):
    for n in (1, 4):
        with pytest.raises(Enough):
            sweep(asked(), tmp_path / "out", workers=1, on_receipt=stop_after(n))
    before = stamps(tmp_path / "out")
    assert len(before) == 5
    outcome = Sweep(asked(), tmp_path / "out").play(workers=1)
    assert (outcome.planned, outcome.found, outcome.done) == (12, 5, 7)
    assert before.items() <= stamps(tmp_path / "out").items()
    same_as(serial, tmp_path / "out")
    again = Sweep(asked(), tmp_path / "out").play(workers=1)
    assert (again.found, again.done) == (12, 0)


def test_every_cell_gets_its_first_seed_first(tmp_path):
    with pytest.raises(Enough):
        sweep(asked(), tmp_path / "out", workers=1, on_receipt=stop_after(4))
    done = Results.open(tmp_path / "out").runs().query("status == 'done'")
    assert sorted(done["cell"]) == [0, 1, 2, 3]
    assert set(done["seed"]) == {0}


def test_a_torn_line_costs_nothing(serial, tmp_path):
    with pytest.raises(Enough):
        sweep(asked(), tmp_path / "out", workers=1, on_receipt=stop_after(5))
    file = tmp_path / "out" / "manifest.jsonl"
    body = file.read_bytes()
    file.write_bytes(body[:-40])
    before = stamps(tmp_path / "out")
    assert len(Results.open(tmp_path / "out").runs().query("status == 'done'")) == 4
    Sweep(asked(), tmp_path / "out").play(workers=1)
    assert before.items() <= stamps(tmp_path / "out").items(), (
        "the run whose line was torn is found on disk"
    )
    assert set(Results.open(tmp_path / "out").runs()["status"]) == {"done"}
    assert content(tmp_path / "out") == content(serial)


@pytest.mark.parametrize(
    "rubbish",
    [
        b"",
        b"\n",
        b"{",
        b"3\n",
        b"null\n",
        b"\x00\xff\xfe\n",
        b'{"run_id": 3}\n',
        b'{"run_id": "x", ',
    ],
)
def test_rubbish_in_the_manifest_is_passed_over(tmp_path, rubbish):
    receipt = manifest.Receipt("a" * 32, "done", 1.5, 1.0, 10)
    manifest.append(tmp_path, receipt)
    with (tmp_path / "manifest.jsonl").open("ab") as file:
        file.write(rubbish)
    failed = manifest.Receipt("b" * 32, "failed", stage="build", error="a\nb")
    manifest.append(tmp_path, failed)
    assert manifest.receipts(tmp_path) == {"a" * 32: receipt, "b" * 32: failed}


def test_a_folder_that_was_taken_away_is_run_again(tmp_path):
    results = sweep(asked(seeds=1), tmp_path / "out", workers=1)
    gone = results.runs()["run_id"].iloc[2]
    shutil.rmtree(tmp_path / "out" / "runs" / gone)
    results.refresh()
    assert list(results.runs()["status"]).count("missing") == 1
    assert len(results.rounds()) == 3
    assert Sweep(asked(seeds=1), tmp_path / "out").play(workers=1).done == 1


@pytest.mark.slow
def test_killed_as_it_began_it_finds_its_own_folder(serial, tmp_path):
    """Killed at each step of writing the plan: within the first file, and before the second."""
    out = tmp_path / "out"
    out.mkdir()
    (out / ".sweep.json.abc").write_text("{")
    sweep(asked(), out, workers=1)
    (out / "plan.parquet").unlink()
    (out / ".plan.parquet.abc").write_bytes(b"PAR1")
    with pytest.raises(RunError, match="incomplete"):
        Results.open(out)
    sweep(asked(), out, workers=1)
    assert not [p for p in out.iterdir() if p.name.startswith(".")]
    same_as(serial, out)


@pytest.mark.parametrize(
    ("prepare", "part"),
    [
        (lambda out: (out / "thesis.txt").write_text("mine"), "holds no sweep"),
        (lambda out: sweep(asked(seeds=[7], design=[]), out, workers=1), "holds another sweep"),
        (lambda out: (out / "sweep.json").write_text("{"), "unreadable"),
        (lambda out: (out / "sweep.json").write_text('{"schema_version": 2}'), "schema 2"),
        (
            lambda out: (out / "sweep.json").write_text(
                '{"schema_version": 1, "spec": {"name": "x"}, "plan_digest": "", '
                '"factors": [], "runs": 1}'
            ),
            "recorded with schema 1",
        ),
    ],
)
def test_a_folder_of_something_else_is_refused(tmp_path, prepare, part):
    out = tmp_path / "out"
    out.mkdir()
    prepare(out)
    before = sorted(p.name for p in out.iterdir())
    with pytest.raises(RunError, match=part) as caught:
        Sweep(asked(), out)
    assert str(out) in str(caught.value)
    assert sorted(p.name for p in out.iterdir()) == before


def test_a_file_in_the_way_is_told(tmp_path):
    (tmp_path / "out").write_text("x")
    with pytest.raises(RunError, match="is a file"):
        Sweep(asked(), tmp_path / "out")


# --- clusters that are not what they should be ----------------------------------------------------


@pytest.mark.slow
def test_a_cluster_that_cannot_do_it_is_refused_in_one_line(tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(clusters, "WAIT_S", 0.5)
    with pytest.raises(RunError, match=r"--dask tcp://127.0.0.1:1: no scheduler answers there"):
        sweep(asked(), tmp_path / "out", dask="tcp://127.0.0.1:1")
    with pytest.raises(RunError, match=r"--dask nonsense::: no scheduler answers there"):
        sweep(asked(), tmp_path / "out", dask="nonsense::")
    here = "127.0.0.1:0"
    options = {
        "host": "127.0.0.1",
        "scheduler_port": 0,
        "dashboard_address": here,
        "worker_dashboard_address": here,
    }
    options |= {"protocol": "tcp", "processes": False}
    with (
        distributed.LocalCluster(n_workers=0, **options) as cluster,
        pytest.raises(RunError, match="the scheduler has no workers; start some: dask worker"),
    ):
        sweep(asked(), tmp_path / "out", dask=cluster.scheduler_address)
    monkeypatch.setattr(clusters, "WAIT_S", 10)
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=2, **options) as cluster,
        pytest.raises(RunError, match=r"worker .* has 2 threads; start workers with --nthreads 1"),
    ):
        sweep(asked(), tmp_path / "out", dask=cluster.scheduler_address)
    assert not (tmp_path / "out" / "manifest.jsonl").exists()


@pytest.mark.slow
def test_no_client_that_failed_ends_while_another_starts(tmp_path, monkeypatch):
    """Both would wait for the same lock, for ever."""
    import distributed

    alive, at_start = [], []
    real = distributed.Client.__init__

    def begin(self, *args, **options):
        at_start.append(sum(client() is not None for client in alive))
        alive.append(weakref.ref(self))
        real(self, *args, **options)

    monkeypatch.setattr(distributed.Client, "__init__", begin)
    monkeypatch.setattr(clusters, "WAIT_S", 1)  # nobody ever answers there
    gc.disable()
    try:
        for _ in range(3):
            with pytest.raises(RunError, match="no scheduler answers there"):
                sweep(asked(), tmp_path / "out", dask="tcp://127.0.0.1:1")
    finally:
        gc.enable()
    assert at_start == [0, 0, 0]


@pytest.mark.slow
def test_a_folder_that_workers_do_not_see_is_told(tmp_path, dask_cluster, monkeypatch):
    monkeypatch.setattr(clusters, "_is_folder", os.path.isfile)
    with pytest.raises(
        RunError, match=r"worker tcp://.* does not see .*/out; it must be on a shared file system"
    ):
        sweep(asked(), tmp_path / "out", dask=dask_cluster.scheduler_address)


class Unknown:
    """Something that a worker without this package meets."""

    def __reduce__(self):
        return __import__, ("no_such_package",)

    def __call__(self, folder):
        raise AssertionError


@pytest.mark.slow
def test_workers_that_lack_the_package_are_told(tmp_path, dask_cluster, monkeypatch):
    monkeypatch.setattr(clusters, "_is_folder", Unknown())
    with pytest.raises(
        RunError, match=r"workers need the same fedstake as this machine .*no_such_package"
    ):
        sweep(asked(), tmp_path / "out", dask=dask_cluster.scheduler_address)


def test_without_dask_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(RunError, match=r"needs dask.distributed; pip install 'fedstake\[dask\]'"):
        sweep(asked(), tmp_path / "out", dask="tcp://127.0.0.1:1")


# --- the command ----------------------------------------------------------------------------------

FILE = """
name = "tiny"
scenario = "vbfl"
seeds = 2
[set]
rounds = 2
devices = 8
"data.dataset" = "synthetic"
"data.params" = { train = 160, test = 60, features = 6, classes = 3 }
"data.partition" = "iid"
"data.validation_fraction" = 0.25
"model.name" = "softmax"
"roles.params" = { counts = "4,2,2" }
[[design]]
[design.factors]
"training.learning_rate" = [0.1, 0.2]
"""


@pytest.fixture
def cli(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(FILE)
    return lambda *args: CliRunner().invoke(app, list(args))


def test_the_command_says_what_it_did(cli, tmp_path):
    estimate = cli("sweep", "tiny.toml", "--dry-run", "--workers", "1")
    assert estimate.exit_code == 0, estimate.output
    for part in (
        "4 runs, 4 to do; estimated from 4 test runs",
        "of CPU time",
        "on 1 processes",
        "MB of disk",
    ):
        assert part in estimate.output
    assert not (tmp_path / "results").exists(), "a dry run writes nothing"

    done = cli("sweep", "tiny.toml", "--workers", "1", "--compact")
    assert done.exit_code == 0, done.output
    for part in (
        "tiny: 1/4",
        "tiny: 4/4",
        "left",
        "4 runs: 0 reused, 4 new, 0 failed",
        "MB of tables in results/tiny",
    ):
        assert part in done.output
    assert (tmp_path / "results" / "tiny" / "compact" / "index.json").is_file()
    again = cli("sweep", "tiny.toml", "--workers", "1")
    assert "4 runs: 4 reused, 0 new, 0 failed" in again.output
    assert "4 runs, 0 to do" in cli("sweep", "tiny.toml", "--dry-run").output


@pytest.mark.slow
def test_estimates_are_of_the_right_size(tmp_path):
    plan = Sweep(asked(set={**TINY, "rounds": 6}), tmp_path / "out")
    cost = plan.estimate(workers=2)
    plan.play(workers=1)
    runs = Results.open(tmp_path / "out").runs()
    assert cost.runs == cost.todo == 12
    assert cost.wall_s == cost.cpu_s / 2
    assert cost.bytes == pytest.approx(runs["bytes"].sum(), rel=0.3)


def test_failures_end_with_one_line_and_exit_1(cli, tmp_path):
    file = tmp_path / "tiny.toml"
    file.write_text(file.read_text().replace("train = 160", "train = 5"))
    done = cli("sweep", "tiny.toml", "--workers", "1")
    assert done.exit_code == 1
    assert "4 failed" in done.output
    last = done.output.strip().splitlines()[-1]
    assert last.startswith("fedstake: 4 runs failed; the first in build (")
    assert "seed = 0): " in last


# --- how long it still takes ----------------------------------------------------------------------


def test_the_forecast_learns_from_runs_of_the_same_cell():
    now = [0.0]
    forecast = Forecast(
        {"a0": 0, "b0": 1, "a1": 0, "b1": 1, "a2": 0, "b2": 1}, clock=lambda: now[0]
    )
    assert forecast.left_s() is None
    now[0] = 15.0  # ten seconds of start-up do not count
    forecast.ended("a0", 5.0)
    assert forecast.left_s() == pytest.approx(5 * 5.0), "one at a time, as the first"
    now[0] = 25.0
    forecast.ended("b0", 15.0)
    # 20 seconds of work in 15 seconds; two runs of 5 and two of 15 to go.
    assert forecast.left_s() == pytest.approx((2 * 5 + 2 * 15) / (20 / 15))
    forecast.ended("b1", 0.0)
    assert forecast.left_s() == pytest.approx((2 * 5 + 15) / (20 / 15)), "a failure teaches nothing"
    for run_id in ("a1", "a2", "b2"):
        forecast.ended(run_id, 5.0)
    assert forecast.left_s() == 0


def test_the_forecast_knows_runs_of_earlier_calls():
    now = [0.0]
    forecast = Forecast({"a": 0, "b": 1}, known=[(1, 30.0), (1, 50.0)], clock=lambda: now[0])
    assert forecast.left_s() is None
    now[0] = 10.0
    forecast.ended("a", 10.0)
    assert forecast.left_s() == pytest.approx(40.0)


def test_damage_of_the_same_size_is_played_again(tmp_path):
    """A flipped bit is named where its run is read, and the same sweep heals it."""
    out, spec = tmp_path / "out", asked(seeds=1)
    whole = content(sweep(spec, out, workers=1).folder)
    file = sorted((out / "runs").glob("*/journal.parquet"))[0]
    body = bytearray(file.read_bytes())
    body[len(body) // 2] ^= 4
    file.write_bytes(bytes(body))
    with pytest.raises(RunError, match=r"journal\.parquet: damaged, its SHA-256"):
        _ = Results.open(out).run(file.parent.name).journal
    assert [p.run_id for p in Sweep(spec, out).todo] == [file.parent.name]
    assert content(sweep(spec, out, workers=1).folder) == whole
