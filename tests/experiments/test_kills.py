"""`kill -9` of the parent, of a worker, of the Dask scheduler.

Every run is present once, none is computed again, the tables are the same.

Only processes that a test started are ended, by their ids. Nothing listens beyond this machine.
"""

import hashlib
import json
import random
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from experiments import Results, sweep
from experiments.sweeps import manifest
from tests.conftest import PATIENCE_S
from tests.experiments.test_sweeps import FILE, content, rule, stamps

ROOT = Path(__file__).parents[2]


@pytest.fixture(
    scope="module", params=[4, pytest.param(80, marks=pytest.mark.soak)], ids=["quick", "full"]
)
def asked(request, tmp_path_factory):
    """(sweep's file, its tables undisturbed, how many kills); twice as many runs as seeds.

    Half of the runs end only when there is no file `hold` beside the sweep's.
    """
    folder = tmp_path_factory.mktemp("kills")
    waits = rule(folder, "waits", 'while (HERE / "hold").exists():\n    time.sleep(0.01)')
    file = folder / "tiny.toml"
    text = FILE.replace("seeds = 2", f"seeds = {request.param}")
    rates = '"training.learning_rate" = [0.1, 0.2]'
    file.write_text(text.replace(rates, f'"payout.mechanism" = ["flat", "{waits}"]'))
    sweep(file, folder / "undisturbed", workers=1)
    return file, folder / "undisturbed", 1 if request.param == 4 else 20


@pytest.fixture
def hold(asked):
    """A file without which a sweep cannot end, so that it is killed as it works; of many no."""
    file = asked[0].parent / "hold"
    if asked[2] == 1:
        file.touch()
    yield file
    file.unlink(missing_ok=True)


def start(file, out, *options):
    command = [
        sys.executable,
        "-m",
        "experiments.cli",
        "sweep",
        str(file),
        "--out",
        str(out),
        *options,
    ]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def until(true, process=None):
    """Wait for something, or for a process to end; whether it came true."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if true():
            return True
        if process is not None and process.poll() is not None:
            return False
        time.sleep(0.01)
    raise AssertionError("waited too long")


def workers_of(process):
    try:
        return [
            p
            for p in psutil.Process(process.pid).children()
            if any("popen_loky" in word for word in p.cmdline())
        ]
    except psutil.NoSuchProcess:  # the sweep has just ended, or a worker has
        return []


def gone(processes):
    return all(not p.is_running() or p.status() == psutil.STATUS_ZOMBIE for p in processes)


def digest(folder):
    """SHA-256 over all tables, in the order of their paths."""
    return hashlib.sha256(json.dumps(sorted(content(folder).items())).encode()).hexdigest()


def check(file, out, undisturbed):
    """Complete, once, the same, and nothing left behind."""
    planned = Results.open(out).runs()
    assert set(planned["status"]) == {"done"}
    done = [r.run_id for r in manifest._lines(out) if r is not None and r.status == "done"]
    assert sorted(done) == sorted(planned["run_id"]), "each run exactly once"
    assert {p.name for p in (out / "runs").iterdir()} - {"failures"} == set(planned["run_id"]), (
        "nothing half-written is left"
    )
    assert digest(out) == digest(undisturbed)
    frame, other = Results.open(out).participants(), Results.open(undisturbed).participants()
    assert frame.equals(other)


def none_again(before, out):
    """Check that what had finished before is untouched."""
    after = stamps(out)
    assert before.items() <= after.items(), "a finished run was computed again"
    return after


@pytest.mark.slow
def test_kill_minus_nine_of_the_parent(asked, hold, tmp_path):
    file, undisturbed, kills = asked
    out, dice = tmp_path / "out", random.Random(1)
    before = {}
    for i in range(1, kills + 1):
        process = start(file, out, "--workers", "1" if kills == 1 else "2")
        children = []
        if i % 4 == 0:  # as it begins
            time.sleep(dice.uniform(0, 3))
        else:  # as it works
            seen = len(before)
            until(lambda seen=seen: len(stamps(out)) > seen, process)
            time.sleep(dice.uniform(0, 0.2))
            children = workers_of(process) if process.poll() is None else []
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "there was work left"
        until(lambda children=children: gone(children))  # its workers follow
        before = none_again(before, out)
        # Once, the line that was being written is torn as well.
        if i == (kills + 1) // 2 and (out / "manifest.jsonl").is_file():
            body = (out / "manifest.jsonl").read_bytes()
            (out / "manifest.jsonl").write_bytes(body[: len(body) - dice.randrange(1, 60)])
    hold.unlink(missing_ok=True)
    sweep(file, out, workers=1)  # goes on anywhere
    none_again(before, out)
    check(file, out, undisturbed)


@pytest.mark.slow
def test_kill_minus_nine_of_a_worker(asked, hold, tmp_path):
    """The sweep goes on by itself; several kills in a row may cost it a run, for the next call."""
    file, undisturbed, kills = asked
    out, dice = tmp_path / "out", random.Random(2)
    before, killed = {}, 0
    while True:
        process = start(file, out, "--workers", "2")
        while killed < kills:
            seen = len(stamps(out))
            if not until(lambda seen=seen: len(stamps(out)) > seen, process):
                break
            time.sleep(dice.uniform(0, 0.2))
            victims = workers_of(process) if process.poll() is None else []
            if victims:
                before = none_again(before, out)
                dice.choice(victims).kill()
                killed += 1
        hold.unlink(missing_ok=True)
        _, err = process.communicate(timeout=PATIENCE_S)
        before = none_again(before, out)
        if process.returncode == 0:
            break
        assert re.search(r"runs? failed; the first in process", err), err
    assert killed == kills
    check(file, out, undisturbed)


# --- Dask -----------------------------------------------------------------------------------------


@contextmanager
def dask_process(tmp_path, kind, *options):
    """A scheduler or worker by its command, on this machine only; ended with its children."""
    log = (tmp_path / f"{kind}.log").open("a")
    here = ["--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "dask", kind, *here, *options],
        cwd=ROOT,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        family = (
            psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        )
        process.kill()
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        process.wait()
        log.close()


@contextmanager
def dask_cluster(tmp_path, port):
    """(scheduler, address) with one worker; each test gets a new cluster, which starts quickly."""
    address = f"tcp://127.0.0.1:{port}"
    worker = [
        address,
        "--nthreads",
        "1",
        "--no-nanny",
        "--death-timeout",
        str(PATIENCE_S),
        "--local-directory",
        str(tmp_path / "dask"),
    ]
    with (
        dask_process(tmp_path, "scheduler", "--port", str(port)) as scheduler,
        dask_process(tmp_path, "worker", *worker),
    ):
        yield scheduler, address


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.slow
def test_kill_minus_nine_of_the_dask_scheduler(asked, hold, tmp_path):
    pytest.importorskip("distributed")
    file, undisturbed, kills = asked
    out, dice = tmp_path / "out", random.Random(3)
    before = {}
    for i in range(1, kills + 1):
        with dask_cluster(tmp_path, free_port()) as (scheduler, address):
            process = start(file, out, "--dask", address)
            if i % 4 == 0:
                time.sleep(dice.uniform(2, 5))
            else:
                seen = len(before)
                until(lambda seen=seen: len(stamps(out)) > seen, process)
                time.sleep(dice.uniform(0, 0.2))
            scheduler.kill()
            scheduler.wait()
            _, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode in (1, 2), "there was work left"
        lines = [line for line in err.splitlines() if not line.startswith("tiny: ")]
        assert len(lines) == 1, err
        assert lines[0].startswith(f"fedstake: --dask {address}: ")
        before = none_again(before, out)
    hold.unlink(missing_ok=True)
    sweep(file, out, workers=1)  # goes on anywhere
    none_again(before, out)
    check(file, out, undisturbed)
